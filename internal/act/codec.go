package act

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"
)

// Hash is a SHA-256 value. Its text form is lower-case hexadecimal.
type Hash [sha256.Size]byte

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// IsZero reports whether h is the zero value, which stands for "none".
func (h Hash) IsZero() bool { return h == Hash{} }

// codec writes or reads the canonical form: a tag, a zero byte, then fields,
// each a big-endian uint32 length and that many bytes. One description of a
// type's fields serves both directions, so that they cannot drift apart. The
// first fault sticks in err and makes every later call a no-op.
type codec struct {
	reading bool
	b       []byte // written so far, or still to be read
	err     error
	trace   func(name string, value []byte) // for test vectors; may be nil
}

const lengthSize = 4

// microsLimit bounds a time in microseconds, so that JSON numbers hold it exactly.
const microsLimit = 1 << 53

func writer(tag string) *codec { return &codec{b: append([]byte(tag), 0)} }

// reader begins reading raw, which must start with the tag and be at most max bytes long.
func reader(tag string, raw []byte, max int) *codec {
	c := &codec{reading: true}
	if len(raw) > max {
		c.err = fmt.Errorf("%w: %d bytes, at most %d", ErrSize, len(raw), max)
		return c
	}
	rest, ok := bytes.CutPrefix(raw, append([]byte(tag), 0))
	if !ok {
		c.err = fmt.Errorf("%w: not %q", ErrEncoding, tag)
		return c
	}
	c.b = rest
	return c
}

// done returns the first fault, or one if bytes are left unread.
func (c *codec) done() error {
	if c.err == nil && c.reading && len(c.b) != 0 {
		c.err = fmt.Errorf("%w: %d bytes left over", ErrEncoding, len(c.b))
	}
	return c.err
}

func (c *codec) fail(kind error, name, what string) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: field %s: %s", kind, name, what)
	}
}

// field writes value, or reads a field of min to max bytes and returns it.
func (c *codec) field(name string, value []byte, min, max int) []byte {
	if c.err != nil {
		return nil
	}
	if c.reading {
		value = c.next(name)
	}
	if c.err == nil && (len(value) < min || len(value) > max) {
		c.fail(ErrValue, name, fmt.Sprintf("%d bytes, want %d to %d", len(value), min, max))
	}
	if c.err != nil {
		return nil
	}
	if !c.reading {
		c.b = binary.BigEndian.AppendUint32(c.b, uint32(len(value)))
		c.b = append(c.b, value...)
	}
	if c.trace != nil {
		c.trace(name, value)
	}
	return value
}

// next reads the bytes of one field.
func (c *codec) next(name string) []byte {
	if len(c.b) < lengthSize {
		c.fail(ErrEncoding, name, "truncated")
		return nil
	}
	n := binary.BigEndian.Uint32(c.b)
	if uint64(n) > uint64(len(c.b)-lengthSize) {
		c.fail(ErrEncoding, name, "truncated")
		return nil
	}
	value := c.b[lengthSize : lengthSize+n]
	c.b = c.b[lengthSize+n:]
	return value
}

// str is a text field of at most max bytes; the caller checks its grammar.
func str[T ~string](c *codec, name string, v *T, max int) {
	if got := c.field(name, []byte(*v), 0, max); c.reading && c.err == nil {
		*v = T(got)
	}
}

// opaque is a byte field.
func (c *codec) opaque(name string, v *[]byte, min, max int) {
	if got := c.field(name, *v, min, max); c.reading && c.err == nil {
		*v = bytes.Clone(got)
	}
}

// hash is a field of exactly 32 bytes.
func (c *codec) hash(name string, v *Hash) {
	if got := c.field(name, v[:], len(v), len(v)); c.reading && c.err == nil {
		*v = Hash(got)
	}
}

// optionalHash is a hash, or an empty field for the zero value.
func (c *codec) optionalHash(name string, v *Hash) {
	value := v[:]
	if v.IsZero() {
		value = nil
	}
	got := c.field(name, value, 0, len(v))
	if !c.reading || c.err != nil || len(got) == 0 {
		return
	}
	if len(got) != len(v) || Hash(got).IsZero() {
		c.fail(ErrValue, name, "neither empty nor a hash")
		return
	}
	*v = Hash(got)
}

// number is a field of exactly size bytes, big-endian.
func (c *codec) number(name string, v uint64, size int) uint64 {
	var wide [8]byte
	binary.BigEndian.PutUint64(wide[:], v)
	got := c.field(name, wide[8-size:], size, size)
	if c.err != nil {
		return 0
	}
	copy(wide[8-size:], got) // onto itself when writing; the bytes before it are zero
	if c.reading {
		clear(wide[:8-size])
	}
	return binary.BigEndian.Uint64(wide[:])
}

// instant is a time in microseconds since 1970-01-01T00:00:00Z, 8 bytes; the
// zero time is written as 0. Fractions of a microsecond are dropped.
func (c *codec) instant(name string, v *time.Time) {
	us := int64(0)
	if !v.IsZero() {
		us = v.UnixMicro()
		if us <= 0 {
			c.fail(ErrValue, name, "time before 1970")
		}
	}
	got := c.number(name, uint64(us), 8)
	if c.err == nil && got >= microsLimit {
		c.fail(ErrValue, name, "time out of range")
	}
	if !c.reading || c.err != nil {
		return
	}
	*v = time.Time{}
	if got != 0 {
		*v = time.UnixMicro(int64(got)).UTC()
	}
}

// flag is a field of one byte, 0 or 1.
func (c *codec) flag(name string, v *bool) {
	n := uint64(0)
	if *v {
		n = 1
	}
	got := c.number(name, n, 1)
	if c.err == nil && got > 1 {
		c.fail(ErrValue, name, "neither 0 nor 1")
	}
	if c.reading && c.err == nil {
		*v = got == 1
	}
}

// list is a field of 4 bytes with the number of items, then their fields.
func list[T any](c *codec, name string, items *[]T, max int, each func(*codec, *T)) {
	n := c.number(name, uint64(len(*items)), 4)
	if c.err == nil && n > uint64(max) {
		c.fail(ErrValue, name, fmt.Sprintf("%d items, at most %d", n, max))
	}
	if c.err != nil {
		return
	}
	if c.reading {
		*items = nil
	}
	for i := range int(n) {
		if c.reading {
			var item T
			each(c, &item)
			*items = append(*items, item)
		} else {
			each(c, &(*items)[i])
		}
		if c.err != nil {
			return
		}
	}
}

// texts is a list of text fields.
func texts[T ~string](c *codec, name string, items *[]T, max, maxLen int) {
	list(c, name, items, max, func(c *codec, v *T) { str(c, name+"[]", v, maxLen) })
}
