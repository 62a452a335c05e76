package audit

import (
	"context"
	"fmt"
	"strings"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
)

// LogInfo is one log of the record.
type LogInfo struct {
	Number int64
	Origin string
	// VKey is its verifier key.
	VKey string
	// Size is how many leaves it has; Signed how many its last checkpoint
	// covers, -1 before the first.
	Size, Signed int64
	// Continues is the last checkpoint known of the log that this one
	// continues; its origin is empty for the first log.
	Continues logverify.Checkpoint
}

// Logs returns every log in their order; only the last one grows.
func (l *Log) Logs(ctx context.Context) ([]LogInfo, error) {
	var heads []head
	err := l.db.Read(ctx, func(tx *db.Tx) (err error) {
		heads, err = allHeads(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	out := make([]LogInfo, 0, len(heads))
	for _, h := range heads {
		i := LogInfo{Number: h.Number, Origin: h.Origin, VKey: h.VKey, Size: h.Tree.Size, Signed: h.Signed}
		if len(h.Previous) > 0 {
			text, _, _ := strings.Cut(string(h.Previous), "\n\n") // it was verified when it was written
			if i.Continues, err = logverify.ParseCheckpointText(text + "\n"); err != nil {
				return nil, fmt.Errorf("%w: what log %d continues: %w", ErrCorrupt, h.Number, err)
			}
		}
		out = append(out, i)
	}
	return out, nil
}

// Lost is how many entries of the log before were published and are not in the
// database: what a restore lost. It is 0 where nothing was.
func Lost(logs []LogInfo) (n int64) {
	sizes := map[string]int64{}
	for _, l := range logs {
		sizes[l.Origin] = l.Size
	}
	for _, l := range logs {
		if l.Continues.Origin != "" {
			n += max(0, l.Continues.Size-sizes[l.Continues.Origin])
		}
	}
	return n
}

// CompareHighWater returns a *[RollbackError] if the database is behind the
// high-water file, and an error if either cannot be read. A missing file is no error.
func (l *Log) CompareHighWater(ctx context.Context, path string) error {
	mark, err := readHighWater(path)
	if err != nil || mark == nil {
		return err
	}
	return l.db.Read(ctx, func(tx *db.Tx) error {
		logs, err := allHeads(tx)
		if err != nil {
			return err
		}
		var current head
		if len(logs) > 0 {
			current = logs[len(logs)-1]
		}
		return checkHighWater(tx, current, mark)
	})
}
