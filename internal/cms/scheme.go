package cms

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Scheme is a signature algorithm as CMS uses it. Everything that signing,
// reading, verifying and reserving space need to know of one is here; those that
// this package supports are the table [Algorithm] names. A caller may pass
// others, by value, wherever it takes a []Scheme: there is no registry.
//
// A scheme that signs the message and not its digest, without parameters, as
// RFC 9882 asks of ML-DSA in CMS, needs no field beyond the exported ones.
type Scheme struct {
	// Name is stable, such as "ecdsa-sha256".
	Name string
	// OID identifies the signature algorithm.
	OID asn1.ObjectIdentifier
	// Hash digests the content, and, unless WholeMessage, the signed attributes.
	Hash crypto.Hash
	// WholeMessage says that the key signs the signed attributes themselves and
	// not their digest.
	WholeMessage bool
	// Opts is what [crypto.Signer] is given with [Prepared.Input].
	Opts crypto.SignerOpts
	// PublicKey returns the key of a certificate, nil if it is of another kind.
	PublicKey func(*x509.Certificate) crypto.PublicKey
	// CheckKey refuses a key that is of another kind ([ErrAlgorithmMismatch]),
	// too weak ([ErrWeakAlgorithm]) or not supported ([ErrAlgorithm]).
	CheckKey func(crypto.PublicKey) error
	// Verify checks a value over the signed attributes, or over their digest, under a
	// key that has been checked. Errors: [ErrSignatureMalformed], [ErrSignature],
	// [ErrAlgorithm] where it could not be judged. salt is of PSS only.
	Verify func(pub crypto.PublicKey, input, value []byte, salt int) error
	// MaxSize is the greatest length of a value under a key, in octets.
	MaxSize func(crypto.PublicKey) int

	alg  Algorithm // 0 if the scheme was passed by the caller
	null bool      // parameters are NULL; else they are absent
	pss  bool
}

// Algorithm returns the algorithm of this package that s is, 0 if none.
func (s *Scheme) Algorithm() Algorithm { return s.alg }

// input returns what the key signs for a message.
func (s *Scheme) input(message []byte) []byte {
	if s.WholeMessage {
		return message
	}
	return s.digest(message)
}

func (s *Scheme) digest(message []byte) []byte {
	h := s.Hash.New()
	h.Write(message)
	return h.Sum(nil)
}

// verify checks a value over message. Errors: those of CheckKey and Verify.
func (s *Scheme) verify(pub crypto.PublicKey, message, value []byte, salt int) error {
	if err := s.CheckKey(pub); err != nil {
		return err
	}
	return s.Verify(pub, s.input(message), value, salt)
}

// checkKey checks the key of a certificate and returns it.
func (s *Scheme) checkKey(cert *x509.Certificate) (crypto.PublicKey, error) {
	pub := s.PublicKey(cert)
	if pub == nil {
		return nil, fmt.Errorf("%w: %s with a key of kind %s", ErrAlgorithmMismatch, s.Name, keyName(cert))
	}
	return pub, s.CheckKey(pub)
}

// SchemeOf returns the scheme with that name, by default the one that this
// package or else more signs with under the certificate's key: for keys that
// several schemes fit, see [AlgorithmFor]. Errors: [ErrAlgorithm],
// [ErrWeakAlgorithm], [ErrAlgorithmMismatch].
func SchemeOf(cert *x509.Certificate, name string, more []Scheme) (*Scheme, error) {
	if name != "" {
		a, err := ParseAlgorithm(name)
		if err == nil {
			_, err = a.scheme().checkKey(cert)
			return a.scheme(), err
		}
		i := slices.IndexFunc(more, func(s Scheme) bool { return s.Name == name })
		if i < 0 {
			return nil, err
		}
		s := more[i]
		_, err = s.checkKey(cert)
		return &s, err
	}
	if cert.PublicKey != nil {
		if a, err := AlgorithmFor(cert.PublicKey); a.Valid() || len(more) == 0 {
			return a.scheme(), err
		}
	}
	for _, s := range more {
		if pub := s.PublicKey(cert); pub != nil {
			return &s, s.CheckKey(pub)
		}
	}
	return nil, fmt.Errorf("%w: key of kind %s", ErrAlgorithm, keyName(cert))
}

// algorithmNames are algorithms, of signatures and of keys, that are known but
// not supported (NIST FIPS 204 and 205; RFC 8410). They verify nothing.
var algorithmNames = []struct {
	oid  asn1.ObjectIdentifier
	name string
}{
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 17}, "ML-DSA-44"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18}, "ML-DSA-65"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 19}, "ML-DSA-87"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 32}, "HashML-DSA-44"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 33}, "HashML-DSA-65"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 34}, "HashML-DSA-87"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 20}, "SLH-DSA-SHA2-128s"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 21}, "SLH-DSA-SHA2-128f"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 22}, "SLH-DSA-SHA2-192s"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 23}, "SLH-DSA-SHA2-192f"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 24}, "SLH-DSA-SHA2-256s"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 25}, "SLH-DSA-SHA2-256f"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 26}, "SLH-DSA-SHAKE-128s"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 27}, "SLH-DSA-SHAKE-128f"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 28}, "SLH-DSA-SHAKE-192s"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 29}, "SLH-DSA-SHAKE-192f"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 30}, "SLH-DSA-SHAKE-256s"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 31}, "SLH-DSA-SHAKE-256f"},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 12}, "SHAKE256"},
	{asn1.ObjectIdentifier{1, 3, 101, 113}, "Ed448"},
}

// algorithmName returns the name of an algorithm that is known but not
// supported, with its identifier, else the identifier.
func algorithmName(oid asn1.ObjectIdentifier) string {
	for _, a := range algorithmNames {
		if a.oid.Equal(oid) {
			return a.name + " (" + oid.String() + ")"
		}
	}
	return oid.String()
}

// keyName names the kind of a certificate's key.
func keyName(cert *x509.Certificate) string {
	if cert.PublicKey != nil {
		return fmt.Sprintf("%T", cert.PublicKey)
	}
	in := cryptobyte.String(cert.RawSubjectPublicKeyInfo)
	var body cryptobyte.String
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) {
		return "unknown"
	}
	a, ok := readAlgorithmIdentifier(&body, cbasn1.SEQUENCE)
	if !ok {
		return "unknown"
	}
	return algorithmName(a.oid)
}
