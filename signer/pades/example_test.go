package pades_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log"
	"math/big"
	"time"

	"oruro.gob.bo/suti/signer/pades"
)

// page is a small document.
var page = func() []byte {
	out := []byte("%PDF-1.7\n")
	var at []int
	for i, body := range []string{"<</Type/Catalog/Pages 2 0 R>>", "<</Type/Pages/Kids[3 0 R]/Count 1>>", "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]>>"} {
		at = append(at, len(out))
		out = fmt.Appendf(out, "%d 0 obj\n%s\nendobj\n", i+1, body)
	}
	start := len(out)
	out = append(out, "xref\n0 4\n0000000000 65535 f \n"...)
	for _, a := range at {
		out = fmt.Appendf(out, "%010d 00000 n \n", a)
	}
	return fmt.Appendf(out, "trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n", start)
}()

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// person makes a key, and a certificate that is its own root.
func person(name string) (*ecdsa.PrivateKey, []*x509.Certificate) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: noon.AddDate(0, -1, 0), NotAfter: noon.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageContentCommitment,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		log.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		log.Fatal(err)
	}
	return key, []*x509.Certificate{cert}
}

func trusting(roots ...*x509.Certificate) pades.VerifyOptions {
	pool := x509.NewCertPool()
	for _, c := range roots {
		pool.AddCert(c)
	}
	return pades.VerifyOptions{Roots: pool, At: noon.Add(time.Hour)}
}

// Sign a document with a key at hand, and verify it.
func ExampleSign() {
	ctx := context.Background()
	key, chain := person("Ana Núñez")
	signed, err := pades.Sign(ctx, bytes.NewReader(page), int64(len(page)), key, chain, nil, pades.Options{SigningTime: noon, Reason: "Aprobación"})
	if err != nil {
		log.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := signed.WriteTo(ctx, &file, bytes.NewReader(page)); err != nil {
		log.Fatal(err)
	}
	report, err := pades.Verify(ctx, bytes.NewReader(file.Bytes()), int64(file.Len()), trusting(chain[0]))
	if err != nil {
		log.Fatal(err)
	}
	s := report.Signatures[0]
	fmt.Println(s.Field, s.Level, s.Verdict, s.Signer.Subject)
	// Output: Firma1 PAdES-B-B VALID CN=Ana Núñez
}

// Prepare a document in one process, let a key elsewhere sign, and put the
// signature in. The certificate is not needed until the person has agreed.
func ExamplePrepare() {
	ctx := context.Background()
	session, err := pades.Prepare(ctx, bytes.NewReader(page), int64(len(page)), pades.Options{SigningTime: noon})
	if err != nil {
		log.Fatal(err)
	}
	stored, err := session.MarshalBinary() // to a database, say
	if err != nil {
		log.Fatal(err)
	}

	var again pades.Session
	if err := again.UnmarshalBinary(stored); err != nil {
		log.Fatal(err)
	}
	key, chain := person("Ana Núñez")
	tbs, err := again.SignedAttributes(chain, pades.AttributeOptions{})
	if err != nil {
		log.Fatal(err)
	}
	value, err := key.Sign(rand.Reader, tbs.Input, tbs.Opts) // wherever the key is
	if err != nil {
		log.Fatal(err)
	}
	signed, err := again.Embed(ctx, pades.Signature{Value: value, Attributes: tbs.Attributes, Chain: chain})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(signed.Field(), signed.Achieved, tbs.Algorithm)
	// Output: Firma1 PAdES-B-B ecdsa-sha256
}

// Make fields for two people, certify the document, and let one of them sign
// in a field with a lock.
func ExampleAddFields() {
	ctx := context.Background()
	added, err := pades.AddFields(ctx, bytes.NewReader(page), int64(len(page)), []pades.NewField{
		{Name: "Directora", Placement: &pades.Placement{Page: -1, Corner: pades.BottomLeft}, Lock: &pades.Lock{Permission: pades.NoChanges}},
		{Name: "Jefe", Placement: &pades.Placement{Page: -1, Corner: pades.BottomRight}},
	}, pades.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	file := append(bytes.Clone(page), added.Tail()...)
	var roots []*x509.Certificate
	for _, step := range []struct {
		name string
		o    pades.Options
	}{
		{"Secretaría", pades.Options{Certify: pades.FormsAndSigning}},
		{"Beto Quispe", pades.Options{Field: "Jefe", Seal: &pades.Seal{Name: "Beto Quispe"}}},
		{"Ana Núñez", pades.Options{Field: "Directora", Seal: &pades.Seal{Name: "Ana Núñez"}}},
	} {
		key, chain := person(step.name)
		step.o.SigningTime = noon
		signed, err := pades.Sign(ctx, bytes.NewReader(file), int64(len(file)), key, chain, nil, step.o)
		if err != nil {
			log.Fatal(err)
		}
		file = append(file, signed.Tail()...)
		roots = append(roots, chain[0])
	}
	report, err := pades.Verify(ctx, bytes.NewReader(file), int64(len(file)), trusting(roots...))
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range report.Signatures {
		fmt.Println(s.Field, s.Kind, s.Verdict)
	}

	// The lock of the last field closes the document.
	_, err = pades.Prepare(ctx, bytes.NewReader(file), int64(len(file)), pades.Options{SigningTime: noon})
	var refused *pades.RefusedError
	if errors.As(err, &refused) {
		fmt.Println("refused:", refused.Code)
	}
	// Output:
	// Firma1 certification VALID-EXTENDED
	// Jefe signature VALID-EXTENDED
	// Directora signature VALID
	// refused: certified
}

// Take out of a file the version that a person signed.
func ExampleSignedVersion() {
	ctx := context.Background()
	key, chain := person("Ana Núñez")
	file := bytes.Clone(page)
	for range 2 {
		signed, err := pades.Sign(ctx, bytes.NewReader(file), int64(len(file)), key, chain, nil, pades.Options{SigningTime: noon})
		if err != nil {
			log.Fatal(err)
		}
		file = append(file, signed.Tail()...)
	}
	report, err := pades.Verify(ctx, bytes.NewReader(file), int64(len(file)), trusting(chain[0]))
	if err != nil {
		log.Fatal(err)
	}
	n, ok := pades.SignedVersion(report, 0)
	fmt.Println(ok, n < int64(len(file)), bytes.HasSuffix(bytes.TrimSpace(file[:n]), []byte("%%EOF")))
	// Output: true true true
}

// Look at a file before it is signed.
func ExamplePreflight() {
	report, err := pades.Preflight(context.Background(), bytes.NewReader(page), int64(len(page)), pades.Limits{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Version, report.Kind, report.Pages, report.Revisions, report.Findings)
	// Output: 1.7 table 1 1 []
}
