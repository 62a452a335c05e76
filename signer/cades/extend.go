package cades

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/tsp"
	"oruro.gob.bo/suti/signer/internal/judge"
)

// ExtendOptions says where the evidence of level B-LT comes from. All but
// Intermediates and RequireFresh are required.
type ExtendOptions struct {
	// Roots are the trust anchors of signers, TimestampRoots those of
	// time-stamping authorities; Intermediates help to build paths.
	Roots, TimestampRoots *x509.CertPool
	Intermediates         []*x509.Certificate
	// Evidence gets revocation evidence, after the time-stamp it is about.
	Evidence EvidenceSource
	// RequireFresh also refuses evidence that tells of a moment before the
	// signature, as a list that was issued earlier and is still current does.
	RequireFresh bool
	// Now is the clock.
	Now func() time.Time
}

func (o *ExtendOptions) check() error {
	if o.Now == nil || o.Roots == nil || o.TimestampRoots == nil || o.Evidence == nil {
		return fmt.Errorf("%w: level %v needs a clock, trust anchors and a source of evidence", ErrOptions, LevelBLT)
	}
	return nil
}

// Extend goes on from level B-T to B-LT: it gathers evidence about the signer
// and the time-stamping authority and puts it into SignedData. What is lacking
// is an error. It returns a new value; s stays what it is.
//
// Errors: [ErrNoTimestamp]; [*EvidenceError]; [*RefusedError]; [ErrOptions]; ctx's.
func (o *Signed) Extend(ctx context.Context, x ExtendOptions) (*Signed, error) {
	if err := x.check(); err != nil {
		return nil, err
	}
	if o.token == nil {
		return nil, ErrNoTimestamp
	}
	stamp, err := judge.AuthorityOf(ctx, x.Evidence, o.token, x.Intermediates, x.TimestampRoots)
	if err != nil {
		return nil, err
	}
	signer := judge.Want{At: stamp.At}
	if signer.Chain, err = judge.PathOf(ctx, x.Evidence, o.chain[0], slices.Concat(o.chain[1:], x.Intermediates), x.Roots, stamp.At); err != nil {
		return nil, err
	}
	wants := []judge.Want{stamp, signer}
	chains, since := judge.Chains(wants)
	ev, err := x.Evidence.Gather(ctx, chains, since)
	if err != nil {
		return nil, err
	}
	out := *o
	out.own, err = cms.AddEvidence(o.own, cms.Evidence{
		Certificates: slices.Concat(append(slices.Clone(chains), ev.Certificates)...), CRLs: ev.CRLs, OCSPResponses: ev.OCSPs,
	})
	if errors.Is(err, cms.ErrTooLarge) || errors.Is(err, cms.ErrTooMany) {
		return nil, &RefusedError{Code: CodeLimit, Detail: "evidence: " + err.Error(), Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("cades: evidence: %w", err)
	}
	sd, err := cms.Parse(out.own)
	if err != nil {
		return nil, fmt.Errorf("cades: evidence: %w", err)
	}
	j := judge.New(judge.Options{At: x.Now(), Intermediates: x.Intermediates})
	gather(j, sd)
	if err := j.Enough(ctx, wants, x.RequireFresh); err != nil {
		return nil, err
	}
	out.Requested, out.Achieved = max(o.Requested, LevelBLT), LevelBLT
	return &out, out.join()
}

// gather gives the judge the evidence in a signature and in its time-stamps:
// nothing proves when it existed.
func gather(j *judge.Judge, sd *cms.SignedData) {
	j.Store.AddSignedData(sd, beside)
	for _, raw := range sd.TimestampTokens() {
		if t, err := tsp.ParseToken(raw); err == nil {
			j.Store.AddSignedData(t.SignedData, beside)
		}
	}
}

// beside is the revision of what stands beside a signature.
const beside = 1
