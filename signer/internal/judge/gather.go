package judge

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/tsp"
)

// ErrTimestamp: a token is not one over what it should stamp.
var ErrTimestamp = errors.New("signer: time-stamp token does not fit the signature")

// Want is a path about which evidence is wanted, for a time.
type Want struct {
	Chain []*x509.Certificate
	At    time.Time
}

// PathOf returns the path of a certificate to one of the roots, valid at a
// time, or an [*EvidenceError].
func PathOf(ctx context.Context, src EvidenceSource, cert *x509.Certificate, known []*x509.Certificate, roots *x509.CertPool, at time.Time) ([]*x509.Certificate, error) {
	chains, err := src.Path(ctx, cert, known, roots, at)
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 || len(chains[0]) == 0 {
		return nil, &EvidenceError{Reason: NoPath, Certificate: cert, Detail: "no path"}
	}
	return chains[0], nil
}

// AuthorityOf returns the path of the authority of a token that has been
// checked. Errors: [ErrTimestamp], [*EvidenceError].
func AuthorityOf(ctx context.Context, src EvidenceSource, token []byte, known []*x509.Certificate, roots *x509.CertPool) (Want, error) {
	t, err := tsp.ParseToken(token)
	if err != nil {
		return Want{}, fmt.Errorf("%w: %w", ErrTimestamp, err)
	}
	cert, err := t.SignedData.SignerCertificate(known...)
	if err != nil {
		return Want{}, fmt.Errorf("%w: %w", ErrTimestamp, err)
	}
	w := Want{At: t.Info.GenTime}
	w.Chain, err = PathOf(ctx, src, cert, slices.Concat(t.SignedData.Certificates(), known), roots, w.At)
	return w, err
}

// Enough returns an [*EvidenceError] unless the evidence in the store proves
// every path, as it will be judged later. requireFresh also refuses evidence
// that tells of a moment before the one wanted.
func (j *Judge) Enough(ctx context.Context, wants []Want, requireFresh bool) error {
	for _, w := range wants {
		s, err := j.Sound(ctx, w.Chain, w.At, w.At, j.At)
		switch {
		case err != nil:
			return err
		case s.Revoked >= 0:
			return &EvidenceError{Reason: RevokedFirst, Certificate: w.Chain[s.Revoked], Detail: fmt.Sprintf("revoked at %v, and what it signed is proven at %v", s.RevokedAt, w.At)}
		case !s.Proven:
			return &EvidenceError{Reason: NotProven, Certificate: w.Chain[s.Lacking[0]], Detail: fmt.Sprintf("the evidence does not show it good at %v", w.At)}
		case s.Stale && requireFresh:
			return &EvidenceError{Reason: NotFresh, Certificate: w.Chain[0], Detail: fmt.Sprintf("evidence about its path tells of a moment before %v", w.At)}
		}
	}
	return nil
}

// Chains returns the paths of wants, each once, and the latest of their times.
func Chains(wants []Want) (chains [][]*x509.Certificate, since time.Time) {
	for _, w := range wants {
		if w.At.After(since) {
			since = w.At
		}
		if !slices.ContainsFunc(chains, func(c []*x509.Certificate) bool { return c[0].Equal(w.Chain[0]) }) {
			chains = append(chains, w.Chain)
		}
	}
	return chains, since
}

// StampInput returns what a time-stamp over a signature value must stamp: its
// SHA-256 digest.
func StampInput(value []byte) (crypto.Hash, []byte) {
	h := crypto.SHA256.New()
	_, _ = h.Write(value)
	return crypto.SHA256, h.Sum(nil)
}

// CheckToken checks that a token stamps the signature value and is itself
// correctly signed. Whether its authority is trusted is for verification.
// Every error is [ErrTimestamp].
func CheckToken(token, value []byte) error {
	_, err := CheckTokenOver(token, func(h crypto.Hash) []byte {
		d := h.New()
		_, _ = d.Write(value)
		return d.Sum(nil)
	})
	return err
}

// CheckTokenOver is [CheckToken] over what has the digest sum, nil if it has
// none of an algorithm.
func CheckTokenOver(token []byte, sum func(crypto.Hash) []byte) (*tsp.Token, error) {
	t, err := tsp.ParseToken(token)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTimestamp, err)
	}
	h := t.Info.Imprint.Hash
	if !h.Available() {
		return nil, fmt.Errorf("%w: digest algorithm", ErrTimestamp)
	}
	if !t.Info.Imprint.Equal(tsp.Imprint{Hash: h, Digest: sum(h)}) {
		return nil, fmt.Errorf("%w: %w", ErrTimestamp, tsp.ErrImprint)
	}
	cert, err := t.SignedData.Verify(cms.VerifyOptions{Profile: cms.ProfileTimestamp})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTimestamp, err)
	}
	if err := tsp.CheckCertificate(cert); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTimestamp, err)
	}
	return t, nil
}
