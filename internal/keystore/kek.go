package keystore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
)

// keyring knows the KEKs that the key file holds and the generations that the
// database has given them.
type keyring struct {
	db *db.DB

	mu     sync.RWMutex            // guards the fields below
	held   map[string]envelope.Key // by fingerprint
	known  map[int64]envelope.Key  // by generation, those held
	newest int64
}

// sealing is a KEK with its generation, or a key derived from it for one table.
type sealing struct {
	generation int64
	key        envelope.Key
}

func newKeyring(d *db.DB, kek envelope.Key, more []envelope.Key) *keyring {
	r := &keyring{db: d, held: map[string]envelope.Key{kek.Fingerprint(): kek}, known: map[int64]envelope.Key{}}
	for _, k := range more {
		if !k.IsZero() {
			r.held[k.Fingerprint()] = k
		}
	}
	return r
}

// begin registers kek as the first generation of an empty database and reads
// the generations. Every one of them must be held.
func (r *keyring) begin(ctx context.Context, kek envelope.Key, now time.Time) error {
	err := r.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO key_kek (generation, fingerprint, created_at)
			SELECT CAST(1 AS BIGINT), CAST($1 AS TEXT), CAST($2 AS BIGINT)
			WHERE NOT EXISTS (SELECT 1 FROM key_kek) ON CONFLICT DO NOTHING`, kek.Fingerprint(), db.Micros(now))
		return err
	})
	if err != nil {
		return fmt.Errorf("keystore: register kek: %w", err)
	}
	missing, err := r.reload(ctx)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%w: generation %d", ErrKEKMissing, missing[0])
	}
	return nil
}

// reload reads the generations and returns those whose KEK is not held.
func (r *keyring) reload(ctx context.Context) (missing []int64, err error) {
	type row struct {
		generation  int64
		fingerprint string
	}
	var rows []row
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		rows = rows[:0]
		rs, err := tx.Query(`SELECT generation, fingerprint FROM key_kek ORDER BY generation`)
		if err != nil {
			return err
		}
		for rs.Next() {
			var x row
			if err := rs.Scan(&x.generation, &x.fingerprint); err != nil {
				return err
			}
			rows = append(rows, x)
		}
		return rs.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("keystore: read kek generations: %w", err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w: key_kek is empty", ErrCorrupt)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known = map[int64]envelope.Key{}
	for _, x := range rows {
		if k, ok := r.held[x.fingerprint]; ok {
			r.known[x.generation] = k
		} else {
			missing = append(missing, x.generation)
		}
		r.newest = x.generation
	}
	return missing, nil
}

// current returns the key of the newest generation for one table.
func (r *keyring) current(table string) (sealing, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	k, ok := r.known[r.newest]
	if !ok {
		return sealing{}, fmt.Errorf("%w: generation %d", ErrKEKMissing, r.newest)
	}
	return sealing{r.newest, envelope.Derive(k, table)}, nil
}

// find returns the key of a generation for one table. A generation that
// another node began meanwhile is looked up.
func (r *keyring) find(ctx context.Context, generation int64, table string) (envelope.Key, error) {
	for attempt := range 2 {
		r.mu.RLock()
		k, ok := r.known[generation]
		r.mu.RUnlock()
		if ok {
			return envelope.Derive(k, table), nil
		}
		if attempt == 0 {
			if _, err := r.reload(ctx); err != nil {
				return envelope.Key{}, err
			}
		}
	}
	return envelope.Key{}, fmt.Errorf("%w: generation %d", ErrKEKMissing, generation)
}

// register makes k the newest generation, unless it has one already, and
// returns its generation. A KEK older than the newest is refused.
func (r *keyring) register(ctx context.Context, k envelope.Key, now time.Time) (int64, error) {
	if k.IsZero() {
		return 0, envelope.ErrNoKey
	}
	fp := k.Fingerprint()
	r.mu.Lock()
	r.held[fp] = k
	r.mu.Unlock()
	for range 5 { // another node may take the number
		var generation, newest int64
		err := r.db.Write(ctx, func(tx *db.Tx) error {
			if _, err := tx.Exec(`INSERT INTO key_kek (generation, fingerprint, created_at)
				SELECT MAX(generation) + 1, CAST($1 AS TEXT), CAST($2 AS BIGINT) FROM key_kek
				WHERE generation > 0 ON CONFLICT DO NOTHING`, fp, db.Micros(now)); err != nil {
				return err
			}
			return tx.QueryRow(`SELECT MAX(CASE WHEN fingerprint = $1 THEN generation ELSE 0 END), MAX(generation)
				FROM key_kek`, fp).Scan(&generation, &newest)
		})
		if err != nil {
			return 0, fmt.Errorf("keystore: register kek: %w", err)
		}
		if generation == 0 {
			continue
		}
		if _, err := r.reload(ctx); err != nil {
			return 0, err
		}
		if generation != newest {
			return 0, fmt.Errorf("%w: generation %d is newer than the %d asked for", ErrKEKInUse, newest, generation)
		}
		return generation, nil
	}
	return 0, errors.New("keystore: register kek: lost every race")
}

// Generation is one row of the list of KEKs.
type Generation struct {
	Number      int64
	Fingerprint string // as [envelope.Key.Fingerprint]
	Created     time.Time
	Rows        int64 // private and data keys sealed under it
	Held        bool  // whether this node's key file holds it
}

// Generations lists the KEKs of the database, the newest last.
func (s *Store) Generations(ctx context.Context) ([]Generation, error) {
	var out []Generation
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		out = out[:0]
		rs, err := tx.Query(`SELECT k.generation, k.fingerprint, k.created_at,
			(SELECT COUNT(*) FROM key_private p WHERE p.kek_generation = k.generation) +
			(SELECT COUNT(*) FROM key_data d WHERE d.kek_generation = k.generation)
			FROM key_kek k ORDER BY k.generation`)
		if err != nil {
			return err
		}
		for rs.Next() {
			var g Generation
			var created int64
			if err := rs.Scan(&g.Number, &g.Fingerprint, &created, &g.Rows); err != nil {
				return err
			}
			g.Created = db.Time(created)
			s.ring.mu.RLock()
			_, g.Held = s.ring.held[g.Fingerprint]
			s.ring.mu.RUnlock()
			out = append(out, g)
		}
		return rs.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("keystore: list kek generations: %w", err)
	}
	return out, nil
}
