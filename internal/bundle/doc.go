// Package bundle holds the evidence bundle of an activation: everything that a
// stranger needs to check, years later and without our servers, that a person
// approved exactly these documents with their own passkey (or stood at a
// counter), that they had the right to, and what came of it. The format is
// docs/evidence-bundle.md, tag suti/bundle/v1: one JSON object in the canonical
// form of RFC 8785.
//
// Invariants:
//   - A bundle has one encoding; [Decode] accepts only what [Bundle.Encode] writes.
//   - [Verify] names every check it made or could not make. A check that was
//     not made never counts as passed, and one that failed makes the verdict
//     [Invalid].
//   - The trust anchors come from the caller: genesis hash, certificate roots,
//     the log's key. Nothing in the bundle is believed by itself.
//
// It does no I/O and reads no clock. It imports act, assertion, identity, cms,
// tsp, audit/logverify and x/crypto/ocsp; the signing core, the signer and the
// command line import it.
package bundle
