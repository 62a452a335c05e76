package audit_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/audit/logverify"
)

// resume continues the log under the next origin of its line.
func (h *harness) resume(wantOrigin string, o audit.ContinueOptions) {
	h.t.Helper()
	h.clock.Advance(time.Minute)
	seq, err := audit.Continue(h.t.Context(), h.cfg, o)
	if err != nil {
		h.t.Fatalf("Continue: %v", err)
	}
	if _, err := seq.Step(h.t.Context()); err != nil {
		h.t.Fatalf("first Step: %v", err)
	}
	if _, cp, err := h.log.Latest(h.t.Context()); err != nil || cp.Origin != wantOrigin {
		h.t.Errorf("continued as %q, %v; want %q", cp.Origin, err, wantOrigin)
	}
	want, err := logverify.KeyFor(vkeyOf(h.t, testOrigin, h.cfg.Signer), wantOrigin)
	if err != nil || seq.VerifierKey() != want {
		h.t.Errorf("key %s, want %s (%v)", seq.VerifierKey(), want, err)
	}
	h.seq = seq
	h.published, h.notes = nil, nil
}

// TestContinue restores an older state twice, the second time so that the
// database forgets the second log too: no origin and no number is used again.
func TestContinue(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		ctx := t.Context()
		h.appendN(20)
		h.step(20)
		restore := h.backup()
		h.appendN(5)
		h.step(5)
		if err := h.log.CompareHighWater(ctx, h.cfg.HighWater); err != nil {
			t.Errorf("before: %v", err)
		}

		restore()
		if err := h.log.CompareHighWater(ctx, h.cfg.HighWater); !errors.Is(err, audit.ErrRolledBack) {
			t.Errorf("restored: %v, want ErrRolledBack", err)
		}
		h.resume(testOrigin+"/2", audit.ContinueOptions{Actor: "operator", Reason: "disco perdido"})
		logs, err := h.log.Logs(ctx)
		if err != nil || len(logs) != 2 || logs[1].Number != 2 || logs[1].Continues.Size != 25 || audit.Lost(logs) != 5 {
			t.Errorf("logs: %+v, lost %d, %v", logs, audit.Lost(logs), err)
		}
		h.appendN(3)
		h.step(3)

		restore()
		h.resume(testOrigin+"/3", audit.ContinueOptions{})
		if err := h.log.CompareHighWater(ctx, h.cfg.HighWater); err != nil {
			t.Errorf("continued: %v", err)
		}
		logs, err = h.log.Logs(ctx)
		if err != nil || len(logs) != 2 || logs[1].Number != 3 || logs[1].Continues.Origin != testOrigin+"/2" || audit.Lost(logs) != 4 {
			t.Errorf("logs: %+v, lost %d, %v", logs, audit.Lost(logs), err)
		}
		src := handlerSource{h.log.Handler(nil)}
		rep, err := logverify.VerifyLog(ctx, src, logverify.LogOptions{Key: h.seq.VerifierKey()})
		if err != nil || rep.Continues == nil || rep.Continues.Origin != testOrigin+"/2" {
			t.Errorf("new log: %+v, %v", rep, err)
		}
		if report, err := h.log.Check(ctx, audit.CheckOptions{HighWater: h.cfg.HighWater}); err != nil || !report.OK() {
			t.Errorf("record: %+v, %v", report, err)
		}
		cfg := h.cfg
		cfg.Origin = strings.Replace(testOrigin, "suti.example", "else.example", 1)
		h.clock.Advance(time.Minute)
		if _, err := audit.Continue(ctx, cfg, audit.ContinueOptions{}); !errors.Is(err, audit.ErrOrigin) {
			t.Errorf("another service's origin: %v, want ErrOrigin", err)
		}
		// A refused one gave the lead up at once.
		cfg.Origin = testOrigin + "/3"
		seq, err := audit.NewSequencer(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := seq.Step(ctx); err != nil {
			t.Errorf("the next: %v", err)
		}
	})
}
