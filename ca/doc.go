// Package ca is the internal certification authority: it issues certificates
// to people for their electronic signatures and to Suti's own services, answers
// whether they hold (OCSP, CRL), and time-stamps (package tsa).
//
// It makes "firma electrónica", not "firma digital" (Ley 164); every certificate
// says so. Names come from the registry through [Request], never from a
// certification request.
//
// Invariants: no certificate without a committed audit entry and a leaf of the
// log; no two certificates with one number; one public key, one subject; a
// revocation is durable before it is acknowledged, and Suti's own answers obey
// it at once, because the database decides each of them; what a crash left
// half made is revoked, never signed again. docs/issuance.md tells the order of
// effects, docs/design/0014-issuance.md the alternatives that were rejected.
//
// Only cmd imports it.
package ca
