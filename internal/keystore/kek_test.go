package keystore_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/keystore"
)

func TestOpenRefusesAnotherKEK(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, _ *keystore.Store, kek envelope.Key) {
		if _, err := keystore.Open(t.Context(), keystore.Config{DB: d, KEK: envelope.NewKey()}); !errors.Is(err, keystore.ErrKEKMissing) {
			t.Errorf("other KEK: got %v, want ErrKEKMissing", err)
		}
		if _, err := keystore.Open(t.Context(), keystore.Config{DB: d}); !errors.Is(err, envelope.ErrNoKey) {
			t.Errorf("no KEK: got %v", err)
		}
		node(t, d, c, envelope.NewKey(), kek) // as further key it will do
	})
}

// TestFirstKEKHasOneWinner: two installations on one empty database cannot both start.
func TestFirstKEKHasOneWinner(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines, func(t *testing.T, d *db.DB) {
		var won atomic.Int32
		dbtest.Contend(t, 6, func(int) {
			_, err := keystore.Open(t.Context(), keystore.Config{DB: d, KEK: envelope.NewKey()})
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, keystore.ErrKEKMissing) {
				t.Error(err)
			}
		})
		if won.Load() != 1 {
			t.Errorf("%d started, want 1", won.Load())
		}
	})
}

// world is a store with some keys in every state, to be re-wrapped.
type world struct {
	active, retired, destroyed string
	data                       map[string]envelope.Key
	erased                     string
}

func populate(t *testing.T, d *db.DB, s *keystore.Store) world {
	t.Helper()
	w := world{active: put(t, d, s, spec), retired: put(t, d, s, spec), destroyed: put(t, d, s, spec), data: map[string]envelope.Key{}, erased: person()}
	for range 5 {
		o := person()
		k, err := s.DataKey(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		w.data[o] = k
	}
	write(t, d, func(tx *db.Tx) error {
		return errors.Join(s.Retire(tx, w.retired, time.Time{}), s.Destroy(tx, w.destroyed), s.DestroyDataKey(tx, w.erased))
	})
	return w
}

// check verifies that s serves everything that is alive and nothing else.
func (w world) check(t *testing.T, s *keystore.Store) {
	t.Helper()
	g, err := s.Signer(t.Context(), w.active, spec.Purpose)
	if err != nil || sign(g) != nil {
		t.Errorf("active key: %v", err)
	}
	if _, err := s.Signer(t.Context(), w.retired, spec.Purpose); !errors.Is(err, keystore.ErrNotActive) {
		t.Errorf("retired key: %v", err)
	}
	if _, err := s.Signer(t.Context(), w.destroyed, spec.Purpose); !errors.Is(err, keystore.ErrDestroyed) {
		t.Errorf("destroyed key: %v", err)
	}
	for o, want := range w.data {
		if k, err := s.DataKey(t.Context(), o); err != nil || !k.Equal(want) {
			t.Errorf("data key: changed, or %v", err)
		}
	}
	if _, err := s.DataKey(t.Context(), w.erased); !errors.Is(err, keystore.ErrErased) {
		t.Errorf("erased data key: %v", err)
	}
}

// TestRewrap goes through a whole rotation with interruptions, while two other
// nodes run: one that holds the new KEK and one that does not.
func TestRewrap(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, old envelope.Key) {
		w := populate(t, d, s)
		fresh := envelope.NewKey()
		ready, behind := node(t, d, c, old, fresh), node(t, d, c, old)
		early, err := behind.Generate(spec) // sealed under the old KEK, put too late
		if err != nil {
			t.Fatal(err)
		}
		total := 0
		var last keystore.Progress
		for step := 0; ; step++ {
			if step > 10 {
				t.Fatal("does not end")
			}
			worker := node(t, d, c, old, fresh) // each step by a node that just started
			p, err := worker.Rewrap(t.Context(), fresh, 2)
			if err != nil {
				t.Fatal(err)
			}
			if p.Generation != 2 || p.Rewrapped > 2 {
				t.Errorf("step %d: %+v", step, p)
			}
			total += p.Rewrapped
			w.check(t, ready)
			w.check(t, node(t, d, c, old, fresh))
			if p.Remaining > 0 {
				if err := worker.ReleaseKEK(t.Context(), old.Fingerprint()); !errors.Is(err, keystore.ErrKEKInUse) {
					t.Errorf("released too early: %v", err)
				}
			}
			if last = p; p.Remaining == 0 {
				break
			}
		}
		if total != 7 { // active, retired, five data keys; not the destroyed and erased
			t.Errorf("moved %d rows, want 7: %+v", total, last)
		}
		if _, err := behind.Signer(t.Context(), w.active, spec.Purpose); !errors.Is(err, keystore.ErrKEKMissing) {
			t.Errorf("a node without the new KEK: got %v", err)
		}
		if _, err := keystore.Open(t.Context(), keystore.Config{DB: d, KEK: old}); !errors.Is(err, keystore.ErrKEKMissing) {
			t.Errorf("starting without the new KEK: got %v", err)
		}
		if _, err := ready.Rewrap(t.Context(), old, 2); !errors.Is(err, keystore.ErrKEKInUse) {
			t.Errorf("back to the old KEK: got %v", err)
		}
		if err := ready.ReleaseKEK(t.Context(), fresh.Fingerprint()); !errors.Is(err, keystore.ErrKEKInUse) {
			t.Errorf("releasing the newest: got %v", err)
		}
		if err := ready.ReleaseKEK(t.Context(), "00"); !errors.Is(err, keystore.ErrNotFound) {
			t.Errorf("releasing an unknown one: got %v", err)
		}
		if err := ready.ReleaseKEK(t.Context(), old.Fingerprint()); err != nil {
			t.Fatal(err)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return behind.Put(tx, early) }); !errors.Is(err, keystore.ErrKEKRetired) {
			t.Errorf("a key sealed under the released KEK: got %v", err)
		}
		only := node(t, d, c, fresh)
		w.check(t, only)
		g, err := only.Generations(t.Context())
		if err != nil || len(g) != 1 || g[0].Number != 2 || g[0].Rows != 7 || !g[0].Held || g[0].Fingerprint != fresh.Fingerprint() {
			t.Errorf("generations: %+v, %v", g, err)
		}
	})
}

// TestRewrapByTwoNodes: both finish, no row is lost or damaged, also with
// erasures in between.
func TestRewrapByTwoNodes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, old envelope.Key) {
		w := populate(t, d, s)
		for o := range w.data {
			w.erased = o
		}
		delete(w.data, w.erased)
		fresh := envelope.NewKey()
		dbtest.Contend(t, 4, func(i int) {
			if i == 3 {
				if err := d.Write(t.Context(), func(tx *db.Tx) error { return s.DestroyDataKey(tx, w.erased) }); err != nil {
					t.Error(err)
				}
				return
			}
			worker, err := keystore.Open(t.Context(), keystore.Config{DB: d, KEK: old, MoreKEKs: []envelope.Key{fresh}, Now: c.Now})
			for range 20 {
				var p keystore.Progress
				if err == nil {
					p, err = worker.Rewrap(t.Context(), fresh, 1)
				}
				if err != nil || p.Remaining == 0 {
					break
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
		if err := s.ReleaseKEK(t.Context(), old.Fingerprint()); err != nil {
			t.Fatal(err)
		}
		w.check(t, node(t, d, c, fresh))
	})
}

// TestRewrapReportsDamage: a row that does not open stays, the others move.
func TestRewrapReportsDamage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, old envelope.Key) {
		w := populate(t, d, s)
		var victim string
		for o := range w.data {
			victim = o
		}
		execSQL(t, d, `UPDATE key_data SET sealed = $2 WHERE owner = $1`, victim, make([]byte, 73))
		delete(w.data, victim)
		fresh := envelope.NewKey()
		p, err := s.Rewrap(t.Context(), fresh, 0)
		if !errors.Is(err, keystore.ErrCorrupt) || p.Remaining != 1 || p.Rewrapped != 6 {
			t.Errorf("got %+v, %v", p, err)
		}
		if err := s.ReleaseKEK(t.Context(), old.Fingerprint()); !errors.Is(err, keystore.ErrKEKInUse) {
			t.Errorf("released: %v", err)
		}
		w.check(t, node(t, d, c, fresh, old))
	})
}
