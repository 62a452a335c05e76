package keystore_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/keystore"
)

// TestDataKeyHasOneWinner lets two nodes with several callers each ask for the
// same keys at once, with pools of their own.
func TestDataKeyHasOneWinner(t *testing.T) {
	t.Parallel()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			t.Parallel()
			url := dbtest.URL(t, e)
			c, kek := newClock(), envelope.NewKey()
			var nodes []*keystore.Store
			for i := range 2 {
				d := dbtest.OpenConfig(t, db.Config{URL: url, Writers: 4})
				if i == 0 {
					if err := d.Migrate(t.Context(), lines...); err != nil {
						t.Fatal(err)
					}
				}
				nodes = append(nodes, node(t, d, c, kek))
			}
			for range 10 {
				owner := person()
				keys := make([]envelope.Key, 24)
				dbtest.Contend(t, len(keys), func(i int) {
					k, err := nodes[i%2].DataKey(t.Context(), owner)
					if err != nil {
						t.Errorf("caller %d: %v", i, err)
					}
					keys[i] = k
				})
				for i, k := range keys {
					if !k.Equal(keys[0]) {
						t.Fatalf("caller %d got another key", i)
					}
				}
				third := node(t, dbtest.OpenConfig(t, db.Config{URL: url}), c, kek) // nothing cached: durable
				if k, err := third.DataKey(t.Context(), owner); err != nil || !k.Equal(keys[0]) {
					t.Fatalf("a third node: other key, or %v", err)
				}
			}
		})
	}
}

// TestCreationAgainstErasure: whichever comes first, no key is left alive.
func TestCreationAgainstErasure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, kek envelope.Key) {
		other := node(t, d, c, kek)
		for range 20 {
			owner := person()
			dbtest.Contend(t, 6, func(i int) {
				if i == 0 {
					if err := d.Write(t.Context(), func(tx *db.Tx) error { return s.DestroyDataKey(tx, owner) }); err != nil {
						t.Error(err)
					}
					return
				}
				if _, err := []*keystore.Store{s, other}[i%2].DataKey(t.Context(), owner); err != nil && !errors.Is(err, keystore.ErrErased) {
					t.Error(err)
				}
			})
			if _, err := s.DataKey(t.Context(), owner); !errors.Is(err, keystore.ErrErased) {
				t.Fatalf("this node: got %v, want ErrErased", err)
			}
			c.Add(time.Second)
			if _, err := other.DataKey(t.Context(), owner); !errors.Is(err, keystore.ErrErased) {
				t.Fatalf("other node after 1 s: got %v, want ErrErased", err)
			}
			var sealed []byte
			if err := d.QueryRow(t.Context(), `SELECT sealed FROM key_data WHERE owner = $1`, owner).Scan(&sealed); err != nil || len(sealed) != 0 {
				t.Fatalf("tombstone: %d bytes, %v", len(sealed), err)
			}
		}
	})
}

func TestErasure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, kek envelope.Key) {
		owner, neighbour := person(), person()
		for _, o := range []string{owner, neighbour, "system:audit"} {
			if _, err := s.DataKey(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		k, _ := s.DataKey(t.Context(), owner)
		boom := errors.New("boom")
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return errors.Join(s.DestroyDataKey(tx, owner), boom) }); !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if again, err := s.DataKey(t.Context(), owner); err != nil || !again.Equal(k) {
			t.Errorf("after a rolled-back erasure: other key, or %v", err)
		}
		first := c.Now()
		write(t, d, func(tx *db.Tx) error { return s.DestroyDataKey(tx, owner) })
		if _, err := s.DataKey(t.Context(), owner); !errors.Is(err, keystore.ErrErased) {
			t.Errorf("at once: got %v", err)
		}
		c.Add(time.Hour)
		write(t, d, func(tx *db.Tx) error { return s.DestroyDataKey(tx, owner) })
		var at int64
		if err := d.QueryRow(t.Context(), `SELECT erased_at FROM key_data WHERE owner = $1`, owner).Scan(&at); err != nil || !db.Time(at).Equal(first) {
			t.Errorf("time of erasure: got %v, %v, want the first", db.Time(at), err)
		}
		for _, o := range []string{neighbour, "system:audit"} {
			if _, err := s.DataKey(t.Context(), o); err != nil {
				t.Errorf("%s: %v", o, err)
			}
		}
		never := person()
		write(t, d, func(tx *db.Tx) error { return s.DestroyDataKey(tx, never) })
		if _, err := s.DataKey(t.Context(), never); !errors.Is(err, keystore.ErrErased) {
			t.Errorf("erased before first use: got %v", err)
		}
	})
}

// TestDataKeyOfAnotherOwner: a row copied to another owner does not open.
func TestDataKeyOfAnotherOwner(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, kek envelope.Key) {
		a, b := person(), person()
		ka, err := s.DataKey(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		if kb, err := s.DataKey(t.Context(), b); err != nil || kb.Equal(ka) {
			t.Fatalf("two owners share a key, or %v", err)
		}
		execSQL(t, d, `UPDATE key_data SET sealed = (SELECT o.sealed FROM key_data o WHERE o.owner = $1) WHERE owner = $2`, a, b)
		if _, err := node(t, d, c, kek).DataKey(t.Context(), b); !errors.Is(err, keystore.ErrCorrupt) {
			t.Errorf("got %v, want ErrCorrupt", err)
		}
		execSQL(t, d, `UPDATE key_data SET kek_generation = NULL, erased_at = 1, sealed = $2 WHERE owner = $1`, a, []byte{})
		if _, err := node(t, d, c, kek).DataKey(t.Context(), a); !errors.Is(err, keystore.ErrErased) {
			t.Errorf("got %v, want ErrErased", err)
		}
	})
}

func TestOwners(t *testing.T) {
	t.Parallel()
	good := []string{person(), "ins_01890000000000000000000000", "system:audit", "system:a.b-c_1"}
	bad := []string{"", "system:", "system:A", "system:a b", "per_", "juana", "per_01890000000000000000000000x", "PER_01890000000000000000000000",
		"p_01890000000000000000000000", "pers_1890000000000000000000000", "1:\n_01890000000000000000000000", "system:" + fmt.Sprintf("%065d", 1)}
	for _, o := range good {
		if err := keystore.CheckOwner(o); err != nil {
			t.Errorf("%q: %v", o, err)
		}
	}
	for _, o := range bad {
		if err := keystore.CheckOwner(o); !errors.Is(err, keystore.ErrSpec) {
			t.Errorf("%q: got %v, want ErrSpec", o, err)
		}
	}
}

// TestDataKeyCacheIsBounded: with room for two keys, many owners still get
// each their own.
func TestDataKeyCacheIsBounded(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, db.SQLite, lines)
	c := newClock()
	s, err := keystore.Open(t.Context(), keystore.Config{DB: d, KEK: envelope.NewKey(), Now: c.Now, DataKeys: 2, OpenSigners: 1})
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]envelope.Key{}
	var owners []string
	for range 6 {
		o := person()
		owners = append(owners, o)
		if keys[o], err = s.DataKey(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		var wg sync.WaitGroup
		for _, o := range owners {
			wg.Go(func() {
				if k, err := s.DataKey(t.Context(), o); err != nil || !k.Equal(keys[o]) {
					t.Errorf("other key, or %v", err)
				}
			})
		}
		wg.Wait()
		slices.Reverse(owners)
	}
	if _, err := (*keystore.Store).Generate(s, spec); err != nil {
		t.Fatal(err)
	}
	a, b := put(t, d, s, spec), put(t, d, s, spec)
	for range 3 {
		for _, id := range []string{a, b} {
			g, err := s.Signer(t.Context(), id, spec.Purpose)
			if err != nil || sign(g) != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
	}
}
