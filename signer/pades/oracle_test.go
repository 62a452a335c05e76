package pades_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pdfsign "github.com/digitorus/pdfsign/verify"
	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// oracle is an authority for verifiers that read the wall clock: its
// certificates are good for a century, and a server has its revocation list.
type oracle struct {
	*pki
	crl string
}

// The roots that pdfcpu trusts are of the whole process.
var (
	oracleOnce   sync.Once
	sharedOracle *pki
)

func newOracle(t testing.TB) *oracle {
	t.Helper()
	oracleOnce.Do(func() {
		p := &pki{rootKey: ecKey(t), interKey: ecKey(t), serial: 5000}
		p.root = p.issue(t, lasting(caTemplate("Raíz duradera")), nil, p.rootKey.Public(), p.rootKey)
		p.inter = p.issue(t, lasting(caTemplate("Emisora duradera")), p.root, p.interKey.Public(), p.rootKey)
		trustInPDFCPU(t, p.root)
		sharedOracle = p
	})
	if sharedOracle == nil {
		t.Fatal("no authority")
	}
	p := *sharedOracle
	list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().Add(24 * time.Hour),
	}, p.inter, p.interKey)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(list) }))
	t.Cleanup(srv.Close)
	return &oracle{&p, srv.URL + "/crl"}
}

// trustInPDFCPU puts a root into the store of pdfcpu, which reads a folder
// once and keeps what it read.
func trustInPDFCPU(t testing.TB, root *x509.Certificate) {
	t.Helper()
	api.DisableConfigDir()
	dir := t.TempDir()
	b, err := os.ReadFile(writePEM(t, root))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/root.pem", b, 0o600); err != nil {
		t.Fatal(err)
	}
	model.TrustedCertDir = dir
	if err := pdfcpu.LoadCertificates(); err != nil {
		t.Fatal(err)
	}
}

func lasting(c *x509.Certificate) *x509.Certificate {
	c.NotBefore, c.NotAfter = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)
	return c
}

func (o *oracle) lists(c *x509.Certificate) {
	lasting(c)
	c.CRLDistributionPoints = []string{o.crl}
}

// oracleBases are documents of each kind of cross-reference that pdfcpu finds
// valid in strict mode too.
func oracleBases() map[string][]byte {
	out := map[string][]byte{}
	for name, shape := range map[string]costest.Shape{"table": costest.Table, "cross-reference stream": costest.Stream, "object stream": costest.Stream, "hybrid": costest.Hybrid} {
		f := costest.SampleFile(costest.Options{Shape: shape, Form: true, Extra: []costest.Obj{{Num: 30,
			Body: "<</Type /FontDescriptor /FontName /Helvetica /Flags 32 /FontBBox [-166 -225 1000 931] /ItalicAngle 0 /Ascent 718 /Descent -207 /CapHeight 718 /StemV 88>>"}}})
		for i := range f.Objs {
			o := &f.Objs[i]
			o.Body = strings.Replace(o.Body, "20260101000000Z", "20260101000000+00'00'", 1)
			o.Body = strings.Replace(o.Body, "/BaseFont /Helvetica", "/BaseFont /Helvetica /FirstChar 32 /LastChar 32 /Widths [278] /FontDescriptor 30 0 R", 1)
			o.Plain = name == "cross-reference stream"
		}
		out[name] = f.Bytes()
	}
	return out
}

// expected is what a foreign verifier is to say of one signature.
type expected struct {
	who     signer
	stamped bool // has a time-stamp of authority(t) at now
	broken  bool
}

// askPDFSign compares what pdfsign says of each signature. It knows the roots
// of the system only, and is told to take those in the file; it does not
// compare revisions, and knows no PAdES levels.
func askPDFSign(t testing.TB, name string, file []byte, want ...expected) {
	t.Helper()
	o := pdfsign.DefaultVerifyOptions()
	o.AllowUntrustedRoots, o.TrustSignatureTime = true, true
	o.RequireDigitalSignatureKU, o.RequireNonRepudiation = false, true
	r, err := pdfsign.VerifyWithOptions(bytes.NewReader(file), int64(len(file)), o)
	if err != nil || len(r.Signers) != len(want) {
		t.Errorf("%s: pdfsign: %v, %+v", name, err, r)
		return
	}
	valid := map[string]pdfsign.Signer{}
	for _, s := range r.Signers {
		for _, c := range s.Certificates {
			if s.ValidSignature && !c.Certificate.IsCA {
				valid[string(c.Certificate.Raw)] = s
			}
		}
	}
	good := 0
	for i, w := range want {
		s, ok := valid[string(w.who.chain[0].Raw)]
		if ok == w.broken {
			t.Errorf("%s: pdfsign: signature %d valid: %v, want %v; %s", name, i, ok, !w.broken, r.Error)
		}
		if w.broken || !ok {
			continue
		}
		good++
		leaf := s.Certificates[slices.IndexFunc(s.Certificates, func(c pdfsign.Certificate) bool { return !c.Certificate.IsCA })]
		if leaf.VerifyError != "" || !leaf.KeyUsageValid || s.RevokedCertificate || s.SignatureTime == nil || !s.SignatureTime.Equal(now) {
			t.Errorf("%s: pdfsign: signature %d: %+v", name, i, s)
		}
		stamped := s.TimeStamp != nil && s.TimeStamp.Time.Equal(now) && s.TimestampStatus == "valid" && s.TimestampTrusted
		if stamped != w.stamped || !stamped && s.TimestampStatus != "missing" {
			t.Errorf("%s: pdfsign: signature %d: time-stamp %q, %+v, want one: %v", name, i, s.TimestampStatus, s.TimeStamp, w.stamped)
		}
	}
	if (r.Error == "") != (good == len(want)) || good != len(valid) {
		t.Errorf("%s: pdfsign: %d valid signatures, error %q", name, len(valid), r.Error)
	}
}

func pdfcpuConfig(mode int) *model.Configuration {
	c := model.NewDefaultConfiguration()
	c.ValidationMode = mode
	c.AllowedRevocationHosts = []string{"127.0.0.1"}
	return c
}

// askPDFCPU has pdfcpu validate the file, strictly too, and compares what it
// says of each signature: path, revocation and profile. It goes no further
// than B-B: a time-stamp it reads but does not authenticate. Nor does it
// compare revisions: whether the document was modified later it leaves open.
func askPDFCPU(t testing.TB, name string, file []byte, want ...expected) {
	t.Helper()
	for _, mode := range []int{model.ValidationRelaxed, model.ValidationStrict} {
		if err := api.Validate(bytes.NewReader(file), pdfcpuConfig(mode)); err != nil {
			t.Errorf("%s: pdfcpu: %v", name, err)
		}
	}
	results, err := api.ValidateSignaturesRaw(bytes.NewReader(file), true, pdfcpuConfig(model.ValidationRelaxed))
	if err != nil || len(results) != len(want) {
		t.Errorf("%s: pdfcpu: %v, %v", name, err, results)
		return
	}
	valid, broken := map[string]*model.SignatureValidationResult{}, 0
	for _, r := range results {
		switch s := r.Details.Signers; {
		case r.Status == model.SignatureStatusValid && r.DocModified != model.True && len(s) == 1 && s[0].Certificate != nil:
			valid[s[0].Certificate.SerialNumber] = r
		case r.Status == model.SignatureStatusInvalid && r.Reason == model.SignatureReasonDocModified && r.DocModified == model.True:
			broken++
		default:
			t.Errorf("%s: pdfcpu: %v", name, r)
		}
	}
	for i, w := range want {
		r, ok := valid[w.who.chain[0].SerialNumber.Text(16)]
		if ok == w.broken {
			t.Errorf("%s: pdfcpu: signature %d valid: %v, want %v; %v", name, i, ok, !w.broken, results)
		}
		if w.broken {
			broken--
			continue
		}
		if !ok {
			continue
		}
		s := r.Details.Signers[0]
		if s.PAdES != "B-B" || r.Details.SubFilter != "ETSI.CAdES.detached" || s.CertificatePathStatus != model.True ||
			s.Certificate.Revocation.Status != model.True || len(r.Problems) > 0 || !r.Details.SigningTime.Equal(now) {
			t.Errorf("%s: pdfcpu: signature %d: %v", name, i, r)
		}
		problems := slices.DeleteFunc(slices.Clone(s.Problems), func(p string) bool {
			return w.stamped && p == "pkcs7: embedded timestamp token observed but not fully authenticated"
		})
		if len(problems) > 0 || s.HasTimestamp != w.stamped || w.stamped && !s.Timestamp.Equal(now) {
			t.Errorf("%s: pdfcpu: signature %d: problems %q, time-stamp %v at %v", name, i, problems, s.HasTimestamp, s.Timestamp)
		}
	}
	if broken != 0 {
		t.Errorf("%s: pdfcpu: %d more broken signatures than there are", name, broken)
	}
}

// Two other implementations find our signatures valid, and not after one byte
// has changed.
func TestForeignVerifiers(t *testing.T) {
	t.Parallel()
	ca := newOracle(t)
	ana, beto := ca.signer(t, "Ana Núñez", nil, ca.lists), ca.signer(t, "Beto Quispe", nil, ca.lists)
	seal := &pades.Seal{Name: "Ana Núñez", Tier: "Firma electrónica", URL: "https://example.org/v/A"}
	for name, base := range oracleBases() {
		for _, level := range []pades.Level{pades.LevelBB, pades.LevelBT} {
			for _, mark := range []*pades.Seal{nil, seal} {
				name := name + " " + level.String()
				if mark != nil {
					name += " with seal"
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					one := sign(t, base, ana, pades.Options{Level: level, Field: "Firma", Seal: mark, Name: "Ana Núñez", Reason: "Aprobación"})
					other := pades.LevelBB + pades.LevelBT - level
					two := sign(t, one, beto, pades.Options{Level: other, Seal: mark, Placement: pades.Placement{Page: -1}})
					first, second := expected{who: ana, stamped: level == pades.LevelBT}, expected{who: beto, stamped: other == pades.LevelBT}
					ask := func(name string, file []byte, want ...expected) {
						askPDFSign(t, name, file, want...)
						askPDFCPU(t, name, file, want...)
					}
					ask("once", one, first)
					ask("twice", two, first, second)

					first.broken = true
					ask("once, text changed", change(t, one, "(Hola)", "(Hole)", 0), first)
					ask("once, time changed", change(t, one, "/M (D:2026", "/M (D:2025", 0), first)
					second.broken = true
					ask("twice, text changed", change(t, two, "(Hola)", "(Hole)", 0), first, second)
					first.broken = false
					ask("twice, second time changed", change(t, two, "/M (D:2026", "/M (D:2025", len(one)), first, second)
				})
			}
		}
	}
}

// change replaces the first text after an offset, which must be there.
func change(t testing.TB, file []byte, old, now string, after int) []byte {
	t.Helper()
	at := bytes.Index(file[after:], []byte(old))
	if at < 0 || len(old) != len(now) {
		t.Fatalf("no %q to change", old)
	}
	out := bytes.Clone(file)
	copy(out[after+at:], now)
	return out
}
