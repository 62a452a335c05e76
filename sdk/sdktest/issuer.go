// Package sdktest runs a small OpenID provider inside an application's tests,
// so that they log people in without a network or a browser. It answers the
// protocol as Suti does, for people that the test names; it checks what the
// client sends and refuses what Suti would refuse. It keeps everything in
// memory and asks nobody: it is for tests only.
package sdktest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Person is who the issuer logs in next.
type Person struct {
	Subject  string
	ACR      string // e.g. "urn:suti:acr:n2"
	AMR      []string
	AuthTime time.Time      // now by default
	Claims   map[string]any // further claims of the ID token
	UserInfo map[string]any // claims of the UserInfo endpoint; sub is added unless it is set
}

// App is a registered client.
type App struct {
	ID          string
	Secret      string           // client_secret_basic, or
	Key         *ecdsa.PublicKey // private_key_jwt
	RedirectURI string
	Scopes      []string // for client credentials
	Backchannel string   // back-channel logout address
}

// Issuer is a running provider. Its exported fields may be changed between requests.
type Issuer struct {
	URL string
	// Person is logged in at the next authorization request; nil answers access_denied.
	Person *Person
	// Tamper may change the claims and header of an ID or logout token before it is signed.
	Tamper func(header, claims map[string]any)
	// Respond may change the parameters of an authorization response.
	Respond func(url.Values)
	// Now is the issuer's clock.
	Now func() time.Time

	server *httptest.Server
	key    *ecdsa.PrivateKey

	mu     sync.Mutex // guards what follows
	apps   map[string]App
	pushed map[string]url.Values
	codes  map[string]grant
	tokens map[string]introspection
	jtis   map[string]bool
	people map[string]Person // by access token
}

type grant struct {
	request url.Values
	person  Person
	used    bool
	sid     string
}

type introspection struct {
	Active   bool   `json:"active"`
	ClientID string `json:"client_id,omitempty"`
	Subject  string `json:"sub,omitempty"`
	Scope    string `json:"scope,omitempty"`
	Exp      int64  `json:"exp,omitempty"`
}

const kid = "sdktest-1"

// NewIssuer starts a provider on a loopback port with the clients. Close stops it.
func NewIssuer(now func() time.Time, apps ...App) *Issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err) // only if the system has no randomness
	}
	i := &Issuer{
		Now: now, key: key, apps: map[string]App{}, pushed: map[string]url.Values{},
		codes: map[string]grant{}, tokens: map[string]introspection{}, jtis: map[string]bool{}, people: map[string]Person{},
	}
	for _, a := range apps {
		i.apps[a.ID] = a
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.metadata)
	mux.HandleFunc("GET /jwks.json", i.jwks)
	mux.HandleFunc("POST /oauth2/par", i.par)
	mux.HandleFunc("GET /oauth2/authorize", i.authorize)
	mux.HandleFunc("POST /oauth2/token", i.token)
	mux.HandleFunc("POST /oauth2/introspect", i.introspect)
	mux.HandleFunc("GET /oauth2/logout", i.logout)
	mux.HandleFunc("GET /oauth2/userinfo", i.userinfo)
	i.server = httptest.NewServer(mux)
	i.URL = i.server.URL
	return i
}

// Close stops the provider.
func (i *Issuer) Close() { i.server.Close() }

// Register adds or replaces a client, for tests that know its address only after the issuer runs.
func (i *Issuer) Register(a App) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.apps[a.ID] = a
}

// Revoke makes an access token inactive.
func (i *Issuer) Revoke(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.tokens, token)
}

// LogoutToken makes a logout token (Back-Channel Logout 1.0 §2.4) for a client.
func (i *Issuer) LogoutToken(client, subject, sid string) string {
	now := i.Now()
	claims := map[string]any{
		"iss": i.URL, "aud": client, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": i.fresh("jti"),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	if subject != "" {
		claims["sub"] = subject
	}
	if sid != "" {
		claims["sid"] = sid
	}
	return i.sign(map[string]any{"alg": "ES256", "kid": kid, "typ": "logout+jwt"}, claims)
}

func (i *Issuer) metadata(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string]any{
		"issuer": i.URL, "authorization_endpoint": i.URL + "/oauth2/authorize", "token_endpoint": i.URL + "/oauth2/token", "userinfo_endpoint": i.URL + "/oauth2/userinfo",
		"jwks_uri": i.URL + "/jwks.json", "introspection_endpoint": i.URL + "/oauth2/introspect", "end_session_endpoint": i.URL + "/oauth2/logout",
		"pushed_authorization_request_endpoint":          i.URL + "/oauth2/par",
		"authorization_response_iss_parameter_supported": true,
		"id_token_signing_alg_values_supported":          []string{"ES256"},
	})
}

func (i *Issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	raw, err := i.key.PublicKey.Bytes()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	reply(w, http.StatusOK, map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": enc(raw[1:33]), "y": enc(raw[33:]),
	}}})
}

// client authenticates the caller of a back-channel endpoint.
func (i *Issuer) client(r *http.Request) (App, bool) {
	if err := r.ParseForm(); err != nil {
		return App{}, false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if id, secret, ok := r.BasicAuth(); ok {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
		a := i.apps[id]
		return a, a.Secret != "" && subtle.ConstantTimeCompare([]byte(a.Secret), []byte(secret)) == 1
	}
	a, ok := i.apps[r.PostForm.Get("client_id")]
	if !ok || a.Key == nil {
		return App{}, false
	}
	parts := strings.Split(r.PostForm.Get("client_assertion"), ".")
	if len(parts) != 3 {
		return App{}, false
	}
	body, err1 := base64.RawURLEncoding.DecodeString(parts[1])
	sig, err2 := base64.RawURLEncoding.DecodeString(parts[2])
	var c struct {
		Iss, Sub, Aud, Jti string
		Exp                int64
	}
	if err1 != nil || err2 != nil || len(sig) != 64 || json.Unmarshal(body, &c) != nil {
		return App{}, false
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	good := ecdsa.Verify(a.Key, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	if !good || c.Iss != a.ID || c.Sub != a.ID || c.Aud != i.URL || c.Jti == "" || i.jtis[a.ID+" "+c.Jti] || c.Exp <= i.Now().Unix() {
		return App{}, false
	}
	i.jtis[a.ID+" "+c.Jti] = true
	return a, true
}

func (i *Issuer) par(w http.ResponseWriter, r *http.Request) {
	a, ok := i.client(r)
	if !ok {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	if r.PostForm.Get("redirect_uri") != a.RedirectURI || r.PostForm.Get("code_challenge_method") != "S256" {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	uri := "urn:ietf:params:oauth:request_uri:" + i.fresh("par")
	i.mu.Lock()
	i.pushed[uri] = r.PostForm
	i.mu.Unlock()
	reply(w, http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": 60})
}

func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	q, ok := i.pushed[r.URL.Query().Get("request_uri")]
	i.mu.Unlock()
	if !ok || q.Get("client_id") != r.URL.Query().Get("client_id") {
		refuse(w, http.StatusBadRequest, "invalid_request")
		return
	}
	v := url.Values{"iss": {i.URL}, "state": {q.Get("state")}}
	if p := i.Person; p == nil {
		v.Set("error", "access_denied")
	} else {
		code := i.fresh("code")
		i.mu.Lock()
		i.codes[code] = grant{request: q, person: *p, sid: "sid-" + code}
		i.mu.Unlock()
		v.Set("code", code)
	}
	if i.Respond != nil {
		i.Respond(v)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+v.Encode(), http.StatusSeeOther)
}

func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	a, ok := i.client(r)
	if !ok {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	switch r.PostForm.Get("grant_type") {
	case "client_credentials":
		for s := range strings.FieldsSeq(r.PostForm.Get("scope")) {
			if !slices.Contains(a.Scopes, s) {
				refuse(w, http.StatusBadRequest, "invalid_scope")
				return
			}
		}
		reply(w, http.StatusOK, map[string]any{"access_token": i.access(a.ID, "", r.PostForm.Get("scope")), "token_type": "Bearer", "expires_in": 60, "scope": r.PostForm.Get("scope")})
	case "authorization_code":
		i.redeem(w, a, r.PostForm)
	default:
		refuse(w, http.StatusBadRequest, "unsupported_grant_type")
	}
}

func (i *Issuer) redeem(w http.ResponseWriter, a App, form url.Values) {
	i.mu.Lock()
	g, ok := i.codes[form.Get("code")]
	used := g.used
	g.used = true
	i.codes[form.Get("code")] = g
	i.mu.Unlock()
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	if !ok || used || g.request.Get("client_id") != a.ID || g.request.Get("code_challenge") != enc(sum[:]) || form.Get("redirect_uri") != a.RedirectURI {
		refuse(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	now := i.Now()
	at := i.access(a.ID, g.person.Subject, g.request.Get("scope"))
	i.mu.Lock()
	i.people[at] = g.person
	i.mu.Unlock()
	hash := sha256.Sum256([]byte(at))
	claims := map[string]any{
		"iss": i.URL, "sub": g.person.Subject, "aud": a.ID, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "nonce": g.request.Get("nonce"),
		"acr": g.person.ACR, "amr": g.person.AMR, "sid": g.sid, "at_hash": enc(hash[:16]), "auth_time": now.Unix(),
	}
	if !g.person.AuthTime.IsZero() {
		claims["auth_time"] = g.person.AuthTime.Unix()
	}
	for k, v := range g.person.Claims {
		claims[k] = v
	}
	reply(w, http.StatusOK, map[string]any{"access_token": at, "token_type": "Bearer", "expires_in": 60, "id_token": i.sign(map[string]any{"alg": "ES256", "kid": kid}, claims)})
}

func (i *Issuer) access(client, subject, scope string) string {
	t := i.fresh("at")
	i.mu.Lock()
	defer i.mu.Unlock()
	i.tokens[t] = introspection{Active: true, ClientID: client, Subject: subject, Scope: scope, Exp: i.Now().Add(time.Minute).Unix()}
	return t
}

func (i *Issuer) introspect(w http.ResponseWriter, r *http.Request) {
	if _, ok := i.client(r); !ok {
		refuse(w, http.StatusUnauthorized, "invalid_client")
		return
	}
	i.mu.Lock()
	t := i.tokens[r.PostForm.Get("token")]
	i.mu.Unlock()
	if t.Exp <= i.Now().Unix() {
		t = introspection{}
	}
	reply(w, http.StatusOK, t)
}

func (i *Issuer) userinfo(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	p, ok := i.people[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	i.mu.Unlock()
	if !ok {
		refuse(w, http.StatusUnauthorized, "invalid_token")
		return
	}
	claims := map[string]any{"sub": p.Subject}
	for k, v := range p.UserInfo {
		claims[k] = v
	}
	reply(w, http.StatusOK, claims)
}

func (i *Issuer) logout(w http.ResponseWriter, r *http.Request) {
	if back := r.URL.Query().Get("post_logout_redirect_uri"); back != "" {
		http.Redirect(w, r, back, http.StatusSeeOther)
	}
}

// sign makes a compact JWS, after Tamper had its way.
func (i *Issuer) sign(header, claims map[string]any) string {
	if i.Tamper != nil {
		i.Tamper(header, claims)
	}
	h, _ := json.Marshal(header) // maps of plain values always marshal
	c, _ := json.Marshal(claims)
	signed := enc(h) + "." + enc(c)
	digest := sha256.Sum256([]byte(signed))
	der, err := i.key.Sign(rand.Reader, digest[:], nil)
	if err != nil {
		panic(err) // only if the system has no randomness
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		panic(err)
	}
	sig := make([]byte, 64)
	rs.R.FillBytes(sig[:32])
	rs.S.FillBytes(sig[32:])
	return signed + "." + enc(sig)
}

func (i *Issuer) fresh(kind string) string { return kind + "-" + rand.Text() }

func enc(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone: nobody to tell
}

func refuse(w http.ResponseWriter, status int, code string) {
	reply(w, status, map[string]any{"error": code})
}
