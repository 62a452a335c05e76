// Package outbox carries effects from one context to another: a message is
// written in the same transaction as its cause, and handed to a handler later,
// at least once, until the handler succeeds.
//
// Invariants: a message exists if and only if its cause was committed; it is
// forgotten only after its handler returned nil; messages of one topic and key
// are handed over one at a time in the order in which they were committed; two
// workers never handle the same message within one lease; what keeps failing is
// kept as a dead letter that operators see, not dropped.
//
// Limits that handlers must know: a message may be handed over twice (a crash
// after the handler's effect, or a lease that ran out), so handlers are
// idempotent by nature, by the message's ID, or by [Once]. A dead letter no
// longer holds back its key, so one that is put back comes after its
// successors: payloads carry the epoch or version that they speak of.
// Payloads hold identifiers, never personal data or secrets: they are not sealed.
package outbox

import (
	"embed"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations is the line of this package.
var Migrations = db.Line{Name: "outbox", FS: files}

// MaxPayload bounds a payload, in bytes.
const MaxPayload = 64 << 10

const (
	maxTopic = 100
	maxKey   = 200
	maxID    = 100
)

// Message is one effect to be carried out.
type Message struct {
	Topic string // names the consumer and the effect, for instance "idp.session.end"
	Key   string // messages of one topic and key keep their order; empty: no order
	// Payload is what the handler needs, at most MaxPayload bytes.
	Payload []byte
	// NotBefore holds delivery back; zero: at once.
	NotBefore time.Time
	// ID identifies the message for idempotency; empty: Put draws one.
	ID string

	// Set on delivery, ignored by Put.
	CreatedAt time.Time
	Attempt   int // 1 on the first delivery
}

// Errors that callers branch on.
var (
	// ErrMessage reports a message that breaks a bound.
	ErrMessage = errors.New("outbox: bad message")
	// ErrDuplicate reports an ID that an undelivered message already has.
	ErrDuplicate = errors.New("outbox: message exists")
	// ErrNotDead reports an operator's action on a message that is not a dead letter.
	ErrNotDead = errors.New("outbox: not a dead letter")
	// ErrPermanent, wrapped in a handler's error, makes the message a dead letter at once.
	ErrPermanent = errors.New("outbox: permanent failure")
)

func (m Message) check() error {
	switch {
	case m.Topic == "" || len(m.Topic) > maxTopic:
		return fmt.Errorf("%w: topic of %d bytes", ErrMessage, len(m.Topic))
	case len(m.Key) > maxKey:
		return fmt.Errorf("%w: key of %d bytes", ErrMessage, len(m.Key))
	case len(m.Payload) > MaxPayload:
		return fmt.Errorf("%w: payload of %d bytes", ErrMessage, len(m.Payload))
	case len(m.ID) > maxID:
		return fmt.Errorf("%w: id of %d bytes", ErrMessage, len(m.ID))
	}
	return nil
}

// Put adds a message to the caller's transaction. Messages with a key wait for
// other transactions that put messages with the same topic and key, so that
// their order is the order of the commits. It returns ErrMessage or ErrDuplicate.
func Put(tx *db.Tx, m Message) error {
	if err := m.check(); err != nil {
		return err
	}
	now := tx.Now()
	if m.ID == "" {
		m.ID = identity.NewID("msg", now)
	}
	due := now
	if m.NotBefore.After(now) {
		due = m.NotBefore
	}
	var seq int64
	if m.Key != "" {
		err := tx.QueryRow(`INSERT INTO outbox_key (topic, key, last, used_at) VALUES ($1, $2, 1, $3)
			ON CONFLICT (topic, key) DO UPDATE SET last = outbox_key.last + 1, used_at = excluded.used_at
			RETURNING last`, m.Topic, m.Key, db.Micros(now)).Scan(&seq)
		if err != nil {
			return fmt.Errorf("place message: %w", err)
		}
	}
	if m.Payload == nil {
		m.Payload = []byte{}
	}
	n, err := tx.Exec(`INSERT INTO outbox_message
		(id, topic, key, seq, payload, created_at, due_at, attempts, claim, last_error, dead_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, 0, '', '', 0) ON CONFLICT (id) DO NOTHING`,
		m.ID, m.Topic, m.Key, seq, m.Payload, db.Micros(now), db.Micros(due))
	if err != nil {
		return fmt.Errorf("put message: %w", err)
	}
	if n != 1 {
		return ErrDuplicate
	}
	return nil
}

// Once reports whether this is the first time that a consumer sees a message
// ID, and records it in the consumer's own transaction: effect and record are
// committed together or not at all. A handler that gets false returns nil.
func Once(tx *db.Tx, consumer, id string) (first bool, err error) {
	if consumer == "" || id == "" {
		return false, fmt.Errorf("%w: Once needs a consumer and an id", ErrMessage)
	}
	n, err := tx.Exec(`INSERT INTO outbox_seen (consumer, id, at) VALUES ($1, $2, $3)
		ON CONFLICT (consumer, id) DO NOTHING`, consumer, id, db.Micros(tx.Now()))
	if err != nil {
		return false, fmt.Errorf("record message as seen: %w", err)
	}
	return n == 1, nil
}
