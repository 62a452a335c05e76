package pades_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/internal/evidence/evidencetest"
	"oruro.gob.bo/suti/signer/pades"
)

// A store with thousands of items that are none costs little. What is beyond
// the limit is not looked at, so that the level is refused and not pretended.
func TestStoreOfAnySize(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	who := l.Signer(t, "Ana")
	for _, n := range []int{500, 3000} {
		var objs []costest.Obj
		var refs []string
		for i := range n {
			objs = append(objs, costest.Obj{Num: 100 + i, Body: "<<>>", Data: fmt.Appendf(nil, "item %d that is no evidence at all", i)})
			refs = append(refs, fmt.Sprintf("%d 0 R", 100+i))
		}
		for _, key := range []string{"Certs", "OCSPs", "CRLs"} {
			name := fmt.Sprintf("%d %s", n, key)
			base := costest.Sample(costest.Options{Extra: objs, CatalogExtra: "/DSS<</" + key + "[" + strings.Join(refs, " ") + "]>>"})
			bt := l.sign(base, who, pades.LevelBT)
			r := l.verifyAt(bt, now.Add(time.Hour))
			l.want(name, r, pades.Valid, "", pades.LevelBT)
			told := slices.ContainsFunc(r.Warnings, func(w pades.Warning) bool { return w.Code == pades.WarnEvidence })
			if want := n > 1024 || key == "Certs"; told != want {
				t.Errorf("%s: warnings %v", name, r.Warnings)
			}
			b, _, err := l.trySign(base, who, pades.LevelBLT)
			if n > 1024 {
				wantRefusal(t, name, err, pades.CodeLimit)
				continue
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			l.want(name, l.verifyAt(b, now.Add(time.Hour)), pades.ValidExtended, "", pades.LevelBLT)
		}
	}
}

// FuzzEvidence changes bytes of the store of a B-LTA file. The verifier must
// not fail, and never raise a level above what is there.
func FuzzEvidence(f *testing.F) {
	l := newLab(f, now)
	who := l.Signer(f, "Ana")
	good := l.sign(costest.Sample(costest.Options{}), who, pades.LevelBLT)
	start := bytes.LastIndex(good, []byte("/Contents"))
	for _, at := range []int{1, 400, 900, 2000, 4000} {
		f.Add(at, []byte{0x30})
		f.Add(at, []byte(" 0 R"))
	}
	o := pades.VerifyOptions{Roots: evidencetest.Pool(l.Root), TimestampRoots: evidencetest.Pool(l.TSARoot), At: now.Add(time.Hour)}
	f.Fuzz(func(t *testing.T, at int, with []byte) {
		b := bytes.Clone(good)
		n := len(b) - start
		if at < 0 || len(with) > 64 || len(with) == 0 {
			return
		}
		copy(b[start+at%n:], with)
		r, err := pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), o)
		if err != nil || len(r.Signatures) == 0 {
			return
		}
		if s := r.Signatures[0]; s.Level > pades.LevelBLT || s.Revocation == "revoked" {
			t.Errorf("level %v, revocation %q", s.Level, s.Revocation)
		}
	})
}
