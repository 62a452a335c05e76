package audit

import (
	"context"
	"errors"
	"fmt"

	"oruro.gob.bo/suti/internal/db"
)

// FindingKind says what is wrong with a row.
type FindingKind string

// The kinds of findings.
const (
	// Edited: the row's fields or content are not what its commitment binds,
	// or the commitment is not what its leaf binds.
	Edited FindingKind = "edited"
	// Removed: a place of the log has no row.
	Removed FindingKind = "removed"
	// Reordered: the row stands at another place than the one its leaf was given.
	Reordered FindingKind = "reordered"
	// Added: a row claims a place beyond the tree, or in a log that does not exist.
	Added FindingKind = "added"
	// BadTile: a stored tile is missing or is not the hashes below it.
	BadTile FindingKind = "tile"
	// BadCheckpoint: a checkpoint is not signed by its log's key, or not of its tree.
	BadCheckpoint FindingKind = "checkpoint"
	// BadIntent: an intent is open without being listed, or listed without being open.
	BadIntent FindingKind = "intent"
)

// Finding is one fault that [Log.Check] found.
type Finding struct {
	Kind  FindingKind
	Log   int64  // number of the log, 0 for a row without a place
	Index int64  // of the leaf or, for a checkpoint, its size; -1 if it has none
	Entry string // id of the row, or empty
	What  string
}

// String returns the finding in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: log %d, place %d, entry %q: %s", f.Kind, f.Log, f.Index, f.Entry, f.What)
}

// CheckReport is the result of [Log.Check]. The record is whole if Findings is empty.
type CheckReport struct {
	Findings []Finding
	// More counts findings beyond the first MaxFindings.
	More int64
	// Placed and Pending count rows with and without a place, Erased those
	// whose content is gone, Checkpoints those verified.
	Placed, Pending, Erased, Checkpoints int64
}

// OK reports whether nothing was found.
func (r *CheckReport) OK() bool { return len(r.Findings) == 0 }

// MaxFindings bounds a report.
const MaxFindings = 1000

// CheckOptions says how [Log.Check] runs.
type CheckOptions struct {
	// HighWater is the path of a high-water file to compare with; may be empty.
	HighWater string
	// Progress, if set, is called with the number of rows checked.
	Progress func(done int64)
}

// Check reads the whole record and reports each row that was edited, removed,
// reordered or added, and each tile and checkpoint that is not of the rows: it
// opens every payload, recomputes every commitment, leaf, tile and root, and
// compares with every stored checkpoint and, if given, with the high-water
// file, which is what tells of a database rewritten as a whole. Rows placed
// while it runs are left out. Memory does not grow with the record. The error
// is not nil only if the check could not be carried out.
func (l *Log) Check(ctx context.Context, o CheckOptions) (*CheckReport, error) {
	c := &checker{l: l, o: o, report: &CheckReport{}}
	var logs []head
	err := l.db.Read(ctx, func(tx *db.Tx) (err error) {
		logs, err = allHeads(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, h := range logs {
		lc := &logChecker{checker: c, head: h}
		if err := lc.run(ctx); err != nil {
			return nil, fmt.Errorf("check log %d: %w", h.Number, err)
		}
	}
	if err := c.pending(ctx); err != nil {
		return nil, fmt.Errorf("check pending entries: %w", err)
	}
	if err := c.highWater(ctx, logs); err != nil {
		return nil, err
	}
	return c.report, nil
}

type checker struct {
	l      *Log
	o      CheckOptions
	report *CheckReport
	done   int64
}

func (c *checker) found(kind FindingKind, number, index int64, entry, format string, args ...any) {
	if len(c.report.Findings) == MaxFindings {
		c.report.More++
		return
	}
	c.report.Findings = append(c.report.Findings, Finding{kind, number, index, entry, fmt.Sprintf(format, args...)})
}

// row checks what a row says of itself, and reports whether that holds.
func (c *checker) row(ctx context.Context, r *row) (bool, error) {
	c.done++
	if c.o.Progress != nil && c.done%checkPage == 0 {
		c.o.Progress(c.done)
	}
	if r.parts().Commitment() != r.Commitment {
		c.found(Edited, r.LogNumber, r.LeafIndex, r.ID, "the clear fields are not those of the commitment")
		return false, nil
	}
	_, _, err := c.l.content(ctx, r)
	switch {
	case errors.Is(err, ErrErased):
		c.report.Erased++
	case errors.Is(err, ErrCorrupt):
		c.found(Edited, r.LogNumber, r.LeafIndex, r.ID, "the sealed content is not what was recorded")
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}

// checkPage is how many rows are read at a time.
const checkPage = 512

// pending checks the rows without a place.
func (c *checker) pending(ctx context.Context) error {
	at, id := int64(-1<<62), ""
	for {
		var rows []*row
		before := len(c.report.Findings)
		err := c.l.db.Read(ctx, func(tx *db.Tx) (err error) {
			c.report.Findings = c.report.Findings[:before] // the closure may run again
			rows, err = queryRows(tx, `SELECT `+rowColumns+` FROM audit_entry
				WHERE leaf_index IS NULL AND (at, id) > ($1, $2) ORDER BY at, id LIMIT $3`, at, id, checkPage)
			if err != nil || at > -1<<62 {
				return err
			}
			return c.intents(tx, `e.leaf_index IS NULL`)
		})
		if err != nil {
			return err
		}
		for _, r := range rows {
			if _, err := c.row(ctx, r); err != nil {
				return err
			}
			at, id = r.At, r.ID
		}
		c.report.Pending += int64(len(rows))
		if len(rows) < checkPage {
			return nil
		}
	}
}

// intents compares the list of open intents with the entries that where picks.
func (c *checker) intents(tx *db.Tx, where string, args ...any) error {
	k := len(args)
	query := fmt.Sprintf(`SELECT e.id, o.id FROM audit_entry AS e
		LEFT JOIN audit_entry AS c ON c.intent = e.id LEFT JOIN audit_open AS o ON o.id = e.id
		WHERE %s AND ((e.outcome = $%d AND c.id IS NULL AND o.id IS NULL)
		OR (o.id IS NOT NULL AND (e.outcome <> $%d OR c.id IS NOT NULL))) ORDER BY e.id LIMIT $%d`, where, k+1, k+1, k+2)
	rows, err := tx.Query(query, append(args, OutcomeIntent, MaxFindings)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var open *string
		if err := rows.Scan(&id, &open); err != nil {
			return err
		}
		if open == nil {
			c.found(BadIntent, 0, -1, id, "an intent without outcome is not listed as open")
		} else {
			c.found(BadIntent, 0, -1, id, "listed as open, but it has an outcome or is no intent")
		}
	}
	return rows.Err()
}

// highWater compares the database with the file.
func (c *checker) highWater(ctx context.Context, logs []head) error {
	if c.o.HighWater == "" {
		return nil
	}
	mark, err := readHighWater(c.o.HighWater)
	if err != nil || mark == nil {
		return err
	}
	var current head
	if len(logs) > 0 {
		current = logs[len(logs)-1]
	}
	err = c.l.db.Read(ctx, func(tx *db.Tx) error { return checkHighWater(tx, current, mark) })
	if errors.Is(err, ErrRolledBack) || errors.Is(err, ErrCorrupt) {
		c.found(BadCheckpoint, current.Number, mark.cp.Size, "", "%v", err)
		return nil
	}
	return err
}
