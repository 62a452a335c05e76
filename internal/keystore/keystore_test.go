package keystore_test

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/keystore/keystoretest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, _ envelope.Key) {
		keystoretest.Run(t, keystoretest.Backend{
			Signers: s, Algs: keystore.Algs(),
			Provision: func(t testing.TB, purpose string, alg keystore.Alg) (string, crypto.PublicKey) {
				id := put(t, d, s, keystore.Spec{Purpose: purpose, Alg: alg, Activate: true})
				i, err := s.Info(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				return id, i.Public
			},
			Retire: func(t testing.TB, id string) {
				write(t, d, func(tx *db.Tx) error { return s.Retire(tx, id, time.Time{}) })
			},
			Destroy: func(t testing.TB, id string) { write(t, d, func(tx *db.Tx) error { return s.Destroy(tx, id) }) },
			Settle:  func() {}, // the clock stands still: this node must refuse at once
		})
	})
}

// TestLife walks a key through its states and tries each move in each state.
func TestLife(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, _ envelope.Key) {
		moves := map[string]func(tx *db.Tx, id string) error{
			"activate": s.Activate,
			"retiring": func(tx *db.Tx, id string) error { return s.Retire(tx, id, c.Now().Add(time.Hour)) },
			"retire":   func(tx *db.Tx, id string) error { return s.Retire(tx, id, time.Time{}) },
			"destroy":  s.Destroy,
		}
		// for each state, how to reach it and what each move does there ("" = refused)
		reach := map[keystore.State][]string{
			keystore.Waiting: {}, keystore.Active: {"activate"}, keystore.Retiring: {"activate", "retiring"},
			keystore.Retired: {"retire"}, keystore.Destroyed: {"destroy"},
		}
		permitted := map[keystore.State]map[string]keystore.State{
			keystore.Waiting:   {"activate": keystore.Active, "retire": keystore.Retired, "destroy": keystore.Destroyed},
			keystore.Active:    {"retiring": keystore.Retiring, "retire": keystore.Retired, "destroy": keystore.Destroyed},
			keystore.Retiring:  {"retire": keystore.Retired, "destroy": keystore.Destroyed},
			keystore.Retired:   {"destroy": keystore.Destroyed},
			keystore.Destroyed: {"destroy": keystore.Destroyed},
		}
		for from, path := range reach {
			for name, move := range moves {
				id := put(t, d, s, keystore.Spec{Purpose: "tsa", Alg: keystore.ES256})
				for _, step := range path {
					write(t, d, func(tx *db.Tx) error { return moves[step](tx, id) })
				}
				want, ok := permitted[from][name]
				if !ok {
					want = from
				}
				err := d.Write(t.Context(), func(tx *db.Tx) error { return move(tx, id) })
				var se *keystore.StateError
				if ok && err != nil || !ok && (!errors.As(err, &se) || se.State != from) {
					t.Errorf("%s of a key that is %s: got %v", name, from, err)
				}
				i, err := s.Info(t.Context(), id)
				if err != nil || i.State != want {
					t.Errorf("%s of a key that was %s: got state %s, %v, want %s", name, from, i.State, err, want)
				}
				_, err = s.Signer(t.Context(), id, "tsa")
				switch want {
				case keystore.Active, keystore.Retiring:
					if err != nil {
						t.Errorf("%s key: %v", want, err)
					}
				case keystore.Destroyed:
					if !errors.Is(err, keystore.ErrDestroyed) {
						t.Errorf("%s key: got %v", want, err)
					}
				default:
					if !errors.Is(err, keystore.ErrNotActive) {
						t.Errorf("%s key: got %v", want, err)
					}
				}
			}
		}
		for name, move := range moves {
			if err := d.Write(t.Context(), func(tx *db.Tx) error { return move(tx, "prv_none") }); !errors.Is(err, keystore.ErrNotFound) {
				t.Errorf("%s of no key: got %v", name, err)
			}
		}
	})
}

// TestDestroyLeavesNoSealedByte also checks that a rolled-back Destroy leaves the key usable.
func TestDestroyLeavesNoSealedByte(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, _ envelope.Key) {
		id := put(t, d, s, spec)
		before, err := s.Info(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := s.Signer(t.Context(), id, spec.Purpose)
		if err != nil {
			t.Fatal(err)
		}
		boom := errors.New("boom")
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return errors.Join(s.Destroy(tx, id), boom) }); !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if err := sign(kept); err != nil {
			t.Errorf("after a rolled-back Destroy: %v", err)
		}
		write(t, d, func(tx *db.Tx) error { return s.Destroy(tx, id) })
		write(t, d, func(tx *db.Tx) error { return s.Destroy(tx, id) }) // idempotent
		var sealed []byte
		if err := d.QueryRow(t.Context(), `SELECT sealed FROM key_private WHERE id = $1`, id).Scan(&sealed); err != nil || len(sealed) != 0 {
			t.Errorf("sealed: %d bytes, %v", len(sealed), err)
		}
		after, err := s.Info(t.Context(), id)
		if err != nil || !bytes.Equal(after.SPKI, before.SPKI) || after.State != keystore.Destroyed || !after.DestroyedAt.Equal(c.Now()) {
			t.Errorf("after: %+v, %v", after, err)
		}
		if err := sign(kept); !errors.Is(err, keystore.ErrDestroyed) {
			t.Errorf("kept signer: got %v", err)
		}
	})
}

func TestListsAndPlans(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, _ envelope.Key) {
		now := c.Now()
		old := put(t, d, s, keystore.Spec{Purpose: "idp.sign", Alg: keystore.ES256, Owner: "system:a", Activate: true})
		c.Add(time.Second)
		next := put(t, d, s, keystore.Spec{Purpose: "idp.sign", Alg: keystore.ES256, Owner: "system:b",
			PublishAt: now.Add(time.Hour), ActivateAt: now.Add(2 * time.Hour), RetireAt: now.Add(4 * time.Hour)})
		put(t, d, s, keystore.Spec{Purpose: "tsa", Alg: keystore.ES256, Activate: true})
		write(t, d, func(tx *db.Tx) error { return s.Retire(tx, old, now.Add(3*time.Hour)) })
		ids := func(list []keystore.Info, err error) []string {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			var out []string
			for _, i := range list {
				out = append(out, i.ID)
			}
			return out
		}
		check := func(at time.Duration, active, published []string, changes int) {
			t.Helper()
			c.Add(now.Add(at).Sub(c.Now()))
			if n, err := s.Advance(t.Context()); err != nil || n != changes {
				t.Errorf("%v: Advance: got %d, %v, want %d", at, n, err, changes)
			}
			if got := ids(s.Active(t.Context(), "idp.sign")); !slices.Equal(got, active) {
				t.Errorf("%v: active: got %v, want %v", at, got, active)
			}
			all, err := s.List(t.Context(), "idp.sign")
			if err != nil || len(all) != 2 {
				t.Fatalf("List: %d, %v", len(all), err)
			}
			var pub []string
			for _, i := range all {
				if i.Published(c.Now()) {
					pub = append(pub, i.ID)
				}
			}
			if !slices.Equal(pub, published) {
				t.Errorf("%v: published: got %v, want %v", at, pub, published)
			}
		}
		check(30*time.Minute, nil, []string{old}, 0)
		check(90*time.Minute, nil, []string{next, old}, 0)
		check(2*time.Hour, []string{next}, []string{next, old}, 1)
		check(3*time.Hour, []string{next}, []string{next}, 1)
		check(4*time.Hour, nil, nil, 1)
		if got := ids(s.Owned(t.Context(), "idp.sign", "system:b")); !slices.Equal(got, []string{next}) {
			t.Errorf("Owned: got %v", got)
		}
	})
}

func TestSpecRefusals(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, _ envelope.Key) {
		now := c.Now()
		for name, spec := range map[string]keystore.Spec{
			"no purpose":       {Alg: keystore.ES256},
			"purpose in caps":  {Purpose: "TSA", Alg: keystore.ES256},
			"purpose long":     {Purpose: fmt.Sprintf("%033d", 1), Alg: keystore.ES256},
			"no algorithm":     {Purpose: "tsa"},
			"algorithm":        {Purpose: "tsa", Alg: "HS256"},
			"owner":            {Purpose: "tsa", Alg: keystore.ES256, Owner: "Juana Quispe"},
			"owner with NUL":   {Purpose: "tsa", Alg: keystore.ES256, Owner: "a\x00"},
			"both activations": {Purpose: "tsa", Alg: keystore.ES256, Activate: true, ActivateAt: now},
			"retired early":    {Purpose: "tsa", Alg: keystore.ES256, ActivateAt: now, RetireAt: now.Add(-1)},
		} {
			if p, err := s.Generate(spec); !errors.Is(err, keystore.ErrSpec) || p != nil {
				t.Errorf("%s: got %v, want ErrSpec", name, err)
			}
		}
	})
}

// TestMovedRowsDoNotOpen changes each field that says what a key is for, and
// puts parts of one row into another, as someone with the database could.
func TestMovedRowsDoNotOpen(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, kek envelope.Key) {
		for name, change := range map[string]func(a, b string, spki, hash, sealed []byte) int64{
			"purpose": func(a, _ string, _, _, _ []byte) int64 {
				return execSQL(t, d, `UPDATE key_private SET purpose = 'ca.root' WHERE id = $1`, a)
			},
			"owner": func(a, _ string, _, _, _ []byte) int64 {
				return execSQL(t, d, `UPDATE key_private SET owner = 'system:ca' WHERE id = $1`, a)
			},
			"algorithm": func(a, _ string, _, _, _ []byte) int64 {
				return execSQL(t, d, `UPDATE key_private SET alg = 'ES384' WHERE id = $1`, a)
			},
			"private part": func(a, _ string, _, _, sealed []byte) int64 {
				return execSQL(t, d, `UPDATE key_private SET sealed = $2 WHERE id = $1`, a, sealed)
			},
			"public part": func(a, _ string, spki, _, _ []byte) int64 {
				return execSQL(t, d, `UPDATE key_private SET spki = $2 WHERE id = $1`, a, spki)
			},
			"public part and hash": func(a, b string, spki, hash, _ []byte) int64 {
				execSQL(t, d, `DELETE FROM key_private WHERE id = $1`, b)
				return execSQL(t, d, `UPDATE key_private SET spki = $2, spki_sha256 = $3 WHERE id = $1`, a, spki, hash)
			},
			"whole row": func(a, b string, spki, hash, sealed []byte) int64 {
				execSQL(t, d, `DELETE FROM key_private WHERE id = $1`, b)
				return execSQL(t, d, `UPDATE key_private SET spki = $2, spki_sha256 = $3, sealed = $4 WHERE id = $1`, a, spki, hash, sealed)
			},
		} {
			a, b := put(t, d, s, spec), put(t, d, s, spec)
			kept, err := s.Signer(t.Context(), a, spec.Purpose)
			if err != nil {
				t.Fatal(err)
			}
			var spki, hash, sealed []byte
			if err := d.QueryRow(t.Context(), `SELECT spki, spki_sha256, sealed FROM key_private WHERE id = $1`, b).Scan(&spki, &hash, &sealed); err != nil {
				t.Fatal(err)
			}
			if change(a, b, spki, hash, sealed) != 1 {
				t.Fatalf("%s: nothing was changed", name)
			}
			purpose := spec.Purpose
			if name == "purpose" {
				purpose = "ca.root"
			}
			if _, err := node(t, d, c, kek).Signer(t.Context(), a, purpose); !errors.Is(err, keystore.ErrCorrupt) {
				t.Errorf("%s: got %v, want ErrCorrupt", name, err)
			}
			c.Add(2 * time.Second)
			wantKept := name == "purpose" || name == "public part and hash" || name == "whole row"
			if err := sign(kept); errors.Is(err, keystore.ErrCorrupt) != wantKept {
				t.Errorf("%s: kept signer: got %v", name, err)
			}
		}
	})
}

// TestKeptSignerOnAnotherNode: the documented bound is MaxStale, 1 s.
func TestKeptSignerOnAnotherNode(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, a *keystore.Store, kek envelope.Key) {
		b := node(t, d, c, kek)
		id := put(t, d, a, spec)
		kept, err := b.Signer(t.Context(), id, spec.Purpose)
		if err != nil {
			t.Fatal(err)
		}
		write(t, d, func(tx *db.Tx) error { return a.Destroy(tx, id) })
		if _, err := b.Signer(t.Context(), id, spec.Purpose); !errors.Is(err, keystore.ErrDestroyed) {
			t.Errorf("open on the other node: got %v", err)
		}
		c.Add(time.Second)
		if err := sign(kept); !errors.Is(err, keystore.ErrDestroyed) {
			t.Errorf("kept on the other node, 1 s later: got %v", err)
		}
		// A clock that went back does not lengthen trust.
		id = put(t, d, a, spec)
		if kept, err = b.Signer(t.Context(), id, spec.Purpose); err != nil {
			t.Fatal(err)
		}
		write(t, d, func(tx *db.Tx) error { return a.Destroy(tx, id) })
		c.Add(-time.Hour)
		if err := sign(kept); !errors.Is(err, keystore.ErrDestroyed) {
			t.Errorf("kept, clock set back: got %v", err)
		}
	})
}

// TestKeptSignerSurvivesHarmlessChanges: a state in which the key still signs
// does not disturb those who keep it.
func TestKeptSignerSurvivesHarmlessChanges(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, _ envelope.Key) {
		id := put(t, d, s, spec)
		kept, err := s.Signer(t.Context(), id, spec.Purpose)
		if err != nil {
			t.Fatal(err)
		}
		write(t, d, func(tx *db.Tx) error { return s.Retire(tx, id, c.Now().Add(time.Hour)) })
		for range 3 {
			c.Add(10 * time.Minute)
			if err := sign(kept); err != nil {
				t.Errorf("retiring: %v", err)
			}
		}
		c.Add(time.Hour)
		if _, err := s.Advance(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := sign(kept); !errors.Is(err, keystore.ErrNotActive) {
			t.Errorf("retired: got %v", err)
		}
	})
}

// TestNoDatabaseNoSignature: without an answer, a kept signer does not sign.
func TestNoDatabaseNoSignature(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, _ envelope.Key) {
		id := put(t, d, s, spec)
		kept, err := s.Signer(t.Context(), id, spec.Purpose)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		c.Add(2 * time.Second)
		if err := sign(kept); err == nil {
			t.Error("signed without asking")
		}
	})
}
