package pades

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/evidence/revocation"
)

// Bounds of what is taken: items of one list of the document security store,
// bytes of all its lists, and items of evidence of store and signatures together.
const (
	maxStoreItems = 1024
	maxStoreBytes = 64 << 20
	maxItems      = 8192
)

// embedded is the evidence that a file holds: in its document security store
// (ISO 32000-2 §12.8.4.3) and in its signatures.
type embedded struct {
	certs []*x509.Certificate
	// items are OCSP responses and lists, unverified.
	items []storeItem
	lists map[[32]byte]*revocation.CRL // by digest of list and issuer, once verified
	// stored counts the items of each list of the store, storedBytes their bytes.
	stored      map[string]int
	storedBytes int
}

// storeItem is one piece of revocation evidence.
type storeItem struct {
	der []byte
	sum [32]byte
	crl bool
	// revision is the one from which on a document time-stamp covers the item.
	revision int
}

// hasCert reports whether a certificate stands in the file.
func (e *embedded) hasCert(c *x509.Certificate) bool {
	for _, k := range e.certs {
		if k.Equal(c) {
			return true
		}
	}
	return false
}

func (e *embedded) addCert(c *x509.Certificate) {
	if !e.hasCert(c) {
		e.certs = append(e.certs, c)
	}
}

// add takes an item, or learns that it stood there earlier.
func (e *embedded) add(der []byte, crl bool, revision int) {
	sum := sha256.Sum256(der)
	for i := range e.items {
		if it := &e.items[i]; it.sum == sum && it.crl == crl {
			it.revision = min(it.revision, revision)
			return
		}
	}
	if len(e.items) < maxItems {
		e.items = append(e.items, storeItem{der: der, sum: sum, crl: crl, revision: revision})
	}
}

// has reports whether an item is in the file already.
func (e *embedded) has(der []byte) bool {
	for _, it := range e.items {
		if bytes.Equal(it.der, der) {
			return true
		}
	}
	return false
}

// openList verifies a list under its issuer's key, once.
func (e *embedded) openList(it storeItem, issuer *x509.Certificate) *revocation.CRL {
	h := sha256.New()
	_, _ = h.Write(it.sum[:])
	_, _ = h.Write(issuer.Raw)
	key := [32]byte(h.Sum(nil))
	if l, ok := e.lists[key]; ok {
		return l
	}
	l, err := revocation.OpenCRL(it.der, issuer)
	if err != nil {
		l = nil
	}
	if e.lists == nil {
		e.lists = map[[32]byte]*revocation.CRL{}
	}
	e.lists[key] = l
	return l
}

// gather reads the evidence in the file and in its signatures.
func (v *verifier) gather(ctx context.Context) error {
	for _, c := range v.sigs {
		if c.sd == nil || c.revision < 0 {
			continue
		}
		for _, x := range c.sd.Certificates() {
			v.embedded.addCert(x)
		}
		// What stands in the hole of a signature is covered from the next revision on.
		for _, b := range c.sd.CRLs {
			v.embedded.add(b, true, c.revision+1)
		}
		for _, b := range c.sd.OCSPResponses {
			v.embedded.add(b, false, c.revision+1)
		}
		for _, b := range c.sd.BasicOCSPResponses {
			if der, err := wrapBasicOCSP(b); err == nil {
				v.embedded.add(der, false, c.revision+1)
			}
		}
	}
	return v.readStore(ctx)
}

// wrapBasicOCSP makes an OCSPResponse of a BasicOCSPResponse (RFC 6960 §4.2.1).
func wrapBasicOCSP(basic []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(0)
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier([]int{1, 3, 6, 1, 5, 5, 7, 48, 1, 1})
				b.AddASN1OctetString(basic)
			})
		})
	})
	return b.Bytes()
}

// readStore reads the document security store. What of it does not read is
// passed over with a warning: it is not needed for the signature to be whole.
func (v *verifier) readStore(ctx context.Context) error {
	cat, err := v.f.Catalog()
	if err != nil {
		return err
	}
	dss, err := v.f.Resolve(cat.Value.Get("DSS"))
	if err != nil || dss.IsNull() {
		return err
	}
	revs, err := v.f.Revisions()
	if err != nil {
		return err
	}
	r := storeReader{v: v, revs: revs}
	for _, list := range []struct {
		key  string
		take func(der []byte, revision int) error
	}{
		{"Certs", func(der []byte, _ int) error {
			c, err := x509.ParseCertificate(der)
			if err == nil {
				v.embedded.addCert(c)
			}
			return err
		}},
		{"OCSPs", func(der []byte, rev int) error { v.embedded.add(der, false, rev); return nil }},
		{"CRLs", func(der []byte, rev int) error { v.embedded.add(der, true, rev); return nil }},
	} {
		if err := r.list(ctx, dss, list.key, list.take); err != nil {
			return err
		}
	}
	if r.bad > 0 {
		v.report.Warnings = append(v.report.Warnings, Warning{WarnEvidence, fmt.Sprintf("%d items of the document security store cannot be used", r.bad)})
	}
	return nil
}

type storeReader struct {
	v    *verifier
	revs []cos.Revision
	bad  int
}

func (r *storeReader) list(ctx context.Context, dss cos.Value, key string, take func([]byte, int) error) error {
	arr, err := r.v.f.Resolve(dss.Get(key))
	if err != nil {
		return err
	}
	have := &r.v.embedded
	if have.stored == nil {
		have.stored = map[string]int{}
	}
	for _, e := range arr.Elems() {
		if err := ctx.Err(); err != nil {
			return err
		}
		have.stored[key]++
		if have.stored[key] > maxStoreItems || have.storedBytes >= maxStoreBytes {
			r.bad++
			continue
		}
		o, err := r.v.f.ResolveObject(e)
		if err != nil {
			return err
		}
		if o.Stream == nil || o.Ref.Num == 0 {
			r.bad++
			continue
		}
		der, err := r.v.f.Decode(o)
		if err != nil {
			var c *cos.Error
			if !errors.As(err, &c) {
				return err
			}
			r.bad++
			continue
		}
		have.storedBytes += len(der)
		if take(der, r.revision(o)) != nil {
			r.bad++
		}
	}
	return nil
}

// revision returns the revision that an object was written in, from 0.
func (r *storeReader) revision(o *cos.Object) int {
	for i, rev := range r.revs {
		if o.Header >= rev.Start && o.Header < rev.End {
			return i
		}
	}
	return len(r.revs)
}

// existed returns the time at which a trusted document time-stamp proves that
// what stands in a revision existed; the time of verification if none does.
func (v *verifier) existed(revision int) time.Time {
	t := v.o.At
	for _, p := range v.proofs {
		if p.revision >= revision && p.time.Before(t) {
			t = p.time
		}
	}
	return t
}
