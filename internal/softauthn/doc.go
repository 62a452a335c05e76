// Package softauthn is a software authenticator: passkeys in a file, for
// tests, `suti tour` and `suti demo`. It plays both the authenticator and the
// browser: it takes options in the JSON shapes of WebAuthn Level 3
// (PublicKeyCredentialCreationOptionsJSON and RequestOptionsJSON, §5.1.8 and
// §5.1.9) and returns RegistrationResponseJSON and AuthenticationResponseJSON.
//
// It makes ES256 and EdDSA keys, attestation "none" and "packed" (self), and
// lets a test set every flag, the counter and the relying party, also to
// values that no honest authenticator would send. Its keys are not protected
// by anything; no server may accept them as hardware-bound.
//
// Signatures are deterministic (RFC 6979, RFC 8032): with [Config.Rand] set to
// a fixed stream every output is reproducible, which the published vectors use.
//
// It imports only the standard library. Servers do not import it: only tests,
// the tour and the demo.
package softauthn
