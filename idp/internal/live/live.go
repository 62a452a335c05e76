// Package live keeps answers of the database for as long as nothing has ended
// what they tell of (D23). A node follows the feeds of changes, its own of
// package store and that of package subject; what it keeps counts only while it
// has read both within the last [MaxStale], and while neither names a thing that
// the answer depends on. In every other case the database is asked.
//
// Nothing is decided here that a write depends on: a statement that spends or
// stores something has its own condition. Only idp's packages may import it.
package live

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/subject"
)

// Bounds.
const (
	// MaxStale is how old the last reading of the feeds may be (D23).
	MaxStale = 500 * time.Millisecond
	// every is the time between two readings.
	every = 200 * time.Millisecond
	// maxLife bounds how long an answer is kept; marks of changes are kept twice as long.
	maxLife = time.Minute
	// maxMarks bounds the marks; above it everything kept is let go.
	maxMarks = 100_000
	// page is how many changes are read at a time.
	page = 1000
)

// Config configures New. DB is required; Now is time.Now if nil.
type Config struct {
	DB     *db.DB
	Now    func() time.Time
	Logger *slog.Logger
}

// Follower follows the feeds. It is safe for concurrent use.
type Follower struct {
	cfg Config

	step sync.Mutex // held by the one reading that goes on

	mu     sync.Mutex // guards what follows
	own    int64      // the last change of ours that was read
	people subject.Seq
	readAt time.Time // when the last whole reading began; zero if there is none
	tick   int64     // counts readings
	floor  int64     // what was kept in an earlier reading counts no more
	marks  map[string]mark
}

// mark says in which reading a thing was last found changed.
type mark struct {
	tick int64
	at   time.Time
}

// New returns a follower that has read nothing yet: every answer is asked for.
func New(c Config) *Follower {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Follower{cfg: c, marks: map[string]mark{}}
}

// Run reads the feeds until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	t := time.NewTicker(every)
	defer t.Stop()
	for failing := false; ; {
		err := f.Step(ctx)
		if err != nil && ctx.Err() == nil && !failing {
			f.cfg.Logger.WarnContext(ctx, "change feed unread; every answer asks the database", "error", err.Error())
		}
		failing = err != nil
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// Step reads both feeds to their ends.
func (f *Follower) Step(ctx context.Context) error {
	f.step.Lock()
	defer f.step.Unlock()
	f.mu.Lock()
	began, own, people, first := f.cfg.Now(), f.own, f.people, f.readAt.IsZero()
	f.mu.Unlock()
	var changed []string
	lost := first
	var err error
	if first {
		own, people, err = f.heads(ctx)
	} else {
		changed, own, people, lost, err = f.read(ctx, own, people)
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tick++
	f.own, f.people, f.readAt = own, people, began
	for _, name := range changed {
		f.marks[name] = mark{f.tick, began}
	}
	for name, m := range f.marks {
		if began.Sub(m.at) > 2*maxLife {
			delete(f.marks, name)
		}
	}
	if lost || len(f.marks) > maxMarks {
		f.floor = f.tick
		clear(f.marks)
	}
	return nil
}

// Write is [db.DB.Write] for what ends things: the node's own callers see the
// effect once it returns, whatever the result, since the outcome may be unknown.
// Where the feeds cannot be read, the database is asked from then on.
func (f *Follower) Write(ctx context.Context, fn func(*db.Tx) error) error {
	err := f.cfg.DB.Write(ctx, fn)
	f.mu.Lock()
	following := !f.readAt.IsZero()
	f.mu.Unlock()
	if !following || f.Step(context.WithoutCancel(ctx)) == nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readAt = time.Time{}
	return err
}

func (f *Follower) heads(ctx context.Context) (own int64, people subject.Seq, err error) {
	people, err1 := subject.Head(ctx, f.cfg.DB)
	own, err2 := store.ChangeHead(ctx, f.cfg.DB)
	return own, people, errors.Join(err1, err2)
}

// read returns the names of what changed. lost says that changes may be missing,
// because they were removed before they were read.
func (f *Follower) read(ctx context.Context, own int64, people subject.Seq) (changed []string, _ int64, _ subject.Seq, lost bool, err error) {
	for {
		list, err := subject.Since(ctx, f.cfg.DB, people, page)
		if err != nil {
			return nil, 0, 0, false, err
		}
		for _, c := range list {
			changed, people = append(changed, Person(string(c.Who.Person))), c.Seq
		}
		if len(list) < page {
			break
		}
	}
	for {
		list, err := store.Changes(ctx, f.cfg.DB, own, page)
		if err != nil {
			return nil, 0, 0, false, err
		}
		for _, c := range list {
			lost = lost || c.Seq != own+1
			changed, own = append(changed, c.Kind+":"+c.Key), c.Seq
		}
		if len(list) < page {
			return changed, own, people, lost, nil
		}
	}
}

// Names of what an answer may depend on; those of the provider's own tables are
// as its triggers write them.
func Client(id string) string   { return "client:" + id }
func Session(id string) string  { return "session:" + id }
func SID(id string) string      { return "sid:" + id }
func Grant(id string) string    { return "grant:" + id }
func Access(hash string) string { return "access:" + hash } // hexadecimal
func Person(id string) string   { return "person:" + id }

// now returns the reading to which an answer read from now on belongs.
func (f *Follower) now() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tick
}

// stands reports whether an answer of a reading still counts.
func (f *Follower) stands(tick int64, needs []string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	age := f.cfg.Now().Sub(f.readAt)
	if f.readAt.IsZero() || age < 0 || age > MaxStale || tick < f.floor {
		return false
	}
	for _, name := range needs {
		if m, ok := f.marks[name]; ok && m.tick > tick {
			return false
		}
	}
	return true
}
