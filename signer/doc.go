// Package signer asks people for signatures and keeps what they signed: documents,
// signing requests with one or several signers in turn, the pages on which people
// read and approve, public verification, and the JSON interface for applications.
//
// Invariants:
//   - What a signer approves is what core prepared from the file whose hash is
//     shown; this package never touches a signing key and verifies no assertion.
//   - A request is a state machine: pending → completed, declined, cancelled or
//     expired, each transition one conditional statement with its audit entry.
//   - A signed file is stored and registered before anybody is told of it. What the
//     core has signed is released after a crash too (Step).
//   - A verification code shows what is registered and never vouches for the paper
//     or file in hand; only checking the file does (design D26).
//
// It imports mechanisms, signer/core and signer/pades; peers are reached through the
// interfaces declared here. Only cmd imports it. The design stands in
// docs/design/0016-signing-service.md.
package signer
