package audit

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
)

// LeaseName names the lease of the one sequencer that leads.
const LeaseName = "audit.sequencer"

// Errors of the sequencer.
var (
	// ErrNotLeader reports that another sequencer leads, or took over
	// meanwhile. Nothing was written by this one.
	ErrNotLeader = errors.New("audit: another sequencer leads")
	// ErrOrigin reports a log in the database of another origin than the one configured.
	ErrOrigin = errors.New("audit: the current log has another origin")
	// ErrKey reports a signing key that is not the current log's. A new key
	// needs a new origin: see [Reopen].
	ErrKey = errors.New("audit: the signing key is not the key of the current log")
)

// SequencerConfig configures [NewSequencer]. Log, Signer and Origin are required.
type SequencerConfig struct {
	Log *Log
	// Signer signs checkpoints; its public key MUST be Ed25519.
	Signer crypto.Signer
	// Origin names the log: the address of its prefix without the scheme, for
	// instance "suti.example/log" (C2SP tlog-tiles, "Parameters").
	Origin string
	// HighWater is the path of this node's high-water file, outside the
	// database and not part of its backups. Empty: a restored older database
	// goes unnoticed by this node.
	HighWater string
	// Lease is how long a leader that stopped keeps others waiting; default 10 s.
	Lease time.Duration
	// Batch bounds the entries placed by one Step; default 1024.
	Batch int
	// Interval is the time between Steps of Run; default 1 s.
	Interval time.Duration
	// Logger receives what Run has to report; default: discard.
	Logger *slog.Logger

	tick <-chan time.Time // replaces the ticker of Run in tests
}

func (c *SequencerConfig) setDefaults() error {
	if c.Log == nil || c.Signer == nil {
		return errors.New("audit: SequencerConfig needs Log and Signer")
	}
	if err := logverify.CheckOrigin(c.Origin); err != nil {
		return err
	}
	if c.Lease <= 0 {
		c.Lease = 10 * time.Second
	}
	if c.Batch <= 0 {
		c.Batch = 1024
	}
	if c.Interval <= 0 {
		c.Interval = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Sequencer gives entries their places and signs checkpoints. Any number may
// run on the same database; one at a time leads. It is safe for concurrent use.
type Sequencer struct {
	cfg    SequencerConfig
	db     *db.DB
	vkey   string
	holder string // unique to this value, so that a restart is another holder

	mu    sync.Mutex // guards the fields below; held for a whole Step
	lease db.Lease
	mark  *highWater
}

// NewSequencer opens the log of c.Origin, which it creates if the database has
// none. Errors: [ErrOrigin], [ErrKey], [ErrHighWater], a *[RollbackError], [ErrCorrupt].
func NewSequencer(ctx context.Context, c SequencerConfig) (*Sequencer, error) {
	s, err := newSequencer(c)
	if err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// newSequencer checks the configuration and reads the high-water file.
func newSequencer(c SequencerConfig) (*Sequencer, error) {
	if err := c.setDefaults(); err != nil {
		return nil, err
	}
	s := &Sequencer{cfg: c, db: c.Log.db, holder: "sequencer-" + rand.Text()}
	err := s.rename(c.Origin)
	if err != nil {
		return nil, err
	}
	if c.HighWater != "" {
		if s.mark, err = readHighWater(c.HighWater); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// rename makes it the sequencer of an origin.
func (s *Sequencer) rename(origin string) error {
	pub, ok := s.cfg.Signer.Public().(ed25519.PublicKey)
	if !ok {
		return fmt.Errorf("%w: it is %T, want Ed25519", ErrKey, s.cfg.Signer.Public())
	}
	vkey, err := logverify.VerifierKey(origin, pub)
	if err != nil {
		return err
	}
	s.cfg.Origin, s.vkey = origin, vkey
	return nil
}

// open creates the first log if there is none, and checks the current one.
func (s *Sequencer) open(ctx context.Context) error {
	var h head
	load := func() error {
		return s.db.Read(ctx, func(tx *db.Tx) (err error) {
			if h, err = currentHead(tx); err != nil {
				return err
			}
			return s.check(tx, h)
		})
	}
	err := load()
	if !errors.Is(err, errNoLog) {
		return err
	}
	if s.mark != nil {
		return &RollbackError{Published: s.mark.cp}
	}
	root := logverify.EmptyRoot()
	now := db.Micros(s.cfg.Log.now())
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO audit_log (number, origin, vkey, size, root, signed, at)
			VALUES (1, $1, $2, 0, $3, -1, $4) ON CONFLICT DO NOTHING`, s.cfg.Origin, s.vkey, root[:], now)
		return err
	})
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	return load()
}

// check refuses a current log that is not this sequencer's, or that lacks what was signed.
func (s *Sequencer) check(q db.Querier, h head) error {
	if err := checkHighWater(q, h, s.mark); err != nil {
		return err
	}
	if h.Origin != s.cfg.Origin {
		return fmt.Errorf("%w: %q, configured is %q", ErrOrigin, h.Origin, s.cfg.Origin)
	}
	if h.VKey != s.vkey {
		return fmt.Errorf("%w: log %q", ErrKey, h.Origin)
	}
	return nil
}

// VerifierKey returns the log's public key in the form of C2SP signed-note.
func (s *Sequencer) VerifierKey() string { return s.vkey }

// Step takes or keeps the lead, gives up to Batch committed entries their
// places, and signs the tree's head if no checkpoint covers it. It returns how
// many entries it placed, also beside an error. It is idempotent: whatever an
// earlier Step left half done, the next one finishes.
//
// [ErrNotLeader] means that there was nothing to do here. [ErrRolledBack],
// [ErrHighWater], [ErrOrigin], [ErrKey] and [ErrCorrupt] need an operator.
func (s *Sequencer) Step(ctx context.Context) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.lead(ctx); err != nil {
		return 0, err
	}
	defer func() {
		if errors.Is(err, db.ErrFenced) {
			s.lease = db.Lease{}
			err = fmt.Errorf("%w: %w", ErrNotLeader, err)
		}
	}()
	b, err := s.read(ctx)
	if err != nil {
		return 0, err
	}
	if len(b.rows) > 0 {
		before := b.head.Tree.Size
		err := s.place(ctx, b)
		if n = int(b.head.Tree.Size - before); err != nil {
			return n, err
		}
	}
	if b.head.Signed < b.head.Tree.Size {
		if err := s.sign(ctx, b.head); err != nil {
			return n, err
		}
	}
	return n, nil
}

// lead makes sure of the lease for at least half its time. The writes check
// its fence besides, so that the time need not be right.
func (s *Sequencer) lead(ctx context.Context) error {
	if s.lease.Until.Sub(s.db.Now()) > s.cfg.Lease/2 {
		return nil
	}
	lease, ok, err := s.db.AcquireLease(ctx, LeaseName, s.holder, s.cfg.Lease)
	if err != nil {
		return fmt.Errorf("sequencer lease: %w", err)
	}
	if !ok {
		s.lease = db.Lease{}
		return ErrNotLeader
	}
	s.lease = lease
	return nil
}

// batch is what one Step works on.
type batch struct {
	head head
	tree *logverify.Builder
	rows []leafRow
}

// read takes a snapshot: the head, checked, its edge, and what is pending.
func (s *Sequencer) read(ctx context.Context) (*batch, error) {
	var b *batch
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		b = &batch{}
		if b.head, err = currentHead(tx); errors.Is(err, errNoLog) && s.mark != nil {
			return &RollbackError{Published: s.mark.cp}
		} else if err != nil {
			return err
		}
		if err := s.check(tx, b.head); err != nil {
			return err
		}
		if b.tree, err = loadBuilder(tx, b.head); err != nil {
			return err
		}
		b.rows, err = pending(tx, s.cfg.Batch)
		return err
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// pending returns the entries without a place, by time. The order is a
// courtesy to readers; what counts is that a late commit is found whenever it
// appears.
func pending(q db.Querier, limit int) ([]leafRow, error) {
	rows, err := queryLeaves(q, `SELECT `+leafColumns+` FROM audit_entry WHERE leaf_index IS NULL ORDER BY at, id LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("pending entries: %w", err)
	}
	return rows, nil
}

// place computes the tree with the batch's leaves and commits it, on
// condition that this sequencer still leads and the head is as it was read.
func (s *Sequencer) place(ctx context.Context, b *batch) error {
	old := b.head
	var tiles []storedTile
	b.tree.Emit = func(t logverify.Tile, hs []logverify.Hash) error {
		tiles = append(tiles, storedTile{t, logverify.TileData(hs)})
		return nil
	}
	for _, r := range b.rows {
		if err := b.tree.Append(logverify.LeafHash(r.leaf)); err != nil {
			return err
		}
	}
	edge, hashes := b.tree.Edge()
	for i, t := range edge {
		if logverify.WidthAt(t.Level, t.N, old.Tree.Size) < t.Width {
			tiles = append(tiles, storedTile{t, logverify.TileData(hashes[i])})
		}
	}
	next := b.tree.Tree()
	if err := failpoint.Hit(failpoint.AuditSequenceBeforeCommit); err != nil {
		return err
	}
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		if err := db.CheckFence(tx, LeaseName, s.lease.Fence); err != nil {
			return err
		}
		return commitTree(tx, old, next, b.rows, tiles)
	})
	if err != nil {
		return fmt.Errorf("sequence: %w", err)
	}
	b.head.Tree = next
	return failpoint.Hit(failpoint.AuditSequenceAfterCommit)
}

// Run calls Step at each interval, and again at once while batches are full,
// until ctx ends or an error needs an operator; it returns that error, or nil.
// It gives up the lead on return.
func (s *Sequencer) Run(ctx context.Context) error {
	tick := s.cfg.tick
	if tick == nil {
		t := time.NewTicker(s.cfg.Interval)
		defer t.Stop()
		tick = t.C
	}
	defer s.Resign(ctx)
	for {
		n, err := s.Step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case fatal(err):
			return err
		case err != nil && !errors.Is(err, ErrNotLeader):
			s.cfg.Logger.ErrorContext(ctx, "audit sequencing failed; will retry", "error", err)
		case err == nil && n == s.cfg.Batch:
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick:
		}
	}
}

// fatal reports whether trying again cannot help.
func fatal(err error) bool {
	for _, f := range []error{ErrRolledBack, ErrHighWater, ErrOrigin, ErrKey, ErrCorrupt, db.ErrStopped, db.ErrClosed} {
		if errors.Is(err, f) {
			return true
		}
	}
	return false
}

// releaseTimeout bounds the farewell of a sequencer that stops.
const releaseTimeout = 2 * time.Second

// Resign gives up the lead, so that another need not wait for the lease to end.
// [Sequencer.Run] does it on return.
func (s *Sequencer) Resign(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.release(ctx)
}

func (s *Sequencer) release(ctx context.Context) {
	if s.lease.Fence == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	if err := s.db.ReleaseLease(ctx, s.lease); err != nil {
		s.cfg.Logger.WarnContext(ctx, "audit lease not released; it will expire", "error", err)
	}
	s.lease = db.Lease{}
}
