package act

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/identity"
)

// TagSigned is the tag of a statement with its signatures.
const TagSigned = "suti/signed-act/v1"

// Bounds of a signed act.
const (
	// MaxSignatures bounds the signatures of one act: all keys of all founders.
	MaxSignatures = maxFounders * maxKeys
	// MaxSigned bounds a signed act, in bytes.
	MaxSigned = 1 << 20
)

// Signature is one passkey's signature on a statement.
type Signature struct {
	Person identity.PersonID // in whose name
	Key    Hash              // the KeyID
	assertion.Response
}

// Signed is a statement with its signatures. It is made by [Sign] or [Parse]
// and not changed afterwards; that its signatures verify is decided by [Build].
type Signed struct {
	statement  Statement
	signatures []Signature
	raw        []byte // the statement's canonical bytes
	hash       Hash
}

// Sign joins a statement and its signatures, in any order. It checks their
// form, not the signatures. Errors: [ErrValue], [ErrSize].
func Sign(s Statement, signatures ...Signature) (*Signed, error) {
	raw, err := s.Encode()
	if err != nil {
		return nil, err
	}
	// Parsing a copy detaches the value from the caller's pointers.
	own, err := ParseStatement(raw)
	if err != nil {
		return nil, err
	}
	out := &Signed{statement: own, signatures: slices.Clone(signatures), raw: raw, hash: sha256.Sum256(raw)}
	slices.SortFunc(out.signatures, func(a, b Signature) int {
		if a.order() < b.order() {
			return -1
		}
		return 1
	})
	if err := out.check(); err != nil {
		return nil, err
	}
	return out, nil
}

// order is the key by which signatures are sorted.
func (s Signature) order() string { return string(s.Person) + string(s.Key[:]) }

// Parse parses a signed act. Errors: [ErrSize], [ErrEncoding], [ErrValue].
func Parse(raw []byte) (*Signed, error) {
	c := reader(TagSigned, raw, MaxSigned)
	s := &Signed{}
	s.fields(c)
	if err := c.done(); err != nil {
		return nil, err
	}
	var err error
	if s.statement, err = ParseStatement(s.raw); err != nil {
		return nil, err
	}
	s.hash = sha256.Sum256(s.raw)
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Signed) fields(c *codec) {
	c.opaque("statement", &s.raw, 1, MaxStatement)
	list(c, "signatures", &s.signatures, MaxSignatures, func(c *codec, g *Signature) {
		str(c, "person", &g.Person, maxID)
		c.hash("key", &g.Key)
		c.opaque("authenticator_data", &g.AuthenticatorData, 1, assertion.MaxAuthData)
		c.opaque("client_data_json", &g.ClientDataJSON, 1, assertion.MaxClientData)
		c.opaque("signature", &g.Signature, 1, assertion.MaxSignature)
	})
}

func (s *Signed) check() error {
	k := &checks{}
	k.that(len(s.signatures) > 0, "signatures", "none")
	for _, g := range s.signatures {
		k.person("person", g.Person)
	}
	rising(k, "signatures", s.signatures, Signature.order)
	return k.err
}

// Marshal returns the canonical bytes of the signed act, tag included. It
// returns [ErrSize] or [ErrValue] if a part is above its bound.
func (s *Signed) Marshal() ([]byte, error) {
	c := writer(TagSigned)
	s.fields(c)
	if c.err != nil {
		return nil, c.err
	}
	if len(c.b) > MaxSigned {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrSize, len(c.b), MaxSigned)
	}
	return c.b, nil
}

// Statement returns what was signed. The caller must not change what its Body points to.
func (s *Signed) Statement() Statement { return s.statement }

// Signatures returns the signatures, in rising order of person and key.
func (s *Signed) Signatures() []Signature { return slices.Clone(s.signatures) }

// Hash returns the act's hash: the SHA-256 of the statement's canonical bytes.
func (s *Signed) Hash() Hash { return s.hash }
