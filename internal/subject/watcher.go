package subject

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// MaxAge is how long ago the feed may have been read for a cached standing to
// count (design D23).
const MaxAge = 500 * time.Millisecond

// WatcherConfig configures [NewWatcher]. DB is required.
type WatcherConfig struct {
	DB *db.DB
	// MaxEntries bounds the people kept; default 100,000.
	MaxEntries int
	// Interval is the pause between reads of the feed in Run; default 150 ms.
	Interval time.Duration
	// OnChange, if set, is told of changes, in order, before a cached answer can
	// reflect them. It MUST return quickly. reset means that changes may have
	// been missed: forget everything.
	OnChange func(changes []Change, reset bool)
	Logger   *slog.Logger
	Now      func() time.Time
}

// Watcher keeps this node's view of people's standing. A cached answer is given
// only while the feed was read at most MaxAge ago; else one statement decides.
// So a change is effective on every node at most MaxAge after its commit, even
// if the feed cannot be read. It is safe for concurrent use.
type Watcher struct {
	cfg    WatcherConfig
	stepMu sync.Mutex // one Step at a time

	mu     sync.Mutex // guards the fields below
	seq    Seq        // the feed has been applied up to here; -1: never read
	readAt time.Time  // when the last complete read of the feed began
	known  map[identity.PersonID]Subject
}

// NewWatcher returns a watcher that answers from the database until the first Step.
func NewWatcher(c WatcherConfig) (*Watcher, error) {
	if c.DB == nil {
		return nil, errors.New("subject: watcher needs a DB")
	}
	if c.MaxEntries <= 0 {
		c.MaxEntries = 100_000
	}
	if c.Interval <= 0 {
		c.Interval = 150 * time.Millisecond
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Watcher{cfg: c, seq: -1, known: map[identity.PersonID]Subject{}}, nil
}

// Step reads the feed to its end and returns the number of changes.
func (w *Watcher) Step(ctx context.Context) (int, error) {
	w.stepMu.Lock()
	defer w.stepMu.Unlock()
	n := 0
	for {
		begun := w.cfg.Now()
		head, err := Head(ctx, w.cfg.DB)
		if err != nil {
			return n, err
		}
		w.mu.Lock()
		seq := w.seq
		w.mu.Unlock()
		switch {
		case seq < 0 || head < seq: // first read, or an older database was restored
			w.restart(head, begun, seq >= 0)
			return n, nil
		case head == seq:
			w.fresh(begun)
			return n, nil
		}
		changes, err := Since(ctx, w.cfg.DB, seq, maxPage)
		if err != nil {
			return n, err
		}
		if len(changes) == 0 || changes[0].Seq != seq+1 {
			return n, fmt.Errorf("subject: feed has a gap after %d", seq)
		}
		if w.cfg.OnChange != nil {
			w.cfg.OnChange(changes, false)
		}
		w.apply(changes)
		n += len(changes)
		if changes[len(changes)-1].Seq >= head {
			w.fresh(begun)
			return n, nil
		}
	}
}

func (w *Watcher) restart(head Seq, begun time.Time, missed bool) {
	if missed && w.cfg.OnChange != nil {
		w.cfg.OnChange(nil, true)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.known)
	w.seq, w.readAt = head, begun
}

func (w *Watcher) fresh(begun time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.readAt = begun
}

func (w *Watcher) apply(changes []Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range changes {
		if old, ok := w.known[c.Who.Person]; ok && c.Who.Epoch > old.Epoch {
			w.known[c.Who.Person] = c.Who
		}
	}
	w.seq = changes[len(changes)-1].Seq
}

// Run reads the feed until ctx ends. Errors are logged; meanwhile the database
// is asked for each answer.
func (w *Watcher) Run(ctx context.Context) {
	t := time.NewTicker(w.cfg.Interval)
	defer t.Stop()
	for {
		if _, err := w.Step(ctx); err != nil && ctx.Err() == nil {
			w.cfg.Logger.WarnContext(ctx, "subject feed not read", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// Fresh reports whether the feed was read recently enough for cached answers.
// Other caches that follow OnChange obey the same rule through it.
func (w *Watcher) Fresh() bool {
	now := w.cfg.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.freshLocked(now)
}

func (w *Watcher) freshLocked(now time.Time) bool {
	age := now.Sub(w.readAt)
	return w.seq >= 0 && age >= 0 && age <= MaxAge
}

// Current returns a person's standing: cached if the feed was read at most
// MaxAge ago, else by one statement. It returns ErrUnknown as [Current] does.
func (w *Watcher) Current(ctx context.Context, person identity.PersonID) (Subject, error) {
	now := w.cfg.Now()
	w.mu.Lock()
	s, ok := w.known[person]
	ok = ok && w.freshLocked(now)
	w.mu.Unlock()
	if ok {
		return s, nil
	}
	return w.load(ctx, person)
}

// Check returns ErrStale or ErrNotActive unless the person is Active at epoch.
func (w *Watcher) Check(ctx context.Context, person identity.PersonID, epoch Epoch) error {
	s, err := w.Current(ctx, person)
	switch {
	case err != nil:
		return err
	case s.State != Active:
		return fmt.Errorf("%w: %s", ErrNotActive, s.State)
	case s.Epoch != epoch:
		return ErrStale
	}
	return nil
}

// load reads a standing together with the place in the feed that it reflects,
// and keeps it only if the feed has not been applied beyond that place: a
// change in between would be missed for ever.
func (w *Watcher) load(ctx context.Context, person identity.PersonID) (Subject, error) {
	s := Subject{Person: person}
	var at Seq
	err := w.cfg.DB.QueryRow(ctx, `SELECT s.epoch, s.state, f.last FROM subject AS s, subject_feed AS f
		WHERE s.person = $1 AND f.id = 1`, person).Scan(&s.Epoch, &s.State, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return Subject{}, ErrUnknown
	}
	if err != nil {
		return Subject{}, fmt.Errorf("read subject: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seq < 0 || at < w.seq {
		return s, nil
	}
	if old, ok := w.known[person]; ok && old.Epoch > s.Epoch {
		return s, nil
	}
	if len(w.known) >= w.cfg.MaxEntries {
		for victim := range w.known {
			delete(w.known, victim)
			break
		}
	}
	w.known[person] = s
	return s, nil
}
