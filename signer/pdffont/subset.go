package pdffont

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// errFont reports a font file that is not as expected. The fonts are built in,
// so it can only mean that the module they come from has changed.
var errFont = errors.New("pdffont: font file")

// tables splits a TrueType file into its tables.
func tables(ttf []byte) (map[string][]byte, error) {
	if len(ttf) < 12 {
		return nil, errFont
	}
	n := int(binary.BigEndian.Uint16(ttf[4:]))
	if len(ttf) < 12+16*n {
		return nil, errFont
	}
	out := map[string][]byte{}
	for i := range n {
		rec := ttf[12+16*i:]
		off, length := binary.BigEndian.Uint32(rec[8:]), binary.BigEndian.Uint32(rec[12:])
		if uint64(off)+uint64(length) > uint64(len(ttf)) {
			return nil, errFont
		}
		out[string(rec[:4])] = ttf[off : off+length]
	}
	for _, name := range []string{"head", "hhea", "maxp", "hmtx", "loca", "glyf"} {
		if out[name] == nil {
			return nil, fmt.Errorf("%w: no %s table", errFont, name)
		}
	}
	return out, nil
}

// glyphs gives access to the outlines of a font.
type glyphs struct {
	loca, glyf []byte
	long       bool
}

func (g glyphs) outline(gid uint16) ([]byte, error) {
	var from, to uint32
	if g.long {
		if int(gid)*4+8 > len(g.loca) {
			return nil, errFont
		}
		from, to = binary.BigEndian.Uint32(g.loca[int(gid)*4:]), binary.BigEndian.Uint32(g.loca[int(gid)*4+4:])
	} else {
		if int(gid)*2+4 > len(g.loca) {
			return nil, errFont
		}
		from, to = 2*uint32(binary.BigEndian.Uint16(g.loca[int(gid)*2:])), 2*uint32(binary.BigEndian.Uint16(g.loca[int(gid)*2+2:]))
	}
	if from > to || uint64(to) > uint64(len(g.glyf)) {
		return nil, errFont
	}
	return g.glyf[from:to], nil
}

// Flags of the components of a composite glyph.
const (
	argsAreWords    = 1 << 0
	haveScale       = 1 << 3
	moreComponents  = 1 << 5
	haveXYScale     = 1 << 6
	haveTwoByTwo    = 1 << 7
	haveInstruction = 1 << 8
)

// components calls fn with the offset in outline of each component's flags;
// its glyph is two bytes on. It returns where the components end.
func components(outline []byte, fn func(at int)) (int, error) {
	at := 10
	for {
		if at+4 > len(outline) {
			return 0, errFont
		}
		fn(at)
		flags := binary.BigEndian.Uint16(outline[at:])
		at += 4 + 2
		if flags&argsAreWords != 0 {
			at += 2
		}
		switch {
		case flags&haveScale != 0:
			at += 2
		case flags&haveXYScale != 0:
			at += 4
		case flags&haveTwoByTwo != 0:
			at += 8
		}
		if at > len(outline) {
			return 0, errFont
		}
		if flags&moreComponents == 0 {
			return at, nil
		}
	}
}

func isComposite(outline []byte) bool { return len(outline) >= 10 && outline[0]&0x80 != 0 }

// unhinted returns an outline without its instructions, so that the tables
// they use need not be embedded.
func unhinted(outline []byte) ([]byte, error) {
	if len(outline) == 0 {
		return nil, nil
	}
	if len(outline) < 10 {
		return nil, errFont
	}
	out := slices.Clone(outline)
	if isComposite(outline) {
		end, err := components(outline, func(at int) {
			flags := binary.BigEndian.Uint16(out[at:])
			binary.BigEndian.PutUint16(out[at:], flags&^haveInstruction)
		})
		return out[:end], err
	}
	at := 10 + 2*int(binary.BigEndian.Uint16(outline))
	if at+2 > len(outline) {
		return nil, errFont
	}
	n := int(binary.BigEndian.Uint16(outline[at:]))
	if at+2+n > len(outline) {
		return nil, errFont
	}
	binary.BigEndian.PutUint16(out[at:], 0)
	return slices.Concat(out[:at+2], out[at+2+n:]), nil
}

// subset returns a font file with only the glyphs given, renumbered in that
// order, and the glyphs that those are composed of behind them. gids[0] must
// be glyph 0. count is how many glyphs the result has.
func subset(ttf []byte, gids []uint16) (font []byte, count int, err error) {
	t, err := tables(ttf)
	if err != nil {
		return nil, 0, err
	}
	if len(t["head"]) < 54 || len(t["hhea"]) < 36 || len(t["maxp"]) < 32 {
		return nil, 0, errFont
	}
	g := glyphs{loca: t["loca"], glyf: t["glyf"], long: binary.BigEndian.Uint16(t["head"][50:]) == 1}
	index := map[uint16]uint16{}
	for i, gid := range gids {
		index[gid] = uint16(i)
	}
	all := slices.Clone(gids)
	var glyf []byte
	loca := make([]byte, 0, 4*len(all)+4)
	for i := 0; i < len(all); i++ { // grows while it runs
		loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
		outline, err := g.outline(all[i])
		if err != nil {
			return nil, 0, err
		}
		if outline, err = unhinted(outline); err != nil {
			return nil, 0, err
		}
		if isComposite(outline) {
			_, err = components(outline, func(at int) {
				part := binary.BigEndian.Uint16(outline[at+2:])
				if _, known := index[part]; !known {
					index[part] = uint16(len(all))
					all = append(all, part)
				}
				binary.BigEndian.PutUint16(outline[at+2:], index[part])
			})
			if err != nil {
				return nil, 0, err
			}
		}
		glyf = append(glyf, outline...)
		for len(glyf)%4 != 0 {
			glyf = append(glyf, 0)
		}
	}
	loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
	hmtx, err := metrics(t, all)
	if err != nil {
		return nil, 0, err
	}
	return assemble(t, len(all), glyf, loca, hmtx), len(all), nil
}

// metrics returns the hmtx table for the glyphs, a full record for each.
func metrics(t map[string][]byte, gids []uint16) ([]byte, error) {
	n := int(binary.BigEndian.Uint16(t["hhea"][34:]))
	src := t["hmtx"]
	var out []byte
	for _, gid := range gids {
		long := min(int(gid), n-1)
		if n == 0 || 4*long+4 > len(src) {
			return nil, errFont
		}
		bearing := 4*long + 2
		if int(gid) >= n {
			bearing = 4*n + 2*(int(gid)-n)
		}
		if bearing+2 > len(src) {
			return nil, errFont
		}
		out = append(out, src[4*long], src[4*long+1], src[bearing], src[bearing+1])
	}
	return out, nil
}

// assemble writes a TrueType file of the six tables that PDF needs (ISO
// 32000-2 §9.9.2).
func assemble(t map[string][]byte, count int, glyf, loca, hmtx []byte) []byte {
	head, hhea, maxp := slices.Clone(t["head"]), slices.Clone(t["hhea"]), slices.Clone(t["maxp"])
	binary.BigEndian.PutUint32(head[8:], 0) // checkSumAdjustment, below
	binary.BigEndian.PutUint16(head[50:], 1)
	binary.BigEndian.PutUint16(hhea[34:], uint16(count))
	binary.BigEndian.PutUint16(maxp[4:], uint16(count))
	for at := 14; at < 28; at += 2 { // zones, storage, functions, instructions: none is left
		binary.BigEndian.PutUint16(maxp[at:], 0)
	}
	binary.BigEndian.PutUint16(maxp[14:], 1) // maxZones
	names := []string{"glyf", "head", "hhea", "hmtx", "loca", "maxp"}
	data := [][]byte{glyf, head, hhea, hmtx, loca, maxp}
	out := []byte{0, 1, 0, 0, 0, 6, 0, 64, 0, 2, 0, 32}
	at := len(out) + 16*len(names)
	adjust := 0
	for i, d := range data {
		if names[i] == "head" {
			adjust = at + 8
		}
		out = append(out, names[i]...)
		out = binary.BigEndian.AppendUint32(out, checksum(d))
		out = binary.BigEndian.AppendUint32(out, uint32(at))
		out = binary.BigEndian.AppendUint32(out, uint32(len(d)))
		at += (len(d) + 3) &^ 3
	}
	for _, d := range data {
		out = append(out, d...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	binary.BigEndian.PutUint32(out[adjust:], 0xB1B0AFBA-checksum(out))
	return out
}

func checksum(b []byte) uint32 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 4 {
		var w [4]byte
		copy(w[:], b[i:])
		sum += binary.BigEndian.Uint32(w[:])
	}
	return sum
}
