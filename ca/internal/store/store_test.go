package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/ca/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/subject"
)

var t0 = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func lines() []db.Line {
	return []db.Line{subject.Migrations, outbox.Migrations, keystore.Migrations, audit.Migrations, store.Migrations}
}

func authorityRow(t *testing.T, d *db.DB) {
	t.Helper()
	if err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO ca_authority (slug, kind, generation, parent, key_id, sn, state, at) VALUES ('raiz-g1', 'raiz', 1, 'raiz-g1', 'k', $1, 'active', 1)`, []byte{1})
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// The storer refuses a list whose number does not grow, from which entries
// vanished, that is older, or that comes from a leader that lost its lease.
func TestStorerGuards(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		authorityRow(t, d)
		s := store.New(d, nil, nil)
		lease, ok, err := d.AcquireLease(t.Context(), "ca.crl", "uno", time.Minute)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		list := func(number, entries int64, at time.Time) store.CRL {
			return store.CRL{Issuer: "raiz-g1", Number: number, ThisUpdate: at, NextUpdate: at.Add(time.Hour), Entries: entries, SHA256: []byte{1}, DER: []byte{2}}
		}
		for _, tc := range []struct {
			name string
			crl  store.CRL
			want error
		}{
			{"first", list(1, 0, t0), nil},
			{"second", list(2, 5, t0), nil},
			{"same number", list(2, 5, t0), store.ErrCRLOlder},
			{"smaller number", list(1, 5, t0), store.ErrCRLOlder},
			{"vanished entries", list(3, 4, t0), store.ErrCRLOlder},
			{"older", list(3, 5, t0.Add(-time.Second)), store.ErrCRLOlder},
			{"third", list(3, 5, t0.Add(time.Second)), nil},
		} {
			if err := s.PutCRL(t.Context(), tc.crl, lease); !errors.Is(err, tc.want) {
				t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
			}
		}
		if err := d.ReleaseLease(t.Context(), lease); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := d.AcquireLease(t.Context(), "ca.crl", "dos", time.Minute); err != nil || !ok {
			t.Fatal(ok, err)
		}
		if err := s.PutCRL(t.Context(), list(4, 6, t0.Add(time.Minute)), lease); !errors.Is(err, db.ErrFenced) {
			t.Errorf("lost lease: got %v", err)
		}
		got, err := s.LatestCRL(t.Context(), "raiz-g1")
		if err != nil || got.Number != 3 || got.Entries != 5 || string(got.DER) != "\x02" {
			t.Errorf("latest: %+v, %v", got, err)
		}
	})
}

// New nodes that start at once get different prefixes; the last prefix is 127.
func TestInstancesUnderContention(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		s := store.New(d, nil, nil)
		var mu sync.Mutex
		seen := map[uint8]int{}
		dbtest.Contend(t, 6, func(i int) {
			got, err := s.Instance(context.Background(), string(rune('a'+i)), 0, t0)
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			seen[got]++
			mu.Unlock()
		})
		if len(seen) != 6 {
			t.Errorf("prefixes %v", seen)
		}
		again, err := s.Instance(t.Context(), "a", 0, t0)
		if err != nil || again < 1 || again > 6 {
			t.Errorf("again: %d, %v", again, err)
		}
		if got, err := s.Instance(t.Context(), "z", 127, t0); err != nil || got != 127 {
			t.Errorf("wanted 127: %d, %v", got, err)
		}
		for _, tc := range []struct {
			node string
			want uint8
		}{{"y", 127}, {"z", 5}} {
			if _, err := s.Instance(t.Context(), tc.node, tc.want, t0); !errors.Is(err, store.ErrInstanceTaken) {
				t.Errorf("%s wants %d: got %v", tc.node, tc.want, err)
			}
		}
	})
}

// Answers signed ahead never go back: not to an older one, nor from revoked to good.
func TestAnswersOnlyAdvance(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		authorityRow(t, d)
		sn := append([]byte{1}, make([]byte, 16)...)
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			if _, err := tx.Exec(`INSERT INTO ca_public_key (spki_sha256, subject, why, at) VALUES ($1, 'x', '', 1)`, make([]byte, 32)); err != nil {
				return err
			}
			_, err := tx.Exec(`INSERT INTO ca_intent (sn, issuer, kind, profile_hash, intent, request_hash, subject, person, appointment, epoch, key_id,
				spki_sha256, tbs, not_before, not_after, state, audit_intent, audit_outcome, at)
				VALUES ($1, 'raiz-g1', 'ciudadano', '', 'i', $2, 'x', '', '', 0, '', $2, $3, 1, 2, 'issued', 'a', 'b', 1)`, sn, make([]byte, 32), []byte{})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		s := store.New(d, nil, nil)
		put := func(revoked bool, at time.Time, der byte) {
			t.Helper()
			if err := s.PutAnswers(t.Context(), []store.OCSPRow{{SN: sn, Hash: 256, Revoked: revoked, ThisUpdate: at, NextUpdate: at.Add(time.Hour), DER: []byte{der}}}); err != nil {
				t.Fatal(err)
			}
		}
		put(false, t0, 1)
		put(false, t0.Add(-time.Minute), 2) // older
		put(true, t0.Add(time.Minute), 3)
		put(false, t0.Add(time.Hour), 4) // good after revoked
		st, err := s.Status(t.Context(), sn, 256)
		if err != nil || st.Answer == nil || !st.Answer.Revoked || st.Answer.DER[0] != 3 {
			t.Errorf("got %+v, %v", st.Answer, err)
		}
		if st, err := s.Status(t.Context(), sn, 1); err != nil || st.Answer != nil {
			t.Errorf("another hash: %+v, %v", st.Answer, err)
		}
	})
}
