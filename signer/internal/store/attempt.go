package store

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
)

// Attempt is an activation of a signer of a request.
type Attempt struct {
	Activation, Request string
	Party               int
	State               AttemptState
	CreatedAt           time.Time
}

// AttemptState is where an attempt is.
type AttemptState string

// The states of an attempt.
const (
	AttemptOpen    AttemptState = "open"
	AttemptSpent   AttemptState = "spent" // a call to the core is under way, or a crash cut it off
	AttemptSettled AttemptState = "settled"
)

// AddAttempt records an activation that a signer was offered.
func (s *Store) AddAttempt(ctx context.Context, a Attempt, now time.Time) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO signer_attempt (activation, request, pos, state, calls, created_at) VALUES ($1, $2, $3, 'open', 0, $4)", a.Activation, a.Request, a.Party, db.Micros(now))
		return err
	})
}

// Attempt returns an attempt, or ErrNotFound.
func (s *Store) Attempt(ctx context.Context, activation string) (Attempt, error) {
	a := Attempt{Activation: activation}
	var created int64
	err := s.db.QueryRow(ctx, "SELECT request, pos, state, created_at FROM signer_attempt WHERE activation = $1", activation).Scan(&a.Request, &a.Party, &a.State, &created)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	a.CreatedAt = db.Time(created)
	return a, err
}

// Spend counts a call to the core for an attempt, while its request still awaits
// that signer: ErrState otherwise. Meanwhile the request cannot end.
func (s *Store) Spend(ctx context.Context, a Attempt, now time.Time) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("UPDATE signer_request SET turn = turn WHERE id = $1 AND state = 'pending' AND turn = $2 AND expires_at > $3", a.Request, a.Party, db.Micros(now))
		if err == nil && n == 1 {
			n, err = tx.Exec("UPDATE signer_attempt SET state = 'spent', calls = calls + 1 WHERE activation = $1 AND request = $2 AND state <> 'settled'", a.Activation, a.Request)
		}
		if err != nil {
			return err
		}
		if n != 1 {
			return ErrState
		}
		return nil
	})
}

// Unspend ends a call that the core refused without using the activation; when no
// other call is under way, the attempt is open again.
func (s *Store) Unspend(ctx context.Context, activation string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE signer_attempt SET calls = calls - 1, state = CASE WHEN calls > 1 THEN state ELSE 'open' END
			WHERE activation = $1 AND state = 'spent'`, activation)
		return err
	})
}

// Settle closes an attempt from which nothing can come.
func (s *Store) Settle(ctx context.Context, activation string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE signer_attempt SET state = 'settled' WHERE activation = $1", activation)
		return err
	})
}

// Unsettled returns spent attempts from before a time.
func (s *Store) Unsettled(ctx context.Context, before time.Time, limit int) ([]string, error) {
	return s.ids(ctx, "SELECT activation FROM signer_attempt WHERE state = 'spent' AND created_at <= $1 ORDER BY created_at LIMIT $2", db.Micros(before), limit)
}

// File is a signed file.
type File struct {
	SHA256 [32]byte
	Size   int64
}

// Release puts the signed files of one signer into the request and moves it on:
// to the next signer, or to completed. ErrState if that was done before, or if the
// request ended meanwhile.
func (s *Store) Release(ctx context.Context, a Attempt, files []File, now time.Time, entry *audit.Prepared) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("UPDATE signer_attempt SET state = 'settled' WHERE activation = $1 AND state <> 'settled'", a.Activation)
		if err != nil {
			return err
		}
		if n != 1 {
			return ErrState
		}
		n, err = tx.Exec(`UPDATE signer_request SET turn = turn + 1, decided_at = CASE WHEN turn + 1 = (SELECT COUNT(pos) FROM signer_party WHERE request = $1) THEN $3 ELSE decided_at END,
			state = CASE WHEN turn + 1 = (SELECT COUNT(pos) FROM signer_party WHERE request = $1) THEN 'completed' ELSE state END
			WHERE id = $1 AND turn = $2 AND state = 'pending'`, a.Request, a.Party, db.Micros(now))
		if err != nil {
			return err
		}
		if n != 1 {
			return ErrState
		}
		_, err = tx.Exec("UPDATE signer_party SET state = 'signed', activation = $3, decided_at = $4 WHERE request = $1 AND pos = $2", a.Request, a.Party, a.Activation, db.Micros(now))
		if err != nil {
			return err
		}
		for i, f := range files {
			if _, err := tx.Exec("UPDATE signer_request_document SET sha256 = $3, size = $4 WHERE request = $1 AND pos = $2", a.Request, i, f.SHA256[:], f.Size); err != nil {
				return err
			}
			_, err := tx.Exec("INSERT INTO signer_file (sha256, request, pos, party, size, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
				f.SHA256[:], a.Request, i, a.Party, f.Size, db.Micros(now))
			if err != nil {
				return err
			}
		}
		_, err = s.audit.Append(tx, entry)
		return err
	})
}

// Registered is a released file as the registry knows it.
type Registered struct {
	Request  string
	Document int
	Party    int
	Final    bool // the request's last signature is in it
}

// ByFile finds released files with that hash, the newest first.
func (s *Store) ByFile(ctx context.Context, sha256 [32]byte) ([]Registered, error) {
	rows, err := s.db.Query(ctx, `SELECT f.request, f.pos, f.party, CASE WHEN r.state = 'completed' AND d.sha256 = f.sha256 THEN 1 ELSE 0 END
		FROM signer_file f JOIN signer_request r ON r.id = f.request JOIN signer_request_document d ON d.request = f.request AND d.pos = f.pos
		WHERE f.sha256 = $1 ORDER BY f.created_at DESC LIMIT 20`, sha256[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Registered
	for rows.Next() {
		var r Registered
		var final int
		if err := rows.Scan(&r.Request, &r.Document, &r.Party, &final); err != nil {
			return nil, err
		}
		r.Final = final == 1
		out = append(out, r)
	}
	return out, rows.Err()
}

// Page is a page image of a file.
type Page struct {
	Image         [32]byte
	Size          int64
	Width, Height int
}

// PutPages records the images of a file; those that are there stay.
func (s *Store) PutPages(ctx context.Context, file [32]byte, owner string, pages []Page) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		for i, p := range pages {
			_, err := tx.Exec(`INSERT INTO signer_page (file, owner, page, image, size, width, height) VALUES ($1, $2, $3, $4, $5, $6, $7)
				ON CONFLICT (file, owner, page) DO NOTHING`, file[:], owner, i, p.Image[:], p.Size, p.Width, p.Height)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Pages returns the images of a file in order; none if it was not drawn yet.
func (s *Store) Pages(ctx context.Context, file [32]byte, owner string) ([]Page, error) {
	rows, err := s.db.Query(ctx, "SELECT image, size, width, height FROM signer_page WHERE file = $1 AND owner = $2 ORDER BY page", file[:], owner)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Page
	for rows.Next() {
		var p Page
		var sum []byte
		if err := rows.Scan(&sum, &p.Size, &p.Width, &p.Height); err != nil {
			return nil, err
		}
		copy(p.Image[:], sum)
		out = append(out, p)
	}
	return out, rows.Err()
}
