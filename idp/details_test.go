package idp_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

const (
	hashA   = "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg"
	details = `[{"type":"document_signing","locations":["` + signing + `"],"documents":[{"hash":"` + hashA + `","label":"Resolución 14"}]}]`
)

func detailed(id string) idp.Client {
	c := exchanger(id)
	c.DetailTypes = []string{"document_signing"}
	return c
}

func parsed(t *testing.T, raw string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(raw), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestAuthorizationDetails(t *testing.T) {
	each(t, func(w *world) {
		who, br := w.person(identity.N2), w.browser()
		a := w.register(detailed("app-a"))
		signer := w.register(idp.Client{ID: "firmas", Profile: idp.ProfileWeb, Serves: []string{signing}})
		want := parsed(w.t, details)
		first := a.tokenWith(br, who) // everything else is allowed from here on
		if first["authorization_details"] != nil {
			w.t.Error("details that nobody asked for")
		}
		if got := br.refusal(a.authorize("prompt", "none", "scope", "openid", "authorization_details", details)); got != "interaction_required" {
			w.t.Errorf("asked without a page: %q", got)
		}
		for range 2 { // asked each time
			_, _, body := br.follow(a.authorize("scope", "openid profile firmas:crear offline_access", "authorization_details", details))
			if !strings.Contains(body, "Firmar:") || !strings.Contains(body, "Resolución 14") || !strings.Contains(body, hashA) || !strings.Contains(body, "Todavía no firma nada") {
				w.t.Fatalf("the page does not say what may be signed:\n%s", body)
			}
			status, tok := a.redeem(br.accept(body).Query().Get("code"))
			if status != http.StatusOK || !reflect.DeepEqual(tok["authorization_details"], want) {
				w.t.Fatalf("tokens: %d %v", status, tok)
			}
			_, seen := a.call("/oauth2/introspect", url.Values{"token": {tok["access_token"].(string)}})
			if !reflect.DeepEqual(seen["authorization_details"], want) {
				w.t.Errorf("introspection: %v", seen)
			}
			_, ex := a.exchange(tok["access_token"])
			_, seen = signer.call("/oauth2/introspect", url.Values{"token": {ex["access_token"].(string)}})
			if !reflect.DeepEqual(ex["authorization_details"], want) || !reflect.DeepEqual(seen["authorization_details"], want) {
				w.t.Errorf("the service sees %v", seen)
			}
			w.clock.Add(14 * time.Minute)
			refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}}
			if _, tok := a.call("/oauth2/token", refresh); !reflect.DeepEqual(tok["authorization_details"], want) {
				w.t.Errorf("refreshed: %v", tok)
			}
			w.clock.Add(2 * time.Minute)
			if status, tok := a.call("/oauth2/token", refresh); status != 200 || tok["authorization_details"] != nil {
				w.t.Errorf("after 15 minutes: %d %v", status, tok)
			}
		}
		if w.count(`SELECT count(1) FROM idp_consent WHERE scope LIKE '%document%'`) != 0 {
			w.t.Error("what was allowed once is remembered")
		}
	})
}

// refusal follows an authorization request to the application and returns the error.
func (b *browser) refusal(address string) string {
	b.w.t.Helper()
	outside, _, body := b.follow(address)
	if outside == nil {
		return body
	}
	return outside.Query().Get("error")
}

func TestAuthorizationDetailsAreRefused(t *testing.T) {
	each(t, func(w *world) {
		a, plain := w.register(detailed("app-a")), w.register(exchanger("app-b"))
		doc := `{"hash":"` + hashA + `","label":"x"}`
		for name, raw := range map[string]string{
			"unknown type":     `[{"type":"payment_initiation","documents":[` + doc + `]}]`,
			"no type":          `[{"documents":[` + doc + `]}]`,
			"one of two":       `[{"type":"document_signing","documents":[` + doc + `]},{"type":"x"}]`,
			"unknown member":   `[{"type":"document_signing","documents":[` + doc + `],"actions":["sign"]}]`,
			"other case":       `[{"Type":"document_signing","documents":[` + doc + `]}]`,
			"twice":            `[{"type":"document_signing","documents":[` + doc + `],"documents":[` + doc + `]}]`,
			"unknown in it":    `[{"type":"document_signing","documents":[{"hash":"` + hashA + `","label":"x","size":1}]}]`,
			"no documents":     `[{"type":"document_signing","documents":[]}]`,
			"null documents":   `[{"type":"document_signing","documents":null}]`,
			"no label":         `[{"type":"document_signing","documents":[{"hash":"` + hashA + `"}]}]`,
			"empty label":      `[{"type":"document_signing","documents":[{"hash":"` + hashA + `","label":" "}]}]`,
			"turned label":     `[{"type":"document_signing","documents":[{"hash":"` + hashA + `","label":"fdp.\u202etxt"}]}]`,
			"line in label":    `[{"type":"document_signing","documents":[{"hash":"` + hashA + `","label":"a\nb"}]}]`,
			"long label":       `[{"type":"document_signing","documents":[{"hash":"` + hashA + `","label":"` + strings.Repeat("x", 201) + `"}]}]`,
			"hash of 31 bytes": `[{"type":"document_signing","documents":[{"hash":"` + hashA[:42] + `","label":"x"}]}]`,
			"hash in hex":      `[{"type":"document_signing","documents":[{"hash":"` + strings.Repeat("ab", 32) + `","label":"x"}]}]`,
			"foreign location": `[{"type":"document_signing","locations":["https://evil.example"],"documents":[` + doc + `]}]`,
			"empty locations":  `[{"type":"document_signing","locations":[],"documents":[` + doc + `]}]`,
			"21 documents":     `[{"type":"document_signing","documents":[` + strings.Repeat(doc+",", 20) + doc + `]}]`,
			"21 in two":        `[{"type":"document_signing","documents":[` + strings.Repeat(doc+",", 19) + doc + `]},{"type":"document_signing","documents":[` + doc + `]}]`,
			"object":           `{"type":"document_signing","documents":[` + doc + `]}`,
			"empty":            `[]`,
			"null":             `null`,
			"not JSON":         `[{`,
			"more than one":    `[{"type":"document_signing","documents":[` + doc + `]}] []`,
			"17 kB":            `[` + strings.Repeat(" ", 17<<10) + `]`,
		} {
			status, out := a.call("/oauth2/par", a.pushedForm("authorization_details", raw))
			if status != http.StatusBadRequest || out["error"] != "invalid_authorization_details" {
				w.t.Errorf("%s, pushed: got %d %v", name, status, out)
			}
		}
		if got := w.browser().refusal(a.authorize("authorization_details", `[{"type":"x"}]`)); got != "invalid_authorization_details" {
			w.t.Errorf("unknown type at authorize: %q", got)
		}
		if got := w.browser().refusal(plain.authorize("authorization_details", details)); got != "invalid_authorization_details" {
			w.t.Errorf("a client without the type: %q", got)
		}
		if status, out := a.call("/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"firmas:crear"}, "authorization_details": {details}}); status != 400 || out["error"] != "invalid_authorization_details" {
			w.t.Errorf("at the token endpoint: %d %v", status, out)
		}
		c := exchanger("app-c")
		c.Institution, c.Name, c.DetailTypes, c.AuthMethod, c.RedirectURIs = insA, "C", []string{"payment_initiation"}, "client_secret_basic", []string{"https://c.example/cb"}
		if _, err := w.p.Register(w.t.Context(), "", c); err == nil || !strings.Contains(err.Error(), "authorization details") {
			w.t.Errorf("registered for an unknown type: %v", err)
		}
	})
}

// pushedForm is authorize as a form to push.
func (a *app) pushedForm(pairs ...string) url.Values {
	u := must(url.Parse(a.authorize(pairs...)))(a.w.t)
	return u.Query()
}
