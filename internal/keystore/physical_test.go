package keystore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
)

// TestDestructionReachesTheFile: once SQLite has written its log back, the
// boxes of destroyed and erased keys are nowhere in its files. (They are
// sealed, but whoever holds the KEK and the disk could open them.)
func TestDestructionReachesTheFile(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t, db.SQLite)
	path := strings.TrimPrefix(url, "sqlite:")
	d, err := db.Open(t.Context(), db.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Migrate(t.Context(), lines...); err != nil {
		t.Fatal(err)
	}
	s := node(t, d, newClock(), envelope.NewKey())
	var boxes [][]byte
	var ids, owners []string
	for range 20 {
		id, owner := put(t, d, s, spec), person()
		if _, err := s.DataKey(t.Context(), owner); err != nil {
			t.Fatal(err)
		}
		for q, arg := range map[string]string{
			`SELECT sealed FROM key_private WHERE id = $1`: id, `SELECT sealed FROM key_data WHERE owner = $1`: owner,
		} {
			var box []byte
			if err := d.QueryRow(t.Context(), q, arg).Scan(&box); err != nil {
				t.Fatal(err)
			}
			boxes = append(boxes, box)
		}
		ids, owners = append(ids, id), append(owners, owner)
	}
	for i := range ids {
		write(t, d, func(tx *db.Tx) error {
			if err := s.Destroy(tx, ids[i]); err != nil {
				return err
			}
			return s.DestroyDataKey(tx, owners[i])
		})
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, box := range boxes {
			if bytes.Contains(b, box[len(box)/2:]) {
				n++
			}
		}
		if n > 0 {
			t.Errorf("%s still holds %d of %d destroyed boxes", filepath.Base(f), n, len(boxes))
		}
	}
}
