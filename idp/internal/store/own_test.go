package store_test

import (
	"testing"

	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
)

// TestOneOfTheLastGrantsIsTheLast: two grants that end at the same moment, each
// in a transaction of another node, leave no client session without a grant.
func TestOneOfTheLastGrantsIsTheLast(t *testing.T) {
	t.Parallel()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			t.Parallel()
			url := dbtest.URL(t, e)
			nodes := []*db.DB{dbtest.OpenConfig(t, db.Config{URL: url})}
			if err := nodes[0].Migrate(t.Context(), lines()...); err != nil {
				t.Fatal(err)
			}
			if e == db.Postgres {
				nodes = append(nodes, dbtest.OpenConfig(t, db.Config{URL: url}))
			}
			tr := plant(t, nodes[0])
			for range 40 {
				var sid string
				ids := []string{identity.NewID("grt", t0), identity.NewID("grt", t0)}
				tr.write(func(tx *db.Tx) (err error) {
					if sid, err = store.OpenRPSession(tx, tr.sess, tr.client, identity.NewID("sid", t0), t0); err != nil {
						return err
					}
					for _, id := range ids {
						if err := store.InsertGrant(tx, &store.Grant{ID: id, SID: sid, Session: tr.sess, Client: tr.client, Person: tr.person, Epoch: 1, Sub: "s", CreatedAt: t0}); err != nil {
							return err
						}
					}
					_, err = store.RevokeGrant(tx, tr.grant, "test", t0)
					return err
				})
				last := make([]bool, 2)
				dbtest.Contend(t, 2, func(i int) {
					err := nodes[i%len(nodes)].Write(t.Context(), func(tx *db.Tx) error {
						if err := store.HoldRPSession(tx, sid); err != nil {
							return err
						}
						if _, err := store.RevokeGrant(tx, ids[i], "own", t0); err != nil {
							return err
						}
						used, err := store.SIDInUse(tx, sid, t0)
						if last[i] = false; err == nil && !used {
							last[i], err = store.EndRPSession(tx, sid, "own-grant", t0)
						}
						return err
					})
					if err != nil {
						t.Error(err)
					}
				})
				if last[0] == last[1] {
					t.Fatalf("of two that ended together %v were the last, want one", last)
				}
			}
		})
	}
}
