package keystore_test

import (
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/keystore"
)

func BenchmarkKeys(b *testing.B) {
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		d := dbtest.Open(b, e, lines)
		s, err := keystore.Open(b.Context(), keystore.Config{DB: d, KEK: envelope.NewKey(), Now: time.Now})
		if err != nil {
			b.Fatal(err)
		}
		id, owner := put(b, d, s, spec), person()
		kept, err := s.Signer(b.Context(), id, spec.Purpose)
		if err != nil {
			b.Fatal(err)
		}
		for name, fn := range map[string]func() error{
			"sign with a kept ES256 signer": func() error { return sign(kept) },
			"open a cached signer": func() error {
				_, err := s.Signer(b.Context(), id, spec.Purpose)
				return err
			},
			"data key from the cache": func() error {
				_, err := s.DataKey(b.Context(), owner)
				return err
			},
			"data key of a new owner": func() error {
				_, err := s.DataKey(b.Context(), person())
				return err
			},
		} {
			b.Run(e.String()+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if err := fn(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
