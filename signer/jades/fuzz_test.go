package jades_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"testing"

	"oruro.gob.bo/suti/signer/jades"
)

// Whatever stands in a file: no panic, only refusals with a code, and nothing
// is valid but what was signed.
func FuzzVerify(f *testing.F) {
	w := shared()
	f.Add(w.sign(f, "ES256", jades.Options{}, act))
	f.Add(w.sign(f, "EdDSA", jades.Options{Name: "acta.json"}, act))
	f.Add(w.forge(f, "ES256", `{"alg":"ES256",`+sound+`,"b64":false,"crit":["b64"]}`, "acta 1"))
	f.Fuzz(func(t *testing.T, compact []byte) {
		for _, content := range [][]byte{nil, []byte("otro contenido")} {
			r, err := w.try(compact, content)
			var refused *jades.RefusedError
			if err != nil && !errors.As(err, &refused) {
				t.Fatal(err)
			}
			if err == nil && r.Verdict == jades.Valid && (content != nil || !bytes.Equal(r.Payload, act) && string(r.Payload) != "acta 1") {
				t.Fatalf("valid: %q", r.Payload)
			}
		}
	})
}

// Headers, without the base64 around them.
func FuzzHeader(f *testing.F) {
	w := shared()
	for _, head := range []string{`{"alg":"ES256"}`, `{"alg":"EdDSA","crit":["b64"],"b64":false,"iat":1,"sigT":"2025-01-01T00:00:00Z"}`,
		`{"alg":"ES256","crit":["sigD"],"sigD":{"mId":"http://uri.etsi.org/19182/ObjectIdByURIHash","pars":["x"],"hashM":"S256","hashV":["AA"],"ctys":["json"]},"x5t#o":{"digAlg":"S512","digVal":"AA"},"x5c":["AA=="]}`} {
		f.Add([]byte(head))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		compact := append(base64.RawURLEncoding.AppendEncode(nil, head), "..AAAA"...)
		r, err := w.try(compact, act)
		var refused *jades.RefusedError
		if err != nil && !errors.As(err, &refused) {
			t.Fatal(err)
		}
		if err == nil && r.Verdict == jades.Valid {
			t.Fatal("valid")
		}
	})
}

func FuzzSession(f *testing.F) {
	s, err := jades.Prepare(context.Background(), bytes.NewReader(act), jades.Options{SigningTime: now})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(must(s.MarshalBinary()))
	f.Fuzz(func(t *testing.T, b []byte) {
		var s jades.Session
		if err := s.UnmarshalBinary(b); err != nil && !errors.Is(err, jades.ErrSession) {
			t.Fatal(err)
		}
	})
}
