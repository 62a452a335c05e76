package pades

import (
	"bytes"
	"context"
	"crypto"
	_ "crypto/sha256" // digests of byte ranges
	_ "crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/incr"
	"oruro.gob.bo/suti/signer/internal/paint"
)

// Prepare lays out the signature: it computes the update that is to follow the
// file, with a hole for the signature, and the digest of everything but the
// hole. The certificate need not be known. The file is read once; of it, only
// single objects are held in memory.
//
// Errors: [*RefusedError]; [ErrOptions]; ctx's; those of base.
func Prepare(ctx context.Context, base io.ReaderAt, size int64, o Options) (*Session, error) {
	return prepare(ctx, base, size, o)
}

// prepare is Prepare; what it reads for the digest it also writes to copies.
func prepare(ctx context.Context, base io.ReaderAt, size int64, o Options, copies ...io.Writer) (*Session, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	reserve, err := o.Reserve.bytes(o.Level)
	if err != nil {
		return nil, err
	}
	digests := newDigests(o.Hash)
	f, dangling, err := readBase(ctx, base, size, &o, digests, copies)
	if err != nil {
		return nil, err
	}
	p := &preparation{Options: o, ctx: ctx, f: f, reserve: reserve}
	p.u = incr.New(f, func(n uint32) bool { return dangling[n] })
	if err := p.build(); err != nil {
		return nil, refusal(err)
	}
	s, err := p.session(digests)
	if err == nil {
		s.taken, s.file, s.schemes = dangling, f, o.Schemes
	}
	return s, err
}

// readBase reads the file once and returns it with the numbers that new objects
// must keep clear of: from the preflight report if it is of this file, else by
// looking at every object.
func readBase(ctx context.Context, base io.ReaderAt, size int64, o *Options, d *baseDigests, copies []io.Writer) (*cos.File, map[uint32]bool, error) {
	if rep := o.Preflight; rep != nil {
		pass := newPass(ctx, base, size)
		pass.to = append(d.writers(), copies...)
		f, err := openFile(pass, size, o.Password, o.Limits)
		if err != nil {
			return nil, nil, err
		}
		if err := pass.finish(); err != nil {
			return nil, nil, err
		}
		if rep.SHA256 == hex.EncodeToString(d.sha256.Sum(nil)) {
			return f, rep.taken(), o.inspect(rep)
		}
		d, copies = newDigests(crypto.SHA256), nil // of another file: look at this one
	}
	rep, f, err := lookAt(ctx, base, size, *o, d, copies...)
	if err != nil {
		return nil, nil, err
	}
	return f, rep.taken(), o.inspect(rep)
}

func (o *Options) inspect(rep *PreflightReport) error {
	if o.Inspect == nil {
		return nil
	}
	return o.Inspect(rep)
}

// baseDigests are the digests of the file, not yet finished.
type baseDigests struct {
	sha256 hash.Hash
	hash   hash.Hash // by Options.Hash; the same as sha256 if that is SHA-256
}

func newDigests(h crypto.Hash) *baseDigests {
	d := &baseDigests{sha256: crypto.SHA256.New()}
	if d.hash = d.sha256; h != crypto.SHA256 {
		d.hash = h.New()
	}
	return d
}

func (d *baseDigests) writers() []io.Writer {
	if d.hash == d.sha256 {
		return []io.Writer{d.sha256}
	}
	return []io.Writer{d.sha256, d.hash}
}

// taken returns the numbers that new objects must keep clear of.
func (rep *PreflightReport) taken() map[uint32]bool {
	m := make(map[uint32]bool, len(rep.Dangling))
	for _, n := range rep.Dangling {
		m[n] = true
	}
	return m
}

// preparation is the work of Prepare.
type preparation struct {
	Options
	ctx     context.Context // of the call that this is the work of
	f       *cos.File
	u       *incr.Update
	reserve int
	sigs    []existing
	names   map[string]int
	sig     cos.Ref                  // the signature dictionary
	taken   map[cos.Ref][]paint.Rect // on pages, by fields of this very update
}

func (p *preparation) build() error {
	var err error
	if p.sigs, p.names, err = signatureFields(p.f); err != nil {
		return err
	}
	if err := checkXFA(p.f); err != nil {
		return err
	}
	if strictest(p.sigs) == NoChanges {
		return refuse(CodeCertified, "an earlier signature allows no changes")
	}
	if err := p.checkCertify(); err != nil {
		return err
	}
	if err := mayUseField(p.f, p.Field == "" || p.names[p.Field] == 0); err != nil {
		return err
	}
	if p.sig, err = p.u.Alloc(); err != nil {
		return err
	}
	lock, err := p.placeField()
	if err != nil {
		return err
	}
	p.u.Put(p.sig, p.signatureDict(lock))
	if p.Certify != Uncertified {
		return p.setPerms()
	}
	return nil
}

func (p *preparation) checkCertify() error {
	if p.Certify == Uncertified {
		return nil
	}
	if err := mayCertify(p.f); err != nil {
		return err
	}
	for _, s := range p.sigs {
		if s.dict != nil {
			return refuse(CodeCertified, "only the first signature can certify")
		}
	}
	cat, err := p.f.Catalog()
	if err != nil {
		return err
	}
	perms, err := p.f.Resolve(cat.Value.Get("Perms"))
	if err != nil {
		return err
	}
	if !perms.IsNull() {
		return refuse(CodeCertified, "document has permissions already")
	}
	return nil
}

func (p *preparation) setPerms() error {
	cat, err := p.u.Catalog()
	if err != nil {
		return err
	}
	return p.u.Set(cat, "Perms", []byte("<</DocMDP "+p.sig.String()+">>"))
}

const byteRangeWidth = 64 // of the four numbers and the brackets

// signatureDict writes the signature dictionary (ISO 32000-2 §12.8.1, EN 319
// 142-1 §6.3) with an empty byte range and a hole for the signature.
func (p *preparation) signatureDict(lock *Lock) []byte {
	var b bytes.Buffer
	b.WriteString("<</Type /Sig /Filter /Adobe.PPKLite /SubFilter /ETSI.CAdES.detached\n/ByteRange [")
	b.WriteString(strings.Repeat(" ", byteRangeWidth-2))
	b.WriteString("]\n/Contents <")
	b.Write(bytes.Repeat([]byte{'0'}, 2*p.reserve))
	b.WriteString(">\n/M (" + date(p.SigningTime) + ")")
	for _, e := range []struct{ key, val string }{
		{"Name", p.Name}, {"Reason", p.Reason}, {"Location", p.Location}, {"ContactInfo", p.ContactInfo},
	} {
		if e.val != "" {
			b.WriteString(" /" + e.key + " " + cos.EncodeText(e.val))
		}
	}
	b.WriteString(p.references(lock))
	b.WriteString(">>")
	return b.Bytes()
}

// references writes /Reference: the DocMDP of a certification and the FieldMDP
// that the field's /Lock asks for.
func (p *preparation) references(lock *Lock) string {
	var refs []string
	if p.Certify != Uncertified {
		refs = append(refs, fmt.Sprintf("<</Type /SigRef /TransformMethod /DocMDP /TransformParams <</Type /TransformParams /P %d /V /1.2>>>>", p.Certify))
	}
	if lock != nil {
		refs = append(refs, "<</Type /SigRef /TransformMethod /FieldMDP /TransformParams <</Type /TransformParams /V /1.2 "+lock.entries()+">>>>")
	}
	if len(refs) == 0 {
		return ""
	}
	return "\n/Reference [" + strings.Join(refs, " ") + "]"
}

// date writes a PDF date (ISO 32000-2 §7.9.4) to the second with its zone.
func date(t time.Time) string {
	_, off := t.Zone()
	sign := '+'
	if off < 0 {
		sign, off = '-', -off
	}
	return fmt.Sprintf("D:%s%c%02d'%02d'", t.Format("20060102150405"), sign, off/3600, off/60%60)
}

// session finishes the update, fills in the byte range and digests it.
func (p *preparation) session(d *baseDigests) (*Session, error) {
	tail, err := p.u.Finish()
	if err != nil {
		return nil, refusal(err)
	}
	base := p.f.Size()
	at := tail.Body(p.sig)
	body := tail.Bytes[at-base:]
	hole := at + int64(bytes.Index(body, []byte("/Contents <"))+len("/Contents "))
	holeEnd := hole + int64(2*p.reserve) + 2
	total := base + int64(len(tail.Bytes))
	s := &Session{
		baseSize: base, requested: p.Level, hash: p.Hash, field: p.fieldName(), reserve: p.reserve,
		signingTime: p.SigningTime.Truncate(time.Second),
		byteRange:   [4]int64{0, hole, holeEnd, total - holeEnd},
	}
	d.sha256.Sum(s.baseSHA256[:0])
	if s.baseState, err = saveSHA256(d.sha256); err != nil {
		return nil, err
	}
	text := fmt.Sprintf("[0 %d %d %d", hole, holeEnd, total-holeEnd)
	copy(body[bytes.Index(body, []byte("/ByteRange ["))+len("/ByteRange "):], text)
	s.before = tail.Bytes[:hole-base]
	s.after = tail.Bytes[holeEnd-base:]
	_, _ = d.hash.Write(s.before)
	_, _ = d.hash.Write(s.after)
	s.digest = d.hash.Sum(nil)
	return s, nil
}
