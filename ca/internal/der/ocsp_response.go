package der

import (
	"crypto"
	"fmt"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oruro.gob.bo/suti/ca/profile"
)

// OCSPError is an OCSPResponseStatus other than successful (RFC 6960 §4.2.1).
type OCSPError uint8

// The statuses that this responder gives.
const (
	OCSPMalformed     OCSPError = 1
	OCSPInternalError OCSPError = 2
	OCSPTryLater      OCSPError = 3
	OCSPUnauthorized  OCSPError = 6
)

// Encode writes an unsigned error response.
func (e OCSPError) Encode() []byte {
	return []byte{0x30, 0x03, 0x0a, 0x01, byte(e)}
}

// Status is what OCSP says of a certificate.
type Status uint8

// The statuses. There is no "unknown": a serial that was never issued gets
// [OCSPUnauthorized], never an answer that could be read as good.
const (
	Good Status = iota + 1
	Revoked
)

// Reason is a CRLReason (RFC 5280 §5.3.1).
type Reason uint8

// The reasons in use. Unspecified is written by leaving the reason out.
const (
	ReasonUnspecified          Reason = 0
	ReasonKeyCompromise        Reason = 1
	ReasonAffiliationChanged   Reason = 3
	ReasonSuperseded           Reason = 4
	ReasonCessationOfOperation Reason = 5
	ReasonPrivilegeWithdrawn   Reason = 9
)

// Single is the answer about one certificate.
type Single struct {
	ID         []byte // CertID as the requester wrote it
	Status     Status
	RevokedAt  time.Time // of a revoked certificate
	Reason     Reason
	ThisUpdate time.Time
	NextUpdate time.Time
	// Cutoff is the archive cutoff (RFC 6960 §4.4.4): revocations since then
	// are answered although the certificates have expired. Zero: none.
	Cutoff time.Time
}

// OCSPResponse is a response to be signed. Times are written in whole seconds.
type OCSPResponse struct {
	KeyHash     []byte // SHA-1 of the responder's key, [Hasher.KeyHash]
	ProducedAt  time.Time
	Singles     []Single
	Nonce       []byte // nil: no nonce
	Certificate []byte // the delegated responder's certificate, DER
}

// Sign encodes the response and signs it once; the signature is verified before
// it is returned.
func (r OCSPResponse) Sign(alg profile.SignatureAlgorithm, signer crypto.Signer) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 256))
	b.AddASN1(cbasn1.SEQUENCE, r.addData)
	data, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode OCSP response: %w", err)
	}
	sig, err := alg.Sign(signer, data)
	if err != nil {
		return nil, fmt.Errorf("sign OCSP response: %w", err)
	}
	out := cryptobyte.NewBuilder(make([]byte, 0, len(data)+len(sig)+len(r.Certificate)+96))
	out.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(0)
		b.AddASN1(context(0), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(mustOID("1.3.6.1.5.5.7.48.1.1")) // id-pkix-ocsp-basic
				b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(data)
						alg.Add(b)
						b.AddASN1BitString(sig)
						b.AddASN1(context(0), func(b *cryptobyte.Builder) {
							b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(r.Certificate) })
						})
					})
				})
			})
		})
	})
	return out.Bytes()
}

// addData writes ResponseData.
func (r OCSPResponse) addData(b *cryptobyte.Builder) {
	b.AddASN1(context(2), func(b *cryptobyte.Builder) { b.AddASN1OctetString(r.KeyHash) })
	addGeneralized(b, r.ProducedAt)
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, s := range r.Singles {
			b.AddASN1(cbasn1.SEQUENCE, s.add)
		}
	})
	if r.Nonce != nil {
		b.AddASN1(context(1), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addExt(b, oidOCSPNonce, func(b *cryptobyte.Builder) { b.AddASN1OctetString(r.Nonce) })
			})
		})
	}
}

func (s Single) add(b *cryptobyte.Builder) {
	b.AddBytes(s.ID)
	switch s.Status {
	case Good:
		b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(*cryptobyte.Builder) {})
	case Revoked:
		b.AddASN1(context(1), func(b *cryptobyte.Builder) {
			addGeneralized(b, s.RevokedAt)
			if s.Reason != ReasonUnspecified {
				b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(s.Reason)) })
			}
		})
	default:
		b.SetError(fmt.Errorf("der: no status for a certificate"))
		return
	}
	addGeneralized(b, s.ThisUpdate)
	b.AddASN1(context(0), func(b *cryptobyte.Builder) { addGeneralized(b, s.NextUpdate) })
	if !s.Cutoff.IsZero() {
		b.AddASN1(context(1), func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				addExt(b, "1.3.6.1.5.5.7.48.1.6", func(b *cryptobyte.Builder) { addGeneralized(b, s.Cutoff) })
			})
		})
	}
}

func addGeneralized(b *cryptobyte.Builder, t time.Time) {
	b.AddASN1GeneralizedTime(t.UTC().Truncate(time.Second))
}
