// Package evidencetest is a small certification world for tests: a root, an
// intermediate, a time-stamping authority under a root of its own, an OCSP
// responder, lists and issuers, all served over HTTP on loopback, with a clock
// that tests set.
//
// Only tests below signer/ import it.
package evidencetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/tsp"
)

// Node is a certificate with its key and the path above it.
type Node struct {
	Cert  *x509.Certificate
	Key   crypto.Signer
	Above *Node
}

// Chain returns the certificate and those above it but the root.
func (n *Node) Chain() []*x509.Certificate {
	var out []*x509.Certificate
	for ; n.Above != nil; n = n.Above {
		out = append(out, n.Cert)
	}
	return out
}

// Lab is the world. Set what it is to do before it is asked.
type Lab struct {
	URL                                      string
	Root, Inter, TSARoot, TSA, OCSPResponder *Node

	mu      sync.Mutex // guards what follows
	now     func() time.Time
	serial  int64
	revoked map[string]time.Time // by serial number
	down    map[string]bool      // paths that answer 503
	asked   map[string]int
	reuse   time.Duration // age of lists
}

// New starts a lab at a time, nil for the clock of the machine. Its
// certificates are valid for ten years before and after; change alters them.
func New(tb testing.TB, at time.Time) *Lab {
	tb.Helper()
	l := &Lab{now: time.Now, revoked: map[string]time.Time{}, down: map[string]bool{}, asked: map[string]int{}}
	if !at.IsZero() {
		l.SetTime(at)
	}
	srv := httptest.NewServer(l)
	tb.Cleanup(srv.Close)
	l.URL = srv.URL
	l.Root = l.Issue(tb, "Raíz de laboratorio", nil, CA)
	l.Inter = l.Issue(tb, "Emisora de laboratorio", l.Root, CA, l.At("root", false))
	l.TSARoot = l.Issue(tb, "Raíz de tiempo de laboratorio", nil, CA)
	l.OCSPResponder = l.Issue(tb, "Respondedor", l.Inter, func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageDigitalSignature
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}}}
	})
	l.TSA = l.NewTSA(tb)
	return l
}

// NewTSA makes another unit of the time-stamping authority and stamps with it.
func (l *Lab) NewTSA(tb testing.TB, change ...func(*x509.Certificate)) *Node {
	tb.Helper()
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		tb.Fatal(err)
	}
	unit := func(c *x509.Certificate) {
		c.KeyUsage = x509.KeyUsageDigitalSignature
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: usage}}
	}
	n := l.Issue(tb, "Unidad de tiempo", l.TSARoot, append([]func(*x509.Certificate){unit, l.At("tsaroot", false)}, change...)...)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.TSA = n
	return n
}

// Signer makes a person's certificate, with a responder and a list.
func (l *Lab) Signer(tb testing.TB, cn string, change ...func(*x509.Certificate)) *Node {
	tb.Helper()
	return l.Issue(tb, cn, l.Inter, append([]func(*x509.Certificate){l.At("inter", true)}, change...)...)
}

// CA makes a certificate one of an authority.
func CA(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid = true, true
	c.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
}

// At puts the addresses of an issuer's list, certificate and responder into a certificate.
func (l *Lab) At(issuer string, responder bool) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.CRLDistributionPoints = []string{l.URL + "/crl/" + issuer}
		c.IssuingCertificateURL = []string{l.URL + "/cer/" + issuer}
		if responder {
			c.OCSPServer = []string{l.URL + "/ocsp"}
		}
	}
}

// Issue makes a certificate below another, or a root.
func (l *Lab) Issue(tb testing.TB, cn string, by *Node, change ...func(*x509.Certificate)) *Node {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	l.mu.Lock()
	l.serial++
	// Long serial numbers, so that none is found within another's.
	serial := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(0x5eed), 64), big.NewInt(l.serial))
	now := l.now()
	l.mu.Unlock()
	t := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: cn, Organization: []string{"Suti"}, Country: []string{"BO"}},
		NotBefore: now.AddDate(-10, 0, 0), NotAfter: now.AddDate(10, 0, 0), KeyUsage: x509.KeyUsageContentCommitment,
	}
	for _, f := range change {
		f(t)
	}
	parent, signer := t, crypto.Signer(k)
	if by != nil {
		parent, signer = by.Cert, by.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, k.Public(), signer)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return &Node{Cert: c, Key: k, Above: by}
}

// SetTime stops the clock at a time.
func (l *Lab) SetTime(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = func() time.Time { return t }
}

// Now is the clock.
func (l *Lab) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now()
}

// Revoke revokes a certificate from a time on.
func (l *Lab) Revoke(c *x509.Certificate, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.revoked[c.SerialNumber.String()] = at
}

// Down makes a path answer 503, or no longer.
func (l *Lab) Down(path string, down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down[path] = down
}

// AgeLists makes lists that were issued so long ago.
func (l *Lab) AgeLists(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reuse = d
}

// Asked returns how often a path was asked.
func (l *Lab) Asked(path string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked[path]
}

// Pool returns a pool of one root.
func Pool(nodes ...*Node) *x509.CertPool {
	p := x509.NewCertPool()
	for _, n := range nodes {
		p.AddCert(n.Cert)
	}
	return p
}

// ServeHTTP implements http.Handler.
func (l *Lab) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	l.asked[r.URL.Path]++
	down := l.down[r.URL.Path]
	l.mu.Unlock()
	if down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var out []byte
	if err == nil {
		out, err = l.answer(w, r.URL.Path, body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(out)
}

func (l *Lab) answer(w http.ResponseWriter, path string, body []byte) ([]byte, error) {
	issuers := map[string]*Node{"root": l.Root, "inter": l.Inter, "tsaroot": l.TSARoot}
	switch {
	case path == "/tsa":
		w.Header().Set("Content-Type", tsp.ResponseType)
		return l.stamp(body)
	case path == "/ocsp":
		w.Header().Set("Content-Type", "application/ocsp-response")
		return l.ocsp(body)
	case len(path) > 5 && path[:5] == "/crl/" && issuers[path[5:]] != nil:
		return l.list(issuers[path[5:]])
	case len(path) > 5 && path[:5] == "/cer/" && issuers[path[5:]] != nil:
		return issuers[path[5:]].Cert.Raw, nil
	}
	return nil, fmt.Errorf("no %s", path)
}

func (l *Lab) list(issuer *Node) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.now().Add(-l.reuse)
	rl := &x509.RevocationList{Number: big.NewInt(at.Unix()), ThisUpdate: at, NextUpdate: at.AddDate(0, 0, 7)}
	for s, when := range l.revoked {
		n, _ := new(big.Int).SetString(s, 10)
		rl.RevokedCertificateEntries = append(rl.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: when, ReasonCode: 1})
	}
	return x509.CreateRevocationList(rand.Reader, rl, issuer.Cert, issuer.Key)
}

func (l *Lab) ocsp(body []byte) ([]byte, error) {
	req, err := ocsp.ParseRequest(body)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	res := ocsp.Response{Status: ocsp.Good, SerialNumber: req.SerialNumber, ThisUpdate: now, NextUpdate: now.AddDate(0, 0, 1), Certificate: l.OCSPResponder.Cert, IssuerHash: crypto.SHA1}
	if when, ok := l.revoked[req.SerialNumber.String()]; ok {
		res.Status, res.RevokedAt, res.RevocationReason = ocsp.Revoked, when, ocsp.KeyCompromise
	}
	return ocsp.CreateResponse(l.Inter.Cert, l.OCSPResponder.Cert, res, l.OCSPResponder.Key)
}

func (l *Lab) stamp(body []byte) ([]byte, error) {
	req, err := tsp.ParseRequest(body)
	if err != nil {
		return tsp.RejectError(err, ""), nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	token, err := l.token(req.Imprint, req.Nonce)
	if err != nil {
		return nil, err
	}
	return tsp.Grant(token)
}

// token makes a time-stamp; l.mu is held.
func (l *Lab) token(imprint tsp.Imprint, nonce *big.Int) ([]byte, error) {
	l.serial++
	info := &tsp.TSTInfo{Policy: asn1.ObjectIdentifier{1, 2, 3, 4}, Imprint: imprint, Serial: big.NewInt(l.serial), GenTime: l.now(), Nonce: nonce}
	p, err := tsp.PrepareToken(info, l.TSA.Cert, 0)
	if err != nil {
		return nil, err
	}
	sig, err := p.Sign(rand.Reader, l.TSA.Key)
	if err != nil {
		return nil, err
	}
	return p.Assemble(sig, cms.AssembleOptions{})
}

// Timestamp stamps in the process, as a Timestamper of package pades.
func (l *Lab) Timestamp(h crypto.Hash, digest []byte) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.token(tsp.Imprint{Hash: h, Digest: digest}, nil)
}
