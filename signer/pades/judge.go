package pades

import (
	"context"
	"crypto/x509"
	"errors"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/internal/judge"
)

// decide judges the signatures by themselves, newest first, so that document
// time-stamps can prove when older ones existed.
func (v *verifier) decide(ctx context.Context) error {
	for i := len(v.sigs) - 1; i >= 0; i-- {
		c := v.sigs[i]
		if c.Failed() {
			continue
		}
		var err error
		if c.token != nil {
			err = v.Stamp(ctx, &c.Case, c.token, c.sum)
		} else if cert, level := v.verifyValue(c); cert != nil {
			err = v.Signature(ctx, &c.Case, judge.Signed{
				Certificate: cert, Certificates: c.sd.Certificates(), Algorithm: c.rep.Algorithm,
				Value: c.sd.Signer.Signature, Tokens: c.sd.TimestampTokens(), Level: judge.Level(level),
			})
		}
		if err != nil {
			return err
		}
		c.Pass()
	}
	return nil
}

// verifyValue verifies the CMS over the byte range and returns the signer's
// certificate and the level that its form has, or nil after a failure.
func (v *verifier) verifyValue(c *candidate) (*x509.Certificate, Level) {
	o := cms.VerifyOptions{Digest: c.sum, Profile: cms.ProfilePAdES, Certificates: v.Intermediates}
	if c.rep.SubFilter == filterLegacy {
		o.Profile = cms.ProfileLegacy
		c.Warn(WarnNotPAdES, "older kind of signature, %s", filterLegacy)
	}
	cert, err := c.sd.Verify(o)
	if err == nil {
		if o.Profile == cms.ProfileLegacy || c.sd.WasBER || c.dict.Value.Has("Cert") || c.ClaimedTime.IsZero() {
			return cert, LevelNone
		}
		return cert, LevelBB
	}
	if o.Profile == cms.ProfilePAdES && (errors.Is(err, cms.ErrAttributeForbidden) || errors.Is(err, cms.ErrAttributeUnknown)) && len(c.sd.Signer.ESS)+len(c.sd.Signer.ESSv1) > 0 {
		o.Profile = cms.ProfileLegacy
		if cert, again := c.sd.Verify(o); again == nil {
			c.Warn(WarnNotPAdES, "%v", err)
			return cert, LevelNone
		}
	}
	c.FailCMS(err)
	return nil, LevelNone
}
