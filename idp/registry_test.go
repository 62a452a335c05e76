package idp_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

const operator = "operator:1000"

// TestDisabledClient: with the commit everything granted through the client is
// dead, the protocol's errors say so, another client goes on, and enabling
// brings nothing back.
func TestDisabledClient(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, Grants: []string{"authorization_code", "refresh_token", "client_credentials"},
			Scopes: []string{"openid", "profile", "offline_access", "firmas:leer"}})
		other := w.register(idp.Client{ID: "app-b", Profile: idp.ProfileWeb, Institution: insB})
		br := w.browser()
		tok, theirs := a.tokens(br, who), other.tokens(br, who)
		code := br.enter(a.authorize(), who).Query().Get("code")
		status, own := a.call("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"firmas:leer"}})
		if status != http.StatusOK || !a.active(tok["access_token"]) || !a.active(own["access_token"]) {
			w.t.Fatalf("before: client credentials %d, or a token is not active", status)
		}

		if err := w.p.DisableClient(w.t.Context(), operator, "app-a", "prueba"); err != nil {
			w.t.Fatal(err)
		}
		if err := w.p.DisableClient(w.t.Context(), operator, "app-a", "prueba"); !errors.Is(err, idp.ErrClientState) {
			w.t.Errorf("disabled twice: %v", err)
		}
		refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}}
		if status, out := a.call("/oauth2/token", refresh); status != http.StatusUnauthorized || out["error"] != "invalid_client" {
			w.t.Errorf("refresh while disabled: %d %v", status, out)
		}
		outside, res, _ := w.browser().follow(a.authorize())
		if outside != nil || res.StatusCode != http.StatusBadRequest {
			w.t.Errorf("authorize while disabled: %v, %d; want a page, and no redirect", outside, res.StatusCode)
		}
		if status := w.userinfo(tok); status != http.StatusUnauthorized {
			w.t.Errorf("userinfo while disabled: %d", status)
		}
		if !other.active(theirs["access_token"]) {
			w.t.Error("another client's token has ended")
		}

		w.clock.Add(time.Second)
		if err := w.p.EnableClient(w.t.Context(), operator, "app-a"); err != nil {
			w.t.Fatal(err)
		}
		for name, token := range map[string]any{"access": tok["access_token"], "client credentials": own["access_token"]} {
			if a.active(token) {
				w.t.Errorf("%s token is alive again", name)
			}
		}
		if status, out := a.call("/oauth2/token", refresh); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
			w.t.Errorf("refresh after enabling: %d %v", status, out)
		}
		if status, out := a.redeem(code); status != http.StatusBadRequest || out["error"] != "invalid_grant" {
			w.t.Errorf("old code after enabling: %d %v", status, out)
		}
		if fresh := a.tokens(br, who); !a.active(fresh["access_token"]) || w.userinfo(fresh) != http.StatusOK {
			w.t.Error("a fresh login after enabling does not work")
		}
		if err := w.p.EnableClient(w.t.Context(), operator, "app-a"); !errors.Is(err, idp.ErrClientState) {
			w.t.Errorf("enabled twice: %v", err)
		}
	})
}

// userinfo returns the status with which userinfo answers an access token.
func (w *world) userinfo(tok map[string]any) int {
	w.t.Helper()
	req := must(http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.issuer+"/oauth2/userinfo", nil))(w.t)
	req.Header.Set("Authorization", "Bearer "+tok["access_token"].(string))
	res := must(http.DefaultClient.Do(req))(w.t)
	defer res.Body.Close()
	return res.StatusCode
}

// TestRotateSecret: both secrets work during the overlap, then only the new one.
func TestRotateSecret(t *testing.T) {
	each(t, func(w *world) {
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileLegacy, AuthMethod: "client_secret_basic"})
		works := func(secret string) bool {
			b := *a
			b.secret = secret
			status, _ := b.call("/oauth2/introspect", url.Values{"token": {"x"}})
			return status == http.StatusOK
		}
		first := a.secret
		second := must(w.p.RotateSecret(w.t.Context(), operator, "app-a", time.Hour))(w.t)
		if !works(first) || !works(second) || first == second {
			w.t.Error("during the overlap both secrets must work")
		}
		w.clock.Add(time.Hour + time.Second)
		if works(first) || !works(second) {
			w.t.Error("after the overlap only the new one may work")
		}
		third := must(w.p.RotateSecret(w.t.Context(), operator, "app-a", 0))(w.t)
		if works(second) || !works(third) {
			w.t.Error("without an overlap the earlier one must end at once")
		}
		r := must(w.p.RegisteredClient(w.t.Context(), "app-a"))(w.t)
		if len(r.Secrets) != 1 {
			w.t.Errorf("%d secrets live, want 1", len(r.Secrets))
		}
		if _, err := w.p.RotateSecret(w.t.Context(), operator, "app-a", idp.MaxOverlap+1); !errors.Is(err, idp.ErrClient) {
			w.t.Errorf("overlap too long: %v", err)
		}
		w.register(idp.Client{ID: "app-k", Profile: idp.ProfileWeb})
		if _, err := w.p.RotateSecret(w.t.Context(), operator, "app-k", 0); !errors.Is(err, idp.ErrClient) {
			w.t.Errorf("client with keys: %v", err)
		}
		for _, id := range []string{"nobody", "suti"} {
			if _, err := w.p.RotateSecret(w.t.Context(), operator, id, 0); !errors.Is(err, idp.ErrUnknownClient) {
				w.t.Errorf("%s: %v", id, err)
			}
		}
	})
}

// TestSetKeys: the new key authenticates, the old one no longer, and every
// change of a client stands in the record.
func TestSetKeys(t *testing.T) {
	each(t, func(w *world) {
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		works := func(b *app) bool {
			status, _ := b.call("/oauth2/introspect", url.Values{"token": {"x"}})
			return status == http.StatusOK
		}
		b := w.register(idp.Client{ID: "app-b", Profile: idp.ProfileWeb}) // for a second key
		if err := w.p.SetKeys(w.t.Context(), operator, "app-a", jwks(w.t, b.key)); err != nil {
			w.t.Fatal(err)
		}
		fresh := *a
		fresh.key = b.key
		if works(a) || !works(&fresh) {
			w.t.Error("the new key must authenticate, and only it")
		}
		if err := w.p.SetKeys(w.t.Context(), operator, "app-a", `{"keys":[]}`); !errors.Is(err, idp.ErrClient) {
			w.t.Errorf("no key: %v", err)
		}
		w.register(idp.Client{ID: "app-s", Profile: idp.ProfileLegacy, AuthMethod: "client_secret_basic"})
		if err := w.p.SetKeys(w.t.Context(), operator, "app-s", jwks(w.t, b.key)); !errors.Is(err, idp.ErrClient) {
			w.t.Errorf("client with a secret: %v", err)
		}
		all := must(w.p.Registry(w.t.Context()))(w.t)
		ids := make([]string, len(all))
		for i, r := range all {
			ids[i] = r.ID
		}
		if got := strings.Join(ids, " "); got != "app-a app-b app-s" {
			w.t.Errorf("registry %q", got)
		}
		var kinds []string
		rows := must(w.d.Query(w.t.Context(), `SELECT kind FROM audit_entry WHERE actor = $1 AND client = 'app-a' ORDER BY kind`, operator))(w.t)
		defer rows.Close()
		for rows.Next() {
			var k string
			if err := rows.Scan(&k); err != nil {
				w.t.Fatal(err)
			}
			kinds = append(kinds, k)
		}
		if err := rows.Err(); err != nil || !slices.Equal(kinds, []string{"idp.client.keys-changed"}) {
			w.t.Errorf("recorded %v, %v", kinds, err)
		}
	})
}
