package idp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
)

// journal collects what is logged.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

// dump returns every value of every table as text, bytes also in hex and base64url.
func (w *world) dump() string {
	w.t.Helper()
	list := `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
	if w.d.Engine() == db.Postgres {
		list = `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'`
	}
	rows := must(w.d.Query(w.t.Context(), list))(w.t)
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			w.t.Fatal(err)
		}
		tables = append(tables, name)
	}
	rows.Close()
	var out strings.Builder
	for _, table := range tables {
		rows := must(w.d.Query(w.t.Context(), "SELECT "+"* FROM "+table))(w.t)
		cols := must(rows.Columns())(w.t)
		for rows.Next() {
			vals, ptrs := make([]any, len(cols)), make([]any, len(cols))
			for i := range vals {
				ptrs[i] = &vals[i]
			}
			if err := rows.Scan(ptrs...); err != nil {
				w.t.Fatal(err)
			}
			for i, v := range vals {
				fmt.Fprintf(&out, "%s.%s=", table, cols[i])
				if b, ok := v.([]byte); ok {
					fmt.Fprintf(&out, "%s %s %s\n", b, hex.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b))
				} else {
					fmt.Fprintf(&out, "%v\n", v)
				}
			}
		}
		rows.Close()
	}
	return out.String()
}

// TestNoSecretIsKeptOrLogged is invariant 10: whoever reads the database and the
// log at their most talkative finds no value that opens anything.
func TestNoSecretIsKeptOrLogged(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		logged := &journal{}
		w := newWorldLogging(t, d, slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelDebug - 8, AddSource: false})))
		who := w.person(identity.N2)
		secrets := map[string]string{}
		answers := map[string]string{}
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, AuthMethod: "client_secret_post", JWKS: "", BackchannelURI: "https://app-a.example/bc"})
		secrets["client secret"] = a.secret
		s := w.register(idp.Client{ID: "spa", Profile: idp.ProfileSPA})
		k := w.register(idp.Client{ID: "llave", Profile: idp.ProfileWeb, Scopes: []string{"firmas:leer"}, Grants: []string{"client_credentials"}})
		post := func(what, path string, form url.Values, header ...string) {
			_, answers[what] = (&browser{w: w}).do(http.MethodPost, w.issuer+path, "application/x-www-form-urlencoded", form.Encode(), header...)
		}
		br := w.browser()
		_, _, page := br.follow(s.authorize("scope", "openid profile offline_access"))
		at := w.issuer + interactionRE.FindString(page)
		login := w.people.profile[who].Document.String()
		_, page = br.post(at+"/celda", url.Values{"username": {login}})
		cell := regexpGroup(t, `name="challenge" value="([^"]+)"`)(page)
		secrets["password"], secrets["card code"] = "canario-clave-7f3a", "987654321098"
		_, answers["wrong card"] = br.post(at+"/tarjeta", url.Values{"challenge": {cell}, "username": {login}, "password": {secrets["password"]}, "code": {secrets["card code"]}})
		code := br.enter(at, who).Query().Get("code")
		secrets["code"], secrets["session"], secrets["browser"] = code, br.cookie(session.CookieName), br.cookie("__Host-suti-entrada")
		secrets["verifier"] = verifier
		_, tok := s.redeem(code)
		secrets["access token"], secrets["refresh token"] = tok["access_token"].(string), tok["refresh_token"].(string)
		secrets["ID token"] = strings.Split(tok["id_token"].(string), ".")[2]
		_, next := s.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {secrets["refresh token"]}})
		secrets["second access token"], secrets["second refresh token"] = next["access_token"].(string), next["refresh_token"].(string)
		good, bad := k.assertion(nil), k.assertion(func(c map[string]any) { c["aud"] = "https://canary.example" })
		secrets["assertion"], secrets["refused assertion"] = good, bad
		jwt := "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
		for what, assertion := range map[string]string{"good assertion": good, "used assertion": good, "bad assertion": bad} {
			if what == "good assertion" {
				w.assertWith(assertion)
				continue
			}
			post(what, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"firmas:leer"}, "client_assertion": {assertion}, "client_assertion_type": {jwt}})
		}
		_, pushed := s.call("/oauth2/par", must(url.Parse(s.authorize()))(t).Query())
		secrets["request_uri"] = pushed["request_uri"].(string)
		// Errors with secrets in every place where one may come.
		post("reused code", "/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"spa"}, "code": {code}, "redirect_uri": {s.redirect}, "code_verifier": {verifier}})
		post("wrong secret", "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {"app-a"}, "client_secret": {a.secret + "x"}})
		post("secret as name", "/oauth2/token", url.Values{a.secret: {"x"}, "client_id": {secrets["refresh token"]}})
		post("secret twice", "/oauth2/token?client_secret="+url.QueryEscape(a.secret), url.Values{"client_secret": {a.secret}})
		post("grant as token", "/oauth2/token", url.Values{"client_id": {"spa"}, "grant_type": {secrets["refresh token"]}})
		post("basic", "/oauth2/introspect", url.Values{"token": {secrets["access token"]}}, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("app-a:"+a.secret)))
		for what, address := range map[string]string{
			"token in query": w.issuer + "/oauth2/userinfo?access_token=" + secrets["access token"], "hint": w.issuer + "/oauth2/logout?id_token_hint=" + tok["id_token"].(string) + "x",
			"state": s.authorize("redirect_uri", "https://evil.example/"+code), "unknown request": w.issuer + "/oauth2/authorize?client_id=spa&request_uri=" + url.QueryEscape(secrets["request_uri"]+"x"),
		} {
			_, answers[what] = br.get(address)
		}
		br.follow(w.issuer + "/oauth2/logout?id_token_hint=" + url.QueryEscape(tok["id_token"].(string)))
		w.told()
		kept := w.dump()
		if !strings.Contains(kept, "idp_refresh.hash=") || !strings.Contains(kept, "audit_entry.kind=idp.token.issued") || !strings.Contains(logged.b.String(), "oauth request refused") {
			t.Fatal("control: dump or log lacks what must be there")
		}
		for what, secret := range secrets {
			if len(secret) < 8 {
				t.Fatalf("%s: canary %q is too short", what, secret)
			}
			for _, form := range []string{secret, url.QueryEscape(secret), hex.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret))} {
				if strings.Contains(kept, form) {
					i := strings.Index(kept, form)
					t.Errorf("%s is in the database, at %s", what, kept[strings.LastIndexByte(kept[:i], '\n')+1:i])
				}
				if strings.Contains(logged.b.String(), form) {
					t.Errorf("%s is in the log", what)
				}
			}
			for where, answer := range answers {
				if strings.Contains(answer, secret) {
					t.Errorf("%s is in the answer to %q", what, where)
				}
			}
		}
	})
}
