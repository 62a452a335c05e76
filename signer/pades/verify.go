package pades

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/judge"
)

// VerifyOptions says what to verify against. At is required; without Roots no
// signature is trusted: there is no system default.
type VerifyOptions struct {
	// Roots are the trust anchors of signers, TimestampRoots those of
	// time-stamping authorities.
	Roots, TimestampRoots *x509.CertPool
	// Intermediates are further certificates to build paths with.
	Intermediates []*x509.Certificate
	// At is the time of verification.
	At time.Time
	// Revocation tells the state of certificates, beside the evidence in the
	// file. If nil and the file holds none, it is not checked, and the report
	// says so.
	Revocation Revocation
	// Schemes are signature algorithms that are understood besides those of
	// this package.
	Schemes []Scheme
	// Password opens an encrypted file. Without it, those that open with the
	// empty password are verified.
	Password string
	// Constraints are held beside the rules of the verifier; nil means
	// [DefaultConstraints]. Their anchors are not taken from them: put those into
	// Roots and TimestampRoots.
	Constraints *Constraints
	// Material keeps in the report what each signature was judged by.
	Material bool
	// Limits bounds what is read; the zero value means the defaults.
	Limits Limits
}

// verifier is the work of Verify.
type verifier struct {
	*judge.Judge
	o       VerifyOptions
	pass    *onePass
	f       *cos.File    // over the pass
	sigs    []*candidate // by revision; those without one first
	stored  stored
	changes []Change
	worst   []ChangeClass // of each revision's changes
	report  *Report
	// refs is what the objects of the first version signed refer to; nil if
	// nothing came after it, or if it does not read.
	refs *refIndex
	// state is the digest of the file, and taken the numbers that new objects
	// must keep clear of, where extends asks for them. taken may still be nil.
	extends bool
	state   hash.Hash
	taken   map[uint32]bool
}

// Verify reports on every signature of a file. The file is read once, for
// the digests and for the objects that are compared; only single objects of it
// are held in memory.
//
// It returns a [*RefusedError] if the file cannot be read in exactly one way:
// nothing can then be said about signatures in it. Other errors are ctx's,
// [ErrOptions] and those of base. Faults of a signature are in the report.
func Verify(ctx context.Context, base io.ReaderAt, size int64, o VerifyOptions) (*Report, error) {
	if o.At.IsZero() {
		return nil, fmt.Errorf("%w: no time of verification", ErrOptions)
	}
	v := newVerifier(o)
	if err := v.run(ctx, base, size); err != nil {
		return nil, err
	}
	return v.report, nil
}

func newVerifier(o VerifyOptions) *verifier {
	return &verifier{o: o, Judge: judge.New(judge.Options{
		Roots: o.Roots, TimestampRoots: o.TimestampRoots, Intermediates: o.Intermediates, At: o.At, Revocation: o.Revocation,
		Constraints: o.Constraints,
	})}
}

func (v *verifier) run(ctx context.Context, base io.ReaderAt, size int64) error {
	var err error
	v.pass = newPass(ctx, base, size)
	defer v.pass.release()
	if v.f, err = openFile(v.pass, size, v.o.Password, v.o.Limits); err != nil {
		return err
	}
	v.report = &Report{Size: size, At: v.o.At, Signatures: []SignatureReport{}, Changes: []Change{}, Warnings: []Warning{}}
	if v.o.Material {
		v.report.Constraints = v.Constraints
	}
	for _, step := range []func(context.Context) error{v.find, v.gather, v.digest, v.decide, v.compare} {
		if err := step(ctx); err != nil {
			return refusal(err)
		}
	}
	v.conclude()
	return nil
}

// find locates the signatures.
func (v *verifier) find(ctx context.Context) error {
	revs, err := v.f.Revisions()
	if err != nil {
		return err
	}
	v.report.Revisions = len(revs)
	all, _, err := signatureFields(v.f)
	if err != nil {
		return err
	}
	shared := map[cos.Ref]int{}
	for _, e := range all {
		if e.dict != nil {
			shared[e.dict.Ref]++
		}
	}
	for _, e := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.dict == nil {
			continue
		}
		c := &candidate{schemes: v.o.Schemes, existing: e}
		if err := c.locate(v.f, shared); err != nil {
			return err
		}
		v.sigs = append(v.sigs, c)
	}
	if err := v.history(ctx, len(revs), shared); err != nil {
		return err
	}
	slices.SortStableFunc(v.sigs, func(a, b *candidate) int { return a.Revision - b.Revision })
	for i := 1; i < len(v.sigs); i++ {
		if a, b := v.sigs[i-1], v.sigs[i]; a.Revision == b.Revision && b.Revision >= 0 {
			for _, c := range []*candidate{a, b} {
				c.Fail(TotalFailed, SubFormat, "two signatures end the same revision")
			}
		}
	}
	return v.notes()
}

// history looks at the signature fields that earlier revisions had in their
// form: whether each signature is in the version that it signed. It warns of
// signatures that are gone: there is nothing to verify about them, and what is
// left is not signed by them.
func (v *verifier) history(ctx context.Context, revisions int, now map[cos.Ref]int) error {
	told := map[cos.Ref]bool{}
	for i := range revisions - 1 {
		if err := ctx.Err(); err != nil {
			return err
		}
		a, err := v.f.AtRevision(i)
		if err != nil {
			return err
		}
		all, _, unread := signatureFields(a)
		for _, c := range v.sigs {
			if c.Revision == i && !c.rep.CoversFile {
				if err := c.inRevision(a); err != nil {
					return err
				}
			}
		}
		if unread != nil {
			if inFile(refusal(unread)) {
				continue // an old revision that does not read; the new one does
			}
			return unread
		}
		for _, e := range all {
			if e.dict != nil && e.dict.Ref.Num != 0 && now[e.dict.Ref] == 0 && !told[e.dict.Ref] {
				told[e.dict.Ref] = true
				v.Warn(WarnRemoved, "revision %d had a signature that is gone", i+1)
			}
		}
	}
	return nil
}

// notes gathers warnings about the whole file.
func (v *verifier) notes() error {
	if v.f.IsHybrid() {
		v.Warn(WarnHybrid, "hybrid cross-references: older viewers may see less")
	}
	cat, err := v.f.Catalog()
	if err != nil {
		return err
	}
	perms, err := v.f.Resolve(cat.Value.Get("Perms"))
	if err != nil {
		return err
	}
	if perms.Has("UR3") || perms.Has("UR") {
		v.Warn(WarnUsageRights, "a usage rights signature is not judged")
	}
	return nil
}

// digest digests the byte ranges of all signatures.
func (v *verifier) digest(ctx context.Context) error {
	var jobs []*digestJob
	var of []*candidate
	for _, c := range v.sigs {
		if c.Failed() {
			continue
		}
		h := c.sd.Signer.DigestAlgorithm
		if c.token != nil {
			h = c.token.Info.Imprint.Hash
		}
		if h != crypto.SHA256 && h != crypto.SHA384 && h != crypto.SHA512 {
			c.Fail(IndIndeterm, SubCryptoConstr, "digest algorithm %v", h)
			continue
		}
		jobs = append(jobs, &digestJob{h: h, hole: c.hole[0], holeEnd: c.hole[1], end: c.length})
		of = append(of, c)
	}
	whole := &digestJob{h: crypto.SHA256, hole: v.f.Size(), holeEnd: v.f.Size(), end: v.f.Size()}
	if v.extends {
		jobs = append(jobs, whole)
	}
	scan := &hiddenScan{f: v.f}
	if err := v.read(newDigester(jobs), scan); err != nil {
		return err
	}
	for i, c := range of {
		c.sum = jobs[i].sum
	}
	v.state = whole.state
	if scan.hidden > 0 {
		v.Warn(WarnHidden, "%d objects in the signed part that nothing names", scan.hidden)
	}
	return nil
}

// read reads the file once: for the digests and whatever else wants its bytes,
// and meanwhile the objects that are to be compared or kept clear of.
func (v *verifier) read(to ...io.Writer) error {
	v.pass.to = to
	revs, err := v.f.Revisions()
	if err != nil {
		return err
	}
	var views []view
	if first := v.first(len(revs)); first+1 < len(revs) {
		var objects view
		if v.refs, objects, err = newRefIndex(v.f, first); err == nil {
			views = append(views, objects)
		}
	}
	numbers := newInspector(v.f)
	if v.extends {
		views = append(views, view{v.f, numbers.object})
	}
	switch err := v.pass.walk(views...); {
	case err != nil && !inFile(err):
		return err
	case err != nil:
		v.refs = nil // compare comes upon it again, and says where
	case v.extends:
		if v.taken, err = numbers.taken(); err != nil {
			return err
		}
	}
	return v.pass.finish()
}

// conclude joins what was found of each signature with what came after it.
func (v *verifier) conclude() {
	v.report.Changes = append(v.report.Changes, v.changes...)
	v.report.Warnings = append(v.report.Warnings, v.Warnings...)
	for _, c := range v.sigs {
		verdict := Valid
		switch c.Indication {
		case TotalFailed:
			verdict = Invalid
		case IndIndeterm:
			verdict = Indeterminate
		}
		if c.Revision >= 0 {
			later := Valid
			for r := c.Revision + 1; r < len(v.worst); r++ {
				if v.worst[r] != "" {
					later = worse(later, verdictOf(v.worst[r], v.Constraints))
				}
			}
			verdict = worse(verdict, later)
			if c.Indication == TotalPassed && later.rank() >= Indeterminate.rank() {
				c.Indication, c.SubIndication = IndIndeterm, SubConstraints
				c.Detail = "changes after the signature; see the list of changes"
				c.later = true
			}
		}
		c.rep.Verdict = verdict
		c.rep.take(c.Finding)
		if v.o.Material {
			c.rep.Material = v.material(c)
		}
		v.report.Signatures = append(v.report.Signatures, c.rep)
	}
}
