package store_test

import (
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

var t0 = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func lines() []db.Line { return []db.Line{subject.Migrations, store.Migrations} }

// tree is a person signed in at one client, with one grant.
type tree struct {
	t      *testing.T
	d      *db.DB
	person identity.PersonID
	client string
	sess   string
	secret []byte
	sid    string
	grant  string
}

func (tr *tree) write(fn func(tx *db.Tx) error) {
	tr.t.Helper()
	if err := tr.d.Write(tr.t.Context(), fn); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) read(fn func(tx *db.Tx) error) {
	tr.t.Helper()
	if err := tr.d.Read(tr.t.Context(), fn); err != nil {
		tr.t.Fatal(err)
	}
}

func plant(t *testing.T, d *db.DB) *tree {
	t.Helper()
	tr := &tree{
		t: t, d: d, person: identity.PersonID(identity.NewID("per", t0)), client: "app-a", sess: identity.NewID("ses", t0),
		secret: store.Hash("session", "x"), grant: identity.NewID("grt", t0),
	}
	tr.write(func(tx *db.Tx) error {
		if err := subject.Create(tx, tr.person, subject.Active, t0); err != nil {
			return err
		}
		if err := store.InsertClient(tx, &store.Client{
			ID: tr.client, Institution: "ins_x", Sector: "s1", Profile: "gov-web", Name: "App A", AuthMethod: "private_key_jwt", JWKS: "{}",
			RedirectURIs: []string{"https://a.example/cb"}, PostLogoutURIs: []string{"https://a.example/cb"}, Scopes: []string{"openid"}, Grants: []string{"authorization_code"}, IDTokenAlg: "ES256", TokenFormat: "opaque",
			Waivers: map[string]time.Time{"pkce": t0.Add(time.Hour)}, BackchannelURI: "https://a.example/bc", CreatedAt: t0,
		}); err != nil {
			return err
		}
		if err := store.InsertSession(tx, &store.Session{
			ID: tr.sess, Person: tr.person, Epoch: 1, Device: "d", CreatedAt: t0, SeenAt: t0, Idle: time.Hour, ExpiresAt: t0.Add(24 * time.Hour),
		}, tr.secret); err != nil {
			return err
		}
		sub, err := store.Subject(tx, "s1", tr.person, "sub-a", t0)
		if err != nil {
			return err
		}
		if tr.sid, err = store.OpenRPSession(tx, tr.sess, tr.client, "sid-a", t0); err != nil {
			return err
		}
		return store.InsertGrant(tx, &store.Grant{
			ID: tr.grant, SID: tr.sid, Session: tr.sess, Client: tr.client, Person: tr.person, Epoch: 1, Sub: sub, Scopes: []string{"openid", "profile"},
			Request: "{}", ACR: "urn:suti:acr:n2", AMR: []string{"swk"}, AuthAt: t0, CreatedAt: t0,
		})
	})
	return tr
}

func (tr *tree) code(value string) []byte {
	h := store.Hash("code", value)
	tr.write(func(tx *db.Tx) error {
		return store.InsertCode(tx, &store.Code{Hash: h, Grant: tr.grant, Client: tr.client, RedirectURI: "https://a.example/cb", Challenge: "c", ExpiresAt: t0.Add(time.Minute)})
	})
	return h
}

func (tr *tree) access(value string) []byte {
	h := store.Hash("access", value)
	tr.write(func(tx *db.Tx) error {
		return store.InsertAccess(tx, &store.Access{Hash: h, Grant: tr.grant, Client: tr.client, Scopes: []string{"openid"}, CreatedAt: t0, ExpiresAt: t0.Add(time.Hour)})
	})
	return h
}

func (tr *tree) alive(h []byte, at time.Time) bool {
	tr.t.Helper()
	var live bool
	tr.read(func(tx *db.Tx) error {
		_, _, _, err := store.LiveAccess(tx, h, at)
		live = err == nil
		if errors.Is(err, store.ErrNotFound) {
			err = nil
		}
		return err
	})
	return live
}

func TestCodeIsSpentOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		tr := plant(t, d)
		for round := range 20 {
			h := tr.code(string(rune('a' + round)))
			var won, lost atomic.Int64
			dbtest.Contend(t, 32, func(int) {
				switch err := d.Write(t.Context(), func(tx *db.Tx) error { return store.ConsumeCode(tx, h, tr.client, t0) }); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, store.ErrSpent):
					lost.Add(1)
				default:
					t.Errorf("unexpected: %v", err)
				}
			})
			if won.Load() != 1 || lost.Load() != 31 {
				t.Fatalf("round %d: %d winners, %d losers; want 1 and 31", round, won.Load(), lost.Load())
			}
		}
	})
}

// TestEndingALevelEndsAllBeneath ends each level in turn and expects codes,
// access tokens and refresh tokens under it to be dead at once.
func TestEndingALevelEndsAllBeneath(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(tr *tree, tx *db.Tx) error{
		"grant": func(tr *tree, tx *db.Tx) error {
			_, err := store.RevokeGrant(tx, tr.grant, "test", t0)
			return err
		},
		"client session": func(tr *tree, tx *db.Tx) error {
			_, err := store.EndRPSession(tx, tr.sid, "test", t0)
			return err
		},
		"sign-on session": func(tr *tree, tx *db.Tx) error {
			_, err := store.EndSession(tx, tr.sess, "test", t0)
			return err
		},
		"all of the person's": func(tr *tree, tx *db.Tx) error {
			if ids, err := store.EndStaleSessions(tx, tr.person, "test", t0); err != nil || len(ids) > 0 {
				tr.t.Errorf("ended %v of the present epoch, %v", ids, err)
			}
			if _, err := subject.Bump(tx, tr.person, subject.Active, "test", t0); err != nil {
				return err
			}
			ids, err := store.EndStaleSessions(tx, tr.person, "test", t0)
			if err == nil && !slices.Equal(ids, []string{tr.sess}) {
				tr.t.Errorf("ended %v, want %v", ids, tr.sess)
			}
			return err
		},
		"suspension": func(tr *tree, tx *db.Tx) error {
			_, err := subject.Bump(tx, tr.person, subject.Suspended, "test", t0)
			return err
		},
		"suspended and active again": func(tr *tree, tx *db.Tx) error {
			if _, err := subject.Bump(tx, tr.person, subject.Suspended, "test", t0); err != nil {
				return err
			}
			_, err := subject.Bump(tx, tr.person, subject.Active, "test", t0)
			return err
		},
		"client disabled": func(tr *tree, tx *db.Tx) error { return store.DisableClient(tx, tr.client, t0) },
		"consent revoked": func(tr *tree, tx *db.Tx) error {
			_, err := store.RevokeConsents(tx, string(tr.person), tr.client, t0)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
				tr := plant(t, d)
				code, access, refresh := tr.code("c"), tr.access("a"), store.Hash("refresh", "r")
				tr.write(func(tx *db.Tx) error {
					return store.InsertRefresh(tx, &store.Refresh{Hash: refresh, Grant: tr.grant, Client: tr.client, CreatedAt: t0, IdleUntil: t0.Add(time.Hour), ExpiresAt: t0.Add(time.Hour)})
				})
				if !tr.alive(access, t0) {
					t.Fatal("access token dead before")
				}
				tr.write(func(tx *db.Tx) error { return end(tr, tx) })
				if tr.alive(access, t0) {
					t.Error("access token lives on")
				}
				for what, use := range map[string]func(tx *db.Tx) error{
					"code":           func(tx *db.Tx) error { return store.ConsumeCode(tx, code, tr.client, t0) },
					"refresh":        func(tx *db.Tx) error { return store.UseRefresh(tx, refresh, tr.client, []byte("s"), t0) },
					"stable refresh": func(tx *db.Tx) error { return store.KeepRefresh(tx, refresh, tr.client, t0.Add(time.Hour), t0) },
				} {
					if err := d.Write(t.Context(), use); !errors.Is(err, store.ErrSpent) {
						t.Errorf("%s: got %v, want ErrSpent", what, err)
					}
				}
				tr.read(func(tx *db.Tx) error {
					if _, _, live, err := store.CodeByHash(tx, code, t0); err != nil || live {
						t.Errorf("code reads live %v, %v", live, err)
					}
					return nil
				})
			})
		})
	}
}

func TestLimitsOfTime(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		tr := plant(t, d)
		code, access := tr.code("c"), tr.access("a")
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return store.ConsumeCode(tx, code, tr.client, t0.Add(time.Minute)) }); !errors.Is(err, store.ErrSpent) {
			t.Errorf("expired code: got %v, want ErrSpent", err)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return store.ConsumeCode(tx, code, "app-b", t0) }); !errors.Is(err, store.ErrSpent) {
			t.Errorf("another client's code: got %v, want ErrSpent", err)
		}
		if tr.alive(access, t0.Add(time.Hour)) {
			t.Error("expired access token lives")
		}
		session := func(at time.Time) error {
			return d.Read(t.Context(), func(tx *db.Tx) error {
				_, err := store.SessionBySecret(tx, tr.secret, at)
				return err
			})
		}
		if err := session(t0.Add(59 * time.Minute)); err != nil {
			t.Errorf("before the idle limit: %v", err)
		}
		if err := session(t0.Add(time.Hour)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("at the idle limit: got %v, want ErrNotFound", err)
		}
		// Touching after the limit revives nothing.
		tr.write(func(tx *db.Tx) error { return store.TouchSession(tx, tr.sess, t0.Add(2*time.Hour)) })
		if err := session(t0.Add(2 * time.Hour)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("touched after the limit: got %v, want ErrNotFound", err)
		}
		tr.write(func(tx *db.Tx) error { return store.TouchSession(tx, tr.sess, t0.Add(50*time.Minute)) })
		if err := session(t0.Add(100 * time.Minute)); err != nil {
			t.Errorf("touched before the limit: %v", err)
		}
	})
}

func TestSingleUseOfEveryOtherThing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		tr := plant(t, d)
		par, refresh, inter := store.Hash("par", "u"), store.Hash("refresh", "r"), identity.NewID("int", t0)
		tr.write(func(tx *db.Tx) error {
			if err := store.InsertPAR(tx, par, tr.client, "{}", t0, t0.Add(time.Minute)); err != nil {
				return err
			}
			if err := store.InsertInteraction(tx, &store.Interaction{ID: inter, Client: tr.client, Request: "{}", Browser: []byte("b"), CreatedAt: t0, ExpiresAt: t0.Add(time.Hour)}); err != nil {
				return err
			}
			return store.InsertRefresh(tx, &store.Refresh{Hash: refresh, Grant: tr.grant, Client: tr.client, CreatedAt: t0, IdleUntil: t0.Add(time.Hour), ExpiresAt: t0.Add(time.Hour)})
		})
		for what, use := range map[string]func(tx *db.Tx) error{
			"assertion":   func(tx *db.Tx) error { return store.SpendJTI(tx, tr.client, "j", t0.Add(time.Minute)) },
			"request_uri": func(tx *db.Tx) error { return store.ConsumePAR(tx, par, t0) },
			"interaction": func(tx *db.Tx) error { return store.DecideInteraction(tx, inter, t0) },
			"refresh":     func(tx *db.Tx) error { return store.UseRefresh(tx, refresh, tr.client, []byte("s"), t0) },
		} {
			var won atomic.Int64
			dbtest.Contend(t, 24, func(int) {
				if err := d.Write(t.Context(), use); err == nil {
					won.Add(1)
				} else if !errors.Is(err, store.ErrSpent) {
					t.Errorf("%s: %v", what, err)
				}
			})
			if won.Load() != 1 {
				t.Errorf("%s: used %d times", what, won.Load())
			}
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return store.SpendJTI(tx, "other", "j", t0) }); err != nil {
			t.Errorf("the same jti of another client: %v", err)
		}
	})
}

func TestPairwiseSubjectIsStableAndApart(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		tr := plant(t, d)
		var again, other string
		tr.write(func(tx *db.Tx) (err error) {
			if again, err = store.Subject(tx, "s1", tr.person, "fresh-1", t0); err != nil {
				return err
			}
			other, err = store.Subject(tx, "s2", tr.person, "fresh-2", t0)
			return err
		})
		if again != "sub-a" || other != "fresh-2" {
			t.Errorf("got %q and %q, want sub-a and fresh-2", again, other)
		}
		tr.read(func(tx *db.Tx) error {
			if p, err := store.PersonBySubject(tx, "s1", "sub-a"); err != nil || p != tr.person {
				t.Errorf("PersonBySubject: %v, %v", p, err)
			}
			if _, err := store.PersonBySubject(tx, "s2", "sub-a"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a subject of another sector was found: %v", err)
			}
			return nil
		})
		// Two at once get one subject.
		person := identity.PersonID(identity.NewID("per", t0))
		got := make([]string, 16)
		dbtest.Contend(t, 16, func(i int) {
			_ = d.Write(t.Context(), func(tx *db.Tx) (err error) {
				got[i], err = store.Subject(tx, "s1", person, identity.NewID("sub", t0), t0)
				return err
			})
		})
		if slices.Sort(got); len(slices.Compact(got)) != 1 || got[0] == "" {
			t.Errorf("one person got several subjects: %v", got)
		}
	})
}

func TestConsentsAndRows(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		tr := plant(t, d)
		tr.write(func(tx *db.Tx) error {
			for i, scope := range []string{"profile", "email", "profile"} {
				if err := store.InsertConsent(tx, string(tr.person), store.Consent{ID: identity.NewID("con", t0.Add(time.Duration(i)*time.Second)), Client: tr.client, Scope: scope, GrantedAt: t0, ExpiresAt: t0.Add(time.Hour)}); err != nil {
					return err
				}
			}
			return nil
		})
		count := func(client string, at time.Time) (n int) {
			tr.read(func(tx *db.Tx) error {
				cs, err := store.Consents(tx, string(tr.person), client, at)
				n = len(cs)
				return err
			})
			return n
		}
		if got := count(tr.client, t0); got != 2 {
			t.Errorf("got %d live consents, want 2", got)
		}
		if got := count("", t0.Add(time.Hour)); got != 0 {
			t.Errorf("got %d consents after they expired, want 0", got)
		}
		tr.write(func(tx *db.Tx) error {
			targets, err := store.BackchannelTargets(tx, tr.sess)
			if err != nil || len(targets) != 1 || targets[0] != (store.BackchannelTarget{Client: tr.client, Address: "https://a.example/bc", SID: tr.sid, Sub: "sub-a"}) {
				t.Errorf("BackchannelTargets: %+v, %v", targets, err)
			}
			return err
		})
		tr.read(func(tx *db.Tx) error {
			c, err := store.ClientByID(tx, tr.client)
			if err != nil || !c.Waived("pkce", t0) || c.Waived("pkce", t0.Add(time.Hour)) || c.Waived("other", t0) || c.RedirectURIs[0] != "https://a.example/cb" || len(c.PostLogoutURIs) != 1 {
				t.Errorf("client reads back wrong: %+v, %v", c, err)
			}
			return err
		})
		tr.write(func(tx *db.Tx) error {
			if err := store.SpendJTI(tx, "c", "old", t0); err != nil {
				return err
			}
			n, err := store.Purge(tx, t0.Add(time.Minute), 100)
			if n != 1 {
				t.Errorf("purged %d rows, want the old jti alone", n)
			}
			return err
		})
	})
}
