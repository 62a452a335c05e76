package pades

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"time"

	"oruro.gob.bo/suti/signer/internal/judge"
)

// Codes of [RefusedError] by [Extend].
const (
	CodeNotSigned Code = "not-signed" // there is no signature to extend
	CodeBroken    Code = "broken"     // a signature does not hold, or the file changed after it
	CodeUnproven  Code = "unproven"   // a signature cannot be proven, so that no evidence could help it
	CodeReached   Code = "reached"    // the level has been reached already
)

// ExtendOptions says what is to be added to signatures. Level, Now and Roots
// are required, Timestamper for a level that needs a further time-stamp,
// Evidence and TimestampRoots from LevelBLT on.
type ExtendOptions struct {
	// Level is what every signature of the file is to reach: LevelBT to
	// LevelBLTA. LevelBLTA of a file that has it is a renewal: evidence about
	// the last document time-stamp, then a new one.
	Level Level
	// Roots are the trust anchors of signers, TimestampRoots those of
	// time-stamping authorities; Intermediates help to build paths.
	Roots, TimestampRoots *x509.CertPool
	Intermediates         []*x509.Certificate
	// Evidence gets revocation evidence, after the time-stamps it is about.
	Evidence EvidenceSource
	// Timestamper stamps the document.
	Timestamper Timestamper
	// RequireFresh also refuses evidence that tells of a moment before the
	// signature, as a list that was issued earlier and is still current does.
	RequireFresh bool
	// Token is the size in bytes to keep for a time-stamp token, 6,144 by
	// default. If a token is larger, another is asked for, once.
	Token int
	// Now is the clock.
	Now func() time.Time
	// Password opens an encrypted file.
	Password string
	// Limits bounds what is read; the zero value means the defaults.
	Limits Limits
}

func (o *ExtendOptions) check() error {
	if o.Token == 0 {
		o.Token = defaultToken
	}
	switch {
	case o.Level < LevelBT || o.Level > LevelBLTA:
		return fmt.Errorf("%w: level %q cannot be extended to", ErrOptions, o.Level)
	case o.Now == nil || o.Roots == nil:
		return fmt.Errorf("%w: a clock and trust anchors are required", ErrOptions)
	case o.Level >= LevelBLT && (o.Evidence == nil || o.TimestampRoots == nil):
		return fmt.Errorf("%w: level %v needs a source of evidence and anchors of time-stamps", ErrOptions, o.Level)
	case o.Token < minimalReserve || o.Token > maxReserve:
		return fmt.Errorf("%w: token of %d bytes", ErrOptions, o.Token)
	}
	return nil
}

// Extended is what has been added to a signed file.
type Extended struct {
	// Requested is what was asked for. Achieved is the same: what cannot be
	// reached is an error.
	Requested, Achieved Level
	// Timestamp is the time of the newest document time-stamp added, zero if none was.
	Timestamp time.Time

	baseSize   int64
	baseSHA256 [32]byte
	tail       []byte
}

// Tail returns the bytes that follow the file.
func (x *Extended) Tail() []byte { return x.tail }

// Size returns the size of the extended file in bytes.
func (x *Extended) Size() int64 { return x.baseSize + int64(len(x.tail)) }

// WriteTo copies base to w, and what was added behind it. It returns [ErrBase],
// before any of that is written, if base is no longer the file that was extended.
func (x *Extended) WriteTo(ctx context.Context, w io.Writer, base io.ReaderAt) (int64, error) {
	return writeWithTail(ctx, w, base, x.baseSize, x.baseSHA256, x.tail)
}

// Extend adds time-stamps and evidence to a signed file, so that its
// signatures can be verified for longer (EN 319 142-1 §6.3). Signatures
// themselves are not touched: what is missing of LevelBT is a document
// time-stamp. Every signature of the file must hold.
//
// Errors: [*RefusedError]; [*EvidenceError]; [ErrTimestamp]; [ErrOptions];
// those of the time-stamper; ctx's; those of base.
func Extend(ctx context.Context, base io.ReaderAt, size int64, o ExtendOptions) (*Extended, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	v, err := examine(ctx, base, size, &o)
	if err != nil {
		return nil, err
	}
	taken := v.taken
	if taken == nil {
		if taken, err = danglingOf(ctx, v.f); err != nil {
			return nil, refusal(err)
		}
	}
	e := &extender{o: o, base: base, baseSize: size, file: v.f, state: v.state, taken: taken, have: v.Store, intermediates: v.o.Intermediates}
	out := &Extended{Requested: o.Level, Achieved: o.Level, baseSize: size}
	v.state.Sum(out.baseSHA256[:0])
	wants, unstamped, err := v.wants(o.Level)
	if err != nil {
		return nil, err
	}
	if len(wants) == 0 && !unstamped && o.Level < LevelBLTA {
		return nil, refuse(CodeReached, "every signature has level %v or more", o.Level)
	}
	if err := e.run(ctx, wants, unstamped); err != nil {
		return nil, err
	}
	out.tail, out.Timestamp = e.tail, e.stamped
	return out, nil
}

// examine verifies the file, fetching issuers that are missing.
func examine(ctx context.Context, base io.ReaderAt, size int64, o *ExtendOptions) (*verifier, error) {
	extra := slices.Clone(o.Intermediates)
	for try := 0; ; try++ {
		v := newVerifier(VerifyOptions{Roots: o.Roots, TimestampRoots: o.TimestampRoots, Intermediates: extra, At: o.Now(), Password: o.Password, Limits: o.Limits})
		v.extends = true
		if err := v.run(ctx, base, size); err != nil {
			return nil, err
		}
		found, err := v.missingIssuers(ctx, o)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 || try > 0 {
			return v, nil
		}
		extra = append(extra, found...)
	}
}

// missingIssuers asks for the paths of signers and authorities that lead to no root.
func (v *verifier) missingIssuers(ctx context.Context, o *ExtendOptions) ([]*x509.Certificate, error) {
	if o.Evidence == nil {
		return nil, nil
	}
	var found []*x509.Certificate
	for _, c := range v.sigs {
		if c.SubIndication != SubNoChain || c.sd == nil {
			continue
		}
		cert, err := c.sd.SignerCertificate()
		if err != nil {
			continue
		}
		roots := o.Roots
		if c.token != nil {
			roots = o.TimestampRoots
		}
		chains, err := o.Evidence.Path(ctx, cert, append(c.sd.Certificates(), v.Store.Certificates()...), roots, v.Known(c.Revision))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		for _, ch := range chains {
			found = append(found, ch[1:]...)
		}
	}
	return found, nil
}

// wants says what the signatures lack of a level: evidence (that of a time-stamp
// to come for the zero time), and whether a
// document time-stamp is to prove their time.
func (v *verifier) wants(level Level) (list []judge.Want, unstamped bool, err error) {
	signatures := 0
	for _, c := range v.sigs {
		if c.token != nil {
			continue
		}
		signatures++
		if err := c.extendable(level); err != nil {
			return nil, false, err
		}
		if c.ProvenTime.IsZero() {
			unstamped = true
		}
		if level < LevelBLT || Level(c.Level) >= LevelBLT {
			continue
		}
		list = append(list, judge.Want{Chain: c.Chain, At: c.ProvenTime})
		if c.By.Chain != nil && !(c.By.Sound.Proven && v.HoldsPath(c.By.Chain)) {
			list = append(list, judge.Want{Chain: c.By.Chain, At: c.By.Time})
		}
	}
	if signatures == 0 {
		return nil, false, refuse(CodeNotSigned, "the file has no signature")
	}
	if level >= LevelBLTA {
		if newest, ok := v.Newest(); ok {
			list = append(list, judge.Want{Chain: newest.Chain, At: newest.Time})
		}
	}
	return list, unstamped, nil
}

// extendable refuses a signature that evidence cannot help.
func (c *candidate) extendable(level Level) error {
	switch {
	case c.rep.Verdict == Invalid, c.rep.Verdict == ModifiedForbidden:
		return refuse(CodeBroken, "signature in revision %d: %s %s %s", c.rep.Revision, c.rep.Verdict, c.SubIndication, c.Detail)
	case level < LevelBLT || c.Indication == TotalPassed:
		return nil
	case c.SubIndication == SubNoChain:
		cert, _ := c.sd.SignerCertificate()
		return &EvidenceError{Reason: NoPath, Certificate: cert, Detail: c.Detail}
	default:
		return refuse(CodeUnproven, "signature in revision %d: %s %s", c.rep.Revision, c.SubIndication, c.Detail)
	}
}

// Extend goes on from level B-T to the one that o asks for: the base is not
// read again but for single objects. It returns a new value; s stays what it is.
// Errors are those of [Extend].
func (o *Signed) Extend(ctx context.Context, base io.ReaderAt, x ExtendOptions) (*Signed, error) {
	if err := x.check(); err != nil {
		return nil, err
	}
	s := o.session
	state, err := s.state(ctx, base)
	if err != nil {
		return nil, err
	}
	_, _ = state.Write(o.tail)
	e := &extender{o: x, base: base, baseSize: s.baseSize, tail: slices.Clone(o.tail), file: s.file, state: state, taken: s.taken, intermediates: x.Intermediates}
	if e.taken == nil {
		f, err := e.open()
		if err != nil {
			return nil, err
		}
		if e.taken, err = danglingOf(ctx, f); err != nil {
			return nil, refusal(err)
		}
	}
	var wants []judge.Want
	if x.Level >= LevelBLT {
		signer := judge.Want{}
		if o.token != nil {
			w, err := e.authority(ctx, o.token)
			if err != nil {
				return nil, err
			}
			wants, signer.At = append(wants, w), w.At
		}
		at := signer.At
		if at.IsZero() {
			at = x.Now()
		}
		if signer.Chain, err = e.path(ctx, o.chain[0], o.chain[1:], x.Roots, at); err != nil {
			return nil, err
		}
		wants = append(wants, signer)
	}
	if err := e.run(ctx, wants, o.token == nil); err != nil {
		return nil, err
	}
	out := *o
	out.Requested, out.Achieved, out.tail = max(o.Requested, x.Level), max(o.Achieved, x.Level), e.tail
	return &out, nil
}
