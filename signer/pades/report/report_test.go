package report_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/internal/evidence/evidencetest"
	"oruro.gob.bo/suti/signer/pades"
	"oruro.gob.bo/suti/signer/pades/online"
	"oruro.gob.bo/suti/signer/pades/report"
)

// bench signs and verifies.
type bench struct {
	*evidencetest.Lab
	t testing.TB
}

func newBench(t testing.TB) *bench { return &bench{evidencetest.New(t, time.Time{}), t} }

func (b *bench) Timestamp(_ context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	return b.Lab.Timestamp(h, digest)
}

func (b *bench) sign(base []byte, who *evidencetest.Node, o pades.Options) []byte {
	b.t.Helper()
	source, err := online.New(online.Config{AllowPrivate: true, Now: b.Now})
	if err != nil {
		b.t.Fatal(err)
	}
	o.SigningTime = b.Now()
	if o.Level > pades.LevelBT {
		o.Extend = &pades.ExtendOptions{Level: o.Level, Roots: evidencetest.Pool(b.Root), TimestampRoots: evidencetest.Pool(b.TSARoot), Evidence: source, Timestamper: b, Now: b.Now}
	}
	s, err := pades.Sign(b.t.Context(), bytes.NewReader(base), int64(len(base)), who.Key, who.Chain(), b, o)
	if err != nil {
		b.t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := s.WriteTo(b.t.Context(), &out, bytes.NewReader(base)); err != nil {
		b.t.Fatal(err)
	}
	return out.Bytes()
}

// input judges a file and makes the input of its report.
func (b *bench) input(file []byte, change ...func(*pades.VerifyOptions)) report.Input {
	b.t.Helper()
	o := pades.VerifyOptions{Roots: evidencetest.Pool(b.Root), TimestampRoots: evidencetest.Pool(b.TSARoot), At: b.Now().Add(time.Minute), Material: true}
	for _, c := range change {
		c(&o)
	}
	r, err := pades.Verify(b.t.Context(), bytes.NewReader(file), int64(len(file)), o)
	if err != nil {
		b.t.Fatal(err)
	}
	sums, err := report.Digest(b.t.Context(), bytes.NewReader(file), r)
	if err != nil {
		b.t.Fatal(err)
	}
	return report.Input{Report: r, Sums: sums, Name: "resolución.pdf", Producer: "Suti de prueba", Anchors: []report.Anchor{
		{Certificate: b.Root.Cert.Raw, Tier: pades.TierInternal}, {Certificate: b.TSARoot.Cert.Raw},
	}}
}

func write(t testing.TB, f report.Format, in report.Input) []byte {
	t.Helper()
	b, err := report.Write(f, in)
	if err != nil {
		t.Fatalf("%s: %v", f, err)
	}
	again, err := report.Write(f, in)
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("%s: the same input gives another report (%v)", f, err)
	}
	return b
}

func tool(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	out, err := exec.Command(name, args...).CombinedOutput()
	return string(out), err
}

func keep(t testing.TB, name string, b []byte) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

const official = "Ana Núñez Ágreda"

// post puts an official's post into a certificate.
func post(c *x509.Certificate) {
	c.Subject.Organization = []string{"Gobierno Autónomo Departamental de Oruro"}
	c.Subject.OrganizationalUnit = []string{"Secretaría de Obras"}
	c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: []int{2, 5, 4, 12}, Value: "Directora de Contrataciones"})
}

// matrix are files of every kind of result, with what their first signature is.
func matrix(b *bench) map[string]result {
	form := costest.Sample(costest.Options{Form: true})
	who := b.Signer(b.t, official, post)
	basic := b.sign(form, who, pades.Options{Reason: "Apruebo", Location: "Oruro", Name: official})
	stranger := newBench(b.t)
	changed := bytes.Clone(basic)
	changed[60] ^= 1
	lta := b.sign(form, who, pades.Options{Level: pades.LevelBLTA})
	certified := b.sign(form, who, pades.Options{Certify: pades.FormsAndSigning, Level: pades.LevelBT})
	return map[string]result{
		"b-b":       {file: basic, verdict: pades.Valid},
		"b-t":       {file: b.sign(form, who, pades.Options{Level: pades.LevelBT}), verdict: pades.Valid},
		"b-lt":      {file: b.sign(form, who, pades.Options{Level: pades.LevelBLT}), verdict: pades.ValidExtended},
		"b-lta":     {file: lta, verdict: pades.ValidExtended},
		"twice":     {file: b.sign(lta, b.Signer(b.t, "Beto Quispe"), pades.Options{Level: pades.LevelBT}), verdict: pades.ValidExtended},
		"certified": {file: certified, verdict: pades.Valid},
		"modified": {file: costest.Append(basic, costest.Table, []costest.Obj{{Num: costest.Content1, Body: "<<>>", Data: []byte("BT ET")}}, costest.TrailerEntries(basic)),
			verdict: pades.ModifiedForbidden},
		"invalid":       {file: changed, verdict: pades.Invalid},
		"stranger":      {file: stranger.sign(form, stranger.Signer(b.t, "Nadie"), pades.Options{Level: pades.LevelBT}), verdict: pades.Indeterminate},
		"not fulfilled": {file: basic, verdict: pades.Indeterminate, level: "B-LT"},
	}
}

type result struct {
	file    []byte
	verdict pades.Verdict
	level   string // required
}

func (x result) options(o *pades.VerifyOptions) {
	o.Constraints = pades.DefaultConstraints()
	o.Constraints.Signature.Level = x.level
}

// TestXMLFitsItsSchema validates reports of every kind of result with the
// official schema of ETSI TS 119 102-2 v1.4.1.
func TestXMLFitsItsSchema(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("SUTI_TEST_ETSI_XSD")
	if dir == "" {
		t.Skip("SUTI_TEST_ETSI_XSD does not name the folder of the schemas; see .ci/etsi-xsd.sh")
	}
	b := newBench(t)
	for name, x := range matrix(b) {
		in := b.input(x.file, x.options)
		if got := in.Report.Signatures[0].Verdict; got != x.verdict {
			t.Errorf("%s: %s, want %s", name, got, x.verdict)
		}
		validate(t, dir, name, write(t, report.XML, in))
	}
	for name, x := range hostileInputs(b) {
		validate(t, dir, name, write(t, report.XML, x))
	}
}

func validate(t *testing.T, dir, name string, b []byte) {
	t.Helper()
	if _, err := exec.LookPath("xmllint"); err != nil {
		t.Fatal("xmllint is not installed")
	}
	cmd := exec.Command("xmllint", "--nonet", "--noout", "--schema", filepath.Join(dir, "validation-report/xsd/TS119102-2-v141.xsd"), keep(t, "report.xml", b))
	cmd.Env = append(os.Environ(), "XML_CATALOG_FILES="+filepath.Join(dir, "catalog.xml"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", name, err, out)
	}
}

// TestXMLSaysWhatWasFound compares the XML with the verifier's report.
func TestXMLSaysWhatWasFound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	main := map[string]string{pades.TotalPassed: "total-passed", pades.TotalFailed: "total-failed", pades.IndIndeterm: "indeterminate"}
	for name, x := range matrix(b) {
		in := b.input(x.file, x.options)
		text := string(write(t, report.XML, in))
		signatures := 0
		for i, s := range in.Report.Signatures {
			if s.Kind == "document-timestamp" {
				continue
			}
			signatures++
			one := between(text, `<vr:SignatureIdentifier id="S-`+string(rune('1'+i))+`"`, "</vr:SignatureValidationReport>")
			status := between(one, "<vr:SignatureValidationStatus>", "</vr:SignatureValidationStatus>")
			want := []string{">urn:etsi:019102:mainindication:" + main[s.Indication] + "<"}
			if s.SubIndication != "" {
				want = append(want, ">urn:etsi:019102:subindication:"+s.SubIndication+"<")
			}
			for _, w := range want {
				if !strings.Contains(status, w) {
					t.Errorf("%s: signature %d: no %s in\n%s", name, i, w, status)
				}
			}
			best := between(one, "<vr:BestSignatureTime>", "</vr:BestSignatureTime>")
			at := s.ProvenTime
			if at.IsZero() {
				at = in.Report.At
			}
			if !strings.Contains(best, at.UTC().Format("2006-01-02T15:04:05")) || s.ProvenTime.IsZero() == strings.Contains(best, "POEObject") {
				t.Errorf("%s: signature %d: best time %s, want %v", name, i, best, at)
			}
			for _, c := range s.Chain {
				if !strings.Contains(text, `<vr:ValidationObject id="C-`+c.SHA256+`"`) {
					t.Errorf("%s: a certificate is missing", name)
				}
			}
		}
		if got := strings.Count(text, "<vr:SignatureValidationReport>"); got != signatures {
			t.Errorf("%s: %d reports on %d signatures", name, got, signatures)
		}
	}
	plain := costest.Sample(costest.Options{})
	if _, err := report.Write(report.XML, b.input(plain)); !errors.Is(err, report.ErrNoSignature) {
		t.Errorf("unsigned: %v", err)
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

// TestPeopleRead: HTML and PDF say, in both languages, the same about every kind
// of result; of who is not proven they say so.
func TestPeopleRead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	words := map[pades.Verdict]string{
		pades.Valid: "El documento está como se firmó", pades.ValidExtended: "Después solo se agregaron",
		pades.Indeterminate: "No se puede afirmar", pades.ModifiedForbidden: "El documento cambió después", pades.Invalid: "No válida",
	}
	for name, x := range matrix(b) {
		in := b.input(x.file, x.options)
		page, paper := string(write(t, report.HTML, in)), paperText(t, name, write(t, report.PDF, in))
		s := in.Report.Signatures[0]
		sum := hex.EncodeToString(in.Sums.File[:])
		want := []string{words[x.verdict], sum, "resolución.pdf", "hora de Bolivia"}
		switch {
		case x.verdict == pades.Invalid:
			want = append(want, "No se sabe", "Ninguna firma que valga")
		case !s.Trusted:
			want = append(want, "Nadie (no verificado)", "Documento íntegro, firmante no verificado")
		case x.verdict == pades.Valid || x.verdict == pades.ValidExtended:
			want = append(want, official, "Directora de Contrataciones", "Gobierno Autónomo Departamental de Oruro", "Firma electrónica, certificado interno")
		}
		if x.verdict == pades.ModifiedForbidden {
			want = append(want, "no permitido", "Los primeros", hex.EncodeToString(in.Sums.Signed[0][:]))
		}
		for _, w := range want {
			if !strings.Contains(page, w) {
				t.Errorf("%s: the page does not say %q", name, w)
			}
			if !strings.Contains(paper, w) {
				t.Errorf("%s: the paper does not say %q\n%s", name, w, paper)
			}
		}
		for _, forbidden := range []string{"Firma digital (Ley 164), certificado", "<script", "http:", "https:", "src=", "[report."} {
			if strings.Contains(page, forbidden) {
				t.Errorf("%s: the page has %q", name, forbidden)
			}
		}
		in.Lang = i18n.EN
		if en := string(write(t, report.HTML, in)); !strings.Contains(en, `lang="en"`) || strings.Contains(en, "Firma ") || strings.Contains(en, "[report.") {
			t.Errorf("%s: the English page is not", name)
		}
	}
}

// A root of the tier A, told by the trust list, makes a valid signature a firma
// digital, and no other.
func TestTierOfTheTrustList(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, x := range matrix(b) {
		in := b.input(x.file, x.options)
		in.Anchors = []report.Anchor{{Certificate: b.Root.Cert.Raw, Name: "Raíz nacional", Tier: pades.TierNational}, {Certificate: b.Root.Cert.Raw}}
		s := in.Report.Signatures[0]
		good := s.Trusted && (x.verdict == pades.Valid || x.verdict == pades.ValidExtended)
		if got := strings.Contains(string(write(t, report.HTML, in)), "Firma digital (Ley 164), certificado emitido por Emisora de laboratorio"); got != good {
			t.Errorf("%s: firma digital: %t, want %t", name, got, good)
		}
	}
}

// paperText has other programs check the PDF and read its text.
func paperText(t *testing.T, name string, b []byte) string {
	t.Helper()
	p := keep(t, "report.pdf", b)
	if out, err := tool(t, "qpdf", "--check", p); err != nil {
		t.Errorf("%s: qpdf: %v\n%s", name, err, out)
	}
	out, err := tool(t, "pdftotext", p, "-")
	if err != nil {
		t.Fatalf("%s: pdftotext: %v\n%s", name, err, out)
	}
	return strings.Join(strings.Fields(out), " ")
}

func TestTexts(t *testing.T) {
	t.Parallel()
	if err := i18n.Lint(os.DirFS("."), report.Texts()); err != nil {
		t.Error(err)
	}
}

func TestRefusedInput(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in := b.input(costest.Sample(costest.Options{}))
	if _, err := report.Write("docx", in); !errors.Is(err, report.ErrFormat) {
		t.Errorf("docx: %v", err)
	}
	in.Report.Constraints = nil
	if _, err := report.Write(report.HTML, in); err == nil {
		t.Error("without what the report was judged by")
	}
}
