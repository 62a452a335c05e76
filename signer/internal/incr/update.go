package incr

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// ErrAmbiguous reports an object that cannot be edited because readers may
// understand it in two ways: a key written twice.
var ErrAmbiguous = errors.New("incr: object with a key written twice")

// ErrStream reports an attempt to edit a stream object.
var ErrStream = errors.New("incr: object is a stream")

// ErrTooLarge reports an offset that the file's kind of cross-reference cannot
// hold: 10,000,000,000 bytes or more in a table.
var ErrTooLarge = errors.New("incr: file too large for a cross-reference table")

// ErrNumbers reports that no object number is free.
var ErrNumbers = errors.New("incr: no free object number")

// Update collects changes to a file. It is not safe for concurrent use.
type Update struct {
	f     *cos.File
	next  uint32
	taken func(uint32) bool
	objs  map[uint32]*object
	err   error // a fault that Finish reports
}

// object is a new or changed object: the text between "obj" and "endobj", with
// its strings and stream data encrypted if the file is.
type object struct {
	gen  uint16
	body []byte
}

// New begins an update of f. taken, if not nil, tells numbers that f does not
// define but that something in it refers to: they are not used for new
// objects, which would otherwise come to stand where f has null.
func New(f *cos.File, taken func(uint32) bool) *Update {
	return &Update{f: f, next: f.NextNumber(), taken: taken, objs: map[uint32]*object{}}
}

// File returns the file being updated.
func (u *Update) File() *cos.File { return u.f }

// Alloc returns the number of a new object.
func (u *Update) Alloc() (cos.Ref, error) {
	for u.taken != nil && u.taken(u.next) {
		u.next++
	}
	if u.next >= 8_388_607 { // ISO 32000-1 annex C
		return cos.Ref{}, ErrNumbers
	}
	r := cos.Ref{Num: u.next}
	u.next++
	return r, nil
}

// Put sets the text of an object that is no stream. Strings in it, here and in
// [Update.Set] and [Update.Append], are plain; they are encrypted if the file
// is, but for the /Contents of a signature.
func (u *Update) Put(r cos.Ref, body []byte) { u.put(r, u.encrypted(r, body)) }

func (u *Update) put(r cos.Ref, body []byte) {
	u.objs[r.Num] = &object{gen: r.Gen, body: body}
}

// PutStream sets an object to a stream. dict is a dictionary without /Length.
func (u *Update) PutStream(r cos.Ref, dict string, data []byte) {
	if c := u.f.Crypt(); c != nil {
		enc, err := c.EncryptStream(r, data)
		if err != nil && u.err == nil {
			u.err = err
		}
		data = enc
	}
	d := u.encrypted(r, []byte(dict))
	body := fmt.Appendf(nil, "%s /Length %d>>\nstream\n", d[:max(0, len(d)-2)], len(data))
	u.put(r, slices.Concat(body, data, []byte("\nendstream")))
}

// Object returns the text and value of an object as it stands in the update.
// In an encrypted file the strings of the value are not to be used.
func (u *Update) Object(r cos.Ref) ([]byte, cos.Value, error) {
	if o := u.objs[r.Num]; o != nil {
		v, _, err := cos.ParseValue(o.body, cos.Limits{})
		return o.body, v, err
	}
	o, err := u.f.Get(r)
	if err != nil {
		return nil, cos.Value{}, err
	}
	if o.Stream != nil {
		return nil, cos.Value{}, ErrStream
	}
	if _, dup := o.Value.Duplicate(); dup {
		return nil, cos.Value{}, ErrAmbiguous
	}
	return u.unpacked(o)
}

// Place is a value within an indirect object, reached from the object's own
// value by dictionary keys.
type Place struct {
	Ref  cos.Ref
	Path []string
}

// At returns the value at a place.
func (u *Update) At(p Place) (cos.Value, error) {
	_, v, err := u.Object(p.Ref)
	if err != nil {
		return cos.Value{}, err
	}
	return walk(v, p.Path)
}

// Follow goes to the value of key of the dictionary at p. If that is a
// reference, the place is the object it refers to. The value is null where
// there is none; the place then is p with key.
func (u *Update) Follow(p Place, key string) (Place, cos.Value, error) {
	d, err := u.At(p)
	if err != nil {
		return Place{}, cos.Value{}, err
	}
	v := d.Get(key)
	q := Place{Ref: p.Ref, Path: append(slices.Clone(p.Path), key)}
	for range 16 {
		r, ok := v.Ref()
		if !ok {
			return q, v, nil
		}
		q = Place{Ref: r}
		if v, err = u.At(q); err != nil {
			return Place{}, cos.Value{}, err
		}
	}
	return Place{}, cos.Value{}, fmt.Errorf("incr: references without end")
}

// Set sets key of the dictionary at p.
func (u *Update) Set(p Place, key string, val []byte) error {
	return u.edit(p, cos.Dict, func(raw []byte, d cos.Value) []byte { return setKey(raw, d, key, u.encrypted(p.Ref, val)) })
}

// Append puts elem behind the last element of the array at p.
func (u *Update) Append(p Place, elem []byte) error {
	return u.edit(p, cos.Array, func(raw []byte, a cos.Value) []byte { return appendElem(raw, a, u.encrypted(p.Ref, elem)) })
}

func (u *Update) edit(p Place, kind cos.Kind, fn func(raw []byte, v cos.Value) []byte) error {
	raw, v, err := u.Object(p.Ref)
	if err != nil {
		return err
	}
	if v, err = walk(v, p.Path); err != nil {
		return err
	}
	if v.Kind() != kind {
		return fmt.Errorf("incr: %v where %v is expected", v.Kind(), kind)
	}
	body := fn(raw, v)
	if _, end, err := cos.ParseValue(body, cos.Limits{}); err != nil || len(bytes.TrimSpace(body[end:])) > 0 {
		return fmt.Errorf("incr: edited object does not parse: %w", err)
	}
	u.put(p.Ref, body)
	return nil
}

// Numbers returns the objects of the update in ascending order.
func (u *Update) Numbers() []uint32 { return slices.Sorted(maps.Keys(u.objs)) }
