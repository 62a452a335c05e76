// Package tsp speaks the Time-Stamp Protocol of RFC 3161, as updated by RFC
// 5816, for both sides: requests and responses, the TSTInfo, and tokens built
// on internal/cms.
//
// The authority: [ParseRequest], [Request.Check], [PrepareToken] with a serial
// number that the caller has stored beforehand, [Grant] or [Reject]. The
// client: [Request.Marshal], [ParseResponse], [ParseToken], [Token.Verify].
//
// Invariants: only SHA-256, SHA-384 and SHA-512 imprints; a token verifies only
// against the imprint it is asked about, under a certificate whose one and
// critical extended key usage is time-stamping, on a path to roots that the
// caller names, valid at the token's own time; there is no wall clock here and
// no system trust store. Inputs are bounded before they are parsed, and none
// makes the package panic.
//
// It may import internal/cms, and anyone may import it.
package tsp
