package outbox

import (
	"context"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/db"
)

// DeadLetter is a message that was given up.
type DeadLetter struct {
	Message
	DiedAt    time.Time
	LastError string
}

// maxPage bounds one answer of Dead.
const maxPage = 200

// Dead lists dead letters in the order of their IDs, after the given ID, at
// most limit (and at most 200).
func Dead(ctx context.Context, d *db.DB, after string, limit int) ([]DeadLetter, error) {
	rows, err := d.Query(ctx, `SELECT id, topic, key, payload, created_at, attempts, dead_at, last_error
		FROM outbox_message WHERE dead_at > 0 AND id > $1 ORDER BY id LIMIT $2`, after, max(1, min(limit, maxPage)))
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []DeadLetter
	for rows.Next() {
		var l DeadLetter
		var created, died int64
		if err := rows.Scan(&l.ID, &l.Topic, &l.Key, &l.Payload, &created, &l.Attempt, &died, &l.LastError); err != nil {
			return nil, fmt.Errorf("list dead letters: %w", err)
		}
		l.CreatedAt, l.DiedAt = db.Time(created), db.Time(died)
		out = append(out, l)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return out, nil
}

// Requeue gives a dead letter all its attempts again, at once. It comes after
// whatever its key has delivered meanwhile. It returns ErrNotDead.
func Requeue(tx *db.Tx, id string) error {
	n, err := tx.Exec(`UPDATE outbox_message SET dead_at = 0, attempts = 0, claim = '', due_at = $2
		WHERE id = $1 AND dead_at > 0`, id, db.Micros(tx.Now()))
	return oneDead(n, err, "requeue")
}

// Discard removes a dead letter for good. It returns ErrNotDead.
func Discard(tx *db.Tx, id string) error {
	n, err := tx.Exec(`DELETE FROM outbox_message WHERE id = $1 AND dead_at > 0`, id)
	return oneDead(n, err, "discard")
}

func oneDead(n int64, err error, what string) error {
	if err != nil {
		return fmt.Errorf("%s dead letter: %w", what, err)
	}
	if n != 1 {
		return ErrNotDead
	}
	return nil
}

// Backlog is the state of one topic.
type Backlog struct {
	Topic   string
	Waiting int64 // not yet handled, dead letters apart
	Dead    int64
	Oldest  time.Time // creation of the oldest waiting message; zero if none
}

// Backlogs returns the state of every topic that has messages, for metrics and
// health checks.
func Backlogs(ctx context.Context, d *db.DB) ([]Backlog, error) {
	rows, err := d.Query(ctx, `SELECT topic, count(*) FILTER (WHERE dead_at = 0), count(*) FILTER (WHERE dead_at > 0),
		coalesce(min(created_at) FILTER (WHERE dead_at = 0), 0) FROM outbox_message GROUP BY topic ORDER BY topic`)
	if err != nil {
		return nil, fmt.Errorf("outbox backlog: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var out []Backlog
	for rows.Next() {
		var b Backlog
		var oldest int64
		if err := rows.Scan(&b.Topic, &b.Waiting, &b.Dead, &oldest); err != nil {
			return nil, fmt.Errorf("outbox backlog: %w", err)
		}
		b.Oldest = db.Time(oldest)
		out = append(out, b)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("outbox backlog: %w", err)
	}
	return out, nil
}

// Purge forgets what is older than the given time and no longer needed: places
// of keys without messages, and records of [Once]. The time MUST lie further
// back than any message can still be delivered again.
func Purge(ctx context.Context, d *db.DB, before time.Time) error {
	return d.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`DELETE FROM outbox_key WHERE used_at < $1 AND NOT EXISTS
			(SELECT 1 FROM outbox_message AS m WHERE m.topic = outbox_key.topic AND m.key = outbox_key.key)`, db.Micros(before)); err != nil {
			return fmt.Errorf("purge outbox keys: %w", err)
		}
		if _, err := tx.Exec(`DELETE FROM outbox_seen WHERE at < $1 AND NOT EXISTS
			(SELECT 1 FROM outbox_message AS m WHERE m.id = outbox_seen.id)`, db.Micros(before)); err != nil {
			return fmt.Errorf("purge outbox records: %w", err)
		}
		return nil
	})
}
