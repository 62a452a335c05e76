package revocation

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/ocsp"

	"oruro.gob.bo/suti/internal/cms"
)

// ocspForgery is an OCSP response whose parts can be made wrong on purpose.
type ocspForgery struct {
	p           *pki
	responderID []byte
	producedAt  time.Time
	singles     [][]byte
	extensions  []byte // whole [1]
	certs       []*x509.Certificate
	key         crypto.Signer
}

func newOCSP(tb testing.TB, p *pki) *ocspForgery {
	return &ocspForgery{
		p: p, producedAt: now.Add(-time.Hour), certs: []*x509.Certificate{p.responder}, key: p.responderKey,
		responderID: wrap(tb, context(1), p.responder.RawSubject),
		singles:     [][]byte{single(tb, certIDOf(tb, p, oidSHA1, crypto.SHA1), good(), now.Add(-time.Hour), now.Add(time.Hour))},
	}
}

func good() []byte    { return []byte{0x80, 0} }
func unknown() []byte { return []byte{0x82, 0} }

func revoked(tb testing.TB, at time.Time) []byte {
	return wrap(tb, context(1), gtime(tb, at), wrap(tb, context(0), []byte{10, 1, 1}))
}

func certIDOf(tb testing.TB, p *pki, alg asn1.ObjectIdentifier, h crypto.Hash) []byte {
	tb.Helper()
	k, ok := publicKeyBits(p.issuer)
	if !ok {
		tb.Fatal("public key")
	}
	return seq(tb, seq(tb, oid(tb, alg), []byte{5, 0}), octets(tb, sum(h, p.issuer.RawSubject)), octets(tb, sum(h, k)),
		enc(tb, func(b *cryptobyte.Builder) { b.AddASN1BigInt(p.subject.SerialNumber) }))
}

func single(tb testing.TB, id, status []byte, this, next time.Time, more ...[]byte) []byte {
	parts := [][]byte{id, status, gtime(tb, this)}
	if !next.IsZero() {
		parts = append(parts, wrap(tb, context(0), gtime(tb, next)))
	}
	return seq(tb, append(parts, more...)...)
}

func (f *ocspForgery) bytes(tb testing.TB) []byte {
	tb.Helper()
	return f.response(tb, f.data(tb))
}

// data returns the ResponseData.
func (f *ocspForgery) data(tb testing.TB) []byte {
	return seq(tb, f.responderID, gtime(tb, f.producedAt), seq(tb, f.singles...), f.extensions)
}

// response returns the OCSPResponse over given ResponseData.
func (f *ocspForgery) response(tb testing.TB, tbs []byte) []byte {
	tb.Helper()
	var raw [][]byte
	for _, c := range f.certs {
		raw = append(raw, c.Raw)
	}
	var certs []byte
	if raw != nil {
		certs = wrap(tb, context(0), seq(tb, raw...))
	}
	basic := signed(tb, tbs, f.key, certs)
	return seq(tb, []byte{10, 1, 0}, wrap(tb, context(0), seq(tb, oid(tb, oidOCSPBasic), octets(tb, basic))))
}

func (f *ocspForgery) check(tb testing.TB, o Options) (*Status, error) {
	tb.Helper()
	if o.At.IsZero() && !o.AtProduction {
		o.At = now
	}
	return CheckOCSP(f.bytes(tb), f.p.subject, f.p.issuer, o)
}

func TestOCSPAccepted(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	k, _ := publicKeyBits(p.responder)
	for name, tt := range map[string]struct {
		make  func(f *ocspForgery)
		state State
	}{
		"good by a delegated responder": {func(f *ocspForgery) {}, Good},
		"responder by key": {func(f *ocspForgery) {
			f.responderID = wrap(t, context(2), octets(t, sum(crypto.SHA1, k)))
		}, Good},
		"by the issuer itself": {func(f *ocspForgery) {
			f.key, f.certs, f.responderID = p.issuerKey, nil, wrap(t, context(1), p.issuer.RawSubject)
		}, Good},
		"CertID by SHA-256": {func(f *ocspForgery) {
			f.singles[0] = single(t, certIDOf(t, p, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, crypto.SHA256), good(), now, now.Add(time.Hour))
			f.producedAt = now
		}, Good},
		"revoked": {func(f *ocspForgery) {
			f.singles[0] = single(t, certIDOf(t, p, oidSHA1, crypto.SHA1), revoked(t, now.AddDate(0, 0, -2)), now.Add(-time.Hour), time.Time{})
		}, Revoked},
		"good, and revoked under another CertID": {func(f *ocspForgery) {
			f.singles = append(f.singles, single(t, certIDOf(t, p, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}, crypto.SHA256), revoked(t, now.AddDate(0, 0, -2)), now.Add(-time.Hour), time.Time{}))
		}, Revoked},
		"among others": {func(f *ocspForgery) {
			other := newPKI(t)
			f.singles = append([][]byte{single(t, certIDOf(t, other, oidSHA1, crypto.SHA1), unknown(), now.Add(-time.Hour), time.Time{})}, f.singles...)
		}, Good},
		"extension that is not critical": {func(f *ocspForgery) {
			f.extensions = wrap(t, context(1), seq(t, ext(t, asn1.ObjectIdentifier{1, 2, 3}, false, []byte{5, 0})))
		}, Good},
	} {
		f := newOCSP(t, p)
		tt.make(f)
		st, err := f.check(t, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if st.State != tt.state {
			t.Errorf("%s: %v, want %v", name, st.State, tt.state)
		}
		if tt.state == Revoked && (!st.RevokedAt.Equal(now.AddDate(0, 0, -2)) || st.Reason != 1) {
			t.Errorf("%s: revoked at %v for %v", name, st.RevokedAt, st.Reason)
		}
		if self := f.key == p.issuerKey; self != (st.Responder == nil) || !self && !st.NoCheck {
			t.Errorf("%s: responder %v, nocheck %v", name, st.Responder, st.NoCheck)
		}
	}
}

func TestOCSPRefused(t *testing.T) {
	t.Parallel()
	p, stranger := newPKI(t), newPKI(t)
	id := certIDOf(t, p, oidSHA1, crypto.SHA1)
	for name, tt := range map[string]struct {
		make func(f *ocspForgery, o *Options)
		want error
	}{
		"unknown": {func(f *ocspForgery, o *Options) {
			f.singles[0] = single(t, id, unknown(), now, time.Time{})
			f.producedAt = now
		}, ErrUnknown},
		"about another": {func(f *ocspForgery, o *Options) {
			f.singles[0] = single(t, certIDOf(t, stranger, oidSHA1, crypto.SHA1), good(), now, time.Time{})
		}, ErrNotCovered},
		"about nothing": {func(f *ocspForgery, o *Options) { f.singles = nil }, ErrNotCovered},
		"not yet":       {func(f *ocspForgery, o *Options) { o.At = now.Add(-2 * time.Hour) }, ErrNotCurrent},
		"superseded":    {func(f *ocspForgery, o *Options) { o.At = now.Add(2 * time.Hour) }, ErrNotCurrent},
		"critical inside": {func(f *ocspForgery, o *Options) {
			f.singles[0] = single(t, id, good(), now.Add(-time.Hour), time.Time{}, wrap(t, context(1), seq(t, ext(t, asn1.ObjectIdentifier{1, 2, 3}, true, []byte{5, 0}))))
		}, ErrExtension},
		"critical outside": {func(f *ocspForgery, o *Options) {
			f.extensions = wrap(t, context(1), seq(t, ext(t, asn1.ObjectIdentifier{1, 2, 3}, true, []byte{5, 0})))
		}, ErrExtension},
		"delegated by another issuer": {func(f *ocspForgery, o *Options) {
			f.key, f.certs = stranger.responderKey, []*x509.Certificate{stranger.responder}
		}, ErrResponder},
		"another issuer of that name itself": {func(f *ocspForgery, o *Options) {
			f.key, f.certs, f.responderID = stranger.issuerKey, nil, wrap(t, context(1), p.issuer.RawSubject)
		}, cms.ErrSignature},
		"another key under that name": {func(f *ocspForgery, o *Options) { f.key = stranger.responderKey }, cms.ErrSignature},
		"without the certificate":     {func(f *ocspForgery, o *Options) { f.certs = nil }, ErrResponder},
		"signed by the subject of the same issuer": {func(f *ocspForgery, o *Options) {
			f.certs = []*x509.Certificate{p.delegate(t, func(c *x509.Certificate) { c.ExtKeyUsage = nil })}
		}, ErrResponder},
		"usage of any purpose": {func(f *ocspForgery, o *Options) {
			f.certs = []*x509.Certificate{p.delegate(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} })}
		}, ErrResponder},
		"key usage of encipherment": {func(f *ocspForgery, o *Options) {
			f.certs = []*x509.Certificate{p.delegate(t, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })}
		}, ErrResponder},
		"responder expired": {func(f *ocspForgery, o *Options) {
			f.certs = []*x509.Certificate{p.delegate(t, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = epoch, epoch.AddDate(0, 0, 1) })}
		}, ErrResponder},
		"updated after it was produced": {func(f *ocspForgery, o *Options) {
			f.singles[0] = single(t, id, good(), now.Add(-time.Minute), time.Time{})
		}, ErrMalformed},
		"next before this": {func(f *ocspForgery, o *Options) {
			f.singles[0] = single(t, id, good(), now.Add(-time.Hour), now.Add(-2*time.Hour))
		}, ErrMalformed},
		"another nonce": {func(f *ocspForgery, o *Options) {
			o.Nonce = make([]byte, 16)
			f.extensions = nonce(t, []byte("otro nonce del mismo largo"))
		}, ErrNonce},
		"nonce twice": {func(f *ocspForgery, o *Options) {
			n := ext(t, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}, false, octets(t, []byte{1}))
			f.extensions = wrap(t, context(1), seq(t, n, n))
		}, ErrMalformed},
		"no status": {func(f *ocspForgery, o *Options) {
			f.singles[0] = single(t, id, []byte{0x83, 0}, now.Add(-time.Hour), time.Time{})
		}, ErrMalformed},
		"weak key": {func(f *ocspForgery, o *Options) {
			k := rsaOf1024(t)
			f.key, f.certs = k, []*x509.Certificate{certify(t, &x509.Certificate{SerialNumber: big.NewInt(9), Subject: p.responder.Subject,
				ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}}, p.issuer, k.Public(), p.issuerKey)}
		}, cms.ErrWeakAlgorithm},
		"no time asked": {func(f *ocspForgery, o *Options) { o.At, o.AtProduction = now, true }, ErrParams},
	} {
		f := newOCSP(t, p)
		if _, err := f.check(t, Options{}); err != nil {
			t.Fatalf("before the fault: %v", err)
		}
		var o Options
		tt.make(f, &o)
		if st, err := f.check(t, o); !errors.Is(err, tt.want) || st != nil {
			t.Errorf("%s: %v, %v; want %v", name, st, err, tt.want)
		}
	}
	f := newOCSP(t, p)
	if _, err := CheckOCSP(f.bytes(t), p.issuer, p.subject, Options{At: now}); !errors.Is(err, ErrIssuer) {
		t.Errorf("wrong issuer: %v, want ErrIssuer", err)
	}
}

func nonce(tb testing.TB, n []byte) []byte {
	return wrap(tb, context(1), seq(tb, ext(tb, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}, false, octets(tb, n))))
}

func TestOCSPArchived(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	f := newOCSP(t, p)
	f.certs = []*x509.Certificate{p.delegate(t, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = epoch, now })}
	if _, err := f.check(t, Options{At: now.AddDate(8, 0, 0)}); !errors.Is(err, ErrResponder) {
		t.Errorf("eight years later: %v, want ErrResponder", err)
	}
	st, err := f.check(t, Options{AtProduction: true})
	if err != nil {
		t.Fatal(err)
	}
	if !st.ProducedAt.Equal(f.producedAt) || !st.ThisUpdate.Equal(now.Add(-time.Hour)) || !st.NextUpdate.Equal(now.Add(time.Hour)) {
		t.Errorf("times: %+v", st)
	}
}

func TestOCSPNonce(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	f := newOCSP(t, p)
	n := bytes.Repeat([]byte{7}, 32)
	f.extensions = nonce(t, n)
	if _, err := f.check(t, Options{Nonce: n}); err != nil {
		t.Error(err)
	}
	if _, err := f.check(t, Options{}); err != nil {
		t.Errorf("not asked for: %v", err)
	}
	f.extensions = nil
	if _, err := f.check(t, Options{Nonce: n}); err != nil {
		t.Errorf("responder that leaves it out (RFC 9654 §2.1): %v", err)
	}
}

func TestOCSPMalformedOutside(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	ok := newOCSP(t, p).bytes(t)
	for name, tt := range map[string]struct {
		in   []byte
		want error
	}{
		"empty":       {nil, cms.ErrTruncated},
		"cut":         {ok[:len(ok)-1], cms.ErrTruncated},
		"trailing":    {append(bytes.Clone(ok), 0), cms.ErrTrailingData},
		"too long":    {make([]byte, MaxOCSP+1), ErrTooLarge},
		"web page":    {[]byte("<html>"), nil},
		"other type":  {bytes.Replace(ok, oid(t, oidOCSPBasic), oid(t, asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 9}), 1), ErrMalformed},
		"BER":         {append([]byte{0x30, 0x80}, append(bytes.Clone(ok[4:]), 0, 0)...), cms.ErrNotDER},
		"bare status": {[]byte{0x30, 3, 10, 1, 0}, ErrMalformed},
	} {
		if _, err := CheckOCSP(tt.in, p.subject, p.issuer, Options{At: now}); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	for status, want := range map[byte]string{1: "malformedRequest", 3: "tryLater", 6: "unauthorized", 9: "unknown status"} {
		_, err := CheckOCSP([]byte{0x30, 3, 10, 1, status}, p.subject, p.issuer, Options{At: now})
		var re *ResponseError
		if !errors.As(err, &re) || re.Status != int(status) || !bytes.Contains([]byte(re.Error()), []byte(want)) {
			t.Errorf("status %d: %v", status, err)
		}
	}
}

// TestOCSPOfAnotherEncoder reads responses of an independent implementation and
// lets it read our requests.
func TestOCSPOfAnotherEncoder(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	for _, tt := range []struct {
		status int
		state  State
	}{{ocsp.Good, Good}, {ocsp.Revoked, Revoked}} {
		for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256, crypto.SHA512} {
			der, err := ocsp.CreateResponse(p.issuer, p.responder, ocsp.Response{
				Status: tt.status, SerialNumber: p.subject.SerialNumber, ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour),
				Certificate: p.responder, IssuerHash: h, RevokedAt: now.AddDate(0, 0, -1), RevocationReason: ocsp.Superseded,
			}, p.responderKey)
			if err != nil {
				t.Fatal(err)
			}
			st, err := CheckOCSP(der, p.subject, p.issuer, Options{At: now, Skew: 100 * 365 * 24 * time.Hour})
			if err != nil {
				t.Fatalf("%v: %v", h, err)
			}
			if st.State != tt.state || tt.state == Revoked && (st.Reason != ocsp.Superseded || !st.RevokedAt.Equal(now.AddDate(0, 0, -1))) {
				t.Errorf("%v: %+v", h, st)
			}
		}
	}
	q, err := MarshalOCSPRequest(p.subject, p.issuer, bytes.Repeat([]byte{9}, 32))
	if err != nil {
		t.Fatal(err)
	}
	r, err := ocsp.ParseRequest(q)
	if err != nil {
		t.Fatal(err)
	}
	k, _ := publicKeyBits(p.issuer)
	if r.SerialNumber.Cmp(p.subject.SerialNumber) != 0 || !bytes.Equal(r.IssuerKeyHash, sum(crypto.SHA1, k)) || !bytes.Equal(r.IssuerNameHash, sum(crypto.SHA1, p.issuer.RawSubject)) {
		t.Errorf("another library reads %+v", r)
	}
	parsed, err := ocsp.ParseResponseForCert(newOCSP(t, p).bytes(t), p.subject, p.issuer)
	if err != nil || parsed.Status != ocsp.Good {
		t.Errorf("another library refuses the tests' own response: %v", err)
	}
	if _, err := MarshalOCSPRequest(p.subject, p.issuer, []byte{1}); !errors.Is(err, ErrParams) {
		t.Errorf("nonce of one octet: %v, want ErrParams", err)
	}
}

func FuzzCheckOCSP(f *testing.F) {
	p := newPKI(f)
	forged := newOCSP(f, p)
	f.Add(forged.bytes(f))
	forged.singles = append(forged.singles, single(f, certIDOf(f, p, oidSHA1, crypto.SHA1), revoked(f, now), now, now))
	forged.extensions = nonce(f, make([]byte, 32))
	f.Add(forged.bytes(f))
	f.Add([]byte{0x30, 3, 10, 1, 6})
	f.Add(forged.data(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<13 {
			return
		}
		// What a response says is reached only with a signature, so sign what the
		// fuzzer makes, if it is one SEQUENCE of DER.
		ders := [][]byte{b}
		if len(b) > 0 && b[0] == 0x30 && cms.DERCheck(b, 1<<12, maxDepth) == nil {
			ders = append(ders, forged.response(t, b))
		}
		for _, der := range ders {
			for _, o := range []Options{{At: now}, {AtProduction: true}} {
				st, err := CheckOCSP(der, p.subject, p.issuer, o)
				if (st == nil) == (err == nil) {
					t.Fatalf("status %v with error %v", st, err)
				}
				if err == nil {
					if _, err := ocsp.ParseResponseForCert(der, p.subject, p.issuer); err != nil {
						t.Fatalf("proves something, but another library says %v", err)
					}
				}
			}
		}
	})
}
