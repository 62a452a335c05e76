package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/ca/tsa"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/tsp"
)

func imprint(data string) tsp.Imprint {
	sum := sha256.Sum256([]byte(data))
	return tsp.Imprint{Hash: crypto.SHA256, Digest: sum[:]}
}

// stamp gets a token in process and verifies it.
func stamp(t testing.TB, w *world) *tsp.Token {
	t.Helper()
	out, err := w.TSA().Stamp(t.Context(), imprint("datos"))
	if err != nil {
		t.Fatal(err)
	}
	tok, err := tsp.ParseToken(out)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	for _, r := range w.Roots() {
		roots.AddCert(r)
	}
	if _, err := tok.Verify(tsp.VerifyOptions{Imprint: imprint("datos"), Roots: roots, Now: w.clock.Now()}); err != nil {
		t.Fatal(err)
	}
	return tok
}

func (w *world) stampHTTP(t testing.TB, kind string, body []byte) (int, http.Header, []byte) {
	t.Helper()
	resp, err := http.Post(w.web.URL+"/pki/tsa", kind, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, out
}

func TestStampWithOpenSSL(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		dir := t.TempDir()
		data := write(t, dir, "datos.txt", []byte("resolución 123"))
		root := writePEM(t, dir, "root.pem", "CERTIFICATE", w.Roots()[0].Raw)
		_, _, issuing := w.get(t, "/pki/ca/servicios-g1.cer")
		untrusted := writePEM(t, dir, "servicios.pem", "CERTIFICATE", issuing)
		for _, tc := range [][]string{{"-sha256", "-cert"}, {"-sha384", "-cert"}, {"-sha512", "-cert"}, {"-sha256", "-cert", "-no_nonce"},
			{"-sha256", "-cert", "-tspolicy", "1.3.6.1.4.1.32473.1.2.1"}} {
			query := filepath.Join(dir, "q.tsq")
			if out, err := openssl(t, append([]string{"ts", "-query", "-data", data, "-out", query}, tc...)...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			raw, err := os.ReadFile(query)
			if err != nil {
				t.Fatal(err)
			}
			code, h, body := w.stampHTTP(t, "application/timestamp-query", raw)
			if code != http.StatusOK || h.Get("Content-Type") != "application/timestamp-reply" || h.Get("Cache-Control") != "no-store" {
				t.Errorf("%v: status %d, %v", tc, code, h)
			}
			reply := write(t, dir, "r.tsr", body)
			if _, err := openssl(t, "ts", "-verify", "-queryfile", query, "-in", reply, "-CAfile", root, "-untrusted", untrusted, "-attime", "0"); err == nil {
				t.Errorf("%v: verifies in 1970", tc)
			}
			if _, err := openssl(t, "ts", "-verify", "-queryfile", query, "-in", reply, "-CAfile", root, "-untrusted", untrusted); err != nil {
				t.Errorf("%v: %v", tc, err)
			}
			out, err := openssl(t, "ts", "-reply", "-in", reply, "-text")
			if err != nil {
				t.Error(err)
			}
			says(t, out, "Status: Granted.", "Policy OID: 1.3.6.1.4.1.32473.1.2.1", "Accuracy: unspecified seconds, 0x01F4 millis", "Ordering: no", "TSA: DirName:")
		}
		wrong := write(t, dir, "otros.txt", []byte("resolución 124"))
		if _, err := openssl(t, "ts", "-verify", "-data", wrong, "-in", filepath.Join(dir, "r.tsr"), "-CAfile", root, "-untrusted", untrusted); err == nil {
			t.Error("the token verifies for other data")
		}
	})
}

// Rejections are replies with status 200 and the failInfo that RFC 3161 names; they take no number.
func TestStampRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, db.SQLite, lines()))
	marshal := func(r tsp.Request) []byte {
		out, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	good := marshal(tsp.Request{Imprint: imprint("x"), CertReq: true})
	sha1 := bytes.Replace(good, []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01}, []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x04}, 1)
	short := bytes.Replace(good, []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01}, []byte{0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03}, 1)
	for _, tc := range []struct {
		name string
		body []byte
		want tsp.FailInfo
	}{
		{"weak hash", sha1, tsp.BadAlg},
		{"short imprint", short, tsp.BadDataFormat},
		{"another policy", marshal(tsp.Request{Imprint: imprint("x"), Policy: asn1.ObjectIdentifier{1, 2, 3, 4}}), tsp.UnacceptedPolicy},
		{"garbage", []byte("hola"), tsp.BadDataFormat},
		{"empty", nil, tsp.BadDataFormat},
		{"trailing", append(bytes.Clone(good), 0), tsp.BadDataFormat},
		{"64 KiB and more", make([]byte, 70<<10), tsp.BadDataFormat},
	} {
		code, h, body := w.stampHTTP(t, "application/timestamp-query", tc.body)
		resp, err := tsp.ParseResponse(body)
		if err != nil || code != http.StatusOK || h.Get("Content-Type") != "application/timestamp-reply" {
			t.Errorf("%s: status %d, %v", tc.name, code, err)
			continue
		}
		if resp.Status != tsp.Rejection || len(resp.Fail) != 1 || resp.Fail[0] != tc.want || resp.Token != nil {
			t.Errorf("%s: got %v %v, want %v", tc.name, resp.Status, resp.Fail, tc.want)
		}
	}
	if code, _, _ := w.stampHTTP(t, "text/plain", good); code != http.StatusUnsupportedMediaType {
		t.Errorf("another content type: %d", code)
	}
	if code, _, _ := w.get(t, "/pki/tsa"); code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", code)
	}
	sum := sha512.Sum512(nil)
	for name, im := range map[string]tsp.Imprint{"short": {Hash: crypto.SHA512, Digest: sum[:8]}, "weak": {Hash: crypto.SHA1, Digest: sum[:20]}} {
		var re *tsp.RequestError
		if _, err := w.TSA().Stamp(t.Context(), im); !errors.As(err, &re) {
			t.Errorf("%s imprint: %v", name, err)
		}
	}
	var n int
	if err := w.db.QueryRow(t.Context(), `SELECT COUNT(sn) FROM tsa_token`).Scan(&n); err != nil || n != 0 {
		t.Errorf("refusals took %d numbers (%v)", n, err)
	}
}

// The token names its entry: the body in the log is the hash of its TSTInfo.
func TestTokenIsInTheLog(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		tok := stamp(t, w)
		sum := sha256.Sum256(tok.SignedData.Content)
		var body []byte
		var gen int64
		err := d.QueryRow(t.Context(), `SELECT e.body, k.gen_time FROM tsa_token AS k JOIN audit_entry AS e ON e.id = k.audit WHERE k.sn = $1`,
			tok.Info.Serial.Bytes()).Scan(&body, &gen)
		if err != nil || !bytes.Equal(body, sum[:]) || !db.Time(gen).Equal(tok.Info.GenTime) {
			t.Errorf("log: %v", err)
		}
	})
}

// fixedClock is a source of time under the test's control.
type fixedClock struct {
	mu    sync.Mutex
	now   time.Time
	bound time.Duration
	err   error
}

func (c *fixedClock) Now(context.Context) (time.Time, time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.bound, c.err
}

func (c *fixedClock) set(fn func(c *fixedClock)) { c.mu.Lock(); defer c.mu.Unlock(); fn(c) }

func withClock(t *testing.T, w *world, node string, k tsa.Clock) *ca.CA {
	t.Helper()
	cfg := w.cfg
	cfg.Clock, cfg.Node = k, node
	x, err := ca.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	return x
}

func genTime(t *testing.T, out []byte) time.Time {
	t.Helper()
	tok, err := tsp.ParseToken(out)
	if err != nil {
		t.Fatal(err)
	}
	return tok.Info.GenTime
}

func TestClockDecidesWhetherToStamp(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		now := w.clock.Now().Add(1234567 * time.Microsecond)
		k := &fixedClock{now: now, bound: 50 * time.Millisecond}
		x := withClock(t, w, "uno", k)
		out, err := x.TSA().Stamp(t.Context(), imprint("a"))
		if err != nil {
			t.Fatal(err)
		}
		first := genTime(t, out)
		if want := now.Truncate(time.Millisecond); !first.Equal(want) {
			t.Errorf("time %v, want %v", first, want)
		}
		// A little back: the time stands still. Further than the accuracy: no token.
		k.set(func(c *fixedClock) { c.now = now.Add(-400 * time.Millisecond) })
		out, err = x.TSA().Stamp(t.Context(), imprint("b"))
		if err != nil || !genTime(t, out).Equal(first) {
			t.Errorf("clock put back a little: %v", err)
		}
		k.set(func(c *fixedClock) { c.now = now.Add(-500 * time.Millisecond) })
		_, err = x.TSA().Stamp(t.Context(), imprint("c"))
		wantErr(t, "clock put back by more than the accuracy", err, tsa.ErrTime)
		// The same in a process that has just started.
		fresh := withClock(t, w, "uno", k)
		_, err = fresh.TSA().Stamp(t.Context(), imprint("c"))
		wantErr(t, "clock put back, after a restart", err, tsa.ErrTime)
		k.set(func(c *fixedClock) { c.now, c.bound = now.Add(time.Second), 501*time.Millisecond })
		_, err = x.TSA().Stamp(t.Context(), imprint("d"))
		wantErr(t, "clock not sure enough", err, tsa.ErrTime)
		k.set(func(c *fixedClock) { c.bound, c.err = 0, errors.New("no reference") })
		req, err := (&tsp.Request{Imprint: imprint("e")}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tsp.ParseResponse(x.TSA().Reply(t.Context(), req))
		if err != nil || resp.Status != tsp.Rejection || resp.Fail[0] != tsp.TimeNotAvailable {
			t.Errorf("clock without reference: %v %v", resp, err)
		}
		k.set(func(c *fixedClock) { c.now, c.err = now.AddDate(10, 0, 0), nil })
		_, err = x.TSA().Stamp(t.Context(), imprint("f"))
		wantErr(t, "past every unit", err, tsa.ErrNoUnit)
	})
}

// Two nodes whose clocks differ stamp at once: numbers are unique, and the time
// in tokens never falls in the order of the log.
func TestStampUnderContention(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		base := w.clock.Now().Add(time.Second)
		nodes := []*ca.CA{withClock(t, w, "uno", &fixedClock{now: base}), withClock(t, w, "dos", &fixedClock{now: base.Add(100 * time.Millisecond)})}
		const workers, each = 12, 10
		var mu sync.Mutex
		seen := map[string]bool{}
		dbtest.Contend(t, workers, func(i int) {
			for range each {
				out, err := nodes[i%2].TSA().Stamp(context.Background(), imprint("x"))
				if err != nil {
					t.Error(err)
					return
				}
				tok, err := tsp.ParseToken(out)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				seen[tok.Info.Serial.String()] = true
				mu.Unlock()
			}
		})
		if len(seen) != workers*each {
			t.Errorf("%d different numbers of %d tokens", len(seen), workers*each)
		}
		var n int
		if err := d.QueryRow(t.Context(), `SELECT COUNT(sn) FROM tsa_token WHERE gen_time > (SELECT last FROM tsa_clock WHERE id = 1)`).Scan(&n); err != nil || n != 0 {
			t.Errorf("%d tokens later than the last time (%v)", n, err)
		}
	})
}

// A crash after the number leaves a number in the log and no token; it is never given again.
func TestStampCrashes(t *testing.T) {
	for _, point := range []string{failpoint.StampAfterSerial, failpoint.StampAfterSign} {
		t.Run(point, func(t *testing.T) {
			engines(t, func(t *testing.T, d *db.DB) {
				w := newWorld(t, d)
				disarm := crash(t, point)
				_, err := w.TSA().Stamp(t.Context(), imprint("x"))
				disarm()
				wantErr(t, "crash", err, errCrash)
				var lost []byte
				if err := d.QueryRow(t.Context(), `SELECT sn FROM tsa_token`).Scan(&lost); err != nil {
					t.Fatal(err)
				}
				w = open(t, d, w.clock, "uno")
				if err := w.Init(t.Context()); err != nil {
					t.Fatal(err)
				}
				if tok := stamp(t, w); tok.Info.Serial.Cmp(new(big.Int).SetBytes(lost)) == 0 {
					t.Error("the number was given again")
				}
				w.check(t)
			})
		})
	}
}

func TestUnitCertificate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, db.SQLite, lines()))
	tok := stamp(t, w)
	var unit *x509.Certificate
	for _, c := range tok.SignedData.Certificates() {
		if !c.IsCA {
			unit = c
		}
	}
	if unit == nil {
		t.Fatal("no certificate in the token")
	}
	if err := tsp.CheckCertificate(unit); err != nil {
		t.Error(err)
	}
	var period []byte
	for _, e := range unit.Extensions {
		if e.Id.String() == "2.5.29.16" {
			period = e.Value
		}
	}
	if end := unit.NotBefore.Add(365 * 24 * time.Hour).Format("20060102150405Z"); !strings.Contains(string(period), end) {
		t.Errorf("private key usage period %q does not end at %s", period, end)
	}
}

func BenchmarkStamp(b *testing.B) {
	w := open(b, dbtest.Open(b, db.SQLite, lines()), begin(), "uno")
	if err := w.Init(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.TSA().Stamp(context.Background(), imprint("x")); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
