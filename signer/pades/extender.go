package pades

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"

	"oruro.gob.bo/suti/signer/internal/appearance"
	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/incr"
	"oruro.gob.bo/suti/signer/internal/judge"
)

// extender adds revisions with evidence and document time-stamps.
type extender struct {
	o             ExtendOptions
	base          io.ReaderAt
	baseSize      int64
	tail          []byte
	file          *cos.File // as last opened
	state         hash.Hash // SHA-256 of base and tail so far
	taken         map[uint32]bool
	have          judge.Store // what the signatures of the base hold
	intermediates []*x509.Certificate
	stamped       time.Time
}

// joined reads a file and what follows it as one.
type joined struct {
	base io.ReaderAt
	size int64
	tail []byte
}

// ReadAt implements io.ReaderAt.
func (j *joined) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if off < j.size {
		m, err := j.base.ReadAt(p[:min(int64(len(p)), j.size-off)], off)
		if n += m; off+int64(m) < j.size {
			return n, err
		}
	}
	at := off + int64(n) - j.size
	if n < len(p) && at < int64(len(j.tail)) {
		n += copy(p[n:], j.tail[at:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (e *extender) size() int64 { return e.baseSize + int64(len(e.tail)) }

// open opens the file as it is by now.
func (e *extender) open() (*cos.File, error) {
	if e.file != nil && e.file.Size() == e.size() {
		return e.file, mayUseField(e.file, true)
	}
	f, err := e.grown()
	if err != nil {
		return nil, refusal(err)
	}
	if err := checkFile(f); err != nil {
		return nil, err
	}
	e.file = f
	return f, mayUseField(f, true)
}

func (e *extender) grown() (*cos.File, error) {
	r := &joined{e.base, e.baseSize, e.tail}
	if e.file != nil {
		return e.file.Grown(r, e.size(), e.o.Password)
	}
	return cos.OpenPassword(r, e.size(), e.o.Password, e.o.Limits)
}

func (e *extender) grow(more []byte) {
	e.tail = append(e.tail, more...)
	_, _ = e.state.Write(more)
}

// run adds what is wanted: a document time-stamp for signatures without a
// proven time, then evidence, then the time-stamp of LevelBLTA.
func (e *extender) run(ctx context.Context, wants []judge.Want, unstamped bool) error {
	if unstamped {
		token, err := e.stamp(ctx)
		if err != nil {
			return err
		}
		if e.o.Level >= LevelBLT {
			w, err := e.authority(ctx, token)
			if err != nil {
				return err
			}
			for i := range wants {
				if wants[i].At.IsZero() {
					wants[i].At = w.At
				}
			}
			wants = append(wants, w)
		}
	}
	if e.o.Level < LevelBLT {
		return nil
	}
	if len(wants) > 0 {
		if err := e.store(ctx, wants); err != nil {
			return err
		}
	}
	if e.o.Level < LevelBLTA {
		return nil
	}
	token, err := e.stamp(ctx)
	if err != nil {
		return err
	}
	_, err = e.authority(ctx, token) // it must be one of the roots given
	return err
}

// path returns the path of a certificate to a root.
func (e *extender) path(ctx context.Context, cert *x509.Certificate, known []*x509.Certificate, roots *x509.CertPool, at time.Time) ([]*x509.Certificate, error) {
	return judge.PathOf(ctx, e.o.Evidence, cert, slices.Concat(known, e.intermediates), roots, at)
}

// authority returns the path of the authority of a token that has been checked.
func (e *extender) authority(ctx context.Context, token []byte) (judge.Want, error) {
	return judge.AuthorityOf(ctx, e.o.Evidence, token, e.intermediates, e.o.TimestampRoots)
}

// store gathers evidence for the paths, checks that it is enough, and adds it.
func (e *extender) store(ctx context.Context, wants []judge.Want) error {
	chains, since := judge.Chains(wants)
	ev, err := e.o.Evidence.Gather(ctx, chains, since)
	if err != nil {
		return err
	}
	f, err := e.open()
	if err != nil {
		return err
	}
	// What the store has already is not added again; the signatures count too
	// when it is judged whether all is there.
	v := newVerifier(VerifyOptions{At: e.o.Now(), Intermediates: e.intermediates})
	v.f, v.report = f, &Report{}
	if err := v.readStore(ctx); err != nil {
		return refusal(err)
	}
	var certs, ocsps, crls [][]byte
	for _, c := range slices.Concat(append(slices.Clone(chains), ev.Certificates)...) {
		if !v.Store.HasCertificate(c) {
			v.Store.AddCertificate(c)
			certs = append(certs, c.Raw)
		}
	}
	add := func(list *[][]byte, ders [][]byte, put func([]byte, int)) {
		for _, der := range ders {
			if !v.Store.HasItem(der) {
				put(der, maxStoreItems)
				*list = append(*list, der)
			}
		}
	}
	add(&ocsps, ev.OCSPs, v.Store.AddOCSP)
	add(&crls, ev.CRLs, v.Store.AddCRL)
	v.Store.AddItems(&e.have)
	if err := v.stored.room(certs, ocsps, crls); err != nil {
		return err
	}
	if err := v.Enough(ctx, wants, e.o.RequireFresh); err != nil {
		return err
	}
	if len(certs)+len(ocsps)+len(crls) == 0 {
		return nil
	}
	u := incr.New(f, func(n uint32) bool { return e.taken[n] })
	if err := store(u, certs, ocsps, crls); err != nil {
		return refusal(err)
	}
	t, err := u.Finish()
	if err != nil {
		return refusal(err)
	}
	e.grow(t.Bytes)
	return nil
}

// room refuses to add to a store what a verifier of ours would no longer look at.
func (s *stored) room(certs, ocsps, crls [][]byte) error {
	size := s.bytes
	for key, ders := range map[string][][]byte{"Certs": certs, "OCSPs": ocsps, "CRLs": crls} {
		if len(ders) > 0 && s.items[key]+len(ders) > maxStoreItems {
			return refuse(CodeLimit, "the document security store has more than %d %s", maxStoreItems, key)
		}
		for _, d := range ders {
			size += len(d)
		}
	}
	if size > maxStoreBytes {
		return refuse(CodeLimit, "the document security store has more than %d bytes", maxStoreBytes)
	}
	return nil
}

// stamp adds a document time-stamp (ISO 32000-2 §12.8.5) and returns its token.
// A token larger than the space kept is asked for again: nobody's consent is
// bound to the digest.
func (e *extender) stamp(ctx context.Context) ([]byte, error) {
	if e.o.Timestamper == nil {
		return nil, &EvidenceError{Reason: NoTimestamps, Detail: "a document time-stamp needs a time-stamping authority"}
	}
	reserve, need := e.o.Token+e.o.Token/reserveGrowth, 0
	for range 2 {
		s, err := e.prepareStamp(reserve)
		if err != nil {
			return nil, err
		}
		token, err := e.o.Timestamper.Timestamp(ctx, s.hash, s.digest)
		if err != nil {
			return nil, fmt.Errorf("pades: document time-stamp: %w", err)
		}
		t, err := judge.CheckTokenOver(token, func(h crypto.Hash) []byte {
			if h != s.hash {
				return nil
			}
			return s.digest
		})
		if err != nil {
			return nil, err
		}
		if need = len(token); need <= s.reserve {
			e.grow(s.fill(token))
			e.stamped = t.Info.GenTime
			return token, nil
		}
		if reserve = need + need/reserveGrowth; reserve > maxReserve {
			break
		}
	}
	return nil, &ReserveError{Need: need, Have: reserve}
}

const stampFieldName = "SelloDeTiempo"

// prepareStamp lays out a document time-stamp in an invisible field of its own.
func (e *extender) prepareStamp(reserve int) (*Session, error) {
	f, err := e.open()
	if err != nil {
		return nil, err
	}
	state, err := cloneSHA256(e.state)
	if err != nil {
		return nil, err
	}
	p := &preparation{Options: Options{Hash: crypto.SHA256}, f: f, reserve: reserve}
	p.u = incr.New(f, func(n uint32) bool { return e.taken[n] })
	if err := p.buildStamp(); err != nil {
		return nil, refusal(err)
	}
	return p.session(&baseDigests{sha256: state, hash: state})
}

func (p *preparation) buildStamp() error {
	var err error
	if p.sigs, p.names, err = signatureFields(p.f); err != nil {
		return err
	}
	if err := checkXFA(p.f); err != nil {
		return err
	}
	for i := 1; p.Field == "" || p.names[p.Field] > 0; i++ {
		p.Field = fmt.Sprintf("%s%d", stampFieldName, i)
	}
	page, err := p.f.Page(0)
	if err != nil {
		return &RefusedError{Code: CodePage, Detail: err.Error(), Err: err}
	}
	if p.sig, err = p.u.Alloc(); err != nil {
		return err
	}
	p.u.Put(p.sig, p.stampDict())
	widget, err := p.u.Alloc()
	if err != nil {
		return err
	}
	// Without an appearance, as §12.8.5 recommends: others take one for more than an extension. PDF/A-1 asks
	// for one of every field; it gets it where more than extensions are allowed.
	ap := ""
	if strictest(p.sigs) != NoChanges && declaresPDFA1(p.f) {
		nothing, err := p.drawNothing(appearance.Rect{})
		if err != nil {
			return err
		}
		ap = fmt.Sprintf(" /AP <</N %v>>", nothing)
	}
	p.u.Put(widget, fmt.Appendf(nil, "<</Type /Annot /Subtype /Widget /FT /Sig /T %s /TU %s /F 132 /Rect [0 0 0 0] /P %v /V %v%s>>",
		cos.EncodeText(p.Field), cos.EncodeText("Sello de tiempo del documento"), page.Ref, p.sig, ap))
	if err := p.u.AddAnnot(page.Ref, widget); err != nil {
		return err
	}
	if err := p.setTabs(page); err != nil {
		return err
	}
	if err := p.u.AddField(widget); err != nil {
		return err
	}
	return declareESIC(p.u)
}

// stampDict writes a document time-stamp dictionary (EN 319 142-1 §5.4.3) with
// an empty byte range and a hole.
func (p *preparation) stampDict() []byte {
	var b bytes.Buffer
	b.WriteString("<</Type /DocTimeStamp /Filter /Adobe.PPKLite /SubFilter /ETSI.RFC3161\n/ByteRange [")
	b.Write(bytes.Repeat([]byte{' '}, byteRangeWidth-2))
	b.WriteString("]\n/Contents <")
	b.Write(bytes.Repeat([]byte{'0'}, 2*p.reserve))
	b.WriteString(">>>")
	return b.Bytes()
}

// danglingOf returns the numbers that something refers to but nothing defines.
func danglingOf(ctx context.Context, f *cos.File) (map[uint32]bool, error) {
	v := newInspector(f)
	if err := walk(ctx, f, v.object); err != nil {
		return nil, err
	}
	return v.taken()
}
