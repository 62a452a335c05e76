package audit

import (
	"database/sql"
	"errors"
	"fmt"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Append writes p's row in the caller's transaction and returns its id. The
// closure that calls it may run again: p is the same each time. A second
// logical write with the same p gets [ErrAppended] and so cannot commit
// without an entry of its own; a closure that runs again after a commit whose
// answer was lost gets it too, and then its work is done.
//
// Other errors: [ErrStale]; [ErrIntent] and [ErrIntentClosed] if p closes an
// intent. After any error the closure MUST fail.
func (l *Log) Append(tx *db.Tx, p *Prepared) (id string, err error) {
	if p == nil || p.row.ID == "" {
		return "", fmt.Errorf("%w: not from Prepare", ErrEntry)
	}
	r := &p.row
	if age := l.now().Sub(r.at()); age > l.maxAge {
		return "", fmt.Errorf("%w: %s of %s ago", ErrStale, r.Kind, age)
	}
	n, err := tx.Exec(`INSERT INTO audit_entry (id, class, kind, subject, actor, client, institution, purpose, at,
		intent, outcome, object, header_salt, body, body_salt, owner, sealed, content_hash, commitment)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
		ON CONFLICT DO NOTHING`,
		r.ID, string(r.Class), r.Kind, nullable(r.Subject), r.Actor, r.Client, r.Institution, r.Purpose, r.At,
		nullable(r.Intent), r.Outcome, r.Object, r.HeaderSalt[:], r.Body, r.BodySalt[:], r.Owner, r.Sealed,
		r.ContentHash[:], r.Commitment[:])
	switch {
	case db.IsConstraint(err, db.ForeignKey):
		return "", fmt.Errorf("%w: %s", ErrIntent, r.Intent)
	case err != nil:
		return "", fmt.Errorf("append audit entry: %w", err)
	case n == 0:
		return "", conflict(tx, r)
	}
	if r.Intent != "" {
		if err := closeIntent(tx, r); err != nil {
			return "", err
		}
	}
	if r.Outcome == OutcomeIntent {
		if _, err := tx.Exec(`INSERT INTO audit_open (id, kind, at) VALUES ($1, $2, $3)`, r.ID, r.Kind, r.At); err != nil {
			return "", fmt.Errorf("open audit intent: %w", err)
		}
	}
	return r.ID, nil
}

// conflict says which unique rule kept r out.
func conflict(tx *db.Tx, r *row) error {
	var id string
	err := tx.QueryRow(`SELECT id FROM audit_entry WHERE id = $1`, r.ID).Scan(&id)
	switch {
	case err == nil:
		return fmt.Errorf("%w: %s", ErrAppended, r.ID)
	case errors.Is(err, sql.ErrNoRows):
		return fmt.Errorf("%w: %s", ErrIntentClosed, r.Intent)
	}
	return fmt.Errorf("append audit entry: %w", err)
}

// closeIntent ends the intent that r, just inserted, closes. The unique index
// has let only one outcome come this far; here it is settled that what it
// closes was opened as an intent.
func closeIntent(tx *db.Tx, r *row) error {
	n, err := tx.Exec(`DELETE FROM audit_open WHERE id = $1`, r.Intent)
	if err != nil {
		return fmt.Errorf("close audit intent: %w", err)
	}
	if n != 1 {
		return fmt.Errorf("%w: %s was not opened as an intent", ErrIntent, r.Intent)
	}
	return nil
}

// Erase deletes the sealed content of up to limit entries about a person and
// returns how many; the caller repeats until it returns 0. Destroying the
// person's data key makes the content unreadable at once, also in backups;
// this removes it from the database. Leaves, proofs and clear columns stay
// verifiable. Only the context that decides on erasure may call it.
func (l *Log) Erase(tx *db.Tx, person identity.PersonID, limit int) (int64, error) {
	n, err := tx.Exec(`UPDATE audit_entry SET sealed = NULL WHERE id IN
		(SELECT id FROM audit_entry WHERE subject = $1 AND sealed IS NOT NULL ORDER BY at, id LIMIT $2)`, string(person), limit)
	if err != nil {
		return 0, fmt.Errorf("erase audit content: %w", err)
	}
	return n, nil
}

func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// rowColumns are those that scanRow reads.
const rowColumns = `id, class, kind, subject, actor, client, institution, purpose, at, intent, outcome, object,
	header_salt, body, body_salt, owner, sealed, content_hash, commitment, log_number, leaf_index`

type scanner interface{ Scan(dest ...any) error }

// scanRow reads one row of rowColumns. It returns [ErrCorrupt] for hashes of a wrong length.
func scanRow(s scanner) (*row, error) {
	var (
		r                                             row
		subject, intent                               sql.NullString
		number, index                                 sql.NullInt64
		headerSalt, bodySalt, contentHash, commitment []byte
	)
	err := s.Scan(&r.ID, &r.Class, &r.Kind, &subject, &r.Actor, &r.Client, &r.Institution, &r.Purpose, &r.At, &intent,
		&r.Outcome, &r.Object, &headerSalt, &r.Body, &bodySalt, &r.Owner, &r.Sealed, &contentHash, &commitment, &number, &index)
	if err != nil {
		return nil, err
	}
	r.Subject, r.Intent = subject.String, intent.String
	r.LogNumber, r.LeafIndex = number.Int64, -1
	if index.Valid {
		r.LeafIndex = index.Int64
	}
	ok := fill(r.HeaderSalt[:], headerSalt) && fill(r.BodySalt[:], bodySalt) &&
		fill(r.ContentHash[:], contentHash) && fill(r.Commitment[:], commitment)
	if !ok {
		return nil, fmt.Errorf("%w: entry %s: a hash or salt of a wrong length", ErrCorrupt, r.ID)
	}
	return &r, nil
}

func fill(dst, src []byte) bool { return copy(dst, src) == len(dst) && len(src) == len(dst) }

// leafColumns are those that make a leaf; queryLeaves reads them.
const leafColumns = `id, class, at, body, commitment`

// leafRow is an entry's id and its leaf.
type leafRow struct {
	id   string
	leaf []byte
}

// queryLeaves runs a query over leafColumns.
func queryLeaves(q db.Querier, query string, args ...any) ([]leafRow, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []leafRow
	for rows.Next() {
		var r row
		var commitment []byte
		if err := rows.Scan(&r.ID, &r.Class, &r.At, &r.Body, &commitment); err != nil {
			return nil, err
		}
		if !fill(r.Commitment[:], commitment) {
			return nil, corrupt("entry %s: a commitment of %d bytes", r.ID, len(commitment))
		}
		leaf, err := r.leaf()
		if err != nil {
			return nil, err
		}
		out = append(out, leafRow{r.ID, leaf})
	}
	return out, rows.Err()
}
