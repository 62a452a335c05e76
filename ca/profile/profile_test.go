package profile_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/internal/identity"
)

var noon = time.Date(2026, 11, 24, 16, 0, 0, 500, time.UTC)

func settings() profile.Settings {
	return profile.Settings{BaseURL: "http://pki.example", Organization: "Gobierno Autónomo Departamental de Oruro",
		OrganizationID: "123456789", ShortName: "GAD Oruro"}
}

func newSet(t testing.TB) *profile.Set {
	t.Helper()
	s, err := profile.New(settings())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func p256(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

type authority struct {
	key    crypto.Signer
	cert   *x509.Certificate
	issuer profile.Issuer
}

func issue(t testing.TB, set *profile.Set, k profile.Kind, in profile.Input, signer crypto.Signer) *x509.Certificate {
	t.Helper()
	tbs, err := set.Build(k, in)
	if err != nil {
		t.Fatalf("build %s: %v", k, err)
	}
	sig, err := tbs.Algorithm.Sign(signer, tbs.DER)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(tbs.Certificate(sig))
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func newAuthority(t testing.TB, set *profile.Set, k profile.Kind, parent *authority) *authority {
	t.Helper()
	a := &authority{key: p256(t)}
	in := profile.Input{Serial: []byte{1, byte(len(k))}, Subject: profile.Subject{CommonName: "Autoridad interna " + string(k) + " G1"}, PublicKey: a.key.Public(), Now: noon}
	signer := a.key
	if parent != nil {
		in.Issuer, signer = parent.issuer, parent.key
	}
	a.cert = issue(t, set, k, in, signer)
	var err error
	if a.issuer, err = profile.IssuerOf(k, string(k)+"-g1", a.cert); err != nil {
		t.Fatal(err)
	}
	return a
}

func maria() profile.Person {
	return profile.Person{
		Name:     identity.Name{Given: "María José", FirstSurname: "Ñañez", SecondSurname: "Quispe"},
		Document: identity.Document{Type: identity.DocumentCI, Number: "1234567", Complement: "1A"},
	}
}

func director() profile.Office {
	return profile.Office{Organization: "Gobierno Autónomo Departamental de Oruro", OrganizationID: "123456789",
		Unit: "Secretaría Departamental de Obras Públicas", Title: "Director de Contrataciones"}
}

// Any change of a profile must be deliberate: a new version and a new hash here.
func TestHashesArePinned(t *testing.T) {
	t.Parallel()
	got := map[profile.Kind]string{}
	for _, k := range profile.Kinds() {
		p, err := profile.Of(k)
		if err != nil {
			t.Fatal(err)
		}
		got[k] = p.Hash()
	}
	want := map[profile.Kind]string{
		profile.Ciudadano:   "9a9fd2a9b3e900f076bf1c360dc770bb322e54885494e13764e341293606d92a",
		profile.Firma:       "50e5f0abce566dca6c8ba7e487479c62288901d46fba8189cb11237473abd3f4",
		profile.FirmaUnica:  "6b7bdfa5c6e5f080ed4a11d8e7a7b7048407cf878d78ff8d6a592015af2c59ac",
		profile.Funcionario: "a9d8fe8839275587f8dae0eae14b0d0c701f8fabb692ea89ece0d39654f08562",
		profile.OCSP:        "ddaf1d626c492dcda7fe9f8f0869dbfe06f261d13cc74437bba1aa9a8a216e8d",
		profile.Root:        "a94dce4042a7ad9e53bc68637947abb5aea91747c4b6ee47456cae49c61db2ba",
		profile.Servicios:   "c54e04f19ea95c37d77324f9b6da8e1d7ff7195dfed66729a206fe976eeafbab",
		profile.TSU:         "eb3d3c844b188f76246e6f490a4f3717ab0fe2da649536980ea9309462e2ee05",
	}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("profiles changed (-got +want):\n%s", d)
	}
	if _, err := profile.Of("tls"); !errors.Is(err, profile.ErrKind) {
		t.Errorf("profile not built yet: got %v", err)
	}
}

func TestOfficialCertificate(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	root := newAuthority(t, set, profile.Root, nil)
	firma := newAuthority(t, set, profile.Firma, root)
	end := noon.AddDate(0, 2, 0)
	cert := issue(t, set, profile.Funcionario, profile.Input{Serial: []byte{0x7f, 1, 2, 3}, Subject: profile.Subject{Person: maria(), Office: director()},
		PublicKey: p256(t).Public(), Issuer: firma.issuer, Now: noon, AppointmentEnd: end}, firma.key)

	var got []string
	for _, n := range cert.Subject.Names {
		got = append(got, n.Type.String()+"="+n.Value.(string))
	}
	want := []string{"2.5.4.6=BO", "2.5.4.10=Gobierno Autónomo Departamental de Oruro", "2.5.4.97=VATBO-123456789",
		"2.5.4.11=Secretaría Departamental de Obras Públicas", "2.5.4.12=Director de Contrataciones", "2.5.4.4=Ñañez Quispe",
		"2.5.4.42=María José", "2.5.4.5=IDCBO-1234567-1A", "2.5.4.3=María José Ñañez Quispe"}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("subject (-got +want):\n%s", d)
	}
	if got, want := cert.SerialNumber, big.NewInt(0x7f010203); got.Cmp(want) != 0 {
		t.Errorf("serial: got %x, want %x", got, want)
	}
	if !cert.NotAfter.Before(end) || end.Sub(cert.NotAfter) > time.Second || !cert.NotBefore.Equal(noon.Truncate(time.Second)) {
		t.Errorf("validity: got %v to %v", cert.NotBefore, cert.NotAfter)
	}
	if cert.KeyUsage != x509.KeyUsageContentCommitment || cert.IsCA || len(cert.SubjectKeyId) != 20 {
		t.Errorf("key usage %v, CA %v, key id %x", cert.KeyUsage, cert.IsCA, cert.SubjectKeyId)
	}
	wantEKU := []asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 36}, {1, 3, 6, 1, 4, 1, 311, 10, 3, 12}}
	if d := cmp.Diff(cert.UnknownExtKeyUsage, wantEKU); d != "" || len(cert.ExtKeyUsage) != 0 {
		t.Errorf("extended key usage: %s %v", d, cert.ExtKeyUsage)
	}
	if d := cmp.Diff(cert.PolicyIdentifiers, []asn1.ObjectIdentifier{{1, 3, 6, 1, 4, 1, 32473, 1, 1, 2, 1}}); d != "" {
		t.Errorf("policy: %s", d)
	}
	if d := cmp.Diff([][]string{cert.CRLDistributionPoints, cert.OCSPServer, cert.IssuingCertificateURL},
		[][]string{{"http://pki.example/pki/crl/firma-g1.crl"}, {"http://pki.example/pki/ocsp"}, {"http://pki.example/pki/ca/firma-g1.cer"}}); d != "" {
		t.Errorf("addresses: %s", d)
	}
	if err := cert.CheckSignatureFrom(firma.cert); err != nil {
		t.Error(err)
	}
}

func TestNoticeSaysTheTier(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	for _, part := range []string{"GAD Oruro", "ATT", "Ley 164", "firma electrónica, no firma digital"} {
		if !strings.Contains(set.Notice(), part) {
			t.Errorf("notice lacks %q: %s", part, set.Notice())
		}
	}
}

func TestSubjectRefusals(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	root := newAuthority(t, set, profile.Root, nil)
	firma := newAuthority(t, set, profile.Firma, root)
	pub := p256(t).Public()
	long := strings.Repeat("Á", 65)
	for _, tc := range []struct {
		name string
		kind profile.Kind
		edit func(s *profile.Subject)
		want error
	}{
		{"plain", profile.Funcionario, func(*profile.Subject) {}, nil},
		{"no unit", profile.Funcionario, func(s *profile.Subject) { s.Office.Unit = "" }, nil},
		{"one surname", profile.Funcionario, func(s *profile.Subject) { s.Person.Name.SecondSurname = "" }, nil},
		{"apostrophe", profile.Funcionario, func(s *profile.Subject) { s.Person.Name.FirstSurname = "O'Higgins-Sañudo" }, nil},
		{"foreign resident", profile.Funcionario, func(s *profile.Subject) {
			s.Person.Document = identity.Document{Type: identity.DocumentCIE, Number: "E1234567"}
		}, nil},
		{"no surname", profile.Funcionario, func(s *profile.Subject) {
			s.Person.Name.FirstSurname, s.Person.Name.SecondSurname = "", ""
		}, profile.ErrSubject},
		{"no given name", profile.Funcionario, func(s *profile.Subject) { s.Person.Name.Given = " " }, profile.ErrSubject},
		{"no post", profile.Funcionario, func(s *profile.Subject) { s.Office = profile.Office{} }, profile.ErrSubject},
		{"post without institution", profile.FirmaUnica, func(s *profile.Subject) { s.Office.Organization = "" }, profile.ErrSubject},
		{"citizen with post", profile.Ciudadano, func(*profile.Subject) {}, profile.ErrSubject},
		{"given common name", profile.Funcionario, func(s *profile.Subject) { s.CommonName = "Gobernador" }, profile.ErrSubject},
		{"Cyrillic look-alike", profile.Funcionario, func(s *profile.Subject) { s.Person.Name.FirstSurname = "Сruz" }, profile.ErrSubject},
		{"decomposed accent", profile.Funcionario, func(s *profile.Subject) { s.Person.Name.Given = "Jose\u0301" }, profile.ErrSubject},
		{"direction override", profile.Funcionario, func(s *profile.Subject) { s.Office.Title = "Director\u202e" }, profile.ErrSubject},
		{"zero width", profile.Funcionario, func(s *profile.Subject) { s.Office.Title = "Direc\u200btor" }, profile.ErrSubject},
		{"newline", profile.Funcionario, func(s *profile.Subject) { s.Office.Title = "Director\nGobernador" }, profile.ErrSubject},
		{"NUL", profile.Funcionario, func(s *profile.Subject) { s.Office.Title = "Director\x00" }, profile.ErrSubject},
		{"invalid UTF-8", profile.Funcionario, func(s *profile.Subject) { s.Office.Title = "Direc\xfftor" }, profile.ErrSubject},
		{"digits in a name", profile.Funcionario, func(s *profile.Subject) { s.Person.Name.Given = "Ana2" }, profile.ErrSubject},
		{"surplus space", profile.Funcionario, func(s *profile.Subject) { s.Office.Title = " Director" }, profile.ErrSubject},
		{"long title", profile.Funcionario, func(s *profile.Subject) { s.Office.Title = long }, profile.ErrSubject},
		{"long surname", profile.Funcionario, func(s *profile.Subject) { s.Person.Name.FirstSurname = long }, profile.ErrSubject},
		{"CI letters", profile.Funcionario, func(s *profile.Subject) { s.Person.Document.Number = "12345AB" }, profile.ErrSubject},
		{"CI too short", profile.Funcionario, func(s *profile.Subject) { s.Person.Document.Number = "123" }, profile.ErrSubject},
		{"bad complement", profile.Funcionario, func(s *profile.Subject) { s.Person.Document.Complement = "A1" }, profile.ErrSubject},
		{"long complement", profile.Funcionario, func(s *profile.Subject) { s.Person.Document.Complement = "1AB" }, profile.ErrSubject},
		{"unknown document", profile.Funcionario, func(s *profile.Subject) { s.Person.Document.Type = "OTRO" }, profile.ErrSubject},
		{"passport without country", profile.Funcionario, func(s *profile.Subject) {
			s.Person.Document = identity.Document{Type: identity.DocumentPassport, Number: "AB12345"}
		}, profile.ErrSubject},
		{"bad NIT", profile.Funcionario, func(s *profile.Subject) { s.Office.OrganizationID = "12-34" }, profile.ErrSubject},
	} {
		sub := profile.Subject{Person: maria(), Office: director()}
		tc.edit(&sub)
		_, err := set.Build(tc.kind, profile.Input{Serial: []byte{1}, Subject: sub, PublicKey: pub, Issuer: firma.issuer, Now: noon})
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
		if err != nil && (strings.Contains(err.Error(), "Ñañez") || strings.Contains(err.Error(), "1234567")) {
			t.Errorf("%s: the error repeats personal data: %v", tc.name, err)
		}
	}
}

func TestSerialNumberForms(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		doc     identity.Document
		country string
		want    string
	}{
		{identity.Document{Type: identity.DocumentCI, Number: "1234567"}, "", "IDCBO-1234567"},
		{identity.Document{Type: identity.DocumentCI, Number: "1234567", Complement: "1A"}, "BO", "IDCBO-1234567-1A"},
		{identity.Document{Type: identity.DocumentCIE, Number: "1234567"}, "", "IDCBO-E-1234567"},
		{identity.Document{Type: identity.DocumentPassport, Number: "AB12345"}, "PE", "PASPE-AB12345"},
		{identity.Document{Type: identity.DocumentCI, Number: "1234567"}, "PE", ""},
		{identity.Document{Type: identity.DocumentCIE, Number: "1234567", Complement: "1A"}, "", ""},
	} {
		got, err := profile.Person{Document: tc.doc, Country: tc.country}.SerialNumber()
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("%v: got %q, %v, want %q", tc.doc.Type, got, err, tc.want)
		}
	}
}

func TestLongNamesKeepTheFirst(t *testing.T) {
	t.Parallel()
	p := maria()
	p.Name = identity.Name{Given: "Maximiliana Encarnación Guadalupe Esperanza", FirstSurname: "Choquehuanca", SecondSurname: "Mamani de Villarroel"}
	got, err := p.DisplayName()
	if want := "Maximiliana Encarnación Choquehuanca Mamani de Villarroel"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestValidity(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	root := newAuthority(t, set, profile.Root, nil)
	firma := newAuthority(t, set, profile.Firma, root)
	servicios := newAuthority(t, set, profile.Servicios, root)
	pub := p256(t).Public()
	sec := noon.Truncate(time.Second)
	for _, tc := range []struct {
		name string
		kind profile.Kind
		in   profile.Input
		want time.Time
		err  error
	}{
		{"one year", profile.Ciudadano, profile.Input{}, sec.Add(365*24*time.Hour - time.Second), nil},
		{"asked for less", profile.Ciudadano, profile.Input{NotAfter: sec.AddDate(0, 1, 0)}, sec.AddDate(0, 1, 0), nil},
		{"asked for more", profile.Ciudadano, profile.Input{NotAfter: sec.AddDate(2, 0, 0)}, time.Time{}, profile.ErrValidity},
		{"minutes", profile.FirmaUnica, profile.Input{}, sec.Add(15*time.Minute - time.Second), nil},
		{"asked for the past", profile.Ciudadano, profile.Input{NotAfter: sec.Add(-time.Hour)}, time.Time{}, profile.ErrValidity},
		{"appointment over", profile.Funcionario, profile.Input{AppointmentEnd: noon}, time.Time{}, profile.ErrValidity},
		{"appointment ends mid-second", profile.Funcionario, profile.Input{AppointmentEnd: sec.Add(90*time.Second + time.Millisecond)}, sec.Add(90 * time.Second), nil},
		{"end without post", profile.Ciudadano, profile.Input{AppointmentEnd: sec.AddDate(0, 1, 0)}, time.Time{}, profile.ErrInput},
		{"issuer not yet valid", profile.Ciudadano, profile.Input{Now: sec.Add(-time.Hour)}, time.Time{}, profile.ErrValidity},
		{"issuer before half-life", profile.Ciudadano, profile.Input{Now: sec.AddDate(3, 11, 0)}, sec.AddDate(3, 11, 0).Add(365*24*time.Hour - time.Second), nil},
		{"issuer past half-life", profile.Ciudadano, profile.Input{Now: sec.AddDate(4, 1, 0)}, time.Time{}, profile.ErrHalfLife},
		{"unit within issuer", profile.TSU, profile.Input{Now: sec.AddDate(3, 0, 0)}, servicios.cert.NotAfter, nil},
		{"responder past half-life", profile.OCSP, profile.Input{Now: sec.AddDate(7, 0, 0)}, sec.AddDate(7, 0, 0).Add(30*24*time.Hour - time.Second), nil},
		{"wrong issuer", profile.TSU, profile.Input{Issuer: firma.issuer}, time.Time{}, profile.ErrInput},
		{"issued by root", profile.Ciudadano, profile.Input{Issuer: root.issuer}, time.Time{}, profile.ErrInput},
	} {
		in := tc.in
		in.Serial, in.PublicKey = []byte{1}, pub
		if in.Now.IsZero() {
			in.Now = noon
		}
		switch tc.kind {
		case profile.TSU, profile.OCSP:
			in.Subject.CommonName = "Servicio"
			if in.Issuer.Kind == "" {
				in.Issuer = servicios.issuer
			}
		case profile.Funcionario:
			in.Subject = profile.Subject{Person: maria(), Office: director()}
		default:
			in.Subject = profile.Subject{Person: maria()}
		}
		if in.Issuer.Kind == "" {
			in.Issuer = firma.issuer
		}
		tbs, err := set.Build(tc.kind, in)
		if !errors.Is(err, tc.err) {
			t.Errorf("%s: got error %v, want %v", tc.name, err, tc.err)
		} else if err == nil && !tbs.NotAfter.Equal(tc.want) {
			t.Errorf("%s: got end %v, want %v", tc.name, tbs.NotAfter, tc.want)
		}
	}
}

func TestInputRefusals(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	root := newAuthority(t, set, profile.Root, nil)
	firma := newAuthority(t, set, profile.Firma, root)
	for _, tc := range []struct {
		name string
		edit func(in *profile.Input)
		want error
	}{
		{"no serial", func(in *profile.Input) { in.Serial = nil }, profile.ErrInput},
		{"negative serial", func(in *profile.Input) { in.Serial = []byte{0x80} }, profile.ErrInput},
		{"padded serial", func(in *profile.Input) { in.Serial = []byte{0, 1} }, profile.ErrInput},
		{"21 octets", func(in *profile.Input) { in.Serial = append([]byte{1}, make([]byte, 20)...) }, profile.ErrInput},
		{"no time", func(in *profile.Input) { in.Now = time.Time{} }, profile.ErrInput},
		{"no key", func(in *profile.Input) { in.PublicKey = nil }, profile.ErrAlgorithm},
		{"bound", func(in *profile.Input) { in.Binding = &profile.Binding{} }, profile.ErrInput},
		{"no issuer", func(in *profile.Input) { in.Issuer = profile.Issuer{} }, profile.ErrInput},
	} {
		in := profile.Input{Serial: []byte{1}, Subject: profile.Subject{Person: maria()}, PublicKey: p256(t).Public(), Issuer: firma.issuer, Now: noon}
		tc.edit(&in)
		if _, err := set.Build(profile.Ciudadano, in); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		edit func(s *profile.Settings)
		want error
	}{
		{"demo", func(*profile.Settings) {}, nil},
		{"production with documentation number", func(s *profile.Settings) { s.Production = true }, profile.ErrArc},
		{"production", func(s *profile.Settings) { s.Production, s.Arc = true, "1.3.6.1.4.1.99999" }, nil},
		{"another country's arc", func(s *profile.Settings) { s.Arc = "2.16.68.0.0.0.1" }, profile.ErrArc},
		{"sub-arc", func(s *profile.Settings) { s.Arc = "1.3.6.1.4.1.1.2" }, profile.ErrArc},
		{"padded arc", func(s *profile.Settings) { s.Arc = "1.3.6.1.4.1.007" }, profile.ErrArc},
		{"https", func(s *profile.Settings) { s.BaseURL = "https://pki.example" }, profile.ErrSettings},
		{"trailing slash", func(s *profile.Settings) { s.BaseURL += "/" }, profile.ErrSettings},
		{"query", func(s *profile.Settings) { s.BaseURL += "?a" }, profile.ErrSettings},
		{"user", func(s *profile.Settings) { s.BaseURL = "http://a@pki.example" }, profile.ErrSettings},
		{"long notice", func(s *profile.Settings) { s.Notice = strings.Repeat("a", 201) }, profile.ErrSettings},
		{"control in notice", func(s *profile.Settings) { s.Notice = "a\nb" }, profile.ErrSettings},
		{"no organisation", func(s *profile.Settings) { s.Organization = "" }, profile.ErrSubject},
		{"country", func(s *profile.Settings) { s.Country = "bo" }, profile.ErrSettings},
	} {
		s := settings()
		tc.edit(&s)
		if _, err := profile.New(s); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
}

// A foreign implementation builds the path, checks policies and the strict rules of RFC 5280.
func TestOpenSSLVerifiesStrictly(t *testing.T) {
	t.Parallel()
	openssl := tool(t, "openssl")
	set := newSet(t)
	root := newAuthority(t, set, profile.Root, nil)
	firma := newAuthority(t, set, profile.Firma, root)
	in := profile.Input{Serial: []byte{1, 9}, Subject: profile.Subject{Person: maria(), Office: director()}, PublicKey: p256(t).Public(), Issuer: firma.issuer, Now: noon}
	cert := issue(t, set, profile.Funcionario, in, firma.key)
	dir := t.TempDir()
	write := func(name string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, der, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	at := noon.Add(time.Hour)
	out, err := exec.Command(openssl, "verify", "-x509_strict", "-attime", big.NewInt(at.Unix()).String(), "-explicit_policy",
		"-policy", "1.3.6.1.4.1.32473.1.1.2.1", "-CAfile", write("root.pem", pemOf(root.cert)), "-untrusted", write("firma.pem", pemOf(firma.cert)),
		write("leaf.pem", pemOf(cert))).CombinedOutput()
	if err != nil {
		t.Errorf("openssl verify: %v\n%s", err, out)
	}
}

// Dates from 2050 on are GeneralizedTime; the standard library refuses any other form.
func TestFarDates(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	key := p256(t)
	at := time.Date(2045, 6, 1, 0, 0, 0, 0, time.UTC)
	cert := issue(t, set, profile.Root, profile.Input{Serial: []byte{1}, Subject: profile.Subject{CommonName: "Autoridad"}, PublicKey: key.Public(), Now: at}, key)
	if cert.NotAfter.Year() != 2065 || !cert.NotBefore.Equal(at) {
		t.Errorf("got %v to %v", cert.NotBefore, cert.NotAfter)
	}
	if err := cert.CheckSignatureFrom(cert); err != nil {
		t.Error(err)
	}
}

func TestBindingRefusals(t *testing.T) {
	t.Parallel()
	set := newSet(t)
	root := newAuthority(t, set, profile.Root, nil)
	firma := newAuthority(t, set, profile.Firma, root)
	for name, b := range map[string]profile.Binding{
		"short digest": {Hash: crypto.SHA256, Digest: make([]byte, 31)},
		"weak hash":    {Hash: crypto.SHA1, Digest: make([]byte, 20)},
		"odd type":     {Hash: crypto.SHA256, Digest: make([]byte, 32), Type: "CAdES\n"},
		"long type":    {Hash: crypto.SHA256, Digest: make([]byte, 32), Type: strings.Repeat("a", 65)},
	} {
		_, err := set.Build(profile.FirmaUnica, profile.Input{Serial: []byte{1}, Subject: profile.Subject{Person: maria()},
			PublicKey: p256(t).Public(), Issuer: firma.issuer, Now: noon, Binding: &b})
		if !errors.Is(err, profile.ErrInput) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
