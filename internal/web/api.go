package web

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"oruro.gob.bo/suti/sdk/api"
)

// APIMux serves JSON to programs. Its errors are RFC 9457 problems, cookies do
// not exist, form bodies are refused.
type APIMux struct{ *mux }

// NewAPIMux returns an empty mux.
func (s *Site) NewAPIMux() *APIMux {
	m := &mux{
		site: s, name: "api", maxBody: s.c.Limits.JSON, noCookies: true,
		accepts: []string{"application/json"},
		headers: func(http.Header, *route) {},
		check:   func(*http.Request) error { return nil },
		fault: func(w http.ResponseWriter, r *http.Request, _ *route, e *Error) {
			writeProblem(w, r, e)
		},
	}
	m.stepUp = func(w http.ResponseWriter, r *http.Request, _ *route, su *StepUp) {
		w.Header().Set("WWW-Authenticate", su.challenge("Bearer"))
		e := &Error{Status: http.StatusUnauthorized, Code: "insufficient_user_authentication", Detail: "web.error.step_up"}
		if su.Login {
			e.Code, e.Detail = "unauthenticated", "web.error.unauthenticated"
		}
		writeProblem(w, r, e)
	}
	return &APIMux{m}
}

// Handle registers a route under a pattern "METHOD /path" as in net/http. A body
// must be JSON of at most [Limits].JSON bytes unless an option says otherwise.
func (a *APIMux) Handle(pattern string, h HandlerFunc, opts ...RouteOption) {
	noForms := func(rt *route) {
		rt.accepts = slices.DeleteFunc(slices.Clone(rt.accepts), func(t string) bool {
			return t == "application/x-www-form-urlencoded" || t == "multipart/form-data" || t == "text/plain"
		})
	}
	a.handle(pattern, h, append(slices.Clone(opts), noForms))
}

// problem is [api.Problem] with the faults of single inputs.
type problem struct {
	api.Problem
	Errors []problemField `json:"errors,omitempty"`
}

type problemField struct {
	Pointer string `json:"pointer"`
	Code    string `json:"code"`
	Detail  string `json:"detail,omitempty"`
}

// writeProblem writes e as RFC 9457, in the language of the caller.
func writeProblem(w http.ResponseWriter, r *http.Request, e *Error) {
	ex := exchangeOf(r.Context())
	p := ex.printer(r)
	doc := problem{Problem: api.Problem{
		Type: "urn:suti:problem:" + e.Code, Title: p.T(statusTitle(e.Status)), Status: e.Status, Code: e.Code, RequestID: ex.id,
	}}
	if e.Detail != "" {
		doc.Detail = p.T(e.Detail, e.Args...)
	}
	for _, f := range e.Fields {
		pf := problemField{Pointer: f.Field, Code: f.Code}
		if f.Detail != "" {
			pf.Detail = p.T(f.Detail, f.Args...)
		}
		doc.Errors = append(doc.Errors, pf)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Content-Language", string(p.Lang()))
	w.Header().Add("Vary", "Accept-Language")
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(doc) // the status is out; there is nobody left to tell
}

// statusTitle returns the key of the short text of a status.
func statusTitle(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "web.status.unauthorized"
	case http.StatusForbidden, http.StatusMisdirectedRequest:
		return "web.status.forbidden"
	case http.StatusNotFound, http.StatusGone:
		return "web.status.not_found"
	case http.StatusConflict, http.StatusPreconditionFailed:
		return "web.status.conflict"
	case http.StatusTooManyRequests:
		return "web.status.too_many"
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return "web.status.unavailable"
	}
	if status >= 500 {
		return "web.status.internal"
	}
	return "web.status.bad_request"
}

// WriteJSON writes v with a status. v is encoded before anything is written.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(append(b, '\n'))
	return err
}

// maxIdempotencyKey bounds an idempotency key, in bytes.
const maxIdempotencyKey = 128

// IdempotencyKey returns the key under which a request may be repeated, from the
// header Idempotency-Key: a quoted string of structured fields (RFC 9651) or a
// bare word of visible ASCII. Missing or malformed keys are an [*Error] 400.
func IdempotencyKey(r *http.Request) (string, error) {
	bad := func(code, cause string) error {
		return &Error{Status: http.StatusBadRequest, Code: code, Detail: "web.error.idempotency_key", Err: errors.New(cause)}
	}
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", bad("idempotency_key_missing", "no key")
	}
	key := values[0]
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	visible := !strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == ',' || c == ';' })
	if len(values) > 1 || key == "" || len(key) > maxIdempotencyKey || !visible {
		return "", bad("idempotency_key_malformed", "key is repeated, empty, too long or has other characters")
	}
	return key, nil
}
