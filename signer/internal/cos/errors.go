package cos

import (
	"errors"
	"fmt"
)

// Classes of refusal. Every [*Error] matches exactly one of them by errors.Is.
var (
	// ErrHeader: the file does not begin with "%PDF-" at byte 0.
	ErrHeader = errors.New("cos: no PDF header at byte 0")
	// ErrDamaged: the file breaks the syntax so that a reader would have to repair it.
	ErrDamaged = errors.New("cos: damaged file")
	// ErrAmbiguous: the file can be read in two ways.
	ErrAmbiguous = errors.New("cos: ambiguous file")
	// ErrLimit: the file exceeds one of the [Limits].
	ErrLimit = errors.New("cos: limit exceeded")
	// ErrEncrypted: the file is encrypted and does not open.
	ErrEncrypted = errors.New("cos: encrypted file")
	// ErrUnsupported: the file uses a rare feature that this package does not read.
	ErrUnsupported = errors.New("cos: unsupported feature")
)

// Code says what part of a file a refusal is about.
type Code string

// Codes of [Error].
const (
	CodeHeader    Code = "header"
	CodeStartXref Code = "startxref"
	CodeXref      Code = "xref"
	CodeTrailer   Code = "trailer"
	CodeSyntax    Code = "syntax"
	CodeObject    Code = "object"
	CodeStream    Code = "stream"
	CodeFilter    Code = "filter"
	CodeObjStm    Code = "object-stream"
	CodePages     Code = "pages"
	CodeRevision  Code = "revision"
	CodeEncrypt   Code = "encrypt"
	CodePassword  Code = "password" // the password given is wrong
	CodeSize      Code = "size"
)

// Error is the refusal of a file.
type Error struct {
	Class  error  // one of ErrHeader … ErrUnsupported
	Code   Code   // the part of the file
	Offset int64  // where in the file, in bytes; -1 if inside an object stream or unknown
	Detail string // for developers, in English; holds no text from the file
}

// Error implements error.
func (e *Error) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("%v: %s: %s", e.Class, e.Code, e.Detail)
	}
	return fmt.Sprintf("%v: %s at byte %d: %s", e.Class, e.Code, e.Offset, e.Detail)
}

// Unwrap returns the class.
func (e *Error) Unwrap() error { return e.Class }

func refuse(class error, code Code, off int64, format string, args ...any) error {
	return &Error{Class: class, Code: code, Offset: off, Detail: fmt.Sprintf(format, args...)}
}

func damaged(code Code, off int64, format string, args ...any) error {
	return refuse(ErrDamaged, code, off, format, args...)
}
