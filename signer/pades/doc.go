// Package pades signs PDF files and judges signed ones: PAdES baseline
// signatures (ETSI EN 319 142-1) of levels B-B to B-LTA. It takes bytes and
// gives bytes; it stores nothing, opens no connection and reads no clock.
//
// Signing has separate steps, so that the person can consent to what is to be
// signed, and the key can be anywhere:
//
//	report, err := pades.Preflight(ctx, base, size)            // may it be signed?
//	session, err := pades.Prepare(ctx, base, size, options)    // byte range fixed
//	tbs, err := session.SignedAttributes(chain, …)             // certificate known now
//	value, err := key.Sign(rand.Reader, tbs.Input, tbs.Opts)
//	signed, err := session.Embed(ctx, pades.Signature{…})      // checked, then written
//
// A [Session] can be stored between the steps. [Sign] does all of them.
// [Signed.Extend] and [Extend] add what keeps signatures verifiable: evidence
// and document time-stamps, and renew them. Evidence comes from an
// [EvidenceSource]; package pades/online is one.
//
// Keys: ECDSA on P-256, P-384 and P-521, RSA from 2,048 bits by PKCS #1 v1.5 and
// PSS, Ed25519 (RFC 8419). A first signature can certify the document, a
// signature can lock fields ([Lock]), and [AddFields] makes fields for people
// who sign side by side.
//
// Invariants: the file is never changed, only added to, and is never held in
// memory. Whatever an earlier signature covers, form fields and metadata keep
// their bytes; what cannot be added to safely is refused with a
// [*RefusedError]. A signature value is checked against its certificate, and a
// time-stamp against the value, before either is written.
//
// [Verify] reports on every signature by itself. It never calls valid what it
// does not fully understand: every later change must be on a list of harmless
// ones, see docs/design/0013-pdf-core.md.
//
// Below it are signer/internal/{cos, incr, appearance} and the mechanisms
// internal/{cms, tsp}. Anyone above signer/pades may import it.
package pades
