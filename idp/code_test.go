package idp_test

import (
	"encoding/base64"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
)

func TestCodeIsUsedOnce(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		b := w.register(idp.Client{ID: "app-b", Profile: idp.ProfileWeb})
		br := w.browser()
		code := br.enter(a.authorize(), who).Query().Get("code")
		if !strings.HasPrefix(code, "suti_ac_") {
			w.t.Errorf("code %q does not say what it is", code)
		}
		if status, out := b.redeem(code, "redirect_uri", a.redirect); status != 400 || out["error"] != "invalid_grant" {
			w.t.Errorf("another client: got %d %v, want invalid_grant", status, out)
		}
		status, tok := a.redeem(code)
		if status != 200 {
			w.t.Fatalf("after another client's try: %d %v", status, tok)
		}
		if status, out := a.redeem(code); status != 400 || out["error"] != "invalid_grant" {
			w.t.Errorf("second use: got %d %v, want invalid_grant", status, out)
		}
		if a.active(tok["access_token"]) {
			w.t.Error("the first token survived the code's reuse")
		}
		for round := range 5 {
			code := br.enter(a.authorize(), who).Query().Get("code")
			var good, bad atomic.Int64
			dbtest.Contend(w.t, 16, func(int) {
				switch status, out := a.redeem(code); {
				case status == 200:
					good.Add(1)
				case status == 400 && out["error"] == "invalid_grant":
					bad.Add(1)
				default:
					w.t.Errorf("got %d %v", status, out)
				}
			})
			if good.Load() != 1 || bad.Load() != 15 {
				w.t.Fatalf("round %d: %d successes, %d refusals; want 1 and 15", round, good.Load(), bad.Load())
			}
		}
	})
}

func TestCodeIsBurntByAWrongProof(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		for name, pairs := range map[string][]string{
			"wrong verifier": {"code_verifier", strings.Repeat("x", 43)}, "no verifier": {"code_verifier", ""}, "short verifier": {"code_verifier", "short"},
			"wrong address": {"redirect_uri", "https://evil.example/cb"}, "no address": {"redirect_uri", ""},
		} {
			code := br.enter(a.authorize(), who).Query().Get("code")
			if status, out := a.redeem(code, pairs...); status != 400 || out["error"] != "invalid_grant" {
				w.t.Errorf("%s: got %d %v, want invalid_grant", name, status, out)
			}
			if status, _ := a.redeem(code); status != 400 {
				w.t.Errorf("%s: the code was good for a second try", name)
			}
		}
		code := br.enter(a.authorize(), who).Query().Get("code")
		w.clock.Add(60 * time.Second)
		if status, out := a.redeem(code); status != 400 || out["error"] != "invalid_grant" {
			w.t.Errorf("code of 60 s: got %d %v, want invalid_grant", status, out)
		}
	})
}

func TestLegacyClientWithoutChallenge(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		l := w.register(idp.Client{ID: "vieja", Profile: idp.ProfileLegacy, AuthMethod: "client_secret_basic", Waivers: map[string]time.Time{idp.WaivePKCE: w.clock.Now().Add(time.Hour)}})
		br := w.browser()
		none := []string{"code_challenge", "", "code_challenge_method", ""}
		code := br.enter(l.authorize(none...), who).Query().Get("code")
		if status, out := l.redeem(code); status != 400 || out["error"] != "invalid_grant" {
			w.t.Errorf("a verifier without a challenge: got %d %v, want invalid_grant", status, out)
		}
		code = br.enter(l.authorize(none...), who).Query().Get("code")
		status, out := l.redeem(code, "code_verifier", "")
		if status != 200 {
			w.t.Fatalf("got %d %v", status, out)
		}
		head, _ := base64.RawURLEncoding.DecodeString(strings.Split(out["id_token"].(string), ".")[0])
		if !strings.Contains(string(head), `"RS256"`) {
			w.t.Errorf("header %s, want RS256 for a client that names no algorithm", head)
		}
		// A challenge that was sent binds even a waived client.
		code = br.enter(l.authorize(), who).Query().Get("code")
		if status, _ := l.redeem(code, "code_verifier", ""); status != 400 {
			w.t.Error("the challenge was forgotten")
		}
		w.clock.Add(2 * time.Hour)
		br = w.browser()
		if back, _, _ := br.follow(l.authorize(none...)); back == nil || back.Query().Get("error") != "invalid_request" {
			w.t.Errorf("after the waiver's end: %v, want invalid_request", back)
		}
	})
}
