package sdk

import (
	"errors"
	"fmt"
)

// Sentinels that callers may branch on with errors.Is.
var (
	// ErrConfig reports a Config that cannot work; the text says what to change.
	ErrConfig = errors.New("sdk: configuration")
	// ErrDiscovery reports provider metadata that is unusable or names another issuer.
	ErrDiscovery = errors.New("sdk: provider metadata")
	// ErrToken reports a token that MUST NOT be trusted. The text says which check refused it and holds no part of the token.
	ErrToken = errors.New("sdk: token refused")
	// ErrState reports an authorization response that answers no request of this browser.
	ErrState = errors.New("sdk: response answers no request of this browser")
	// ErrNoSession reports a request without a live session.
	ErrNoSession = errors.New("sdk: no session")
)

// OAuthError is an error answered by the provider (RFC 6749 §5.2, §4.1.2.1).
type OAuthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	Status      int    `json:"-"` // HTTP status of the reply, 0 for a redirect
}

// Error returns the code and the description.
func (e *OAuthError) Error() string {
	if e.Description == "" {
		return "sdk: provider answered " + e.Code
	}
	return fmt.Sprintf("sdk: provider answered %s: %s", e.Code, e.Description)
}

// tokenErr builds an ErrToken that names the failed check.
func tokenErr(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrToken, fmt.Sprintf(format, args...))
}
