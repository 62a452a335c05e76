package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/signer/pades"
)

// placeFlags say where a visible seal stands.
type placeFlags struct {
	visible, free    bool
	page, corner, at string
}

var corners = map[string]pades.Corner{
	"bottom-right": pades.BottomRight, "bottom-left": pades.BottomLeft, "top-right": pades.TopRight, "top-left": pades.TopLeft,
}

func (f *placeFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.visible, "visible", false, "put a visible seal on a page, or in the field's rectangle")
	fl.StringVar(&f.page, "page", "last", "with --visible: page of the seal, a number from 1 or \"last\"")
	fl.StringVar(&f.corner, "corner", "bottom-right", "with --visible: corner of the seal: bottom-right, bottom-left, top-right or top-left")
	fl.StringVar(&f.at, "at", "", "with --visible: lower left corner of the seal, X,Y in points from that of the page as it is shown")
	fl.BoolVar(&f.free, "free-space", false, "with --visible: put the seal where nothing is on the page, as near to the corner as can be; refused if there is no room")
}

// placement reads the flags. given says whether any of them is set.
func (f *placeFlags) placement(cmd *cobra.Command) (p pades.Placement, given bool, err error) {
	fl := cmd.Flags()
	for _, name := range []string{"page", "corner", "at", "free-space"} {
		given = given || fl.Changed(name)
	}
	if given && !f.visible {
		return p, given, usagef("add --visible", "--page, --corner, --at and --free-space place a visible seal")
	}
	p.Page = -1
	if f.page != "last" {
		n, err := strconv.ParseInt(f.page, 10, 32)
		if err != nil || n < 1 {
			return p, given, usagef("use a number from 1, or last", "there is no page %q", f.page)
		}
		p.Page = int(n) - 1
	}
	corner, ok := corners[f.corner]
	if !ok {
		return p, given, usagef("use bottom-right, bottom-left, top-right or top-left", "there is no corner %q", f.corner)
	}
	p.Corner, p.Free = corner, f.free
	if f.at == "" {
		return p, given, nil
	}
	if f.free || fl.Changed("corner") {
		return p, given, usagef("leave out --corner and --free-space", "--at says where the seal stands")
	}
	x, y, ok := strings.Cut(f.at, ",")
	p.At = new([2]float64)
	for i, s := range []string{x, y} {
		v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
		if err != nil || !ok || v < 0 || !(v <= maxPoints) {
			return p, given, usagef("for example 300,36", "--at %q is no point", f.at)
		}
		p.At[i] = v
	}
	return p, given, nil
}

const maxPoints = 1e6 // beyond every page

// hasField reports whether a document has a signature field of that name.
func hasField(r *pades.PreflightReport, name string) bool {
	return name != "" && slices.ContainsFunc(r.Fields, func(f pades.PreflightField) bool { return f.Name == name })
}
