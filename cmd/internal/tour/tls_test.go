package tour

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"oruro.gob.bo/suti/cmd/internal/demo"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// overTLS starts a demo over https and a tour of it that has not begun.
func overTLS(t *testing.T, port int) *Tour {
	t.Helper()
	d, err := demo.Start(t.Context(), demo.Config{Dir: t.TempDir(), FirstPort: port, TLS: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Tour{cfg: Config{Now: time.Now, Out: t.TempDir()}, artefacts: map[string]string{}, pdf: builtInPDF(), demo: d}
}

// card goes from an application to its page with password and code card.
func (b *browser) card(ctx context.Context, address string, p demo.Person) error {
	if err := b.get(ctx, address); err != nil {
		return err
	}
	if err := b.fill(ctx, "/celda", "username", p.Login); err != nil {
		return err
	}
	cell := ""
	for n := range b.page.root.Descendants() {
		if n.Type == html.ElementNode && attr(n, "id") == "code" {
			cell = attr(n, "data-cell")
		}
	}
	if err := b.fill(ctx, "/tarjeta", "password", p.Password, "code", p.CodeCard[cell]); err != nil {
		return err
	}
	_, err := b.enter(ctx, b.page.address.String())
	return err
}

// wire remembers the cookies that were set, by scheme.
type wire struct {
	next http.RoundTripper
	set  []*http.Cookie
	hsts []string
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := w.next.RoundTrip(r)
	if err == nil {
		w.set = append(w.set, res.Cookies()...)
		w.hsts = append(w.hsts, res.Header["Strict-Transport-Security"]...)
		if res.TLS == nil {
			err = errors.New("not over TLS: " + r.URL.String())
		}
	}
	return res, err
}

// TestCardOverTLS enters at application A with password and code card, a browser
// without script that trusts only the root for https.
func TestCardOverTLS(t *testing.T) {
	t.Parallel()
	tour := overTLS(t, ports+5200)
	w := &wire{next: tour.demo.Transport()}
	b := newBrowser(nil, w)
	person, _ := tour.demo.Person("ciudadana")
	if err := b.card(t.Context(), tour.demo.Bases[0]+"/mis-tramites", person); err != nil {
		t.Fatal(err)
	}
	if b.page.address.String() != tour.demo.Bases[0]+"/mis-tramites" || !b.page.has(person.Names) {
		t.Errorf("she is not in: %s", b.page.summary())
	}
	names := map[string]bool{}
	for _, c := range w.set {
		names[c.Name] = true
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || c.Path != "/" || c.Domain != "" {
			t.Errorf("cookie %s: Secure %v, Path %q, Domain %q", c.Name, c.Secure, c.Path, c.Domain)
		}
	}
	if !names["__Host-suti-sesion"] || !names["__Host-tramites-sesion"] {
		t.Errorf("cookies: %v", names)
	}
	if len(w.hsts) > 0 {
		t.Errorf("localhost is pinned to https, also for other programs: %q", w.hsts)
	}
}

// TestStatusBesideTLS asks for the status of a certificate as others do: openssl,
// over plain http, at the address of demo.json and at the one in the certificate.
func TestStatusBesideTLS(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		dbtest.Missing(t, "openssl is not installed")
	}
	tour := overTLS(t, ports+5300)
	if tour.sign(t.Context()); tour.failed() {
		t.Fatalf("%+v", tour.steps)
	}
	report, err := tour.judge(t.Context(), tour.signing.signed)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _, err := certificates(&report.Signatures[0])
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := tour.issuerOf(leaf)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, pem []byte) string {
		path := filepath.Join(tour.cfg.Out, name)
		if err := os.WriteFile(path, pem, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	encode := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
	leafFile, issuerFile, rootFile := write("leaf.pem", encode(leaf.Raw)), write("issuer.pem", encode(issuer.Raw)), write("root.pem", []byte(tour.demo.File.TrustRootPEM))
	at := tour.demo.File.Endpoints
	if len(leaf.OCSPServer) != 1 || leaf.OCSPServer[0] != at["ocsp"] {
		t.Errorf("the certificate says %q, demo.json %q", leaf.OCSPServer, at["ocsp"])
	}
	for _, address := range append(append(leaf.CRLDistributionPoints, leaf.IssuingCertificateURL...), at["ocsp"], at["tsa"]) {
		if !strings.HasPrefix(address, "http://localhost:") {
			t.Errorf("%s is not plain http", address)
		}
	}
	for _, address := range append(leaf.CRLDistributionPoints, leaf.IssuingCertificateURL...) {
		if _, err := tour.fetch(t.Context(), address); err != nil {
			t.Error(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), openssl, "ocsp", "-issuer", issuerFile, "-cert", leafFile, "-url", at["ocsp"], "-CAfile", rootFile).CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("Response verify OK")) || !bytes.Contains(out, []byte("leaf.pem: good")) {
		t.Errorf("openssl ocsp: %v\n%s", err, out)
	}
	base := strings.TrimSuffix(at["ocsp"], "/pki/ocsp")
	for _, path := range []string{"/", "/entrar/", "/.well-known/openid-configuration", "/oauth2/token", "/log/checkpoint", "/cuenta"} {
		res, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusNotFound {
			t.Errorf("over plain http, %s answers %d", path, res.StatusCode)
		}
	}
}
