package cms

import (
	"crypto/rand"
	"errors"
	"testing"

	"golang.org/x/crypto/cryptobyte"
)

func TestSignatureScheme(t *testing.T) {
	t.Parallel()
	for _, tt := range everyAlgorithm {
		id := who(t, tt.key)
		input := document
		if tt.alg != Ed25519 {
			input = tt.alg.digest(document)
		}
		sig, err := id.key.Sign(rand.Reader, input, tt.alg.SignerOpts())
		if err != nil {
			t.Fatal(err)
		}
		in := cryptobyte.String(sigAlgDER(t, tt.alg))
		s, err := ReadSignatureScheme(&in)
		if err != nil || s.Algorithm() != tt.alg {
			t.Fatalf("%v: %v, %v", tt.alg, s.Algorithm(), err)
		}
		if err := s.Verify(id.cert.PublicKey, document, sig); err != nil {
			t.Errorf("%v: %v", tt.alg, err)
		}
		if err := s.Verify(id.cert.PublicKey, []byte("otro"), sig); !errors.Is(err, ErrSignature) {
			t.Errorf("%v: another message: %v, want ErrSignature", tt.alg, err)
		}
		other := "rsa"
		if tt.key == "rsa" {
			other = "p256"
		}
		if err := s.Verify(who(t, other).cert.PublicKey, document, sig); !errors.Is(err, ErrAlgorithmMismatch) {
			t.Errorf("%v: another kind of key: %v, want ErrAlgorithmMismatch", tt.alg, err)
		}
	}
	for name, tt := range map[string]struct {
		in   []byte
		want error
	}{
		"RSA without a digest": {seq(t, oidDER(t, oidRSA), []byte{5, 0}), ErrAlgorithm},
		"SHA-1":                {seq(t, oidDER(t, oidSHA1WithRSA), []byte{5, 0}), ErrWeakAlgorithm},
		"ECDSA and SHA-1":      {seq(t, oidDER(t, oidECDSASHA1)), ErrWeakAlgorithm},
		"PSS of two digests":   {pssAlg(t, oidSHA256, oidSHA512, 32), ErrAlgorithmMismatch},
		"unknown":              {seq(t, oidDER(t, OIDData)), ErrAlgorithm},
		"not a sequence":       {[]byte{5, 0}, ErrMalformed},
		"ECDSA and NULL":       {seq(t, oidDER(t, oidECDSASHA384), []byte{5, 0}), ErrAlgorithmParameters},
	} {
		in := cryptobyte.String(tt.in)
		if _, err := ReadSignatureScheme(&in); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}
