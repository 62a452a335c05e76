package idp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
)

// dpopKey is a client's key for proofs, made by another JOSE implementation than
// the one that checks them.
type dpopKey struct {
	w     *world
	key   crypto.Signer
	alg   jose.SignatureAlgorithm
	nonce string // the newest that the server gave
}

func newDPoPKey(w *world) *dpopKey {
	return &dpopKey{w: w, key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(w.t), alg: jose.ES256}
}

func (k *dpopKey) jkt() string {
	sum := must((&jose.JSONWebKey{Key: k.key.Public()}).Thumbprint(crypto.SHA256))(k.w.t)
	return base64.RawURLEncoding.EncodeToString(sum)
}

// spoil changes a proof's header and claims before it is signed.
type spoil func(head, claims map[string]any)

// proof makes a proof for a request.
func (k *dpopKey) proof(method, address, token string, change ...spoil) string {
	now := k.w.clock.Now()
	jwk := must(json.Marshal(jose.JSONWebKey{Key: k.key.Public()}))(k.w.t)
	head := map[string]any{"typ": "dpop+jwt", "alg": string(k.alg), "jwk": json.RawMessage(jwk)}
	claims := map[string]any{"jti": identity.NewID("jti", now), "htm": method, "htu": address, "iat": now.Unix()}
	if k.nonce != "" {
		claims["nonce"] = k.nonce
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	for _, f := range change {
		f(head, claims)
	}
	return k.sign(head, claims)
}

// sign makes a compact JWS with exactly that header, the ordinary library for the signature alone.
func (k *dpopKey) sign(head, claims map[string]any) string {
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString(must(json.Marshal(head))(k.w.t)) + "." + enc.EncodeToString(must(json.Marshal(claims))(k.w.t))
	digest := sha256.Sum256([]byte(signed))
	var sig []byte
	switch key := k.key.(type) {
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			k.w.t.Fatal(err)
		}
		sig = make([]byte, 64)
		r.FillBytes(sig[:32])
		s.FillBytes(sig[32:])
	case ed25519.PrivateKey:
		sig = ed25519.Sign(key, []byte(signed))
	case *rsa.PrivateKey:
		sig = must(rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))(k.w.t)
	}
	return signed + "." + enc.EncodeToString(sig)
}

// post sends a form with credentials of a and a proof, made by change.
func (a *app) post(path string, form url.Values, k *dpopKey, change ...spoil) (*http.Response, map[string]any) {
	var proofs []string
	if k != nil {
		proofs = []string{k.proof(http.MethodPost, a.w.issuer+path, "", change...)}
	}
	return a.postProofs(path, form, k, proofs...)
}

func (a *app) postProofs(path string, form url.Values, k *dpopKey, proofs ...string) (*http.Response, map[string]any) {
	form = maps.Clone(form)
	header := a.credentials(form)
	req := must(http.NewRequestWithContext(a.w.t.Context(), http.MethodPost, a.w.issuer+path, strings.NewReader(form.Encode())))(a.w.t)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	for _, p := range proofs {
		req.Header.Add("DPoP", p)
	}
	res := must(http.DefaultTransport.RoundTrip(req))(a.w.t)
	defer res.Body.Close()
	var out map[string]any
	_ = json.NewDecoder(res.Body).Decode(&out)
	if n := res.Header.Get("DPoP-Nonce"); n != "" && k != nil {
		k.nonce = n
	}
	return res, out
}

func machine(id string) idp.Client {
	return idp.Client{ID: id, Profile: idp.ProfileFAPI2, Scopes: []string{"firmas:leer", "openid", "offline_access"}, Grants: []string{"authorization_code", "client_credentials", "refresh_token"}}
}

func ownToken() url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "scope": {"firmas:leer"}}
}

func set(name string, v any) spoil { return func(_, c map[string]any) { c[name] = v } }
func setHead(name string, v any) spoil {
	return func(h, _ map[string]any) { h[name] = v }
}
func without(name string) spoil {
	return func(h, c map[string]any) { delete(h, name); delete(c, name) }
}

// TestDPoPProofRules is the list of RFC 9449 §4.3 and of the negative and
// positive modules of FAPI 2.0, at the token endpoint.
func TestDPoPProofRules(t *testing.T) {
	each(t, func(w *world) {
		a := w.register(machine("fapi"))
		k := newDPoPKey(w)
		res, out := a.post("/oauth2/token", ownToken(), k)
		if res.StatusCode != 400 || out["error"] != "use_dpop_nonce" || k.nonce == "" || res.Header.Get("Cache-Control") != "no-store" {
			w.t.Fatalf("first proof: %d %v, nonce %q", res.StatusCode, out, k.nonce)
		}
		good := func(name string, change ...spoil) {
			if res, out := a.post("/oauth2/token", ownToken(), k, change...); res.StatusCode != 200 || out["token_type"] != "DPoP" {
				w.t.Errorf("%s: got %d %v, want a bound token", name, res.StatusCode, out)
			}
		}
		at, private := w.issuer+"/oauth2/token", map[string]any{"kty": "EC", "crv": "P-256", "x": "", "y": "", "d": "AA"}
		_ = json.Unmarshal(must(json.Marshal(jose.JSONWebKey{Key: k.key}))(w.t), &private)
		now := func(d time.Duration) int64 { return w.clock.Now().Add(d).Unix() }
		good("plain")
		good("iat 10 s before", set("iat", now(-10*time.Second)))
		good("iat 10 s after", set("iat", now(10*time.Second)))
		good("iat with a fraction", set("iat", float64(now(0))+0.5))
		good("query and fragment in htu", set("htu", at+"?a=b#c"))
		good("upper-case host", set("htu", strings.Replace(at, "localhost", "LOCALHOST", 1)))
		good("upper-case scheme", set("htu", strings.Replace(at, "http:", "HTTP:", 1)))
		good("percent-encoded letter", set("htu", strings.Replace(at, "token", "%74oken", 1)))
		good("extra claims", set("extra", []int{1, 2}), setHead("other", "x"))
		for name, change := range map[string]spoil{
			"no typ": without("typ"), "no alg": without("alg"), "no jwk": without("jwk"), "no jti": without("jti"), "no htm": without("htm"), "no htu": without("htu"), "no iat": without("iat"),
			"typ of a JWT": setHead("typ", "JWT"), "alg none": setHead("alg", "none"), "alg RS256": setHead("alg", "RS256"), "alg ES384": setHead("alg", "ES384"), "alg of another key": setHead("alg", "EdDSA"),
			"critical header": setHead("crit", []string{"b64"}), "unencoded payload": setHead("b64", false), "private key": setHead("jwk", private),
			"jwk a string": setHead("jwk", "x"), "jwk for encryption": func(h, _ map[string]any) { h["jwk"] = with(w.t, h["jwk"], "use", "enc") },
			"jwk off the curve": func(h, _ map[string]any) { h["jwk"] = with(w.t, h["jwk"], "y", strings.Repeat("A", 43)) },
			"empty jti":         set("jti", ""), "long jti": set("jti", strings.Repeat("j", 300)), "jti a number": set("jti", 7),
			"htm GET": set("htm", "GET"), "htm in lower case": set("htm", "post"), "htu of another endpoint": set("htu", w.issuer+"/oauth2/par"), "htu of another host": set("htu", "https://otro.example/oauth2/token"),
			"htu a path": set("htu", "/oauth2/token"), "htu with a user": set("htu", strings.Replace(at, "//", "//a@", 1)), "htu with another port": set("htu", "http://localhost:1/oauth2/token"), "htu in upper case": set("htu", strings.Replace(at, "token", "TOKEN", 1)),
			"iat an hour before": set("iat", now(-time.Hour)), "iat an hour after": set("iat", now(time.Hour)), "iat a word": set("iat", "now"), "iat beyond time": set("iat", 1e300),
		} {
			if res, out := a.post("/oauth2/token", ownToken(), k, change); res.StatusCode != 400 || out["error"] != "invalid_dpop_proof" {
				w.t.Errorf("%s: got %d %v, want invalid_dpop_proof", name, res.StatusCode, out)
			}
		}
		proof := k.proof("POST", at, "")
		other := newDPoPKey(w)
		other.nonce = k.nonce
		foreign := other.proof("POST", at, "")
		cut := strings.LastIndexByte(foreign, '.')
		for name, proofs := range map[string][]string{
			"none": nil, "two": {proof, k.proof("POST", at, "")}, "empty": {""}, "not a JWS": {"x.y"}, "padding": {proof + "="}, "signature of another": {proof[:strings.LastIndexByte(proof, '.')] + foreign[cut:]},
			"one of two parts": {proof + "," + proof}, "too long": {proof + strings.Repeat("A", 9000)},
		} {
			if res, out := a.postProofs("/oauth2/token", ownToken(), nil, proofs...); res.StatusCode != 400 || out["error"] != "invalid_dpop_proof" {
				w.t.Errorf("proofs %s: got %d %v, want invalid_dpop_proof", name, res.StatusCode, out)
			}
		}
		for name, nonce := range map[string]string{"none": "", "made up": strings.Repeat("A", 32), "short": "AA", "not base64": "{}"} {
			if res, out := a.post("/oauth2/token", ownToken(), k, set("nonce", nonce)); res.StatusCode != 400 || out["error"] != "use_dpop_nonce" || res.Header.Get("DPoP-Nonce") == "" {
				w.t.Errorf("nonce %s: got %d %v, want use_dpop_nonce", name, res.StatusCode, out)
			}
		}
		before := k.nonce
		w.clock.Add(5 * time.Minute)
		good("nonce of the window before", set("nonce", before))
		w.clock.Add(10 * time.Minute)
		if _, out := a.post("/oauth2/token", ownToken(), k, set("nonce", before)); out["error"] != "use_dpop_nonce" {
			w.t.Errorf("old nonce: %v", out)
		}
		for name, key := range map[string]crypto.Signer{"EdDSA": must2(ed25519.GenerateKey(rand.Reader))(w.t), "Ed25519": must2(ed25519.GenerateKey(rand.Reader))(w.t), "PS256": must(rsa.GenerateKey(rand.Reader, 2048))(w.t)} {
			other := &dpopKey{w: w, key: key, alg: jose.SignatureAlgorithm(name), nonce: k.nonce}
			res, out := a.post("/oauth2/token", ownToken(), other)
			if res.StatusCode != 200 || a.cnf(out["access_token"]) != other.jkt() {
				w.t.Errorf("%s: %d %v", name, res.StatusCode, out)
			}
		}
		small := &dpopKey{w: w, key: must(rsa.GenerateKey(rand.Reader, 1024))(w.t), alg: jose.PS256, nonce: k.nonce}
		if res, out := a.post("/oauth2/token", ownToken(), small); res.StatusCode != 400 || out["error"] != "invalid_dpop_proof" {
			w.t.Errorf("RSA of 1024 bits: %d %v", res.StatusCode, out)
		}
	})
}

func must2[T, U any](_ U, v T, err error) func(testing.TB) T { return must(v, err) }

// with returns a JWK with one member changed.
func with(t testing.TB, jwk any, name, value string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(jwk.(json.RawMessage), &out); err != nil {
		t.Fatal(err)
	}
	out[name] = value
	return out
}

// cnf returns the thumbprint that introspection names.
func (a *app) cnf(token any) string {
	s, _ := token.(string)
	_, out := a.call("/oauth2/introspect", url.Values{"token": {s}})
	cnf, _ := out["cnf"].(map[string]any)
	jkt, _ := cnf["jkt"].(string)
	if (out["token_type"] == "DPoP") != (jkt != "") {
		a.w.t.Errorf("introspection contradicts itself: %v", out)
	}
	return jkt
}

// TestDPoPProofIsUsedOnce: of many uses of one proof, one succeeds, at the token
// endpoint and at our own interfaces, on both engines.
func TestDPoPProofIsUsedOnce(t *testing.T) {
	each(t, func(w *world) {
		a := w.register(machine("fapi"))
		k := newDPoPKey(w)
		a.post("/oauth2/token", ownToken(), k)
		contend := func(name string, once func() bool) {
			var won atomic.Int64
			dbtest.Contend(w.t, 16, func(int) {
				if once() {
					won.Add(1)
				}
			})
			if won.Load() != 1 {
				w.t.Errorf("%s: one proof passed %d times", name, won.Load())
			}
		}
		proof := k.proof("POST", w.issuer+"/oauth2/token", "")
		contend("token endpoint", func() bool {
			res, out := a.postProofs("/oauth2/token", ownToken(), nil, proof)
			return res.StatusCode == 200 || out["error"] != "invalid_dpop_proof"
		})
		_, out := a.post("/oauth2/token", ownToken(), k)
		token := out["access_token"].(string)
		api := k.proof("POST", w.issuer+"/api/v1/documents", token)
		contend("our interface", func() bool {
			_, err := w.api(http.MethodPost, "DPoP "+token, api)
			if err != nil && !errors.Is(err, idp.ErrAPIToken) {
				w.t.Error(err)
			}
			return err == nil
		})
		other := newDPoPKey(w) // the same jti under another key is another proof
		other.nonce = k.nonce
		same := set("jti", "the-same")
		for _, key := range []*dpopKey{k, other} {
			if res, out := a.post("/oauth2/token", ownToken(), key, same); res.StatusCode != 200 {
				w.t.Errorf("jti of another key: %v", out)
			}
		}
	})
}

// api asks who calls /api/v1/documents.
func (w *world) api(method, authorization string, proofs ...string) (idp.APIClient, error) {
	r := must(http.NewRequestWithContext(w.t.Context(), method, w.issuer+"/api/v1/documents", nil))(w.t)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for _, p := range proofs {
		r.Header.Add("DPoP", p)
	}
	return w.p.APIClient(r)
}

// TestDPoPBoundTokenNeedsItsKey at our own interface and at userinfo.
func TestDPoPBoundTokenNeedsItsKey(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(machine("fapi"))
		plain := w.register(idp.Client{ID: "web", Profile: idp.ProfileWeb, Scopes: []string{"firmas:leer"}, Grants: []string{"authorization_code", "client_credentials"}})
		k := newDPoPKey(w)
		a.post("/oauth2/token", ownToken(), k)
		_, out := a.post("/oauth2/token", ownToken(), k)
		own := out["access_token"].(string)
		_, bearer := plain.call("/oauth2/token", ownToken())
		if bearer["token_type"] != "Bearer" {
			w.t.Fatalf("%v", bearer)
		}
		s := &suite{world: w, who: who}
		code := w.browser().enter(s.push(a, "scope", "openid"), who).Query().Get("code")
		_, tok := a.post("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.redirect}, "code_verifier": {verifier}}, k)
		persons, _ := tok["access_token"].(string)
		if persons == "" || tok["token_type"] != "DPoP" || a.cnf(persons) != k.jkt() {
			w.t.Fatalf("token of a code: %v", tok)
		}
		api, info := w.issuer+"/api/v1/documents", w.issuer+"/oauth2/userinfo"
		type attempt struct{ scheme, token, proof string }
		thief := newDPoPKey(w)
		thief.nonce = k.nonce
		tries := func(address, token string) map[string]attempt {
			return map[string]attempt{
				"downgrade to Bearer":       {"Bearer", token, ""},
				"Bearer with the proof":     {"Bearer", token, k.proof("GET", address, token)},
				"no proof":                  {"DPoP", token, ""},
				"proof without ath":         {"DPoP", token, k.proof("GET", address, "")},
				"proof of another token":    {"DPoP", token, k.proof("GET", address, token+"A")},
				"proof of another key":      {"DPoP", token, thief.proof("GET", address, token)},
				"proof for another method":  {"DPoP", token, k.proof("POST", address, token)},
				"proof for another address": {"DPoP", token, k.proof("GET", w.issuer+"/oauth2/token", token)},
				"proof with an old nonce":   {"DPoP", token, k.proof("GET", address, token, set("nonce", "old"))},
				"unknown token":             {"DPoP", token[:len(token)-1], k.proof("GET", address, token[:len(token)-1])},
				"token that is not bound":   {"DPoP", bearer["access_token"].(string), k.proof("GET", address, bearer["access_token"].(string))},
			}
		}
		for name, c := range tries(api, own) {
			_, err := w.api(http.MethodGet, c.scheme+" "+c.token, c.proof)
			var refused *idp.TokenRefusal
			if !errors.As(err, &refused) || !errors.Is(err, idp.ErrAPIToken) {
				w.t.Errorf("interface, %s: %v", name, err)
			} else if auth := strings.Join(refused.Challenge().Values("WWW-Authenticate"), "; "); !strings.Contains(auth, "DPoP realm=") || c.scheme == "DPoP" && refused.Challenge().Get("DPoP-Nonce") == "" {
				w.t.Errorf("interface, %s: challenge %q", name, auth)
			}
		}
		for name, c := range tries(info, persons) {
			res, body := (&browser{w: w}).do(http.MethodGet, info, "", "", "Authorization", c.scheme+" "+c.token, "DPoP", c.proof)
			if res.StatusCode != 401 || !strings.Contains(fmt.Sprint(res.Header["Www-Authenticate"]), `DPoP realm="suti", algs="ES256 EdDSA Ed25519 PS256"`) {
				w.t.Errorf("userinfo, %s: got %d %v %s", name, res.StatusCode, res.Header["Www-Authenticate"], body)
			}
		}
		if _, err := w.api(http.MethodGet, "dPoP "+own, k.proof("GET", api, own)); err != nil {
			w.t.Errorf("rightful call: %v", err)
		}
		if _, err := w.api(http.MethodGet, "Bearer "+bearer["access_token"].(string)); err != nil {
			w.t.Errorf("bearer token of a client without keys: %v", err)
		}
		res, body := (&browser{w: w}).do(http.MethodGet, info, "", "", "Authorization", "DPoP "+persons, "DPoP", k.proof("GET", info, persons))
		if res.StatusCode != 200 || res.Header.Get("DPoP-Nonce") == "" {
			w.t.Errorf("rightful userinfo: %d %s", res.StatusCode, body)
		}
		res, body = (&browser{w: w}).do(http.MethodPost, info, "application/x-www-form-urlencoded", url.Values{"access_token": {persons}}.Encode(), "DPoP", k.proof("POST", info, persons))
		if res.StatusCode != 401 {
			w.t.Errorf("bound token in the body: %d %s", res.StatusCode, body)
		}
	})
}

// TestDPoPBindsCodesAndRefreshTokens: dpop_jkt, the proof of a pushed request,
// and the keys of refresh tokens.
func TestDPoPBindsCodesAndRefreshTokens(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		f := w.register(machine("fapi"))
		spa := w.register(idp.Client{ID: "spa", Profile: idp.ProfileSPA})
		br, k, thief := w.browser(), newDPoPKey(w), newDPoPKey(w)
		spa.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}}, k)
		thief.nonce = k.nonce
		redeem := func(a *app, address string, key *dpopKey) (int, map[string]any) {
			code := br.enter(address, who).Query().Get("code")
			res, out := a.post("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {a.redirect}, "code_verifier": {verifier}}, key)
			return res.StatusCode, out
		}
		want := func(name string, status int, out map[string]any, code string) {
			w.t.Helper()
			if got, _ := out["error"].(string); (status == 200) != (code == "") || got != code {
				w.t.Errorf("%s: got %d %v, want %q", name, status, out, code)
			}
		}
		status, out := redeem(spa, spa.authorize("dpop_jkt", k.jkt()), thief)
		want("code bound by dpop_jkt, another key", status, out, "invalid_grant")
		status, out = redeem(spa, spa.authorize("dpop_jkt", k.jkt()), nil)
		want("code bound by dpop_jkt, no proof", status, out, "invalid_dpop_proof")
		status, out = redeem(spa, spa.authorize("dpop_jkt", k.jkt()), k)
		want("code bound by dpop_jkt, its key", status, out, "")
		if got := br.errorOf(spa.authorize("dpop_jkt", "short")); got != "invalid_request" {
			w.t.Errorf("malformed dpop_jkt: %q", got)
		}
		push := func(key *dpopKey, pairs ...string) (string, map[string]any) {
			_, out := f.post("/oauth2/par", must(url.Parse(f.authorize(append(pairs, "scope", "openid offline_access")...)))(w.t).Query(), key)
			uri, _ := out["request_uri"].(string)
			return w.issuer + "/oauth2/authorize?" + url.Values{"client_id": {f.id}, "request_uri": {uri}}.Encode(), out
		}
		address, _ := push(k)
		status, out = redeem(f, address, thief)
		want("code bound by the pushed request's proof, another key", status, out, "invalid_grant")
		address, _ = push(k)
		status, out = redeem(f, address, k)
		want("code bound by the pushed request's proof, its key", status, out, "")
		_, refused := push(k, "dpop_jkt", thief.jkt())
		want("pushed request of two keys", 400, refused, "invalid_dpop_proof")
		address, _ = push(nil)
		status, out = redeem(f, address, nil)
		want("gov-fapi2 without a proof", status, out, "invalid_dpop_proof")

		refresh := func(a *app, token any, key *dpopKey) (int, map[string]any) {
			value, _ := token.(string)
			res, out := a.post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {value}}, key)
			return res.StatusCode, out
		}
		_, tok := redeem(spa, spa.authorize("scope", "openid offline_access"), k)
		if tok["refresh_token"] == nil || tok["token_type"] != "DPoP" {
			w.t.Fatalf("no bound refresh token: %v", tok)
		}
		status, out = refresh(spa, tok["refresh_token"], thief)
		want("public client's refresh token, another key", status, out, "invalid_grant")
		status, out = refresh(spa, tok["refresh_token"], nil)
		want("public client's refresh token, no proof", status, out, "invalid_dpop_proof")
		status, next := refresh(spa, tok["refresh_token"], k)
		want("public client's refresh token, its key", status, next, "")
		status, again := refresh(spa, tok["refresh_token"], k)
		if want("within the grace", status, again, ""); next["refresh_token"] != again["refresh_token"] {
			w.t.Error("the grace gave another successor")
		}
		status, out = refresh(spa, next["refresh_token"], thief)
		want("successor, another key", status, out, "invalid_grant")
		status, out = refresh(spa, next["refresh_token"], k)
		want("successor, its key", status, out, "")

		address, _ = push(k)
		_, tok = redeem(f, address, k)
		status, out = refresh(f, tok["refresh_token"], nil)
		want("confidential client without a proof", status, out, "invalid_dpop_proof")
		status, out = refresh(f, tok["refresh_token"], thief) // its credentials bind the token; keys may change
		if want("confidential client with a new key", status, out, ""); f.cnf(out["access_token"]) != thief.jkt() {
			w.t.Error("the token is not bound to the key of the request")
		}
		if status, out := w.metadata(); status != 200 || fmt.Sprint(out["dpop_signing_alg_values_supported"]) != "[ES256 EdDSA Ed25519 PS256]" {
			w.t.Errorf("metadata: %v", out["dpop_signing_alg_values_supported"])
		}
	})
}

func (w *world) metadata() (int, map[string]any) {
	res, body := (&browser{w: w}).get(w.issuer + "/.well-known/openid-configuration")
	var out map[string]any
	_ = json.Unmarshal([]byte(body), &out)
	return res.StatusCode, out
}
