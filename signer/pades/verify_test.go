package pades_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

func verify(t testing.TB, b []byte) *pades.Report {
	t.Helper()
	ca := authority(t)
	r, err := pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), pades.VerifyOptions{
		Roots: ca.roots(), TimestampRoots: ca.tsaRoots(), At: now.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantVerdicts(t testing.TB, name string, r *pades.Report, want ...pades.Verdict) {
	t.Helper()
	ok := len(r.Signatures) == len(want)
	for i := range want {
		ok = ok && r.Signatures[i].Verdict == want[i]
	}
	if !ok {
		j, _ := json.MarshalIndent(r, "", " ")
		t.Errorf("%s: want %v, got %s", name, want, j)
	}
}

func TestVerifyOwnSignatures(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	ana, beto := ca.signer(t, "Ana Núñez", nil), ca.signer(t, "Beto Quispe", nil)
	seal := &pades.Seal{Name: "Ana Núñez", Tier: "Firma electrónica"}
	for _, shape := range costest.Shapes() {
		for i, o := range []costest.Options{{Shape: shape}, {Shape: shape, Form: true}, {Shape: shape, Form: true, IndirectForm: true, IndirectAnnots: true}} {
			name := shape.String() + string(rune('0'+i))
			base := costest.Sample(o)
			one := sign(t, base, ana, pades.Options{Level: pades.LevelBT, Seal: seal, Name: "Ana", Reason: "Sí"})
			r := verify(t, one)
			wantVerdicts(t, name, r, pades.Valid)
			s := r.Signatures[0]
			if s.Level != pades.LevelBT || !s.Trusted || !s.ProvenTime.Equal(now) || !s.ClaimedTime.Equal(now) || !s.CoversFile || s.Name != "Ana" || s.Reason != "Sí" ||
				len(s.Chain) != 3 || s.Revocation != "not-checked" || s.Indication != pades.TotalPassed {
				t.Errorf("%s: %+v", name, s)
			}
			two := sign(t, one, beto, pades.Options{Seal: seal, Placement: pades.Placement{Page: 1, Slot: 1}})
			if o.Form {
				two = sign(t, two, beto, pades.Options{Field: "Firma", Seal: seal})
			} else {
				two = sign(t, two, beto, pades.Options{})
			}
			r = verify(t, two)
			wantVerdicts(t, name, r, pades.ValidExtended, pades.ValidExtended, pades.Valid)
			if n, ok := pades.SignedVersion(r, 0); !ok || n != int64(len(one)) {
				t.Errorf("%s: version signed is %d bytes, want %d", name, n, len(one))
			}
			if r.Signatures[1].Level != pades.LevelBB || r.Signatures[0].CoversFile || r.Signatures[0].Revision >= r.Signatures[1].Revision {
				t.Errorf("%s: %+v", name, r.Signatures)
			}
		}
	}
}

// Tagged documents get a tab order on the page: page and list of annotations
// then change together.
func TestVerifyTaggedPageWithIndirectAnnotations(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	for _, shape := range costest.Shapes() {
		f := costest.SampleFile(costest.Options{Shape: shape, Form: true, IndirectAnnots: true, CatalogExtra: "/StructTreeRoot<<>>/MarkInfo<</Marked true>>"})
		for i := range f.Objs {
			f.Objs[i].Body = strings.Replace(f.Objs[i].Body, "/Tabs/R", "", 1)
		}
		one := sign(t, f.Bytes(), who, pades.Options{Field: "Firma"})
		two := sign(t, one, who, pades.Options{})
		wantVerdicts(t, shape.String(), verify(t, two), pades.ValidExtended, pades.Valid)
		if !bytes.Contains(two[len(one):], []byte("/Tabs /S")) {
			t.Errorf("%v: no tab order", shape)
		}
	}
}

func TestRemovedSignaturesAreTold(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	for _, shape := range costest.Shapes() {
		w := &world{t: t, shape: shape, who: who, base: costest.Sample(costest.Options{Shape: shape, Form: true})}
		w.file = sign(t, w.base, who, pades.Options{})
		num, body, sig := w.field()
		b := w.update(costest.Obj{Num: num, Body: w.swap(body, fmt.Sprintf("/V %d 0 R", sig), "")})
		r := verify(t, sign(t, b, who, pades.Options{}))
		if len(r.Signatures) != 1 || len(r.Warnings) == 0 || r.Warnings[0].Code != pades.WarnRemoved {
			t.Errorf("%v: %d signatures, warnings %v", shape, len(r.Signatures), r.Warnings)
		}
	}
}

func isCanceled(err error) bool { return errors.Is(err, context.Canceled) }
