package der

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oruro.gob.bo/suti/ca/profile"
)

const (
	oidReasonCode    = "2.5.29.21"
	oidInvalidity    = "2.5.29.24"
	oidCRLNumber     = "2.5.29.20"
	oidAKI           = "2.5.29.35"
	oidExpiredOnCRL  = "2.5.29.60"
	maxCRLHeadOctets = 1 << 10
)

// Entry encodes one revoked certificate (RFC 5280 §5.1.2.6). The result is kept
// and copied into every list. invalidity may be zero.
func Entry(serial []byte, revokedAt time.Time, reason Reason, invalidity time.Time) ([]byte, error) {
	b := cryptobyte.NewBuilder(make([]byte, 0, 64))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addSerial(b, serial)
		addTime(b, revokedAt)
		if reason == ReasonUnspecified && invalidity.IsZero() {
			return
		}
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			if reason != ReasonUnspecified {
				addExt(b, oidReasonCode, func(b *cryptobyte.Builder) { b.AddASN1Enum(int64(reason)) })
			}
			if !invalidity.IsZero() {
				addExt(b, oidInvalidity, func(b *cryptobyte.Builder) { addGeneralized(b, invalidity) })
			}
		})
	})
	out, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode CRL entry: %w", err)
	}
	return out, nil
}

// CRL is a full list without issuing distribution point, so that every reader
// takes it for the whole of the authority's revocations.
type CRL struct {
	Issuer     []byte // subject name of the authority, DER
	KeyID      []byte // its subject key identifier
	Number     int64  // grows with every list
	ThisUpdate time.Time
	NextUpdate time.Time
	// ExpiredSince says that certificates which expired since then stay listed
	// (X.509 §9.5.2.8), so that old signatures remain checkable.
	ExpiredSince time.Time
	// Entries is the concatenation of results of [Entry].
	Entries []byte
}

// Sign encodes the list and signs it once; the signature is verified before the
// list is returned.
func (c CRL) Sign(alg profile.SignatureAlgorithm, signer crypto.Signer) ([]byte, error) {
	if c.Number < 1 || !c.NextUpdate.After(c.ThisUpdate) {
		return nil, fmt.Errorf("%w: CRL number or period", ErrMalformed)
	}
	b := cryptobyte.NewBuilder(make([]byte, 0, len(c.Entries)+len(c.Issuer)+maxCRLHeadOctets))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1) // v2
		alg.Add(b)
		b.AddBytes(c.Issuer)
		addTime(b, c.ThisUpdate)
		addTime(b, c.NextUpdate)
		if len(c.Entries) > 0 {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(c.Entries) })
		}
		b.AddASN1(context(0), func(b *cryptobyte.Builder) { b.AddASN1(cbasn1.SEQUENCE, c.addExtensions) })
	})
	tbs, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("encode CRL: %w", err)
	}
	sig, err := alg.Sign(signer, tbs)
	if err != nil {
		return nil, fmt.Errorf("sign CRL: %w", err)
	}
	return alg.Assemble(tbs, sig), nil
}

func (c CRL) addExtensions(b *cryptobyte.Builder) {
	addExt(b, oidAKI, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(c.KeyID) })
		})
	})
	addExt(b, oidCRLNumber, func(b *cryptobyte.Builder) { b.AddASN1Int64(c.Number) })
	if !c.ExpiredSince.IsZero() {
		addExt(b, oidExpiredOnCRL, func(b *cryptobyte.Builder) { addGeneralized(b, c.ExpiredSince) })
	}
}

// CRLHead is what a storer checks before it publishes a list.
type CRLHead struct {
	TBS, Signature []byte
	Issuer, KeyID  []byte
	Number         int64
	ThisUpdate     time.Time
	NextUpdate     time.Time
	Entries        int
	Partitioned    bool // has an issuing distribution point or is a delta
}

// ParseCRL reads a list without copying its entries. It counts entries and does
// not verify the signature. Errors match [ErrMalformed].
func ParseCRL(in []byte) (CRLHead, error) {
	var h CRLHead
	malformed := func(what string) (CRLHead, error) { return CRLHead{}, fmt.Errorf("%w: CRL %s", ErrMalformed, what) }
	s := cryptobyte.String(in)
	var outer, tbs, raw, issuer, entries, exts cryptobyte.String
	if !s.ReadASN1(&outer, cbasn1.SEQUENCE) || !s.Empty() || !outer.ReadASN1Element(&raw, cbasn1.SEQUENCE) ||
		!outer.SkipASN1(cbasn1.SEQUENCE) || !outer.ReadASN1BitStringAsBytes(&h.Signature) || !outer.Empty() {
		return malformed("structure")
	}
	h.TBS = raw
	var version int
	if !raw.ReadASN1(&tbs, cbasn1.SEQUENCE) || !tbs.ReadASN1Integer(&version) || version != 1 ||
		!tbs.SkipASN1(cbasn1.SEQUENCE) || !tbs.ReadASN1Element(&issuer, cbasn1.SEQUENCE) {
		return malformed("head")
	}
	h.Issuer = issuer
	if !readTime(&tbs, &h.ThisUpdate) || !readTime(&tbs, &h.NextUpdate) {
		return malformed("times")
	}
	var hasEntries, hasExts bool
	if !tbs.ReadOptionalASN1(&entries, &hasEntries, cbasn1.SEQUENCE) || !tbs.ReadOptionalASN1(&exts, &hasExts, context(0)) || !tbs.Empty() || !hasExts {
		return malformed("extensions missing")
	}
	for !entries.Empty() {
		if !entries.SkipASN1(cbasn1.SEQUENCE) {
			return malformed("entry")
		}
		h.Entries++
	}
	if err := eachExtension(exts, h.readExtension); err != nil {
		return CRLHead{}, err
	}
	if h.Number < 1 || h.KeyID == nil {
		return malformed("without number or key identifier")
	}
	return h, nil
}

func (h *CRLHead) readExtension(oid string, critical bool, value []byte) error {
	v := cryptobyte.String(value)
	switch oid {
	case oidCRLNumber:
		if !v.ReadASN1Integer(&h.Number) || !v.Empty() {
			return fmt.Errorf("%w: CRL number", ErrMalformed)
		}
	case oidAKI:
		var seq, id cryptobyte.String
		if !v.ReadASN1(&seq, cbasn1.SEQUENCE) || !seq.ReadASN1(&id, cbasn1.Tag(0).ContextSpecific()) {
			return fmt.Errorf("%w: CRL key identifier", ErrMalformed)
		}
		h.KeyID = bytes.Clone(id)
	case "2.5.29.28", "2.5.29.27": // issuingDistributionPoint, deltaCRLIndicator
		h.Partitioned = true
	default:
		return refuseCritical(oid, critical)
	}
	return nil
}

func readTime(s *cryptobyte.String, out *time.Time) bool {
	if s.PeekASN1Tag(cbasn1.UTCTime) {
		return s.ReadASN1UTCTime(out)
	}
	return s.ReadASN1GeneralizedTime(out)
}

// addTime writes UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 §5.1.2.4).
func addTime(b *cryptobyte.Builder, t time.Time) {
	t = t.UTC().Truncate(time.Second)
	if t.Year() >= 2050 {
		b.AddASN1GeneralizedTime(t)
		return
	}
	b.AddASN1UTCTime(t)
}

func addExt(b *cryptobyte.Builder, oid string, value func(*cryptobyte.Builder)) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(mustOID(oid))
		b.AddASN1(cbasn1.OCTET_STRING, value)
	})
}

// addSerial writes a positive INTEGER from its magnitude.
func addSerial(b *cryptobyte.Builder, serial []byte) {
	if len(serial) == 0 || len(serial) > 20 || serial[0] == 0 {
		b.SetError(fmt.Errorf("%w: serial number", ErrMalformed))
		return
	}
	b.AddASN1(cbasn1.INTEGER, func(b *cryptobyte.Builder) {
		if serial[0]&0x80 != 0 {
			b.AddUint8(0)
		}
		b.AddBytes(serial)
	})
}

// mustOID turns a dotted constant of this package into an object identifier.
func mustOID(s string) asn1.ObjectIdentifier {
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			panic("der: bad object identifier constant " + s)
		}
		oid = append(oid, n)
	}
	return oid
}
