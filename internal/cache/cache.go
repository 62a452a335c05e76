package cache

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Bounds that every implementation enforces, so that what fits one fits all.
const (
	// MaxKey is the largest key or topic, in bytes.
	MaxKey = 512
	// MaxValue is the largest value or message, in bytes.
	MaxValue = 256 << 10
	// MinTTL is the shortest time to live; shorter ones are refused because
	// Redis counts in milliseconds.
	MinTTL = time.Millisecond
	// MaxTTL is the longest time to live. What must live longer belongs in SQL.
	MaxTTL = 7 * 24 * time.Hour
)

// Errors of every implementation.
var (
	// ErrKey reports an empty key or topic, or one longer than [MaxKey].
	ErrKey = errors.New("cache: key is empty or too long")
	// ErrValue reports a value longer than [MaxValue], or an empty message.
	ErrValue = errors.New("cache: value is too large or message is empty")
	// ErrTTL reports a time to live outside [MinTTL, MaxTTL].
	ErrTTL = errors.New("cache: time to live out of bounds")
	// ErrUnavailable reports that the backend could not be asked or did not
	// answer in time. The operation may or may not have taken effect.
	ErrUnavailable = errors.New("cache: backend unavailable")
	// ErrClosed reports use after Close.
	ErrClosed = errors.New("cache: closed")
)

// Cache is shared short-lived state. All methods are safe for concurrent use.
// Keys are arbitrary bytes; values, counters and rate cells ([Taker]) are three
// separate name spaces. Every method returns [ErrKey], [ErrValue] or [ErrTTL]
// on arguments out of bounds before doing anything, ctx.Err() when ctx is
// already done, and an error matching [ErrUnavailable] when the backend fails;
// in that case it is unknown whether the operation took effect. Slices passed
// in are not kept, slices handed out belong to the caller.
//
// Any entry may be forgotten at any time. An implementation MUST never answer
// with the value of another key or of an expired entry: forgetting is a miss.
type Cache interface {
	// SetNX stores val under key for ttl if key has no live entry, and reports
	// whether it did. Among concurrent callers at most one is told true for one
	// lifetime of the entry. After the entry is forgotten another caller may be
	// told true, so true is never proof of first use.
	SetNX(ctx context.Context, key string, val []byte, ttl time.Duration) (bool, error)
	// Get returns the live value of key, or ok=false. An empty value is found
	// with length 0; it differs from a miss by ok only.
	Get(ctx context.Context, key string) (val []byte, ok bool, err error)
	// GetDel returns the live value of key and removes it in one step. Among
	// concurrent callers at most one gets the value of one Set or SetNX.
	GetDel(ctx context.Context, key string) (val []byte, ok bool, err error)
	// Set stores val under key for ttl, replacing value and lifetime.
	Set(ctx context.Context, key string, val []byte, ttl time.Duration) error
	// Del removes the value and the counter of key. A missing key is no error.
	Del(ctx context.Context, key string) error
	// Incr adds one to the counter of key and returns the new count. The first
	// Incr (or the first after it was forgotten) starts at 1 and fixes the end
	// of the counter's life ttl from then; later ones do not move that end.
	Incr(ctx context.Context, key string, ttl time.Duration) (int64, error)
	// Publish hands msg, which must not be empty, to the present subscribers of
	// topic on every node. Delivery is at most once and in any order; a message
	// may be lost without an error. It may hasten what a reader would find in
	// SQL anyway, and nothing more.
	Publish(ctx context.Context, topic string, msg []byte) error
	// Subscribe starts delivery of the messages of topic; it returns once the
	// backend has confirmed. An EMPTY message means that messages may have been
	// lost (slow reader, reconnection): the reader must look in SQL. The channel
	// is closed when ctx is done or the cache is closed.
	Subscribe(ctx context.Context, topic string) (<-chan []byte, error)
}

// CheckKey returns [ErrKey] unless key is within bounds.
func CheckKey(key string) error {
	if key == "" || len(key) > MaxKey {
		return fmt.Errorf("%w: %d bytes", ErrKey, len(key))
	}
	return nil
}

// CheckEntry checks key, value and time to live, in this order.
func CheckEntry(key string, val []byte, ttl time.Duration) error {
	if err := CheckKey(key); err != nil {
		return err
	}
	if len(val) > MaxValue {
		return fmt.Errorf("%w: %d bytes", ErrValue, len(val))
	}
	return CheckTTL(ttl)
}

// CheckTTL returns [ErrTTL] unless ttl is within bounds.
func CheckTTL(ttl time.Duration) error {
	if ttl < MinTTL || ttl > MaxTTL {
		return fmt.Errorf("%w: %v", ErrTTL, ttl)
	}
	return nil
}

// CheckMessage checks a topic and a message.
func CheckMessage(topic string, msg []byte) error {
	if err := CheckKey(topic); err != nil {
		return err
	}
	if len(msg) == 0 || len(msg) > MaxValue {
		return fmt.Errorf("%w: message of %d bytes", ErrValue, len(msg))
	}
	return nil
}
