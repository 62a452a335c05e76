package audit_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

// findings runs Check and returns what it found as "kind place entry".
func (h *harness) findings() []string {
	h.t.Helper()
	r, err := h.log.Check(h.t.Context(), audit.CheckOptions{HighWater: h.cfg.HighWater})
	if err != nil {
		h.t.Fatalf("Check: %v", err)
	}
	if r.OK() != (len(r.Findings) == 0) {
		h.t.Error("OK does not agree with Findings")
	}
	out := []string{}
	for _, f := range r.Findings {
		out = append(out, fmt.Sprintf("%s %d %s", f.Kind, f.Index, f.Entry))
	}
	return out
}

// TestCheckNamesWhatWasChanged changes the database in one way at a time and
// expects the check to say which row it was.
func TestCheckNamesWhatWasChanged(t *testing.T) {
	t.Parallel()
	const n = 300
	at := func(kind audit.FindingKind, place int, id string) string {
		return fmt.Sprintf("%s %d %s", kind, place, id)
	}
	type change struct {
		name string
		do   func(h *harness, ids []string)
		want func(ids []string) []string
	}
	column := func(col string, val any) change {
		return change{"column " + col, func(h *harness, ids []string) {
			h.exec(1, `UPDATE audit_entry SET `+col+` = $1 WHERE id = $2`, val, ids[270])
		}, func(ids []string) []string { return []string{at(audit.Edited, 270, ids[270])} }}
	}
	swap := func(a, b int) func(*harness, []string) {
		return func(h *harness, ids []string) {
			h.exec(1, `UPDATE audit_entry SET leaf_index = 100000 WHERE id = $1`, ids[a])
			h.exec(1, `UPDATE audit_entry SET leaf_index = $1 WHERE id = $2`, a, ids[b])
			h.exec(1, `UPDATE audit_entry SET leaf_index = $1 WHERE id = $2`, b, ids[a])
		}
	}
	changes := []change{
		column("class", "token"), column("kind", "idp.logout"), column("subject", string(person(2))), column("subject", nil),
		column("actor", "x"), column("client", "x"), column("institution", "x"), column("purpose", "x"),
		column("at", 1), column("outcome", "refused"), column("object", "x"), column("body", []byte("x")),
		column("header_salt", make([]byte, 32)), column("body_salt", make([]byte, 32)),
		column("content_hash", make([]byte, 32)), column("commitment", make([]byte, 32)), column("sealed", []byte{1, 2}),
		{"removed", func(h *harness, ids []string) { h.exec(1, `DELETE FROM audit_entry WHERE id = $1`, ids[5]) },
			func(ids []string) []string { return []string{at(audit.Removed, 5, "")} }},
		{"last one removed", func(h *harness, ids []string) { h.exec(1, `DELETE FROM audit_entry WHERE id = $1`, ids[n-1]) },
			func(ids []string) []string { return []string{at(audit.Removed, n-1, "")} }},
		{"swapped", swap(5, 280), func(ids []string) []string {
			return []string{at(audit.Reordered, 5, ids[280]), at(audit.Reordered, 280, ids[5])}
		}},
		{"taken out of the log", func(h *harness, ids []string) {
			h.exec(1, `UPDATE audit_entry SET leaf_index = NULL, log_number = NULL WHERE id = $1`, ids[5])
		}, func(ids []string) []string { return []string{at(audit.Removed, 5, "")} }},
		{"moved beyond the tree", func(h *harness, ids []string) {
			h.exec(1, `UPDATE audit_entry SET leaf_index = 300 WHERE id = $1`, ids[5])
		}, func(ids []string) []string { return []string{at(audit.Removed, 5, ""), at(audit.Added, 300, ids[5])} }},
		{"content of another row", func(h *harness, ids []string) {
			h.exec(1, `UPDATE audit_entry SET sealed = (SELECT o.sealed FROM audit_entry AS o WHERE o.id = $1) WHERE id = $2`, ids[6], ids[9])
		}, func(ids []string) []string { return []string{at(audit.Edited, 9, ids[9])} }},
		{"tile changed", func(h *harness, ids []string) {
			h.exec(1, `UPDATE audit_tile SET data = $1 WHERE level = 1 AND n = 0`, bytes.Repeat([]byte{7}, 32))
		}, func([]string) []string { return []string{at(audit.BadTile, -1, "")} }},
		{"tile cut", func(h *harness, ids []string) {
			h.exec(1, `UPDATE audit_tile SET data = substr(data, 1, 32), width = 1 WHERE level = 0 AND n = 1`)
		}, func([]string) []string { return []string{at(audit.BadTile, -1, "")} }},
		{"tile removed", func(h *harness, ids []string) { h.exec(1, `DELETE FROM audit_tile WHERE level = 0 AND n = 0`) },
			func([]string) []string { return []string{at(audit.BadTile, -1, "")} }},
		{"head changed", func(h *harness, ids []string) { h.exec(1, `UPDATE audit_log SET root = $1`, make([]byte, 32)) },
			func([]string) []string {
				return []string{at(audit.BadCheckpoint, n, ""), at(audit.BadCheckpoint, n, "")}
			}},
		{"checkpoint changed", func(h *harness, ids []string) {
			h.exec(1, `UPDATE audit_checkpoint SET note = $1 WHERE size = 100`, []byte("x\n"))
		}, func([]string) []string { return []string{at(audit.BadCheckpoint, 100, "")} }},
		{"checkpoint of another size", func(h *harness, ids []string) {
			h.exec(1, `UPDATE audit_checkpoint SET size = 101 WHERE size = 100`)
		}, func([]string) []string { return []string{at(audit.BadCheckpoint, 101, "")} }},
		{"last checkpoint removed", func(h *harness, ids []string) { h.exec(1, `DELETE FROM audit_checkpoint WHERE size = 300`) },
			func([]string) []string { return []string{at(audit.BadCheckpoint, n, "")} }},
		{"checkpoint beyond the tree", func(h *harness, ids []string) {
			h.exec(1, `INSERT INTO audit_checkpoint (log_number, size, note, at) VALUES (1, 301, $1, 0)`, []byte("x"))
		}, func([]string) []string { return []string{at(audit.BadCheckpoint, n, "")} }},
		{"intent not listed", func(h *harness, ids []string) { h.exec(1, `DELETE FROM audit_open`) },
			func(ids []string) []string { return []string{at(audit.BadIntent, -1, ids[200])} }},
		{"plain entry listed", func(h *harness, ids []string) {
			h.exec(1, `INSERT INTO audit_open (id, kind, at) VALUES ($1, 'x.y', 0)`, ids[7])
		}, func(ids []string) []string { return []string{at(audit.BadIntent, -1, ids[7])} }},
		{"closed intent listed", func(h *harness, ids []string) {
			h.exec(1, `INSERT INTO audit_open (id, kind, at) VALUES ($1, 'x.y', 0)`, ids[201])
		}, func(ids []string) []string { return []string{at(audit.BadIntent, -1, ids[201])} }},
		{"erased", func(h *harness, ids []string) {
			h.exec(1, `UPDATE audit_entry SET sealed = NULL WHERE id = $1`, ids[5])
		},
			func([]string) []string { return []string{} }},
	}
	each(t, func(t *testing.T, h *harness) {
		ids := h.appendN(100)
		h.step(100)
		ids = append(ids, h.appendN(100)...)
		intent := event(0)
		intent.Outcome = audit.OutcomeIntent
		for range 2 {
			h.clock.Advance(time.Millisecond)
			ids = append(ids, h.append(intent))
		}
		h.clock.Advance(time.Millisecond)
		closing := event(0)
		closing.Intent = ids[201]
		h.append(closing)
		h.appendN(n - len(ids) - 1)
		h.step(200)
		ids = placesOf(t, h)
		if diff := cmp.Diff(h.findings(), []string{}); diff != "" {
			t.Fatalf("before any change: %s", diff)
		}
		restore := h.backup()
		for _, c := range changes {
			c.do(h, ids)
			got, want := h.findings(), c.want(ids)
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("%s (-got +want):\n%s", c.name, diff)
			}
			restore()
		}
		if got := h.findings(); len(got) != 0 {
			t.Errorf("after the last restore: %v", got)
		}
	})
}

// placesOf returns the ids in the order of the log.
func placesOf(t testing.TB, h *harness) []string {
	t.Helper()
	var ids []string
	err := h.d.Read(t.Context(), func(tx *db.Tx) error {
		ids = nil
		rows, err := tx.Query(`SELECT id FROM audit_entry ORDER BY leaf_index`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// TestCheckNoticesARewrittenHistory: whoever can write the database changes a
// row and makes commitment, tiles and head agree with it. The signatures do not.
func TestCheckNoticesARewrittenHistory(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		h.appendN(2)
		h.step(2)
		// A second log of the same size in the same database, made by the
		// attacker with a key of his own, then passed off as the first.
		forged := newHarness(t, dbtest.URL(t, h.d.Engine()), nil)
		forged.keys = h.keys
		forged.cfg.Signer = testKey(9)
		forged.log = newLog(t, forged.d, forged.clock, forged.keys)
		forged.cfg.Log = forged.log
		forged.exec(1, `DELETE FROM audit_log`)
		forged.cfg.HighWater = ""
		forged.restart()
		forged.appendN(2)
		forged.step(2)
		forged.exec(1, `UPDATE audit_log SET vkey = $1`, h.seq.VerifierKey())
		forged.cfg.HighWater = h.cfg.HighWater
		got := forged.findings()
		if len(got) < 2 {
			t.Errorf("got %v, want the checkpoint and the high-water mark to tell", got)
		}
		for _, f := range got {
			if f[:len("checkpoint")] != "checkpoint" {
				t.Errorf("unexpected finding %s", f)
			}
		}
	})
}

func TestCheckCountsAndReportsProgress(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		h.appendN(1030)
		h.cfg.Batch = 1030
		h.restart()
		h.step(1030)
		h.appendN(3)
		h.keys.destroy(person(0))
		var calls []int64
		r, err := h.log.Check(t.Context(), audit.CheckOptions{Progress: func(n int64) { calls = append(calls, n) }})
		if err != nil {
			t.Fatal(err)
		}
		if r.Placed != 1030 || r.Pending != 3 || r.Erased != 345 || r.Checkpoints != 1 || !r.OK() || len(calls) != 2 {
			t.Errorf("got %+v, progress %v", r, calls)
		}
	})
}

// TestCheckStopsCounting: a wrecked record gives a bounded report.
func TestCheckStopsCounting(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		h.cfg.Batch = 2000
		h.restart()
		h.appendN(1100)
		h.step(1100)
		h.exec(1100, `UPDATE audit_entry SET purpose = 'x'`)
		r, err := h.log.Check(t.Context(), audit.CheckOptions{})
		if err != nil || len(r.Findings) != audit.MaxFindings || r.More != 100 {
			t.Errorf("got %d findings and %d more, %v", len(r.Findings), r.More, err)
		}
	})
}
