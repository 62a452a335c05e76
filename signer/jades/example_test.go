package jades_test

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

	"oruro.gob.bo/suti/signer/jades"
)

// Sign an act in JSON with a key at hand, and verify the signature.
func ExampleSign() {
	ctx := context.Background()
	noon := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Ana Núñez"},
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
	act := []byte(`{"acta":1,"aprobada":true}`)
	signed, err := jades.Sign(ctx, bytes.NewReader(act), key, []*x509.Certificate{cert}, jades.Options{SigningTime: noon})
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	r, err := jades.Verify(ctx, signed.Compact, nil, jades.VerifyOptions{Roots: roots, At: noon.Add(time.Hour)})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Verdict, r.Level, r.Algorithm, string(r.Payload))
	// Output: VALID JAdES-B-B ES256 {"acta":1,"aprobada":true}
}
