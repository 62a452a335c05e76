package audit

import (
	"context"
	"fmt"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
)

// sign makes and publishes the checkpoint of a head that is durable. Order:
// signature, high-water file, database row; what is in the row is published.
// A stop in between leaves a mark that the database's tree satisfies, and the
// next Step signs the same bytes again (Ed25519 is deterministic, RFC 8032).
func (s *Sequencer) sign(ctx context.Context, h head) error {
	cp := logverify.Checkpoint{Origin: h.Origin, Tree: h.Tree}
	note, err := logverify.SignCheckpoint(cp, s.cfg.Signer)
	if err != nil {
		return err
	}
	mark := &highWater{vkey: s.vkey, note: note, cp: cp}
	if s.cfg.HighWater != "" {
		if err := mark.write(s.cfg.HighWater); err != nil {
			return err
		}
	}
	s.mark = mark
	if err := failpoint.Hit(failpoint.AuditCheckpointBeforeSave); err != nil {
		return err
	}
	now := db.Micros(s.cfg.Log.now())
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		if err := db.CheckFence(tx, LeaseName, s.lease.Fence); err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE audit_log SET signed = size WHERE number = $1 AND size = $2 AND root = $3 AND signed < size`,
			h.Number, h.Tree.Size, h.Tree.Root[:])
		if err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("%w: the head of log %d moved", db.ErrFenced, h.Number)
		}
		_, err = tx.Exec(`INSERT INTO audit_checkpoint (log_number, size, note, at) VALUES ($1, $2, $3, $4)`,
			h.Number, h.Tree.Size, note, now)
		return err
	})
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	return failpoint.Hit(failpoint.AuditCheckpointAfterSave)
}

// Latest returns the current log's last published checkpoint, as signed note
// and parsed, or [ErrPending] before the first.
func (l *Log) Latest(ctx context.Context) (note []byte, cp logverify.Checkpoint, err error) {
	var h head
	err = l.db.Read(ctx, func(tx *db.Tx) error {
		h, note, err = latest(tx)
		return err
	})
	if err != nil {
		return nil, cp, err
	}
	cp, err = logverify.VerifyCheckpoint(note, h.VKey)
	if err != nil {
		return nil, cp, fmt.Errorf("%w: stored checkpoint: %w", ErrCorrupt, err)
	}
	return note, cp, nil
}

// latest returns the current log and its last published checkpoint.
func latest(q db.Querier) (head, []byte, error) {
	h, err := currentHead(q)
	if err != nil {
		return head{}, nil, pendingIfNone(err)
	}
	if h.Signed < 0 {
		return h, nil, ErrPending
	}
	note, err := checkpointNote(q, h.Number, h.Signed)
	return h, note, err
}
