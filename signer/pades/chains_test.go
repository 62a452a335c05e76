package pades_test

import (
	"bytes"
	"context"
	"regexp"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/internal/evidence/evidencetest"
	"oruro.gob.bo/suti/signer/pades"
)

// chains are what people and programs rightly do to signed files.
func chains(t testing.TB) map[string]attack {
	ca := authority(t)
	const (
		valid, ext, mod = pades.Valid, pades.ValidExtended, pades.ModifiedAllowed
	)
	seal := &pades.Seal{Name: "Beto Quispe", Tier: "Firma electrónica"}
	beto := ca.signer(t, "Beto Quispe", nil)
	fill := func(w *world, b []byte) []byte {
		w.file = b
		return w.update(costest.Obj{Num: costest.TextA, Body: w.swap(w.body(costest.TextA), "(uno)", "(dos)")})
	}
	row := func(o pades.Options, make func(*world) []byte, want ...pades.Verdict) attack {
		return attack{want: want, options: o, make: make}
	}
	again := func(os ...pades.Options) func(*world) []byte {
		return func(w *world) []byte {
			b := w.file
			for _, o := range os {
				b = sign(w.t, b, beto, o)
			}
			return b
		}
	}
	same := func(w *world) []byte { return w.file }
	m := map[string]attack{
		"one signature":                        row(pades.Options{}, same, valid),
		"one with a time-stamp and a seal":     row(pades.Options{Level: pades.LevelBT, Seal: seal}, same, valid),
		"certified, no changes":                row(pades.Options{Certify: pades.NoChanges}, same, valid),
		"two":                                  row(pades.Options{}, again(pades.Options{}), ext, valid),
		"two, the second with a seal":          row(pades.Options{}, again(pades.Options{Seal: seal}), ext, valid),
		"two, the second in an empty field":    row(pades.Options{}, again(pades.Options{Field: "Firma", Seal: seal}), ext, valid),
		"three with seals":                     row(pades.Options{Seal: seal}, again(pades.Options{Seal: seal, Placement: pades.Placement{Slot: 1}}, pades.Options{Seal: seal, Placement: pades.Placement{Page: -1}}), ext, ext, valid),
		"seven":                                row(pades.Options{}, again(pades.Options{}, pades.Options{}, pades.Options{}, pades.Options{}, pades.Options{}, pades.Options{}), ext, ext, ext, ext, ext, ext, valid),
		"certified, then signed unseen":        row(pades.Options{Certify: pades.FormsAndSigning}, again(pades.Options{}), ext, valid),
		"certified, then a prepared field":     row(pades.Options{Certify: pades.FormsAndSigning}, again(pades.Options{Field: "Firma", Seal: seal}), ext, valid),
		"certified for annotations, then seal": row(pades.Options{Certify: pades.AlsoAnnotations}, again(pades.Options{Seal: seal}), ext, valid),
		"filled in, then signed":               row(pades.Options{}, func(w *world) []byte { return sign(w.t, fill(w, w.file), beto, pades.Options{}) }, mod, valid),
		"signed, filled in":                    row(pades.Options{}, func(w *world) []byte { return fill(w, sign(w.t, w.file, beto, pades.Options{})) }, mod, mod),
		"certified, filled in, signed": row(pades.Options{Certify: pades.FormsAndSigning}, func(w *world) []byte {
			return sign(w.t, fill(w, w.file), beto, pades.Options{Field: "Firma"})
		}, mod, valid),
		"filled in, then locked by the next": row(pades.Options{}, func(w *world) []byte {
			return sign(w.t, fill(w, w.file), beto, pades.Options{Lock: &pades.Lock{}})
		}, mod, valid),
		"other fields locked, filled in": row(pades.Options{Lock: &pades.Lock{Action: pades.LockInclude, Fields: []string{"grupo"}}}, func(w *world) []byte { return fill(w, w.file) }, mod),
		"all but one locked, that one filled in": row(pades.Options{Lock: &pades.Lock{Action: pades.LockExclude, Fields: []string{"a"}}},
			func(w *world) []byte { return fill(w, w.file) }, mod),
		"locked, then time-stamped": row(pades.Options{Lock: &pades.Lock{Permission: pades.NoChanges}}, func(w *world) []byte {
			return stampDocument(w.t, w.file, w.shape, ca.stamper(now))
		}, ext, valid),
		"certified, then time-stamped twice": row(pades.Options{Certify: pades.NoChanges}, func(w *world) []byte {
			w.file = stampDocument(w.t, w.file, w.shape, ca.stamper(now))
			return stampNamed(w, ca.stamper(now), "Otro")
		}, ext, ext, valid),
		"time-stamped, then signed": row(pades.Options{}, func(w *world) []byte {
			return sign(w.t, stampDocument(w.t, w.file, w.shape, ca.stamper(now)), beto, pades.Options{})
		}, ext, ext, valid),
		"fields made after a signature": row(pades.Options{}, func(w *world) []byte {
			return addFields(w.t, w.file, pades.NewField{Name: "x", Placement: &pades.Placement{}}, pades.NewField{Name: "y"})
		}, mod),
		"fields made after a signature, then signed": row(pades.Options{}, func(w *world) []byte {
			b := addFields(w.t, w.file, pades.NewField{Name: "x", Placement: &pades.Placement{}})
			return sign(w.t, b, beto, pades.Options{Field: "x", Seal: seal})
		}, mod, valid),
		"updates of all three kinds": {want: []pades.Verdict{ext, ext, valid}, shapes: []costest.Shape{costest.Table, costest.Hybrid}, make: func(w *world) []byte {
			b := sign(w.t, w.file, beto, pades.Options{})
			return sign(w.t, b, beto, pades.Options{Level: pades.LevelBT})
		}},
	}
	for name, key := range otherKeys(t) {
		who := ca.signer(t, "Carla", key)
		m["signed by "+name+", then by P-256"] = attack{want: []pades.Verdict{ext, valid}, who: &who, make: func(w *world) []byte { return sign(w.t, w.file, beto, pades.Options{}) }}
	}
	return m
}

// longTerm are the chains that keep a signature provable, and attacks on them.
func longTerm() map[string]attack {
	const valid, ext, changed = pades.Valid, pades.ValidExtended, pades.ModifiedForbidden
	form := func(shape costest.Shape) []byte { return costest.Sample(costest.Options{Shape: shape, Form: true}) }
	row := func(make func(l *lab, shape costest.Shape) []byte, want ...pades.Verdict) attack {
		return attack{want: want, whole: func(t testing.TB, shape costest.Shape) ([]byte, pades.VerifyOptions) {
			l := newLab(t, now)
			b := make(l, shape)
			return b, pades.VerifyOptions{Roots: evidencetest.Pool(l.Root), TimestampRoots: evidencetest.Pool(l.TSARoot), At: l.Now().Add(time.Hour)}
		}}
	}
	upTo := func(level pades.Level) func(*lab, costest.Shape) []byte {
		return func(l *lab, shape costest.Shape) []byte { return l.sign(form(shape), l.Signer(l.t, "Ana"), level) }
	}
	lta := upTo(pades.LevelBLTA)
	return map[string]attack{
		"B-LT":  row(upTo(pades.LevelBLT), ext),
		"B-LTA": row(lta, ext, valid),
		"B-T, later extended": row(func(l *lab, s costest.Shape) []byte {
			return l.extend(upTo(pades.LevelBT)(l, s), l.options(pades.LevelBLTA))
		}, ext, valid),
		"B-LTA, signed to B-LTA": row(func(l *lab, s costest.Shape) []byte { return l.sign(lta(l, s), l.Signer(l.t, "Beto"), pades.LevelBLTA) }, ext, ext, ext, valid),
		"B-LTA, renewed when its authority was to expire": row(func(l *lab, s costest.Shape) []byte {
			b := lta(l, s)
			l.SetTime(now.AddDate(4, 0, 0))
			l.NewTSA(l.t)
			return l.extend(b, l.options(pades.LevelBLTA))
		}, ext, ext, valid),
		"B-LTA, then filled in": row(func(l *lab, s costest.Shape) []byte {
			w := &world{t: l.t, shape: s, file: lta(l, s)}
			return w.update(costest.Obj{Num: costest.TextA, Body: w.swap(w.body(costest.TextA), "(uno)", "(dos)")})
		}, pades.ModifiedAllowed, pades.ModifiedAllowed),
		"B-LTA, then content replaced": row(func(l *lab, s costest.Shape) []byte {
			return savingAttacks()["page content replaced"].make(&world{t: l.t, shape: s, file: lta(l, s)})
		}, changed, changed),
		"content replaced, then extended": row(func(l *lab, s costest.Shape) []byte {
			b := savingAttacks()["page content replaced"].make(&world{t: l.t, shape: s, file: upTo(pades.LevelBT)(l, s)})
			x, err := pades.Extend(context.Background(), bytes.NewReader(b), int64(len(b)), l.options(pades.LevelBLTA))
			if err != nil {
				return b // refused
			}
			return append(bytes.Clone(b), x.Tail()...)
		}, changed),
		"B-LTA, evidence taken out": row(func(l *lab, s costest.Shape) []byte {
			w := &world{t: l.t, shape: s, file: lta(l, s)}
			return w.update(costest.Obj{Num: costest.Catalog, Body: regexp.MustCompile(`/DSS \d+ 0 R`).ReplaceAllString(w.body(costest.Catalog), "")})
		}, changed, changed),
	}
}
