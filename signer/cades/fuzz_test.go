package cades_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"oruro.gob.bo/suti/signer/cades"
	"oruro.gob.bo/suti/signer/internal/evidence/evidencetest"
)

// Whatever stands in a signature file: no panic, only refusals with a code,
// and nothing is valid but the bytes that were signed for.
func FuzzVerify(f *testing.F) {
	l := newLab(f, now)
	who := l.Signer(f, "Ana")
	for _, level := range []cades.Level{cades.LevelBB, cades.LevelBT, cades.LevelBLT} {
		sig := l.sign(who, cades.Options{Level: level})
		f.Add(sig)
		f.Add(l.sign(l.Signer(f, "Beto"), cades.Options{Existing: sig}))
	}
	f.Fuzz(func(t *testing.T, sig []byte) {
		o := cades.VerifyOptions{Roots: evidencetest.Pool(l.Root), TimestampRoots: evidencetest.Pool(l.TSARoot), At: now}
		r, err := cades.Verify(context.Background(), sig, bytes.NewReader([]byte("otro contenido")), o)
		var refused *cades.RefusedError
		if err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		if err == nil {
			for _, s := range r.Signatures {
				if s.Verdict == cades.Valid {
					t.Fatal("valid over other content")
				}
			}
		}
		_, err = cades.Prepare(context.Background(), bytes.NewReader(document), cades.Options{SigningTime: now, Existing: sig})
		if sig != nil && err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
	})
}

func FuzzSession(f *testing.F) {
	s, err := cades.Prepare(context.Background(), bytes.NewReader(document), cades.Options{SigningTime: now})
	if err != nil {
		f.Fatal(err)
	}
	b, err := s.MarshalBinary()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var s cades.Session
		if err := s.UnmarshalBinary(b); err != nil && !errors.Is(err, cades.ErrSession) {
			t.Fatal(err)
		}
	})
}
