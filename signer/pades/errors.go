package pades

import (
	"errors"
	"fmt"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/incr"
	"oruro.gob.bo/suti/signer/internal/judge"
)

// Code says why a file is refused. The values are stable.
type Code string

// Codes of [RefusedError].
const (
	CodeHeader      Code = "header"       // bytes before "%PDF-", or no PDF at all
	CodeDamaged     Code = "damaged"      // a reader would have to repair it
	CodeAmbiguous   Code = "ambiguous"    // two readers may see two documents
	CodeLimit       Code = "limit"        // larger or more complex than allowed
	CodeEncrypted   Code = "encrypted"    // needs a password or key
	CodePassword    Code = "password"     // the password given does not open it
	CodePermissions Code = "permissions"  // the file's permissions forbid it
	CodeSigned      Code = "signed"       // a signature in it would not survive a repair
	CodeUnsupported Code = "unsupported"  // a rare feature that is not read
	CodeXFA         Code = "xfa"          // the form is XFA, the PDF only its shell
	CodeCertified   Code = "certified"    // an earlier signature forbids this one
	CodeLocked      Code = "field-locked" // an earlier signature locks the field
	CodeFieldSigned Code = "field-signed" // the field has a signature already
	CodeFieldType   Code = "field-type"   // the field is no signature field
	CodeFieldName   Code = "field-name"   // not a name that a new field can have
	CodeSeedValues  Code = "seed-values"  // the field demands what we do not do
	CodePage        Code = "page"         // the page for the seal does not exist
	CodeSeal        Code = "seal"         // the seal cannot be drawn as asked
	CodeNoRoom      Code = "no-room"      // no free space for the seal on the page
)

// RefusedError says that a file cannot be signed as asked without risk to it
// or to signatures in it.
type RefusedError struct {
	Code   Code
	Detail string // for developers, in English; holds no text from the file
	Err    error  // the cause, if there is one
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("pades: refused: %s: %s", e.Code, e.Detail)
}

// Unwrap returns the cause.
func (e *RefusedError) Unwrap() error { return e.Err }

func refuse(code Code, format string, args ...any) error {
	return &RefusedError{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// refusal turns an error of cos or incr into a RefusedError; an error of
// reading stays what it is.
func refusal(err error) error {
	var c *cos.Error
	var form *incr.FormError
	var done *RefusedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &done):
		return err
	case errors.As(err, &c) && c.Code == cos.CodePassword:
		return &RefusedError{Code: CodePassword, Detail: c.Error(), Err: err}
	case errors.As(err, &c):
		return &RefusedError{Code: classCode(c.Class), Detail: c.Error(), Err: err}
	case errors.As(err, &form), errors.Is(err, incr.ErrStream):
		return &RefusedError{Code: CodeDamaged, Detail: err.Error(), Err: err}
	case errors.Is(err, incr.ErrAmbiguous):
		return &RefusedError{Code: CodeAmbiguous, Detail: err.Error(), Err: err}
	case errors.Is(err, incr.ErrTooLarge), errors.Is(err, incr.ErrNumbers):
		return &RefusedError{Code: CodeLimit, Detail: err.Error(), Err: err}
	default:
		return err
	}
}

func classCode(class error) Code {
	switch {
	case errors.Is(class, cos.ErrHeader):
		return CodeHeader
	case errors.Is(class, cos.ErrAmbiguous):
		return CodeAmbiguous
	case errors.Is(class, cos.ErrLimit):
		return CodeLimit
	case errors.Is(class, cos.ErrEncrypted):
		return CodeEncrypted
	case errors.Is(class, cos.ErrUnsupported):
		return CodeUnsupported
	default:
		return CodeDamaged
	}
}

// ErrReserve reports that the space kept for the signature is too small; every
// [*ReserveError] matches it.
var ErrReserve = errors.New("pades: reserved space too small")

// ReserveError says how much space a signature needs, in bytes of CMS. The
// file must be prepared again; if a person has consented to the byte range's
// digest, that consent must be asked for again too.
type ReserveError struct{ Need, Have int }

// Error implements error.
func (e *ReserveError) Error() string {
	return fmt.Sprintf("%v: need %d bytes, have %d", ErrReserve, e.Need, e.Have)
}

// Is makes errors.Is(err, ErrReserve) true.
func (e *ReserveError) Is(target error) bool { return target == ErrReserve }

// Errors of the later steps of signing.
var (
	// ErrOptions: a programmer's or configuration's mistake in the options.
	ErrOptions = errors.New("pades: options")
	// ErrNoTimestamp: level B-T was asked for and no time-stamp token given.
	ErrNoTimestamp = errors.New("pades: level B-T needs a time-stamp token")
	// ErrTimestamp: the token is not one over this signature.
	ErrTimestamp = judge.ErrTimestamp
	// ErrCertificate: the certificate may not sign documents, or not at this time.
	ErrCertificate = errors.New("pades: certificate cannot be used")
	// ErrSession: stored session bytes are not of a version that is known, or damaged.
	ErrSession = errors.New("pades: not a session")
	// ErrBase: the file is not the one that was prepared.
	ErrBase = errors.New("pades: file is not the one that was prepared")
)
