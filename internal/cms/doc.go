// Package cms builds and reads Cryptographic Message Syntax SignedData
// (RFC 5652) in the narrow form that CAdES, PAdES and RFC 3161 time-stamp
// tokens need: signed attributes of each signer, as a rule exactly one, and a
// signing-certificate attribute (RFC 5035) that pins the signer's certificate.
//
// Building has two phases, because the key may be elsewhere:
// [PrepareSignedAttrs] fixes the bytes to be signed, [Prepared.Assemble] takes
// the signature value, checks it against the certificate and only then encodes
// the ContentInfo. The output is DER, and a pure function of its inputs.
//
// Reading is strict. [Parse] takes DER only and one signer ([ParseSigners] several
// parallel ones, for CAdES); [ParseBER] also takes BER, which
// foreign producers write, after a bounded conversion. Both bound size, depth
// and counts before they allocate, and never panic. [SignedData.Verify] gives
// a certificate back only if everything the profile asks for holds; each cause
// of refusal has its own sentinel. Whether the certificate may be trusted is
// for the caller to decide: no path is built here and no clock is read.
//
// Invariants: nothing is signed or accepted under SHA-1 or MD5 (an ESS
// signing-certificate v1 in a time-stamp token excepted, see [ProfileTimestamp]);
// adding an unsigned attribute changes no signed byte; the digest, signature
// and key algorithms of an accepted signature agree with one another.
//
// Algorithms: ECDSA on P-256, P-384 and P-521, RSA PKCS #1 v1.5 and PSS of
// 2048 to 8192 bits, with SHA-256, SHA-384 or SHA-512; Ed25519 with SHA-512
// (RFC 8419).
//
// The package is a mechanism: anyone may import it, and it imports nothing of
// this module.
package cms
