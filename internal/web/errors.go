package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Error is a refusal as the client gets to see it. Make a new one per use.
type Error struct {
	// Status is the HTTP status, 400 to 599.
	Status int
	// Code is a stable machine-readable word, lower case with underscores.
	Code string
	// Detail is the i18n key of what a person reads; empty for the text of Status.
	Detail string
	// Args are the arguments of Detail, names and values in turn. They are shown.
	Args []any
	// Fields are the faults of single inputs.
	Fields []FieldError
	// Header is added to the answer, for instance Retry-After.
	Header http.Header
	// Err is the cause. It is logged and never shown; it must hold no secret.
	Err error
}

// FieldError is the fault of one input.
type FieldError struct {
	// Field is the name of a form field, or a JSON pointer (RFC 6901).
	Field string
	// Code is a stable machine-readable word.
	Code string
	// Detail is the i18n key of what a person reads, Args its arguments.
	Detail string
	Args   []any
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%d %s", e.Status, e.Code)
	}
	return fmt.Sprintf("%d %s: %v", e.Status, e.Code, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// NotFound returns a 404. It is also the answer for what exists and is another's.
func NotFound(cause error) *Error {
	return &Error{Status: http.StatusNotFound, Code: "not_found", Detail: "web.error.not_found", Err: cause}
}

// Forbidden returns a 403.
func Forbidden(cause error) *Error {
	return &Error{Status: http.StatusForbidden, Code: "forbidden", Detail: "web.error.forbidden", Err: cause}
}

// Unavailable returns a 503 that asks to come back later.
func Unavailable(cause error) *Error {
	return &Error{Status: http.StatusServiceUnavailable, Code: "unavailable", Detail: "web.error.unavailable",
		Header: http.Header{"Retry-After": {"5"}}, Err: cause}
}

// TooMany returns a 429 that says when to come back.
func TooMany(retryAfter time.Duration) *Error {
	return &Error{Status: http.StatusTooManyRequests, Code: "too_many_requests", Detail: "web.error.too_many",
		Header: http.Header{"Retry-After": {wholeSeconds(retryAfter)}}}
}

// wholeSeconds rounds up, for Retry-After (RFC 9110 §10.2.3).
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((max(d, 0)+time.Second-1)/time.Second), 10)
}

// statusClosed is logged when the client has gone before there was an answer.
const statusClosed = 499

// asError maps any error to what the client is told.
func asError(ctx context.Context, err error) *Error {
	var e *Error
	var tooLarge *http.MaxBytesError
	var bad *InputError
	switch {
	case errors.As(err, &e):
		if e.Status >= 400 && e.Status <= 599 && e.Code != "" {
			return e
		}
		return internal(fmt.Errorf("malformed web.Error: %w", err))
	case errors.As(err, &bad):
		return bad.reply()
	case errors.As(err, &tooLarge):
		return &Error{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: "web.error.too_large", Err: err}
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return &Error{Status: statusClosed, Code: "client_closed_request", Err: err}
	case errors.Is(err, context.DeadlineExceeded):
		return Unavailable(err)
	}
	return internal(err)
}

func internal(err error) *Error {
	return &Error{Status: http.StatusInternalServerError, Code: "internal", Detail: "web.error.internal", Err: err}
}
