package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// ocspRequest asks about a number under an issuer.
func ocspRequest(t testing.TB, serial *big.Int, issuer *x509.Certificate, h crypto.Hash) []byte {
	t.Helper()
	raw, err := ocsp.CreateRequest(&x509.Certificate{SerialNumber: serial}, issuer, &ocsp.RequestOptions{Hash: h})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (w *world) post(t testing.TB, kind string, body []byte) (int, http.Header, []byte) {
	t.Helper()
	resp, err := http.Post(w.web.URL+"/pki/ocsp", kind, bytes.NewReader(body))
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

// GET as clients and proxies write it: encoded, bare, with "//", "+" as a space,
// without padding. Numbers that were never issued bring what chance seldom does.
func TestOCSPByGET(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, db.SQLite, lines()))
	p := w.person(t)
	issuer := parse(t, w.citizen(t, p).Path[0])
	issued, err := w.IssueOneShot(t.Context(), w.request(t, p, newKey(t)))
	if err != nil {
		t.Fatal(err)
	}
	foreign := ocsp.ResponseError{Status: ocsp.Unauthorized} // understood, and not ours
	for what, c := range map[string]struct {
		number *big.Int
		holds  string
		want   error
	}{
		"issued":  {parse(t, issued.DER).SerialNumber, "", nil},
		"slashes": {new(big.Int).SetBytes(bytes.Repeat([]byte{0x7f, 0xff, 0xff}, 5)), "//", foreign},
		"pluses":  {new(big.Int).SetBytes(bytes.Repeat([]byte{0x3e, 0xfb, 0xef, 0xbe}, 4)), "+", foreign},
	} {
		b64 := base64.StdEncoding.EncodeToString(ocspRequest(t, c.number, issuer, crypto.SHA256))
		if !strings.Contains(b64, c.holds) {
			t.Fatalf("%s: request %s", what, b64)
		}
		forms := map[string]string{"encoded": url.QueryEscape(b64), "bare": b64, "padding lost": strings.TrimRight(b64, "="), "slash in front": "/" + b64,
			"space for +": strings.ReplaceAll(b64, "+", "%20")}
		for name, form := range forms {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.web.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.URL.Opaque = strings.TrimPrefix(w.web.URL, "http:") + "/pki/ocsp/" + form
			resp, err := http.DefaultTransport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			got, err := ocsp.ParseResponse(body, issuer)
			if !errors.Is(err, c.want) {
				t.Errorf("%s, %s: got %v, want %v", what, name, err, c.want)
			}
			if err != nil {
				continue
			}
			if got.Status != ocsp.Good || got.SerialNumber.Cmp(c.number) != 0 || resp.Header.Get("Content-Type") != "application/ocsp-response" ||
				!strings.Contains(resp.Header.Get("Cache-Control"), "max-age=30") || resp.Header.Get("Expires") == "" {
				t.Errorf("%s, %s: %+v, headers %v", what, name, got, resp.Header)
			}
		}
	}
}

// Who knows no name of an authority finds the list and the certificates.
func TestUnnamedListAndCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, db.SQLite, lines()))
	c := w.citizen(t, w.person(t))
	code, h, body := w.get(t, "/pki/crl")
	if code != http.StatusOK || h.Get("Content-Type") != "application/pkix-crl" {
		t.Fatalf("list: got %d, %v", code, h)
	}
	list, err := x509.ParseRevocationList(body)
	if err != nil {
		t.Fatal(err)
	}
	if err := list.CheckSignatureFrom(parse(t, c.Path[0])); err != nil {
		t.Errorf("list: %v", err)
	}
	code, h, body = w.get(t, "/pki/ca")
	if code != http.StatusOK || h.Get("Content-Type") != "application/pem-certificate-chain" {
		t.Fatalf("certificates: got %d, %v", code, h)
	}
	var got [][]byte
	for block, rest := pem.Decode(body); block != nil; block, rest = pem.Decode(rest) {
		got = append(got, block.Bytes)
	}
	if len(got) < 2 || !bytes.Equal(got[0], c.Path[0]) || !bytes.Equal(got[len(got)-1], w.Roots()[0].Raw) {
		t.Errorf("certificates: got %d, want the issuer first and the root last", len(got))
	}
	for _, path := range []string{"/pki/crl/", "/pki/ca/", "/pki/crl/x.crl"} {
		if code, _, _ := w.get(t, path); code != http.StatusNotFound {
			t.Errorf("%s: got %d, want 404", path, code)
		}
	}
}

// No responder speaks for the root, so that no retry would help.
func TestOCSPOfAnAuthority(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, db.SQLite, lines()))
	issuing := parse(t, w.citizen(t, w.person(t)).Path[0])
	_, _, body := w.post(t, "application/ocsp-request", ocspRequest(t, issuing.SerialNumber, w.Roots()[0], crypto.SHA1))
	if _, err := ocsp.ParseResponse(body, nil); !errors.Is(err, ocsp.ResponseError{Status: ocsp.Unauthorized}) {
		t.Errorf("got %v, want unauthorized", err)
	}
}

func TestOCSPRefusals(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		c := w.citizen(t, w.person(t))
		cert, issuer, root := parse(t, c.DER), parse(t, c.Path[0]), w.Roots()[0]
		never := append([]byte{1}, make([]byte, 16)...)
		never[16] = 9
		for _, tc := range []struct {
			name string
			body []byte
			want ocsp.ResponseStatus
		}{
			{"good", ocspRequest(t, cert.SerialNumber, issuer, crypto.SHA1), ocsp.Success},
			{"never issued", ocspRequest(t, new(big.Int).SetBytes(never), issuer, crypto.SHA256), ocsp.Unauthorized},
			{"short number", ocspRequest(t, big.NewInt(1), issuer, crypto.SHA256), ocsp.Unauthorized},
			{"another issuer's", ocspRequest(t, cert.SerialNumber, root, crypto.SHA256), ocsp.Unauthorized},
			{"foreign issuer", ocspRequest(t, cert.SerialNumber, cert, crypto.SHA256), ocsp.Unauthorized},
			{"other hash", ocspRequest(t, cert.SerialNumber, issuer, crypto.SHA384), ocsp.Unauthorized},
			{"garbage", []byte("hola"), ocsp.Malformed},
			{"empty", nil, ocsp.Malformed},
			{"too long", make([]byte, 100<<10), ocsp.Malformed},
		} {
			code, h, body := w.post(t, "application/ocsp-request", tc.body)
			_, err := ocsp.ParseResponse(body, nil)
			var re ocsp.ResponseError
			got := ocsp.Success
			if errors.As(err, &re) {
				got = re.Status
			} else if err != nil {
				t.Errorf("%s: %v", tc.name, err)
			}
			if code != http.StatusOK || got != tc.want || h.Get("Content-Type") != "application/ocsp-response" || h.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: status %d, OCSP %v, headers %v", tc.name, code, got, h)
			}
		}
		if code, _, _ := w.post(t, "text/plain", nil); code != http.StatusUnsupportedMediaType {
			t.Errorf("another content type: %d", code)
		}
	})
}

// An answer signed ahead is served as it is while it holds, and never once the database says otherwise.
func TestAnswersSignedAhead(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		c := w.citizen(t, w.person(t))
		cert, issuer := parse(t, c.DER), parse(t, c.Path[0])
		ask := func() *ocsp.Response {
			_, _, body := w.post(t, "application/ocsp-request", ocspRequest(t, cert.SerialNumber, issuer, crypto.SHA256))
			got, err := ocsp.ParseResponseForCert(body, cert, issuer)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		first := ask()
		w.clock.Add(2 * time.Minute)
		if again := ask(); !bytes.Equal(again.Raw, first.Raw) {
			t.Error("the answer signed ahead is not reused")
		}
		w.clock.Add(13 * time.Hour)
		if later := ask(); !later.ThisUpdate.After(first.ThisUpdate) {
			t.Error("an answer past half of its time is still served")
		}
		if err := w.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		renewed := ask()
		w.clock.Add(time.Minute)
		if again := ask(); !bytes.Equal(again.Raw, renewed.Raw) || !renewed.ThisUpdate.After(first.ThisUpdate) {
			t.Error("answers are not renewed by maintenance")
		}
		// Another node revokes; this one still has the answer signed ahead.
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO ca_revocation (sn, issuer, reason, revoked_at, actor, entry) VALUES ($1, 'firma-g1', 4, $2, 'x', $3)`,
				c.Serial, db.Micros(w.clock.Now()), []byte{0x30, 0})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if got := ask(); got.Status != ocsp.Revoked {
			t.Errorf("answer after the database changed: %d", got.Status)
		}
	})
}

// Years pass: responders, unit and issuing authorities have successors in time,
// old certificates stay answerable, and list numbers only rise.
func TestYearsPass(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		p := w.person(t)
		old := w.citizen(t, p)
		last := map[string]*big.Int{}
		begin := w.clock.Now()
		responders, units := map[string]bool{}, map[string]bool{}
		for w.clock.Now().Before(begin.AddDate(5, 0, 0)) {
			w.clock.Add(10 * 24 * time.Hour)
			if err := w.Maintain(t.Context()); err != nil {
				t.Fatalf("after %s: %v", w.clock.Now().Sub(begin), err)
			}
			list := w.list(t, "firma-g1")
			if n := last["firma-g1"]; n != nil && list.Number.Cmp(n) <= 0 {
				t.Fatalf("list number %v after %v", list.Number, n)
			}
			last["firma-g1"] = list.Number
			if !list.NextUpdate.After(w.clock.Now()) {
				t.Fatalf("list ended %v", list.NextUpdate)
			}
			out, err := w.OCSP(t.Context(), old.Serial)
			if err != nil {
				t.Fatal(err)
			}
			a := parseAnswer(t, out)
			if a.Status != ocsp.Good || w.clock.Now().After(a.Certificate.NotAfter) || a.NextUpdate.After(a.Certificate.NotAfter) {
				t.Fatalf("answer %d by a responder until %v", a.Status, a.Certificate.NotAfter)
			}
			responders[string(a.Certificate.Raw)] = true
			token := stamp(t, w)
			for _, x := range token.SignedData.Certificates() {
				if !x.IsCA {
					units[string(x.RawSubjectPublicKeyInfo)] = true
				}
			}
		}
		c := w.citizen(t, p)
		issuer := parse(t, c.Path[0])
		if !strings.HasSuffix(issuer.Subject.CommonName, "G2") {
			t.Errorf("issuer after 5 years: %s", issuer.Subject.CommonName)
		}
		if err := w.verify(t, c, ""); err != nil {
			t.Error(err)
		}
		if len(responders) < 60 || len(units) < 5 || len(w.Roots()) != 1 {
			t.Errorf("%d responders, %d units, %d roots in 5 years", len(responders), len(units), len(w.Roots()))
		}
	})
}

// When nothing can be issued any more, because the root is past half of its life,
// answers and lists go on.
func TestListsOutliveIssuing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		old := w.citizen(t, w.person(t))
		w.clock.Add(9 * 365 * 24 * time.Hour) // past the issuing authorities, within the root's half
		if err := w.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.clock.Add(7 * 365 * 24 * time.Hour) // past the root's half and the second generation's
		err := w.Maintain(t.Context())
		wantErr(t, "no authority", err, ca.ErrNoAuthority)
		_, err = w.IssueCitizen(t.Context(), w.request(t, w.person(t), newKey(t)))
		wantErr(t, "issue", err, ca.ErrNoAuthority)
		for _, a := range w.Authorities() {
			list := w.list(t, a.Slug)
			if !list.NextUpdate.After(w.clock.Now()) {
				t.Errorf("list of %s ended %v", a.Slug, list.NextUpdate)
			}
		}
		if _, err := w.Status(t.Context(), old.Serial); err != nil {
			t.Error(err)
		}
	})
}

// Two nodes revoke and publish at once: numbers are unique and rise, no entry vanishes.
func TestPublishUnderContention(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		other := open(t, d, w.clock, "dos")
		if err := other.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		p := w.person(t)
		var serials [][]byte
		for range 12 {
			serials = append(serials, w.citizen(t, p).Serial)
		}
		var mu sync.Mutex
		published := 0
		dbtest.Contend(t, 6, func(i int) {
			node := []*world{w, other}[i%2]
			for _, sn := range serials[i*2 : i*2+2] {
				if err := node.Revoke(context.Background(), sn, ca.Superseded, "per_x"); err != nil {
					t.Error(err)
				}
				n, err := node.PublishCRL(context.Background())
				if err != nil && !errors.Is(err, ca.ErrBusy) && !errors.Is(err, db.ErrFenced) && !strings.Contains(err.Error(), "later list") {
					t.Error(err)
				}
				mu.Lock()
				published += n
				mu.Unlock()
			}
		})
		if _, err := w.PublishCRL(t.Context()); err != nil {
			t.Fatal(err)
		}
		list := w.list(t, "firma-g1")
		if len(list.RevokedCertificateEntries) != len(serials) {
			t.Errorf("%d entries, %d revocations, %d published", len(list.RevokedCertificateEntries), len(serials), published)
		}
		rows, err := d.Query(t.Context(), `SELECT number, entries FROM ca_crl WHERE issuer = 'firma-g1' ORDER BY number`)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = rows.Close() }()
		var numbers, entries []int64
		for rows.Next() {
			var n, e int64
			if err := rows.Scan(&n, &e); err != nil {
				t.Fatal(err)
			}
			numbers, entries = append(numbers, n), append(entries, e)
		}
		if !slices.IsSorted(entries) || len(slices.Compact(slices.Clone(numbers))) != len(numbers) {
			t.Errorf("numbers %v, entries %v", numbers, entries)
		}
	})
}

// A clock that was put back neither lowers a list's time nor revives anything.
func TestClockPutBack(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		c := w.citizen(t, w.person(t))
		before := w.list(t, "firma-g1")
		w.clock.Add(-2 * time.Minute)
		if err := w.Revoke(t.Context(), c.Serial, ca.Superseded, "per_x"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.PublishCRL(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := w.list(t, "firma-g1")
		if after.ThisUpdate.Before(before.ThisUpdate) || after.Number.Cmp(before.Number) <= 0 || len(after.RevokedCertificateEntries) != 1 {
			t.Errorf("list %v at %v after %v at %v", after.Number, after.ThisUpdate, before.Number, before.ThisUpdate)
		}
	})
}

// Caches learn of lists by validators, not only by age.
func TestListValidators(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, db.SQLite, lines()))
	_, h, _ := w.get(t, "/pki/crl/firma-g1.crl")
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.web.URL+"/pki/crl/firma-g1.crl", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("If-None-Match", h.Get("ETag"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotModified || h.Get("ETag") == "" {
		t.Errorf("status %d for ETag %q", resp.StatusCode, h.Get("ETag"))
	}
}

// Whatever stands in the path, the handler answers without failing.
func FuzzHandlerPath(f *testing.F) {
	w := open(f, dbtest.Open(f, db.SQLite, lines()), begin(), "uno")
	if err := w.Init(f.Context()); err != nil {
		f.Fatal(err)
	}
	h := w.Handler()
	for _, s := range []string{"ocsp/MFQwUjBQME4wTDAJBgUrDgMCGgUABBQ", "ocsp//", "ocsp/%2F%2F", "crl/firma-g1.crl", "ca/raiz-g1.cer", "tsa"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.Parse("http://pki.example/pki/" + path)
		if err != nil {
			return
		}
		req := &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}, Body: http.NoBody}
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req.WithContext(t.Context()))
		if rec.Code >= 500 {
			t.Errorf("%q: status %d", path, rec.Code)
		}
	})
}
