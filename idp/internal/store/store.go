// Package store is the provider's tables: clients, sessions, grants, codes,
// tokens, consents. Its functions take the transaction of their caller, so that
// a change and its audit entry are one commit; what may be used once is one
// statement that can succeed once; whether a session, grant or token is alive
// is decided at read time by joining everything above it, the person's epoch
// included, so that ending a level is one update. Only idp and its sub-packages
// may import it.
package store

import (
	"crypto/sha256"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/subject"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations is the provider's migration line.
var Migrations = db.Line{Name: "idp", FS: files, Requires: []string{subject.Migrations.Name}}

// ErrNotFound reports that no live row has that key.
var ErrNotFound = errors.New("idp: not found")

// ErrSpent reports a thing that may be used once and was.
var ErrSpent = errors.New("idp: already used")

// Hash is the form in which bearer values are stored. Each kind has its own
// domain, so that a value of one kind is never found as another.
func Hash(kind, value string) []byte {
	sum := sha256.Sum256([]byte("suti/idp/" + kind + "\x00" + value))
	return sum[:]
}

// live is the condition under which a grant g, its client session r and its
// sign-on session s still stand at the time $now. The person's row decides
// suspension and recovery.
const live = `g.revoked_at IS NULL AND r.ended_at IS NULL AND s.ended_at IS NULL AND s.expires_at > %[1]s
	AND EXISTS (SELECT 1 FROM subject p WHERE p.person = g.person AND p.epoch = g.epoch AND p.state = 'active')
	AND EXISTS (SELECT 1 FROM idp_client c WHERE c.id = g.client AND c.disabled_at IS NULL AND c.valid_from <= g.created_at)`

// liveAt returns the condition with the parameter that holds the time.
func liveAt(param string) string { return fmt.Sprintf(live, param) }

// notFound turns an empty result into ErrNotFound.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

func encode(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("idp: %T does not marshal: %v", v, err)) // only plain structs and slices are stored
	}
	return string(raw)
}

func decode(raw string, into any) error {
	if err := json.Unmarshal([]byte(raw), into); err != nil {
		return fmt.Errorf("idp: stored value unreadable: %w", err)
	}
	return nil
}

func words(s string) []string { return strings.Fields(s) }

func micros(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return db.Micros(t)
}

// text is a column that is NULL where there is nothing to say.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func timeOf(v sql.NullInt64) time.Time {
	if !v.Valid {
		return time.Time{}
	}
	return db.Time(v.Int64)
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
