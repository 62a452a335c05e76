package evidence

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"net/http"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/tsp"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock is a settable clock.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: epoch.AddDate(0, 1, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// web answers requests in process and counts them by address.
type web struct {
	mu     sync.Mutex
	routes map[string]http.HandlerFunc
	hits   map[string]int
}

func newWeb() *web { return &web{routes: map[string]http.HandlerFunc{}, hits: map[string]int{}} }

func (w *web) on(url string, h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.routes[url] = h
}

func (w *web) count(url string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hits[url]
}

func (w *web) total() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, v := range w.hits {
		n += v
	}
	return n
}

var errNoRoute = errors.New("no route to host")

// Do implements Doer. A handler that waits on the request's context makes the
// exchange time out.
func (w *web) Do(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	h := w.routes[r.URL.String()]
	w.hits[r.URL.String()]++
	w.mu.Unlock()
	if h == nil {
		return nil, errNoRoute
	}
	rec := &recorder{header: http.Header{}, status: http.StatusOK}
	if r.Body == nil {
		r.Body = http.NoBody
	}
	h(rec, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	body := io.Reader(&rec.body)
	if rec.stream != nil {
		body = rec.stream
	}
	length := int64(-1)
	if rec.announced != 0 {
		length = rec.announced
	}
	return &http.Response{StatusCode: rec.status, Header: rec.header, Body: io.NopCloser(body), ContentLength: length}, nil
}

type recorder struct {
	header    http.Header
	status    int
	body      bytes.Buffer
	stream    io.Reader
	announced int64
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(s int)           { r.status = s }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

func bytesHandler(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }
}

func statusHandler(s int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(s) }
}

// stuck waits until the request is given up.
func stuck(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// node is a certificate with its key.
type node struct {
	cert *x509.Certificate
	key  crypto.Signer
}

var serials struct {
	sync.Mutex
	n int64
}

func nextSerial() *big.Int {
	serials.Lock()
	defer serials.Unlock()
	serials.n++
	return big.NewInt(1000 + serials.n)
}

// issue makes a certificate below by, or a root where by is nil.
func issue(tb testing.TB, name string, by *node, change func(*x509.Certificate)) *node {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	t := &x509.Certificate{SerialNumber: nextSerial(), Subject: pkix.Name{CommonName: name}, NotBefore: epoch, NotAfter: epoch.AddDate(60, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature}
	if by == nil || change == nil {
		t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		h := nextSerial().Bytes()
		t.SubjectKeyId = h
	}
	if change != nil {
		change(t)
	}
	parent, signer := t, crypto.Signer(k)
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, t, parent, k.Public(), signer)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return &node{cert: c, key: k}
}

// pool returns a pool of roots.
func pool(nodes ...*node) *x509.CertPool {
	p := x509.NewCertPool()
	for _, n := range nodes {
		p.AddCert(n.cert)
	}
	return p
}

func tsuTemplate(tb testing.TB) func(*x509.Certificate) {
	v, err := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}})
	if err != nil {
		tb.Fatal(err)
	}
	return func(c *x509.Certificate) {
		c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: v}}
	}
}

// authority is a time-stamping authority; change may spoil what it signs.
type authority struct {
	root, tsu *node
	clk       *clock
	policy    asn1.ObjectIdentifier
	change    func(*tsp.TSTInfo)
}

func newAuthority(tb testing.TB, clk *clock) *authority {
	root := issue(tb, "Raíz de sellado", nil, nil)
	return &authority{root: root, tsu: issue(tb, "TSU", root, tsuTemplate(tb)), clk: clk, policy: asn1.ObjectIdentifier{1, 2, 3, 4}}
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(io.LimitReader(r.Body, tsp.MaxRequest+1))
	if err != nil || r.Header.Get("Content-Type") != tsp.RequestType {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	req, err := tsp.ParseRequest(b)
	if err != nil {
		_, _ = w.Write(tsp.RejectError(err, ""))
		return
	}
	info := &tsp.TSTInfo{Policy: a.policy, Imprint: req.Imprint, Serial: nextSerial(), GenTime: a.clk.now(), Nonce: req.Nonce}
	if a.change != nil {
		a.change(info)
	}
	out, err := a.respond(info, !req.CertReq)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(out)
}

func (a *authority) respond(info *tsp.TSTInfo, omit bool) ([]byte, error) {
	p, err := tsp.PrepareToken(info, a.tsu.cert, 0)
	if err != nil {
		return nil, err
	}
	sig, err := p.Sign(rand.Reader, a.tsu.key)
	if err != nil {
		return nil, err
	}
	token, err := p.Assemble(sig, cms.AssembleOptions{OmitCertificates: omit})
	if err != nil {
		return nil, err
	}
	return tsp.Grant(token)
}

// listHandler serves a fresh list of an issuer.
func listHandler(issuer *node, clk *clock, revoked ...*x509.Certificate) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		l := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: clk.now(), NextUpdate: clk.now().AddDate(0, 0, 7)}
		for _, c := range revoked {
			l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: clk.now().Add(-time.Hour), ReasonCode: 4})
		}
		der, err := x509.CreateRevocationList(rand.Reader, l, issuer.cert, issuer.key)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(der)
	}
}

func imprint() tsp.Imprint {
	h := crypto.SHA256.New()
	h.Write([]byte("valor de firma"))
	return tsp.Imprint{Hash: crypto.SHA256, Digest: h.Sum(nil)}
}

var bg = context.Background
