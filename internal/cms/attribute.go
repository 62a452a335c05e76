package cms

import (
	"bytes"
	"encoding/asn1"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Attribute is an Attribute of RFC 5652 §5.3: a type and the DER of each value.
type Attribute struct {
	Type   asn1.ObjectIdentifier
	Values [][]byte
}

// Bounds of attributes.
const (
	maxAttributes      = 64
	maxAttributeValues = 32
)

// marshal returns the DER of the attribute. Each value must be DER.
func (a Attribute) marshal() ([]byte, error) {
	if len(a.Type) < 2 || len(a.Values) == 0 || len(a.Values) > maxAttributeValues {
		return nil, fmt.Errorf("%w: attribute %v with %d values", ErrParams, a.Type, len(a.Values))
	}
	for _, v := range a.Values {
		if err := DERCheck(v, MaxSize, MaxDepth); err != nil {
			return nil, fmt.Errorf("attribute %v: %w", a.Type, err)
		}
	}
	values := sortedDER(a.Values)
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(a.Type)
		b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
			for _, v := range values {
				b.AddBytes(v)
			}
		})
	})
	return b.Bytes()
}

// marshalAttributes returns the DER of SET OF Attribute under tag.
func marshalAttributes(attrs []Attribute, tag cbasn1.Tag) ([]byte, error) {
	if len(attrs) > maxAttributes {
		return nil, fmt.Errorf("%w: %d attributes", ErrTooMany, len(attrs))
	}
	enc := make([][]byte, 0, len(attrs))
	for _, a := range attrs {
		d, err := a.marshal()
		if err != nil {
			return nil, err
		}
		enc = append(enc, d)
	}
	return marshalSet(enc, tag)
}

// marshalSet returns a SET OF under tag with the elements in DER order.
func marshalSet(elements [][]byte, tag cbasn1.Tag) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) {
		for _, e := range sortedDER(elements) {
			b.AddBytes(e)
		}
	})
	return b.Bytes()
}

// sortedDER returns the encodings in the order of X.690 §11.6. A DER encoding
// is never a proper prefix of another, so padding with zeros does not matter.
func sortedDER(enc [][]byte) [][]byte {
	if slices.IsSortedFunc(enc, bytes.Compare) {
		return enc
	}
	out := slices.Clone(enc)
	slices.SortFunc(out, bytes.Compare)
	return out
}

// readAttributes reads the body of a SET OF Attribute. raw holds the encoding
// of each attribute, in the order read.
func readAttributes(s cryptobyte.String) (attrs []Attribute, raw [][]byte, err error) {
	for !s.Empty() {
		if len(attrs) == maxAttributes {
			return nil, nil, fmt.Errorf("%w: attributes", ErrTooMany)
		}
		var whole, body, values cryptobyte.String
		var a Attribute
		if !s.ReadASN1Element(&whole, cbasn1.SEQUENCE) {
			return nil, nil, malformed("attribute")
		}
		raw = append(raw, whole)
		if !whole.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&a.Type) ||
			!body.ReadASN1(&values, cbasn1.SET) || !body.Empty() {
			return nil, nil, malformed("attribute")
		}
		for !values.Empty() {
			var v cryptobyte.String
			if len(a.Values) == maxAttributeValues {
				return nil, nil, fmt.Errorf("%w: values of attribute %v", ErrTooMany, a.Type)
			}
			if !values.ReadAnyASN1Element(&v, nil) {
				return nil, nil, malformed("attribute value")
			}
			a.Values = append(a.Values, v)
		}
		if len(a.Values) == 0 {
			return nil, nil, attrErr(ErrAttributeMalformed, a.Type)
		}
		attrs = append(attrs, a)
	}
	return attrs, raw, nil
}

// findAttribute returns the attribute of a type, or false.
func findAttribute(attrs []Attribute, typ asn1.ObjectIdentifier) (Attribute, bool) {
	for _, a := range attrs {
		if a.Type.Equal(typ) {
			return a, true
		}
	}
	return Attribute{}, false
}
