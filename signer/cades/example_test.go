package cades_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log"
	"math/big"
	"time"

	"oruro.gob.bo/suti/signer/cades"
)

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

// Sign a file of any kind with a key at hand, and verify the signature.
func ExampleSign() {
	ctx := context.Background()
	key, chain := person("Ana Núñez")
	file := []byte("numero;monto\n1;250,50\n")
	signed, err := cades.Sign(ctx, bytes.NewReader(file), key, chain, nil, cades.Options{SigningTime: noon, MediaType: "text/csv"})
	if err != nil {
		log.Fatal(err)
	}
	// signed.CMS goes into a file of its own, such as planilla.csv.p7s.
	roots := x509.NewCertPool()
	roots.AddCert(chain[0])
	report, err := cades.Verify(ctx, signed.CMS, bytes.NewReader(file), cades.VerifyOptions{Roots: roots, At: noon.Add(time.Hour)})
	if err != nil {
		log.Fatal(err)
	}
	s := report.Signatures[0]
	fmt.Println(s.Verdict, s.Level, s.MediaType, s.Signer.Subject)
	// Output: VALID CAdES-B-B text/csv CN=Ana Núñez
}

// The key may be elsewhere, and the certificate known late: what is stored
// between the steps is a session.
func ExamplePrepare() {
	ctx := context.Background()
	session, err := cades.Prepare(ctx, bytes.NewReader([]byte("acta")), cades.Options{SigningTime: noon, MediaType: "text/plain"})
	if err != nil {
		log.Fatal(err)
	}
	key, chain := person("Beto Choque")
	tbs, err := session.SignedAttributes(chain, cades.AttributeOptions{})
	if err != nil {
		log.Fatal(err)
	}
	value, err := key.Sign(rand.Reader, tbs.Input, tbs.Opts) // by whoever has the key
	if err != nil {
		log.Fatal(err)
	}
	signed, err := session.Embed(ctx, cades.Signature{Value: value, Attributes: tbs.Attributes, Chain: chain})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(signed.Achieved)
	// Output: CAdES-B-B
}
