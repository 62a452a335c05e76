package cms

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"testing"
)

// Evidence added and signers joined leave every signature as it was.
func TestEvidenceAndParallelSigners(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256(document)
	one := func(kind string) ([]byte, *x509.Certificate) {
		id := who(t, kind)
		return signDetached(t, id, Params{}, AssembleOptions{}), id.cert
	}
	a, ca := one("p256")
	b, cb := one("rsa")
	a, err := AddEvidence(a, Evidence{Certificates: []*x509.Certificate{cb, ca}, OCSPResponses: [][]byte{{0x30, 0x03, 0x0a, 0x01, 0x00}}, CRLs: [][]byte{{0x30, 0x00}}})
	if err != nil {
		t.Fatal(err)
	}
	sd, err := Parse(a)
	if err != nil {
		t.Fatal(err)
	}
	if sd.Version != 5 || len(sd.OCSPResponses) != 1 || len(sd.CRLs) != 1 || len(sd.RawCertificates) != 2 {
		t.Errorf("version %d, %d responses, %d lists, %d certificates", sd.Version, len(sd.OCSPResponses), len(sd.CRLs), len(sd.RawCertificates))
	}
	again, err := AddEvidence(a, Evidence{Certificates: []*x509.Certificate{ca}, CRLs: [][]byte{{0x30, 0x00}}})
	if err != nil || !bytes.Equal(again, a) {
		t.Errorf("the same evidence again: %d bytes after %d, %v", len(again), len(a), err)
	}
	both, err := JoinSigners(a, b)
	if err != nil {
		t.Fatal(err)
	}
	all, err := ParseSigners(both, false)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d signers, %v", len(all), err)
	}
	for i, sd := range all {
		if _, err := sd.Verify(VerifyOptions{Digest: sum[:]}); err != nil {
			t.Errorf("signer %d: %v", i, err)
		}
	}
	if _, err := Parse(both); !errors.Is(err, ErrSeveralSigners) {
		t.Errorf("Parse of two signers: %v", err)
	}
}
