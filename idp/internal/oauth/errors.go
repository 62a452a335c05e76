package oauth

import (
	"fmt"
	"net/http"
)

// Error codes of RFC 6749, OpenID Connect Core 1.0, RFC 7009, RFC 8707, RFC 9126, RFC 9449
// and OpenID Connect Core Error Code unmet_authentication_requirements 1.0.
const (
	InvalidRequest          = "invalid_request"
	InvalidClient           = "invalid_client"
	InvalidGrant            = "invalid_grant"
	InvalidScope            = "invalid_scope"
	InvalidToken            = "invalid_token"
	InsufficientScope       = "insufficient_scope"
	UnauthorizedClient      = "unauthorized_client"
	UnsupportedGrantType    = "unsupported_grant_type"
	UnsupportedResponseType = "unsupported_response_type"
	UnsupportedTokenType    = "unsupported_token_type"
	AccessDenied            = "access_denied"
	ServerError             = "server_error"
	TemporarilyUnavailable  = "temporarily_unavailable"
	LoginRequired           = "login_required"
	ConsentRequired         = "consent_required"
	InteractionRequired     = "interaction_required"
	AccountSelection        = "account_selection_required"
	RequestNotSupported     = "request_not_supported"
	RequestURINotSupported  = "request_uri_not_supported"
	RegistrationUnsupported = "registration_not_supported"
	InvalidRequestURI       = "invalid_request_uri"
	UnmetRequirements       = "unmet_authentication_requirements"
	InvalidDPoPProof        = "invalid_dpop_proof"
	UseDPoPNonce            = "use_dpop_nonce"
	InvalidRequestObject    = "invalid_request_object"
	InvalidTarget           = "invalid_target"
)

// Error is an answer of the protocol. A new one is built for each use.
type Error struct {
	Code        string
	Description string // ASCII, without quotes or line breaks (RFC 6749 §5.2)
	Err         error  // cause, for the log only
}

// Refuse builds an Error.
func Refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Description: fmt.Sprintf(format, args...)}
}

// Error returns the code and the description.
func (e *Error) Error() string { return e.Code + ": " + e.Description }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Status returns the HTTP status of the code at a back-channel endpoint.
func (e *Error) Status() int {
	switch e.Code {
	case InvalidClient, InvalidToken:
		return http.StatusUnauthorized
	case InsufficientScope:
		return http.StatusForbidden
	case ServerError:
		return http.StatusInternalServerError
	case TemporarilyUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// FrontError is a refusal of an authorization request. Where Redirect is false
// the browser MUST NOT be sent anywhere: the client or its address is unproven.
type FrontError struct {
	Cause    *Error
	Redirect bool
	Request  *Request // what is known of the request, for the response; nil unless Redirect
}

// Error returns the cause's text.
func (e *FrontError) Error() string { return e.Cause.Error() }

// Unwrap returns the protocol error.
func (e *FrontError) Unwrap() error { return e.Cause }
