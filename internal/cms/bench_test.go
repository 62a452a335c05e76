package cms

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"testing"
)

// BenchmarkBuild builds a CMS with a two-certificate path, the private-key
// operation included. "checked" is what callers get: the value is verified
// before it is encoded; "unchecked" shows what the building itself costs.
func BenchmarkBuild(b *testing.B) {
	id := who(b, "p256")
	digest := digestOf(crypto.SHA256, document)
	opts := AssembleOptions{Certificates: []*x509.Certificate{id.root}}
	run := func(finish func(*Prepared, []byte) ([]byte, error)) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				pre, err := PrepareSignedAttrs(Params{Certificate: id.cert, Digest: digest})
				if err != nil {
					b.Fatal(err)
				}
				sig, err := pre.Sign(rand.Reader, id.key)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := finish(pre, sig); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("checked", run(func(p *Prepared, sig []byte) ([]byte, error) { return p.Assemble(sig, opts) }))
	b.Run("unchecked", run(func(p *Prepared, sig []byte) ([]byte, error) { return p.encode(sig, opts) }))
}

func BenchmarkSignP256Alone(b *testing.B) {
	id := who(b, "p256")
	digest := digestOf(crypto.SHA256, document)
	for b.Loop() {
		if _, err := id.key.Sign(rand.Reader, digest, crypto.SHA256); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	id := who(b, "p256")
	der := signDetached(b, id, Params{}, AssembleOptions{Certificates: []*x509.Certificate{id.root}})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(der); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	id := who(b, "p256")
	sd, err := Parse(signDetached(b, id, Params{}, AssembleOptions{Certificates: []*x509.Certificate{id.root}}))
	if err != nil {
		b.Fatal(err)
	}
	digest := digestOf(crypto.SHA256, document)
	for b.Loop() {
		if _, err := sd.Verify(VerifyOptions{Digest: digest}); err != nil {
			b.Fatal(err)
		}
	}
}
