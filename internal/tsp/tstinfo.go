package tsp

import (
	"bytes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"strings"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oruro.gob.bo/suti/internal/cms"
)

// maxSerialBits is that of RFC 3161 §2.4.2 for what we issue; readers bear a
// little more.
const (
	maxSerialBits     = 160
	maxReadSerialBits = 256
)

// TSTInfo is what a time-stamping unit signs (RFC 3161 §2.4.2).
type TSTInfo struct {
	Policy  asn1.ObjectIdentifier
	Imprint Imprint
	// Serial is positive and of at most 160 bits. The caller MUST have stored it
	// durably as used before the token is signed.
	Serial *big.Int
	// GenTime is cut to the millisecond when written.
	GenTime time.Time
	// Accuracy is written to the microsecond, below 2^31 s; zero leaves it out.
	Accuracy time.Duration
	Ordering bool
	// Nonce is the request's, nil where it had none.
	Nonce *big.Int
	// TSA is the DER of a GeneralName, nil to leave it out; see [DirectoryName].
	TSA        []byte
	Extensions []pkix.Extension
}

// DirectoryName returns the GeneralName of a Name in DER, for instance of a
// certificate's RawSubject.
func DirectoryName(name []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.Tag(4).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(name) })
	return b.BytesOrPanic()
}

// Marshal returns the DER of the TSTInfo, or [ErrParams].
func (i *TSTInfo) Marshal() ([]byte, error) {
	switch {
	case len(i.Policy) < 2, !i.Imprint.valid(), len(i.Extensions) > maxExtensions:
		return nil, fmt.Errorf("%w: TSTInfo", ErrParams)
	case i.Serial == nil || i.Serial.Sign() <= 0 || i.Serial.BitLen() > maxSerialBits:
		return nil, fmt.Errorf("%w: serial number", ErrParams)
	case i.GenTime.UTC().Year() < 1970 || i.GenTime.UTC().Year() > 9999:
		return nil, fmt.Errorf("%w: time", ErrParams)
	case i.Accuracy < 0 || i.Accuracy >= (1<<31)*time.Second:
		return nil, fmt.Errorf("%w: accuracy", ErrParams)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(1)
		b.AddASN1ObjectIdentifier(i.Policy)
		i.Imprint.add(b)
		b.AddASN1BigInt(i.Serial)
		b.AddASN1(cbasn1.GeneralizedTime, func(b *cryptobyte.Builder) { b.AddBytes(formatTime(i.GenTime)) })
		addAccuracy(b, i.Accuracy)
		if i.Ordering {
			b.AddASN1Boolean(true)
		}
		if i.Nonce != nil {
			b.AddASN1BigInt(i.Nonce)
		}
		if i.TSA != nil {
			b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(i.TSA) })
		}
		addExtensions(b, 1, i.Extensions)
	})
	out, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrParams, err)
	}
	return out, nil
}

// addAccuracy writes Accuracy, or nothing for zero.
func addAccuracy(b *cryptobyte.Builder, d time.Duration) {
	if d < time.Microsecond {
		return
	}
	part := func(b *cryptobyte.Builder, n uint8, v time.Duration) {
		if v == 0 {
			return
		}
		b.AddASN1Int64WithTag(int64(v), cbasn1.Tag(n).ContextSpecific())
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		if s := d / time.Second; s > 0 {
			b.AddASN1Int64(int64(s))
		}
		part(b, 0, d%time.Second/time.Millisecond)
		part(b, 1, d%time.Millisecond/time.Microsecond)
	})
}

// ParseTSTInfo reads a TSTInfo in DER. Errors: [ErrMalformed], [ErrVersion],
// [ErrExtension], and those of the digest algorithm from internal/cms.
func ParseTSTInfo(b []byte) (*TSTInfo, error) {
	if err := cms.DERCheck(b, MaxResponse, maxDepth); err != nil {
		return nil, err
	}
	in := cryptobyte.String(bytes.Clone(b))
	var body cryptobyte.String
	var version int
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() || !body.ReadASN1Integer(&version) {
		return nil, malformed("TSTInfo")
	}
	if version != 1 {
		return nil, fmt.Errorf("%w: TSTInfo %d", ErrVersion, version)
	}
	i := &TSTInfo{Serial: new(big.Int)}
	if !body.ReadASN1ObjectIdentifier(&i.Policy) {
		return nil, malformed("policy")
	}
	m, ok, err := readImprint(&body)
	if !ok {
		return nil, malformed("messageImprint")
	}
	if err != nil {
		return nil, err
	}
	if !m.valid() {
		return nil, malformed("imprint length")
	}
	i.Imprint = m
	if !body.ReadASN1Integer(i.Serial) || i.Serial.Sign() < 0 || i.Serial.BitLen() > maxReadSerialBits {
		return nil, malformed("serialNumber")
	}
	var gen cryptobyte.String
	if !body.ReadASN1(&gen, cbasn1.GeneralizedTime) {
		return nil, malformed("genTime")
	}
	if i.GenTime, err = parseTime(string(gen)); err != nil {
		return nil, err
	}
	if err := i.readOptions(&body); err != nil {
		return nil, err
	}
	return i, nil
}

// readOptions reads the fields after genTime.
func (i *TSTInfo) readOptions(s *cryptobyte.String) error {
	var err error
	if i.Accuracy, err = readAccuracy(s); err != nil {
		return err
	}
	if !readFlag(s, &i.Ordering) {
		return malformed("ordering")
	}
	if i.Nonce, err = readNonce(s); err != nil {
		return err
	}
	var name cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&name, &present, cbasn1.Tag(0).ContextSpecific().Constructed()) {
		return malformed("tsa")
	}
	if present {
		var one cryptobyte.String
		if !name.ReadAnyASN1Element(&one, nil) || !name.Empty() {
			return malformed("tsa")
		}
		i.TSA = one
	}
	if i.Extensions, err = readExtensions(s, 1); err != nil {
		return err
	}
	if !s.Empty() {
		return malformed("after the last field")
	}
	for _, e := range i.Extensions {
		if e.Critical {
			return fmt.Errorf("%w: %v", ErrExtension, e.Id)
		}
	}
	return nil
}

// readAccuracy reads Accuracy OPTIONAL; millis and micros are 1 to 999.
func readAccuracy(s *cryptobyte.String) (time.Duration, error) {
	if !s.PeekASN1Tag(cbasn1.SEQUENCE) {
		return 0, nil
	}
	var body cryptobyte.String
	var seconds, millis, micros int64
	if !s.ReadASN1(&body, cbasn1.SEQUENCE) ||
		body.PeekASN1Tag(cbasn1.INTEGER) && (!body.ReadASN1Integer(&seconds) || seconds < 0 || seconds >= 1<<31) ||
		!readFraction(&body, 0, &millis) || !readFraction(&body, 1, &micros) || !body.Empty() {
		return 0, malformed("accuracy")
	}
	return time.Duration(seconds)*time.Second + time.Duration(millis)*time.Millisecond + time.Duration(micros)*time.Microsecond, nil
}

func readFraction(s *cryptobyte.String, n uint8, v *int64) bool {
	tag := cbasn1.Tag(n).ContextSpecific()
	if !s.PeekASN1Tag(tag) {
		return true
	}
	return s.ReadASN1Int64WithTag(v, tag) && *v >= 0 && *v <= 999
}

// formatTime writes GeneralizedTime as RFC 3161 wants it: UTC, seconds always,
// a fraction without trailing zeros, no further than the millisecond.
func formatTime(t time.Time) []byte {
	t = t.UTC().Truncate(time.Millisecond)
	s := t.Format("20060102150405")
	if ms := t.Nanosecond() / 1_000_000; ms != 0 {
		s += strings.TrimRight(fmt.Sprintf(".%03d", ms), "0")
	}
	return []byte(s + "Z")
}

// parseTime reads what formatTime writes, with fractions down to the nanosecond.
func parseTime(s string) (time.Time, error) {
	bad := malformed("genTime")
	digits, ok := strings.CutSuffix(s, "Z")
	if !ok || len(digits) < 14 || len(digits) > 14+1+9 {
		return time.Time{}, bad
	}
	whole, frac := digits[:14], digits[14:]
	if frac != "" && (frac[0] != '.' || len(frac) < 2 || frac[len(frac)-1] == '0') {
		return time.Time{}, bad
	}
	for _, c := range []byte(whole + strings.TrimPrefix(frac, ".")) {
		if c < '0' || c > '9' {
			return time.Time{}, bad
		}
	}
	t, err := time.Parse("20060102150405", whole)
	if err != nil {
		return time.Time{}, bad
	}
	nanos := 0
	for k := 1; k <= 9; k++ {
		nanos *= 10
		if k < len(frac) {
			nanos += int(frac[k] - '0')
		}
	}
	return t.Add(time.Duration(nanos)), nil
}
