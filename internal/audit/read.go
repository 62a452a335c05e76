package audit

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
)

// View is an entry as its subject or an auditor reads it.
type View struct {
	ID          string
	Class       logverify.Class
	Kind        string
	Subject     identity.PersonID
	Actor       string
	Client      string
	Institution string
	Purpose     string
	At          time.Time
	Intent      string
	Outcome     string
	Object      string
	Body        []byte
	// Payload is the JSON that was sealed; nil if there was none or it was erased.
	Payload json.RawMessage
	// Erased is set if the content no longer exists; the clear fields do.
	Erased bool
	// Placed is set once the entry has a place in the log: leaf Index of log number Log.
	Placed bool
	Log    int64
	Index  int64
}

// MaxPage is the greatest number of entries that one page holds.
const MaxPage = 200

// BySubject returns entries about a person, the latest first, and the cursor
// of the next page, empty after the last. cursor is empty for the first page.
// It opens the sealed payloads; where they were erased, View.Erased is set. A
// payload that does not open is [ErrCorrupt]; a cursor that was not given out
// for this person is [ErrCursor]. Reading someone's entries is itself to be
// recorded: the caller appends an entry before it shows them.
func (l *Log) BySubject(ctx context.Context, person identity.PersonID, cursor string, limit int) ([]View, string, error) {
	if limit < 1 || limit > MaxPage {
		limit = MaxPage
	}
	ck, err := l.cursorKey(ctx)
	if err != nil {
		return nil, "", err
	}
	at, id := int64(1<<62), ""
	if cursor != "" {
		if at, id, err = openCursor(ck, cursor, person); err != nil {
			return nil, "", err
		}
	}
	var rows []*row
	err = l.db.Read(ctx, func(tx *db.Tx) error {
		rows, err = queryRows(tx, `SELECT `+rowColumns+` FROM audit_entry
			WHERE subject = $1 AND (at, id) < ($2, $3) ORDER BY at DESC, id DESC LIMIT $4`,
			string(person), at, id, limit+1)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("entries by subject: %w", err)
	}
	next := ""
	if len(rows) > limit {
		rows = rows[:limit]
		last := rows[limit-1]
		next = sealCursor(ck, last.At, last.ID, person)
	}
	views := make([]View, 0, len(rows))
	for _, r := range rows {
		v, err := l.view(ctx, r)
		if err != nil {
			return nil, "", err
		}
		views = append(views, v)
	}
	return views, next, nil
}

// Entry returns one entry, opened, or [ErrUnknown].
func (l *Log) Entry(ctx context.Context, id string) (View, error) {
	r, err := oneRow(l.db.QueryRow(ctx, `SELECT `+rowColumns+` FROM audit_entry WHERE id = $1`, id))
	if err != nil {
		return View{}, err
	}
	return l.view(ctx, r)
}

// Opening returns everything that an entry's leaf commits to, for its subject
// or an auditor to keep: with the leaf and a proof it shows the entry to have
// been recorded, without Suti. It carries internal identifiers.
func (l *Log) Opening(ctx context.Context, id string) (logverify.EntryOpening, error) {
	r, err := oneRow(l.db.QueryRow(ctx, `SELECT `+rowColumns+` FROM audit_entry WHERE id = $1`, id))
	if err != nil {
		return logverify.EntryOpening{}, err
	}
	o := logverify.EntryOpening{
		Header: r.header(), HeaderSalt: r.HeaderSalt, Body: r.Body, BodySalt: r.BodySalt, ContentHash: r.ContentHash,
	}
	o.ContentSalt, o.Content, err = l.content(ctx, r)
	if errors.Is(err, ErrErased) {
		o.Erased = true
		return o, nil
	}
	return o, err
}

// content opens what is sealed in r: [ErrErased], or [ErrCorrupt] if it does
// not open or is not what the row's content hash says.
func (l *Log) content(ctx context.Context, r *row) (salt logverify.Salt, content []byte, err error) {
	if r.Sealed == nil {
		return salt, nil, ErrErased
	}
	key, err := l.dataKey(ctx, r.Owner)
	if err != nil {
		return salt, nil, err
	}
	plain, err := envelope.Open(key, r.Sealed, r.place())
	if err != nil {
		return salt, nil, fmt.Errorf("%w: entry %s: content: %w", ErrCorrupt, r.ID, err)
	}
	if len(plain) < len(salt) {
		return salt, nil, fmt.Errorf("%w: entry %s: content of %d bytes", ErrCorrupt, r.ID, len(plain))
	}
	copy(salt[:], plain)
	content = plain[len(salt):]
	if logverify.ContentHash(salt, content) != r.ContentHash {
		return salt, nil, fmt.Errorf("%w: entry %s: content is not what was recorded", ErrCorrupt, r.ID)
	}
	return salt, content, nil
}

func (l *Log) view(ctx context.Context, r *row) (View, error) {
	v := View{
		ID: r.ID, Class: r.Class, Kind: r.Kind, Subject: identity.PersonID(r.Subject), Actor: r.Actor, Client: r.Client,
		Institution: r.Institution, Purpose: r.Purpose, At: r.at(), Intent: r.Intent, Outcome: r.Outcome, Object: r.Object,
		Body: r.Body, Placed: r.LeafIndex >= 0, Log: r.LogNumber, Index: r.LeafIndex,
	}
	_, content, err := l.content(ctx, r)
	switch {
	case errors.Is(err, ErrErased):
		v.Erased = true
	case err != nil:
		return View{}, err
	case len(content) > 0:
		v.Payload = content
	}
	return v, nil
}

// OpenIntent is an intent without an outcome.
type OpenIntent struct {
	ID      string
	Kind    string
	Subject identity.PersonID
	Object  string
	At      time.Time
}

// OpenIntents returns up to limit intents, the oldest first, that have no
// outcome and were prepared before a time, whose kind is kindPrefix or begins
// with it and a dot; an empty prefix means all. Recovery settles what became
// of each and appends its outcome; a race with a slow first writer is decided
// by [ErrIntentClosed].
func (l *Log) OpenIntents(ctx context.Context, kindPrefix string, before time.Time, limit int) ([]OpenIntent, error) {
	dotted := kindPrefix + "."
	var out []OpenIntent
	err := l.db.Read(ctx, func(tx *db.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT o.id, o.kind, e.subject, e.object, o.at FROM audit_open AS o
			JOIN audit_entry AS e ON e.id = o.id
			WHERE o.at < $1 AND ($2 = '' OR o.kind = $2 OR substr(o.kind, 1, length($3)) = $3)
			ORDER BY o.at, o.id LIMIT $4`, before.UnixMicro(), kindPrefix, dotted, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var o OpenIntent
			var subject sql.NullString
			var at int64
			if err := rows.Scan(&o.ID, &o.Kind, &subject, &o.Object, &at); err != nil {
				return err
			}
			o.Subject, o.At = identity.PersonID(subject.String), time.UnixMicro(at).UTC()
			out = append(out, o)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("open intents: %w", err)
	}
	return out, nil
}

// queryRows runs a query over rowColumns.
func queryRows(q db.Querier, query string, args ...any) ([]*row, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []*row
	for rows.Next() {
		r, err := scanRow(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

func oneRow(s scanner) (*row, error) {
	r, err := scanRow(s)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("audit entry: %w", err)
	}
	return r, nil
}

// maxCursor bounds a cursor before it is decoded, in characters.
const maxCursor = 256

func (l *Log) cursorKey(ctx context.Context) (envelope.Key, error) {
	k, err := l.dataKey(ctx, SystemOwner)
	if err != nil {
		return envelope.Key{}, err
	}
	return envelope.Derive(k, "audit/cursor/v1"), nil
}

// A cursor is sealed, so that nobody can make one or carry one over to another
// person's entries.
func sealCursor(k envelope.Key, at int64, id string, person identity.PersonID) string {
	plain := binary.BigEndian.AppendUint64(nil, uint64(at))
	return base64.RawURLEncoding.EncodeToString(envelope.Seal(k, append(plain, id...), cursorPlace(person)))
}

func openCursor(k envelope.Key, cursor string, person identity.PersonID) (at int64, id string, err error) {
	if len(cursor) > maxCursor {
		return 0, "", fmt.Errorf("%w: %d characters", ErrCursor, len(cursor))
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return 0, "", fmt.Errorf("%w: not base64url", ErrCursor)
	}
	plain, err := envelope.Open(k, sealed, cursorPlace(person))
	if err != nil || len(plain) < 8 {
		return 0, "", ErrCursor
	}
	return int64(binary.BigEndian.Uint64(plain)), string(plain[8:]), nil
}

func cursorPlace(person identity.PersonID) []byte {
	sum := sha256.Sum256([]byte(person))
	return append([]byte("audit cursor by subject:"), sum[:]...)
}
