// Package der encodes and decodes what the authority publishes about its
// certificates: certificate revocation lists (RFC 5280 §5) and OCSP messages
// (RFC 6960, RFC 9654). Encoders write strict DER and take every time from the
// caller; revoked entries are kept encoded, so that a list of a million is a
// copy and one signature. Parsers bound size and counts before they read.
//
// Only the packages of the authority import it.
package der
