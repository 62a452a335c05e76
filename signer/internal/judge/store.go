package judge

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/internal/evidence/revocation"
)

// maxItems bounds the items of evidence of a file.
const maxItems = 8192

// Store is the evidence that a file holds. The zero value is empty.
type Store struct {
	certs []*x509.Certificate
	// items are OCSP responses and lists, unverified.
	items []item
	lists map[[32]byte]*revocation.CRL // by digest of list and issuer, once verified
}

// item is one piece of revocation evidence.
type item struct {
	der []byte
	sum [32]byte
	crl bool
	// revision is the one from which on a document time-stamp covers the item.
	revision int
}

// Certificates returns the certificates in the store.
func (e *Store) Certificates() []*x509.Certificate { return e.certs }

// HasCertificate reports whether a certificate stands in the file.
func (e *Store) HasCertificate(c *x509.Certificate) bool {
	for _, k := range e.certs {
		if k.Equal(c) {
			return true
		}
	}
	return false
}

// AddCertificate takes a certificate, once.
func (e *Store) AddCertificate(c *x509.Certificate) {
	if !e.HasCertificate(c) {
		e.certs = append(e.certs, c)
	}
}

// AddCRL takes a list in DER that a time-stamp of that revision or a later one
// covers, or learns that it stood there earlier.
func (e *Store) AddCRL(der []byte, revision int) { e.add(der, true, revision) }

// AddOCSP is [Store.AddCRL] for an OCSPResponse.
func (e *Store) AddOCSP(der []byte, revision int) { e.add(der, false, revision) }

func (e *Store) add(der []byte, crl bool, revision int) {
	sum := sha256.Sum256(der)
	for i := range e.items {
		if it := &e.items[i]; it.sum == sum && it.crl == crl {
			it.revision = min(it.revision, revision)
			return
		}
	}
	if len(e.items) < maxItems {
		e.items = append(e.items, item{der: der, sum: sum, crl: crl, revision: revision})
	}
}

// AddSignedData takes the certificates and revocation values of a SignedData.
func (e *Store) AddSignedData(sd *cms.SignedData, revision int) {
	for _, x := range sd.Certificates() {
		e.AddCertificate(x)
	}
	for _, b := range sd.CRLs {
		e.AddCRL(b, revision)
	}
	for _, b := range sd.OCSPResponses {
		e.AddOCSP(b, revision)
	}
	for _, b := range sd.BasicOCSPResponses {
		e.AddBasicOCSP(b, revision)
	}
}

// AddBasicOCSP is [Store.AddOCSP] for a BasicOCSPResponse.
func (e *Store) AddBasicOCSP(der []byte, revision int) {
	if whole, err := wrapBasicOCSP(der); err == nil {
		e.AddOCSP(whole, revision)
	}
}

// AddItems takes the OCSP responses and lists of another store.
func (e *Store) AddItems(other *Store) {
	for _, it := range other.items {
		e.add(it.der, it.crl, it.revision)
	}
}

// HasItem reports whether an OCSP response or list is in the store.
func (e *Store) HasItem(der []byte) bool {
	for _, it := range e.items {
		if bytes.Equal(it.der, der) {
			return true
		}
	}
	return false
}

// openList verifies a list under its issuer's key, once.
func (e *Store) openList(it item, issuer *x509.Certificate) *revocation.CRL {
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

// existed returns the time at which a trusted document time-stamp proves that
// what stands in a revision existed; the time of verification if none does.
func (j *Judge) existed(revision int) time.Time {
	t := j.At
	for _, p := range j.proofs {
		if p.Revision >= revision && p.Time.Before(t) {
			t = p.Time
		}
	}
	return t
}
