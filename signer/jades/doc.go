// Package jades signs acts in JSON and judges such signatures: JAdES baseline
// signatures of level B-B (ETSI TS 119 182-1 V1.2.1) in the compact
// serialization of JWS (RFC 7515). It stores nothing, opens no connection and
// reads no clock.
//
// The compact form has no place for anything unsigned (etsiU needs the JSON
// serialization), so that there is no time-stamp and no evidence: B-B is the
// highest level it can have, and the only one written here.
//
// Two forms are written. An embedded payload stands in the signature itself; it
// is of at most [MaxPayload] bytes, and if it is declared to be JSON it must be
// JSON that all readers read alike. A detached one is named and digested in
// sigD (mechanism ObjectIdByURIHash, with b64 false, so that hashV is the plain
// SHA-256 of the file); it is read once and never held in memory.
//
// The claimed time is iat, as V1.2.1 demands since 15 May 2025; sigT of
// V1.1.1 is understood. The certificate is named by x5t#S256, and x5c carries
// it and its path; keys in jwk, jku, x5u or kid are never used.
//
// Invariants: a value is checked against the certificate before anything is
// given out; a critical header parameter that is not understood, a member
// written twice, an algorithm that is not in the list or is not the key's is
// refused. [Verify] decides with the same code as package pades.
//
// It is usable without the rest of Suti. Above it are only package signer and cmd.
package jades
