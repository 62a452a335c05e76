package audit

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migrations creates the tables of this package.
var Migrations = db.Line{Name: "audit", FS: migrations}

// SystemOwner is the owner of the data key for entries about no person, and
// for the cursors that readers are given.
const SystemOwner = "system:audit"

// DataKeys hands out the keys that seal the content of entries.
type DataKeys interface {
	// DataKey returns the key of owner: a person's id, or [SystemOwner]. It
	// creates one on first use, durable before it returns. Once the owner was
	// erased it MUST return an error that wraps Config.Erased, for ever.
	DataKey(ctx context.Context, owner string) (envelope.Key, error)
}

// Config configures [New]. DB, Keys and Erased are required.
type Config struct {
	DB   *db.DB
	Keys DataKeys
	// Erased is the error that Keys wraps for an owner whose key was destroyed.
	Erased error
	// Now stamps entries; default time.Now.
	Now func() time.Time
	// MaxAge bounds the time between Prepare and Append; default 10 minutes.
	// It keeps an entry from being written long after the time it tells.
	MaxAge time.Duration
}

// Log writes and reads audit entries and serves the transparency log. It is
// safe for concurrent use. It never signs: see [Sequencer].
type Log struct {
	db     *db.DB
	keys   DataKeys
	erased error
	now    func() time.Time
	maxAge time.Duration
}

// New returns a Log on a database that [Migrations] was applied to.
func New(c Config) (*Log, error) {
	if c.DB == nil || c.Keys == nil || c.Erased == nil {
		return nil, errors.New("audit: Config needs DB, Keys and Erased")
	}
	l := &Log{db: c.DB, keys: c.Keys, erased: c.Erased, now: c.Now, maxAge: c.MaxAge}
	if l.now == nil {
		l.now = time.Now
	}
	if l.maxAge == 0 {
		l.maxAge = 10 * time.Minute
	}
	if l.maxAge < 0 {
		return nil, fmt.Errorf("audit: MaxAge %s is negative", l.maxAge)
	}
	return l, nil
}

// Errors of entries.
var (
	// ErrEntry reports an entry that breaks the rules of [Entry].
	ErrEntry = errors.New("audit: malformed entry")
	// ErrErased reports content, or a person, that was erased.
	ErrErased = errors.New("audit: content is erased")
	// ErrAppended reports a Prepared whose entry is in the database already:
	// the write that it belongs to has committed. Nothing else may be done with it.
	ErrAppended = errors.New("audit: this entry was appended before")
	// ErrStale reports a Prepared that is older than Config.MaxAge.
	ErrStale = errors.New("audit: prepared too long ago")
	// ErrIntent reports an outcome for an intent that does not exist or was never opened as one.
	ErrIntent = errors.New("audit: no such intent")
	// ErrIntentClosed reports an outcome for an intent that has one.
	ErrIntentClosed = errors.New("audit: the intent has an outcome")
	// ErrUnknown reports an entry that does not exist.
	ErrUnknown = errors.New("audit: no such entry")
	// ErrPending reports an entry that no published checkpoint covers yet.
	ErrPending = errors.New("audit: not yet in a published checkpoint")
	// ErrCursor reports a cursor that this log did not give out for this question.
	ErrCursor = errors.New("audit: bad cursor")
	// ErrCorrupt reports stored rows that cannot be what was written.
	ErrCorrupt = errors.New("audit: stored data is corrupt")
)

// dataKey maps the key store's erasure to [ErrErased].
func (l *Log) dataKey(ctx context.Context, owner string) (envelope.Key, error) {
	k, err := l.keys.DataKey(ctx, owner)
	if errors.Is(err, l.erased) {
		return envelope.Key{}, fmt.Errorf("%w: %w", ErrErased, err)
	}
	if err != nil {
		return envelope.Key{}, fmt.Errorf("audit data key: %w", err)
	}
	return k, nil
}

// corrupt returns an [ErrCorrupt] that says what was found.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrCorrupt}, args...)...)
}
