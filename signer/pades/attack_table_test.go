package pades_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// attackGroups are all changes to signed files, by kind. Those of which nothing
// but good verdicts are wanted are legitimate.
func attackGroups(t testing.TB) map[string]map[string]attack {
	return map[string]map[string]attack{
		"incremental saving (ISA)":         savingAttacks(),
		"page content":                     contentAttacks(),
		"form":                             formAttacks(),
		"universal forgery (USF)":          dictionaryAttacks(),
		"shadow":                           shadowAttacks(),
		"shadow, prepared":                 preparedAttacks(),
		"structure":                        structureAttacks(),
		"certification and locks":          permissionAttacks(),
		"evidence":                         evidenceChanges(),
		"wrapping, byte ranges (SWA)":      coverageAttacks(),
		"annotations":                      annotationAttacks(),
		"fonts and looks":                  fontAttacks(),
		"tokens, algorithms, certificates": cmsAttacks(t),
		"chains":                           chains(t),
		"long term":                        longTerm(),
	}
}

// outcome is a row of the table.
type outcome struct {
	kind, name     string
	legitimate     bool
	wanted, got    string
	files, wrong   int
	accepted, loud bool // an attack that passed; a legitimate change that did not
}

// TestAttackTable prints, with -v, what the verifier says of every generated
// file: no attack is accepted, nothing legitimate raises an alarm, and every
// verdict is the one expected.
func TestAttackTable(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	var mu sync.Mutex
	var rows []*outcome
	t.Run("files", func(t *testing.T) {
		seen := map[string]bool{}
		for kind, group := range attackGroups(t) {
			for name, a := range group {
				if seen[name] {
					t.Fatalf("two rows are called %q", name)
				}
				seen[name] = true
				row := &outcome{kind: kind, name: name, legitimate: a.legitimate(), wanted: a.wanted()}
				rows = append(rows, row)
				shapes := a.shapes
				if len(shapes) == 0 {
					shapes = costest.Shapes()
				}
				if noTools() { // many runs: one shape of each is enough
					shapes = shapes[len(name)%len(shapes):][:1]
				}
				for _, shape := range shapes {
					t.Run(name+" "+shape.String(), func(t *testing.T) {
						t.Parallel()
						b, o := a.file(t, shape, who)
						r, err := pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), o)
						mu.Lock()
						defer mu.Unlock()
						row.judge(t, a, r, err)
					})
				}
			}
		}
	})
	printTable(t, rows)
}

// file makes the file, and says how it is to be verified.
func (a attack) file(t testing.TB, shape costest.Shape, who signer) ([]byte, pades.VerifyOptions) {
	if a.whole != nil {
		return a.whole(t, shape)
	}
	o := costest.Options{Shape: shape, Form: true}
	if a.base != nil {
		a.base(&o)
	}
	if a.who != nil {
		who = *a.who
	}
	w := &world{t: t, shape: shape, base: costest.Sample(o), who: who}
	w.file = sign(t, w.base, who, a.options)
	if a.who == nil {
		wantVerdicts(t, "before", verify(t, w.file), pades.Valid)
	}
	return a.make(w), trust(t, now.Add(time.Hour))
}

func (a attack) legitimate() bool {
	for _, v := range a.want {
		if !holds(v) {
			return false
		}
	}
	return len(a.want) > 0 && a.believes == nil
}

func holds(v pades.Verdict) bool {
	return v == pades.Valid || v == pades.ValidExtended || v == pades.ModifiedAllowed
}

func (a attack) wanted() string {
	if a.refused != "" {
		return "refused: " + string(a.refused)
	}
	return verdictText(a.want)
}

func verdictText(vs []pades.Verdict) string {
	if len(vs) == 0 {
		return "no signature"
	}
	return strings.Trim(fmt.Sprint(vs), "[]")
}

// judge enters what came of one file.
func (o *outcome) judge(t *testing.T, a attack, r *pades.Report, err error) {
	o.files++
	var ref *pades.RefusedError
	var got []pades.Verdict
	switch {
	case errors.As(err, &ref):
		o.got = "refused: " + string(ref.Code)
	case err != nil:
		t.Fatal(err)
	default:
		for _, s := range r.Signatures {
			got = append(got, s.Verdict)
		}
		o.got = verdictText(got)
	}
	all := len(got) > 0 && !slices.ContainsFunc(got, func(v pades.Verdict) bool { return !holds(v) })
	accepted := !o.legitimate && all
	if a.believes != nil {
		accepted = err == nil && a.believes(r)
	}
	o.accepted = o.accepted || accepted
	o.loud = o.loud || o.legitimate && !all
	if o.got != o.wanted || accepted {
		o.wrong++
		j, _ := json.MarshalIndent(r, "", " ")
		t.Errorf("want %s, got %s (accepted: %v)\n%s", o.wanted, o.got, accepted, j)
	}
}

func printTable(t *testing.T, rows []*outcome) {
	slices.SortFunc(rows, func(a, b *outcome) int {
		return strings.Compare(fmt.Sprint(a.legitimate, a.kind, a.name), fmt.Sprint(b.legitimate, b.kind, b.name))
	})
	var text strings.Builder
	attacks, attackFiles, accepted, good, goodFiles, alarms := 0, 0, 0, 0, 0, 0
	kind := ""
	for _, o := range rows {
		head := "attack: " + o.kind
		if o.legitimate {
			head = "legitimate: " + o.kind
			good, goodFiles = good+1, goodFiles+o.files
			if o.loud {
				alarms++
			}
		} else {
			attacks, attackFiles = attacks+1, attackFiles+o.files
			if o.accepted {
				accepted++
			}
		}
		if head != kind {
			kind = head
			fmt.Fprintf(&text, "\n%s\n", kind)
		}
		mark := "ok"
		if o.wrong > 0 {
			mark = "WRONG: " + o.got
		}
		fmt.Fprintf(&text, "  %-55s %-45s %s\n", o.name, o.wanted, mark)
	}
	t.Logf("%s\n%d attacks in %d files: %d accepted\n%d legitimate changes in %d files: %d false alarms",
		text.String(), attacks, attackFiles, accepted, good, goodFiles, alarms)
	if attacks < 60 || good < 20 {
		t.Errorf("only %d attacks and %d legitimate changes", attacks, good)
	}
}
