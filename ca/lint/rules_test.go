package lint_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"testing"
	"time"

	"oruro.gob.bo/suti/ca/lint"
	"oruro.gob.bo/suti/ca/profile"
)

// Each own rule is shown a certificate that breaks it and must name itself.
func TestOwnRulesCatch(t *testing.T) {
	t.Parallel()
	set := testSet(t)
	l, err := lint.New(set)
	if err != nil {
		t.Fatal(err)
	}
	root := newAuthority(t, set, profile.Root, profile.P256, nil)
	firma := newAuthority(t, set, profile.Firma, profile.P256, root)
	servicios := newAuthority(t, set, profile.Servicios, profile.P256, root)
	key := newKey(t, profile.P256).Public()
	other, err := profile.New(profile.Settings{BaseURL: "http://evil.example", Organization: "Otra entidad", Arc: "1.3.6.1.4.1.999", Notice: "Firma digital"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name  string
		kind  profile.Kind
		build *profile.Set
		as    profile.Kind
		edit  func(in *profile.Input)
		want  string
	}{
		{"serial not allocated", profile.Ciudadano, set, "", func(in *profile.Input) { in.Serial = serial(2) }, "suti_version_and_serial"},
		{"another surname", profile.Ciudadano, set, "", func(in *profile.Input) { in.Subject.Person.Name.FirstSurname = "Otro" }, "suti_subject_registry"},
		{"another post", profile.Funcionario, set, "", func(in *profile.Input) { in.Subject.Office.Title = "Gobernador" }, "suti_subject_registry"},
		{"another institution", profile.Funcionario, set, "", func(in *profile.Input) { in.Subject.Office.OrganizationID = "999999999" }, "suti_subject_registry"},
		{"appointment ends earlier", profile.Funcionario, set, "", func(in *profile.Input) { in.AppointmentEnd = noon.AddDate(0, 1, 0) }, "suti_validity"},
		{"issuer ends earlier", profile.Ciudadano, set, "", func(in *profile.Input) { in.Issuer.NotAfter = noon.AddDate(0, 1, 0) }, "suti_validity"},
		{"issued before", profile.Ciudadano, set, "", func(in *profile.Input) { in.Now = noon.Add(time.Hour) }, "suti_validity"},
		{"issued later", profile.Ciudadano, set, "", func(in *profile.Input) { in.Now = noon.Add(-time.Hour) }, "suti_validity"},
		{"too long for one signature", profile.Ciudadano, set, profile.FirmaUnica, nil, "suti_validity"},
		{"official's certificate for a citizen", profile.Funcionario, set, profile.Ciudadano, nil, "suti_subject_order"},
		{"citizen's certificate for an official", profile.Ciudadano, set, profile.Funcionario, nil, "suti_subject_order"},
		{"foreign addresses", profile.Ciudadano, other, "", nil, "suti_addresses"},
		{"foreign notice and policy", profile.Ciudadano, other, "", nil, "suti_policy_and_notice"},
		{"another issuer's key", profile.Ciudadano, set, "", func(in *profile.Input) { in.Issuer.KeyID = make([]byte, 20) }, "suti_key_identifiers"},
		{"responder as time-stamping unit", profile.OCSP, set, profile.TSU, nil, "suti_extended_key_usage"},
		{"responder with no-check as unit", profile.OCSP, set, profile.TSU, nil, "suti_extension_set"},
		{"person as unit", profile.Ciudadano, set, profile.TSU, nil, "suti_key_usage"},
		{"unit as authority", profile.TSU, set, profile.Servicios, nil, "suti_basic_constraints"},
		{"unbound", profile.FirmaUnica, set, "", func(in *profile.Input) {
			d := sha256.Sum256([]byte("x"))
			in.Binding = &profile.Binding{Hash: crypto.SHA256, Digest: d[:], Type: "cades"}
		}, "suti_extension_set"},
	} {
		parent := firma
		if tc.kind == profile.TSU || tc.as == profile.TSU && tc.kind == profile.OCSP {
			parent = servicios
		}
		in := inputFor(t, tc.kind, parent, key)
		tbs, err := tc.build.Build(tc.kind, in)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if tc.edit != nil {
			tc.edit(&in)
		}
		as := tc.kind
		if tc.as != "" {
			as = tc.as
		}
		err = l.Certificate(parent.sign(t, tbs), as, in)
		if !breaks(err, tc.want) {
			t.Errorf("%s: got %v, want a finding of %s", tc.name, err, tc.want)
		}
	}
}

func breaks(err error, rule string) bool {
	var f *lint.Failure
	return errors.As(err, &f) && slices.ContainsFunc(f.Findings, func(x lint.Finding) bool { return x.Rule == rule })
}

func TestBoundDocumentPasses(t *testing.T) {
	t.Parallel()
	set := testSet(t)
	l, err := lint.New(set)
	if err != nil {
		t.Fatal(err)
	}
	root := newAuthority(t, set, profile.Root, profile.P256, nil)
	firma := newAuthority(t, set, profile.Firma, profile.P256, root)
	in := inputFor(t, profile.FirmaUnica, firma, newKey(t, profile.P256).Public())
	in.Subject = official()
	d := sha256.Sum256([]byte("signed attributes"))
	in.Binding = &profile.Binding{Hash: crypto.SHA256, Digest: d[:], Type: "cades"}
	tbs, err := set.Build(profile.FirmaUnica, in)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.TBS(tbs, in); err != nil {
		t.Error(err)
	}
	e := sha256.Sum256([]byte("another document"))
	in.Binding = &profile.Binding{Hash: crypto.SHA256, Digest: e[:], Type: "cades"}
	if err := l.TBS(tbs, in); !breaks(err, "suti_document_binding") {
		t.Errorf("bound to another document: got %v", err)
	}
}

// A certificate made by other means with an added name or usage is caught.
func TestExtrasAreCaught(t *testing.T) {
	t.Parallel()
	set := testSet(t)
	l, err := lint.New(set)
	if err != nil {
		t.Fatal(err)
	}
	root := newAuthority(t, set, profile.Root, profile.P256, nil)
	firma := newAuthority(t, set, profile.Firma, profile.P256, root)
	in := inputFor(t, profile.Ciudadano, firma, newKey(t, profile.P256).Public())
	tbs, err := set.Build(profile.Ciudadano, in)
	if err != nil {
		t.Fatal(err)
	}
	good, err := x509.ParseCertificate(firma.sign(t, tbs))
	if err != nil {
		t.Fatal(err)
	}
	tmpl := *good
	tmpl.DNSNames = []string{"oruro.example"}
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, firma.cert, in.PublicKey, firma.key)
	if err != nil {
		t.Fatal(err)
	}
	err = l.Certificate(der, profile.Ciudadano, in)
	for _, want := range []string{"suti_extension_set", "suti_extended_key_usage"} {
		if !breaks(err, want) {
			t.Errorf("got %v, want a finding of %s", err, want)
		}
	}
}

func TestWeakKeysAreRefused(t *testing.T) {
	t.Parallel()
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := good.Primes[0]
	q := nextPrime(new(big.Int).Add(p, big.NewInt(2)))
	edPub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	torsion, err := hex.DecodeString("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85")
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		key  crypto.PublicKey
		want lint.KeyReason // empty: accepted
	}{
		{"RSA-2048", &good.PublicKey, ""},
		{"P-256", newKey(t, profile.P256).Public(), ""},
		{"P-384", newKey(t, profile.P384).Public(), ""},
		{"Ed25519", edPub, ""},
		{"exponent 3", &rsa.PublicKey{N: good.N, E: 3}, lint.KeyExponent},
		{"exponent 1", &rsa.PublicKey{N: good.N, E: 1}, lint.KeyExponent},
		{"even modulus", &rsa.PublicKey{N: new(big.Int).Add(good.N, big.NewInt(1)), E: 65537}, lint.KeyModulus},
		{"small factor", &rsa.PublicKey{N: new(big.Int).Mul(new(big.Int).Rsh(good.N, 14), big.NewInt(32749)), E: 65537}, lint.KeyModulus},
		{"close primes", &rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, lint.KeyFermat},
		{"square", &rsa.PublicKey{N: new(big.Int).Mul(p, p), E: 65537}, lint.KeyFermat},
		{"ROCA print", &rsa.PublicKey{N: rocaModulus(), E: 65537}, lint.KeyROCA},
		{"1024 bits", &rsa.PublicKey{N: new(big.Int).Rsh(good.N, 1024), E: 65537}, lint.KeyAlgorithm},
		{"8192 bits", &rsa.PublicKey{N: new(big.Int).Lsh(good.N, 6144), E: 65537}, lint.KeySize},
		{"no modulus", &rsa.PublicKey{E: 65537}, lint.KeyAlgorithm},
		{"P-224", &p224.PublicKey, lint.KeyAlgorithm},
		//lint:ignore SA1019 the safe way cannot make such a point
		{"off the curve", &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(5), Y: big.NewInt(7)}, lint.KeyPoint},
		//lint:ignore SA1019 the safe way cannot make such a point
		{"infinity", &ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int), Y: new(big.Int)}, lint.KeyPoint},
		{"small order", ed25519.PublicKey(torsion), lint.KeyPoint},
		{"short", edPub[:31], lint.KeyPoint},
		{"not a key", "key", lint.KeyAlgorithm},
	} {
		err := lint.Key(tc.key)
		var ke *lint.KeyError
		got := lint.KeyReason("")
		if errors.As(err, &ke) {
			got = ke.Reason
		} else if err != nil {
			t.Errorf("%s: untyped error %v", tc.name, err)
		}
		if got != tc.want || (err != nil) != errors.Is(err, lint.ErrKey) {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func nextPrime(n *big.Int) *big.Int {
	n.SetBit(n, 0, 1)
	for !n.ProbablyPrime(20) {
		n.Add(n, big.NewInt(2))
	}
	return n
}

// rocaModulus builds a modulus of the faulty library's form: both primes are
// k·M + (65537^a mod M), M being the product of the primes up to 167.
func rocaModulus() *big.Int {
	m := big.NewInt(1)
	for p := int64(2); p < 168; p++ {
		if big.NewInt(p).ProbablyPrime(10) {
			m.Mul(m, big.NewInt(p))
		}
	}
	prime := func(a int64, shift uint) *big.Int {
		g := new(big.Int).Exp(big.NewInt(65537), big.NewInt(a), m)
		k := new(big.Int).Lsh(big.NewInt(1), shift)
		for {
			k.Add(k, big.NewInt(1))
			p := new(big.Int).Add(new(big.Int).Mul(k, m), g)
			if p.ProbablyPrime(20) {
				return p
			}
		}
	}
	shift := uint(1025 - m.BitLen())
	return new(big.Int).Mul(prime(12345, shift), prime(67890, shift))
}
