package cms

import (
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// AddUnsignedAttr returns the ContentInfo with one more unsigned attribute. Every
// other element is copied byte for byte, so the signature still verifies. cms
// must be DER as [Parse] takes it: re-encoding what somebody else wrote in BER
// is refused with [ErrNotDER]. Values of an attribute type that is there
// already stand beside the new ones, as a further attribute.
func AddUnsignedAttr(cms []byte, a Attribute, more ...Scheme) ([]byte, error) {
	sd, err := parseMore(cms, more)
	if err != nil {
		return nil, err
	}
	attrs := append(slices.Clone(sd.Signer.UnsignedAttrs), a)
	unsigned, err := marshalAttributes(attrs, tag1)
	if err != nil {
		return nil, err
	}
	body, err := openContentInfo(sd.Raw)
	if err != nil {
		return nil, err
	}
	head, infos, err := splitLast(body)
	if err != nil {
		return nil, err
	}
	if !infos.ReadASN1(&infos, cbasn1.SET) || !infos.ReadASN1(&infos, cbasn1.SEQUENCE) {
		return nil, malformed("signerInfos")
	}
	if endsWithTag(infos, tag1) { // there are unsigned attributes, or an empty set of them
		if infos, _, err = splitLast(infos); err != nil {
			return nil, err
		}
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(OIDSignedData)
		b.AddASN1(tag0, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(head)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(infos)
						b.AddBytes(unsigned)
					})
				})
			})
		})
	})
	out, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrParams, err)
	}
	if len(out) > MaxSize {
		return nil, fmt.Errorf("%w: %d octets", ErrTooLarge, len(out))
	}
	return out, nil
}

// AddSignatureTimestamp is [AddUnsignedAttr] with a signature-time-stamp. It
// does not verify the token: that it stamps this signature is for its caller to
// have checked.
func AddSignatureTimestamp(cms, token []byte, more ...Scheme) ([]byte, error) {
	return AddUnsignedAttr(cms, Attribute{Type: OIDSignatureTimeStamp, Values: [][]byte{token}}, more...)
}

// splitLast splits a run of elements before its last one.
func splitLast(s cryptobyte.String) (head []byte, last cryptobyte.String, err error) {
	rest := s
	for {
		at := len(s) - len(rest)
		var e cryptobyte.String
		if !rest.ReadAnyASN1Element(&e, nil) {
			return nil, nil, malformed("element")
		}
		if rest.Empty() {
			return s[:at:at], e, nil
		}
	}
}

// endsWithTag reports whether the last of a run of elements has the tag.
func endsWithTag(s cryptobyte.String, tag cbasn1.Tag) bool {
	_, last, err := splitLast(s)
	return err == nil && last.PeekASN1Tag(tag)
}
