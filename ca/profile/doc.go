// Package profile says what Suti's internal certificates contain. It turns
// registry data and a public key into the exact bytes that an issuer signs
// (TBSCertificate, RFC 5280 §4.1), and nothing else does.
//
// The profiles are compiled in and each has a hash, which the issuance record
// keeps and a test pins: a profile cannot change without a new version number.
// Names come only from the typed [Subject], never from a certification
// request. The rules are those of ETSI EN 319 412-1, -2 and -3 (subject and
// key usage), RFC 9336 (documentSigning), EN 319 422 (time-stamping units) and
// RFC 6960 §4.2.2.2 (OCSP responders). No certificate claims to be a qualified
// or legally accredited one: design decision D12.
//
// The package reads no clock, file, network or database, so that a separate
// signer process can apply the same rules again. Everyone may import it.
package profile
