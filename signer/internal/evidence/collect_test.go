package evidence

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"oruro.gob.bo/suti/signer/internal/evidence/revocation"
)

// Addresses in the certificates of a world.
const (
	ocspURL    = "http://ocsp.test/"
	crlURL     = "http://pki.test/firma.crl"
	rootCRLURL = "http://pki.test/root.crl"
	interURL   = "http://pki.test/firma.crt"
)

// world is a root, an issuing authority, a delegated responder and a signer,
// with their sources on a web.
type world struct {
	clk                         *clock
	web                         *web
	root, inter, respCert, leaf *node
	resp                        *responder
}

func newWorld(tb testing.TB, change func(leaf, respCert *x509.Certificate)) *world {
	tb.Helper()
	return buildWorld(tb, rootCRLURL, change)
}

// newWorldAt has its sources below a real address.
func newWorldAt(tb testing.TB, base string) *world {
	tb.Helper()
	return buildWorld(tb, base+"/root.crl", func(leaf, _ *x509.Certificate) {
		leaf.OCSPServer, leaf.CRLDistributionPoints, leaf.IssuingCertificateURL = []string{base + "/ocsp"}, nil, nil
	})
}

func buildWorld(tb testing.TB, rootList string, change func(leaf, respCert *x509.Certificate)) *world {
	tb.Helper()
	w := &world{clk: newClock(), web: newWeb()}
	leaf, resp := &x509.Certificate{}, &x509.Certificate{}
	leaf.OCSPServer, leaf.CRLDistributionPoints, leaf.IssuingCertificateURL = []string{ocspURL}, []string{crlURL}, []string{interURL}
	resp.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	resp.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 5}, Value: []byte{5, 0}}}
	if change != nil {
		change(leaf, resp)
	}
	with := func(o *x509.Certificate) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.OCSPServer, c.CRLDistributionPoints, c.IssuingCertificateURL = o.OCSPServer, o.CRLDistributionPoints, o.IssuingCertificateURL
			c.ExtKeyUsage, c.ExtraExtensions = o.ExtKeyUsage, o.ExtraExtensions
		}
	}
	w.root = issue(tb, "Raíz", nil, nil)
	w.inter = issue(tb, "CA firma", w.root, func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
		c.SubjectKeyId = nextSerial().Bytes()
		c.CRLDistributionPoints = []string{rootList}
	})
	w.respCert = issue(tb, "OCSP", w.inter, with(resp))
	w.leaf = issue(tb, "Firmante", w.inter, with(leaf))
	w.resp = &responder{issuer: w.inter, by: w.respCert, clk: w.clk}
	w.web.on(ocspURL, w.resp.ServeHTTP)
	w.web.on(crlURL, listHandler(w.inter, w.clk))
	w.web.on(rootCRLURL, listHandler(w.root, w.clk))
	w.web.on(interURL, bytesHandler(w.inter.cert.Raw))
	return w
}

func (w *world) chain() []*x509.Certificate {
	return []*x509.Certificate{w.leaf.cert, w.inter.cert, w.root.cert}
}

func (w *world) query() Query { return Query{Chains: [][]*x509.Certificate{w.chain()}} }

func (w *world) collector(tb testing.TB, change func(*CollectorConfig)) *Collector {
	tb.Helper()
	c := CollectorConfig{HTTP: w.web, Hosts: []string{"ocsp.test", "pki.test"}, Now: w.clk.now}
	if change != nil {
		change(&c)
	}
	col, err := NewCollector(c)
	if err != nil {
		tb.Fatal(err)
	}
	return col
}

func TestCollectProvesAChain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	m, err := w.collector(t, nil).Collect(bg(), w.query())
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Answers) != 2 || m.Answers[0].Source != FromOCSP || m.Answers[1].Source != FromCRL {
		t.Fatalf("answers: %+v", m.Answers)
	}
	if len(m.OCSPs) != 1 || len(m.CRLs) != 1 || len(m.Certificates) != 4 {
		t.Errorf("%d OCSP, %d CRL, %d certificates; want 1, 1, and 4 with the responder's", len(m.OCSPs), len(m.CRLs), len(m.Certificates))
	}
	// The material proves the same without a network.
	at := revocation.Options{At: w.clk.now()}
	if st, err := revocation.CheckOCSP(m.OCSPs[0], w.leaf.cert, w.inter.cert, at); err != nil || st.State != revocation.Good {
		t.Errorf("OCSP offline: %v", err)
	}
	list, err := revocation.OpenCRL(m.CRLs[0], w.root.cert)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := list.Check(w.inter.cert, at); err != nil || st.State != revocation.Good {
		t.Errorf("list offline: %v", err)
	}
	if w.web.count(crlURL) != 0 {
		t.Error("a list was fetched although OCSP had answered")
	}
}

func TestCollectFallsBackToLists(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"down":            nil,
		"error":           statusHandler(http.StatusInternalServerError),
		"unauthorized":    bytesHandler([]byte{0x30, 3, 10, 1, 6}),
		"rubbish":         bytesHandler([]byte("no")),
		"over 64 KB":      bytesHandler(make([]byte, revocation.MaxOCSP+1)),
		"of another time": (&responder{}).ServeHTTP,
	} {
		w := newWorld(t, nil)
		if name == "of another time" {
			w.resp.age = 48 * time.Hour
			h = w.resp.ServeHTTP
		}
		w.web.on(ocspURL, h)
		m, err := w.collector(t, nil).Collect(bg(), w.query())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		a := m.Answers[0]
		if a.Source != FromCRL || len(a.Attempts) != 2 || a.Attempts[0].Err == nil || a.Attempts[1].Err != nil || len(m.OCSPs) != 0 {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestCollectSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.web.on(ocspURL, nil)
	w.web.on(crlURL, statusHandler(http.StatusNotFound))
	m, err := w.collector(t, nil).Collect(bg(), w.query())
	var ie *IncompleteError
	if !errors.Is(err, ErrIncomplete) || !errors.As(err, &ie) || !errors.Is(err, errNoRoute) || !errors.Is(err, ErrFetch) {
		t.Fatalf("%v, want ErrIncomplete with its causes", err)
	}
	if len(ie.Missing) != 1 || !ie.Missing[0].Certificate.Equal(w.leaf.cert) || len(ie.Missing[0].Attempts) != 2 {
		t.Errorf("missing: %+v", ie.Missing)
	}
	if m == nil || len(m.CRLs) != 1 {
		t.Error("what was found is not given beside the error")
	}
	none := newWorld(t, func(leaf, _ *x509.Certificate) { leaf.OCSPServer, leaf.CRLDistributionPoints = nil, nil })
	if _, err := none.collector(t, nil).Collect(bg(), none.query()); !errors.Is(err, ErrIncomplete) || !errors.Is(err, ErrNoSource) {
		t.Errorf("no sources: %v, want ErrNoSource", err)
	}
}

func TestCollectReportsRevocation(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.resp.revoke(w.leaf.cert)
	m, err := w.collector(t, nil).Collect(bg(), w.query())
	var re *RevokedError
	if !errors.Is(err, ErrRevoked) || !errors.As(err, &re) || !re.Answer.Certificate.Equal(w.leaf.cert) || re.Answer.Status.Reason != 1 || len(m.OCSPs) != 1 {
		t.Errorf("by OCSP: %v", err)
	}
	w = newWorld(t, nil)
	w.web.on(rootCRLURL, listHandler(w.root, w.clk, w.inter.cert))
	w.web.on(ocspURL, nil)
	w.web.on(crlURL, nil)
	if _, err := w.collector(t, nil).Collect(bg(), w.query()); !errors.As(err, &re) || !re.Answer.Certificate.Equal(w.inter.cert) {
		t.Errorf("revoked authority, and nothing known of the signer: %v, want ErrRevoked", err)
	}
}

func TestCollectChecksTheResponder(t *testing.T) {
	t.Parallel()
	checked := func(_, resp *x509.Certificate) {
		resp.ExtraExtensions, resp.CRLDistributionPoints, resp.OCSPServer = nil, []string{crlURL}, []string{ocspURL}
	}
	w := newWorld(t, checked)
	m, err := w.collector(t, nil).Collect(bg(), w.query())
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Answers) != 3 || !m.Answers[2].Certificate.Equal(w.respCert.cert) || m.Answers[2].Source != FromCRL || len(m.CRLs) != 2 {
		t.Errorf("answers: %+v", m.Answers)
	}
	if w.web.count(ocspURL) != 1 {
		t.Error("a responder was asked about itself")
	}
	w = newWorld(t, checked)
	w.web.on(crlURL, listHandler(w.inter, w.clk, w.respCert.cert))
	var re *RevokedError
	if _, err := w.collector(t, nil).Collect(bg(), w.query()); !errors.As(err, &re) || !re.Answer.Certificate.Equal(w.respCert.cert) {
		t.Errorf("revoked responder: %v, want ErrRevoked", err)
	}
	w = newWorld(t, func(_, resp *x509.Certificate) { resp.ExtraExtensions = nil })
	if _, err := w.collector(t, nil).Collect(bg(), w.query()); !errors.Is(err, ErrIncomplete) || !errors.Is(err, ErrNoSource) {
		t.Errorf("responder that cannot be checked: %v, want ErrIncomplete", err)
	}
	w = newWorld(t, func(_, resp *x509.Certificate) { resp.ExtKeyUsage = nil })
	m, err = w.collector(t, nil).Collect(bg(), w.query())
	if err != nil || !errors.Is(m.Answers[0].Attempts[0].Err, revocation.ErrResponder) {
		t.Errorf("responder without the usage: %v", err)
	}
}

func TestCollectWithoutRevocationByDeclaration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(leaf, _ *x509.Certificate) {
		leaf.OCSPServer, leaf.CRLDistributionPoints = nil, nil
		leaf.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 56}, Value: []byte{5, 0}}}
	})
	m, err := w.collector(t, nil).Collect(bg(), w.query())
	if err != nil || m.Answers[0].Source != FromIssuer || len(m.OCSPs) != 0 {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestCollectGoesOnlyToListedHosts(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"http://otro.test/", "http://ocsp.test.otro.test/", "http://ocsp.test:8080/", "ldap://ocsp.test/", "file:///etc/passwd",
		"http://ocsp.test@otro.test/", "http://u@ocsp.test/", "http://ocsp.test/#x", "https:ocsp.test", "//ocsp.test/", "", "http://[::1]/",
		"http://ocsp.test\\@otro.test/", "http://ocsp.test/" + string(make([]byte, 3000)),
	} {
		w := newWorld(t, nil)
		c := w.collector(t, nil)
		leaf := *w.leaf.cert
		leaf.OCSPServer, leaf.CRLDistributionPoints = []string{bad}, nil
		_, err := c.Collect(bg(), Query{Chains: [][]*x509.Certificate{{&leaf, w.inter.cert, w.root.cert}}})
		if !errors.Is(err, ErrAddress) || w.web.count(bad) != 0 {
			t.Errorf("%q: %v, asked %d times; want ErrAddress, 0", bad, err, w.web.count(bad))
		}
	}
	w := newWorld(t, func(leaf, _ *x509.Certificate) { leaf.OCSPServer = []string{"http://OCSP.test:80/"} })
	w.web.on("http://OCSP.test:80/", w.resp.ServeHTTP)
	if m, err := w.collector(t, nil).Collect(bg(), w.query()); err != nil || m.Answers[0].Source != FromOCSP {
		t.Errorf("the scheme's own port: %v", err)
	}
	w = newWorld(t, func(leaf, _ *x509.Certificate) { leaf.OCSPServer = []string{"http://ocsp.test:8080/"} })
	w.web.on("http://ocsp.test:8080/", w.resp.ServeHTTP)
	withPort := func(c *CollectorConfig) { c.Hosts = append(c.Hosts, "ocsp.test:8080") }
	if m, err := w.collector(t, withPort).Collect(bg(), w.query()); err != nil || m.Answers[0].Source != FromOCSP {
		t.Errorf("a listed port: %v", err)
	}
	if m, err := w.collector(t, func(c *CollectorConfig) { c.Hosts, c.AnyHost = nil, true }).Collect(bg(), w.query()); err != nil || m.Answers[0].Source != FromOCSP {
		t.Errorf("any host: %v", err)
	}
}

func TestCollectBoundsSourcesAndSizes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(leaf, _ *x509.Certificate) {
		leaf.OCSPServer = nil
		for i := range 50 {
			leaf.OCSPServer = append(leaf.OCSPServer, fmt.Sprintf("http://ocsp.test/%d", i))
		}
	})
	w.web.on(crlURL, func(rw http.ResponseWriter, _ *http.Request) { rw.(*recorder).stream = zeros{} })
	_, err := w.collector(t, nil).Collect(bg(), w.query())
	var ie *IncompleteError
	if !errors.As(err, &ie) || len(ie.Missing[0].Attempts) != maxSources+1 || !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want %d attempts and ErrTooLarge", err, maxSources+1)
	}
}

func TestCollectCachesWhatIsCurrent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.collector(t, nil)
	collect := func(q Query, total int) *Material {
		t.Helper()
		m, err := c.Collect(bg(), q)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.web.total(); got != total {
			t.Errorf("%d requests so far, want %d", got, total)
		}
		return m
	}
	collect(w.query(), 2)
	collect(w.query(), 2)
	clk := w.clk.now()
	w.clk.add(time.Minute)
	q := w.query()
	q.Since = clk.Add(30 * time.Second) // a time-stamp made after the cache was filled
	m := collect(q, 4)
	if !m.Answers[0].Fresh || !m.Answers[1].Fresh {
		t.Error("evidence of a later moment is not called fresh")
	}
	collect(q, 4)
	w.clk.add(DefaultMaxAge)
	collect(w.query(), 6)
	// From stock: the responder answers with something older than the time-stamp.
	w.resp.age = time.Hour
	w.clk.add(time.Second)
	q.Since = w.clk.now()
	w.clk.add(time.Second)
	m = collect(q, 8)
	if m.Answers[0].Fresh || !m.Answers[1].Fresh {
		t.Errorf("fresh: %v, %v; want false of the response from stock, true of the list", m.Answers[0].Fresh, m.Answers[1].Fresh)
	}
	collect(q, 8)
	// A revocation is seen when the cache is left.
	w.resp.revoke(w.leaf.cert)
	w.clk.add(DefaultMaxAge)
	if _, err := c.Collect(bg(), w.query()); !errors.Is(err, ErrRevoked) {
		t.Errorf("%v, want ErrRevoked", err)
	}
}

func TestCacheStaysWithinItsBound(t *testing.T) {
	t.Parallel()
	clk := newClock()
	c := newCache(clk.now, 1000)
	for i := range 50 {
		c.store(fmt.Sprint(i), &item{der: make([]byte, 100), expires: clk.now().Add(time.Duration(i) * time.Minute)})
	}
	if c.bytes != 1000 || len(c.items) != 10 || c.lookup("49") == nil || c.lookup("39") != nil {
		t.Errorf("%d octets in %d items", c.bytes, len(c.items))
	}
	c.store("49", &item{der: make([]byte, 1001)})
	if c.bytes != 900 || c.lookup("49") != nil {
		t.Errorf("an item over the bound: %d octets", c.bytes)
	}
}

func TestCallersShareOneFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		release := make(chan struct{})
		w.web.on(ocspURL, func(rw http.ResponseWriter, r *http.Request) {
			<-release
			w.resp.ServeHTTP(rw, r)
		})
		c := w.collector(t, nil)
		impatient, cancel := context.WithCancel(bg())
		gone := make(chan error, 1)
		go func() {
			_, err := c.Collect(impatient, w.query())
			gone <- err
		}()
		synctest.Wait()
		done := make(chan error, 20)
		for range 20 {
			go func() {
				_, err := c.Collect(bg(), w.query())
				done <- err
			}()
		}
		synctest.Wait()
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("who gave up: %v", err)
		}
		close(release)
		for range 20 {
			if err := <-done; err != nil {
				t.Errorf("who waited: %v", err)
			}
		}
		if n, lists := w.web.count(ocspURL), w.web.count(crlURL); n != 1 || lists != 0 {
			t.Errorf("%d requests for 21 callers, want 1; %d for lists, want 0", n, lists)
		}
	})
}

func TestFetchBegunBeforeTheTimestampIsRepeated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		release := make(chan struct{})
		w.resp.age = time.Minute
		w.web.on(ocspURL, func(rw http.ResponseWriter, r *http.Request) {
			<-release
			w.resp.ServeHTTP(rw, r)
		})
		c := w.collector(t, nil)
		done := make(chan error, 2)
		go func() {
			_, err := c.Collect(bg(), w.query())
			done <- err
		}()
		synctest.Wait()
		w.clk.add(time.Second)
		q := w.query()
		q.Since = w.clk.now()
		go func() {
			_, err := c.Collect(bg(), q)
			done <- err
		}()
		synctest.Wait()
		close(release)
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := w.web.count(ocspURL); n != 2 {
			t.Errorf("%d requests, want 2: the first had begun too early for the second caller", n)
		}
	})
}

func TestCollectTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.web.on(ocspURL, stuck)
		w.web.on(crlURL, stuck)
		start := time.Now()
		_, err := w.collector(t, nil).Collect(bg(), w.query())
		if !errors.Is(err, ErrIncomplete) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want ErrIncomplete after the deadline", err)
		}
		if got, want := time.Since(start), DefaultTimeout+DefaultCRLTimeout; got != want {
			t.Errorf("after %v, want %v", got, want)
		}
	})
}

func TestNonceIsSentAndChecked(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answer func([]byte) []byte
		from   Source
	}{
		"left out": {nil, FromOCSP},
		"echoed":   {func(b []byte) []byte { return b }, FromOCSP},
		"another":  {func(b []byte) []byte { return make([]byte, len(b)) }, FromCRL},
	} {
		w := newWorld(t, nil)
		sent := 0
		w.resp.nonce = func(b []byte) []byte {
			if sent++; tt.answer == nil {
				return nil
			}
			return tt.answer(b)
		}
		m, err := w.collector(t, func(c *CollectorConfig) { c.Nonce = true }).Collect(bg(), w.query())
		if err != nil || m.Answers[0].Source != tt.from || sent != 1 {
			t.Errorf("%s: %v, from %v, sent %d times", name, err, m.Answers[0].Source, sent)
		}
		if tt.from == FromCRL && !errors.Is(m.Answers[0].Attempts[0].Err, revocation.ErrNonce) {
			t.Errorf("%s: %v, want ErrNonce", name, m.Answers[0].Attempts[0].Err)
		}
	}
}

func TestCompleteFetchesIssuers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	q := PathQuery{Roots: pool(w.root), At: w.clk.now()}
	chains, err := w.collector(t, nil).Complete(bg(), w.leaf.cert, q)
	if err != nil || len(chains) != 1 || len(chains[0]) != 3 || w.web.total() != 1 {
		t.Fatalf("%v, %v after %d requests", chains, err, w.web.total())
	}
	q.Certificates = []*x509.Certificate{w.inter.cert}
	if _, err := w.collector(t, nil).Complete(bg(), w.leaf.cert, q); err != nil || w.web.total() != 1 {
		t.Errorf("issuer at hand: %v, %d requests", err, w.web.total())
	}
	q.Certificates = nil
	for name, h := range map[string]http.HandlerFunc{
		"nothing":            nil,
		"rubbish":            bytesHandler([]byte("no")),
		"itself":             bytesHandler(w.leaf.cert.Raw),
		"an issuer of other": bytesHandler(newWorld(t, nil).inter.cert.Raw),
		"too long":           bytesHandler(make([]byte, maxCertificate+1)),
	} {
		w.web.on(interURL, h)
		if _, err := w.collector(t, nil).Complete(bg(), w.leaf.cert, q); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v, want ErrUntrusted", name, err)
		}
	}
	if _, err := w.collector(t, nil).Complete(bg(), w.leaf.cert, PathQuery{At: w.clk.now()}); !errors.Is(err, ErrParams) {
		t.Errorf("no roots: %v, want ErrParams", err)
	}
}

func TestQueriesAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.collector(t, nil)
	for name, chains := range map[string][][]*x509.Certificate{
		"none":         nil,
		"empty":        {{}},
		"nil":          {{nil}},
		"nil issuer":   {{w.leaf.cert, nil}},
		"out of order": {{w.inter.cert, w.leaf.cert}},
		"long":         {make([]*x509.Certificate, maxLength+1)},
		"many":         make([][]*x509.Certificate, maxChains+1),
	} {
		if _, err := c.Collect(bg(), Query{Chains: chains}); !errors.Is(err, ErrParams) {
			t.Errorf("%s: %v, want ErrParams", name, err)
		}
	}
	m, err := c.Collect(bg(), Query{Chains: [][]*x509.Certificate{{w.root.cert}}})
	if err != nil || len(m.Answers) != 0 || w.web.total() != 0 {
		t.Errorf("an anchor alone: %v", err)
	}
	m, err = c.Collect(bg(), Query{Chains: [][]*x509.Certificate{w.chain(), w.chain()}})
	if err != nil || len(m.Answers) != 2 {
		t.Errorf("the same chain twice: %v", err)
	}
	for name, cfg := range map[string]CollectorConfig{
		"no client":     {Hosts: []string{"a"}},
		"no hosts":      {HTTP: w.web},
		"upper case":    {HTTP: w.web, Hosts: []string{"OCSP.test"}},
		"wildcard":      {HTTP: w.web, Hosts: []string{"*.test"}},
		"an address":    {HTTP: w.web, Hosts: []string{"http://ocsp.test"}},
		"negative time": {HTTP: w.web, AnyHost: true, Timeout: -1},
	} {
		if _, err := NewCollector(cfg); !errors.Is(err, ErrParams) {
			t.Errorf("%s: %v, want ErrParams", name, err)
		}
	}
}
