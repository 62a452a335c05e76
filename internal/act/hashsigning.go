package act

import "crypto/sha256"

// Kinds of hash in a [HashSigning] (CSC API v2: signHash and signDoc).
const (
	// ObjectAttributes: each hash is over signed attributes, the data to be signed (DTBSR).
	ObjectAttributes = "attributes"
	// ObjectDocument: each hash is over a document; Suti builds the signed attributes.
	ObjectDocument = "document"
)

// Object identifiers of hash algorithms (NIST CSOR 2.16.840.1.101.3.4.2).
const (
	OIDSHA256 = "2.16.840.1.101.3.4.2.1"
	OIDSHA384 = "2.16.840.1.101.3.4.2.2"
	OIDSHA512 = "2.16.840.1.101.3.4.2.3"
)

const (
	maxClient     = 255
	maxLabel      = 255
	maxCredential = 128
)

// HashSigning is the activation of signatures on hashes that an application
// computed (Cloud Signature Consortium API v2), tag suti/csc/v1. The number of
// signatures it allows is the number of its hashes.
type HashSigning struct {
	Common
	// Credential is the CSC credentialID.
	Credential string
	// Client is the client_id of the application that asks.
	Client string
	// Object says what was hashed: ObjectAttributes or ObjectDocument.
	Object string
	// HashAlgorithm and SignAlgorithm are object identifiers.
	HashAlgorithm string
	SignAlgorithm string
	// Hashes are listed in the order in which they were shown.
	Hashes []LabelledHash
}

// LabelledHash is a hash with the label that the signer was shown.
type LabelledHash struct {
	Hash  []byte
	Label string // empty if the application gave none
}

// Shared returns the fields that both kinds of activation share.
func (s *HashSigning) Shared() Common { return s.Common }

// Preimage returns the canonical bytes, tag included.
func (s *HashSigning) Preimage() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	c := writer(TagHashSigning)
	s.fields(c)
	return finish(c)
}

// ParseHashSigning parses a preimage of tag suti/csc/v1.
// Errors: [ErrSize], [ErrEncoding], [ErrValue].
func ParseHashSigning(preimage []byte) (*HashSigning, error) {
	c := reader(TagHashSigning, preimage, MaxPreimage)
	s := &HashSigning{}
	s.fields(c)
	if err := c.done(); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *HashSigning) fields(c *codec) {
	s.head(c)
	str(c, "credential", &s.Credential, maxCredential)
	c.hash("certificate_sha256", &s.Certificate)
	str(c, "client", &s.Client, maxClient)
	str(c, "object", &s.Object, len(ObjectAttributes))
	str(c, "hash_algorithm", &s.HashAlgorithm, 64)
	str(c, "sign_algorithm", &s.SignAlgorithm, 64)
	list(c, "hashes", &s.Hashes, MaxDocuments, func(c *codec, h *LabelledHash) {
		c.opaque("hash", &h.Hash, 32, 64)
		str(c, "label", &h.Label, maxLabel)
	})
	s.tail(c)
}

func (s *HashSigning) check() error {
	k := &checks{}
	s.Common.check(k)
	k.token("credential", s.Credential, maxCredential)
	k.that(!s.Certificate.IsZero(), "certificate_sha256", "zero")
	k.printable("client", s.Client, maxClient)
	k.oneOf("object", s.Object, ObjectAttributes, ObjectDocument)
	k.oid("sign_algorithm", s.SignAlgorithm)
	size, known := map[string]int{OIDSHA256: sha256.Size, OIDSHA384: 48, OIDSHA512: 64}[s.HashAlgorithm]
	k.that(known, "hash_algorithm", "not SHA-256, SHA-384 or SHA-512")
	k.that(len(s.Hashes) > 0 && len(s.Hashes) <= MaxDocuments, "hashes", "none or too many")
	for _, h := range s.Hashes {
		k.that(len(h.Hash) == size, "hash", "length is not that of the algorithm")
		if h.Label != "" {
			k.text("label", h.Label, maxLabel)
		}
	}
	return k.err
}
