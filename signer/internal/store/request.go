package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// CreateRequest stores a request with its answer and audit entry. A taken
// verification code fails with a unique violation of signer_request_code.
func (s *Store) CreateRequest(ctx context.Context, r Request, a Answer, entry *audit.Prepared) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if err := putAnswer(tx, a); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO signer_request (id, client, client_name, institution, asker, owner, state, level, seal, return_url, reason, code,
			turn, created_at, expires_at, decided_at, decline_reason) VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $9, $10, $11, 0, $12, $13, 0, '')`,
			r.ID, r.Client, r.ClientName, string(r.Institution), r.Asker, r.Owner, r.Level, string(r.Seal), r.ReturnURL, r.Reason, r.Code,
			db.Micros(r.CreatedAt), db.Micros(r.ExpiresAt))
		if err != nil {
			return err
		}
		for i, d := range r.Documents {
			_, err := tx.Exec("INSERT INTO signer_request_document (request, pos, document, title, base_sha256, pages, sha256, size) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
				r.ID, i, d.ID, d.Title, d.BaseSHA256[:], d.Pages, d.SHA256[:], d.Size)
			if err != nil {
				return err
			}
		}
		for i, p := range r.Parties {
			_, err := tx.Exec("INSERT INTO signer_party (request, pos, person, appointment, epoch, state, activation, decided_at) VALUES ($1, $2, $3, $4, $5, 'waiting', '', 0)",
				r.ID, i, string(p.Person), string(p.Appointment), int64(p.Epoch))
			if err != nil {
				return err
			}
		}
		_, err = s.audit.Append(tx, entry)
		return err
	})
}

const requestColumns = `id, client, client_name, institution, asker, owner, state, level, seal, return_url, reason, code, turn, created_at, expires_at,
	decided_at, decline_reason`

func scanRequest(scan func(...any) error) (Request, error) {
	var r Request
	var seal string
	var created, expires, decided int64
	err := scan(&r.ID, &r.Client, &r.ClientName, &r.Institution, &r.Asker, &r.Owner, &r.State, &r.Level, &seal, &r.ReturnURL, &r.Reason, &r.Code, &r.Turn,
		&created, &expires, &decided, &r.DeclineReason)
	r.Seal, r.CreatedAt, r.ExpiresAt, r.DecidedAt = json.RawMessage(seal), db.Time(created), db.Time(expires), db.Time(decided)
	return r, err
}

// Request returns a request with documents and signers, or ErrNotFound.
func (s *Store) Request(ctx context.Context, id string) (Request, error) {
	return s.one(ctx, "id", id)
}

// ByCode returns the request of a verification code, or ErrNotFound.
func (s *Store) ByCode(ctx context.Context, code string) (Request, error) {
	return s.one(ctx, "code", code)
}

func (s *Store) one(ctx context.Context, column, value string) (r Request, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		r, err = scanRequest(tx.QueryRow("SELECT "+requestColumns+" FROM signer_request WHERE "+column+" = $1", value).Scan)
		if err != nil {
			return err
		}
		return fill(tx, &r)
	})
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrNotFound
	}
	return r, err
}

func fill(q db.Querier, r *Request) error {
	docs, err := q.Query("SELECT document, title, base_sha256, pages, sha256, size FROM signer_request_document WHERE request = $1 ORDER BY pos", r.ID)
	if err != nil {
		return err
	}
	defer docs.Close()
	for docs.Next() {
		var d RequestDocument
		var base, now []byte
		if err := docs.Scan(&d.ID, &d.Title, &base, &d.Pages, &now, &d.Size); err != nil {
			return err
		}
		copy(d.BaseSHA256[:], base)
		copy(d.SHA256[:], now)
		r.Documents = append(r.Documents, d)
	}
	if err := docs.Err(); err != nil {
		return err
	}
	parties, err := q.Query("SELECT person, appointment, epoch, state, activation, decided_at FROM signer_party WHERE request = $1 ORDER BY pos", r.ID)
	if err != nil {
		return err
	}
	defer parties.Close()
	for parties.Next() {
		var p Party
		var at int64
		if err := parties.Scan(&p.Person, &p.Appointment, &p.Epoch, &p.State, &p.Activation, &at); err != nil {
			return err
		}
		p.DecidedAt = db.Time(at)
		r.Parties = append(r.Parties, p)
	}
	return parties.Err()
}

// InboxLimit bounds an inbox.
const InboxLimit = 100

// Inbox returns the pending requests in which it is the person's turn, the ones
// that end soonest first, at most InboxLimit.
func (s *Store) Inbox(ctx context.Context, person identity.PersonID, now time.Time) ([]Request, error) {
	return s.requests(ctx, `SELECT p.request FROM signer_party p JOIN signer_request r ON r.id = p.request AND r.turn = p.pos
		WHERE p.person = $1 AND p.state = 'waiting' AND r.state = 'pending' AND r.expires_at > $2 ORDER BY r.expires_at LIMIT $3`,
		string(person), db.Micros(now), InboxLimit)
}

// Decided returns the requests that the person signed or declined, the latest
// decision first, at most limit.
func (s *Store) Decided(ctx context.Context, person identity.PersonID, limit int) ([]Request, error) {
	return s.requests(ctx, `SELECT request FROM signer_party WHERE person = $1 AND state IN ('signed', 'declined')
		GROUP BY request ORDER BY MAX(decided_at) DESC, request LIMIT $2`, string(person), limit)
}

// requests returns the requests whose ids a query gives, in its order.
func (s *Store) requests(ctx context.Context, query string, args ...any) (out []Request, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		out = nil
		rows, err := tx.Query(query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		var ids []string
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, id := range ids {
			r, err := scanRequest(tx.QueryRow("SELECT "+requestColumns+" FROM signer_request WHERE id = $1", id).Scan)
			if err != nil {
				return err
			}
			if err := fill(tx, &r); err != nil {
				return err
			}
			out = append(out, r)
		}
		return nil
	})
	return out, err
}

// Close moves a pending request to a final state. party is the signer who declined,
// or -1. ErrState if it is no longer pending or it is not that signer's turn.
func (s *Store) Close(ctx context.Context, id string, to State, party int, why string, now time.Time, entry *audit.Prepared) error {
	earliest := int64(0) // of the end that lets a request expire
	if to == Expired {
		earliest = db.Micros(now)
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		// The row is locked first, so that the next statement sees an attempt that is under way.
		if _, err := tx.Exec("UPDATE signer_request SET turn = turn WHERE id = $1 AND state = 'pending'", id); err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE signer_request SET state = $2, decided_at = $3, decline_reason = $4
			WHERE id = $1 AND state = 'pending' AND ($5 < 0 OR turn = $5) AND (CAST($6 AS BIGINT) = 0 OR expires_at <= CAST($6 AS BIGINT))
			AND NOT EXISTS (SELECT 1 FROM signer_attempt a WHERE a.request = $1 AND a.state = 'spent')`,
			id, string(to), db.Micros(now), why, party, earliest)
		if err != nil {
			return err
		}
		if n != 1 {
			return ErrState
		}
		if party >= 0 {
			_, err = tx.Exec("UPDATE signer_party SET state = 'declined', decided_at = $3 WHERE request = $1 AND pos = $2 AND state = 'waiting'", id, party, db.Micros(now))
			if err != nil {
				return err
			}
		}
		if _, err = tx.Exec("UPDATE signer_party SET state = 'cancelled', decided_at = $2 WHERE request = $1 AND state = 'waiting'", id, db.Micros(now)); err != nil {
			return err
		}
		_, err = s.audit.Append(tx, entry)
		return err
	})
}

// Overdue returns pending requests that ended before now.
func (s *Store) Overdue(ctx context.Context, now time.Time, limit int) ([]string, error) {
	return s.ids(ctx, "SELECT id FROM signer_request WHERE state = 'pending' AND expires_at <= $1 ORDER BY expires_at LIMIT $2", db.Micros(now), limit)
}

// PendingOf returns pending requests in which a person still is to sign under an
// epoch older than the present one.
func (s *Store) PendingOf(ctx context.Context, person identity.PersonID) ([]string, error) {
	return s.ids(ctx, `SELECT p.request FROM signer_party p JOIN signer_request r ON r.id = p.request WHERE p.person = $1 AND p.state = 'waiting'
		AND r.state = 'pending' AND NOT EXISTS (SELECT 1 FROM subject s WHERE s.person = p.person AND s.epoch = p.epoch AND s.state = 'active')`, string(person))
}

func (s *Store) ids(ctx context.Context, q string, args ...any) ([]string, error) {
	rows, err := s.db.Query(ctx, q, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		out = append(out, id)
	}
	return out, rows.Err()
}
