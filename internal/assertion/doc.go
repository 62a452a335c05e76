// Package assertion verifies a raw WebAuthn assertion with the standard
// library alone (W3C Web Authentication Level 3 §7.2), so that the signing
// core, the approvals of the certification authority, `suti verify --evidence`
// and `suti log verify` can check a passkey's signature without trusting the
// web tier, the identity provider or a WebAuthn library.
//
// It owns four strict parsers: COSE_Key (ES256 on P-256, EdDSA on Ed25519,
// RS256), authenticator data, client data JSON, and the CTAP2 canonical CBOR
// subset under them. Every size is bounded before parsing, no input may
// panic, and whatever is not fully understood is refused with a typed error.
//
// It does not keep state: that a challenge is used once, that a counter never
// falls (see [CheckCounter]) and that a credential belongs to a person are
// duties of the caller. It does not run the registration ceremony either;
// [ParseAttestationObject] extracts the key from evidence of one without
// judging the attestation statement.
//
// It imports only the standard library; anyone may import it.
package assertion
