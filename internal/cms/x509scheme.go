package cms

import (
	"crypto"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// SignatureScheme is the signature algorithm of a structure signed in the
// manner of X.509 (certificate, CRL, OCSP response), where one
// AlgorithmIdentifier names both digest and key.
type SignatureScheme struct {
	s    *Scheme
	salt int
}

// ReadSignatureScheme reads the AlgorithmIdentifier. Errors: [ErrMalformed],
// [ErrAlgorithm], [ErrWeakAlgorithm] (SHA-1, MD5), [ErrAlgorithmParameters],
// [ErrAlgorithmMismatch] (PSS with two digests).
func ReadSignatureScheme(s *cryptobyte.String) (SignatureScheme, error) {
	a, ok := readAlgorithmIdentifier(s, cbasn1.SEQUENCE)
	if !ok {
		return SignatureScheme{}, malformed("signature algorithm")
	}
	if a.oid.Equal(oidRSA) {
		return SignatureScheme{}, fmt.Errorf("%w: signature without a digest", ErrAlgorithm)
	}
	err := error(nil)
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		var sch SignatureScheme
		if sch.s, sch.salt, err = a.signature(h, nil); err == nil {
			return sch, nil
		}
		if !errors.Is(err, ErrAlgorithmMismatch) {
			break
		}
	}
	return SignatureScheme{}, err
}

// Algorithm returns the algorithm.
func (s SignatureScheme) Algorithm() Algorithm {
	if s.s == nil {
		return 0
	}
	return s.s.alg
}

// Verify checks a signature over message. Errors: [ErrAlgorithm],
// [ErrWeakAlgorithm], [ErrAlgorithmMismatch] (the key is of another kind),
// [ErrSignatureMalformed], [ErrSignature].
func (s SignatureScheme) Verify(pub crypto.PublicKey, message, signature []byte) error {
	if s.s == nil {
		return fmt.Errorf("%w: none", ErrAlgorithm)
	}
	return s.s.verify(pub, message, signature, s.salt)
}
