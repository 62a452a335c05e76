package judge

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/tsp"
)

// maxAhead is how far the clocks of others may be ahead of the time of verification.
const maxAhead = 5 * time.Minute

// Options says what to judge against. At is required; without Roots no signer
// is trusted.
type Options struct {
	// Roots are the trust anchors of signers, TimestampRoots those of
	// time-stamping authorities.
	Roots, TimestampRoots *x509.CertPool
	// Intermediates are further certificates to build paths with.
	Intermediates []*x509.Certificate
	// At is the time of verification.
	At time.Time
	// Revocation tells the state of certificates, beside the evidence in the
	// file; nil asks nobody.
	Revocation Revocation
	// Constraints are held beside the rules of this package; nil means
	// [DefaultConstraints].
	Constraints *Constraints
}

// Judge decides about the signatures of one file, newest first, so that
// document time-stamps can prove when older ones existed. It is not safe for
// concurrent use.
type Judge struct {
	Options
	// Store is the evidence in the file; it is to be filled before judging.
	Store Store
	// Warnings concern the whole file.
	Warnings []Warning

	proofs  []Proof
	factsOf map[string][]fact               // what the store says of certificates
	work    int                             // done with it, see maxEvidenceWork
	paths   map[pathKey][]*x509.Certificate // of signers, as found
}

// pathKey is a certificate and a time at which its path is valid.
type pathKey struct {
	cert [sha256.Size]byte
	at   int64 // Unix nanoseconds
}

// New returns a judge with an empty store.
func New(o Options) *Judge {
	if o.Constraints == nil {
		o.Constraints = DefaultConstraints()
	}
	return &Judge{Options: o, factsOf: map[string][]fact{}, paths: map[pathKey][]*x509.Certificate{}}
}

// Warn adds a warning about the whole file.
func (j *Judge) Warn(code, format string, args ...any) {
	j.Warnings = append(j.Warnings, Warning{Code: code, Detail: fmt.Sprintf(format, args...)})
}

// Proof is a trusted time-stamp: everything before its revision existed at its time.
type Proof struct {
	Revision int
	Time     time.Time
	Chain    []*x509.Certificate // of the authority
	Sound    Soundness
}

// Newest returns the proof of the last revision, false if there is none.
func (j *Judge) Newest() (newest Proof, ok bool) {
	for _, p := range j.proofs {
		if !ok || p.Revision > newest.Revision {
			newest, ok = p, true
		}
	}
	return newest, ok
}

// Known returns the time until which things in a revision must have stayed
// sound: that of the first document time-stamp behind it, else now.
func (j *Judge) Known(revision int) time.Time {
	t := j.At
	for _, p := range j.proofs {
		if p.Revision > revision && p.Time.Before(t) {
			t = p.Time
		}
	}
	return t
}

// Stamp decides about a time-stamp over a whole revision, of which sum is the
// digest by the token's own algorithm. The error is ctx's.
func (j *Judge) Stamp(ctx context.Context, c *Case, t *tsp.Token, sum []byte) error {
	at := j.Known(c.Revision)
	info := t.Info
	c.ClaimedTime = info.GenTime
	ver, err := j.verifyToken(t, sum)
	if err != nil {
		if errors.Is(err, tsp.ErrUntrusted) {
			c.Intact = true
			c.Fail(IndIndeterm, SubNoChain, "time-stamp: %v", err)
			return nil
		}
		if errors.Is(err, tsp.ErrImprint) {
			c.Fail(TotalFailed, SubHash, "time-stamp: %v", err)
			return nil
		}
		c.FailCMS(err)
		return nil
	}
	c.Intact = true
	signer := summary(ver.Certificate)
	c.Signer = &signer
	chain := soundChain(ver.Chains, at)
	if chain == nil {
		c.Fail(IndIndeterm, SubOutOfBounds, "the authority's certificates have expired and nothing proves the time-stamp older")
		return nil
	}
	c.setChain(chain)
	j.requireAlgorithms(c, t.SignedData.Signer.SignatureAlgorithm.String(), chain, at)
	// A token is proven to have existed by the next document time-stamp, not by its own time.
	s, err := j.checkRevocation(ctx, c, chain, at, info.GenTime, at)
	if err != nil || c.Failed() {
		return err
	}
	c.ProvenTime = info.GenTime
	j.proofs = append(j.proofs, Proof{Revision: c.Revision, Time: info.GenTime, Chain: chain, Sound: s})
	return nil
}

// verifyToken verifies a token over a digest made with its own algorithm.
func (j *Judge) verifyToken(t *tsp.Token, sum []byte) (*tsp.Verified, error) {
	roots := j.TimestampRoots
	if roots == nil {
		roots = x509.NewCertPool()
	}
	return t.Verify(tsp.VerifyOptions{
		Imprint: tsp.Imprint{Hash: t.Info.Imprint.Hash, Digest: sum}, Roots: roots,
		Certificates: slices.Concat(j.Intermediates, j.Store.certs), Now: j.At, MaxAhead: maxAhead,
	})
}

// soundChain returns a path whose certificates are all valid at that time.
func soundChain(chains [][]*x509.Certificate, at time.Time) []*x509.Certificate {
	for _, ch := range chains {
		ok := true
		for _, c := range ch {
			ok = ok && !at.After(c.NotAfter)
		}
		if ok {
			return ch
		}
	}
	return nil
}

// Signed is a signature whose value has been verified.
type Signed struct {
	// Certificate is the signer's, Certificates stand beside it.
	Certificate  *x509.Certificate
	Certificates []*x509.Certificate
	// Algorithm is the name of the signature's algorithm in [Constraints]; empty
	// if the format has none of these, and judges its algorithms itself.
	Algorithm string
	// Value is the signature value, Tokens are signature-time-stamps over it.
	Value  []byte
	Tokens [][]byte
	// Level is the one that the form has: LevelNone or LevelBB.
	Level Level
}

// Signature decides about a signature whose value has been verified. The error
// is ctx's.
func (j *Judge) Signature(ctx context.Context, c *Case, sig Signed) error {
	cert, level := sig.Certificate, sig.Level
	c.Intact = true
	signer := summary(cert)
	c.Signer = &signer
	best := j.Known(c.Revision)
	proven := best.Before(j.At)
	by := j.proofOf(c.Revision)
	for _, raw := range sig.Tokens {
		p, err := j.signatureStamp(ctx, c, sig.Value, raw)
		if err != nil {
			return err
		}
		if p != nil && !p.Time.After(best) {
			best, proven, by = p.Time, true, *p
		}
	}
	if proven {
		c.By = by
		c.ProvenTime = best
		if level == LevelBB {
			level = LevelBT
		}
	}
	c.Level = level
	why := j.Constraints.Signer.unfit(cert)
	c.outcome(ConstraintCertificate, "", true, why == "", SubChainConstr)
	if why != "" {
		c.Fail(IndIndeterm, SubChainConstr, "signer: %s", why)
	}
	chain := j.path(c, sig, best, proven)
	if chain == nil {
		return nil
	}
	c.setChain(chain)
	j.requireAlgorithms(c, sig.Algorithm, chain, best)
	s, err := j.checkRevocation(ctx, c, chain, best, best, j.Known(c.Revision))
	if err == nil && !c.Failed() && proven && level == LevelBT {
		c.Level = j.raise(c, s, by)
		if s.Stale && c.Level > LevelBT {
			c.Warn(WarnStale, "revocation evidence tells of a moment before the signature")
		}
	}
	j.require(c, s, proven)
	return err
}

// FailCMS maps a cause of refusal by internal/cms to an indication.
func (c *Case) FailCMS(err error) {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	switch {
	case is(cms.ErrMessageDigest):
		c.Fail(TotalFailed, SubHash, "%v", err)
	case is(cms.ErrSignature, cms.ErrSignatureMalformed):
		c.Fail(TotalFailed, SubCrypto, "%v", err)
	case is(cms.ErrSignerCertificate, cms.ErrSignerAmbiguous, cms.ErrESSMismatch, cms.ErrCertificate):
		c.Fail(IndIndeterm, SubNoSigner, "%v", err)
	case is(cms.ErrWeakAlgorithm, cms.ErrAlgorithm):
		c.Fail(IndIndeterm, SubCryptoConstr, "%v", err)
	case is(cms.ErrAttributeMissing, cms.ErrAttributeForbidden, cms.ErrAttributeUnknown, cms.ErrSignedAttrsMissing):
		c.Fail(IndIndeterm, SubConstraints, "%v", err)
	default:
		c.Fail(TotalFailed, SubFormat, "%v", err)
	}
}

// proofOf returns the first document time-stamp behind a revision.
func (j *Judge) proofOf(revision int) (first Proof) {
	for _, p := range j.proofs {
		if p.Revision > revision && (first.Time.IsZero() || p.Time.Before(first.Time)) {
			first = p
		}
	}
	return first
}

// signatureStamp verifies a signature-time-stamp and returns what it proves,
// nil if nothing. The error is ctx's.
func (j *Judge) signatureStamp(ctx context.Context, c *Case, value, raw []byte) (*Proof, error) {
	rep, used := TimestampReport{}, TimestampMaterial{Token: raw}
	defer func() {
		c.Timestamps = append(c.Timestamps, rep)
		c.Material.Timestamps = append(c.Material.Timestamps, used)
	}()
	bad := func(err error) (*Proof, error) {
		rep.Detail = err.Error()
		c.Warn(WarnTimestamp, "%v", err)
		return nil, nil
	}
	t, err := tsp.ParseToken(raw)
	if err != nil {
		return bad(err)
	}
	rep.Time = t.Info.GenTime
	h := t.Info.Imprint.Hash.New()
	_, _ = h.Write(value)
	ver, err := j.verifyToken(t, h.Sum(nil))
	if err != nil {
		return bad(err)
	}
	rep.Authority = ver.Certificate.Subject.String()
	for _, x := range t.SignedData.Certificates() {
		j.Store.AddCertificate(x)
	}
	known := j.Known(c.Revision)
	chain := soundChain(ver.Chains, known)
	if chain == nil {
		return bad(errors.New("the authority's certificates have expired"))
	}
	used.setChain(chain)
	s, err := j.Sound(ctx, chain, known, t.Info.GenTime, known)
	used.Revocation = s.used
	switch {
	case err != nil:
		return nil, err
	case s.Revoked >= 0:
		return bad(errors.New("a certificate of the authority is revoked, and nothing proves the time-stamp older"))
	case s.Unknown >= 0:
		return bad(errors.New("whether the authority's certificates are revoked is not known"))
	}
	if why, _ := j.Constraints.weak(t.SignedData.Signer.SignatureAlgorithm.String(), chain, known); why != "" {
		return bad(fmt.Errorf("%s is not accepted at %v", why, known))
	}
	rep.Trusted = true
	return &Proof{Revision: c.Revision, Time: t.Info.GenTime, Chain: chain, Sound: s}, nil
}

// path builds the path from the signer to a root, valid at the best time.
func (j *Judge) path(c *Case, sig Signed, at time.Time, proven bool) []*x509.Certificate {
	cert := sig.Certificate
	if j.Roots == nil {
		c.Fail(IndIndeterm, SubNoChain, "no roots given")
		return nil
	}
	// A path that has been found stays one; the same person may have signed often.
	key := pathKey{sha256.Sum256(cert.Raw), at.UnixNano()}
	if chain := j.paths[key]; chain != nil {
		return chain
	}
	pool := x509.NewCertPool()
	for _, x := range sig.Certificates {
		pool.AddCert(x)
	}
	for _, x := range slices.Concat(j.Intermediates, j.Store.certs) {
		pool.AddCert(x)
	}
	chains, err := cert.Verify(x509.VerifyOptions{
		Roots: j.Roots, Intermediates: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err == nil {
		j.paths[key] = chains[0]
		return chains[0]
	}
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && at.Before(cert.NotBefore):
		c.Fail(TotalFailed, SubNotYetValid, "the certificate was not valid yet at %v", at)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && !proven:
		c.Fail(IndIndeterm, SubOutOfBounds, "a certificate has expired and nothing proves the signature older")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		c.Fail(IndIndeterm, SubOutOfBounds, "a certificate had expired at the time proven")
	case errors.As(err, &invalid) && invalid.Reason != x509.NotAuthorizedToSign:
		c.Fail(IndIndeterm, SubChainConstr, "%v", err)
	case errors.As(err, &unknown), errors.As(err, &invalid):
		c.Fail(IndIndeterm, SubNoChain, "%v", err)
	default:
		c.Fail(IndIndeterm, SubChainGeneral, "%v", err)
	}
	return nil
}

// checkRevocation looks at every certificate of the path but the root: what
// evidence in the file and the caller's source know. need is when the signature
// is proven to have existed, reach and known as in [Judge.Sound].
func (j *Judge) checkRevocation(ctx context.Context, c *Case, chain []*x509.Certificate, need, reach, known time.Time) (Soundness, error) {
	s, err := j.Sound(ctx, chain, need, reach, known)
	if err != nil {
		return s, err
	}
	c.Material.Revocation = s.used
	c.Revocation = "good"
	switch {
	case s.Revoked > 0:
		c.Revocation = "revoked"
		c.Fail(IndIndeterm, SubRevokedCANoPOE, "certificate %d of the path was revoked at %v", s.Revoked, s.RevokedAt)
	case s.Revoked == 0 && !c.IsStamp && need.Before(j.At):
		c.Revocation = "revoked"
		c.Fail(TotalFailed, SubRevoked, "certificate was revoked at %v, before %v", s.RevokedAt, need)
	case s.Revoked == 0:
		c.Revocation = "revoked"
		c.Fail(IndIndeterm, SubRevokedNoPOE, "certificate was revoked at %v", s.RevokedAt)
	case s.Unknown >= 0:
		c.Revocation = "unknown"
		c.Fail(IndIndeterm, SubTryLater, "revocation of certificate %d of the path is not known", s.Unknown)
	case s.Unchecked >= 0:
		c.Revocation = "not-checked"
		c.Warn(WarnRevocation, "revocation was not checked")
	}
	return s, nil
}
