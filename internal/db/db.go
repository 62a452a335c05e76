package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"
)

// Config configures [Open]. Only URL is required.
type Config struct {
	// URL is sqlite:PATH (the file is created if absent, its folder is not) or
	// postgres://…. A password in it never reaches an error or a log line.
	URL string
	// MaxReaders bounds the read pool. Default 4 times the processors, at least 4.
	MaxReaders int
	// Writers is the number of concurrent group-commit writers on PostgreSQL.
	// Default 4. SQLite always has one.
	Writers int
	// MaxBatch bounds the closures of one commit. Default 128 on SQLite and 60 on
	// PostgreSQL, which caches 64 subtransactions of a transaction.
	MaxBatch int
	// StatementTimeout bounds one statement; default 10 s.
	StatementTimeout time.Duration
	// ClosureTimeout bounds one closure with all its statements; default 15 s.
	ClosureTimeout time.Duration
	// QueueTimeout bounds the wait for a writer; default 20 s. After it: ErrBusy.
	QueueTimeout time.Duration
	// RetryFor bounds how long a write is retried after lock and connection
	// failures; default 15 s. After it: ErrUnavailable.
	RetryFor time.Duration
	// ResolveTimeout bounds the search for the outcome of a commit whose
	// connection was lost; default 30 s. After it: ErrOutcomeUnknown.
	ResolveTimeout time.Duration
	// Logger receives what operators must know; default: discard.
	Logger *slog.Logger
	// Now stamps leases and bookkeeping rows; default time.Now.
	Now func() time.Time
}

func (c *Config) setDefaults(e Engine) {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.StatementTimeout, 10*time.Second)
	def(&c.ClosureTimeout, 15*time.Second)
	def(&c.QueueTimeout, 20*time.Second)
	def(&c.RetryFor, 15*time.Second)
	def(&c.ResolveTimeout, 30*time.Second)
	if c.MaxReaders <= 0 {
		c.MaxReaders = max(4, 4*runtime.GOMAXPROCS(0))
	}
	if c.Writers <= 0 {
		c.Writers = 4
	}
	if e == SQLite {
		c.Writers = 1
	}
	if c.MaxBatch <= 0 {
		c.MaxBatch = 128
		if e == Postgres {
			c.MaxBatch = 60
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
}

// DB is an open database. It is safe for concurrent use.
type DB struct {
	cfg     Config
	target  target
	readers *sql.DB
	writers *sql.DB
	closers []func()

	queue   chan *request
	wg      sync.WaitGroup // writer goroutines
	pending sync.WaitGroup // calls of Write

	mu     sync.RWMutex // guards closed and the first use of pending
	closed bool

	breakOnce sync.Once
	broken    chan struct{}
	cause     error // set before broken is closed

	stats stats
}

// Open connects and checks the connection and the engine's durability
// settings. It does not migrate: see [DB.Migrate].
func Open(ctx context.Context, c Config) (*DB, error) {
	t, err := parseURL(c.URL)
	if err != nil {
		return nil, err
	}
	c.setDefaults(t.engine)
	d := &DB{cfg: c, target: t, queue: make(chan *request, c.MaxBatch*(c.Writers+1)), broken: make(chan struct{})}
	switch t.engine {
	case SQLite:
		err = d.openSQLite(ctx)
	default:
		err = d.openPostgres(ctx)
	}
	if err != nil {
		d.closePools()
		return nil, fmt.Errorf("db: open %s: %w", t.engine, err)
	}
	for range c.Writers {
		w := &writer{d: d, held: nil}
		d.wg.Go(w.run)
	}
	return d, nil
}

// Engine says which database this is.
func (d *DB) Engine() Engine { return d.target.engine }

// Now returns the configured time.
func (d *DB) Now() time.Time { return d.cfg.Now() }

// Broken is closed once stable storage has failed. Every later Write returns
// ErrStopped. The process must then stop and be started afresh: after a failed
// fsync the operating system's cache no longer tells what is on the disk.
func (d *DB) Broken() <-chan struct{} { return d.broken }

// Err returns why Broken is closed, or nil.
func (d *DB) Err() error {
	select {
	case <-d.broken:
		return d.cause
	default:
		return nil
	}
}

func (d *DB) markBroken(err error) {
	d.breakOnce.Do(func() {
		d.cause = fmt.Errorf("%w: %w", ErrStopped, err)
		d.cfg.Logger.Error("stable storage failed; writes stop", "engine", d.Engine().String(), "error", err)
		close(d.broken)
	})
}

// Close refuses new calls, lets queued writes finish, and closes the pools. It
// is safe to call twice. After a storage failure it leaves the SQLite
// connections open, because closing the last one would write a checkpoint.
func (d *DB) Close() error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	d.mu.Unlock()
	d.pending.Wait()
	close(d.queue)
	d.wg.Wait()
	if d.Err() != nil && d.Engine() == SQLite {
		return nil
	}
	return d.closePools()
}

func (d *DB) closePools() error {
	var errs []error
	for _, p := range []*sql.DB{d.writers, d.readers} {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	for _, c := range d.closers {
		c()
	}
	return errors.Join(errs...)
}

// enter registers a call of Write, so that Close waits for it.
func (d *DB) enter() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return ErrClosed
	}
	if err := d.Err(); err != nil {
		return err
	}
	d.pending.Add(1)
	return nil
}
