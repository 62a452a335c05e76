package oauth

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"oruro.gob.bo/suti/idp/internal/store"
)

// GrantExchange is the token exchange grant (RFC 8693 §2.1).
const GrantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// TokenTypeAccess is the one type of token that is exchanged and issued (RFC 8693 §3).
const TokenTypeAccess = "urn:ietf:params:oauth:token-type:access_token"

// maxActors bounds the chain of those who act for the person.
const maxActors = 3

// Exchange is a token exchange of an authenticated client.
type Exchange struct {
	Client  *store.Client
	Subject *store.Access
	Grant   *store.Grant
	Target  string
	Scopes  []string
	JKT     string
}

// ParseExchange checks the parameters of a token exchange, the subject token
// itself excepted, and returns the service that is asked for.
func ParseExchange(form url.Values, c *store.Client) (target string, e *Error) {
	switch {
	case c.Public() || !contains(c.Grants, GrantExchange):
		return "", Refuse(UnauthorizedClient, "the client may not exchange tokens")
	case form.Get("subject_token") == "":
		return "", Refuse(InvalidRequest, "subject_token is missing")
	case form.Get("subject_token_type") != TokenTypeAccess:
		return "", Refuse(InvalidRequest, "subject_token_type must be that of access tokens")
	case form.Has("requested_token_type") && form.Get("requested_token_type") != TokenTypeAccess:
		return "", Refuse(InvalidRequest, "requested_token_type must be that of access tokens")
	case form.Has("actor_token") || form.Has("actor_token_type"):
		return "", Refuse(InvalidRequest, "the actor is the authenticated client: actor_token is not taken")
	}
	target = form.Get("resource")
	if audience := form.Get("audience"); target == "" {
		target = audience
	} else if audience != "" && audience != target {
		return "", Refuse(InvalidTarget, "resource and audience name two services")
	}
	if target == "" {
		return "", Refuse(InvalidRequest, "resource is missing: say for which service")
	}
	if !slices.Contains(c.Exchanges, target) {
		return "", Refuse(InvalidTarget, "the client is not registered for this service")
	}
	return target, nil
}

// Narrow returns the scopes of an exchanged token: those asked for, or all that
// are for use at a service. None may be new.
func Narrow(asked string, had []string) ([]string, *Error) {
	own := func(s string) bool { return s == "openid" || s == "offline_access" } // mean something only here
	var out []string
	if asked == "" {
		out = slices.DeleteFunc(slices.Clone(had), own)
	}
	for s := range strings.FieldsSeq(asked) {
		if own(s) || !contains(had, s) {
			return nil, Refuse(InvalidScope, "a scope is not one of the subject token's")
		}
		if !contains(out, s) {
			out = append(out, s)
		}
	}
	if len(out) == 0 {
		return nil, Refuse(InvalidScope, "no scope is left for the service")
	}
	return out, nil
}

// Exchange makes the token of a checked exchange: beneath the same grant, for the
// target alone, with the client as the newest of those who act.
func (e *Engine) Exchange(ctx context.Context, in Exchange) (*Tokens, error) {
	act := append([]string{in.Client.ID}, in.Subject.Act...)
	if len(act) > maxActors {
		return nil, Refuse(InvalidRequest, "too many act for the person already")
	}
	until := in.Subject.ExpiresAt
	if limit := e.cfg.Now().Add(maxJWTLife); limit.Before(until) {
		until = limit
	}
	value, a, err := e.access(ctx, accessFor{client: in.Client, grant: in.Grant, scopes: in.Scopes, resource: in.Target, jkt: in.JKT, act: act, until: until})
	if err != nil {
		return nil, err
	}
	details, err := GrantedDetails(in.Grant, a.Audience, e.cfg.Now())
	if err != nil {
		return nil, err
	}
	return &Tokens{AccessToken: value, ExpiresIn: a.ExpiresAt.Sub(a.CreatedAt), Scopes: in.Scopes, Details: details, IssuedType: TokenTypeAccess, Access: a}, nil
}

// Act is the act claim of a chain of clients, the newest first (RFC 8693 §4.1).
func Act(chain []string) map[string]any {
	var out map[string]any
	for _, id := range slices.Backward(chain) {
		next := map[string]any{"sub": id}
		if out != nil {
			next["act"] = out
		}
		out = next
	}
	return out
}
