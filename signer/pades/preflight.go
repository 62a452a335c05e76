package pades

import (
	"context"
	"crypto"
	"encoding/hex"
	"io"
	"slices"
	"sync"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// PreflightReport says what is in a file that is to be signed. Its JSON form
// is stable.
type PreflightReport struct {
	// SHA256 is of the whole file, in lower-case hexadecimal.
	SHA256  string `json:"sha256"`
	Size    int64  `json:"size"`
	Version string `json:"version"` // of the header
	// Kind is how the newest revision is cross-referenced: "table", "stream" or "hybrid".
	Kind      string `json:"kind"`
	Pages     int    `json:"pages"`
	Objects   int    `json:"objects"`
	Revisions int    `json:"revisions"`
	// Encryption is nil for a file that is not encrypted.
	Encryption *Encryption `json:"encryption,omitempty"`
	// Fields are the signature fields.
	Fields []PreflightField `json:"fields"`
	// Certified is the permission that an earlier signature leaves, 0 if none does.
	Certified Permission `json:"certified"`
	// Findings are things that a signer should know of, or that policy may refuse.
	Findings []Finding `json:"findings"`
	// Dangling are object numbers that something refers to and that do not
	// exist, from the first unused number on. New objects keep clear of them.
	Dangling []uint32 `json:"dangling,omitempty"`
}

// PreflightField is a signature field of a file.
type PreflightField struct {
	Name   string `json:"name"`
	Signed bool   `json:"signed"`
	Locked bool   `json:"locked"` // by an earlier signature
}

// Finding is a kind of content, and how often it was met.
type Finding struct {
	Code  string `json:"code"`
	Count int    `json:"count"`
}

// Codes of [Finding]. Values are stable.
const (
	FindJavaScript   = "javascript"
	FindLaunch       = "launch-action"      // starts a program or opens another file
	FindExternal     = "external-reference" // content from outside the file
	FindOptional     = "optional-content"   // layers that can be hidden
	FindEmbedded     = "embedded-file"
	FindXFA          = "xfa"
	FindFont         = "font-not-embedded" // looks may differ between viewers
	FindUsageRights  = "usage-rights"
	FindDangling     = "dangling-reference"
	FindUnreferenced = "unreferenced-object"
	FindRichMedia    = "rich-media"
	FindFormWithout  = "need-appearances" // viewers draw the form fields themselves
	FindOverlap      = "fields-overlap"   // form fields that cover each other
	FindCovering     = "field-covers-page"
)

// Preflight reads the whole file and every object in it. It returns a
// [*RefusedError] if the file cannot be signed at all, together with what of
// the report was found until then; options such as the field may still make
// [Prepare] refuse.
//
// An encrypted file must open with the empty password; see [PreflightPassword].
func Preflight(ctx context.Context, base io.ReaderAt, size int64, lim Limits) (*PreflightReport, error) {
	return PreflightPassword(ctx, base, size, "", lim)
}

// PreflightPassword is [Preflight] for files that may be encrypted, with the
// password of a user or the owner.
func PreflightPassword(ctx context.Context, base io.ReaderAt, size int64, password string, lim Limits) (*PreflightReport, error) {
	rep, _, err := lookAt(ctx, base, size, Options{Password: password, Limits: lim}, newDigests(crypto.SHA256))
	return rep, err
}

// lookAt reads the whole file once: for the report, for the digests and for
// copies of it. Of o it uses Password and Limits.
func lookAt(ctx context.Context, base io.ReaderAt, size int64, o Options, d *baseDigests, copies ...io.Writer) (*PreflightReport, *cos.File, error) {
	rep := &PreflightReport{Size: size, Fields: []PreflightField{}, Findings: []Finding{}}
	pass := newPass(ctx, base, size)
	pass.to = append(d.writers(), copies...)
	defer pass.release()
	f, err := openFile(pass, size, o.Password, o.Limits)
	if err != nil {
		return rep, nil, err
	}
	fault := rep.inspect(pass, f)
	if err := pass.finish(); err != nil {
		return rep, nil, err
	}
	rep.SHA256 = hex.EncodeToString(d.sha256.Sum(nil))
	rep.Version = f.HeaderVersion()
	rep.Encryption = encryptionOf(f)
	rep.Kind = "table"
	if f.NewestIsStream() {
		rep.Kind = "stream"
	} else if f.IsHybrid() {
		rep.Kind = "hybrid"
	}
	return rep, f, refusal(fault)
}

// openFile opens a file with a password and checks what signing and verifying
// both need.
func openFile(base io.ReaderAt, size int64, password string, lim cos.Limits) (*cos.File, error) {
	f, err := cos.OpenPassword(base, size, password, lim)
	if err != nil {
		return nil, refusal(err)
	}
	return f, checkFile(f)
}

// checkFile checks that a file has clear revisions and a catalog.
func checkFile(f *cos.File) error {
	if _, err := f.Revisions(); err != nil {
		return refusal(err)
	}
	_, err := f.Catalog()
	return refusal(err)
}

// buffers are what files are read into. They are of one size, so that signing
// many small files leaves nothing to collect.
var buffers = sync.Pool{New: func() any {
	b := make([]byte, 256<<10)
	return &b
}}

// digestFile writes the file to all of to, in one reading.
func digestFile(ctx context.Context, base io.ReaderAt, size int64, to ...io.Writer) error {
	p := newPass(ctx, base, size)
	p.to = to
	return p.finish()
}

// inspect looks at every object of f, which reads from the pass.
func (rep *PreflightReport) inspect(pass *onePass, f *cos.File) error {
	revs, err := f.Revisions()
	if err != nil {
		return err
	}
	rep.Revisions = len(revs)
	if rep.Pages, err = f.PageCount(); err != nil {
		return err
	}
	sigs, _, err := signatureFields(f)
	if err != nil {
		return err
	}
	rep.Certified = strictest(sigs)
	for _, s := range sigs {
		rep.Fields = append(rep.Fields, PreflightField{Name: s.field.Name, Signed: s.dict != nil, Locked: locked(sigs, s.field.Name)})
	}
	v := newInspector(f)
	if err := pass.walk(view{f, v.object}); err != nil {
		return err
	}
	if err := v.finish(); err != nil {
		return err
	}
	rep.Objects, rep.Findings, rep.Dangling = v.objects, v.findings(), v.dangling
	if rep.Certified == NoChanges {
		return refuse(CodeCertified, "an earlier signature allows no changes")
	}
	if err := mayUseField(f, !slices.ContainsFunc(rep.Fields, func(p PreflightField) bool { return !p.Signed && !p.Locked })); err != nil {
		return err
	}
	return checkXFA(f)
}

// checkXFA refuses forms whose content is XML that a PDF viewer may not show
// as its pages (ISO 32000-1 §12.7.8).
func checkXFA(f *cos.File) error {
	cat, err := f.Catalog()
	if err != nil {
		return err
	}
	form, err := f.Resolve(cat.Value.Get("AcroForm"))
	if err != nil {
		return err
	}
	if !form.Has("XFA") {
		return nil
	}
	if dynamic, _ := cat.Value.Get("NeedsRendering").Bool(); dynamic {
		return refuse(CodeXFA, "dynamic XFA form")
	}
	fields, err := f.Resolve(form.Get("Fields"))
	if err != nil {
		return err
	}
	if fields.Len() == 0 {
		return refuse(CodeXFA, "XFA form without fields of its own")
	}
	return nil
}

// inspector gathers findings from the objects of a file.
type inspector struct {
	f          *cos.File
	objects    int
	counts     map[string]int
	first      uint32   // the first number that is not defined
	defined    []uint64 // bit sets by object number
	referred   []uint64
	structural []uint64 // objects that nothing needs to refer to
	beyond     map[uint32]bool
	dangling   []uint32
	fonts      []cos.Ref // descriptors
}

// maxDangling is how many different dangling numbers are told.
const maxDangling = 10_000

func newInspector(f *cos.File) *inspector {
	n := f.NextNumber()/64 + 1
	return &inspector{
		f: f, counts: map[string]int{}, first: f.NextNumber(), beyond: map[uint32]bool{},
		defined: make([]uint64, n), referred: make([]uint64, n), structural: make([]uint64, n),
	}
}

func set(bits []uint64, n uint32)      { bits[n/64] |= 1 << (n % 64) }
func has(bits []uint64, n uint32) bool { return bits[n/64]&(1<<(n%64)) != 0 }

func (v *inspector) object(o *cos.Object) error {
	v.objects++
	set(v.defined, o.Ref.Num)
	t := o.Value.Get("Type").Name()
	if t == "ObjStm" || t == "XRef" || o.Value.Has("Linearized") {
		set(v.structural, o.Ref.Num)
	}
	v.refer(o.Value)
	o.Value.Visit(func(d cos.Value) bool {
		if d.Kind() == cos.Dict {
			v.dict(d)
		}
		return true
	})
	return nil
}

func (v *inspector) refer(d cos.Value) {
	d.Refs(func(r cos.Ref) bool {
		switch {
		case r.Num < v.first:
			set(v.referred, r.Num)
		case len(v.beyond) < maxDangling:
			v.beyond[r.Num] = true
		}
		return true
	})
}

func (v *inspector) dict(d cos.Value) {
	switch d.Get("S").Name() {
	case "JavaScript":
		v.counts[FindJavaScript]++
	case "Launch":
		v.counts[FindLaunch]++
	case "GoToR", "GoToE", "ImportData", "SubmitForm":
		v.counts[FindExternal]++
	case "Rendition", "RichMediaExecute", "Movie", "Sound", "GoTo3DView":
		v.counts[FindRichMedia]++
	}
	if d.Has("OCGs") && d.Has("D") {
		v.counts[FindOptional]++
	}
	if d.Has("EF") {
		v.counts[FindEmbedded]++
	}
	if d.Has("XFA") {
		v.counts[FindXFA]++
	}
	if d.Has("UR3") || d.Has("UR") {
		v.counts[FindUsageRights]++
	}
	if need, _ := d.Get("NeedAppearances").Bool(); need {
		v.counts[FindFormWithout]++
	}
	if d.Get("Type").Name() == "Font" {
		v.font(d)
	}
}

func (v *inspector) font(d cos.Value) {
	switch d.Get("Subtype").Name() {
	case "Type0", "Type3":
		return
	}
	r, ok := d.Get("FontDescriptor").Ref()
	if !ok {
		if d.Get("FontDescriptor").Kind() != cos.Dict {
			v.counts[FindFont]++
		}
		return
	}
	if len(v.fonts) < maxDangling {
		v.fonts = append(v.fonts, r)
	}
}

func (v *inspector) finish() error {
	if err := v.overlaps(); err != nil {
		return err
	}
	v.refer(v.f.Trailer())
	for _, r := range v.fonts {
		o, err := v.f.Get(r)
		if err != nil {
			return err
		}
		if !o.Value.Has("FontFile") && !o.Value.Has("FontFile2") && !o.Value.Has("FontFile3") {
			v.counts[FindFont]++
		}
	}
	for n := range v.first {
		switch {
		case has(v.defined, n) && !has(v.referred, n) && !has(v.structural, n):
			v.counts[FindUnreferenced]++
		case !has(v.defined, n) && has(v.referred, n):
			v.counts[FindDangling]++
		}
	}
	for n := range v.beyond {
		v.dangling = append(v.dangling, n)
	}
	slices.Sort(v.dangling)
	if len(v.beyond) > 0 {
		v.counts[FindDangling] += len(v.beyond)
	}
	return nil
}

// taken returns the numbers that something refers to but nothing defines.
func (v *inspector) taken() (map[uint32]bool, error) {
	if err := v.finish(); err != nil {
		return nil, err
	}
	return (&PreflightReport{Dangling: v.dangling}).taken(), nil
}

func (v *inspector) findings() []Finding { return sortedFindings(v.counts) }

func sortedFindings(counts map[string]int) []Finding {
	out := []Finding{}
	for code, n := range counts {
		out = append(out, Finding{Code: code, Count: n})
	}
	slices.SortFunc(out, func(a, b Finding) int {
		if a.Code < b.Code {
			return -1
		}
		return 1
	})
	return out
}
