package audit

import (
	"context"
	"errors"
	"fmt"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
)

// ErrNothingPublished reports a log that needs no reopening, because none of
// its checkpoints was ever published.
var ErrNothingPublished = errors.New("audit: nothing was published yet; open the log instead of reopening it")

// KindReopen is the kind of the entry that begins a continued log.
const KindReopen = "audit.reopen"

// Reopen continues the record under a new origin, after an older database was
// restored, or because the signing key changes: a log that published more than
// the database holds must never be signed again. c.Origin and c.Signer are
// the new log's. Its first leaf names, in clear, the last checkpoint that is
// known to have been published: lastPublished if given (a signed note, as kept
// by a witness or an auditor), else this node's high-water mark or the
// database's latest, whichever is larger. On a system of several nodes all
// others MUST be stopped, and the node with the highest mark used.
//
// Entries keep the places that they have in the older log, and its proofs stay
// valid; what has none gets one in the new log. Errors: [ErrNotLeader],
// [ErrOrigin] if the origin was used before, [ErrNothingPublished], those of
// [NewSequencer].
func Reopen(ctx context.Context, c SequencerConfig, lastPublished []byte) (*Sequencer, error) {
	return reopen(ctx, c, ContinueOptions{LastPublished: lastPublished}, func(logs []head, last *highWater) (int64, string, error) {
		if last.cp.Origin == c.Origin {
			return 0, "", fmt.Errorf("%w: %q is the log to be continued", ErrOrigin, c.Origin)
		}
		var number int64 = 1
		for _, h := range logs {
			if h.Origin == c.Origin {
				return 0, "", fmt.Errorf("%w: %q was used before", ErrOrigin, c.Origin)
			}
			number = h.Number + 1
		}
		return number, c.Origin, nil
	})
}

// ContinueOptions say how and why a log is continued.
type ContinueOptions struct {
	// LastPublished is a signed checkpoint kept elsewhere, or nil; see [Reopen].
	LastPublished []byte
	// Actor and Reason are recorded with the entry that begins the new log, the
	// reason sealed.
	Actor, Reason string
}

// Continue is [Reopen] under the next origin of the line (see
// [logverify.BaseOrigin]); c.Origin is the first one's. The number is one that no
// log known to the database, the high-water file or LastPublished had.
func Continue(ctx context.Context, c SequencerConfig, o ContinueOptions) (*Sequencer, error) {
	return reopen(ctx, c, o, func(logs []head, last *highWater) (int64, string, error) {
		base, number := logverify.BaseOrigin(last.cp.Origin)
		if base != c.Origin {
			return 0, "", fmt.Errorf("%w: %q, configured is %q", ErrOrigin, last.cp.Origin, c.Origin)
		}
		for _, h := range logs {
			number = max(number, h.Number)
			if b, n := logverify.BaseOrigin(h.Origin); b == c.Origin {
				number = max(number, n)
			}
		}
		return number + 1, logverify.LineOrigin(c.Origin, number+1), nil
	})
}

// reopen begins the log that name chooses.
func reopen(ctx context.Context, c SequencerConfig, o ContinueOptions, name func([]head, *highWater) (int64, string, error)) (_ *Sequencer, err error) {
	s, err := newSequencer(c)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.lead(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.release(ctx)
		}
	}()
	logs, last, err := s.lastPublished(ctx, o.LastPublished)
	if err != nil {
		return nil, err
	}
	number, origin, err := name(logs, last)
	if err != nil {
		return nil, err
	}
	if err := s.rename(origin); err != nil {
		return nil, err
	}
	if err := s.begin(ctx, number, last, o); err != nil {
		return nil, err
	}
	// The old mark is satisfied by the continuation; the first Step replaces it.
	var current head
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if current, err = currentHead(tx); err != nil {
			return err
		}
		return s.check(tx, current)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// lastPublished returns the logs of the database and the last checkpoint known
// to have been published.
func (s *Sequencer) lastPublished(ctx context.Context, given []byte) ([]head, *highWater, error) {
	var logs []head
	var stored *highWater
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		stored = nil
		if logs, err = allHeads(tx); err != nil || len(logs) == 0 {
			return err
		}
		h := logs[len(logs)-1]
		if h.Signed < 0 {
			return nil
		}
		note, err := checkpointNote(tx, h.Number, h.Signed)
		if err != nil {
			return err
		}
		stored, err = markOf(note, h.VKey)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	last := later(logs, stored, s.mark)
	if given != nil {
		m, err := s.givenMark(logs, given)
		if err != nil {
			return nil, nil, err
		}
		last = later(logs, last, m)
	}
	if last == nil {
		return nil, nil, ErrNothingPublished
	}
	return logs, last, nil
}

// givenMark verifies a checkpoint with the key of the log that it names, as
// the database or the high-water file knows it, or as they know another log of
// its line: the restore may have forgotten this one.
func (s *Sequencer) givenMark(logs []head, given []byte) (*highWater, error) {
	vkeys := []string{}
	for _, h := range logs {
		vkeys = append(vkeys, h.VKey)
	}
	if s.mark != nil {
		vkeys = append(vkeys, s.mark.vkey)
	}
	for _, vkey := range vkeys {
		if m, err := markOf(given, logverify.LineKey(vkey, given)); err == nil {
			return m, nil
		}
	}
	return nil, fmt.Errorf("last published checkpoint: %w", logverify.ErrSignature)
}

func markOf(note []byte, vkey string) (*highWater, error) {
	cp, err := logverify.VerifyCheckpoint(note, vkey)
	if err != nil {
		return nil, err
	}
	return &highWater{vkey: vkey, note: note, cp: cp}, nil
}

// later returns the mark that was published later: of the same origin, the
// larger one; of two origins, the one that the database knows later or, not
// knowing it, must have forgotten by the restore.
func later(logs []head, a, b *highWater) *highWater {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.cp.Origin == b.cp.Origin:
		if b.cp.Size > a.cp.Size {
			return b
		}
		return a
	}
	rank := func(m *highWater) int {
		for i, h := range logs {
			if h.Origin == m.cp.Origin {
				return i
			}
		}
		return len(logs)
	}
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// begin writes the new log with its first leaf in one transaction.
func (s *Sequencer) begin(ctx context.Context, number int64, last *highWater, o ContinueOptions) error {
	c := logverify.Continuation{Origin: last.cp.Origin, Size: last.cp.Size, Root: last.cp.Root}
	e := Entry{Kind: KindReopen, Actor: o.Actor, Outcome: OutcomeOK, Object: last.cp.Origin, Leaf: []byte(c.Public())}
	if o.Reason != "" {
		e.Payload = map[string]string{"reason": o.Reason}
	}
	p, err := s.cfg.Log.Prepare(ctx, e)
	if err != nil {
		return err
	}
	leaf, err := p.row.leaf()
	if err != nil {
		return err
	}
	root := logverify.LeafHash(leaf) // the root over one leaf is its hash
	now := db.Micros(s.cfg.Log.now())
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		if err := db.CheckFence(tx, LeaseName, s.lease.Fence); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO audit_log (number, origin, vkey, size, root, signed, previous, at)
			VALUES ($1, $2, $3, 1, $4, -1, $5, $6)`, number, s.cfg.Origin, s.vkey, root[:], last.note, now)
		if err != nil {
			return err
		}
		if _, err := s.cfg.Log.Append(tx, p); err != nil {
			return err
		}
		if n, err := tx.Exec(placeSQL(1), number, p.ID(), 0); err != nil || n != 1 {
			return errors.Join(err, fmt.Errorf("place of the first leaf: %d rows", n))
		}
		_, err = tx.Exec(`INSERT INTO audit_tile (log_number, level, n, width, data) VALUES ($1, 0, 0, 1, $2)`, number, root[:])
		return err
	})
	if errors.Is(err, db.ErrFenced) {
		return fmt.Errorf("%w: %w", ErrNotLeader, err)
	}
	if err != nil {
		return fmt.Errorf("reopen log: %w", err)
	}
	return nil
}
