package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"oruro.gob.bo/suti/internal/bundle"
	"oruro.gob.bo/suti/signer/pades"
)

// bundleVector is the published vector of docs/evidence-bundle.md.
type bundleVector struct {
	Genesis string `json:"genesis"`
	Now     string `json:"now"`
	Roots   string `json:"roots"`
	Bundle  string `json:"bundle"`
}

// vectorText is read before the scripts change folder.
var vectorText, errVector = os.ReadFile("../../internal/bundle/testdata/llave.json")

func scriptVector(ts *testscript.TestScript, _ bool, _ []string) {
	ts.Check(errVector)
	var v bundleVector
	ts.Check(json.Unmarshal(vectorText, &v))
	ts.Check(os.WriteFile(ts.MkAbs("bundle.json"), []byte(v.Bundle), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("bundle-root.pem"), []byte(v.Roots), 0o644))
	ts.Setenv("GENESIS", v.Genesis)
	ts.Setenv("AT", v.Now)
}

// TestDocumentBesideABundle holds that a file is taken for the signed document
// only if a sound signature of it has the digest that was consented to.
func TestDocumentBesideABundle(t *testing.T) {
	t.Parallel()
	p := newTestPKI()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	chain := []*x509.Certificate{issue(testCert("Ana", x509.KeyUsageContentCommitment), p.root, key.Public(), p.rootKey)}
	base, path := ordinaryPDF(2), filepath.Join(t.TempDir(), "signed.pdf")
	signed, digest := signBytes(t, base, key, chain, path)
	consented, other := []bundle.Document{{Digest: digest}}, []bundle.Document{{Digest: make([]byte, 32)}, {Digest: []byte("short")}}
	for name, tt := range map[string]struct {
		file []byte
		docs []bundle.Document
		want bundle.Status
	}{
		"the document":     {signed, consented, bundle.OK},
		"a byte changed":   {append(append([]byte{}, signed[:len(base)-200]...), append([]byte{signed[len(base)-200] ^ 1}, signed[len(base)-199:]...)...), consented, bundle.Failed},
		"not signed":       {base, consented, bundle.Failed},
		"another bundle":   {signed, other, bundle.Failed},
		"not even a PDF":   {[]byte("nothing"), consented, bundle.Failed},
		"something behind": {append(append([]byte{}, signed...), "1 0 obj\n<< /Type /Catalog >>\nendobj\n"...), consented, bundle.Failed},
	} {
		if err := os.WriteFile(path, tt.file, 0o600); err != nil {
			t.Fatal(err)
		}
		check, err := documentCheck(context.Background(), tt.docs, path, time.Now())
		if err != nil || check.Status != tt.want || !check.Required {
			t.Errorf("%s: got %s (%s), %v, want %s", name, check.Status, check.Detail, err, tt.want)
		}
	}
}

func signBytes(t *testing.T, base []byte, key *ecdsa.PrivateKey, chain []*x509.Certificate, path string) (signed, digest []byte) {
	t.Helper()
	if err := os.WriteFile(path, base, 0o600); err != nil {
		t.Fatal(err)
	}
	f, size, err := openRegular(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := pades.Sign(context.Background(), f, size, key, chain, nil, pades.Options{SigningTime: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	signed = append(append([]byte{}, base...), s.Tail()...)
	if err := os.WriteFile(path, signed, 0o600); err != nil {
		t.Fatal(err)
	}
	g, size, err := openRegular(path)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	rep, err := pades.Verify(context.Background(), g, size, pades.VerifyOptions{At: time.Now(), Roots: x509.NewCertPool()})
	if err != nil || len(rep.Signatures) != 1 {
		t.Fatalf("%d signatures, %v", len(rep.Signatures), err)
	}
	r, sum := rep.Signatures[0].ByteRange, sha256.New()
	sum.Write(signed[r[0] : r[0]+r[1]])
	sum.Write(signed[r[2] : r[2]+r[3]])
	return signed, sum.Sum(nil)
}
