package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"oruro.gob.bo/suti/internal/identity"
)

// Principal is the person signed in, as every context sees it (design D19). It
// is valid for one request. What posts and roles the person holds is not part of
// it: the context that acts asks their owner at that moment.
type Principal interface {
	// Person returns who it is.
	Person() identity.PersonID
	// Name returns how to address the person on a page; it may be empty.
	Name() string
	// Session returns the id of the session, for records. It is not the secret
	// in the cookie and opens nothing.
	Session() string
	// Epoch returns the subject epoch under which the session was checked. A
	// write in the person's name MUST require it in its own transaction.
	Epoch() int64
	// Level returns the assurance level, computed now from ceremony and state.
	Level() identity.Level
	// AuthTime returns when the person last proved who they are.
	AuthTime() time.Time
	// AMR returns the authentication methods of the session (RFC 8176).
	AMR() []string
	// SharedDevice reports whether the person said that others use the device.
	SharedDevice() bool
	// Require returns nil if the level is reached and, unless maxAge is 0, was
	// proved within maxAge; else a [*StepUp], which the handler returns as is.
	Require(level identity.Level, maxAge time.Duration) error
	// RequireKey returns nil if the person used a passkey of their own with user
	// verification within maxAge (0: in this session); else a [*StepUp]. It asks
	// for the method, not only for a fresh sign-in.
	RequireKey(maxAge time.Duration) error
}

// Authenticator finds the person behind a request. Principal MUST return a
// [*StepUp] with Login set when nobody is signed in or the session has ended,
// and any other error only when it could not find out. It must be safe for
// concurrent use, and decide validity by the subject epoch (design D16, D23).
type Authenticator interface {
	Principal(r *http.Request) (Principal, error)
}

// StepUp is the refusal that a sign-in can cure. A browser is sent to Path with
// the way back; a program gets the challenge of RFC 9470.
type StepUp struct {
	// Path is where the person can go on: a path of this site.
	Path string
	// Login says that nobody is signed in.
	Login bool
	// Level and MaxAge are what was required; MaxAge 0 means any age.
	Level  identity.Level
	MaxAge time.Duration
	// Key says that a passkey was required.
	Key bool
}

// Error implements error.
func (s *StepUp) Error() string {
	if s.Login {
		return "nobody is signed in"
	}
	return fmt.Sprintf("step-up needed: %s, max age %v, key %v", s.Level, s.MaxAge, s.Key)
}

// challenge returns the WWW-Authenticate value of RFC 9470 §3.
func (s *StepUp) challenge(scheme string) string {
	if s.Login {
		return scheme
	}
	acr := s.Level.ACR()
	if s.Key {
		acr += " " + identity.ACRPhishingResistant
	}
	parts := []string{`error="insufficient_user_authentication"`, `acr_values="` + acr + `"`}
	if s.MaxAge > 0 {
		parts = append(parts, `max_age="`+wholeSeconds(s.MaxAge)+`"`)
	}
	return scheme + " " + strings.Join(parts, ", ")
}

type principalKey struct{}

// WithPrincipal returns a context that carries p to the handler's callees. Only
// [RequirePrincipal] and tests need it.
func WithPrincipal(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// PrincipalFrom returns the person that [RequirePrincipal] let pass.
func PrincipalFrom(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(principalKey{}).(Principal)
	return p, ok
}

// RequirePrincipal lets only signed-in people pass whose level is reached within
// maxAge (0: any age). Others are sent to sign in, or get a 401 from an API.
func RequirePrincipal(auth Authenticator, level identity.Level, maxAge time.Duration) func(HandlerFunc) HandlerFunc {
	return requirePrincipal(auth, func(p Principal) error { return p.Require(level, maxAge) })
}

// RequireKeyPrincipal lets only people pass who used a passkey within maxAge and
// whose level is reached.
func RequireKeyPrincipal(auth Authenticator, level identity.Level, maxAge time.Duration) func(HandlerFunc) HandlerFunc {
	return requirePrincipal(auth, func(p Principal) error {
		if err := p.Require(level, 0); err != nil {
			return err
		}
		return p.RequireKey(maxAge)
	})
}

func requirePrincipal(auth Authenticator, require func(Principal) error) func(HandlerFunc) HandlerFunc {
	return func(next HandlerFunc) HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) error {
			p, err := auth.Principal(r)
			if err != nil {
				return err
			}
			if p == nil {
				return errors.New("web: authenticator returned neither person nor error")
			}
			if err := require(p); err != nil {
				return err
			}
			return next(w, r.WithContext(WithPrincipal(r.Context(), p)))
		}
	}
}
