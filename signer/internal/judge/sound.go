package judge

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
	revision int // see item
	item     item
}

// Soundness is what is known of the revocation of a path (EN 319 102-1
// §5.6.2.2: from the anchor down, evidence counts only if it existed while its
// own signer was sound).
type Soundness struct {
	Revoked   int // index of a certificate revoked by then, -1 if none is
	RevokedAt time.Time
	Unknown   int // index of one of which the caller's source knows nothing, -1
	Unchecked int // index of one of which nothing is known and nobody was asked, -1
	// Proven says that evidence in the file alone shows all to have been good
	// at the time to be reached; Revision is then what a document time-stamp
	// must end to cover that evidence.
	Proven   bool
	Revision int
	// Lacking are the indices of certificates for which Proven fails.
	Lacking []int
	// Stale says that evidence used tells of a moment before that time.
	Stale bool

	age  time.Duration // by how much at most, where nobody else was asked
	used []RevocationMaterial
}

// Sound looks at the certificates of a path from the top. need is the time at
// which what the path's key signed is proven to have existed; reach the time
// that embedded evidence must reach to be complete; known the time until which
// the caller's source is asked.
func (j *Judge) Sound(ctx context.Context, chain []*x509.Certificate, need, reach, known time.Time) (Soundness, error) {
	s := Soundness{Revoked: -1, Unknown: -1, Unchecked: -1, Proven: true}
	bound := j.At // by when evidence must have existed
	for i := len(chain) - 2; i >= 0; i-- {
		cert, issuer := chain[i], chain[i+1]
		if revocation.NoRevocationAvailable(cert) {
			continue
		}
		good, when, revoked := j.storeState(cert, issuer, bound, reach)
		live := RevocationStatus{}
		if j.Revocation != nil {
			st, err := j.Revocation.Status(ctx, cert, issuer, known)
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
		if revoked && !(when.After(need) && need.Before(j.At)) {
			if s.Revoked < 0 || i > 0 {
				s.Revoked, s.RevokedAt = i, when
			}
			s.Proven = false
			continue
		}
		if good == nil {
			s.Proven = false
			s.Lacking = append(s.Lacking, i)
		} else {
			s.Revision = max(s.Revision, good.revision)
			s.Stale = s.Stale || good.status.ThisUpdate.Add(evidenceSkew).Before(reach)
			s.used = append(s.used, good.material(cert))
			if live.State != RevocationGood {
				s.age = max(s.age, reach.Sub(good.status.ThisUpdate))
			}
		}
		switch {
		case live.State == RevocationGood || revoked:
		case good != nil && !j.until(good, cert).Add(evidenceSkew).Before(need):
		case j.Revocation != nil:
			s.Unknown = i
		default:
			s.Unchecked = i
		}
		if revoked && when.Before(bound) {
			bound = when
		}
		if good != nil && live.State != RevocationGood {
			bound = earlier(bound, j.existed(good.revision))
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
func (j *Judge) until(f *fact, cert *x509.Certificate) time.Time {
	at := earlier(j.existed(f.revision), cert.NotAfter)
	if f.status.NextUpdate.IsZero() || f.status.NextUpdate.Before(at) || at.Before(f.status.ThisUpdate) {
		return f.status.ThisUpdate
	}
	return at
}

// storeState returns what the evidence in the file says of a certificate:
// the fact covered earliest that shows it good at the time to be reached, be
// it by telling that it was revoked later, and when it was revoked, if any says so.
func (j *Judge) storeState(cert, issuer *x509.Certificate, bound, reach time.Time) (good *fact, when time.Time, revoked bool) {
	bound = earlier(bound, issuer.NotAfter)
	hold := time.Time{} // until when a hold is known to have ended
	facts := j.facts(cert, issuer)
	for i := range facts {
		f := &facts[i]
		if !j.usable(f, issuer, bound) || f.status.State != revocation.Good || f.status.ThisUpdate.After(cert.NotAfter.Add(evidenceSkew)) {
			continue
		}
		if f.status.ThisUpdate.After(hold) {
			hold = f.status.ThisUpdate
		}
		if j.until(f, cert).Add(evidenceSkew).Before(reach) {
			continue
		}
		if good == nil || f.revision < good.revision {
			good = f
		}
	}
	for i := range facts {
		f := &facts[i]
		if f.status.State != revocation.Revoked || !j.usable(f, issuer, j.At) ||
			f.status.Reason == revocation.CertificateHold && hold.After(f.status.ThisUpdate) {
			continue
		}
		if !revoked || f.status.RevokedAt.Before(when) {
			revoked, when = true, f.status.RevokedAt
			if good == nil && when.After(reach) && j.usable(f, issuer, bound) {
				good = f
			}
		}
	}
	return good, when, revoked
}

// usable reports whether a fact is proven to have existed by a time, and while
// a delegated responder was sound.
func (j *Judge) usable(f *fact, issuer *x509.Certificate, bound time.Time) bool {
	ex := j.existed(f.revision)
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
	for _, l := range j.facts(r, issuer) {
		if l.status.Responder != nil || l.status.ProducedAt != (time.Time{}) {
			continue // responders do not vouch for themselves
		}
		if l.status.State == revocation.Revoked && !l.status.RevokedAt.After(ex) {
			return false
		}
		if le := j.existed(l.revision); !le.After(bound.Add(evidenceSkew)) && !l.status.ThisUpdate.After(le.Add(evidenceSkew)) {
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
func (j *Judge) spend(n int) bool {
	if j.work > maxEvidenceWork {
		return false
	}
	if j.work += n; j.work > maxEvidenceWork {
		j.Warn(WarnEvidence, "more evidence than is looked at")
		return false
	}
	return true
}

// facts returns what all embedded evidence says of a certificate. Signatures
// are verified here, times are not looked at.
func (j *Judge) facts(cert, issuer *x509.Certificate) []fact {
	key := string(cert.Raw) + string(issuer.Raw)
	if fs, ok := j.factsOf[key]; ok {
		return fs
	}
	var out []fact
	serial := cert.SerialNumber.Bytes()
	others := slices.Concat(j.Store.certs, j.Intermediates)
	for _, it := range j.Store.items {
		var st *revocation.Status
		var err error
		if !j.spend(len(it.der)) {
			break
		}
		if it.crl {
			l := j.Store.openList(it, issuer)
			if l == nil {
				continue
			}
			st, err = l.Check(cert, revocation.Options{AtProduction: true})
		} else if bytes.Contains(it.der, serial) && j.spend(verificationCost) {
			st, err = revocation.CheckOCSP(it.der, cert, issuer, revocation.Options{AtProduction: true, Skew: evidenceSkew, Certificates: others})
		}
		if err == nil && st != nil {
			out = append(out, fact{status: st, revision: it.revision, item: it})
		}
	}
	j.factsOf[key] = out
	return out
}

// HoldsPath reports whether the certificates of a path but its anchor stand in the file.
func (j *Judge) HoldsPath(chain []*x509.Certificate) bool {
	for _, c := range chain[:max(0, len(chain)-1)] {
		if !j.Store.HasCertificate(c) {
			return false
		}
	}
	return true
}

// raise returns the level that the evidence in the file gives to a signature
// that is proven to have existed by p (EN 319 142-1 §6.3, EN 319 122-1 §6.3).
func (j *Judge) raise(c *Case, s Soundness, p Proof) Level {
	if !s.Proven || !p.Sound.Proven || !j.HoldsPath(c.Chain) || !j.HoldsPath(p.Chain) {
		return LevelBT
	}
	covered := max(s.Revision, p.Sound.Revision, c.Revision+1)
	for _, d := range j.proofs {
		if d.Revision >= covered {
			return LevelBLTA
		}
	}
	return LevelBLT
}
