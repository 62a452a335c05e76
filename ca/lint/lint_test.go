package lint_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"oruro.gob.bo/suti/ca/lint"
	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/internal/identity"
)

var noon = time.Date(2026, 11, 24, 16, 0, 0, 0, time.UTC)

func testSet(t testing.TB) *profile.Set {
	t.Helper()
	set, err := profile.New(profile.Settings{
		BaseURL: "http://pki.example", Organization: "Gobierno Autónomo Departamental de Oruro",
		OrganizationID: "123456789", ShortName: "GAD Oruro",
	})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func newKey(t testing.TB, a profile.KeyAlgorithm) crypto.Signer {
	t.Helper()
	var k crypto.Signer
	var err error
	switch a {
	case profile.P256:
		k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case profile.P384:
		k, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case profile.Ed25519:
		_, k, err = ed25519.GenerateKey(rand.Reader)
	case profile.RSA:
		k, err = rsa.GenerateKey(rand.Reader, 3072)
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func serial(b byte) []byte {
	s := make([]byte, 17)
	_, _ = rand.Read(s)
	s[0] = b
	return s
}

// authority is a test authority with its key.
type authority struct {
	key    crypto.Signer
	cert   *x509.Certificate
	issuer profile.Issuer
	in     profile.Input
}

func (a authority) sign(t testing.TB, tbs profile.TBS) []byte {
	t.Helper()
	sig, err := tbs.Algorithm.Sign(a.key, tbs.DER)
	if err != nil {
		t.Fatal(err)
	}
	return tbs.Certificate(sig)
}

func newAuthority(t testing.TB, set *profile.Set, k profile.Kind, alg profile.KeyAlgorithm, parent *authority) *authority {
	t.Helper()
	a := &authority{key: newKey(t, alg)}
	a.in = profile.Input{Serial: serial(1), Subject: profile.Subject{CommonName: "Autoridad interna " + string(k) + " G1"},
		PublicKey: a.key.Public(), Now: noon}
	signer := a
	if parent != nil {
		a.in.Issuer = parent.issuer
		signer = parent
	}
	tbs, err := set.Build(k, a.in)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(signer.sign(t, tbs)); err != nil {
		t.Fatal(err)
	}
	if a.issuer, err = profile.IssuerOf(k, string(k)+"-g1", a.cert); err != nil {
		t.Fatal(err)
	}
	return a
}

func citizen() profile.Subject {
	return profile.Subject{Person: profile.Person{
		Name:     identity.Name{Given: "María José", FirstSurname: "Ñañez", SecondSurname: "Quispe"},
		Document: identity.Document{Type: identity.DocumentCI, Number: "1234567", Complement: "1A"},
	}}
}

func official() profile.Subject {
	s := citizen()
	s.Office = profile.Office{Organization: "Gobierno Autónomo Departamental de Oruro", OrganizationID: "123456789",
		Unit: "Secretaría Departamental de Obras Públicas", Title: "Director de Contrataciones"}
	return s
}

func inputFor(t testing.TB, k profile.Kind, parent *authority, pub crypto.PublicKey) profile.Input {
	t.Helper()
	in := profile.Input{Serial: serial(1), PublicKey: pub, Issuer: parent.issuer, Now: noon}
	switch k {
	case profile.Ciudadano, profile.FirmaUnica:
		in.Subject = citizen()
	case profile.Funcionario:
		in.Subject = official()
		in.AppointmentEnd = noon.AddDate(0, 3, 0)
	default:
		in.Subject = profile.Subject{CommonName: "Servicio interno " + string(k)}
	}
	return in
}

// Every profile, issued under every algorithm of authorities, has no finding of any severity.
func TestEveryProfilePasses(t *testing.T) {
	t.Parallel()
	set := testSet(t)
	l, err := lint.New(set)
	if err != nil {
		t.Fatal(err)
	}
	if n := l.Lints(); n < 400 {
		t.Errorf("only %d lints are run", n)
	}
	for _, alg := range []profile.KeyAlgorithm{profile.P256, profile.P384, profile.RSA} {
		root := newAuthority(t, set, profile.Root, alg, nil)
		if err := l.Certificate(root.cert.Raw, profile.Root, root.in); err != nil {
			t.Errorf("%s root: %v", alg, err)
		}
		parents := map[profile.Kind]*authority{}
		for _, k := range []profile.Kind{profile.Firma, profile.Servicios} {
			parents[k] = newAuthority(t, set, k, alg, root)
			if err := l.Certificate(parents[k].cert.Raw, k, parents[k].in); err != nil {
				t.Errorf("%s %s: %v", alg, k, err)
			}
		}
		for _, k := range profile.Kinds() {
			p, err := profile.Of(k)
			if err != nil {
				t.Fatal(err)
			}
			if p.CA {
				continue
			}
			for _, keyAlg := range p.Keys {
				in := inputFor(t, k, parents[p.Issuers[0]], newKey(t, keyAlg).Public())
				tbs, err := set.Build(k, in)
				if err != nil {
					t.Fatalf("%s with %s: %v", k, keyAlg, err)
				}
				if err := l.TBS(tbs, in); err != nil {
					t.Errorf("%s issuer, %s with %s: %v", alg, k, keyAlg, err)
				}
			}
		}
	}
}

func TestFindingsAreTyped(t *testing.T) {
	t.Parallel()
	var f *lint.Failure
	err := error(&lint.Failure{Findings: []lint.Finding{{Rule: "x", Severity: "warn"}}})
	if !errors.Is(err, lint.ErrLint) || !errors.As(err, &f) {
		t.Errorf("errors.Is and As do not recognise %v", err)
	}
}
