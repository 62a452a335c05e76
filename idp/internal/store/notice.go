package store

import (
	"database/sql"
	"errors"
	"time"

	"oruro.gob.bo/suti/internal/db"
)

// Notice is the receipt of one notice to an application that a session ended.
type Notice struct {
	ID       string // of the outbox message
	Client   string
	SID      string
	Address  string
	QueuedAt time.Time
	Tries    int64
	State    string // queued, delivered, given-up
	DoneAt   time.Time
	Log      []NoticeTry // newest first, at most ten
}

// NoticeTry is what became of one try.
type NoticeTry struct {
	N       int64
	At      time.Time
	Outcome string
	Status  int // of HTTP, 0 without an answer
}

// InsertNotice begins a receipt.
func InsertNotice(tx *db.Tx, n *Notice) error {
	_, err := tx.Exec(`INSERT INTO idp_notice (id, client, sid, address, queued_at) VALUES ($1, $2, $3, $4, $5)`, n.ID, n.Client, n.SID, n.Address, db.Micros(n.QueuedAt))
	return err
}

// RecordTry adds a try to a receipt. A notice without one, queued by an older
// server, is passed over. A later try of a notice that was given up counts on.
func RecordTry(tx *db.Tx, id, outcome string, status int, delivered bool, now time.Time) error {
	state, done := "queued", any(nil)
	if delivered {
		state, done = "delivered", db.Micros(now)
	}
	var n int64
	err := notFound(tx.QueryRow(`UPDATE idp_notice SET tries = tries + 1, state = $2, done_at = $3 WHERE id = $1 RETURNING tries`, id, state, done).Scan(&n))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO idp_notice_try (notice, n, at, outcome, status) VALUES ($1, $2, $3, $4, $5)`, id, n, db.Micros(now), outcome, status)
	return err
}

// GiveUpNotice closes a receipt whose message became a dead letter.
func GiveUpNotice(tx *db.Tx, id string, now time.Time) error {
	_, err := tx.Exec(`UPDATE idp_notice SET state = 'given-up', done_at = $2 WHERE id = $1 AND state = 'queued'`, id, db.Micros(now))
	return err
}

// NoticeCounts is how many notices of a client are in each state.
type NoticeCounts struct{ Queued, Delivered, GivenUp int64 }

// CountNotices counts a client's receipts since a time.
func CountNotices(q db.Querier, client string, since time.Time) (c NoticeCounts, err error) {
	err = q.QueryRow(`SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'delivered'), count(*) FILTER (WHERE state = 'given-up')
		FROM idp_notice WHERE client = $1 AND queued_at > $2`, client, db.Micros(since)).Scan(&c.Queued, &c.Delivered, &c.GivenUp)
	return c, err
}

// Notices returns a client's receipts, newest first, each with its last tries.
func Notices(q db.Querier, client string, limit int) ([]Notice, error) {
	out, err := notices(q, client, limit)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].Log, err = tries(q, out[i].ID); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func notices(q db.Querier, client string, limit int) ([]Notice, error) {
	rows, err := q.Query(`SELECT id, client, sid, address, queued_at, tries, state, done_at FROM idp_notice WHERE client = $1 ORDER BY queued_at DESC, id LIMIT $2`, client, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Notice
	for rows.Next() {
		var n Notice
		var queued int64
		var done sql.NullInt64
		if err := rows.Scan(&n.ID, &n.Client, &n.SID, &n.Address, &queued, &n.Tries, &n.State, &done); err != nil {
			return nil, err
		}
		n.QueuedAt, n.DoneAt = db.Time(queued), timeOf(done)
		out = append(out, n)
	}
	return out, rows.Err()
}

func tries(q db.Querier, notice string) ([]NoticeTry, error) {
	rows, err := q.Query(`SELECT n, at, outcome, status FROM idp_notice_try WHERE notice = $1 ORDER BY n DESC LIMIT 10`, notice)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []NoticeTry
	for rows.Next() {
		var t NoticeTry
		var at int64
		if err := rows.Scan(&t.N, &at, &t.Outcome, &t.Status); err != nil {
			return nil, err
		}
		t.At = db.Time(at)
		out = append(out, t)
	}
	return out, rows.Err()
}

// PurgeNotices removes receipts that were closed before a time, at most limit.
func PurgeNotices(tx *db.Tx, before time.Time, limit int) error {
	const old = `SELECT id FROM idp_notice WHERE state <> 'queued' AND done_at < $1 ORDER BY id LIMIT $2`
	if _, err := tx.Exec(`DELETE FROM idp_notice_try WHERE notice IN (`+old+`)`, db.Micros(before), limit); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM idp_notice WHERE id IN (`+old+`)`, db.Micros(before), limit)
	return err
}
