// Package safehttp is the one way in which Suti fetches or posts to an address
// that somebody else chose: a client's logout or webhook address, a key set, a
// foreign OCSP responder or time-stamping authority.
//
// Its invariants: only http(s) to listed ports; the name is resolved once, every
// address of the answer must be allowed, and the connection goes to one of those
// very addresses; loopback, private, shared, link-local, multicast, translated,
// documentation and other special addresses are refused unless the operator
// listed them; no redirects, no proxy from the environment, no cookies, no
// compression; total time, header and body are bounded, the bounds being typed
// errors; a host that keeps failing is left alone for a while.
//
// The package imports only the standard library; anyone may import it.
package safehttp
