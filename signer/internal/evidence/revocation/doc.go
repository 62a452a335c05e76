// Package revocation reads OCSP responses (RFC 6960) and certificate revocation
// lists (RFC 5280 §5) and says what they prove about one certificate. It does
// no network access and reads no clock: packages evidence and pades give it
// bytes and a time.
//
// Invariants: what is not signed by the certificate's issuer, or by a responder
// that this issuer delegated, proves nothing; neither does a list with a scope
// that may leave the certificate out, nor anything with a critical extension
// that is not understood. Signatures with SHA-1 do not count. Sizes are bounded
// before parsing, and a list is searched where it lies: memory does not grow
// with its entries.
package revocation
