package idp

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"

	"oruro.gob.bo/suti/idp/internal/client"
	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/web"
)

// authenticated reads the body of a back-channel request and the client it
// comes from. Its error is for refuse.
func (p *Provider) authenticated(w http.ResponseWriter, r *http.Request) (url.Values, *store.Client, error) {
	w.Header().Set("Cache-Control", "no-store")
	if r.URL.RawQuery != "" {
		return nil, nil, oauth.Refuse(oauth.InvalidRequest, "parameters belong in the body")
	}
	form, err := readForm(r)
	if err != nil {
		return nil, nil, err
	}
	c, err := p.clients.Authenticate(r.Context(), r, form)
	if errors.Is(err, client.ErrAuthentication) {
		e := oauth.Refuse(oauth.InvalidClient, "client authentication failed")
		e.Err = err
		return nil, nil, e
	}
	return form, c, err
}

// readForm reads the body as a form without repeated parameters.
func readForm(r *http.Request) (url.Values, error) {
	v, err := web.Form(r, maxForm)
	if err != nil {
		e := oauth.Refuse(oauth.InvalidRequest, "the body is not a form without repeated parameters")
		e.Err = err
		return nil, e
	}
	return plainValues(v), nil
}

func plainValues(v *web.Values) url.Values {
	out := url.Values{}
	for _, name := range v.Names() {
		out[name] = v.All(name)
	}
	return out
}

// refuse answers a protocol error as JSON (RFC 6749 §5.2); any other error is
// returned to the wrapper, which answers 500 without a word.
func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, err error) error {
	var e *oauth.Error
	if !errors.As(err, &e) {
		for _, transient := range []error{db.ErrBusy, db.ErrUnavailable, db.ErrOutcomeUnknown, db.ErrDeadline, db.ErrStopped, db.ErrClosed} {
			if errors.Is(err, transient) {
				return web.Unavailable(err)
			}
		}
		return err
	}
	p.cfg.Logger.LogAttrs(r.Context(), slog.LevelInfo, "oauth request refused", slog.String("path", r.URL.Path), slog.String("code", e.Code), slog.Any("cause", e.Err))
	if e.Code == oauth.InvalidClient && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="suti", charset="UTF-8"`)
	}
	return reply(w, e.Status(), map[string]any{"error": e.Code, "error_description": e.Description})
}

func reply(w http.ResponseWriter, status int, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, err = w.Write(raw)
	return err
}

// random256 returns 256 random bits in base64url.
func random256() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// hint is what an ID token of ours says, whatever its age.
type hint struct {
	Iss, Sub, Aud, Sid string
}

// idToken verifies an ID token that this provider issued; expiry is not looked at.
func (p *Provider) idToken(ctx context.Context, token string) (*hint, error) {
	payload, err := p.keys.Verify(ctx, token, "", "jwt")
	if err != nil {
		return nil, err
	}
	var h hint
	if err := json.Unmarshal(payload, &h); err != nil || h.Iss != p.cfg.Issuer || h.Sub == "" || h.Aud == "" {
		return nil, errors.New("idp: not an ID token of this provider")
	}
	return &h, nil
}
