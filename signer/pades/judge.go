package pades

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/tsp"
)

// maxAhead is how far the clocks of others may be ahead of the time of verification.
const maxAhead = 5 * time.Minute

// proof is a trusted document time-stamp: everything before its revision
// existed at its time.
type proof struct {
	revision int
	time     time.Time
	chain    []*x509.Certificate // of the authority
	sound    soundness
}

// judge decides about the signatures by themselves, newest first, so that
// document time-stamps can prove when older ones existed.
func (v *verifier) judge(ctx context.Context) error {
	for i := len(v.sigs) - 1; i >= 0; i-- {
		c := v.sigs[i]
		if c.failed() {
			continue
		}
		var err error
		if c.token != nil {
			err = v.judgeStamp(ctx, c)
		} else {
			err = v.judgeSignature(ctx, c)
		}
		if err != nil {
			return err
		}
		if !c.failed() {
			c.rep.Indication = TotalPassed
		}
	}
	return nil
}

// known returns the time until which things in a revision must have stayed
// sound: that of the first document time-stamp behind it, else now.
func (v *verifier) known(revision int) time.Time {
	t := v.o.At
	for _, p := range v.proofs {
		if p.revision > revision && p.time.Before(t) {
			t = p.time
		}
	}
	return t
}

func (v *verifier) judgeStamp(ctx context.Context, c *candidate) error {
	at := v.known(c.revision)
	info := c.token.Info
	c.rep.ClaimedTime = info.GenTime
	ver, err := v.verifyToken(c.token, c.sum)
	if err != nil {
		if errors.Is(err, tsp.ErrUntrusted) {
			c.intact = true
			c.fail(IndIndeterm, SubNoChain, "time-stamp: %v", err)
			return nil
		}
		if errors.Is(err, tsp.ErrImprint) {
			c.fail(TotalFailed, SubHash, "time-stamp: %v", err)
			return nil
		}
		c.failCMS(err)
		return nil
	}
	c.intact = true
	signer := summary(ver.Certificate)
	c.rep.Signer = &signer
	chain := soundChain(ver.Chains, at)
	if chain == nil {
		c.fail(IndIndeterm, SubOutOfBounds, "the authority's certificates have expired and nothing proves the time-stamp older")
		return nil
	}
	c.setChain(chain)
	// A token is proven to have existed by the next document time-stamp, not by its own time.
	s, err := v.checkRevocation(ctx, c, chain, at, info.GenTime, at)
	if err != nil || c.failed() {
		return err
	}
	c.rep.ProvenTime = info.GenTime
	v.proofs = append(v.proofs, proof{revision: c.revision, time: info.GenTime, chain: chain, sound: s})
	return nil
}

// verifyToken verifies a token over a digest made with its own algorithm.
func (v *verifier) verifyToken(t *tsp.Token, sum []byte) (*tsp.Verified, error) {
	roots := v.o.TimestampRoots
	if roots == nil {
		roots = x509.NewCertPool()
	}
	return t.Verify(tsp.VerifyOptions{
		Imprint: tsp.Imprint{Hash: t.Info.Imprint.Hash, Digest: sum}, Roots: roots,
		Certificates: slices.Concat(v.o.Intermediates, v.embedded.certs), Now: v.o.At, MaxAhead: maxAhead,
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

func (v *verifier) judgeSignature(ctx context.Context, c *candidate) error {
	cert, level := v.verifyValue(c)
	if cert == nil {
		return nil
	}
	c.intact = true
	signer := summary(cert)
	c.rep.Signer = &signer
	best := v.known(c.revision)
	proven := best.Before(v.o.At)
	by := v.proofOf(c.revision)
	for _, raw := range c.sd.TimestampTokens() {
		p, err := v.signatureStamp(ctx, c, raw)
		if err != nil {
			return err
		}
		if p != nil && !p.time.After(best) {
			best, proven, by = p.time, true, *p
		}
	}
	if proven {
		c.by = by
		c.rep.ProvenTime = best
		if level == LevelBB {
			level = LevelBT
		}
	}
	c.rep.Level = level
	if why := unfitForSigning(cert); why != "" {
		c.fail(IndIndeterm, SubChainConstr, "signer: %s", why)
	}
	chain := v.path(c, cert, best, proven)
	if chain == nil {
		return nil
	}
	c.setChain(chain)
	s, err := v.checkRevocation(ctx, c, chain, best, best, v.known(c.revision))
	if err == nil && !c.failed() && proven && level == LevelBT {
		c.rep.Level = v.raise(c, s, by)
		if s.stale && c.rep.Level > LevelBT {
			c.warn(WarnStale, "revocation evidence tells of a moment before the signature")
		}
	}
	return err
}

func (c *candidate) setChain(chain []*x509.Certificate) {
	c.rep.Trusted, c.chain = true, chain
	c.rep.Chain = nil
	for _, x := range chain {
		c.rep.Chain = append(c.rep.Chain, summary(x))
	}
}

// verifyValue verifies the CMS over the byte range and returns the signer's
// certificate and the level that its form has, or nil after a failure.
func (v *verifier) verifyValue(c *candidate) (*x509.Certificate, Level) {
	o := cms.VerifyOptions{Digest: c.sum, Profile: cms.ProfilePAdES, Certificates: v.o.Intermediates}
	if c.rep.SubFilter == filterLegacy {
		o.Profile = cms.ProfileLegacy
		c.warn(WarnNotPAdES, "older kind of signature, %s", filterLegacy)
	}
	cert, err := c.sd.Verify(o)
	if err == nil {
		if o.Profile == cms.ProfileLegacy || c.sd.WasBER || c.dict.Value.Has("Cert") || c.rep.ClaimedTime.IsZero() {
			return cert, LevelNone
		}
		return cert, LevelBB
	}
	if o.Profile == cms.ProfilePAdES && (errors.Is(err, cms.ErrAttributeForbidden) || errors.Is(err, cms.ErrAttributeUnknown)) && len(c.sd.Signer.ESS)+len(c.sd.Signer.ESSv1) > 0 {
		o.Profile = cms.ProfileLegacy
		if cert, again := c.sd.Verify(o); again == nil {
			c.warn(WarnNotPAdES, "%v", err)
			return cert, LevelNone
		}
	}
	c.failCMS(err)
	return nil, LevelNone
}

// failCMS maps a cause of refusal by internal/cms to an indication.
func (c *candidate) failCMS(err error) {
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
		c.fail(TotalFailed, SubHash, "%v", err)
	case is(cms.ErrSignature, cms.ErrSignatureMalformed):
		c.fail(TotalFailed, SubCrypto, "%v", err)
	case is(cms.ErrSignerCertificate, cms.ErrSignerAmbiguous, cms.ErrESSMismatch, cms.ErrCertificate):
		c.fail(IndIndeterm, SubNoSigner, "%v", err)
	case is(cms.ErrWeakAlgorithm, cms.ErrAlgorithm):
		c.fail(IndIndeterm, SubCryptoConstr, "%v", err)
	case is(cms.ErrAttributeMissing, cms.ErrAttributeForbidden, cms.ErrAttributeUnknown, cms.ErrSignedAttrsMissing):
		c.fail(IndIndeterm, SubConstraints, "%v", err)
	default:
		c.fail(TotalFailed, SubFormat, "%v", err)
	}
}

// proofOf returns the first document time-stamp behind a revision.
func (v *verifier) proofOf(revision int) (first proof) {
	for _, p := range v.proofs {
		if p.revision > revision && (first.time.IsZero() || p.time.Before(first.time)) {
			first = p
		}
	}
	return first
}

// signatureStamp verifies a signature-time-stamp and returns what it proves,
// nil if nothing. The error is ctx's.
func (v *verifier) signatureStamp(ctx context.Context, c *candidate, raw []byte) (*proof, error) {
	rep := TimestampReport{}
	defer func() { c.rep.Timestamps = append(c.rep.Timestamps, rep) }()
	bad := func(err error) (*proof, error) {
		rep.Detail = err.Error()
		c.warn(WarnTimestamp, "%v", err)
		return nil, nil
	}
	t, err := tsp.ParseToken(raw)
	if err != nil {
		return bad(err)
	}
	rep.Time = t.Info.GenTime
	h := t.Info.Imprint.Hash.New()
	_, _ = h.Write(c.sd.Signer.Signature)
	ver, err := v.verifyToken(t, h.Sum(nil))
	if err != nil {
		return bad(err)
	}
	rep.Authority = ver.Certificate.Subject.String()
	for _, x := range t.SignedData.Certificates() {
		v.embedded.addCert(x)
	}
	known := v.known(c.revision)
	chain := soundChain(ver.Chains, known)
	if chain == nil {
		return bad(errors.New("the authority's certificates have expired"))
	}
	s, err := v.sound(ctx, chain, known, t.Info.GenTime, known)
	switch {
	case err != nil:
		return nil, err
	case s.revoked >= 0:
		return bad(errors.New("a certificate of the authority is revoked, and nothing proves the time-stamp older"))
	case s.unknown >= 0:
		return bad(errors.New("whether the authority's certificates are revoked is not known"))
	}
	rep.Trusted = true
	return &proof{revision: c.revision, time: t.Info.GenTime, chain: chain, sound: s}, nil
}

// path builds the path from the signer to a root, valid at the best time.
func (v *verifier) path(c *candidate, cert *x509.Certificate, at time.Time, proven bool) []*x509.Certificate {
	if v.o.Roots == nil {
		c.fail(IndIndeterm, SubNoChain, "no roots given")
		return nil
	}
	pool := x509.NewCertPool()
	for _, x := range c.sd.Certificates() {
		pool.AddCert(x)
	}
	for _, x := range slices.Concat(v.o.Intermediates, v.embedded.certs) {
		pool.AddCert(x)
	}
	chains, err := cert.Verify(x509.VerifyOptions{
		Roots: v.o.Roots, Intermediates: pool, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err == nil {
		return chains[0]
	}
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && at.Before(cert.NotBefore):
		c.fail(TotalFailed, SubNotYetValid, "the certificate was not valid yet at %v", at)
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && !proven:
		c.fail(IndIndeterm, SubOutOfBounds, "a certificate has expired and nothing proves the signature older")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		c.fail(IndIndeterm, SubOutOfBounds, "a certificate had expired at the time proven")
	case errors.As(err, &invalid) && invalid.Reason != x509.NotAuthorizedToSign:
		c.fail(IndIndeterm, SubChainConstr, "%v", err)
	case errors.As(err, &unknown), errors.As(err, &invalid):
		c.fail(IndIndeterm, SubNoChain, "%v", err)
	default:
		c.fail(IndIndeterm, SubChainGeneral, "%v", err)
	}
	return nil
}

// checkRevocation looks at every certificate of the path but the root: what
// evidence in the file and the caller's source know. need is when the signature
// is proven to have existed, reach and known as in [verifier.sound].
func (v *verifier) checkRevocation(ctx context.Context, c *candidate, chain []*x509.Certificate, need, reach, known time.Time) (soundness, error) {
	s, err := v.sound(ctx, chain, need, reach, known)
	if err != nil {
		return s, err
	}
	c.rep.Revocation = "good"
	switch {
	case s.revoked > 0:
		c.rep.Revocation = "revoked"
		c.fail(IndIndeterm, SubRevokedCANoPOE, "certificate %d of the path was revoked at %v", s.revoked, s.revokedAt)
	case s.revoked == 0 && c.token == nil && need.Before(v.o.At):
		c.rep.Revocation = "revoked"
		c.fail(TotalFailed, SubRevoked, "certificate was revoked at %v, before %v", s.revokedAt, need)
	case s.revoked == 0:
		c.rep.Revocation = "revoked"
		c.fail(IndIndeterm, SubRevokedNoPOE, "certificate was revoked at %v", s.revokedAt)
	case s.unknown >= 0:
		c.rep.Revocation = "unknown"
		c.fail(IndIndeterm, SubTryLater, "revocation of certificate %d of the path is not known", s.unknown)
	case s.unchecked >= 0:
		c.rep.Revocation = "not-checked"
		c.warn(WarnRevocation, "revocation was not checked")
	}
	return s, nil
}
