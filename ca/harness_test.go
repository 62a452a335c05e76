package ca_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/subject"
)

func lines() []db.Line {
	return []db.Line{subject.Migrations, outbox.Migrations, keystore.Migrations, audit.Migrations, ca.Migrations}
}

// clock is a settable time.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

// begin is a little before the present, because openssl ocsp judges by the wall
// clock and tests move time by some minutes.
func begin() *clock { return &clock{now: time.Now().UTC().Truncate(time.Second).Add(-5 * time.Minute)} }

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) Add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

// world is an authority with everything it stands on.
type world struct {
	*ca.CA
	cfg   ca.Config
	db    *db.DB
	clock *clock
	web   *httptest.Server
}

func newWorld(t testing.TB, d *db.DB) *world {
	t.Helper()
	w := open(t, d, begin(), "uno")
	if err := w.Init(t.Context()); err != nil {
		t.Fatalf("init: %v", err)
	}
	t.Cleanup(func() { w.check(t) })
	return w
}

// open makes an authority on a database, as a process that starts.
func open(t testing.TB, d *db.DB, clk *clock, node string) *world {
	t.Helper()
	sum := sha256.Sum256([]byte("kek of the test"))
	kek, err := envelope.KeyFromBytes(sum[:])
	if err != nil {
		t.Fatal(err)
	}
	keys, err := keystore.Open(t.Context(), keystore.Config{DB: d, KEK: kek, Now: clk.Now})
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.New(audit.Config{DB: d, Keys: keys, Erased: keystore.ErrErased, Now: clk.Now})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{db: d, clock: clk, cfg: ca.Config{DB: d, Keys: keys, Audit: log, BaseURL: "http://pki.example", Node: node,
		Organization: "Gobierno Autónomo Departamental de Oruro", OrganizationID: "123456789", ShortName: "GAD Oruro", Now: clk.Now}}
	if w.CA, err = ca.New(w.cfg); err != nil {
		t.Fatal(err)
	}
	w.web = httptest.NewServer(w.Handler())
	t.Cleanup(w.web.Close)
	return w
}

// check re-verifies what must always hold.
func (w *world) check(t testing.TB) {
	t.Helper()
	ctx := context.Background()
	count := func(q string, args ...any) int {
		t.Helper()
		var n int
		if err := w.db.QueryRow(ctx, q, args...).Scan(&n); err != nil {
			t.Errorf("%s: %v", q, err)
		}
		return n
	}
	if n := count(`SELECT COUNT(sn) FROM ca_certificate AS c WHERE NOT EXISTS (SELECT 1 FROM ca_intent AS i WHERE i.sn = c.sn AND i.state = 'issued')`); n != 0 {
		t.Errorf("%d certificates without an issued intent", n)
	}
	issued := count(`SELECT COUNT(sn) FROM ca_certificate`)
	if n := count(`SELECT COUNT(id) FROM audit_entry WHERE kind = 'ca.issue' AND outcome = 'ok'`); n != issued {
		t.Errorf("%d certificates, %d audit entries of issue", issued, n)
	}
	intents := count(`SELECT COUNT(sn) FROM ca_intent`)
	if n := count(`SELECT COUNT(id) FROM audit_entry WHERE kind = 'ca.issue' AND outcome = 'intent'`); n != intents {
		t.Errorf("%d intents, %d audit entries of intent", intents, n)
	}
	if n := count(`SELECT COUNT(sn) FROM ca_intent AS i WHERE state = 'abandoned' AND NOT EXISTS (SELECT 1 FROM ca_revocation AS r WHERE r.sn = i.sn)`); n != 0 {
		t.Errorf("%d abandoned numbers that are not revoked", n)
	}
	if n, m := count(`SELECT COUNT(id) FROM audit_open`), count(`SELECT COUNT(sn) FROM ca_intent WHERE state = 'intended'`); n != m {
		t.Errorf("%d open audit intents, %d open issuances", n, m)
	}
	tokens := count(`SELECT COUNT(sn) FROM tsa_token`)
	if n := count(`SELECT COUNT(id) FROM audit_entry WHERE kind = 'tsa.stamp'`); n != tokens {
		t.Errorf("%d token numbers, %d audit entries", tokens, n)
	}
	w.checkCertificates(t)
}

// checkCertificates compares each certificate with its intent, octet by octet,
// and finds its hash in the log.
func (w *world) checkCertificates(t testing.TB) {
	t.Helper()
	rows, err := w.db.Query(context.Background(), `SELECT c.der, i.tbs, c.sha256, e.body FROM ca_certificate AS c JOIN ca_intent AS i ON i.sn = c.sn
		JOIN audit_entry AS e ON e.id = i.audit_outcome`)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var der, tbs, sum, body []byte
		if err := rows.Scan(&der, &tbs, &sum, &body); err != nil {
			t.Error(err)
			return
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil || string(cert.RawTBSCertificate) != string(tbs) {
			t.Errorf("certificate differs from what was linted: %v", err)
		}
		if got := sha256.Sum256(der); string(got[:]) != string(sum) || string(body) != string(sum) {
			t.Error("the log's leaf is not the certificate's hash")
		}
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
}

func newKey(t testing.TB) crypto.Signer {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (w *world) person(t testing.TB) identity.PersonID {
	t.Helper()
	p := identity.PersonID(identity.NewID(identity.PrefixPerson, w.clock.Now()))
	if err := w.db.Write(t.Context(), func(tx *db.Tx) error { return subject.Create(tx, p, subject.Active, w.clock.Now()) }); err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) bump(t testing.TB, p identity.PersonID, s subject.State) {
	t.Helper()
	if err := w.db.Write(t.Context(), func(tx *db.Tx) error {
		_, err := subject.Bump(tx, p, s, "test", w.clock.Now())
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

func proof(t testing.TB, intent string, key crypto.Signer) []byte {
	t.Helper()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: intent}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func (w *world) appointment(p identity.PersonID, to time.Time) *identity.Appointment {
	now := w.clock.Now()
	return &identity.Appointment{ID: identity.AppointmentID(identity.NewID(identity.PrefixAppointment, now)), Person: p,
		Institution: identity.Institution{ID: identity.InstitutionID(identity.NewID(identity.PrefixInstitution, now)),
			Name: "Gobierno Autónomo Departamental de Oruro", TaxID: "123456789"},
		Title: "Director de Contrataciones", Unit: "Secretaría de Obras Públicas", From: now.Add(-time.Hour), To: to}
}

func (w *world) request(t testing.TB, p identity.PersonID, key crypto.Signer) ca.Request {
	t.Helper()
	intent := identity.NewID("int", w.clock.Now())
	return ca.Request{IntentID: intent, Person: p, Epoch: 1, Actor: string(p), PublicKey: key.Public(), Proof: proof(t, intent, key),
		Name:     identity.Name{Given: "María José", FirstSurname: "Ñañez", SecondSurname: "Quispe"},
		Document: identity.Document{Type: identity.DocumentCI, Number: "1234567", Complement: "1A"}}
}

func (w *world) citizen(t testing.TB, p identity.PersonID) ca.Certificate {
	t.Helper()
	c, err := w.IssueCitizen(t.Context(), w.request(t, p, newKey(t)))
	if err != nil {
		t.Fatalf("issue: %v", err)
	}
	return c
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// get fetches a path of the authority's addresses.
func (w *world) get(t testing.TB, path string) (int, http.Header, []byte) {
	t.Helper()
	resp, err := http.Get(w.web.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, body
}

func write(t testing.TB, dir, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func writePEM(t testing.TB, dir, name, kind string, ders ...[]byte) string {
	t.Helper()
	var out []byte
	for _, d := range ders {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: d})...)
	}
	return write(t, dir, name, out)
}

// openssl runs the program and returns what it says; it fails the test where
// the program is missing and SUTI_TEST_REQUIRE is 1.
func openssl(t testing.TB, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		dbtest.Missing(t, "openssl is not installed")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("openssl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// verify asks openssl for the whole path with all lists, as fetched over HTTP.
func (w *world) verify(t testing.TB, c ca.Certificate, policy string) error {
	t.Helper()
	dir := t.TempDir()
	var lists [][]byte
	for _, der := range append([][]byte{c.DER}, c.Path[:len(c.Path)-1]...) {
		cert := parse(t, der)
		for _, u := range cert.CRLDistributionPoints {
			code, _, body := w.get(t, strings.TrimPrefix(u, "http://pki.example"))
			if code != http.StatusOK {
				t.Fatalf("list %s: status %d", u, code)
			}
			lists = append(lists, body)
		}
		for _, u := range cert.IssuingCertificateURL {
			if code, _, body := w.get(t, strings.TrimPrefix(u, "http://pki.example")); code != http.StatusOK || cert.CheckSignatureFrom(parse(t, body)) != nil {
				t.Fatalf("issuer %s: status %d, or not the issuer", u, code)
			}
		}
	}
	args := []string{"verify", "-x509_strict", "-crl_check_all", "-attime", fmt.Sprint(w.clock.Now().Unix() + 1),
		"-CAfile", writePEM(t, dir, "root.pem", "CERTIFICATE", c.Path[len(c.Path)-1]),
		"-untrusted", writePEM(t, dir, "path.pem", "CERTIFICATE", c.Path...),
		"-CRLfile", writePEM(t, dir, "lists.pem", "X509 CRL", lists...)}
	if policy != "" {
		args = append(args, "-policy", policy, "-explicit_policy")
	}
	_, err := openssl(t, append(args, writePEM(t, dir, "leaf.pem", "CERTIFICATE", c.DER))...)
	return err
}

// ask asks the responder with openssl over HTTP and returns its words.
func (w *world) ask(t testing.TB, c ca.Certificate, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	all := append([]string{"ocsp", "-url", w.web.URL + "/pki/ocsp", "-CAfile", writePEM(t, dir, "root.pem", "CERTIFICATE", c.Path[len(c.Path)-1]),
		"-verify_other", writePEM(t, dir, "path.pem", "CERTIFICATE", c.Path...), "-issuer", writePEM(t, dir, "issuer.pem", "CERTIFICATE", c.Path[0])}, args...)
	out, err := openssl(t, append(all, "-cert", writePEM(t, dir, "leaf.pem", "CERTIFICATE", c.DER))...)
	if err != nil && !strings.Contains(out, "Responder Error") {
		t.Errorf("%v", err)
	}
	if slices.Contains(args, "-nonce") && strings.Contains(out, "no nonce") {
		t.Errorf("nonce not answered:\n%s", out)
	}
	return out
}

func says(t testing.TB, out string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(out, word) {
			t.Errorf("openssl does not say %q:\n%s", word, out)
		}
	}
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}
