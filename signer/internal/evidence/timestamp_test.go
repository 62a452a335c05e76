package evidence

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"oruro.gob.bo/suti/internal/tsp"
)

func newPool(tb testing.TB, w Doer, clk *clock, tsas ...TSA) *Pool {
	tb.Helper()
	p, err := NewPool(PoolConfig{TSAs: tsas, HTTP: w, Now: clk.now})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestStampFailsOverToTheFirstThatVerifies(t *testing.T) {
	t.Parallel()
	clk, w := newClock(), newWeb()
	good := newAuthority(t, clk)
	stranger := newAuthority(t, clk)
	w.on("http://b.test/", statusHandler(http.StatusBadGateway))
	w.on("http://c.test/", bytesHandler(tsp.Reject(tsp.TimeNotAvailable, "sin hora fiable")))
	w.on("http://d.test/", stranger.ServeHTTP)
	w.on("http://e.test/", good.ServeHTTP)
	w.on("http://f.test/", good.ServeHTTP)
	roots := pool(good.root)
	p := newPool(t, w, clk,
		TSA{Name: "a", URL: "http://a.test/", Roots: roots}, TSA{Name: "b", URL: "http://b.test/", Roots: roots},
		TSA{Name: "c", URL: "http://c.test/", Roots: roots}, TSA{Name: "d", URL: "http://d.test/", Roots: roots},
		TSA{Name: "e", URL: "http://e.test/", Roots: roots}, TSA{Name: "f", URL: "http://f.test/", Roots: roots})
	s, err := p.Stamp(bg(), imprint())
	if err != nil {
		t.Fatal(err)
	}
	if s.TSA != "e" || !s.Verified.Certificate.Equal(good.tsu.cert) || len(s.Attempts) != 5 {
		t.Errorf("stamped by %s after %d attempts", s.TSA, len(s.Attempts))
	}
	for i, want := range []error{errNoRoute, ErrFetch, nil, tsp.ErrUntrusted, nil} {
		if got := s.Attempts[i].Err; want != nil && !errors.Is(got, want) {
			t.Errorf("attempt %d: %v, want %v", i, got, want)
		}
	}
	var se *tsp.StatusError
	if !errors.As(s.Attempts[2].Err, &se) || se.Fail[0] != tsp.TimeNotAvailable {
		t.Errorf("rejection: %v", s.Attempts[2].Err)
	}
	var he *HTTPError
	if !errors.As(s.Attempts[1].Err, &he) || he.Status != http.StatusBadGateway {
		t.Errorf("bad gateway: %v", s.Attempts[1].Err)
	}
	tok, err := tsp.ParseToken(s.Token)
	if err != nil || !tok.Info.Imprint.Equal(imprint()) {
		t.Errorf("token: %v", err)
	}
	if w.count("http://f.test/") != 0 {
		t.Error("asked further after success")
	}
}

func TestStampRefusesTokensThatDoNotHold(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*tsp.TSTInfo)
		tsa    func(*TSA)
		want   error
	}{
		"another imprint":  {func(i *tsp.TSTInfo) { i.Imprint.Digest = make([]byte, 32) }, nil, tsp.ErrImprint},
		"another nonce":    {func(i *tsp.TSTInfo) { i.Nonce = big.NewInt(1) }, nil, tsp.ErrNonce},
		"no nonce":         {func(i *tsp.TSTInfo) { i.Nonce = nil }, nil, tsp.ErrNonce},
		"an hour ago":      {func(i *tsp.TSTInfo) { i.GenTime = i.GenTime.Add(-time.Hour) }, nil, tsp.ErrGenTime},
		"an hour ahead":    {func(i *tsp.TSTInfo) { i.GenTime = i.GenTime.Add(time.Hour) }, nil, tsp.ErrGenTime},
		"another policy":   {nil, func(t *TSA) { t.Policy = asn1.ObjectIdentifier{1, 2, 9} }, tsp.ErrPolicy},
		"policy not taken": {nil, func(t *TSA) { t.Accept = []asn1.ObjectIdentifier{{1, 2, 9}} }, tsp.ErrPolicy},
	} {
		clk, w := newClock(), newWeb()
		a := newAuthority(t, clk)
		a.change = tt.change
		w.on("http://a.test/", a.ServeHTTP)
		tsa := TSA{Name: "a", URL: "http://a.test/", Roots: pool(a.root)}
		if tt.tsa != nil {
			tt.tsa(&tsa)
		}
		s, err := newPool(t, w, clk, tsa).Stamp(bg(), imprint())
		var pe *PoolError
		if s != nil || !errors.Is(err, ErrNoTimestamp) || !errors.Is(err, tt.want) || !errors.As(err, &pe) || len(pe.Attempts) != 1 {
			t.Errorf("%s: %v, %v; want %v", name, s, err, tt.want)
		}
	}
}

func TestStampRefusesAnswersOutOfBounds(t *testing.T) {
	t.Parallel()
	clk := newClock()
	a := newAuthority(t, clk)
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		want error
	}{
		"64 KiB and one": {bytesHandler(make([]byte, tsp.MaxResponse+1)), ErrTooLarge},
		"announced": {func(w http.ResponseWriter, _ *http.Request) {
			w.(*recorder).announced = 1 << 40
			_, _ = w.Write([]byte{1})
		}, ErrTooLarge},
		"without end": {func(w http.ResponseWriter, _ *http.Request) { w.(*recorder).stream = zeros{} }, ErrTooLarge},
		"empty":       {bytesHandler(nil), ErrFetch},
		"redirect":    {statusHandler(http.StatusFound), ErrFetch},
		"a web page":  {bytesHandler([]byte("<html><body>Acceso restringido</body></html>")), ErrNoTimestamp},
		"a bomb":      {bytesHandler(bytes.Repeat([]byte{0x30, 0x80}, 2800)), ErrNoTimestamp},
		"replayed": {func(w http.ResponseWriter, r *http.Request) {
			b, err := a.respond(&tsp.TSTInfo{Policy: a.policy, Imprint: imprint(), Serial: big.NewInt(9), GenTime: clk.now(), Nonce: big.NewInt(77)}, false)
			if err != nil {
				t.Error(err)
			}
			_, _ = w.Write(b)
		}, tsp.ErrNonce},
	} {
		w := newWeb()
		w.on("http://a.test/", tt.h)
		s, err := newPool(t, w, clk, TSA{Name: "a", URL: "http://a.test/", Roots: pool(a.root)}).Stamp(bg(), imprint())
		if s != nil || !errors.Is(err, ErrNoTimestamp) || !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, %v; want %v", name, s, err, tt.want)
		}
	}
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestStampTakesTheClockDifferenceAllowed(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{-9 * time.Second, 9 * time.Second} {
		clk, w := newClock(), newWeb()
		a := newAuthority(t, clk)
		a.change = func(i *tsp.TSTInfo) { i.GenTime = i.GenTime.Add(d) }
		w.on("http://a.test/", a.ServeHTTP)
		if _, err := newPool(t, w, clk, TSA{Name: "a", URL: "http://a.test/", Roots: pool(a.root)}).Stamp(bg(), imprint()); err != nil {
			t.Errorf("%v: %v", d, err)
		}
	}
}

func TestFailedAuthorityIsTriedLastForAWhile(t *testing.T) {
	t.Parallel()
	clk, w := newClock(), newWeb()
	a := newAuthority(t, clk)
	w.on("http://b.test/", a.ServeHTTP)
	p := newPool(t, w, clk, TSA{Name: "a", URL: "http://a.test/", Roots: pool(a.root)}, TSA{Name: "b", URL: "http://b.test/", Roots: pool(a.root)})
	step := func(want string, hitsA int) {
		t.Helper()
		s, err := p.Stamp(bg(), imprint())
		if err != nil {
			t.Fatal(err)
		}
		if s.TSA != want || w.count("http://a.test/") != hitsA {
			t.Errorf("stamped by %s, a asked %d times; want %s, %d", s.TSA, w.count("http://a.test/"), want, hitsA)
		}
	}
	step("b", 1)
	step("b", 1)
	clk.add(DefaultCoolDown)
	step("b", 2)
	w.on("http://a.test/", a.ServeHTTP)
	step("b", 2)
	clk.add(DefaultCoolDown)
	step("a", 3)
	// All cold: the whole pool is still tried.
	w.on("http://a.test/", nil)
	w.on("http://b.test/", nil)
	if _, err := p.Stamp(bg(), imprint()); !errors.Is(err, ErrNoTimestamp) {
		t.Errorf("all down: %v", err)
	}
	w.on("http://b.test/", a.ServeHTTP)
	step("b", 5)
}

func TestStampTimesOutPerAuthority(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWeb()
		clk := newClock()
		a := newAuthority(t, clk)
		w.on("http://a.test/", stuck)
		w.on("http://b.test/", a.ServeHTTP)
		p := newPool(t, w, clk, TSA{Name: "a", URL: "http://a.test/", Roots: pool(a.root)}, TSA{Name: "b", URL: "http://b.test/", Roots: pool(a.root)})
		start := time.Now()
		s, err := p.Stamp(bg(), imprint())
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Since(start); s.TSA != "b" || got != DefaultTimeout {
			t.Errorf("stamped by %s after %v, want b after %v", s.TSA, got, DefaultTimeout)
		}
		if !errors.Is(s.Attempts[0].Err, context.DeadlineExceeded) {
			t.Errorf("first attempt: %v", s.Attempts[0].Err)
		}
	})
}

func TestStampStopsWhenTheCallerGivesUp(t *testing.T) {
	t.Parallel()
	clk, w := newClock(), newWeb()
	a := newAuthority(t, clk)
	ctx, cancel := context.WithCancel(bg())
	w.on("http://a.test/", func(http.ResponseWriter, *http.Request) { cancel() })
	w.on("http://b.test/", a.ServeHTTP)
	p := newPool(t, w, clk, TSA{Name: "a", URL: "http://a.test/", Roots: pool(a.root)}, TSA{Name: "b", URL: "http://b.test/", Roots: pool(a.root)})
	if s, err := p.Stamp(ctx, imprint()); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNoTimestamp) || s != nil {
		t.Errorf("%v, %v; want context.Canceled", s, err)
	}
	if w.count("http://b.test/") != 0 {
		t.Error("went on asking")
	}
	// Giving up says nothing about the authority: it is still tried first.
	if s, err := p.Stamp(bg(), imprint()); err != nil || s.Attempts[0].Source != "a" || s.TSA != "b" {
		t.Errorf("afterwards: %v", err)
	}
}

func TestStampOverRealHTTP(t *testing.T) {
	t.Parallel()
	clk := newClock()
	a := newAuthority(t, clk)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, ok := r.BasicAuth(); !ok || u != "suti" || p != "clave" || r.Method != http.MethodPost {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		a.ServeHTTP(w, r)
	}))
	defer srv.Close()
	tsa := TSA{Name: "a", URL: srv.URL, Roots: pool(a.root)}
	if _, err := newPool(t, srv.Client(), clk, tsa).Stamp(bg(), imprint()); !errors.Is(err, ErrFetch) {
		t.Errorf("without credentials: %v, want ErrFetch", err)
	}
	tsa.Authorize = func(r *http.Request) { r.SetBasicAuth("suti", "clave") }
	if _, err := newPool(t, srv.Client(), clk, tsa).Stamp(bg(), imprint()); err != nil {
		t.Error(err)
	}
}

func TestPoolConfigIsChecked(t *testing.T) {
	t.Parallel()
	r := x509.NewCertPool()
	for name, c := range map[string]PoolConfig{
		"nobody":     {HTTP: newWeb()},
		"no client":  {TSAs: []TSA{{Name: "a", URL: "http://a.test/", Roots: r}}},
		"no roots":   {HTTP: newWeb(), TSAs: []TSA{{Name: "a", URL: "http://a.test/"}}},
		"no name":    {HTTP: newWeb(), TSAs: []TSA{{URL: "http://a.test/", Roots: r}}},
		"ftp":        {HTTP: newWeb(), TSAs: []TSA{{Name: "a", URL: "ftp://a.test/", Roots: r}}},
		"with user":  {HTTP: newWeb(), TSAs: []TSA{{Name: "a", URL: "http://u:p@a.test/", Roots: r}}},
		"no address": {HTTP: newWeb(), TSAs: []TSA{{Name: "a", Roots: r}}},
		"negative":   {HTTP: newWeb(), Timeout: -1, TSAs: []TSA{{Name: "a", URL: "http://a.test/", Roots: r}}},
	} {
		if _, err := NewPool(c); !errors.Is(err, ErrParams) {
			t.Errorf("%s: %v, want ErrParams", name, err)
		}
	}
	p := newPool(t, newWeb(), newClock(), TSA{Name: "a", URL: "http://a.test/", Roots: r})
	if _, err := p.Stamp(bg(), tsp.Imprint{}); !errors.Is(err, tsp.ErrParams) {
		t.Errorf("no imprint: %v, want ErrParams", err)
	}
	p.c.Rand = bytes.NewReader(nil)
	if _, err := p.Stamp(bg(), imprint()); !errors.Is(err, io.EOF) {
		t.Errorf("no randomness: %v, want EOF", err)
	}
}
