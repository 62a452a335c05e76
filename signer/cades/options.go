package cades

import (
	"crypto"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/signer/internal/judge"
)

// Level is a CAdES baseline level (EN 319 122-1 §6).
type Level uint8

// Levels. LevelNone is none: a signature that is not CAdES baseline.
const (
	LevelNone = Level(judge.LevelNone)
	LevelBB   = Level(judge.LevelBB)
	LevelBT   = Level(judge.LevelBT)
	LevelBLT  = Level(judge.LevelBLT)
)

// String returns the level's name in the standard, "" for LevelNone.
func (l Level) String() string {
	switch l {
	case LevelBB:
		return "CAdES-B-B"
	case LevelBT:
		return "CAdES-B-T"
	case LevelBLT:
		return "CAdES-B-LT"
	default:
		return ""
	}
}

// MarshalText implements encoding.TextMarshaler.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Level) UnmarshalText(b []byte) error {
	for _, v := range []Level{LevelNone, LevelBB, LevelBT, LevelBLT} {
		if v.String() == string(b) {
			*l = v
			return nil
		}
	}
	return fmt.Errorf("%w: unknown level", ErrOptions)
}

// DefaultMediaType is declared of content of which nothing better is said.
const DefaultMediaType = "application/octet-stream"

// Options says how a file is to be signed. SigningTime is required.
type Options struct {
	// Level is LevelBB by default. [Session.Embed] reaches LevelBT; LevelBLT
	// comes after it, by [Signed.Extend].
	Level Level
	// SigningTime is the time claimed by the signer, written to the second in UTC.
	SigningTime time.Time
	// MediaType of the content, such as "text/xml", is signed with it, so that
	// nobody can show it as something else: [DefaultMediaType] by default.
	MediaType string
	// Algorithm is the name of the algorithm that [Sign] signs with, such as
	// "rsa-pss-sha256"; by default the one of the key. Prepare does not use it.
	Algorithm string
	// Hash digests the content: SHA-256 by default, SHA-384 or SHA-512. It must
	// be the digest of the algorithm that the key will sign with.
	Hash crypto.Hash
	// Existing is a signature over the same content, of one or more people, in
	// DER; the new one is put beside it. It must hold.
	Existing []byte
	// Extend is needed by [Sign] for LevelBLT; its Level is not used.
	Extend *ExtendOptions
}

func (o *Options) check() error {
	if o.Level == LevelNone {
		o.Level = LevelBB
	}
	if o.Hash == 0 {
		o.Hash = crypto.SHA256
	}
	if o.MediaType == "" {
		o.MediaType = DefaultMediaType
	}
	switch {
	case o.Level > LevelBLT:
		return fmt.Errorf("%w: level %d", ErrOptions, o.Level)
	case o.Hash != crypto.SHA256 && o.Hash != crypto.SHA384 && o.Hash != crypto.SHA512:
		return fmt.Errorf("%w: digest %v", ErrOptions, o.Hash)
	case o.SigningTime.IsZero():
		return fmt.Errorf("%w: no signing time", ErrOptions)
	}
	return nil
}

// Code says why a file is refused. The values are stable.
type Code string

// Codes of [RefusedError].
const (
	CodeMalformed   Code = "malformed"     // no signed data, or not well formed
	CodeLimit       Code = "limit"         // larger or more complex than allowed
	CodeUnsupported Code = "unsupported"   // a rare feature that is not read
	CodeAttached    Code = "attached"      // the signature holds its content itself
	CodeNotDER      Code = "not-der"       // signatures of others that cannot be added to byte for byte
	CodeContent     Code = "other-content" // signatures of others are over other content
	CodeBroken      Code = "broken"        // a signature of others does not hold
	CodeSigned      Code = "signed"        // this certificate has signed already
)

// RefusedError says that a file cannot be signed or judged as asked.
type RefusedError struct {
	Code   Code
	Detail string // for developers, in English
	Err    error  // the cause, if there is one
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("cades: refused: %s: %s", e.Code, e.Detail) }

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

// Errors of the steps of signing.
var (
	// ErrOptions: a programmer's or configuration's mistake in the options.
	ErrOptions = errors.New("cades: options")
	// ErrNoTimestamp: level B-T was asked for and no time-stamp token given.
	ErrNoTimestamp = errors.New("cades: level B-T needs a time-stamp token")
	// ErrTimestamp: the token is not one over this signature.
	ErrTimestamp = judge.ErrTimestamp
	// ErrCertificate: the certificate may not sign documents, or not at this time.
	ErrCertificate = errors.New("cades: certificate cannot be used")
	// ErrSession: stored session bytes are not of a version that is known, or damaged.
	ErrSession = errors.New("cades: not a session")
	// ErrEvidence reports that a level cannot be reached for want of evidence;
	// every [*EvidenceError] matches it.
	ErrEvidence = judge.ErrEvidence
)

// Evidence is what shows that certificates were not revoked.
type Evidence = judge.Evidence

// EvidenceSource gets evidence. Package pades/online has one that asks the
// addresses in certificates.
type EvidenceSource = judge.EvidenceSource

// EvidenceError says of which certificate evidence is lacking, and why.
type EvidenceError = judge.EvidenceError

// Revocation knows which certificates are revoked; package pades/online has one.
type Revocation = judge.Revocation

// RevocationStatus is the answer of [Revocation].
type RevocationStatus = judge.RevocationStatus
