package oauth

import (
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp/internal/store"
)

// Bounds of the parameters of an authorization request, in bytes.
const (
	maxState  = 2048
	maxNonce  = 512
	maxClaims = 8 << 10
	maxHint   = 16 << 10
	maxScope  = 2048
	maxSmall  = 512
)

// The response modes served.
const (
	ModeQuery    = "query"
	ModeFragment = "fragment"
	ModeFormPost = "form_post"
	modeJWT      = ".jwt" // after any of them: the answer is one JWT (JARM)
)

// WaivePKCE names the waiver of legacy clients that send no code challenge.
const WaivePKCE = "pkce"

// Request is an authorization request in canonical form: every parameter parsed
// once, bounded and checked against the client. It is what is stored, what the
// login flow reads and what the grant keeps.
type Request struct {
	Client       string `json:"client"`
	RedirectURI  string `json:"redirect_uri,omitempty"`
	Local        string `json:"local,omitempty"` // own page to return to; instead of RedirectURI for Suti's own pages
	ResponseMode string `json:"response_mode,omitempty"`
	// ResponseAlg signs the answer, which is one JWT then (JARM); "" for plain parameters.
	ResponseAlg  string          `json:"response_alg,omitempty"`
	State        *string         `json:"state,omitempty"` // nil when none was sent
	Scopes       []string        `json:"scopes,omitempty"`
	Nonce        string          `json:"nonce,omitempty"`
	Challenge    string          `json:"challenge,omitempty"`
	DPoPJKT      string          `json:"dpop_jkt,omitempty"` // key that the code is bound to (RFC 9449 §10)
	Resource     string          `json:"resource,omitempty"` // audience of the access tokens (RFC 8707)
	Prompt       []string        `json:"prompt,omitempty"`
	MaxAge       *int64          `json:"max_age,omitempty"` // seconds
	ACRValues    []string        `json:"acr_values,omitempty"`
	EssentialACR []string        `json:"essential_acr,omitempty"` // one of them must be met
	Claims       json.RawMessage `json:"claims,omitempty"`
	// IDTokenClaims are the claims that the claims parameter asks for in the ID token.
	IDTokenClaims []string  `json:"id_token_claims,omitempty"`
	LoginHint     string    `json:"login_hint,omitempty"`
	IDTokenHint   string    `json:"id_token_hint,omitempty"`
	HintSubject   string    `json:"hint_subject,omitempty"` // sub of the verified hint, or the one that claims asks for
	UILocales     []string  `json:"ui_locales,omitempty"`
	Details       []Detail  `json:"authorization_details,omitempty"`
	Device        *Device   `json:"device,omitempty"` // of a device without a browser; then there is no RedirectURI
	At            time.Time `json:"at"`               // when the request came
}

// HasPrompt reports whether the request asks for a prompt.
func (r *Request) HasPrompt(p string) bool { return slices.Contains(r.Prompt, p) }

// HasScope reports whether the request asks for a scope.
func (r *Request) HasScope(s string) bool { return slices.Contains(r.Scopes, s) }

// Encode returns the canonical JSON.
func (r *Request) Encode() string {
	raw, err := json.Marshal(r)
	if err != nil {
		panic("idp: canonical request does not marshal: " + err.Error()) // Claims was checked to be JSON
	}
	return string(raw)
}

// DecodeRequest reads what Encode wrote.
func DecodeRequest(raw string) (*Request, error) {
	var r Request
	if err := json.Unmarshal([]byte(raw), &r); err != nil {
		return nil, err
	}
	return &r, nil
}

// ParseRequest checks the parameters of an authorization request of a known
// client. Repeated parameters have been refused before. Its error is a *FrontError.
func ParseRequest(q url.Values, c *store.Client, now time.Time) (*Request, error) {
	redirect := q.Get("redirect_uri")
	if !MatchRedirect(c, redirect) {
		return nil, &FrontError{Cause: Refuse(InvalidRequest, "redirect_uri is not registered for this client")}
	}
	r := &Request{Client: c.ID, RedirectURI: redirect, ResponseMode: ModeQuery, At: now.UTC()}
	fail := func(e *Error) (*Request, error) { return nil, &FrontError{Cause: e, Redirect: true, Request: r} }
	if vs, sent := q["state"]; sent && len(vs[0]) <= maxState {
		r.State = &vs[0]
	}
	switch mode := q.Get("response_mode"); mode { // before any other fault, which is answered in it
	case "", ModeQuery:
	case ModeFragment, ModeFormPost:
		r.ResponseMode = mode
	case "jwt", ModeQuery + modeJWT, ModeFragment + modeJWT, ModeFormPost + modeJWT:
		if mode != "jwt" { // which is query.jwt for a code (JARM §2.3.4)
			r.ResponseMode = strings.TrimSuffix(mode, modeJWT)
		}
		if r.ResponseAlg = c.ResponseAlg; r.ResponseAlg == "" {
			r.ResponseAlg = c.IDTokenAlg
		}
	default:
		return fail(Refuse(InvalidRequest, "response_mode is not supported"))
	}
	if q.Has("state") && r.State == nil {
		return fail(Refuse(InvalidRequest, "state is longer than %d bytes", maxState))
	}
	for _, check := range []func(url.Values, *store.Client, *Request, time.Time) *Error{checkKind, checkScope, checkPKCE, checkKey, checkResource, checkAuthentication, checkClaims, checkDetails, checkHints} {
		if e := check(q, c, r, now); e != nil {
			return fail(e)
		}
	}
	return r, nil
}

func checkKind(q url.Values, c *store.Client, _ *Request, _ time.Time) *Error {
	switch {
	case q.Get("request") != "":
		return Refuse(RequestNotSupported, "request objects are not supported")
	case q.Get("request_uri") != "":
		return Refuse(RequestURINotSupported, "request_uri must name a pushed request")
	case q.Get("registration") != "":
		return Refuse(RegistrationUnsupported, "registration is not supported")
	case q.Get("response_type") == "":
		return Refuse(InvalidRequest, "response_type is missing")
	case q.Get("response_type") != "code":
		return Refuse(UnsupportedResponseType, "only response_type=code is supported")
	case !slices.Contains(c.Grants, GrantCode):
		return Refuse(UnauthorizedClient, "the client may not use the authorization code grant")
	}
	return nil
}

// checkScope keeps the scopes that the client is registered for; others are
// passed over, as OpenID Connect Core 1.0 §3.1.2.1 asks.
func checkScope(q url.Values, c *store.Client, r *Request, _ time.Time) *Error {
	raw := q.Get("scope")
	if len(raw) > maxScope {
		return Refuse(InvalidScope, "scope is longer than %d bytes", maxScope)
	}
	for s := range strings.FieldsSeq(raw) {
		if slices.Contains(c.Scopes, s) && !slices.Contains(r.Scopes, s) {
			r.Scopes = append(r.Scopes, s)
		}
	}
	if len(r.Scopes) == 0 {
		return Refuse(InvalidScope, "no scope that this client may ask for")
	}
	return nil
}

func checkPKCE(q url.Values, c *store.Client, r *Request, now time.Time) *Error {
	challenge, method := q.Get("code_challenge"), q.Get("code_challenge_method")
	switch {
	case challenge == "" && method == "" && !c.Public() && c.Waived(WaivePKCE, now):
		return nil
	case challenge == "":
		return Refuse(InvalidRequest, "code_challenge is missing")
	case method != "S256":
		return Refuse(InvalidRequest, "code_challenge_method must be S256")
	case len(challenge) != 43 || strings.Trim(challenge, base64url) != "":
		return Refuse(InvalidRequest, "code_challenge is not the base64url of a SHA-256 hash")
	}
	r.Challenge = challenge
	return nil
}

// checkKey reads the thumbprint of the DPoP key that the code shall be bound to.
func checkKey(q url.Values, _ *store.Client, r *Request, _ time.Time) *Error {
	jkt := q.Get("dpop_jkt")
	if jkt != "" && (len(jkt) != 43 || strings.Trim(jkt, base64url) != "") {
		return Refuse(InvalidRequest, "dpop_jkt is not the base64url of a SHA-256 hash")
	}
	r.DPoPJKT = jkt
	return nil
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// checkAuthentication reads nonce, prompt, max_age and acr_values.
func checkAuthentication(q url.Values, _ *store.Client, r *Request, _ time.Time) *Error {
	if r.Nonce = q.Get("nonce"); len(r.Nonce) > maxNonce {
		return Refuse(InvalidRequest, "nonce is longer than %d bytes", maxNonce)
	}
	r.Prompt = strings.Fields(q.Get("prompt"))
	for _, p := range r.Prompt {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, p) {
			return Refuse(InvalidRequest, "prompt has an unknown value")
		}
	}
	if r.HasPrompt("none") && len(r.Prompt) > 1 {
		return Refuse(InvalidRequest, "prompt=none excludes other values")
	}
	if raw := q.Get("max_age"); raw != "" {
		n, err := strconv.ParseInt(raw, 10, 32)
		if err != nil || n < 0 {
			return Refuse(InvalidRequest, "max_age is not a number of seconds")
		}
		r.MaxAge = &n
	}
	raw := q.Get("acr_values")
	if len(raw) > maxSmall {
		return Refuse(InvalidRequest, "acr_values is longer than %d bytes", maxSmall)
	}
	r.ACRValues = strings.Fields(raw)
	return nil
}

// checkClaims reads what the claims parameter (OpenID Connect Core 1.0 §5.5)
// asks of the authentication, and keeps the rest as it came.
func checkClaims(q url.Values, _ *store.Client, r *Request, _ time.Time) *Error {
	raw := q.Get("claims")
	if raw == "" {
		return nil
	}
	if len(raw) > maxClaims {
		return Refuse(InvalidRequest, "claims is longer than %d bytes", maxClaims)
	}
	var c struct {
		IDToken  map[string]json.RawMessage `json:"id_token"`
		UserInfo map[string]json.RawMessage `json:"userinfo"`
	}
	if err := json.Unmarshal([]byte(raw), &c); err != nil {
		return Refuse(InvalidRequest, "claims is not a JSON object")
	}
	r.Claims = json.RawMessage(raw)
	for name := range c.IDToken {
		r.IDTokenClaims = append(r.IDTokenClaims, name)
	}
	slices.Sort(r.IDTokenClaims)
	var sub struct {
		Value string `json:"value"`
	}
	if asked, ok := c.IDToken["sub"]; ok { // §5.5.1: nobody else may be answered about
		if json.Unmarshal(asked, &sub) != nil || len(sub.Value) > maxSmall {
			return Refuse(InvalidRequest, "claims asks for sub in a form that is not understood")
		}
		r.HintSubject = sub.Value
	}
	acr, ok := c.IDToken["acr"]
	if !ok || string(acr) == "null" {
		return nil
	}
	var want struct {
		Essential bool     `json:"essential"`
		Value     string   `json:"value"`
		Values    []string `json:"values"`
	}
	if err := json.Unmarshal(acr, &want); err != nil {
		return Refuse(InvalidRequest, "claims asks for acr in a form that is not understood")
	}
	if want.Value != "" {
		want.Values = append([]string{want.Value}, want.Values...)
	}
	if want.Essential && len(want.Values) > 0 {
		r.EssentialACR = want.Values
	} else {
		r.ACRValues = append(r.ACRValues, want.Values...)
	}
	return nil
}

func checkHints(q url.Values, _ *store.Client, r *Request, _ time.Time) *Error {
	if r.LoginHint = q.Get("login_hint"); len(r.LoginHint) > maxSmall {
		r.LoginHint = "" // a hint is no demand
	}
	if locales := q.Get("ui_locales"); len(locales) <= maxSmall {
		r.UILocales = strings.Fields(locales)
	}
	if r.IDTokenHint = q.Get("id_token_hint"); len(r.IDTokenHint) > maxHint {
		return Refuse(InvalidRequest, "id_token_hint is longer than %d bytes", maxHint)
	}
	return nil
}

// MatchRedirect reports whether uri is registered for the client, byte for
// byte. The one freedom is the port of a native application's loopback address
// (RFC 8252 §7.3), which must be an IP literal.
func MatchRedirect(c *store.Client, uri string) bool {
	if uri == "" || len(uri) > 2048 {
		return false
	}
	if slices.Contains(c.RedirectURIs, uri) {
		return true
	}
	if c.Profile != ProfileNative {
		return false
	}
	got, ok := loopback(uri)
	if !ok {
		return false
	}
	for _, reg := range c.RedirectURIs {
		if want, ok := loopback(reg); ok && got == want {
			return true
		}
	}
	return false
}

// loopback returns uri without its port if it is http on a loopback literal
// and has no other freedom in it.
func loopback(uri string) (string, bool) {
	if strings.ContainsAny(uri, "\\ \t\r\n#@%") {
		return "", false
	}
	for _, host := range []string{"http://127.0.0.1", "http://[::1]"} {
		rest, ok := strings.CutPrefix(uri, host)
		if !ok {
			continue
		}
		if after, ok := strings.CutPrefix(rest, ":"); ok {
			digits := after[:len(after)-len(strings.TrimLeft(after, "0123456789"))]
			if n, err := strconv.Atoi(digits); err != nil || n < 1 || n > 65535 {
				return "", false
			}
			rest = after[len(digits):]
		}
		if strings.HasPrefix(rest, "/") {
			return host + rest, true
		}
	}
	return "", false
}

// CheckRedirectURI tells why a redirect URI may not be registered for a
// profile, or nil: https, or http on the own machine; a private-use scheme for
// native applications only; no fragment, user, wildcard or dot segment.
func CheckRedirectURI(profile, uri string) *Error {
	u, err := url.Parse(uri)
	if err != nil || len(uri) > 2048 || strings.ContainsAny(uri, `\*"<>`) || strings.ContainsFunc(uri, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return Refuse(InvalidRequest, "redirect URI is malformed")
	}
	if port, err := strconv.Atoi(u.Port()); strings.HasSuffix(u.Host, ":") || u.Port() != "" && (err != nil || port < 1 || port > 65535) {
		return Refuse(InvalidRequest, "redirect URI has no such port")
	}
	switch {
	case strings.Contains(uri, "#"):
		return Refuse(InvalidRequest, "redirect URI has a fragment")
	case u.User != nil:
		return Refuse(InvalidRequest, "redirect URI has a user part")
	case strings.Contains(u.EscapedPath(), "/.."), strings.Contains(u.EscapedPath(), "/./"), strings.Contains(strings.ToLower(u.EscapedPath()), "%2e"):
		return Refuse(InvalidRequest, "redirect URI has dot segments")
	case u.Scheme == "https" && u.Hostname() != "":
		return nil
	case u.Scheme == "http" && slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()):
		return nil
	case profile == ProfileNative && strings.Contains(u.Scheme, ".") && u.Host == "":
		return nil
	}
	return Refuse(InvalidRequest, "redirect URI must be https")
}
