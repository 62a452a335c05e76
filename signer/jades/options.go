package jades

import (
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/signer/internal/judge"
)

// Level is a JAdES baseline level (TS 119 182-1 §6).
type Level uint8

// Levels. LevelNone is none: a signature that is not JAdES baseline.
const (
	LevelNone = Level(judge.LevelNone)
	LevelBB   = Level(judge.LevelBB)
)

// String returns the level's name in the standard, "" for LevelNone.
func (l Level) String() string {
	if l == LevelBB {
		return "JAdES-B-B"
	}
	return ""
}

// MarshalText implements encoding.TextMarshaler.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// DefaultMediaType is declared of content of which nothing else is said.
const DefaultMediaType = "application/json"

// Options says how content is to be signed. SigningTime is required.
type Options struct {
	// SigningTime is the time claimed by the signer, written to the second.
	SigningTime time.Time
	// MediaType of the content is signed with it: [DefaultMediaType] by default.
	MediaType string
	// Name makes the signature a detached one, of a file with this name (or
	// another relative or absolute URI reference, without spaces). By default
	// the content stands in the signature.
	Name string
	// Algorithm is one of ES256, ES384, ES512, RS256, PS256 and EdDSA that
	// [Sign] signs with; by default the one of the key. Prepare does not use it.
	Algorithm string
}

func (o *Options) check() error {
	if o.MediaType == "" {
		o.MediaType = DefaultMediaType
	}
	for _, s := range []string{o.MediaType, o.Name} {
		if len(s) > 255 {
			return fmt.Errorf("%w: media type or name of %d bytes", ErrOptions, len(s))
		}
		for i := range len(s) {
			if s[i] <= ' ' && s != o.MediaType || s[i] < ' ' || s[i] > '~' {
				return fmt.Errorf("%w: media type or name with other than visible ASCII characters", ErrOptions)
			}
		}
	}
	if o.SigningTime.Unix() <= 0 || o.SigningTime.Unix() > maxSeconds {
		return fmt.Errorf("%w: no signing time", ErrOptions)
	}
	return nil
}

// Code says why a file is refused. The values are stable.
type Code string

// Codes of [RefusedError].
const (
	CodeMalformed   Code = "malformed"   // no compact signature, or not well formed
	CodeLimit       Code = "limit"       // larger than allowed
	CodeUnsupported Code = "unsupported" // a form that is not read
	CodeAlgorithm   Code = "algorithm"   // an algorithm that is not in the list
	CodeCritical    Code = "critical"    // crit names what is not understood, or lacks what it must name
	CodeAmbiguous   Code = "ambiguous"   // the content is not JSON that all readers read alike
	CodeDetached    Code = "detached"    // the content stands elsewhere and was not given
	CodeAttached    Code = "attached"    // the content stands in the signature, and other was given
)

// RefusedError says that something cannot be signed or judged as asked.
type RefusedError struct {
	Code   Code
	Detail string // for developers, in English
	Err    error  // the cause, if there is one
}

// Error implements error.
func (e *RefusedError) Error() string { return fmt.Sprintf("jades: refused: %s: %s", e.Code, e.Detail) }

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

func refuse(code Code, err error, format string, args ...any) error {
	return &RefusedError{Code: code, Detail: fmt.Sprintf(format, args...), Err: err}
}

// Errors of the steps of signing.
var (
	// ErrOptions: a programmer's or configuration's mistake in the options.
	ErrOptions = errors.New("jades: options")
	// ErrCertificate: the certificate may not sign documents, or not at this time.
	ErrCertificate = errors.New("jades: certificate cannot be used")
	// ErrSession: stored session bytes are not of a version that is known, or
	// damaged, or the header is not one of the session.
	ErrSession = errors.New("jades: not a session")
	// ErrSignature: the value does not verify under the certificate's key.
	ErrSignature = errors.New("jades: signature does not verify")
)
