package tour

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"oruro.gob.bo/suti/cmd/internal/demo"
)

// callback is where outside programs of the demo listen; the tour only reads
// the address that the browser is sent to.
const callback = "http://localhost:9876/callback"

var subjectRE = regexp.MustCompile(`<dt>Su identificador en [^<]*</dt><dd><code>([^<]+)</code>`)

// enter opens a page of an application and goes through whatever the provider
// asks on the way. It returns how often a passkey was asked for.
func (b *browser) enter(ctx context.Context, address string) (passkeys int, err error) {
	if err := b.get(ctx, address); err != nil {
		return 0, err
	}
	for range 8 {
		if _, err := b.page.passkeyForm(); err == nil && strings.HasPrefix(b.page.address.Path, "/entrar/") {
			passkeys++
			if err := b.passkey(ctx); err != nil {
				return passkeys, err
			}
			continue
		}
		if _, err := b.page.form("/decision"); err == nil {
			if err := b.fill(ctx, "/decision", "decision", "accept"); err != nil {
				return passkeys, err
			}
			continue
		}
		if b.page.status != http.StatusOK {
			return passkeys, errors.New(b.page.summary())
		}
		return passkeys, nil
	}
	return passkeys, errors.New("the login does not end: " + b.page.summary())
}

func (b *browser) subject() (string, error) {
	m := subjectRE.FindStringSubmatch(b.page.body)
	if m == nil {
		return "", errors.New("the page shows no subject: " + b.page.summary())
	}
	return m[1], nil
}

// logins is the second part: one login, two applications, one logout.
func (t *Tour) logins(ctx context.Context) {
	t.step("la ciudadana entra en la aplicación A con su llave de acceso", func() (string, error) {
		n, err := t.citizen.enter(ctx, t.demo.Bases[0]+"/mis-tramites")
		if err != nil {
			return "", err
		}
		if n != 1 || !t.citizen.page.has(t.newcomer) {
			return "", fmt.Errorf("%d ceremonies, then: %s", n, t.citizen.page.summary())
		}
		t.subjects[0], err = t.citizen.subject()
		return "code + PKCE S256, private_key_jwt, PAR", err
	})
	t.step("entra en la aplicación B de otra institución solo con su permiso", func() (string, error) {
		n, err := t.citizen.enter(ctx, t.demo.Bases[1]+"/mis-becas")
		if err != nil {
			return "", err
		}
		if n != 0 {
			return "", errors.New("a passkey was asked for again")
		}
		if t.subjects[1], err = t.citizen.subject(); err != nil {
			return "", err
		}
		if t.subjects[0] == t.subjects[1] {
			return "", errors.New("both applications know the person by the same subject")
		}
		return fmt.Sprintf("sub %.8s… y %.8s…", t.subjects[0], t.subjects[1]), nil
	})
	var tokens tokenSet
	t.step("un programa externo obtiene tokens de la misma sesión", func() (string, error) {
		var err error
		if tokens, err = t.obtain(ctx, t.citizen, "heredada"); err != nil {
			return "", err
		}
		if err := t.save("id-token.jwt", []byte(tokens.IDToken+"\n")); err != nil {
			return "", err
		}
		if active, err := t.introspect(ctx, "heredada", tokens.AccessToken); err != nil || !active {
			return "", fmt.Errorf("introspection: active %v, %v", active, err)
		}
		return "ID token verificado y guardado", t.checkIDToken(ctx, tokens.IDToken)
	})
	t.step("sale una vez: terminan ambas sesiones y todos los tokens", func() (string, error) {
		return t.logoutEverywhere(ctx, tokens)
	})
}

func (t *Tour) logoutEverywhere(ctx context.Context, tokens tokenSet) (string, error) {
	if err := t.citizen.get(ctx, t.demo.Bases[0]+"/mis-tramites"); err != nil {
		return "", err
	}
	if err := t.citizen.fill(ctx, "/auth/salir"); err != nil {
		return "", err
	}
	if err := t.demo.App.Settle(ctx); err != nil {
		return "", err
	}
	if active, err := t.introspect(ctx, "heredada", tokens.AccessToken); err != nil || active {
		return "", fmt.Errorf("access token after logout: active %v, %v", active, err)
	}
	if status, _, err := t.call(ctx, "heredada", "/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.RefreshToken}}); err != nil || status != http.StatusBadRequest {
		return "", fmt.Errorf("refresh after logout: %d, %v", status, err)
	}
	for _, address := range []string{t.demo.Bases[0] + "/mis-tramites", t.demo.Bases[1] + "/mis-becas"} {
		if err := t.citizen.get(ctx, address); err != nil {
			return "", err
		}
		if !strings.HasPrefix(t.citizen.page.address.Path, "/entrar/") {
			return "", errors.New("a session survived: " + t.citizen.page.summary())
		}
	}
	return "access y refresh inactivos, aviso back-channel entregado", nil
}

// tokenSet is what the token endpoint gave.
type tokenSet struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
	code         string
	verifier     string
}

func (t *Tour) client(id string) (demo.Client, error) {
	at := slices.IndexFunc(t.demo.File.Clients, func(c demo.Client) bool { return c.ClientID == id })
	if at < 0 {
		return demo.Client{}, fmt.Errorf("no client %q in demo.json", id)
	}
	return t.demo.File.Clients[at], nil
}

// authorize gets a code for an outside program through the browser's session.
func (t *Tour) authorize(ctx context.Context, b *browser, id string) (code, verifier string, err error) {
	verifier = rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"client_id": {id}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile offline_access"}, "state": {"tour"}, "nonce": {"tour-nonce"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	var answer *url.URL
	stop := *b.http
	stop.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), callback) {
			answer = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}
	outside := &browser{http: &stop, key: b.key}
	if _, err := outside.enter(ctx, t.demo.File.Issuer+"/oauth2/authorize?"+q.Encode()); answer == nil {
		return "", "", fmt.Errorf("no answer reached the application: %w", errors.Join(err, errors.New(outside.page.summary())))
	}
	got := answer.Query()
	if got.Get("iss") != t.demo.File.Issuer || got.Get("state") != "tour" || got.Get("code") == "" {
		return "", "", fmt.Errorf("authorization response: error %q", got.Get("error"))
	}
	return got.Get("code"), verifier, nil
}

// obtain logs in for an outside program with a client secret.
func (t *Tour) obtain(ctx context.Context, b *browser, id string) (tokenSet, error) {
	code, verifier, err := t.authorize(ctx, b, id)
	if err != nil {
		return tokenSet{}, err
	}
	status, raw, err := t.call(ctx, id, "/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}})
	if err != nil {
		return tokenSet{}, err
	}
	out := tokenSet{code: code, verifier: verifier}
	if err := json.Unmarshal(raw, &out); err != nil || status != http.StatusOK || out.AccessToken == "" {
		return out, fmt.Errorf("token endpoint answered %d: %s", status, raw)
	}
	return out, nil
}

// call posts to a back-channel endpoint with a client's secret.
func (t *Tour) call(ctx context.Context, id, path string, form url.Values) (int, []byte, error) {
	c, err := t.client(id)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.demo.File.Issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(c.ClientSecret))
	res, err := t.http().Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, raw, err
}

func (t *Tour) introspect(ctx context.Context, id, token string) (bool, error) {
	status, raw, err := t.call(ctx, id, "/oauth2/introspect", url.Values{"token": {token}})
	if err != nil || status != http.StatusOK {
		return false, fmt.Errorf("introspection answered %d: %v", status, err)
	}
	var out struct{ Active bool }
	err = json.Unmarshal(raw, &out)
	return out.Active, err
}
