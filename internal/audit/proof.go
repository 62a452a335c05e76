package audit

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
)

// ErrSize reports a tree size that was not published.
var ErrSize = errors.New("audit: no published tree of this size")

func pendingIfNone(err error) error {
	if errors.Is(err, errNoLog) {
		return ErrPending
	}
	return err
}

// InclusionProof returns a receipt that shows an entry in the last published
// tree: leaf, body with what opens it, audit path and checkpoint. It verifies
// offline with [logverify.VerifyReceipt] and names no person. [ErrPending]
// until a checkpoint covers the entry, [ErrUnknown] if there is no such entry.
func (l *Log) InclusionProof(ctx context.Context, entryID string) (*logverify.Receipt, error) {
	var out *logverify.Receipt
	err := l.db.Read(ctx, func(tx *db.Tx) error {
		r, err := oneRow(tx.QueryRow(`SELECT `+rowColumns+` FROM audit_entry WHERE id = $1`, entryID))
		if err != nil {
			return err
		}
		if r.LeafIndex < 0 {
			return ErrPending
		}
		h, err := headOf(tx, r.LogNumber)
		if err != nil {
			return err
		}
		if r.LeafIndex >= h.Signed {
			return ErrPending
		}
		out, err = receipt(tx, h, r)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// receipt proves r in the last published tree of its log.
func receipt(q db.Querier, h head, r *row) (*logverify.Receipt, error) {
	note, err := checkpointNote(q, h.Number, h.Signed)
	if err != nil {
		return nil, err
	}
	path, err := tlog.ProveRecord(h.Signed, r.LeafIndex, tileReader{q, h.Number})
	if err != nil {
		return nil, fmt.Errorf("prove entry %s: %w", r.ID, err)
	}
	leaf, err := r.leaf()
	if err != nil {
		return nil, err
	}
	p := r.parts()
	return &logverify.Receipt{
		Leaf: leaf,
		Body: logverify.BodyOpening{HeaderHash: p.Header, ContentHash: p.Content, Salt: r.BodySalt, Body: r.Body},
		Proof: logverify.Proof{
			Index: r.LeafIndex, Hashes: hashesIn(path), Checkpoint: note,
		},
	}, nil
}

// ConsistencyProof returns the proof (RFC 6962 §2.1.2) that the current log's
// tree of size later extends the one of size earlier. Both MUST be published
// sizes, 0 ≤ earlier ≤ later: else [ErrSize].
func (l *Log) ConsistencyProof(ctx context.Context, earlier, later int64) ([]logverify.Hash, error) {
	var out []logverify.Hash
	err := l.db.Read(ctx, func(tx *db.Tx) error {
		h, err := currentHead(tx)
		if err != nil {
			return pendingIfNone(err)
		}
		if earlier < 0 || later < earlier || later > h.Signed {
			return fmt.Errorf("%w: %d to %d of %d", ErrSize, earlier, later, h.Signed)
		}
		if earlier == 0 || earlier == later {
			out = nil
			return nil
		}
		p, err := tlog.ProveTree(later, earlier, tileReader{tx, h.Number})
		if err != nil {
			return fmt.Errorf("prove consistency: %w", err)
		}
		out = hashesIn(p)
		return nil
	})
	return out, err
}

func hashesIn(hs []tlog.Hash) []logverify.Hash {
	out := make([]logverify.Hash, len(hs))
	for i, h := range hs {
		out[i] = logverify.Hash(h)
	}
	return out
}
