package act

import (
	"crypto/sha256"
	"time"
)

// Tags of the bodies that the transparency log holds about acts and signatures.
const (
	tagLeaf          = "suti/act-leaf/v1"
	tagSignatureLeaf = "suti/signature-leaf/v1"
	tagSignatureList = "suti/signature-list/v1"
	tagShown         = "suti/shown/v1"
)

// Leaf returns the body of the act's leaf in the transparency log: kind and
// hash, no personal data.
func (s *Signed) Leaf() []byte {
	c := writer(tagLeaf)
	kind := s.statement.Body.Kind()
	str(c, "kind", &kind, 20)
	c.hash("hash", &s.hash)
	return c.b
}

// MadeSignature is one signature that an activation led to.
type MadeSignature struct {
	Digest    []byte // as in the activation: of the ByteRange, or the application's hash
	Signature Hash   // SHA-256 of the signature value
	Shown     Hash   // of the page images that were shown, see [Shown]; zero if none were
}

// Shown returns the hash over the SHA-256 of the page images that a signer was
// shown, in order; zero if there are none.
func Shown(pages []Hash) Hash {
	if len(pages) == 0 {
		return Hash{}
	}
	c := writer(tagShown)
	list(c, "pages", &pages, len(pages), func(c *codec, h *Hash) { c.hash("page", h) })
	return sha256.Sum256(c.b)
}

// SignatureLeaf returns the body of the leaf that the transparency log holds
// for the signatures of one activation: its challenge, the SHA-256 of the
// certificate's DER, when the key was used, and a hash over the signatures in
// the activation's order. It names nobody. Errors: [ErrValue].
func SignatureLeaf(challenge, certificate Hash, signedAt time.Time, made []MadeSignature) ([]byte, error) {
	k := &checks{}
	k.that(!challenge.IsZero() && !certificate.IsZero(), "challenge", "zero")
	k.that(!signedAt.IsZero(), "signed_at", "missing")
	k.that(len(made) > 0 && len(made) <= MaxDocuments, "signatures", "none or too many")
	for _, m := range made {
		k.digest("digest", m.Digest)
		k.that(!m.Signature.IsZero(), "signature_sha256", "zero")
	}
	inner := writer(tagSignatureList)
	madeFields(inner, &made)
	if k.err != nil {
		return nil, k.err
	}
	if inner.err != nil {
		return nil, inner.err
	}
	c := writer(tagSignatureLeaf)
	leafFields(c, challenge, certificate, signedAt, sha256.Sum256(inner.b))
	return c.b, c.err
}

func madeFields(c *codec, made *[]MadeSignature) {
	list(c, "signatures", made, MaxDocuments, func(c *codec, m *MadeSignature) {
		c.opaque("digest", &m.Digest, 32, 64)
		c.hash("signature_sha256", &m.Signature)
		c.optionalHash("shown", &m.Shown)
	})
}

func leafFields(c *codec, challenge, certificate Hash, signedAt time.Time, signatures Hash) {
	c.hash("challenge", &challenge)
	c.hash("certificate_sha256", &certificate)
	c.instant("signed_at", &signedAt)
	c.hash("signatures", &signatures)
}
