package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

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

// Messages returns what would have been sent on a channel, newest first, at most limit.
func (d *Demo) Messages(ctx context.Context, c Channel, limit int) ([]Message, error) {
	var out []Message
	err := d.db.Read(ctx, func(tx *db.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT id, sealed FROM notify_message WHERE channel = $1 ORDER BY sent_at DESC, id DESC LIMIT $2`, string(c), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			var sealed []byte
			if err := rows.Scan(&id, &sealed); err != nil {
				return err
			}
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
	return out, err
}
