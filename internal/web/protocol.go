package web

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// ProtocolMux serves OAuth endpoints, OCSP, time-stamps, certificates and tiles:
// bodies are forms or what a route accepts, cookies do not exist.
type ProtocolMux struct{ *mux }

// NewProtocolMux returns an empty mux.
func (s *Site) NewProtocolMux() *ProtocolMux {
	return &ProtocolMux{&mux{
		site: s, name: "protocol", maxBody: s.c.Limits.Protocol, noCookies: true,
		accepts: []string{"application/x-www-form-urlencoded"},
		headers: corsHeaders,
		check:   func(*http.Request) error { return nil },
		fault: func(w http.ResponseWriter, r *http.Request, rt *route, e *Error) {
			if rt.fault != nil {
				rt.fault(w, r, e)
				return
			}
			OAuthFault(w, r, e)
		},
		stepUp: func(w http.ResponseWriter, _ *http.Request, _ *route, su *StepUp) {
			w.Header().Set("WWW-Authenticate", su.challenge("Bearer"))
			writeOAuth(w, http.StatusUnauthorized, "insufficient_user_authentication")
		},
	}}
}

// Handle registers a route under a pattern "METHOD /path" as in net/http. With
// the option [CORS] it also answers the browser's preliminary question.
func (p *ProtocolMux) Handle(pattern string, h HandlerFunc, opts ...RouteOption) {
	p.handle(pattern, h, opts)
	rt := p.routes[len(p.routes)-1]
	if !rt.cors {
		return
	}
	method, path, _ := strings.Cut(pattern, " ")
	for _, other := range p.routes {
		if other.pattern == "OPTIONS "+path {
			return
		}
	}
	p.handle("OPTIONS "+path, func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Access-Control-Allow-Methods", method)
		w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, DPoP")
		w.Header().Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
		return nil
	}, []RouteOption{CORS()})
}

// CORS lets scripts of any origin read the answers of a protocol route. There
// are no cookies on these routes, so the star gives nobody anyone's authority.
func CORS() RouteOption { return func(rt *route) { rt.cors = true } }

// Faults sets how the errors of a protocol route are written; [OAuthFault] else.
func Faults(f FaultWriter) RouteOption { return func(rt *route) { rt.fault = f } }

func corsHeaders(h http.Header, rt *route) {
	if !rt.cors {
		return
	}
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "DPoP-Nonce, Retry-After, WWW-Authenticate, X-Request-Id")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
}

// OAuthFault writes an error as JSON of RFC 6749 §5.2. Codes that are none of
// OAuth's become the one that fits the status.
func OAuthFault(w http.ResponseWriter, _ *http.Request, e *Error) {
	code := "invalid_request"
	switch {
	case isOAuthCode(e.Code):
		code = e.Code
	case e.Status == http.StatusServiceUnavailable || e.Status == http.StatusTooManyRequests:
		code = "temporarily_unavailable"
	case e.Status >= 500:
		code = "server_error"
	}
	writeOAuth(w, e.Status, code)
}

func isOAuthCode(code string) bool {
	switch code {
	case "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "invalid_scope",
		"access_denied", "server_error", "temporarily_unavailable", "invalid_token", "insufficient_scope", "invalid_dpop_proof", "use_dpop_nonce",
		"invalid_request_uri", "invalid_request_object", "authorization_pending", "slow_down", "expired_token", "unsupported_token_type", "invalid_target":
		return true
	}
	return false
}

func writeOAuth(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // the status is out; there is nobody left to tell
		Error string `json:"error"`
	}{code})
}

// PlainFault writes the status in words, for routes whose clients speak DER or
// fetch files.
func PlainFault(w http.ResponseWriter, _ *http.Request, e *Error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(e.Status)
	_, _ = io.WriteString(w, http.StatusText(e.Status)+"\n")
}
