package ca_test

import (
	"bytes"
	"crypto/x509"
	"net/http"
	"testing"
	"time"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// An official's certificate is accepted by foreign programs, and no longer once
// it is revoked: by OCSP at once, by the list with the next publication.
func TestIssueAnswerRevoke(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		p := w.person(t)
		r := w.request(t, p, newKey(t))
		end := w.clock.Now().AddDate(0, 2, 0)
		r.Appointment = w.appointment(p, end)
		c, err := w.IssueOfficial(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Serial) != 17 || c.Serial[0] != 1 || !c.NotAfter.Before(end) || len(c.Path) != 2 || c.Existing {
			t.Errorf("got number of %d octets, prefix %d, end %v, path of %d", len(c.Serial), c.Serial[0], c.NotAfter, len(c.Path))
		}
		cert := parse(t, c.DER)
		roots, inter := x509.NewCertPool(), x509.NewCertPool()
		roots.AddCert(w.Roots()[0])
		inter.AddCert(parse(t, c.Path[0]))
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: inter, CurrentTime: w.clock.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("crypto/x509: %v", err)
		}
		if err := w.verify(t, c, "1.3.6.1.4.1.32473.1.1.2.1"); err != nil {
			t.Error(err)
		}
		for _, hash := range []string{"-sha1", "-sha256"} {
			says(t, w.ask(t, c, hash, "-nonce"), "Response verify OK", ": good")
			says(t, w.ask(t, c, hash, "-no_nonce"), "Response verify OK", ": good")
		}
		if err := w.Revoke(t.Context(), c.Serial, ca.AffiliationChanged, "per_supervisor"); err != nil {
			t.Fatal(err)
		}
		for _, nonce := range []string{"-nonce", "-no_nonce"} {
			says(t, w.ask(t, c, "-sha256", nonce), "Response verify OK", ": revoked", "affiliationChanged")
		}
		if err := w.verify(t, c, ""); err != nil {
			t.Errorf("list before the next publication: %v", err)
		}
		if n, err := w.PublishCRL(t.Context()); err != nil || n != 1 {
			t.Errorf("published %d, %v", n, err)
		}
		if err := w.verify(t, c, ""); err == nil || !bytes.Contains([]byte(err.Error()), []byte("certificate revoked")) {
			t.Errorf("openssl verify after publication: %v", err)
		}
		wantErr(t, "second revocation", w.Revoke(t.Context(), c.Serial, ca.KeyCompromise, "per_x"), ca.ErrRevoked)
		st, err := w.Status(t.Context(), c.Serial)
		if err != nil || !st.Revoked || st.Reason != ca.AffiliationChanged || st.State != "issued" {
			t.Errorf("status %+v, %v", st, err)
		}
	})
}

func TestOneShotAndCitizen(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		p := w.person(t)
		citizen := w.citizen(t, p)
		if got := citizen.NotAfter.Sub(citizen.NotBefore); got != 365*24*time.Hour-time.Second {
			t.Errorf("citizen's certificate lasts %s", got)
		}
		c, err := w.IssueOneShot(t.Context(), w.request(t, p, newKey(t)))
		if err != nil {
			t.Fatal(err)
		}
		if got := c.NotAfter.Sub(c.NotBefore); got != 15*time.Minute-time.Second {
			t.Errorf("one-shot certificate lasts %s", got)
		}
		for _, x := range []ca.Certificate{citizen, c} {
			if err := w.verify(t, x, ""); err != nil {
				t.Error(err)
			}
			says(t, w.ask(t, x), ": good")
		}
	})
}

// Restarting finds what is there and makes nothing twice.
func TestInitIsIdempotent(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		root := w.Roots()[0]
		again := open(t, d, w.clock, "uno")
		if err := again.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(again.Roots()) != 1 || !again.Roots()[0].Equal(root) {
			t.Error("another root after a restart")
		}
		var n int
		if err := d.QueryRow(t.Context(), `SELECT COUNT(sn) FROM ca_intent`).Scan(&n); err != nil || n != 6 {
			t.Errorf("%d intents, want root, 2 authorities, 2 responders, 1 unit (%v)", n, err)
		}
	})
}

// TestInitAcrossSeconds starts an authority so slowly that its certificates
// become valid in later seconds than the one it began in.
func TestInitAcrossSeconds(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := open(t, d, begin(), "uno")
		slow := w.cfg
		slow.Now = func() time.Time {
			w.clock.Add(300 * time.Millisecond)
			return w.clock.Now()
		}
		c, err := ca.New(slow)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, db.SQLite, lines()))
	for _, tc := range []struct {
		path string
		code int
		kind string
	}{
		{"/pki/ca/raiz-g1.cer", http.StatusOK, "application/pkix-cert"},
		{"/pki/ca/firma-g1.cer", http.StatusOK, "application/pkix-cert"},
		{"/pki/crl/raiz-g1.crl", http.StatusOK, "application/pkix-crl"},
		{"/pki/crl/servicios-g1.crl", http.StatusOK, "application/pkix-crl"},
		{"/pki/ca/raiz-g1", http.StatusNotFound, ""},
		{"/pki/ca/raiz-g2.cer", http.StatusNotFound, ""},
		{"/pki/crl/nada.crl", http.StatusNotFound, ""},
		{"/pki/ca/..%2f..%2fx.cer", http.StatusNotFound, ""},
		{"/pki/", http.StatusNotFound, ""},
		{"/", http.StatusNotFound, ""},
	} {
		code, h, _ := w.get(t, tc.path)
		if code != tc.code || tc.kind != "" && h.Get("Content-Type") != tc.kind {
			t.Errorf("%s: got %d %q", tc.path, code, h.Get("Content-Type"))
		}
		if code == http.StatusOK && (h.Get("Cache-Control") == "" || h.Get("Last-Modified") == "") {
			t.Errorf("%s: no caching headers", tc.path)
		}
	}
	resp, err := http.Post(w.web.URL+"/pki/crl/raiz-g1.crl", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST of a list: %d", resp.StatusCode)
	}
}

func TestProductionRefusesShortCuts(t *testing.T) {
	t.Parallel()
	w := open(t, dbtest.Open(t, db.SQLite, lines()), begin(), "uno")
	c := w.cfg
	c.Mode = ca.Production
	if _, err := ca.New(c); err == nil {
		t.Error("production accepts the documentation arc")
	}
	c.Arc = "1.3.6.1.4.1.99999"
	x, err := ca.New(c)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "production without a root", x.Init(t.Context()), ca.ErrNeedsRoot)
	_, err = w.IssueCitizen(t.Context(), w.request(t, w.person(t), newKey(t)))
	wantErr(t, "issue before Init", err, ca.ErrNotReady)
	c.InsecureOnlineRoot = true
	if x, err = ca.New(c); err != nil {
		t.Fatal(err)
	}
	if err := x.Init(t.Context()); err != nil {
		t.Error(err)
	}
}
