package pades

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"io"

	"oruro.gob.bo/suti/signer/internal/appearance"
	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/incr"
)

// NewField is an empty signature field that is put into a document, so that
// several people can sign it side by side: each fills a field that all of
// them, and the certification, have seen.
type NewField struct {
	// Name has no dots, at most 127 bytes, and is not in the document yet.
	Name string
	// Tooltip says to people who hear the page what the field is for; "Firma
	// electrónica" by default.
	Tooltip string
	// Placement is where the field stands; nil makes it invisible.
	Placement *Placement
	// Lock is what may no longer change once the field is signed; nil for nothing.
	Lock *Lock
}

// Addition is an update that adds to a file without signing it.
type Addition struct {
	baseSize   int64
	baseSHA256 [32]byte
	tail       []byte
}

// Tail returns the bytes that follow the file.
func (a *Addition) Tail() []byte { return a.tail }

// Size returns the size in bytes of the file with the addition.
func (a *Addition) Size() int64 { return a.baseSize + int64(len(a.tail)) }

// WriteTo copies base to w, and the addition behind it. It returns [ErrBase],
// before any of the addition is written, if base is no longer the same file.
func (a *Addition) WriteTo(ctx context.Context, w io.Writer, base io.ReaderAt) (int64, error) {
	return writeWithTail(ctx, w, base, a.baseSize, a.baseSHA256, a.tail)
}

// writeWithTail copies base and, if it is the file expected, tail to w.
func writeWithTail(ctx context.Context, w io.Writer, base io.ReaderAt, size int64, want [32]byte, tail []byte) (int64, error) {
	sum := crypto.SHA256.New()
	n, err := copyBase(ctx, io.MultiWriter(sum, w), base, size)
	if err != nil {
		return n, err
	}
	if !bytes.Equal(sum.Sum(nil), want[:]) {
		return n, ErrBase
	}
	m, err := w.Write(tail)
	return n + int64(m), err
}

const maxNewFields = 128

// AddFields puts empty signature fields into a file. It is best done before the
// first signature: to one that is there it is a change, if an allowed one, and
// after a certification it is refused. An encrypted file must open with the
// empty password; see [AddFieldsPassword].
//
// Errors: [*RefusedError]; [ErrOptions]; ctx's; those of base.
func AddFields(ctx context.Context, base io.ReaderAt, size int64, fields []NewField, lim Limits) (*Addition, error) {
	return AddFieldsPassword(ctx, base, size, "", fields, lim)
}

// AddFieldsPassword is [AddFields] for files that may be encrypted, with the
// password of the owner, or of a user whose permissions allow new fields.
func AddFieldsPassword(ctx context.Context, base io.ReaderAt, size int64, password string, fields []NewField, lim Limits) (*Addition, error) {
	if len(fields) == 0 || len(fields) > maxNewFields {
		return nil, fmt.Errorf("%w: %d new fields, 1 to %d are possible", ErrOptions, len(fields), maxNewFields)
	}
	for _, n := range fields {
		if n.Lock == nil {
			continue
		}
		if err := n.Lock.check(); err != nil {
			return nil, err
		}
	}
	digests := newDigests(crypto.SHA256)
	rep, f, err := lookAt(ctx, base, size, Options{Password: password, Limits: lim}, digests)
	if err != nil {
		return nil, err
	}
	if err := mayUseField(f, true); err != nil {
		return nil, err
	}
	dangling := rep.taken()
	p := &preparation{ctx: ctx, f: f, u: incr.New(f, func(n uint32) bool { return dangling[n] })}
	if err := p.addFields(fields); err != nil {
		return nil, refusal(err)
	}
	tail, err := p.u.Finish()
	if err != nil {
		return nil, refusal(err)
	}
	a := &Addition{baseSize: size, tail: tail.Bytes}
	digests.sha256.Sum(a.baseSHA256[:0])
	return a, nil
}

func (p *preparation) addFields(fields []NewField) error {
	var err error
	if p.sigs, p.names, err = signatureFields(p.f); err != nil {
		return err
	}
	if err := checkXFA(p.f); err != nil {
		return err
	}
	if strictest(p.sigs) != Uncertified {
		return refuse(CodeCertified, "an earlier signature allows no new fields")
	}
	for _, n := range fields {
		if err := p.addField(n); err != nil {
			return err
		}
	}
	return nil
}

func (p *preparation) addField(n NewField) error {
	if p.names[n.Name] > 0 {
		return refuse(CodeFieldName, "the document has a field of that name")
	}
	p.names[n.Name]++
	if locked(p.sigs, n.Name) {
		return refuse(CodeLocked, "an earlier signature locks all fields")
	}
	p.Placement = Placement{}
	if n.Placement != nil {
		p.Placement = *n.Placement
	}
	page, err := p.page(p.Placement.Page)
	if err != nil {
		return err
	}
	var rect appearance.Rect
	extra := ""
	if n.Placement != nil {
		at, err := p.place(page)
		if err != nil {
			return err
		}
		rect = at.rect
		if at.rotate != 0 {
			extra = fmt.Sprintf("/MK <</R %d>>", at.rotate) // for the seal that is to come
		}
	}
	ap, err := p.drawNothing(rect)
	if err != nil {
		return err
	}
	if n.Lock != nil {
		extra += " /Lock " + n.Lock.dict()
	}
	tooltip := n.Tooltip
	if tooltip == "" {
		tooltip = (&preparation{}).tooltip()
	}
	return p.addWidget(page, rect, ap, n.Name, tooltip, extra)
}

// emptyLooks reports whether nothing shows of a new field that is not signed:
// its appearance draws nothing, and nothing else tells viewers to.
func emptyLooks(f *cos.File, w *cos.Object) (bool, error) {
	for _, key := range []string{"AS", "BS", "Border", "Contents", "Kids", "DA"} {
		if w.Value.Has(key) {
			return false, nil
		}
	}
	mk, err := f.Resolve(w.Value.Get("MK"))
	if err != nil {
		return false, err
	}
	for i := range mk.Len() {
		if k, _ := mk.Entry(i); mk.Kind() != cos.Dict || k.Name() != "R" {
			return false, nil
		}
	}
	ap, err := f.Resolve(w.Value.Get("AP"))
	if err != nil || ap.IsNull() {
		return err == nil, err
	}
	for i := range ap.Len() {
		_, v := ap.Entry(i)
		o, err := f.ResolveObject(v)
		if err != nil {
			return false, err
		}
		if o.Stream == nil {
			return false, nil
		}
		data, err := f.Decode(o)
		if err != nil {
			return false, err
		}
		if len(bytes.TrimSpace(data)) > 0 {
			return false, nil
		}
	}
	return ap.Kind() == cos.Dict, nil
}
