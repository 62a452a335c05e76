package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/tsp"
	"oruro.gob.bo/suti/signer/pades"
)

// testPKI holds authorities for scripts, made by crypto/x509 alone.
type testPKI struct {
	root, tsaRoot, tsa          *x509.Certificate
	rootKey, tsaRootKey, tsaKey crypto.Signer
	lists                       string // address of revocation lists, while the tests run
}

// list serves a list of nothing revoked.
func (p *testPKI) list(w http.ResponseWriter, r *http.Request) {
	issuer, key := p.root, p.rootKey
	if r.URL.Path == "/tsa" {
		issuer, key = p.tsaRoot, p.tsaRootKey
	}
	now := time.Now()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(now.Unix()), ThisUpdate: now, NextUpdate: now.Add(time.Hour)}, issuer, key)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(der)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func testCert(cn string, usage x509.KeyUsage) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))),
		Subject:      pkix.Name{CommonName: cn, Organization: []string{"Institución de prueba"}, Country: []string{"BO"}},
		NotBefore:    now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), KeyUsage: usage,
	}
}

func issue(c, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, c, parent, pub, key))))
}

func newAuthority(cn string) (*x509.Certificate, crypto.Signer) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	c := testCert(cn, x509.KeyUsageCertSign|x509.KeyUsageCRLSign)
	c.IsCA, c.BasicConstraintsValid = true, true
	c.NotAfter = c.NotBefore.AddDate(30, 0, 0)
	return issue(c, c, key.Public(), key), key
}

func newTestPKI() *testPKI {
	p := &testPKI{}
	p.root, p.rootKey = newAuthority("Raíz de prueba")
	p.tsaRoot, p.tsaRootKey = newAuthority("Raíz de tiempo")
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	unit := testCert("Unidad de tiempo", x509.KeyUsageDigitalSignature)
	usage := must(asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}}))
	p.lists = httptest.NewServer(http.HandlerFunc(p.list)).URL
	unit.NotAfter = unit.NotBefore.AddDate(25, 0, 0)
	unit.CRLDistributionPoints = []string{p.lists + "/tsa"}
	unit.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}
	p.tsa, p.tsaKey = issue(unit, p.tsaRoot, key.Public(), p.tsaRootKey), key
	return p
}

func pemCerts(certs ...*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return out
}

func pemKey(k crypto.Signer) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(k))})
}

// shared by all commands of one script run; keyed by its work directory would
// be finer, but authorities carry no state.
var scriptAuthorities = newTestPKI()

func scriptPKI(ts *testscript.TestScript, _ bool, _ []string) {
	p := scriptAuthorities
	keys := map[string]crypto.Signer{
		"": must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), "rsa-": must(rsa.GenerateKey(rand.Reader, 2048)),
		"p384-": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	keys["ed25519-"] = ed
	keys["mute-"] = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for name, key := range keys {
		c := testCert("Ana Núñez", x509.KeyUsageContentCommitment)
		c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{2, 5, 4, 12}, Value: "Directora de Planificación"}}
		if name != "mute-" {
			c.CRLDistributionPoints = []string{p.lists + "/root"}
		}
		cert := issue(c, p.root, key.Public(), p.rootKey)
		ts.Check(os.WriteFile(ts.MkAbs(name+"key.pem"), pemKey(key), 0o600))
		ts.Check(os.WriteFile(ts.MkAbs(name+"chain.pem"), pemCerts(p.root, cert), 0o644)) // out of order on purpose
	}
	other, _ := newAuthority("Otra raíz")
	ts.Check(os.WriteFile(ts.MkAbs("root.pem"), pemCerts(p.root), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("tsa-root.pem"), pemCerts(p.tsaRoot), 0o644))
	ts.Check(os.WriteFile(ts.MkAbs("other.pem"), pemCerts(other), 0o644))
}

// scriptPDF writes a file with a classic cross-reference table.
func scriptPDF(ts *testscript.TestScript, _ bool, args []string) {
	pages := 1
	if len(args) > 1 {
		pages = must(strconv.Atoi(args[1]))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), ordinaryPDF(pages, args[min(2, len(args)):]...), 0o644))
}

// scriptInk covers the pages of a file of scriptPDF with ink.
func scriptInk(ts *testscript.TestScript, _ bool, args []string) {
	b := must(os.ReadFile(ts.MkAbs(args[0])))
	b = regexp.MustCompile(`BT /F1.* ET`).ReplaceAllFunc(b, func(text []byte) []byte {
		return fmt.Appendf(nil, "%-*s", len(text), "0 0 595 842 re f")
	})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// scriptFields makes empty signature fields on the last page.
func scriptFields(ts *testscript.TestScript, _ bool, args []string) {
	base := must(os.ReadFile(ts.MkAbs(args[1])))
	var fields []pades.NewField
	for i, name := range args[2:] {
		fields = append(fields, pades.NewField{Name: name, Placement: &pades.Placement{Page: -1, Slot: i}})
	}
	a := must(pades.AddFields(context.Background(), bytes.NewReader(base), int64(len(base)), fields, pades.Limits{}))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append(base, a.Tail()...), 0o644))
}

func ordinaryPDF(pages int, catalog ...string) []byte {
	var b bytes.Buffer
	var offsets []int
	object := func(format string, a ...any) {
		offsets = append(offsets, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n", len(offsets))
		fmt.Fprintf(&b, format, a...)
		b.WriteString("\nendobj\n")
	}
	b.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
	object("<< /Type /Catalog /Pages 2 0 R%s >>", " "+strings.Join(catalog, " "))
	var kids bytes.Buffer
	for i := range pages {
		fmt.Fprintf(&kids, "%d 0 R ", 4+2*i)
	}
	object("<< /Type /Pages /Count %d /Kids [ %s] >>", pages, kids.String())
	object("<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>")
	for i := range pages {
		text := fmt.Sprintf("BT /F1 18 Tf 72 720 Td (Resolucion %d) Tj ET", i+1)
		object("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> /Contents %d 0 R >>", 5+2*i)
		object("<< /Length %d >>\nstream\n%s\nendstream", len(text), text)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(offsets)+1)
	for _, o := range offsets {
		fmt.Fprintf(&b, "%010d 00000 n \n", o)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", len(offsets)+1, xref)
	return b.Bytes()
}

// scriptTSA serves time-stamps; "bad" makes tokens over another digest.
func scriptTSA(ts *testscript.TestScript, _ bool, args []string) {
	bad := len(args) > 0 && args[0] == "bad"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, tsp.MaxRequest))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", tsp.ResponseType)
		_, _ = w.Write(stampReply(body, bad))
	}))
	ts.Defer(srv.Close)
	ts.Setenv("TSA", srv.URL)
}

func stampReply(body []byte, bad bool) []byte {
	req, err := tsp.ParseRequest(body)
	if err != nil {
		return tsp.RejectError(err, "")
	}
	if bad {
		req.Imprint.Digest[0] ^= 1
	}
	p := scriptAuthorities
	info := &tsp.TSTInfo{
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 3}, Imprint: req.Imprint, Serial: big.NewInt(time.Now().UnixNano()), GenTime: time.Now(), Nonce: req.Nonce,
	}
	prepared := must(tsp.PrepareToken(info, p.tsa, 0))
	sig := must(prepared.Sign(rand.Reader, p.tsaKey))
	return must(tsp.Grant(must(prepared.Assemble(sig, cms.AssembleOptions{Certificates: []*x509.Certificate{p.tsaRoot}}))))
}
