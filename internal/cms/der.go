package cms

import "fmt"

// Bounds of what is read. Both are far above any real signature.
const (
	// MaxSize is the greatest size of a ContentInfo, in octets.
	MaxSize = 1 << 20
	// MaxDepth is the greatest nesting of constructed elements.
	MaxDepth = 32
)

// Universal tags (X.690 §8).
const (
	tagEOC         = 0
	tagBoolean     = 1
	tagInteger     = 2
	tagBitString   = 3
	tagOctetString = 4
	tagNull        = 5
	tagOID         = 6
	tagReal        = 9
	tagEnumerated  = 10
	tagRelativeOID = 13
	tagSequence    = 16
	tagSet         = 17
)

const (
	classUniversal = 0x00
	classMask      = 0xc0
	constructedBit = 0x20
)

// header is one identifier and length. hdr and body are in octets; body is -1
// for the indefinite form.
type header struct {
	class       byte
	constructed bool
	number      uint32
	hdr         int
	body        int
	minimal     bool // identifier and length use the fewest octets
}

func (h header) universal(n uint32) bool { return h.class == classUniversal && h.number == n }

// readHeader reads the header at the front of b. A definite body MUST lie
// within b.
func readHeader(b []byte) (header, error) {
	if len(b) < 2 {
		return header{}, fmt.Errorf("%w: header", ErrTruncated)
	}
	h := header{class: b[0] & classMask, constructed: b[0]&constructedBit != 0, number: uint32(b[0] & 0x1f), minimal: true}
	i := 1
	if h.number == 0x1f {
		h.number = 0
		for n := 0; ; n++ {
			if i >= len(b) {
				return header{}, fmt.Errorf("%w: tag", ErrTruncated)
			}
			if n == 4 {
				return header{}, fmt.Errorf("%w: tag number", ErrTooLarge)
			}
			c := b[i]
			i++
			if n == 0 && c == 0x80 {
				h.minimal = false
			}
			h.number = h.number<<7 | uint32(c&0x7f)
			if c&0x80 == 0 {
				break
			}
		}
		if h.number < 0x1f {
			h.minimal = false
		}
	}
	if i >= len(b) {
		return header{}, fmt.Errorf("%w: length", ErrTruncated)
	}
	return readLength(h, b, i)
}

// readLength reads the length at b[i] into h.
func readLength(h header, b []byte, i int) (header, error) {
	c := b[i]
	i++
	switch {
	case c < 0x80:
		h.body = int(c)
	case c == 0x80:
		if !h.constructed {
			return header{}, fmt.Errorf("%w: primitive of indefinite length", ErrNotBER)
		}
		h.hdr, h.body, h.minimal = i, -1, false
		return h, nil
	case c == 0xff:
		return header{}, fmt.Errorf("%w: reserved length", ErrNotBER)
	default:
		n := int(c & 0x7f)
		if n > len(b)-i {
			return header{}, fmt.Errorf("%w: length", ErrTruncated)
		}
		if b[i] == 0 {
			h.minimal = false
		}
		v := uint64(0)
		for _, d := range b[i : i+n] {
			v = v<<8 | uint64(d)
			if v > 1<<32 {
				return header{}, fmt.Errorf("%w: element length", ErrTruncated)
			}
		}
		if v < 0x80 {
			h.minimal = false
		}
		i += n
		if v > uint64(len(b)-i) {
			return header{}, fmt.Errorf("%w: element", ErrTruncated)
		}
		h.body = int(v)
	}
	h.hdr = i
	if h.body > len(b)-i {
		return header{}, fmt.Errorf("%w: element", ErrTruncated)
	}
	return h, nil
}

// DERCheck reports whether b is exactly one element in distinguished encoding
// (X.690 §10, §11): definite and minimal lengths, minimal tags, primitive
// strings, minimal integers and object identifiers, booleans of 00 or FF,
// zeroed unused bits. Elements under implicit context tags are opaque where
// they are primitive, and the order of SET elements is not looked at: the order
// matters only for signed attributes, and is checked there.
//
// maxLen is in octets and maxDepth in nested constructed elements; nothing is
// allocated. Errors: [ErrTooLarge], [ErrTooDeep], [ErrTruncated], [ErrNotDER],
// [ErrNotBER], [ErrTrailingData].
func DERCheck(b []byte, maxLen, maxDepth int) error {
	if len(b) > maxLen {
		return fmt.Errorf("%w: %d octets", ErrTooLarge, len(b))
	}
	n, err := checkDER(b, maxDepth)
	if err != nil {
		return err
	}
	if n != len(b) {
		return fmt.Errorf("%w: %d octets", ErrTrailingData, len(b)-n)
	}
	return nil
}

// checkDER checks the element at the front of b and returns its size.
func checkDER(b []byte, depth int) (int, error) {
	h, err := readHeader(b)
	if err != nil {
		return 0, err
	}
	if h.body < 0 {
		return 0, fmt.Errorf("%w: indefinite length", ErrNotDER)
	}
	if !h.minimal {
		return 0, fmt.Errorf("%w: tag or length not minimal", ErrNotDER)
	}
	body := b[h.hdr : h.hdr+h.body]
	if !h.constructed {
		return h.hdr + h.body, checkPrimitive(h, body)
	}
	if h.class == classUniversal && h.number != tagSequence && h.number != tagSet {
		return 0, fmt.Errorf("%w: constructed form of universal tag %d", ErrNotDER, h.number)
	}
	if depth <= 0 {
		return 0, ErrTooDeep
	}
	for len(body) > 0 {
		n, err := checkDER(body, depth-1)
		if err != nil {
			return 0, err
		}
		body = body[n:]
	}
	return h.hdr + h.body, nil
}

// checkPrimitive checks the body of a primitive element.
func checkPrimitive(h header, body []byte) error {
	if h.class != classUniversal {
		return nil
	}
	bad := func(what string) error { return fmt.Errorf("%w: %s", ErrNotDER, what) }
	switch h.number {
	case tagEOC, tagReal, 15:
		return bad("tag")
	case tagSequence, tagSet:
		return bad("primitive sequence or set")
	case tagBoolean:
		if len(body) != 1 || (body[0] != 0 && body[0] != 0xff) {
			return bad("boolean")
		}
	case tagInteger, tagEnumerated:
		if len(body) == 0 {
			return bad("empty integer")
		}
		if len(body) > 1 && (body[0] == 0 && body[1] < 0x80 || body[0] == 0xff && body[1] >= 0x80) {
			return bad("integer not minimal")
		}
	case tagBitString:
		if len(body) == 0 || body[0] > 7 || (len(body) == 1 && body[0] != 0) {
			return bad("bit string")
		}
		if body[len(body)-1]&(1<<body[0]-1) != 0 && len(body) > 1 {
			return bad("bit string padding")
		}
	case tagNull:
		if len(body) != 0 {
			return bad("null")
		}
	case tagOID, tagRelativeOID:
		return checkOID(body)
	}
	return nil
}

// checkOID checks that each sub-identifier is complete and minimal.
func checkOID(body []byte) error {
	if len(body) == 0 || body[len(body)-1]&0x80 != 0 {
		return fmt.Errorf("%w: object identifier", ErrNotDER)
	}
	start := true
	for _, c := range body {
		if start && c == 0x80 {
			return fmt.Errorf("%w: object identifier not minimal", ErrNotDER)
		}
		start = c&0x80 == 0
	}
	return nil
}

// TrimZeroPadding returns the one element at the front of b, dropping the zero
// octets after it: that is how a signature fills its reserved space in a PDF.
// The element may be BER and is at most [MaxSize] octets; anything but zeros
// after it is [ErrTrailingData]. The result shares b's memory.
func TrimZeroPadding(b []byte) ([]byte, error) {
	if len(b) > 0 && b[0] == 0 {
		return nil, fmt.Errorf("%w: reserved space is empty", ErrTruncated)
	}
	n, err := elementSize(b, MaxDepth)
	if err != nil {
		return nil, err
	}
	if n > MaxSize {
		return nil, fmt.Errorf("%w: %d octets", ErrTooLarge, n)
	}
	for _, c := range b[n:] {
		if c != 0 {
			return nil, fmt.Errorf("%w: after the padding", ErrTrailingData)
		}
	}
	return b[:n:n], nil
}

// elementSize returns the size of the BER element at the front of b, including
// the end-of-contents octets of the indefinite form.
func elementSize(b []byte, depth int) (int, error) {
	h, err := readHeader(b)
	if err != nil {
		return 0, err
	}
	if h.body >= 0 {
		return h.hdr + h.body, nil
	}
	if depth <= 0 {
		return 0, ErrTooDeep
	}
	at := h.hdr
	for {
		if len(b)-at >= 2 && b[at] == 0 && b[at+1] == 0 {
			return at + 2, nil
		}
		n, err := elementSize(b[at:], depth-1)
		if err != nil {
			return 0, err
		}
		at += n
	}
}
