package idp_test

import (
	"net/url"
	"testing"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

// The grace helps a client whose reply was lost. Once the successor was used
// nothing was lost, and the old token coming again ends the family at once.
func TestRefreshGraceEndsWithTheSuccessorsUse(t *testing.T) {
	each(t, func(w *world) {
		s := w.register(idp.Client{ID: "spa", Profile: idp.ProfileSPA})
		code := w.browser().enter(s.authorize("scope", "openid offline_access"), w.person(identity.N2)).Query().Get("code")
		_, out := s.redeem(code)
		use := func(rt string) (int, map[string]any) {
			return s.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {rt}})
		}
		first, _ := out["refresh_token"].(string)
		_, out = use(first)
		second, _ := out["refresh_token"].(string)
		if status, again := use(first); status != 200 || again["refresh_token"] != second {
			w.t.Errorf("a lost reply: got %d %v, want the same successor", status, again)
		}
		status, out := use(second)
		third, _ := out["refresh_token"].(string)
		if status != 200 || third == "" {
			w.t.Fatalf("the successor: got %d %v", status, out)
		}
		if status, out := use(first); status != 400 || out["error"] != "invalid_grant" {
			w.t.Errorf("the first again: got %d %v, want invalid_grant", status, out)
		}
		if status, _ := use(third); status != 400 {
			w.t.Error("the family survived the reuse")
		}
	})
}
