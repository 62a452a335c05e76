// Package tsa issues time-stamp tokens (RFC 3161, RFC 5816, EN 319 422).
//
// Invariants: a token's number, time and imprint are committed with an audit
// entry before the unit's key is used; the entry's public body is the SHA-256
// of the exact TSTInfo, so a token shows which entry is its own; a number is
// never used twice; the time in tokens never falls, on any node, whatever the
// clocks do; where the clock is not sure to be within the accuracy, the answer
// is timeNotAvailable.
//
// Requests that wait together share one transaction. It owns the tables tsa_….
// ca and cmd import it.
package tsa
