package ca_test

import (
	"crypto/x509"
	"testing"
	"time"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/keystore"
)

func TestInspectFindsWhatWasChanged(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := open(t, d, begin(), "uno")
		if err := w.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		p := w.person(t)
		first, second := w.citizen(t, p), w.citizen(t, p)
		if n, faults, err := w.Inspect(t.Context()); err != nil || n != 8 || len(faults) != 0 {
			t.Fatalf("looked at %d, faults %v, %v", n, faults, err)
		}
		list, err := w.OfPerson(t.Context(), p)
		if err != nil || len(list) != 2 || list[0].Status.Revoked {
			t.Errorf("list of %d, %v", len(list), err)
		}
		// Somebody with the database puts another certificate under a number.
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			if _, err := tx.Exec(`DELETE FROM ca_certificate WHERE sn = $1`, second.Serial); err != nil {
				return err
			}
			_, err := tx.Exec(`UPDATE ca_certificate SET der = $1 WHERE sn = $2`, second.DER, first.Serial)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		_, faults, err := w.Inspect(t.Context())
		if err == nil && len(faults) == 0 {
			t.Error("nothing found")
		}
	})
}

// Keys that may sign no more are gone: of units after their year, of responders
// after their month; the keys in use stay.
func TestSpentKeysAreDestroyed(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		begin := w.clock.Now()
		for w.clock.Now().Before(begin.AddDate(1, 1, 0)) {
			w.clock.Add(14 * 24 * time.Hour)
			if err := w.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for purpose, want := range map[string]int{"tsa": 1, "ocsp": 6} {
			active, err := w.cfg.Keys.Active(t.Context(), purpose)
			if err != nil {
				t.Fatal(err)
			}
			all, err := w.cfg.Keys.List(t.Context(), purpose)
			if err != nil {
				t.Fatal(err)
			}
			destroyed := 0
			for _, k := range all {
				if k.State == keystore.Destroyed {
					destroyed++
				}
			}
			if len(active) == 0 || len(active) > want || destroyed == 0 {
				t.Errorf("%s: %d active, %d destroyed", purpose, len(active), destroyed)
			}
		}
		stamp(t, w)
	})
}

func TestChainAndUnknownNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, db.SQLite, lines()))
	c := w.citizen(t, w.person(t))
	got, err := w.Chain(t.Context(), c.Serial)
	if err != nil || string(got.DER) != string(c.DER) || len(got.Path) != 2 {
		t.Errorf("chain: %v", err)
	}
	root, err := x509.ParseCertificate(got.Path[1])
	if err != nil || !root.Equal(w.Roots()[0]) {
		t.Errorf("the path does not end in the root: %v", err)
	}
	never := make([]byte, 17)
	never[0] = 1
	_, err = w.Chain(t.Context(), never)
	wantErr(t, "chain", err, ca.ErrNotFound)
	wantErr(t, "revoke", w.Revoke(t.Context(), never, ca.Superseded, "per_x"), ca.ErrNotFound)
	wantErr(t, "hold", w.Revoke(t.Context(), c.Serial, 6, "per_x"), ca.ErrReason)
	wantErr(t, "authority compromise", w.Revoke(t.Context(), c.Serial, 2, "per_x"), ca.ErrReason)
	wantErr(t, "nobody", w.Revoke(t.Context(), c.Serial, ca.Superseded, ""), ca.ErrRequest)
	serial := root.SerialNumber.FillBytes(make([]byte, 17))
	wantErr(t, "root", w.Revoke(t.Context(), serial, ca.Superseded, "per_x"), ca.ErrRequest)
}

// A revoked authority issues nothing more, on no node, and its certificates fail;
// its successor takes over.
func TestRevokedAuthority(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		other := open(t, d, w.clock, "dos")
		if err := other.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		p := w.person(t)
		c := w.citizen(t, p)
		if err := w.Revoke(t.Context(), parse(t, c.Path[0]).SerialNumber.FillBytes(make([]byte, 17)), ca.Superseded, "per_x"); err != nil {
			t.Fatal(err)
		}
		_, err := w.IssueCitizen(t.Context(), w.request(t, p, newKey(t)))
		wantErr(t, "issue under a revoked authority", err, ca.ErrNoAuthority)
		_, err = other.IssueCitizen(t.Context(), w.request(t, p, newKey(t)))
		wantErr(t, "issue on a node that has not heard", err, ca.ErrIssuerRevoked)
		if err := w.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := w.verify(t, c, ""); err == nil {
			t.Error("openssl accepts a certificate of a revoked authority")
		}
		next := w.citizen(t, p)
		if err := w.verify(t, next, ""); err != nil {
			t.Error(err)
		}
		says(t, w.ask(t, next), ": good")
	})
}
