package idp_test

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/idp/internal/live"
	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

// TestEndsElsewhere: what another node ended is refused by this one once it has
// read of it, and at the latest when it has read nothing for half a second (D23),
// whatever it kept.
func TestEndsElsewhere(t *testing.T) {
	ends := map[string]func(w *world, tx *db.Tx, c ended) error{
		"token": func(w *world, tx *db.Tx, c ended) error {
			return flagged(store.RevokeAccess(tx, c.hash, "app-a", w.clock.Now()))
		},
		"grant": func(w *world, tx *db.Tx, c ended) error {
			return flagged(store.RevokeGrant(tx, c.grant.ID, "test", w.clock.Now()))
		},
		"sid": func(w *world, tx *db.Tx, c ended) error {
			return flagged(store.EndRPSession(tx, c.grant.SID, "test", w.clock.Now()))
		},
		"session": func(w *world, tx *db.Tx, c ended) error {
			return flagged(store.EndSession(tx, c.grant.Session, "test", w.clock.Now()))
		},
		"client": func(w *world, tx *db.Tx, _ ended) error { return store.DisableClient(tx, "app-a", w.clock.Now()) },
		"person": func(w *world, tx *db.Tx, c ended) error {
			_, err := subject.Bump(tx, c.grant.Person, subject.Suspended, "test", w.clock.Now())
			return err
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				w.clock.Stop()
				a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
				read := func(value string) int {
					res, _ := (&browser{w: w}).do(http.MethodGet, w.issuer+"/oauth2/userinfo", "", "", "Authorization", "Bearer "+value)
					return res.StatusCode
				}
				for _, step := range []bool{true, false} {
					who := w.person(identity.N2)
					_, tok := a.redeem(w.browser().enter(a.authorize(), who).Query().Get("code"))
					value := str(tok["access_token"])
					if err := w.p.Follow(t.Context()); err != nil {
						t.Fatal(err)
					}
					if got := read(value); got != http.StatusOK {
						t.Fatalf("before: %d", got)
					}
					c := ended{}
					c.hash, _ = oauth.AccessHash(value)
					err := w.d.Read(t.Context(), func(tx *db.Tx) (err error) {
						_, c.grant, _, err = store.LiveAccess(tx, c.hash, w.clock.Now())
						return err
					})
					if err == nil {
						err = w.d.Write(t.Context(), func(tx *db.Tx) error { return end(w, tx, c) })
					}
					if err != nil {
						t.Fatal(err)
					}
					if step {
						err = w.p.Follow(t.Context())
					} else {
						w.clock.Add(live.MaxStale + time.Microsecond)
					}
					if got := read(value); got != http.StatusUnauthorized || err != nil {
						t.Errorf("feed read %t: status %d, want 401 (%v)", step, got, err)
					}
					if name == "client" {
						if err := w.d.Write(t.Context(), func(tx *db.Tx) error { return store.EnableClient(tx, "app-a", w.clock.Now()) }); err != nil {
							t.Fatal(err)
						}
						w.clock.Add(time.Second)
					}
				}
			})
		})
	}
}

// ended is what a test ends: a token and its grant.
type ended struct {
	hash  []byte
	grant *store.Grant
}

func flagged(ok bool, err error) error {
	if err == nil && !ok {
		err = store.ErrNotFound
	}
	return err
}

// TestEndsHere: the node that ends something refuses it at once.
func TestEndsHere(t *testing.T) {
	each(t, func(w *world) {
		w.clock.Stop()
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, AuthMethod: "client_secret_basic", PostLogoutURIs: []string{"https://app-a.example/fin"}})
		follow := func() {
			t.Helper()
			if err := w.p.Follow(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		br, who := w.browser(), w.person(identity.N2)
		issued := func() string {
			t.Helper()
			_, tok := a.redeem(br.enter(a.authorize(), who).Query().Get("code"))
			follow()
			if value := str(tok["access_token"]); a.active(value) {
				return value
			}
			t.Fatal("a new token is not active")
			return ""
		}
		value := issued()
		if status, _ := a.call("/oauth2/revoke", url.Values{"token": {value}}); status != http.StatusOK || a.active(value) {
			t.Errorf("revoked: status %d, or still active", status)
		}
		value = issued()
		if n, err := w.p.EndOtherSessions(t.Context(), who, ""); n == 0 || err != nil || a.active(value) {
			t.Errorf("sessions ended: %d, %v; or still active", n, err)
		}
		old, asks := a.secret, func() int {
			status, _ := a.call("/oauth2/introspect", url.Values{"token": {"x"}})
			return status
		}
		fresh, err := w.p.RotateSecret(t.Context(), "", "app-a", 0)
		if got := asks(); err != nil || got != http.StatusUnauthorized {
			t.Errorf("old secret: %d, %v", got, err)
		}
		if a.secret = fresh; asks() != http.StatusOK {
			t.Error("the new secret is refused")
		}
		if a.secret = old; w.p.DisableClient(t.Context(), "", "app-a", "test") != nil || asks() != http.StatusUnauthorized {
			t.Error("a disabled client is answered")
		}
	})
}
