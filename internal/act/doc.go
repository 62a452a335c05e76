// Package act holds the formats by which people bind themselves with a passkey
// and that have to be readable when this program is gone: the signing
// challenge (docs/signing.md) and the signed act (docs/acts.md). It decides,
// from a pinned genesis act and a set of signed acts, whose key may sign as
// whom, in which post, at what time.
//
// Invariants:
//   - A value has exactly one encoding and an encoding exactly one value: every
//     field carries its length, and a decoder accepts only what the encoder
//     would write.
//   - Authority grows only by two people, or by an earlier key of the same
//     person; it may shrink by one. No act works on its own author.
//   - Whatever an act lacks is named by a typed [Refusal]; an act that is
//     refused has no effect at all.
//   - Personal data stand in an act only as salted commitments ([Commit]).
//
// The package does no I/O and keeps no state. That an activation or an act is
// used once, and that the set of acts is complete, are duties of the caller.
// It imports only the standard library, identity and assertion; the signing
// core, enrolment, the command line and internal/bundle import it.
package act
