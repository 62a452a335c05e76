package web

import (
	"errors"
	"fmt"
	"net/http"
)

// Kinds of bad input, for errors.Is.
var (
	// ErrDuplicate reports a parameter or member that is given twice.
	ErrDuplicate = errors.New("given more than once")
	// ErrEncoding reports bytes that are not UTF-8, control characters, or broken escapes.
	ErrEncoding = errors.New("bad encoding")
	// ErrTooMany reports more parameters, fields or nesting than are read.
	ErrTooMany = errors.New("too many parts")
	// ErrMediaType reports a body of another type.
	ErrMediaType = errors.New("unexpected content type")
	// ErrSyntax reports a body that is not of its type, or has unknown members.
	ErrSyntax = errors.New("malformed")
	// ErrTooLarge reports a body beyond its bound.
	ErrTooLarge = errors.New("too large")
)

// InputError is a request that could not be read. A mux answers it with 400, 413
// or 415; an OAuth endpoint makes it invalid_request.
type InputError struct {
	// Kind is one of the errors above.
	Kind error
	// Name is the parameter or member concerned, if it is a plain word; else empty.
	Name string
	// Err is the cause, if any. It holds nothing of the input.
	Err error
}

// Error implements error.
func (e *InputError) Error() string {
	s := "web: input " + e.Kind.Error()
	if e.Name != "" {
		s += ": " + e.Name
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns kind and cause.
func (e *InputError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// reply is what the client is told.
func (e *InputError) reply() *Error {
	out := &Error{Status: http.StatusBadRequest, Code: "invalid_request", Detail: "web.error.bad_request", Err: e}
	switch {
	case errors.Is(e.Kind, ErrTooLarge):
		out.Status, out.Code, out.Detail = http.StatusRequestEntityTooLarge, "too_large", "web.error.too_large"
	case errors.Is(e.Kind, ErrMediaType):
		out.Status, out.Code, out.Detail = http.StatusUnsupportedMediaType, "unsupported_media_type", "web.error.media_type"
	}
	return out
}

// inputError makes an [InputError] whose name is safe to show and to log.
func inputError(kind error, name string) *InputError {
	return &InputError{Kind: kind, Name: plainWord(name)}
}

// plainWord returns name if it is a short word of ASCII letters, digits and a few
// signs, else nothing.
func plainWord(name string) string {
	if len(name) > 64 {
		return ""
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' && c != '/' {
			return ""
		}
	}
	return name
}

// bodyError maps what reading a bounded body gives.
func bodyError(err error) error {
	var max *http.MaxBytesError
	if errors.As(err, &max) {
		return &InputError{Kind: ErrTooLarge, Err: fmt.Errorf("more than %d bytes", max.Limit)}
	}
	return fmt.Errorf("read body: %w", err)
}
