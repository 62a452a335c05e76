package subject_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

var t0 = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func lines() []db.Line { return []db.Line{subject.Migrations} }

func newPerson(t testing.TB, d *db.DB) identity.PersonID {
	t.Helper()
	p := identity.PersonID(identity.NewID(identity.PrefixPerson, t0))
	write(t, d, func(tx *db.Tx) error { return subject.Create(tx, p, subject.Active, t0) })
	return p
}

func write(t testing.TB, d *db.DB, fn func(tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func bump(t testing.TB, d *db.DB, p identity.PersonID, s subject.State) subject.Epoch {
	t.Helper()
	var e subject.Epoch
	write(t, d, func(tx *db.Tx) (err error) {
		e, err = subject.Bump(tx, p, s, "test", t0)
		return err
	})
	return e
}

func current(t testing.TB, d *db.DB, p identity.PersonID) subject.Subject {
	t.Helper()
	var s subject.Subject
	if err := d.Read(context.Background(), func(tx *db.Tx) (err error) {
		s, err = subject.Current(tx, p)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEpochRisesByOnePerChange(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		p := newPerson(t, d)
		const callers = 40
		seen := make([]subject.Epoch, callers)
		dbtest.Contend(t, callers, func(i int) {
			err := d.Write(context.Background(), func(tx *db.Tx) (err error) {
				if i%2 == 0 {
					seen[i], err = subject.Advance(tx, p, "test.advance", t0)
				} else {
					seen[i], err = subject.Bump(tx, p, subject.Active, "test.bump", t0)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		slices.Sort(seen)
		for i, e := range seen {
			if e != subject.Epoch(i+2) {
				t.Fatalf("epochs: got %v, want 2 to %d once each", seen, callers+1)
			}
		}
		if got := current(t, d, p); got != (subject.Subject{Person: p, Epoch: callers + 1, State: subject.Active}) {
			t.Errorf("current: got %+v", got)
		}
		h, err := subject.History(t.Context(), d, p, 0)
		if err != nil || len(h) != callers+1 || h[0].Cause != "created" {
			t.Errorf("history: got %d changes, %v; want %d", len(h), err, callers+1)
		}
	})
}

func TestBumpFromHasOneWinner(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		p := newPerson(t, d)
		var won, stale atomic.Int64
		dbtest.Contend(t, 32, func(int) {
			err := d.Write(context.Background(), func(tx *db.Tx) error {
				_, err := subject.BumpFrom(tx, p, 1, subject.Suspended, "test.decided-on-1", t0)
				return err
			})
			switch {
			case err == nil:
				won.Add(1)
			case errors.Is(err, subject.ErrStale):
				stale.Add(1)
			default:
				t.Error(err)
			}
		})
		if won.Load() != 1 || stale.Load() != 31 {
			t.Errorf("got %d winners and %d stale, want 1 and 31", won.Load(), stale.Load())
		}
	})
}

func TestTransitions(t *testing.T) {
	t.Parallel()
	all := []subject.State{subject.Active, subject.Suspended, subject.Recovering, subject.Closed, subject.Deceased}
	refused := map[[2]subject.State]bool{
		{subject.Closed, subject.Active}:       true,
		{subject.Closed, subject.Suspended}:    true,
		{subject.Closed, subject.Recovering}:   true,
		{subject.Deceased, subject.Active}:     true,
		{subject.Deceased, subject.Recovering}: true,
	}
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		for _, from := range all {
			for _, to := range all {
				p := newPerson(t, d)
				bump(t, d, p, from)
				err := d.Write(t.Context(), func(tx *db.Tx) error {
					_, err := subject.Bump(tx, p, to, "test", t0)
					return err
				})
				want := subject.Subject{Person: p, Epoch: 3, State: to}
				if refused[[2]subject.State{from, to}] {
					want = subject.Subject{Person: p, Epoch: 2, State: from}
					if !errors.Is(err, subject.ErrTransition) {
						t.Errorf("%s to %s: got %v, want ErrTransition", from, to, err)
					}
				} else if err != nil {
					t.Errorf("%s to %s: %v", from, to, err)
				}
				if got := current(t, d, p); got != want {
					t.Errorf("%s to %s: got %+v, want %+v", from, to, got, want)
				}
			}
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		p := newPerson(t, d)
		stranger := identity.PersonID(identity.NewID(identity.PrefixPerson, t0))
		long := string(make([]byte, 101))
		for name, c := range map[string]struct {
			do   func(tx *db.Tx) error
			want error
		}{
			"create twice":     {func(tx *db.Tx) error { return subject.Create(tx, p, subject.Active, t0) }, subject.ErrExists},
			"create bad id":    {func(tx *db.Tx) error { return subject.Create(tx, "x", subject.Active, t0) }, identity.ErrID},
			"create closed":    {func(tx *db.Tx) error { return subject.Create(tx, stranger, subject.Closed, t0) }, subject.ErrTransition},
			"bump stranger":    {func(tx *db.Tx) error { _, err := subject.Bump(tx, stranger, subject.Active, "c", t0); return err }, subject.ErrUnknown},
			"bump nonsense":    {func(tx *db.Tx) error { _, err := subject.Bump(tx, p, "gone", "c", t0); return err }, subject.ErrTransition},
			"bump no cause":    {func(tx *db.Tx) error { _, err := subject.Bump(tx, p, subject.Active, "", t0); return err }, subject.ErrCause},
			"bump long cause":  {func(tx *db.Tx) error { _, err := subject.Bump(tx, p, subject.Active, long, t0); return err }, subject.ErrCause},
			"bump from 0":      {func(tx *db.Tx) error { _, err := subject.BumpFrom(tx, p, 0, subject.Active, "c", t0); return err }, subject.ErrStale},
			"advance stranger": {func(tx *db.Tx) error { _, err := subject.Advance(tx, stranger, "c", t0); return err }, subject.ErrUnknown},
			"require stranger": {func(tx *db.Tx) error { return subject.Require(tx, stranger, 1) }, subject.ErrUnknown},
			"require stale":    {func(tx *db.Tx) error { return subject.Require(tx, p, 2) }, subject.ErrStale},
		} {
			if err := d.Write(t.Context(), c.do); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
		}
		bump(t, d, p, subject.Suspended)
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return subject.Require(tx, p, 2) }); !errors.Is(err, subject.ErrNotActive) {
			t.Errorf("require suspended: got %v, want ErrNotActive", err)
		}
		head, err := subject.Head(t.Context(), d)
		if err != nil || head != 2 {
			t.Errorf("head: got %d, %v; want 2: refusals take no place in the feed", head, err)
		}
	})
}

// A write that passed Require must commit before a concurrent bump: afterwards
// nothing may exist that was granted under an epoch after that epoch had ended.
func TestRequireExcludesConcurrentBump(t *testing.T) {
	t.Parallel()
	grant := db.Line{Name: "grants", FS: grantFS(), Requires: []string{"subject"}}
	dbtest.Each(t, []db.Line{grant, subject.Migrations}, func(t *testing.T, d *db.DB) {
		p := newPerson(t, d)
		const rounds = 25
		for r := range rounds {
			epoch := current(t, d, p).Epoch
			dbtest.Contend(t, 9, func(i int) {
				var err error
				if i == 0 {
					// The bump counts the grants of the epoch that it ends; later there must be no more.
					err = d.Write(context.Background(), func(tx *db.Tx) error {
						e, err := subject.Advance(tx, p, "test", t0)
						if err != nil {
							return err
						}
						_, err = tx.Exec(`INSERT INTO grants_total (epoch, n) SELECT $1, count(*) FROM grants_one WHERE epoch = $1`, e-1)
						return err
					})
				} else {
					err = d.Write(context.Background(), func(tx *db.Tx) error {
						if err := subject.Require(tx, p, epoch); err != nil {
							return err
						}
						_, err := tx.Exec(`INSERT INTO grants_one (id, epoch) VALUES ($1, $2)`, fmt.Sprintf("%d-%d", r, i), epoch)
						return err
					})
					if errors.Is(err, subject.ErrStale) {
						err = nil
					}
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		var bad int
		if err := d.QueryRow(t.Context(), `SELECT count(*) FROM grants_total AS g
			WHERE g.n <> (SELECT count(*) FROM grants_one AS o WHERE o.epoch = g.epoch)`).Scan(&bad); err != nil {
			t.Fatal(err)
		}
		if bad != 0 {
			t.Errorf("%d of %d epochs got a grant after their end", bad, rounds)
		}
	})
}

// Readers follow the feed while many writers change people; the order in which
// transactions commit must never put a change below what was already read.
func TestFeedNeverSkipsALateCommit(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		const writers, each = 16, 15
		people := make([]identity.PersonID, writers)
		for i := range people {
			people[i] = newPerson(t, d)
		}
		stop := make(chan struct{})
		read := make(chan []subject.Change, 1)
		go func() {
			var all []subject.Change
			var at subject.Seq
			for last := false; ; {
				page, err := subject.Since(context.Background(), d, at, 7)
				if err != nil {
					t.Error(err)
					break
				}
				all = append(all, page...)
				if len(page) > 0 {
					at = page[len(page)-1].Seq
					continue
				}
				if last {
					break
				}
				select {
				case <-stop:
					last = true
				default:
				}
			}
			read <- all
		}()
		dbtest.Contend(t, writers, func(i int) {
			for k := range each {
				err := d.Write(context.Background(), func(tx *db.Tx) error {
					if _, err := subject.Advance(tx, people[i], "test", t0); err != nil {
						return err
					}
					if k%5 == 4 {
						return errors.New("rolled back")
					}
					return nil
				})
				if err != nil && k%5 != 4 {
					t.Error(err)
				}
			}
		})
		close(stop)
		all := <-read
		want := writers + writers*each/5*4
		if len(all) != want {
			t.Errorf("read while writing: got %d changes, want %d", len(all), want)
		}
		for i, c := range all {
			if c.Seq != subject.Seq(i+1) {
				t.Fatalf("place %d: got sequence %d", i+1, c.Seq)
			}
		}
		again, err := subject.Since(t.Context(), d, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(all, again); diff != "" {
			t.Errorf("read while writing, read afterwards (-got +want):\n%s", diff)
		}
	})
}
