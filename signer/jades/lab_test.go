package jades_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/jades"
)

// now is the time of all tests.
var now = time.Date(2026, 11, 24, 14, 0, 0, 0, time.UTC)

// act is what is signed.
var act = []byte(`{"acta":1,"monto":"250,50"}`)

// world is a root and one person for each kind of key.
type world struct {
	root    *x509.Certificate
	rootKey crypto.Signer
	people  map[string]person
}

type person struct {
	key   crypto.Signer
	chain []*x509.Certificate
}

var shared = sync.OnceValue(func() *world {
	w := &world{people: map[string]person{}}
	w.rootKey = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	t := &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	w.root = w.issue(t, "Raíz", nil, w.rootKey.Public())
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	for alg, k := range map[string]crypto.Signer{
		"ES256": must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), "ES384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"ES512": must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)), "RS256": rsaKey, "PS256": rsaKey, "EdDSA": ed,
	} {
		w.people[alg] = w.person("Ana "+alg, k)
	}
	return w
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (w *world) issue(t *x509.Certificate, cn string, parent *x509.Certificate, pub crypto.PublicKey) *x509.Certificate {
	t.SerialNumber = must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100)))
	t.Subject = pkix.Name{CommonName: cn}
	t.NotBefore, t.NotAfter = now.AddDate(-3, 0, 0), now.AddDate(1, 0, 0)
	if parent == nil {
		parent = t
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, t, parent, pub, w.rootKey))))
}

func (w *world) person(cn string, k crypto.Signer) person {
	return person{k, []*x509.Certificate{w.issue(&x509.Certificate{KeyUsage: x509.KeyUsageContentCommitment}, cn, w.root, k.Public())}}
}

func (w *world) sign(t testing.TB, alg string, o jades.Options, content []byte) []byte {
	t.Helper()
	o.SigningTime, o.Algorithm = now, alg
	p := w.people[alg]
	s, err := jades.Sign(context.Background(), bytes.NewReader(content), p.key, p.chain, o)
	if err != nil {
		t.Fatal(err)
	}
	return s.Compact
}

func (w *world) try(compact, content []byte) (*jades.Report, error) {
	pool := x509.NewCertPool()
	pool.AddCert(w.root)
	o := jades.VerifyOptions{Roots: pool, At: now.Add(time.Hour)}
	if content == nil {
		return jades.Verify(context.Background(), compact, nil, o)
	}
	return jades.Verify(context.Background(), compact, bytes.NewReader(content), o)
}

func (w *world) verify(t testing.TB, name string, compact, content []byte, v jades.Verdict, sub string, level jades.Level) *jades.Report {
	t.Helper()
	r, err := w.try(compact, content)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if r.Verdict != v || r.SubIndication != sub || r.Level != level {
		t.Errorf("%s: got %s %s %q (%s), want %s %s %q; %v", name, r.Verdict, r.SubIndication, r.Level, r.Detail, v, sub, level, r.Warnings)
	}
	return r
}

func (w *world) refused(t testing.TB, name string, compact, content []byte, code jades.Code) {
	t.Helper()
	r, err := w.try(compact, content)
	var refused *jades.RefusedError
	if !errors.As(err, &refused) || refused.Code != code {
		t.Errorf("%s: got %+v, %v, want refusal %s", name, r, err, code)
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// forge signs any header, written by hand, with a person's key: what a signer
// of ill will can do. THUMB and CHAIN stand for those of the person.
func (w *world) forge(t testing.TB, alg, header, payload string) []byte {
	t.Helper()
	p := w.people[alg]
	sum := sha256.Sum256(p.chain[0].Raw)
	header = strings.NewReplacer("THUMB", b64(sum[:]), "CHAIN", `["`+base64.StdEncoding.EncodeToString(p.chain[0].Raw)+`"]`, "NOW", fmt.Sprint(now.Unix())).Replace(header)
	return w.seal(t, alg, b64([]byte(header)), payload)
}

// seal signs parts as they are.
func (w *world) seal(t testing.TB, alg, header, payload string) []byte {
	t.Helper()
	message := []byte(header + "." + payload)
	k := w.people[alg].key
	var value []byte
	switch alg {
	case "EdDSA":
		value = must(k.Sign(rand.Reader, message, crypto.Hash(0)))
	case "ES256":
		sum := sha256.Sum256(message)
		var rs struct{ R, S *big.Int }
		if _, err := asn1.Unmarshal(must(k.Sign(rand.Reader, sum[:], crypto.SHA256)), &rs); err != nil {
			t.Fatal(err)
		}
		value = make([]byte, 64)
		rs.R.FillBytes(value[:32])
		rs.S.FillBytes(value[32:])
	default:
		sum := sha256.Sum256(message)
		value = must(k.Sign(rand.Reader, sum[:], crypto.SHA256))
	}
	return []byte(header + "." + payload + "." + b64(value))
}
