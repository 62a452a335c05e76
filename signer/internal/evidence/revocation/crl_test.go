package revocation

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"runtime"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oruro.gob.bo/suti/internal/cms"
)

// stdList makes a list with the standard library.
func stdList(tb testing.TB, p *pki, change func(*x509.RevocationList)) []byte {
	tb.Helper()
	l := &x509.RevocationList{
		Number: big.NewInt(42), ThisUpdate: now.Add(-time.Hour), NextUpdate: now.AddDate(0, 0, 7),
		RevokedCertificateEntries: []x509.RevocationListEntry{
			{SerialNumber: big.NewInt(5), RevocationTime: epoch, ReasonCode: 1},
			{SerialNumber: big.NewInt(6), RevocationTime: epoch},
		},
	}
	if change != nil {
		change(l)
	}
	der, err := x509.CreateRevocationList(rand.Reader, l, p.issuer, p.issuerKey)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

func checkList(der []byte, cert, issuer *x509.Certificate, o Options) (*Status, error) {
	c, err := OpenCRL(der, issuer)
	if err != nil {
		return nil, err
	}
	return c.Check(cert, o)
}

func addEntry(e x509.RevocationListEntry) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) { l.RevokedCertificateEntries = append(l.RevokedCertificateEntries, e) }
}

func addExt(e pkix.Extension) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) { l.ExtraExtensions = append(l.ExtraExtensions, e) }
}

// idp encodes an IssuingDistributionPoint.
func idp(tb testing.TB, uri string, flags ...uint8) pkix.Extension {
	var parts [][]byte
	if uri != "" {
		name := wrap(tb, cbasn1.Tag(6).ContextSpecific(), []byte(uri))
		parts = append(parts, wrap(tb, context(0), wrap(tb, context(0), name)))
	}
	for _, f := range flags {
		parts = append(parts, wrap(tb, cbasn1.Tag(f).ContextSpecific(), []byte{0xff}))
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: seq(tb, parts...)}
}

func TestCRLAnswers(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	when := now.AddDate(0, 0, -3)
	for name, tt := range map[string]struct {
		change func(*x509.RevocationList)
		state  State
		reason Reason
	}{
		"absent":          {nil, Good, NoReason},
		"empty list":      {func(l *x509.RevocationList) { l.RevokedCertificateEntries = nil }, Good, NoReason},
		"listed":          {addEntry(x509.RevocationListEntry{SerialNumber: p.subject.SerialNumber, RevocationTime: when, ReasonCode: 4}), Revoked, 4},
		"on hold":         {addEntry(x509.RevocationListEntry{SerialNumber: p.subject.SerialNumber, RevocationTime: when, ReasonCode: 6}), Revoked, CertificateHold},
		"without reason":  {addEntry(x509.RevocationListEntry{SerialNumber: p.subject.SerialNumber, RevocationTime: when}), Revoked, NoReason},
		"its shard":       {addExt(idp(t, "http://pki.example.test/a.crl")), Good, NoReason},
		"of people":       {addExt(idp(t, "", 1)), Good, NoReason},
		"note, no matter": {addExt(pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}), Good, NoReason},
	} {
		st, err := checkList(stdList(t, p, tt.change), p.subject, p.issuer, Options{At: now})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if st.State != tt.state || st.Reason != tt.reason {
			t.Errorf("%s: %v (%v), want %v (%v)", name, st.State, st.Reason, tt.state, tt.reason)
		}
		if st.State == Revoked && !st.RevokedAt.Equal(when) {
			t.Errorf("%s: revoked at %v, want %v", name, st.RevokedAt, when)
		}
		if !st.ThisUpdate.Equal(now.Add(-time.Hour)) || !st.NextUpdate.Equal(now.AddDate(0, 0, 7)) {
			t.Errorf("%s: times %+v", name, st)
		}
	}
}

func TestCRLRefused(t *testing.T) {
	t.Parallel()
	p, stranger := newPKI(t), newPKI(t)
	critical := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}
	relative := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: seq(t, wrap(t, context(0), wrap(t, context(1))))}
	reasons := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: seq(t, wrap(t, cbasn1.Tag(3).ContextSpecific(), []byte{1, 0x40}))}
	delta := pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 41}}
	noSign := *p.issuer
	noSign.KeyUsage = x509.KeyUsageCertSign
	other := *p.issuer
	other.RawSubject = stranger.subject.RawSubject
	at := Options{At: now}
	for name, tt := range map[string]struct {
		der    []byte
		issuer *x509.Certificate
		o      Options
		want   error
	}{
		"another shard":              {stdList(t, p, addExt(idp(t, "http://pki.example.test/b.crl"))), p.issuer, at, ErrScope},
		"of authorities":             {stdList(t, p, addExt(idp(t, "", 2))), p.issuer, at, ErrScope},
		"indirect":                   {stdList(t, p, addExt(idp(t, "", 4))), p.issuer, at, ErrScope},
		"of attribute certificates":  {stdList(t, p, addExt(idp(t, "", 5))), p.issuer, at, ErrScope},
		"of some reasons":            {stdList(t, p, addExt(reasons)), p.issuer, at, ErrScope},
		"named relative":             {stdList(t, p, addExt(relative)), p.issuer, at, ErrScope},
		"delta":                      {stdList(t, p, addExt(delta)), p.issuer, at, ErrScope},
		"critical":                   {stdList(t, p, addExt(critical)), p.issuer, at, ErrExtension},
		"critical on another entry":  {stdList(t, p, addEntry(x509.RevocationListEntry{SerialNumber: big.NewInt(9), RevocationTime: epoch, ExtraExtensions: []pkix.Extension{critical}})), p.issuer, at, ErrExtension},
		"not yet":                    {stdList(t, p, nil), p.issuer, Options{At: now.Add(-2 * time.Hour)}, ErrNotCurrent},
		"superseded":                 {stdList(t, p, nil), p.issuer, Options{At: now.AddDate(0, 0, 8)}, ErrNotCurrent},
		"another key under the name": {stdList(t, stranger, nil), p.issuer, at, cms.ErrSignature},
		"another issuer":             {stdList(t, p, nil), &other, at, ErrIssuer},
		"issuer may not":             {stdList(t, p, nil), &noSign, at, ErrIssuer},
		"certificate of another":     {stdList(t, p, nil), p.issuer, Options{At: now, Skew: -1}, ErrParams},
		"too long":                   {make([]byte, MaxCRL+1), p.issuer, at, ErrTooLarge},
		"empty":                      {nil, p.issuer, at, cms.ErrTruncated},
	} {
		if st, err := checkList(tt.der, p.subject, tt.issuer, tt.o); !errors.Is(err, tt.want) || st != nil {
			t.Errorf("%s: %v, %v; want %v", name, st, err, tt.want)
		}
	}
	if _, err := checkList(stdList(t, p, addExt(idp(t, "", 1))), p.issuer, p.issuer, at); !errors.Is(err, ErrScope) {
		t.Errorf("list of people asked about an authority: %v, want ErrScope", err)
	}
	foreign := *p.subject
	foreign.RawIssuer = stranger.subject.RawSubject
	if _, err := checkList(stdList(t, p, nil), &foreign, p.issuer, at); !errors.Is(err, ErrIssuer) {
		t.Errorf("certificate of another issuer: %v, want ErrIssuer", err)
	}
	flipped := stdList(t, p, addEntry(x509.RevocationListEntry{SerialNumber: p.subject.SerialNumber, RevocationTime: epoch}))
	i := bytes.Index(flipped, []byte{2, 2, 3, 0xe9})
	flipped[i+3] ^= 1
	if _, err := checkList(flipped, p.subject, p.issuer, at); !errors.Is(err, cms.ErrSignature) {
		t.Errorf("serial number changed: %v, want ErrSignature", err)
	}
}

func TestCRLMalformedInside(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	alg := seq(t, oid(t, ecdsaSHA256))
	utc := func(x time.Time) []byte { return enc(t, func(b *cryptobyte.Builder) { b.AddASN1UTCTime(x) }) }
	v2 := []byte{2, 1, 1}
	entry := seq(t, []byte{2, 1, 9}, utc(epoch))
	numbers := func(b ...byte) []byte {
		return wrap(t, context(0), seq(t, ext(t, asn1.ObjectIdentifier{2, 5, 29, 20}, false, b)))
	}
	for name, tt := range map[string]struct {
		tbs  []byte
		want error
	}{
		"fine":                   {seq(t, v2, alg, p.issuer.RawSubject, utc(epoch), utc(now.AddDate(0, 0, 1)), seq(t, entry), numbers(2, 1, 7)), nil},
		"version 1":              {seq(t, alg, p.issuer.RawSubject, utc(epoch), utc(now.AddDate(0, 0, 1))), nil},
		"generalized":            {seq(t, v2, alg, p.issuer.RawSubject, gtime(t, epoch), gtime(t, now.AddDate(0, 0, 1))), nil},
		"version 1, extensions":  {seq(t, alg, p.issuer.RawSubject, utc(epoch), utc(now), numbers(2, 1, 7)), ErrMalformed},
		"version 3":              {seq(t, []byte{2, 1, 2}, alg, p.issuer.RawSubject, utc(epoch), utc(now)), ErrMalformed},
		"no next update":         {seq(t, v2, alg, p.issuer.RawSubject, utc(epoch)), ErrMalformed},
		"next before this":       {seq(t, v2, alg, p.issuer.RawSubject, utc(now), utc(epoch)), ErrMalformed},
		"algorithms disagree":    {seq(t, v2, seq(t, oid(t, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3})), p.issuer.RawSubject, utc(epoch), utc(now)), ErrMalformed},
		"entry without date":     {seq(t, v2, alg, p.issuer.RawSubject, utc(epoch), utc(now.AddDate(0, 0, 1)), seq(t, seq(t, []byte{2, 1, 9}))), ErrMalformed},
		"entry of a null":        {seq(t, v2, alg, p.issuer.RawSubject, utc(epoch), utc(now.AddDate(0, 0, 1)), seq(t, []byte{5, 0})), ErrMalformed},
		"entry of a long tail":   {seq(t, v2, alg, p.issuer.RawSubject, utc(epoch), utc(now.AddDate(0, 0, 1)), seq(t, seq(t, []byte{2, 1, 9}, utc(epoch), seq(t), seq(t)))), ErrMalformed},
		"number is no number":    {seq(t, v2, alg, p.issuer.RawSubject, utc(epoch), utc(now), numbers(5, 0)), ErrMalformed},
		"after the extensions":   {seq(t, v2, alg, p.issuer.RawSubject, utc(epoch), utc(now), numbers(2, 1, 7), []byte{5, 0}), ErrMalformed},
		"null for an extensions": {seq(t, v2, alg, p.issuer.RawSubject, utc(epoch), utc(now), wrap(t, context(0), []byte{5, 0})), ErrMalformed},
	} {
		_, err := checkList(signed(t, tt.tbs, p.issuerKey), p.subject, p.issuer, Options{At: now})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

// TestCRLOfManyEntries searches a list of 200,000 entries where it lies.
func TestCRLOfManyEntries(t *testing.T) {
	p := newPKI(t)
	der := bigList(t, p, 200_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c, err := OpenCRL(der, p.issuer)
	if err != nil {
		t.Fatal(err)
	}
	st, err := c.Check(p.subject, Options{At: now})
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if st.State != Good {
		t.Errorf("state = %v, want good", st.State)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d octets allocated for a list of %d", got, len(der))
	}
	listed := *p.subject
	listed.SerialNumber = big.NewInt(1<<40 + 199_999)
	if st, err = c.Check(&listed, Options{At: now}); err != nil || st.State != Revoked {
		t.Errorf("last entry: %v, %v", st, err)
	}
}

func bigList(tb testing.TB, p *pki, n int) []byte {
	tb.Helper()
	when := enc(tb, func(b *cryptobyte.Builder) { b.AddASN1UTCTime(epoch) })
	reason := seq(tb, ext(tb, asn1.ObjectIdentifier{2, 5, 29, 21}, false, []byte{10, 1, 1}))
	entries := enc(tb, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for i := range n {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1Int64(1<<40 + int64(i))
					b.AddBytes(when)
					b.AddBytes(reason)
				})
			}
		})
	})
	tbs := seq(tb, []byte{2, 1, 1}, seq(tb, oid(tb, ecdsaSHA256)), p.issuer.RawSubject, when,
		enc(tb, func(b *cryptobyte.Builder) { b.AddASN1UTCTime(now.AddDate(0, 0, 7)) }), entries)
	return signed(tb, tbs, p.issuerKey)
}

func BenchmarkCRLCheck(b *testing.B) {
	p := newPKI(b)
	der := bigList(b, p, 200_000)
	c, err := OpenCRL(der, p.issuer)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(der)))
	for b.Loop() {
		if _, err := c.Check(p.subject, Options{At: now}); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzOpenCRL(f *testing.F) {
	p := newPKI(f)
	f.Add(stdList(f, p, nil))
	f.Add(stdList(f, p, addEntry(x509.RevocationListEntry{SerialNumber: p.subject.SerialNumber, RevocationTime: epoch, ReasonCode: 6})))
	f.Add(stdList(f, p, addExt(idp(f, "http://pki.example.test/a.crl", 1))))
	if l, err := x509.ParseRevocationList(stdList(f, p, nil)); err == nil {
		f.Add(l.RawTBSRevocationList)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<13 {
			return
		}
		// The content of a list is reached only with a signature, so sign what the
		// fuzzer makes, if it is one element of DER at all.
		ders := [][]byte{b}
		switch l, err := x509.ParseRevocationList(b); {
		case err == nil:
			ders = append(ders, signed(t, l.RawTBSRevocationList, p.issuerKey))
		case cms.DERCheck(b, 1<<12, maxDepth) == nil:
			ders = append(ders, signed(t, b, p.issuerKey))
		}
		for _, der := range ders {
			c, err := OpenCRL(der, p.issuer)
			if err != nil {
				continue
			}
			st, err := c.Check(p.subject, Options{At: now})
			if (st == nil) == (err == nil) {
				t.Fatalf("status %v with error %v", st, err)
			}
			l, perr := x509.ParseRevocationList(der)
			if err != nil || perr != nil {
				continue
			}
			listed := false
			for _, e := range l.RevokedCertificateEntries {
				listed = listed || e.SerialNumber.Cmp(p.subject.SerialNumber) == 0
			}
			if listed != (st.State == Revoked) {
				t.Fatalf("state %v, and another reader finds it listed: %v", st.State, listed)
			}
		}
	})
}

func TestStatusText(t *testing.T) {
	t.Parallel()
	if got := Good.String() + Revoked.String() + State(9).String(); got != "goodrevokednone" {
		t.Error(got)
	}
	if got := NoReason.String() + " " + CertificateHold.String() + " " + Reason(99).String(); got != "none certificateHold none" {
		t.Error(got)
	}
	c := &x509.Certificate{Extensions: []pkix.Extension{{Id: oidNoRevAvail}}}
	if !NoRevocationAvailable(c) || NoRevocationAvailable(&x509.Certificate{}) {
		t.Error("noRevAvail")
	}
}
