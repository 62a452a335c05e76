package ca_test

import (
	"testing"
	"time"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// A database that forgot the lists published after a backup does not give one
// of their numbers again.
func TestListNumbersAfterARestore(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		p := w.person(t)
		cert := w.citizen(t, p)
		if _, err := w.PublishCRL(t.Context()); err != nil {
			t.Fatal(err)
		}
		kept := w.list(t, "firma-g1").Number
		for range 3 {
			w.clock.Add(time.Minute)
			if err := w.Revoke(t.Context(), cert.Serial, ca.Superseded, "per_x"); err != nil {
				t.Fatal(err)
			}
			if _, err := w.PublishCRL(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.clock.Add(24 * time.Hour)
			cert = w.citizen(t, p)
		}
		lost := w.list(t, "firma-g1").Number
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			for _, q := range []string{"DELETE FROM ca_crl WHERE issuer = 'firma-g1' AND number > $1", "DELETE FROM ca_revocation WHERE $1 > 0"} {
				if _, err := tx.Exec(q, kept.Int64()); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		w.clock.Add(time.Minute)
		if _, err := w.PublishCRL(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := w.list(t, "firma-g1")
		if got.Number.Cmp(lost) <= 0 || len(got.RevokedCertificateEntries) != 0 {
			t.Errorf("list %v with %d entries, after %v was published", got.Number, len(got.RevokedCertificateEntries), lost)
		}
	})
}
