package assertion

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// The subset of CBOR (RFC 8949) that this package reads is the CTAP2 canonical
// form (CTAP 2.1 §8): definite lengths, shortest arguments, map keys in rising
// canonical order (hence no duplicates), nesting of at most four levels, no
// tags and no floating-point numbers.

// CBOR major types (RFC 8949 §3.1).
const (
	majorUint byte = iota
	majorNegative
	majorBytes
	majorText
	majorArray
	majorMap
	majorTag
	majorSimple
)

const (
	maxDepth = 4  // CTAP 2.1 §8: nesting of maps and arrays
	maxItems = 64 // elements of one array or pairs of one map
)

// cursor reads CBOR from the front of b.
type cursor struct{ b []byte }

func formatErr(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// head reads one initial byte and its argument, which must be in shortest form.
func (c *cursor) head() (major byte, arg uint64, err error) {
	if len(c.b) == 0 {
		return 0, 0, formatErr("truncated CBOR")
	}
	major, info := c.b[0]>>5, c.b[0]&0x1f
	c.b = c.b[1:]
	if info < 24 {
		return major, uint64(info), nil
	}
	if info > 27 {
		return 0, 0, formatErr("indefinite length or reserved argument")
	}
	size := 1 << (info - 24)
	if len(c.b) < size {
		return 0, 0, formatErr("truncated CBOR")
	}
	var wide [8]byte
	copy(wide[8-size:], c.b[:size])
	arg = binary.BigEndian.Uint64(wide[:])
	c.b = c.b[size:]
	least := uint64(24) // the smallest value that needs this size
	if size > 1 {
		least = 1 << (8 * size / 2)
	}
	if arg < least {
		return 0, 0, formatErr("argument not in shortest form")
	}
	return major, arg, nil
}

// take returns the next n bytes.
func (c *cursor) take(n uint64) ([]byte, error) {
	if n > uint64(len(c.b)) {
		return nil, formatErr("truncated string")
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out, nil
}

// integer reads a signed integer that fits in an int64.
func (c *cursor) integer() (int64, error) {
	major, arg, err := c.head()
	if err != nil {
		return 0, err
	}
	if major > majorNegative || arg > 1<<62 {
		return 0, formatErr("integer expected")
	}
	if major == majorNegative {
		return -1 - int64(arg), nil
	}
	return int64(arg), nil
}

// bytes reads a byte string.
func (c *cursor) bytes() ([]byte, error) {
	major, arg, err := c.head()
	if err != nil {
		return nil, err
	}
	if major != majorBytes {
		return nil, formatErr("byte string expected")
	}
	return c.take(arg)
}

// text reads a text string of valid UTF-8.
func (c *cursor) text() (string, error) {
	major, arg, err := c.head()
	if err != nil {
		return "", err
	}
	if major != majorText {
		return "", formatErr("text string expected")
	}
	s, err := c.take(arg)
	if err == nil && !utf8.Valid(s) {
		err = formatErr("text is not UTF-8")
	}
	return string(s), err
}

// mapHeader reads the head of a map and returns its number of pairs.
func (c *cursor) mapHeader() (int, error) {
	major, arg, err := c.head()
	if err != nil {
		return 0, err
	}
	if major != majorMap || arg > maxItems {
		return 0, formatErr("map of at most %d pairs expected", maxItems)
	}
	return int(arg), nil
}

// skip passes over one well-formed item of any accepted kind; depth is the
// number of arrays and maps it lies in.
func (c *cursor) skip(depth int) error {
	major, arg, err := c.head()
	if err != nil {
		return err
	}
	switch major {
	case majorUint, majorNegative:
		return nil
	case majorBytes:
		_, err = c.take(arg)
		return err
	case majorText:
		s, err := c.take(arg)
		if err == nil && !utf8.Valid(s) {
			err = formatErr("text is not UTF-8")
		}
		return err
	case majorArray, majorMap:
		return c.skipContainer(major == majorMap, arg, depth)
	case majorSimple:
		if arg >= 20 && arg <= 22 { // false, true, null
			return nil
		}
	}
	return formatErr("tag, float or unassigned value")
}

func (c *cursor) skipContainer(isMap bool, n uint64, depth int) error {
	if depth >= maxDepth || n > maxItems {
		return formatErr("nesting above %d or more than %d elements", maxDepth, maxItems)
	}
	var last []byte
	for range n {
		if isMap {
			key, err := c.mapKey(last)
			if err != nil {
				return err
			}
			last = key
		}
		if err := c.skip(depth + 1); err != nil {
			return err
		}
	}
	return nil
}

// mapKey reads an integer or text key, which must follow last in canonical
// order: lower major type first, then the shorter, then the bytewise lower.
func (c *cursor) mapKey(last []byte) ([]byte, error) {
	before := c.b
	if len(before) == 0 || before[0]>>5 > majorText || before[0]>>5 == majorBytes {
		return nil, formatErr("map key is neither integer nor text")
	}
	if err := c.skip(maxDepth); err != nil {
		return nil, err
	}
	key := before[:len(before)-len(c.b)]
	if last != nil && !keyLess(last, key) {
		return nil, formatErr("map keys repeated or out of order")
	}
	return key, nil
}

func keyLess(a, b []byte) bool {
	if a[0]>>5 != b[0]>>5 {
		return a[0]>>5 < b[0]>>5
	}
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return bytes.Compare(a, b) < 0
}
