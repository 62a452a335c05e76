// Package judge decides about signatures and time-stamps once their values
// have been verified: what a trusted time-stamp proves, whether the path of
// the signer leads to an anchor, what evidence of revocation shows, and which
// level that makes (EN 319 102-1 §5). Packages pades, cades and jades read
// their formats and ask it, so that all of them say the same of the same
// signer.
//
// Things stand in revisions, numbered from 0 in the order in which they were
// written: those of a PDF file, or 0 for a signature and 1 for what stands
// beside it where there are none. A time-stamp over a revision proves it and
// everything before it.
//
// Invariants: it has no clock, no store and no network but what the caller
// gives; a time-stamp counts only while its own path is sound; evidence counts
// only if it existed while its signer was sound.
//
// It imports internal/{cms, tsp} and signer/internal/evidence/revocation. Only
// signer/{pades, cades, jades} may import it.
package judge
