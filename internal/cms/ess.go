package cms

import (
	"bytes"
	"crypto"
	"crypto/sha1" // RFC 2634 signing-certificate of foreign time-stamp tokens
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// maxESSCertIDs bounds the certificates that a signing-certificate attribute names.
const maxESSCertIDs = 32

// ESSCertID is an ESSCertIDv2 (RFC 5035 §4), or an ESSCertID (RFC 2634 §5.4)
// where Hash is SHA-1.
type ESSCertID struct {
	Hash     crypto.Hash
	CertHash []byte
	// Issuer (the DER of a Name) and Serial are nil where issuerSerial is absent.
	Issuer []byte
	Serial *big.Int
}

// Matches reports whether the identifier names cert: its hash and, if given,
// its issuer and serial number.
func (e ESSCertID) Matches(cert *x509.Certificate) bool {
	if e.Hash == crypto.SHA1 {
		sum := sha1.Sum(cert.Raw)
		if !bytes.Equal(sum[:], e.CertHash) {
			return false
		}
	} else {
		h := e.Hash.New()
		h.Write(cert.Raw)
		if !bytes.Equal(h.Sum(nil), e.CertHash) {
			return false
		}
	}
	if e.Serial == nil {
		return true
	}
	return e.Serial.Cmp(cert.SerialNumber) == 0 && bytes.Equal(e.Issuer, cert.RawIssuer)
}

// marshalESSv2 returns the SigningCertificateV2 that names cert by SHA-256. The
// hash algorithm is the default and is left out, as DER demands.
func marshalESSv2(cert *x509.Certificate, issuerSerial bool) ([]byte, error) {
	h := crypto.SHA256.New()
	h.Write(cert.Raw)
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // SigningCertificateV2
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // certs
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // ESSCertIDv2
				b.AddASN1OctetString(h.Sum(nil))
				if !issuerSerial {
					return
				}
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // IssuerSerial
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // GeneralNames
						b.AddASN1(cbasn1.Tag(4).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
							b.AddBytes(cert.RawIssuer)
						})
					})
					b.AddASN1BigInt(cert.SerialNumber)
				})
			})
		})
	})
	return b.Bytes()
}

// readESS reads SigningCertificate (v2 false) or SigningCertificateV2.
func readESS(value []byte, v2 bool) ([]ESSCertID, error) {
	typ := OIDSigningCertificate
	if v2 {
		typ = OIDSigningCertificateV2
	}
	bad := attrErr(ErrAttributeMalformed, typ)
	in := cryptobyte.String(value)
	var body, certs, policies cryptobyte.String
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() ||
		!body.ReadASN1(&certs, cbasn1.SEQUENCE) || certs.Empty() {
		return nil, bad
	}
	if !body.ReadOptionalASN1(&policies, nil, cbasn1.SEQUENCE) || !body.Empty() {
		return nil, bad
	}
	var ids []ESSCertID
	for !certs.Empty() {
		if len(ids) == maxESSCertIDs {
			return nil, fmt.Errorf("%w: signing-certificate", ErrTooMany)
		}
		id, err := readESSCertID(&certs, v2, typ)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func readESSCertID(s *cryptobyte.String, v2 bool, typ asn1.ObjectIdentifier) (ESSCertID, error) {
	bad := attrErr(ErrAttributeMalformed, typ)
	id := ESSCertID{Hash: crypto.SHA1}
	size := sha1.Size
	var body cryptobyte.String
	if !s.ReadASN1(&body, cbasn1.SEQUENCE) {
		return id, bad
	}
	if v2 {
		id.Hash = crypto.SHA256
		if body.PeekASN1Tag(cbasn1.SEQUENCE) {
			alg, ok := readAlgorithmIdentifier(&body, cbasn1.SEQUENCE)
			if !ok {
				return id, bad
			}
			h, err := alg.hash()
			if err != nil {
				return id, err
			}
			id.Hash = h
		}
		size = id.Hash.Size()
	}
	if !body.ReadASN1Bytes(&id.CertHash, cbasn1.OCTET_STRING) || len(id.CertHash) != size {
		return id, bad
	}
	if body.Empty() {
		return id, nil
	}
	var is, names, name cryptobyte.String
	id.Serial = new(big.Int)
	if !body.ReadASN1(&is, cbasn1.SEQUENCE) || !body.Empty() || !is.ReadASN1(&names, cbasn1.SEQUENCE) ||
		!names.ReadASN1(&name, cbasn1.Tag(4).ContextSpecific().Constructed()) || !names.Empty() ||
		!is.ReadASN1Integer(id.Serial) || !is.Empty() {
		return id, bad
	}
	id.Issuer = name
	return id, nil
}
