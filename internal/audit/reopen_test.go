package audit_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
)

// tables in an order in which rows can be inserted.
var tables = []struct{ name, columns, order string }{
	{"audit_log", "number, origin, vkey, size, root, signed, previous, at", "number"},
	{"audit_entry", `id, class, kind, subject, actor, client, institution, purpose, at, intent, outcome, object,
		header_salt, body, body_salt, owner, sealed, content_hash, commitment, log_number, leaf_index`, "at, id"},
	{"audit_open", "id, kind, at", "id"},
	{"audit_tile", "log_number, level, n, width, data", "log_number, level, n"},
	{"audit_checkpoint", "log_number, size, note, at", "log_number, size"},
}

// backup copies the rows of the audit tables and returns a function that
// restores them, as from a backup taken now.
func (h *harness) backup() (restore func()) {
	h.t.Helper()
	type saved struct {
		cols []string
		rows [][]any
	}
	var all []saved
	err := h.d.Read(h.t.Context(), func(tx *db.Tx) error {
		all = nil
		for _, table := range tables {
			rows, err := tx.Query(`SELECT ` + table.columns + ` FROM ` + table.name + ` ORDER BY ` + table.order)
			if err != nil {
				return err
			}
			var s saved
			if s.cols, err = rows.Columns(); err != nil {
				return err
			}
			for rows.Next() {
				vals := make([]any, len(s.cols))
				ptrs := make([]any, len(s.cols))
				for i := range vals {
					ptrs[i] = &vals[i]
				}
				if err := rows.Scan(ptrs...); err != nil {
					return err
				}
				for i, v := range vals {
					if b, ok := v.([]byte); ok && b == nil {
						vals[i] = []byte{} // an empty value, not NULL
					}
				}
				s.rows = append(s.rows, vals)
			}
			if err := rows.Close(); err != nil {
				return err
			}
			all = append(all, s)
		}
		return nil
	})
	if err != nil {
		h.t.Fatalf("backup: %v", err)
	}
	return func() {
		h.t.Helper()
		err := h.d.Write(h.t.Context(), func(tx *db.Tx) error {
			for i := len(tables) - 1; i >= 0; i-- {
				if _, err := tx.Exec(`DELETE FROM ` + tables[i].name); err != nil {
					return err
				}
			}
			for i, s := range all {
				marks := make([]string, len(s.cols))
				for j := range marks {
					marks[j] = fmt.Sprintf("$%d", j+1)
				}
				q := `INSERT INTO ` + tables[i].name + ` (` + strings.Join(s.cols, ", ") + `) VALUES (` + strings.Join(marks, ", ") + `)`
				for _, vals := range s.rows {
					if _, err := tx.Exec(q, vals...); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			h.t.Fatalf("restore: %v", err)
		}
	}
}

// stopped asserts that neither a running nor a new sequencer goes on.
func (h *harness) stopped(name string) *audit.RollbackError {
	h.t.Helper()
	before, _, _ := h.log.Latest(h.t.Context())
	_, err := h.seq.Step(h.t.Context())
	if !errors.Is(err, audit.ErrRolledBack) {
		h.t.Errorf("%s, running: got %v, want ErrRolledBack", name, err)
	}
	_, err = audit.NewSequencer(h.t.Context(), h.cfg)
	var rb *audit.RollbackError
	if !errors.As(err, &rb) || !errors.Is(err, audit.ErrRolledBack) {
		h.t.Fatalf("%s, restarted: got %v, want a RollbackError", name, err)
	}
	if after, _, _ := h.log.Latest(h.t.Context()); string(after) != string(before) {
		h.t.Errorf("%s: something was signed: %s", name, after)
	}
	return rb
}

// reopen continues under a new origin and checks what the first leaf says.
func (h *harness) reopen(origin string, want logverify.Checkpoint, given []byte) {
	h.t.Helper()
	h.clock.Advance(time.Minute)
	h.cfg.Origin = origin
	seq, err := audit.Reopen(h.t.Context(), h.cfg, given)
	if err != nil {
		h.t.Fatalf("Reopen: %v", err)
	}
	h.seq = seq
	if _, err := h.seq.Step(h.t.Context()); err != nil {
		h.t.Fatalf("first Step after Reopen: %v", err)
	}
	h.check()
	rep, err := logverify.VerifyLog(h.t.Context(), handlerSource{h.log.Handler(nil)}, logverify.LogOptions{Key: h.seq.VerifierKey()})
	if err != nil {
		h.t.Fatal(err)
	}
	got := logverify.Continuation{Origin: want.Origin, Size: want.Size, Root: want.Root}
	if rep.Continues == nil || *rep.Continues != got || rep.Checkpoint.Origin != origin {
		h.t.Errorf("the new log says %+v of itself, %+v of the one before; want %+v", rep.Checkpoint, rep.Continues, got)
	}
}

func TestRestoredOlderStateIsNoticed(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		ids := h.appendN(300)
		h.step(300)
		pending := h.append(event(1)) // committed, not yet placed, at the time of the backup
		restore := h.backup()
		h.appendN(9)
		h.step(10)
		h.check()
		_, published, err := h.log.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		oldReceipt, err := h.log.InclusionProof(t.Context(), ids[7])
		if err != nil {
			t.Fatal(err)
		}

		restore()
		h.clock.Advance(time.Minute)
		rb := h.stopped("restored")
		if rb.Published != published || rb.Database.Size != 300 || rb.Forked {
			t.Errorf("got %+v, want published %+v and database size 300", rb, published)
		}
		report, err := h.log.Check(t.Context(), audit.CheckOptions{HighWater: h.cfg.HighWater})
		if err != nil || len(report.Findings) != 1 || report.Findings[0].Kind != audit.BadCheckpoint {
			t.Errorf("Check of a restored state: %+v, %v, want one finding", report, err)
		}

		// New work grows the restored tree past the published size: still refused, as a fork.
		h.appendN(20)
		noMark := h.cfg
		noMark.HighWater = ""
		blind, err := audit.NewSequencer(t.Context(), noMark)
		if err != nil {
			t.Fatal(err)
		}
		h.clock.Advance(time.Minute)
		if _, err := blind.Step(t.Context()); err != nil { // what a node without the mark would do
			t.Fatal(err)
		}
		h.clock.Advance(time.Minute)
		if rb := h.stopped("forked"); !rb.Forked {
			t.Errorf("got %+v, want it forked", rb)
		}

		restore()
		h.published, h.notes = nil, nil
		h.reopen("suti.example/log2", published, nil)
		h.stoppedOrigin()
		h.appendN(5)
		h.step(5)
		if got := h.check(); got != 7 {
			t.Errorf("new log has size %d, want the first leaf, the pending entry and five more", got)
		}
		// What the old checkpoints prove stays proven.
		if _, _, err := logverify.VerifyReceipt(*oldReceipt, vkeyOf(t, testOrigin, h.cfg.Signer)); err != nil {
			t.Errorf("old receipt: %v", err)
		}
		again, err := h.log.InclusionProof(t.Context(), ids[7])
		if err != nil {
			t.Fatal(err)
		}
		if _, cp, err := logverify.VerifyReceipt(*again, vkeyOf(t, testOrigin, h.cfg.Signer)); err != nil || cp.Origin != testOrigin || cp.Size != 300 {
			t.Errorf("entry of the old log: %+v, %v", cp, err)
		}
		moved, err := h.log.InclusionProof(t.Context(), pending)
		if err != nil {
			t.Fatal(err)
		}
		if _, cp, err := logverify.VerifyReceipt(*moved, h.seq.VerifierKey()); err != nil || cp.Origin != "suti.example/log2" {
			t.Errorf("entry that was pending: %+v, %v", cp, err)
		}
		h.restart()
	})
}

// stoppedOrigin: the configuration of the old log no longer works.
func (h *harness) stoppedOrigin() {
	h.t.Helper()
	cfg := h.cfg
	cfg.Origin = testOrigin
	if _, err := audit.NewSequencer(h.t.Context(), cfg); !errors.Is(err, audit.ErrOrigin) {
		h.t.Errorf("old origin after Reopen: got %v, want ErrOrigin", err)
	}
	for _, origin := range []string{testOrigin, cfg.Origin} {
		cfg.Origin = origin
		if _, err := audit.Reopen(h.t.Context(), cfg, nil); !errors.Is(err, audit.ErrOrigin) && !errors.Is(err, audit.ErrNotLeader) {
			h.t.Errorf("Reopen as %q: got %v, want a refusal", origin, err)
		}
	}
}

// TestRestoreToBeforeAReopening: the database forgot even the second origin.
func TestRestoreToBeforeAReopening(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		h.appendN(3)
		h.step(3)
		restore := h.backup()
		_, first, err := h.log.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h.reopen("suti.example/log2", first, nil)
		h.appendN(2)
		h.step(2)
		_, second, err := h.log.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		restore()
		h.clock.Advance(time.Minute)
		if rb := h.stopped("restored"); rb.Published != second {
			t.Errorf("got %+v, want published %+v", rb, second)
		}
		h.published, h.notes = nil, nil
		h.reopen("suti.example/log3", second, nil)
		// An emptied database is no new beginning either.
		for i := len(tables) - 1; i >= 0; i-- {
			err := h.d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(`DELETE FROM ` + tables[i].name); return err })
			if err != nil {
				t.Fatal(err)
			}
		}
		h.clock.Advance(time.Minute)
		h.stopped("emptied")
	})
}

// TestCrashBetweenReopenAndItsFirstCheckpoint: the mark still names the old
// log; the continuation satisfies it.
func TestCrashBetweenReopenAndItsFirstCheckpoint(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		h.appendN(3)
		h.step(3)
		h.clock.Advance(time.Minute)
		h.cfg.Origin = "suti.example/log2"
		if _, err := audit.Reopen(t.Context(), h.cfg, nil); err != nil {
			t.Fatal(err)
		}
		h.restart()
		if got, err := (handlerSource{h.log.Handler(nil)}).Fetch(t.Context(), "checkpoint", 1<<16); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("before the first checkpoint: got %q, %v, want 503", got, err)
		}
		h.clock.Advance(time.Minute)
		h.step(0)
		h.check()
	})
}

// TestReopenWithACheckpointKeptElsewhere: this node's mark is older than what
// another node published.
func TestReopenWithACheckpointKeptElsewhere(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		h.appendN(3)
		h.step(3)
		mark, err := os.ReadFile(h.cfg.HighWater)
		if err != nil {
			t.Fatal(err)
		}
		restore := h.backup()
		h.appendN(4)
		h.step(4)
		note, published, err := h.log.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		restore()
		if err := os.WriteFile(h.cfg.HighWater, mark, 0o600); err != nil {
			t.Fatal(err)
		}
		h.clock.Advance(time.Minute)
		cfg := h.cfg
		cfg.Origin = "suti.example/log2"
		for name, bad := range map[string][]byte{"changed": []byte(strings.Replace(string(note), "\n7\n", "\n8\n", 1)), "empty": {}} {
			if _, err := audit.Reopen(t.Context(), cfg, bad); !errors.Is(err, logverify.ErrSignature) {
				t.Errorf("%s checkpoint: got %v, want ErrSignature", name, err)
			}
			h.clock.Advance(time.Minute)
		}
		h.published, h.notes = nil, nil
		h.reopen("suti.example/log2", published, note)
	})
}

func TestReopenNeedsAPublishedLog(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		cfg := h.cfg
		cfg.Origin = "suti.example/log2"
		if _, err := audit.Reopen(t.Context(), cfg, nil); !errors.Is(err, audit.ErrNothingPublished) {
			t.Errorf("got %v, want ErrNothingPublished", err)
		}
		h.clock.Advance(time.Minute)
		h.appendN(1)
		h.step(1)
		if _, err := audit.Reopen(t.Context(), cfg, nil); !errors.Is(err, audit.ErrNotLeader) {
			t.Errorf("while another leads: got %v, want ErrNotLeader", err)
		}
		// A new signing key opens a new log; the old one's proofs keep their key.
		h.clock.Advance(time.Minute)
		_, last, err := h.log.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h.cfg.Signer = testKey(2)
		h.published, h.notes = nil, nil
		h.reopen("suti.example/log2", last, nil)
	})
}
