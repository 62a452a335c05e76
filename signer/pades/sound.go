package pades

import (
	"bytes"
	"context"
	"crypto/x509"
	"slices"
	"time"

	"oruro.gob.bo/suti/signer/internal/evidence/revocation"
)

// evidenceSkew is how far the clocks of authorities, responders and issuers may differ.
const evidenceSkew = time.Minute

// fact is what one embedded piece of evidence says of a certificate.
type fact struct {
	status   *revocation.Status
	revision int // see storeItem
}

// soundness is what is known of the revocation of a path (EN 319 102-1
// §5.6.2.2: from the anchor down, evidence counts only if it existed while its
// own signer was sound).
type soundness struct {
	revoked   int // index of a certificate revoked by then, -1 if none is
	revokedAt time.Time
	unknown   int // index of one of which the caller's source knows nothing, -1
	unchecked int // index of one of which nothing is known and nobody was asked, -1
	// proven says that evidence in the file alone shows all to have been good
	// at the time to be reached; revision is then what a document time-stamp
	// must end to cover that evidence.
	proven   bool
	revision int
	// lacking are the indices of certificates for which proven fails.
	lacking []int
	// stale says that evidence used tells of a moment before that time.
	stale bool
}

// sound looks at the certificates of a path from the top. need is the time at
// which what the path's key signed is proven to have existed; reach the time
// that embedded evidence must reach to be complete; known the time until which
// the caller's source is asked.
func (v *verifier) sound(ctx context.Context, chain []*x509.Certificate, need, reach, known time.Time) (soundness, error) {
	s := soundness{revoked: -1, unknown: -1, unchecked: -1, proven: true}
	bound := v.o.At // by when evidence must have existed
	for i := len(chain) - 2; i >= 0; i-- {
		cert, issuer := chain[i], chain[i+1]
		if revocation.NoRevocationAvailable(cert) {
			continue
		}
		good, when, revoked := v.embeddedState(cert, issuer, bound, reach)
		live := RevocationStatus{}
		if v.o.Revocation != nil {
			st, err := v.o.Revocation.Status(ctx, cert, issuer, known)
			if ctx.Err() != nil {
				return s, ctx.Err()
			}
			if err == nil {
				live = st
			}
		}
		if live.State == Revoked && (!revoked || live.RevokedAt.Before(when)) {
			revoked, when = true, live.RevokedAt
		}
		if revoked && !(when.After(need) && need.Before(v.o.At)) {
			if s.revoked < 0 || i > 0 {
				s.revoked, s.revokedAt = i, when
			}
			s.proven = false
			continue
		}
		if good == nil {
			s.proven = false
			s.lacking = append(s.lacking, i)
		} else {
			s.revision = max(s.revision, good.revision)
			s.stale = s.stale || good.status.ThisUpdate.Add(evidenceSkew).Before(reach)
		}
		switch {
		case live.State == RevocationGood || revoked:
		case good != nil && !v.until(good, cert).Add(evidenceSkew).Before(need):
		case v.o.Revocation != nil:
			s.unknown = i
		default:
			s.unchecked = i
		}
		if revoked && when.Before(bound) {
			bound = when
		}
		if good != nil && live.State != RevocationGood {
			bound = earlier(bound, v.existed(good.revision))
		}
	}
	return s, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// until returns up to when a good fact shows the certificate good: the moment
// at which it is proven to have existed if it was current then, else the
// moment it tells of.
func (v *verifier) until(f *fact, cert *x509.Certificate) time.Time {
	at := earlier(v.existed(f.revision), cert.NotAfter)
	if f.status.NextUpdate.IsZero() || f.status.NextUpdate.Before(at) || at.Before(f.status.ThisUpdate) {
		return f.status.ThisUpdate
	}
	return at
}

// embeddedState returns what the evidence in the file says of a certificate:
// the fact covered earliest that shows it good at the time to be reached, be
// it by telling that it was revoked later, and when it was revoked, if any says so.
func (v *verifier) embeddedState(cert, issuer *x509.Certificate, bound, reach time.Time) (good *fact, when time.Time, revoked bool) {
	bound = earlier(bound, issuer.NotAfter)
	hold := time.Time{} // until when a hold is known to have ended
	facts := v.facts(cert, issuer)
	for i := range facts {
		f := &facts[i]
		if !v.usable(f, issuer, bound) || f.status.State != revocation.Good || f.status.ThisUpdate.After(cert.NotAfter.Add(evidenceSkew)) {
			continue
		}
		if f.status.ThisUpdate.After(hold) {
			hold = f.status.ThisUpdate
		}
		if v.until(f, cert).Add(evidenceSkew).Before(reach) {
			continue
		}
		if good == nil || f.revision < good.revision {
			good = f
		}
	}
	for i := range facts {
		f := &facts[i]
		if f.status.State != revocation.Revoked || !v.usable(f, issuer, v.o.At) ||
			f.status.Reason == revocation.CertificateHold && hold.After(f.status.ThisUpdate) {
			continue
		}
		if !revoked || f.status.RevokedAt.Before(when) {
			revoked, when = true, f.status.RevokedAt
			if good == nil && when.After(reach) && v.usable(f, issuer, bound) {
				good = f
			}
		}
	}
	return good, when, revoked
}

// usable reports whether a fact is proven to have existed by a time, and while
// a delegated responder was sound.
func (v *verifier) usable(f *fact, issuer *x509.Certificate, bound time.Time) bool {
	ex := v.existed(f.revision)
	if ex.After(bound.Add(evidenceSkew)) || f.status.ThisUpdate.After(ex.Add(evidenceSkew)) {
		return false
	}
	r := f.status.Responder
	if r == nil {
		return true
	}
	if ex.After(r.NotAfter.Add(evidenceSkew)) {
		return false
	}
	if f.status.NoCheck || revocation.NoRevocationAvailable(r) {
		return true
	}
	known := false
	for _, l := range v.facts(r, issuer) {
		if l.status.Responder != nil || l.status.ProducedAt != (time.Time{}) {
			continue // responders do not vouch for themselves
		}
		if l.status.State == revocation.Revoked && !l.status.RevokedAt.After(ex) {
			return false
		}
		if le := v.existed(l.revision); !le.After(bound.Add(evidenceSkew)) && !l.status.ThisUpdate.After(le.Add(evidenceSkew)) {
			known = true
		}
	}
	return known
}

// Bounds of the work with evidence, in bytes looked at; a verification of a
// signature counts as some. A file whose lists are searched for many
// certificates could cost any time else.
const (
	maxEvidenceWork  = 512 << 20
	verificationCost = 64 << 10
)

// spend reports whether there is work left for n bytes. Evidence that is not
// looked at is told once and proves nothing.
func (v *verifier) spend(n int) bool {
	if v.work > maxEvidenceWork {
		return false
	}
	if v.work += n; v.work > maxEvidenceWork {
		v.report.Warnings = append(v.report.Warnings, Warning{WarnEvidence, "more evidence than is looked at"})
		return false
	}
	return true
}

// facts returns what all embedded evidence says of a certificate. Signatures
// are verified here, times are not looked at.
func (v *verifier) facts(cert, issuer *x509.Certificate) []fact {
	key := string(cert.Raw) + string(issuer.Raw)
	if fs, ok := v.factsOf[key]; ok {
		return fs
	}
	var out []fact
	serial := cert.SerialNumber.Bytes()
	others := slices.Concat(v.embedded.certs, v.o.Intermediates)
	for _, it := range v.embedded.items {
		var st *revocation.Status
		var err error
		if !v.spend(len(it.der)) {
			break
		}
		if it.crl {
			l := v.embedded.openList(it, issuer)
			if l == nil {
				continue
			}
			st, err = l.Check(cert, revocation.Options{AtProduction: true})
		} else if bytes.Contains(it.der, serial) && v.spend(verificationCost) {
			st, err = revocation.CheckOCSP(it.der, cert, issuer, revocation.Options{AtProduction: true, Skew: evidenceSkew, Certificates: others})
		}
		if err == nil && st != nil {
			out = append(out, fact{status: st, revision: it.revision})
		}
	}
	v.factsOf[key] = out
	return out
}

// holdsPath reports whether the certificates of a path but its anchor stand in the file.
func (v *verifier) holdsPath(chain []*x509.Certificate) bool {
	for _, c := range chain[:max(0, len(chain)-1)] {
		if !v.embedded.hasCert(c) {
			return false
		}
	}
	return true
}

// raise returns the level that the evidence in the file gives to a signature
// that is proven to have existed by p (EN 319 142-1 §6.3).
func (v *verifier) raise(c *candidate, s soundness, p proof) Level {
	if !s.proven || !p.sound.proven || !v.holdsPath(c.chain) || !v.holdsPath(p.chain) {
		return LevelBT
	}
	covered := max(s.revision, p.sound.revision, c.revision+1)
	for _, d := range v.proofs {
		if d.revision >= covered {
			return LevelBLTA
		}
	}
	return LevelBLT
}
