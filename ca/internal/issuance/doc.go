// Package issuance makes certificates, and nothing else signs them: it alone
// opens issuers' keys for that.
//
//	Prepare   profile, key checks, lint of the exact TBSCertificate → a token
//	Issue     TX1 intent → sign once → verify, compare → TX2 certificate
//
// Invariants: no issuer's key is used before the number, the exact bytes and
// the audit entry are committed; a token issues at most once; what was signed
// is what was linted, octet by octet; a certificate that could not be stored
// never leaves, and its number is revoked by [Engine.Recover], never signed
// again. The same idempotency key and request give the same certificate.
//
// Only the packages of the authority import it.
package issuance
