package signer_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"oruro.gob.bo/suti/sdk/api"
	"oruro.gob.bo/suti/signer"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
)

// A document that cannot be signed is refused with the reason that its preflight gave.
func TestUnsignableDocumentsAreRefusedWithTheReason(t *testing.T) {
	each(t, func(t *testing.T, g *rig) {
		for code, c := range map[string]struct {
			catalog, says string
		}{
			"javascript":       {"/OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >>", "JavaScript"},
			"optional-content": {"/OCProperties << /OCGs [] /D << >> >>", "capas"},
		} {
			d := g.upload(code, costest.Sample(costest.Options{CatalogExtra: c.catalog}))
			if d.Preflight == nil || d.Preflight.Refusal != code {
				t.Errorf("%s: preflight %+v", code, d.Preflight)
				continue
			}
			body, err := json.Marshal(api.SigningRequest{Documents: []api.RequestDocument{{ID: d.ID, Title: "Resolución"}}, Signers: []api.Signer{g.signerOf(g.people()[0])}})
			if err != nil {
				t.Fatal(err)
			}
			status, _, raw := g.send("POST", "/api/v1/signing-requests", appA, "application/json", bytes.NewReader(body), "Idempotency-Key", "r-"+code)
			g.wantProblem(status, raw, http.StatusUnprocessableEntity, "document_not_signable")
			var p struct {
				Detail string `json:"detail"`
				Errors []struct{ Pointer, Code, Detail string }
			}
			if err := json.Unmarshal(raw, &p); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(p.Detail, c.says) || len(p.Errors) != 1 || p.Errors[0].Pointer != "/documents/0" || p.Errors[0].Code != code || p.Errors[0].Detail != p.Detail {
				t.Errorf("%s: %s", code, raw)
			}
		}
	})
}

// Every reason has words in both languages.
func TestEveryRefusalHasWords(t *testing.T) {
	t.Parallel()
	for _, lang := range []string{"es", "en"} {
		raw, err := os.ReadFile("internal/page/texts/" + lang + ".json")
		if err != nil {
			t.Fatal(err)
		}
		texts := map[string]any{}
		if err := json.Unmarshal(raw, &texts); err != nil {
			t.Fatal(err)
		}
		for _, code := range append(signer.Unsignable(), append(signer.DefaultRefused(), "other")...) {
			if s, _ := texts["signer.unsignable."+strings.ReplaceAll(code, "-", "_")].(string); s == "" {
				t.Errorf("%s: no words for %s", lang, code)
			}
		}
	}
}
