package notices_test

import (
	"path/filepath"
	"testing"
	"time"

	"oruro.gob.bo/suti/cmd/internal/notices"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/notify"
	"oruro.gob.bo/suti/internal/outbox"
)

type world struct {
	t   *testing.T
	d   *db.DB
	now time.Time
	log *audit.Log
	seq *audit.Sequencer
}

func must[T any](t *testing.T, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	w := &world{t: t, d: d, now: time.Now()}
	now := func() time.Time { return w.now }
	keys, err := keystore.Open(t.Context(), keystore.Config{DB: d, KEK: envelope.NewKey()})
	must(t, keys, err)
	w.log, err = audit.New(audit.Config{DB: d, Keys: keys, Erased: keystore.ErrErased, Now: now})
	must(t, w.log, err)
	p, err := keys.Generate(keystore.Spec{Purpose: "log", Alg: keystore.EdDSA, Owner: keystore.SystemOwner + "log", Activate: true})
	must(t, p, err)
	if err := d.Write(t.Context(), func(tx *db.Tx) error { return keys.Put(tx, p) }); err != nil {
		t.Fatal(err)
	}
	signer, err := keys.Signer(t.Context(), p.ID(), "log")
	must(t, signer, err)
	w.seq, err = audit.NewSequencer(t.Context(), audit.SequencerConfig{Log: w.log, Signer: signer, Origin: "localhost/log", HighWater: filepath.Join(t.TempDir(), "mark")})
	must(t, w.seq, err)
	return w
}

// happen records something; place gives what was recorded its place in the log.
func (w *world) happen(kind, outcome string, who identity.PersonID) {
	w.t.Helper()
	p, err := w.log.Prepare(w.t.Context(), audit.Entry{Kind: kind, Subject: who, Outcome: outcome})
	must(w.t, p, err)
	if err := w.d.Write(w.t.Context(), func(tx *db.Tx) error {
		_, err := w.log.Append(tx, p)
		return err
	}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) place() {
	w.t.Helper()
	if _, err := w.seq.Step(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) queued() int {
	w.t.Helper()
	var n int
	if err := w.d.QueryRow(w.t.Context(), `SELECT count(1) FROM outbox_message WHERE topic = $1`, notify.TopicEmail).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) follower() *notices.Follower {
	w.t.Helper()
	f, err := notices.New(notices.Config{DB: w.d, Now: func() time.Time { return w.now }})
	return must(w.t, f, err)
}

func drain(t *testing.T, f *notices.Follower) (total int) {
	t.Helper()
	for {
		n, err := f.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return total
		}
		total += n
	}
}

func lines() []db.Line {
	return []db.Line{outbox.Migrations, keystore.Migrations, audit.Migrations, notify.Migrations}
}

func TestEachEntryIsToldOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		ana := identity.PersonID(identity.NewID(identity.PrefixPerson, w.now))
		f := w.follower()
		w.happen("enrolment.account.suspended", "suspendida", ana)
		if n := drain(t, f); n != 0 || w.queued() != 0 {
			t.Errorf("before it had its place: %d read, %d queued", n, w.queued())
		}
		w.happen("enrolment.passkey.registered", "registered", ana)
		w.happen("enrolment.passkey.renamed", "renamed", ana)   // nothing to tell
		w.happen("enrolment.passkey.registered", "refused", "") // nobody to tell
		w.happen("enrolment.passkey.changed", "active", ana)
		w.happen("enrolment.passkey.changed", "revoked", ana)
		w.place()
		if n := drain(t, f); n < 6 || w.queued() != 3 {
			t.Errorf("%d read, %d queued, want 3", n, w.queued())
		}
		if n := drain(t, w.follower()); n != 0 {
			t.Errorf("a second follower read %d again", n)
		}
		w.happen("signer.request.signed", "ok", ana)
		w.place()
		drain(t, f)
		if w.queued() != 4 {
			t.Errorf("%d queued, want 4", w.queued())
		}
	})
}

func TestManyEntriesAndManyFollowers(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		const people = 130 // more than one batch
		for range people {
			w.happen("enrolment.card.issued", "issued", identity.PersonID(identity.NewID(identity.PrefixPerson, w.now)))
		}
		w.place()
		f := w.follower()
		errs := make(chan error, 4)
		dbtest.Contend(t, 4, func(int) {
			for {
				n, err := f.Step(t.Context())
				if err != nil || n == 0 {
					errs <- err
					return
				}
			}
		})
		for range 4 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if w.queued() != people {
			t.Errorf("%d queued, want %d", w.queued(), people)
		}
	})
}

func TestOldNewsIsNotTold(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.happen("enrolment.card.issued", "issued", identity.PersonID(identity.NewID(identity.PrefixPerson, w.now)))
		w.place()
		w.now = w.now.Add(73 * time.Hour)
		if n := drain(t, w.follower()); n == 0 || w.queued() != 0 {
			t.Errorf("%d read, %d queued", n, w.queued())
		}
	})
}
