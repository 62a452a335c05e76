package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"oruro.gob.bo/suti/signer/pades"
)

// Tiers of a signature: what it is by law, as far as the anchors tell.
const (
	tierUnlisted   = "unlisted" // the signer is known by an anchor given, its tier is not
	tierUnverified = "D"        // integrity only, the signer is not verified
	tierNone       = "none"     // the document is not what was signed
)

// Tier returns the tier of a signature: pades.TierNational, pades.TierInternal,
// "unlisted" if its anchor was given without a tier, "D" if only integrity is
// shown, "none" if not even that.
func Tier(s *pades.SignatureReport, anchors []Anchor) string {
	switch {
	case s.Verdict == pades.Invalid || s.Verdict == pades.ModifiedForbidden:
		return tierNone
	case !s.Trusted || s.Verdict == pades.Indeterminate:
		return tierUnverified
	case len(s.Chain) == 0:
		return tierUnlisted
	}
	use := pades.UseSignatures
	if s.Kind == kindStamp {
		use = pades.UseTimestamps
	}
	last := s.Chain[len(s.Chain)-1].SHA256
	for _, a := range anchors {
		if sum := sha256.Sum256(a.Certificate); hex.EncodeToString(sum[:]) == last && a.Tier != "" && (a.Uses == nil || slices.Contains(a.Uses, use)) {
			return a.Tier
		}
	}
	return tierUnlisted
}

func tierOf(in Input, s *pades.SignatureReport) string { return Tier(s, in.Anchors) }

// anchors returns the anchors, each once.
func (in Input) anchors() []Anchor {
	var out []Anchor
next:
	for _, a := range in.Anchors {
		for i, b := range out {
			if bytes.Equal(a.Certificate, b.Certificate) {
				if b.Tier == "" {
					out[i] = a
				}
				continue next
			}
		}
		out = append(out, a)
	}
	return out
}
