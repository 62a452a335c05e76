package idp_test

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"oruro.gob.bo/suti/internal/identity"
)

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk0"

func challenge(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// authorize builds an authorization request; pairs replace parameters, "" removes one.
func (a *app) authorize(pairs ...string) string {
	q := url.Values{
		"client_id": {a.id}, "redirect_uri": {a.redirect}, "response_type": {"code"}, "scope": {"openid profile"}, "state": {"st"}, "nonce": {"n-1"},
		"code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if q.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			q.Del(pairs[i])
		}
	}
	return a.w.issuer + "/oauth2/authorize?" + q.Encode()
}

// assertion makes a client assertion; change may spoil its claims.
func (a *app) assertion(change func(claims map[string]any)) string {
	now := a.w.clock.Now()
	claims := map[string]any{"iss": a.id, "sub": a.id, "aud": a.w.issuer, "jti": identity.NewID("jti", now), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	if change != nil {
		change(claims)
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: a.key, KeyID: cmp.Or(a.kid, "k1")}}, nil))(a.w.t)
	raw := must(json.Marshal(claims))(a.w.t)
	return must(must(signer.Sign(raw))(a.w.t).CompactSerialize())(a.w.t)
}

// credentials adds the client's to a form, or returns them as headers.
func (a *app) credentials(form url.Values) (header []string) {
	switch {
	case a.public:
		form.Set("client_id", a.id)
	case a.key != nil:
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", a.assertion(nil))
	default:
		header = []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(a.id)+":"+url.QueryEscape(a.secret)))}
	}
	return header
}

// call posts to a back-channel endpoint as the client, with a proof of its key
// at the token endpoint if it must prove one.
func (a *app) call(path string, form url.Values) (int, map[string]any) {
	if a.dpop != nil && path == "/oauth2/token" {
		k := *a.dpop // several calls may be under way
		res, out := a.post(path, form, &k)
		if out["error"] == "use_dpop_nonce" {
			res, out = a.post(path, form, &k)
		}
		return res.StatusCode, out
	}
	header := a.credentials(form)
	res, body := (&browser{w: a.w}).do(http.MethodPost, a.w.issuer+path, "application/x-www-form-urlencoded", form.Encode(), header...)
	var out map[string]any
	_ = json.Unmarshal([]byte(body), &out)
	return res.StatusCode, out
}

func (a *app) redeem(code string, pairs ...string) (int, map[string]any) {
	form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.redirect}, "code_verifier": {verifier}}
	for i := 0; i+1 < len(pairs); i += 2 {
		if form.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			form.Del(pairs[i])
		}
	}
	return a.call("/oauth2/token", form)
}

func (a *app) active(token any) bool {
	s, _ := token.(string)
	status, out := a.call("/oauth2/introspect", url.Values{"token": {s}})
	if status != http.StatusOK {
		a.w.t.Fatalf("introspect: %d %v", status, out)
	}
	return out["active"] == true
}

func claimsOf(t *testing.T, token any) map[string]any {
	t.Helper()
	s, _ := token.(string)
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		t.Fatalf("no ID token: %v", token)
	}
	raw := must(base64.RawURLEncoding.DecodeString(parts[1]))(t)
	var c map[string]any
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	return c
}
