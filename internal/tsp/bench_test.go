package tsp

import (
	"crypto/rand"
	"testing"

	"oruro.gob.bo/suti/internal/cms"
)

// BenchmarkToken makes a token and its response: sign, check, encode.
func BenchmarkToken(b *testing.B) {
	u := p256Unit(b, nil)
	info := goodInfo()
	b.ReportAllocs()
	for b.Loop() {
		p, err := PrepareToken(info, u.cert, 0)
		if err != nil {
			b.Fatal(err)
		}
		sig, err := p.Sign(rand.Reader, u.key)
		if err != nil {
			b.Fatal(err)
		}
		token, err := p.Assemble(sig, cms.AssembleOptions{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := Grant(token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	u := p256Unit(b, nil)
	token := u.stamp(b, goodInfo(), cms.AssembleOptions{})
	for b.Loop() {
		if _, err := verify(b, token, u.options()); err != nil {
			b.Fatal(err)
		}
	}
}
