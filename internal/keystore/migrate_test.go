package keystore_test

import (
	"crypto"
	"crypto/rand"
	"io/fs"
	"testing"
	"testing/fstest"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/keystore"
)

// TestMigrationKeepsKeys: keys, also destroyed ones, come through the change of
// the table by which PS256 is allowed.
func TestMigrationKeepsKeys(t *testing.T) {
	t.Parallel()
	raw, err := fs.ReadFile(keystore.Migrations.FS, "migrations/0001_keys.sql")
	if err != nil {
		t.Fatal(err)
	}
	first := keystore.Migrations
	first.FS = fstest.MapFS{"migrations/0001_keys.sql": &fstest.MapFile{Data: raw}}
	dbtest.Each(t, []db.Line{first}, func(t *testing.T, d *db.DB) {
		s := node(t, d, newClock(), envelope.NewKey())
		kept, gone := put(t, d, s, spec), put(t, d, s, spec)
		write(t, d, func(tx *db.Tx) error { return s.Destroy(tx, gone) })
		before, err := s.List(t.Context(), spec.Purpose)
		if err != nil || len(before) != 2 {
			t.Fatalf("%d keys, %v", len(before), err)
		}
		ps := keystore.Spec{Purpose: spec.Purpose, Alg: keystore.PS256, Activate: true}
		p, err := s.Generate(ps)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return s.Put(tx, p) }); err == nil {
			t.Fatal("the first schema takes PS256: nothing is tested here")
		}
		if err := d.Migrate(t.Context(), keystore.Migrations); err != nil {
			t.Fatal(err)
		}
		after, err := s.List(t.Context(), spec.Purpose)
		if err != nil || len(after) != 2 {
			t.Fatalf("%d keys, %v", len(after), err)
		}
		for i := range after {
			if after[i].ID != before[i].ID || after[i].State != before[i].State || after[i].SPKIHash != before[i].SPKIHash {
				t.Errorf("%+v became %+v", before[i], after[i])
			}
		}
		g, err := s.Signer(t.Context(), kept, spec.Purpose)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); err != nil {
			t.Error(err)
		}
		write(t, d, func(tx *db.Tx) error { return s.Put(tx, p) })
		// What the schema refused before it refuses still.
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE key_private SET alg = 'RS512' WHERE id = $1`, kept)
			return err
		}); err == nil {
			t.Error("any algorithm is taken now")
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE key_private SET kek_generation = 99 WHERE id = $1`, kept)
			return err
		}); err == nil {
			t.Error("a key may name a KEK that is not there")
		}
	})
}
