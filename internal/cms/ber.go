package cms

import (
	"fmt"
	"slices"
)

// NormalizeBER converts the one BER element in b to definite, minimal lengths
// and primitive strings, and returns a new slice; what is DER already comes out
// byte for byte the same, so signed parts that were DER keep their signatures.
// The order of SET elements is kept.
//
// It does not know what implicit context tags stand for, so a constructed
// string under one stays constructed, and the strict reader then refuses it.
// Input and output are bounded by maxLen octets and maxDepth levels; memory is
// bounded by a small multiple of maxLen. Errors: as [DERCheck].
func NormalizeBER(b []byte, maxLen, maxDepth int) ([]byte, error) {
	if len(b) > maxLen {
		return nil, fmt.Errorf("%w: %d octets", ErrTooLarge, len(b))
	}
	z := normalizer{max: maxLen}
	out, n, err := z.element(make([]byte, 0, len(b)), b, maxDepth)
	if err != nil {
		return nil, err
	}
	if n != len(b) {
		return nil, fmt.Errorf("%w: %d octets", ErrTrailingData, len(b)-n)
	}
	if err := DERCheck(out, maxLen, maxDepth); err != nil {
		return nil, err
	}
	return out, nil
}

type normalizer struct{ max int }

// element appends the normal form of the element at the front of b to dst and
// returns how many octets of b it took.
func (z normalizer) element(dst, b []byte, depth int) ([]byte, int, error) {
	h, err := readHeader(b)
	if err != nil {
		return nil, 0, err
	}
	if h.universal(tagEOC) {
		return nil, 0, fmt.Errorf("%w: end of contents out of place", ErrNotBER)
	}
	if !h.constructed {
		body := b[h.hdr : h.hdr+h.body]
		if h.universal(tagBoolean) && len(body) == 1 && body[0] != 0 {
			body = []byte{0xff}
		}
		dst, err = z.grow(appendHeader(dst, h, false, len(body)), len(body))
		return append(dst, body...), h.hdr + h.body, err
	}
	if depth <= 0 {
		return nil, 0, ErrTooDeep
	}
	if isString(h) {
		return z.text(dst, b, h, depth)
	}
	start := len(dst)
	dst, n, err := z.children(dst, b, h, depth)
	if err != nil {
		return nil, 0, err
	}
	head := appendHeader(nil, h, true, len(dst)-start)
	if dst, err = z.grow(dst, len(head)); err != nil {
		return nil, 0, err
	}
	return slices.Insert(dst, start, head...), n, nil
}

// children appends the normal forms of what the constructed element holds.
func (z normalizer) children(dst, b []byte, h header, depth int) ([]byte, int, error) {
	at := h.hdr
	for {
		if h.body >= 0 {
			if at == h.hdr+h.body {
				return dst, at, nil
			}
		} else if len(b)-at >= 2 && b[at] == 0 && b[at+1] == 0 {
			return dst, at + 2, nil
		}
		rest := b[at:]
		if h.body >= 0 {
			rest = b[at : h.hdr+h.body]
		}
		var n int
		var err error
		if dst, n, err = z.element(dst, rest, depth-1); err != nil {
			return nil, 0, err
		}
		at += n
	}
}

// text joins the segments of a constructed string (X.690 §8.6.4, §8.7.3).
func (z normalizer) text(dst, b []byte, h header, depth int) ([]byte, int, error) {
	if h.number == tagBitString {
		return nil, 0, fmt.Errorf("%w: constructed bit string", ErrNotBER)
	}
	start := len(dst)
	dst, n, err := z.segments(dst, b, h, depth)
	if err != nil {
		return nil, 0, err
	}
	head := appendHeader(nil, h, false, len(dst)-start)
	if dst, err = z.grow(dst, len(head)); err != nil {
		return nil, 0, err
	}
	return slices.Insert(dst, start, head...), n, nil
}

// segments appends the octets of the segments of a constructed string. A
// segment is of the same type or an OCTET STRING, and may itself be constructed.
func (z normalizer) segments(dst, b []byte, h header, depth int) ([]byte, int, error) {
	if depth <= 0 {
		return nil, 0, ErrTooDeep
	}
	at := h.hdr
	for {
		if h.body >= 0 {
			if at == h.hdr+h.body {
				return dst, at, nil
			}
		} else if len(b)-at >= 2 && b[at] == 0 && b[at+1] == 0 {
			return dst, at + 2, nil
		}
		rest := b[at:]
		if h.body >= 0 {
			rest = b[at : h.hdr+h.body]
		}
		s, err := readHeader(rest)
		if err != nil {
			return nil, 0, err
		}
		if s.class != classUniversal || (s.number != h.number && s.number != tagOctetString) {
			return nil, 0, fmt.Errorf("%w: string segment of another type", ErrNotBER)
		}
		if s.constructed {
			var n int
			if dst, n, err = z.segments(dst, rest, s, depth-1); err != nil {
				return nil, 0, err
			}
			at += n
			continue
		}
		if dst, err = z.grow(dst, s.body); err != nil {
			return nil, 0, err
		}
		dst = append(dst, rest[s.hdr:s.hdr+s.body]...)
		at += s.hdr + s.body
	}
}

// grow refuses to let the output pass the limit.
func (z normalizer) grow(dst []byte, more int) ([]byte, error) {
	if len(dst)+more > z.max {
		return nil, fmt.Errorf("%w: output", ErrTooLarge)
	}
	return dst, nil
}

// isString reports whether h is a universal type that BER lets be split.
func isString(h header) bool {
	if h.class != classUniversal {
		return false
	}
	switch h.number {
	case tagBitString, tagOctetString, 12, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 30:
		return true
	}
	return false
}

// appendHeader appends the minimal identifier and length for a body of n octets.
func appendHeader(dst []byte, h header, constructed bool, n int) []byte {
	first := h.class
	if constructed {
		first |= constructedBit
	}
	if h.number < 0x1f {
		dst = append(dst, first|byte(h.number))
	} else {
		dst = append(dst, first|0x1f)
		for shift := 28; shift > 0; shift -= 7 {
			if h.number>>shift != 0 {
				dst = append(dst, byte(h.number>>shift)|0x80)
			}
		}
		dst = append(dst, byte(h.number&0x7f))
	}
	switch {
	case n < 0x80:
		return append(dst, byte(n))
	case n < 1<<8:
		return append(dst, 0x81, byte(n))
	case n < 1<<16:
		return append(dst, 0x82, byte(n>>8), byte(n))
	case n < 1<<24:
		return append(dst, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, 0x84, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}
