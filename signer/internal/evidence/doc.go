// Package evidence fetches what a signature needs to stay verifiable:
// time-stamps (RFC 3161) from a pool of authorities, and OCSP responses, lists
// and issuer certificates for a chain.
//
// Invariants: nothing is believed because it was fetched. A time-stamp is
// returned only after imprint, nonce, policy, time, signature, usage and path
// to the authority's configured roots have been verified; revocation evidence
// only after package revocation has judged it. What could not be had is an
// error with every attempt in it, never a lesser result: the caller decides
// whether to wait or to state a lower level.
//
// Addresses found in certificates are followed only to hosts on a list. Sizes
// and times are bounded per kind. Callers who want the same thing at the same
// time share one request; a caller that gives up does not disturb the others.
//
// It imports internal/cms, internal/tsp and its own package revocation; the HTTP
// client (internal/safehttp in the product) is handed in.
package evidence
