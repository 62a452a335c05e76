package cades_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"io"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/cades"
	"oruro.gob.bo/suti/signer/internal/evidence/evidencetest"
	"oruro.gob.bo/suti/signer/pades/online"
)

// now is the time of all tests that set one.
var now = time.Date(2026, 11, 24, 14, 0, 0, 0, time.UTC)

// document is what is signed.
var document = []byte("numero;monto\n1;250,50\n")

// lab is a world with a network.
type lab struct {
	*evidencetest.Lab
	t testing.TB
}

func newLab(t testing.TB, at time.Time) *lab { return &lab{evidencetest.New(t, at), t} }

func (l *lab) Timestamp(_ context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	return l.Lab.Timestamp(h, digest)
}

func (l *lab) extension() *cades.ExtendOptions {
	l.t.Helper()
	s, err := online.New(online.Config{AllowPrivate: true, Now: l.Now})
	if err != nil {
		l.t.Fatal(err)
	}
	return &cades.ExtendOptions{Roots: evidencetest.Pool(l.Root), TimestampRoots: evidencetest.Pool(l.TSARoot), Evidence: s, Now: l.Now}
}

func (l *lab) try(who *evidencetest.Node, o cades.Options) (*cades.Signed, error) {
	o.SigningTime, o.Extend = l.Now(), l.extension()
	if o.MediaType == "" {
		o.MediaType = "text/csv"
	}
	return cades.Sign(context.Background(), bytes.NewReader(document), who.Key, who.Chain(), l, o)
}

func (l *lab) sign(who *evidencetest.Node, o cades.Options) []byte {
	l.t.Helper()
	s, err := l.try(who, o)
	if err != nil {
		l.t.Fatal(err)
	}
	if want := max(o.Level, cades.LevelBB); s.Requested != want || s.Achieved != want {
		l.t.Fatalf("requested %v, achieved %v, want %v", s.Requested, s.Achieved, want)
	}
	return s.CMS
}

// verify verifies a signature over document at a time, with nobody to ask.
func (l *lab) verify(sig []byte, at time.Time, content ...byte) *cades.Report {
	l.t.Helper()
	if content == nil {
		content = document
	}
	r, err := cades.Verify(context.Background(), sig, bytes.NewReader(content), cades.VerifyOptions{
		Roots: evidencetest.Pool(l.Root), TimestampRoots: evidencetest.Pool(l.TSARoot), At: at,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// only returns the report of the one signature.
func (l *lab) only(sig []byte, content ...byte) cades.SignatureReport {
	l.t.Helper()
	r := l.verify(sig, l.Now(), content...)
	if len(r.Signatures) != 1 {
		l.t.Fatalf("%d signatures", len(r.Signatures))
	}
	return r.Signatures[0]
}

func want(t testing.TB, name string, s cades.SignatureReport, v cades.Verdict, sub string, level cades.Level) {
	t.Helper()
	if s.Verdict != v || s.SubIndication != sub || s.Level != level {
		t.Errorf("%s: got %s %s %q (%s), want %s %s %q; %v", name, s.Verdict, s.SubIndication, s.Level, s.Detail, v, sub, level, s.Warnings)
	}
}

func wantCode(t testing.TB, name string, err error, code cades.Code) {
	t.Helper()
	var refused *cades.RefusedError
	if !errors.As(err, &refused) || refused.Code != code {
		t.Errorf("%s: got %v, want refusal %s", name, err, code)
	}
}

func warns(s cades.SignatureReport, code string) bool {
	for _, w := range s.Warnings {
		if w.Code == code {
			return true
		}
	}
	return false
}

// counted counts what is read of content, and how much of it at once.
type counted struct {
	r       io.Reader
	n       int64
	largest int
}

func (c *counted) Read(p []byte) (int, error) {
	c.largest = max(c.largest, len(p))
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func withKey(k crypto.Signer, chain []*x509.Certificate, by *evidencetest.Node) *evidencetest.Node {
	return &evidencetest.Node{Cert: chain[0], Key: k, Above: by}
}
