// Package core is the signing core: it activates signatures and uses personal
// keys (design D8, D17). It can run as a process of its own with a database of
// its own; the rest of Suti hands it documents and raw assertions and is not
// believed.
//
// Invariants:
//   - No key is used without an assertion by a passkey that the core's own acts
//     give to that person, made for a challenge that the core computed from its
//     own record of what is to be signed, and used once by one conditional statement.
//   - The intent with its audit entry is committed before the key is used, and the
//     result with its entry before anything leaves. Recovery closes what a crash
//     left open: it finishes with the stored signature value or abandons; it never
//     signs.
//   - At the moment of use the person is active at the epoch of the request, holds
//     the appointment, and the certificate named in the challenge is neither
//     expired nor revoked. Each reason for a refusal has a [Code].
//
// It imports mechanisms and signer/pades; signer, signer/csc and the command line
// import it. The design stands in docs/design/0016-signing-service.md.
package core
