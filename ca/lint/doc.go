// Package lint judges certificates and keys before an issuer's key is used. A
// [Linter] signs the exact TBSCertificate with a throw-away key of the issuer's
// algorithm, runs every applicable lint of ZLint and the rules of our own
// profiles on the result, and fails on any finding, notices included: a finding
// is a mistake in a profile and stops issuance until somebody has decided.
//
// The few lints that are left out are listed in [Excluded] with their reasons.
// [Key] refuses subject keys that are weak whoever asks.
//
// The package reads no database, so that a separate signer process can apply
// the same rules again. It is the only importer of ZLint.
package lint
