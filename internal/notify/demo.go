package notify

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
)

// Demo is a [Sender] that sends nothing and keeps what it would have sent, for
// the pages of a demonstration. It is safe for concurrent use.
type Demo struct {
	db  *db.DB
	key envelope.Key
}

// NewDemo returns a Demo whose messages are sealed under a key of their own,
// derived from kek.
func NewDemo(d *db.DB, kek envelope.Key) *Demo {
	return &Demo{db: d, key: envelope.Derive(kek, "suti/notify/demo")}
}

func place(id string) []byte { return envelope.Place("notify_message", "sealed", id) }

// Send implements [Sender]. A message sent twice is kept once.
func (d *Demo) Send(ctx context.Context, m Message) error {
	plain, err := json.Marshal(m)
	if err != nil {
		return err
	}
	sealed := envelope.Seal(d.key, plain, place(m.ID))
	return d.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO notify_message (id, channel, sent_at, sealed) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING`,
			m.ID, string(m.Channel), db.Micros(m.At), sealed)
		return err
	})
}

// ErrDemo reports a kept message that does not open.
var ErrDemo = errors.New("notify: kept message is unreadable")

// ErrCursor reports a cursor that Messages did not give out.
var ErrCursor = errors.New("notify: bad cursor")

// maxCursor bounds a cursor, in bytes: an id and a time.
const maxCursor = 200

// Messages returns what would have been sent on a channel, newest first, at most
// limit, from where cursor says ("" is the newest), and the cursor of the next
// page, "" at the end. [ErrCursor] if it is none of ours.
func (d *Demo) Messages(ctx context.Context, c Channel, cursor string, limit int) (out []Message, next string, err error) {
	at, last, err := parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	err = d.db.Read(ctx, func(tx *db.Tx) error {
		out, next = nil, ""
		rows, err := tx.Query(`SELECT id, sent_at, sealed FROM notify_message
			WHERE channel = $1 AND (sent_at < $2 OR sent_at = $2 AND id < $3) ORDER BY sent_at DESC, id DESC LIMIT $4`, string(c), at, last, limit+1)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			var sent int64
			var sealed []byte
			if err := rows.Scan(&id, &sent, &sealed); err != nil {
				return err
			}
			if len(out) == limit {
				next = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", at, last))
				break
			}
			at, last = sent, id
			plain, err := envelope.Open(d.key, sealed, place(id))
			if err != nil {
				return fmt.Errorf("%w: %w", ErrDemo, err)
			}
			var m Message
			if err := json.Unmarshal(plain, &m); err != nil {
				return ErrDemo
			}
			out = append(out, m)
		}
		return rows.Err()
	})
	return out, next, err
}

// parseCursor returns the time and id after which a page begins.
func parseCursor(cursor string) (at int64, id string, err error) {
	if cursor == "" {
		return math.MaxInt64, "", nil
	}
	if len(cursor) > maxCursor {
		return 0, "", ErrCursor
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil {
		return 0, "", ErrCursor
	}
	when, id, ok := strings.Cut(string(raw), " ")
	if at, err = strconv.ParseInt(when, 10, 64); err != nil || !ok || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		return 0, "", ErrCursor
	}
	return at, id, nil
}
