package audit_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/failpoint"
)

func TestStepPlacesAndSigns(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		if got := h.check(); got != -1 {
			t.Errorf("before the first Step: size %d, want no checkpoint", got)
		}
		h.step(0)
		if got := h.check(); got != 0 {
			t.Errorf("empty log: size %d, want a checkpoint of size 0", got)
		}
		total := int64(0)
		for _, n := range []int{1, 2, 253, 1, 300, 0} { // over the border of a tile
			h.appendN(n)
			h.step(n)
			total += int64(n)
			if got := h.check(); got != total {
				t.Errorf("size %d, want %d", got, total)
			}
		}
	})
}

func TestStepTakesBatches(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		h.cfg.Batch = 100
		h.restart()
		ids := h.appendN(250)
		for _, want := range []int{100, 100, 50, 0} {
			h.step(want)
		}
		h.check()
		for i, id := range ids {
			if v, err := h.log.Entry(t.Context(), id); err != nil || v.Index != int64(i) {
				t.Fatalf("entry %d has place %d, %v", i, v.Index, err)
			}
		}
	})
}

// TestSequenceErrors breaks each durable step, once before and once after it
// took effect, at sizes on both sides of a tile's border, and restarts.
func TestSequenceErrors(t *testing.T) {
	boom := errors.New("boom")
	for _, tt := range []struct {
		name      string
		point     string
		placed    bool // the tree grows although Step fails
		published bool // the checkpoint is out although Step fails
	}{
		{"SequenceNotPersisted", failpoint.AuditSequenceBeforeCommit, false, false},
		{"SequencePersisted", failpoint.AuditSequenceAfterCommit, true, false},
		{"CheckpointNotPersisted", failpoint.AuditCheckpointBeforeSave, true, false},
		{"CheckpointPersisted", failpoint.AuditCheckpointAfterSave, true, true},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/restart=%v", tt.name, restart), func(t *testing.T) {
				each(t, func(t *testing.T, h *harness) {
					var total, published int64
					h.appendN(254)
					h.step(254)
					total, published = 254, 254
					pending := int64(0)
					for round := range 3 { // failing again at the same sizes, then further on
						h.appendN(3)
						pending += 3
						disarm := failpoint.Arm(tt.point, func() error { return boom })
						n, err := h.seq.Step(t.Context())
						disarm()
						if !errors.Is(err, boom) {
							t.Fatalf("round %d: got %v, want the failure", round, err)
						}
						if tt.placed {
							total += pending
							if int64(n) != pending {
								t.Errorf("round %d: Step placed %d, want %d", round, n, pending)
							}
							pending = 0
						}
						if tt.published {
							published = total
						}
						if got := h.check(); got != published {
							t.Errorf("round %d: published %d, want %d", round, got, published)
						}
						if restart {
							h.restart()
							h.clock.Advance(time.Minute) // the dead holder's lease must run out
						}
					}
					h.appendN(1)
					h.step(int(pending) + 1)
					if got := h.check(); got != 264 {
						t.Errorf("after recovery: published %d, want 264", got)
					}
				})
			})
		}
	}
}

// TestHighWaterErrors: a mark that cannot be made durable stops the sequencer
// before anything is published.
func TestHighWaterErrors(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		h.appendN(2)
		h.step(2)
		dir := filepath.Dir(h.cfg.HighWater)
		if err := os.Rename(dir, dir+"-away"); err != nil {
			t.Fatal(err)
		}
		h.appendN(2)
		if n, err := h.seq.Step(t.Context()); !errors.Is(err, audit.ErrHighWater) || n != 2 {
			t.Errorf("no folder: got %d, %v, want ErrHighWater", n, err)
		}
		if _, cp, err := h.log.Latest(t.Context()); err != nil || cp.Size != 2 {
			t.Errorf("published %+v, %v, want the former checkpoint", cp, err)
		}
		if err := os.Rename(dir+"-away", dir); err != nil {
			t.Fatal(err)
		}
		h.step(0)
		if got := h.check(); got != 4 {
			t.Errorf("size %d, want 4", got)
		}
		good, err := os.ReadFile(h.cfg.HighWater)
		if err != nil {
			t.Fatal(err)
		}
		for name, bad := range map[string]string{
			"empty": "", "cut": string(good[:len(good)/2]), "other tag": "x" + string(good),
			"size changed": strings.Replace(string(good), "\n4\n", "\n3\n", 1), "long": strings.Repeat("a", 1<<20),
		} {
			if err := os.WriteFile(h.cfg.HighWater, []byte(bad), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := audit.NewSequencer(t.Context(), h.cfg); !errors.Is(err, audit.ErrHighWater) {
				t.Errorf("%s file: got %v, want ErrHighWater", name, err)
			}
		}
		left, err := filepath.Glob(filepath.Join(dir, ".*"))
		if err != nil || len(left) != 0 {
			t.Errorf("temporary files left: %v, %v", left, err)
		}
	})
}

// TestLateCommitIsSequenced: an entry that was prepared, and even inserted,
// early but committed late must get a place.
func TestLateCommitIsSequenced(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		early := h.prepare(event(1))
		if h.d.Engine() == db.Postgres {
			// The row is in, uncommitted, while the sequencer passes.
			other := newHarness2(t, h)
			inserted, commit := make(chan struct{}), make(chan struct{})
			var wg sync.WaitGroup
			var once sync.Once
			wg.Go(func() {
				err := other.d.Write(t.Context(), func(tx *db.Tx) error {
					if _, err := other.log.Append(tx, early); err != nil {
						return err
					}
					once.Do(func() { close(inserted) })
					<-commit
					return nil
				})
				if err != nil {
					t.Errorf("late writer: %v", err)
				}
			})
			<-inserted
			h.appendN(5)
			h.step(5)
			close(commit)
			wg.Wait()
		} else {
			h.appendN(5)
			h.step(5)
			if err := h.appendPrepared(early); err != nil {
				t.Fatal(err)
			}
		}
		h.step(1)
		if got := h.check(); got != 6 {
			t.Errorf("size %d, want 6", got)
		}
		if v, err := h.log.Entry(t.Context(), early.ID()); err != nil || v.Index != 5 {
			t.Errorf("late entry: place %d, %v; want 5", v.Index, err)
		}
	})
}

// newHarness2 opens a second node on h's database.
func newHarness2(t testing.TB, h *harness) *harness {
	t.Helper()
	return newHarness(t, h.url, h)
}

// TestContention: 32 writers append while two sequencers step; every entry
// gets exactly one place, and nothing forks.
func TestContention(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		other := newHarness2(t, h)
		h.cfg.Batch, other.cfg.Batch = 37, 41
		for _, node := range []*harness{h, other} {
			// The clock runs by hours here, to end leases; no entry is late by that.
			node.log = newLogMaxAge(t, node.d, node.clock, node.keys, 1<<62)
			node.cfg.Log = node.log
			node.restart()
		}
		const writers, each = 32, 12
		var wg sync.WaitGroup
		var done atomic.Bool
		for w := range writers {
			node := h
			if w%2 == 1 {
				node = other
			}
			wg.Go(func() {
				for i := range each {
					p, err := node.log.Prepare(t.Context(), event(w*each+i))
					if err == nil {
						err = node.d.Write(t.Context(), func(tx *db.Tx) error { _, err := node.log.Append(tx, p); return err })
					}
					if err != nil {
						t.Errorf("writer %d: %v", w, err)
					}
				}
			})
		}
		var placed atomic.Int64
		var steppers sync.WaitGroup
		for _, node := range []*harness{h, other} {
			steppers.Go(func() {
				for last := false; !last; {
					last = done.Load()
					n, err := node.seq.Step(t.Context())
					if err != nil && !errors.Is(err, audit.ErrNotLeader) {
						t.Errorf("step: %v", err)
						return
					}
					placed.Add(int64(n))
					h.clock.Advance(3 * time.Second) // leases run out now and then
				}
			})
		}
		wg.Wait()
		done.Store(true)
		steppers.Wait()
		h.clock.Advance(time.Minute)
		for {
			n, err := h.seq.Step(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if placed.Add(int64(n)); n == 0 {
				break
			}
		}
		if got := h.check(); got != writers*each || placed.Load() != writers*each {
			t.Errorf("published %d, placed %d; want %d", got, placed.Load(), writers*each)
		}
	})
}

// TestFrozenLeaderCannotWrite stops the leader at each point before a write,
// lets another take over and go on, and wakes the first.
func TestFrozenLeaderCannotWrite(t *testing.T) {
	for _, point := range []string{failpoint.AuditSequenceBeforeCommit, failpoint.AuditSequenceAfterCommit, failpoint.AuditCheckpointBeforeSave} {
		for _, more := range []int{0, 3} { // the new leader finds new entries or none
			t.Run(fmt.Sprintf("%s/more=%d", point, more), func(t *testing.T) {
				each(t, func(t *testing.T, h *harness) {
					other := newHarness2(t, h)
					h.appendN(3)
					h.step(3)
					other.published, other.notes = nil, nil
					if _, err := other.seq.Step(t.Context()); !errors.Is(err, audit.ErrNotLeader) {
						t.Fatalf("second node while the first leads: got %v, want ErrNotLeader", err)
					}
					h.appendN(4)
					frozen := true
					disarm := failpoint.Arm(point, func() error {
						if !frozen {
							return nil // the other node passes here too
						}
						frozen = false
						h.appendN(more)
						h.clock.Advance(time.Minute)
						other.appendNoAdvance()
						_, err := other.seq.Step(t.Context())
						return err
					})
					_, err := h.seq.Step(t.Context())
					disarm()
					if frozen || !errors.Is(err, audit.ErrNotLeader) {
						t.Errorf("woken leader: got %v, want ErrNotLeader", err)
					}
					if _, err := h.seq.Step(t.Context()); !errors.Is(err, audit.ErrNotLeader) {
						t.Errorf("again: got %v, want ErrNotLeader", err)
					}
					if got := h.check(); got != int64(8+more) {
						t.Errorf("size %d, want %d", got, 8+more)
					}
					h.clock.Advance(time.Minute) // and it can lead again
					h.appendN(1)
					h.step(1)
					if got := h.check(); got != int64(9+more) {
						t.Errorf("size %d, want %d", got, 9+more)
					}
				})
			})
		}
	}
}

func (h *harness) appendNoAdvance() { h.append(event(0)) }

func TestNewSequencerRefuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		h.appendN(1)
		h.step(1)
		for name, c := range map[string]struct {
			change func(*audit.SequencerConfig)
			want   error
		}{
			"other origin":  {func(c *audit.SequencerConfig) { c.Origin = "other.example/log"; c.HighWater = "" }, audit.ErrOrigin},
			"other key":     {func(c *audit.SequencerConfig) { c.Signer = testKey(2); c.HighWater = "" }, audit.ErrKey},
			"origin with +": {func(c *audit.SequencerConfig) { c.Origin = "a+b" }, logverify.ErrOrigin},
		} {
			cfg := h.cfg
			c.change(&cfg)
			if _, err := audit.NewSequencer(t.Context(), cfg); !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
		}
		if _, err := audit.NewSequencer(t.Context(), audit.SequencerConfig{}); err == nil {
			t.Error("zero configuration accepted")
		}
		// A sequencer of the former configuration must stop once the log moved on.
		old := h.seq
		cfg := h.cfg
		cfg.Origin = "suti.example/log2"
		h.clock.Advance(time.Minute)
		if _, err := audit.Reopen(t.Context(), cfg, nil); err != nil {
			t.Fatal(err)
		}
		h.clock.Advance(time.Minute)
		if _, err := old.Step(t.Context()); !errors.Is(err, audit.ErrOrigin) {
			t.Errorf("old sequencer after Reopen: got %v, want ErrOrigin", err)
		}
	})
}

func TestRunStopsForAnOperatorAndGivesUpTheLead(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		tick := make(chan time.Time)
		audit.SetTick(&h.cfg, tick)
		h.cfg.Batch = 2
		h.restart()
		h.appendN(5)
		ctx, cancel := context.WithCancel(t.Context())
		end := make(chan error, 1)
		go func() { end <- h.seq.Run(ctx) }()
		tick <- time.Time{} // taken when Run waits: after the full batches, without waiting in between
		tick <- time.Time{}
		if _, cp, err := h.log.Latest(t.Context()); err != nil || cp.Size != 5 {
			t.Errorf("after Run began: %+v, %v, want size 5", cp, err)
		}
		cancel()
		if err := <-end; err != nil {
			t.Errorf("cancelled Run: %v", err)
		}
		other := newHarness2(t, h)
		other.step(0) // at once: the lease was given up
		// A condition that needs an operator ends Run with its error.
		h.clock.Advance(time.Minute)
		h.exec(1, `UPDATE audit_log SET root = $1`, make([]byte, 32))
		if err := other.seq.Run(t.Context()); !errors.Is(err, audit.ErrRolledBack) && !errors.Is(err, audit.ErrCorrupt) {
			t.Errorf("Run on a changed head: got %v", err)
		}
	})
}

// wrongSigner shows one key and signs with another, as a faulty device might.
type wrongSigner struct{ crypto.Signer }

func (wrongSigner) Sign(r io.Reader, msg []byte, o crypto.SignerOpts) ([]byte, error) {
	return testKey(2).Sign(r, msg, o)
}

func TestASignatureByTheWrongKeyIsNotPublished(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		h.cfg.Signer = wrongSigner{testKey(1)}
		h.restart()
		h.appendN(1)
		if n, err := h.seq.Step(t.Context()); n != 1 || !errors.Is(err, logverify.ErrSignature) {
			t.Errorf("Step = %d, %v; want ErrSignature", n, err)
		}
		if _, _, err := h.log.Latest(t.Context()); !errors.Is(err, audit.ErrPending) {
			t.Errorf("published: %v", err)
		}
		if _, err := os.Stat(h.cfg.HighWater); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("high-water file: %v, want none", err)
		}
		ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		h.cfg.Signer = ec
		if _, err := audit.NewSequencer(t.Context(), h.cfg); !errors.Is(err, audit.ErrKey) {
			t.Errorf("ECDSA key: got %v, want ErrKey", err)
		}
	})
}

func TestPreparedDoesNotPrintItsSalts(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.URL(t, db.SQLite), nil)
	p := h.prepare(event(1))
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("x", "entry", p)
	for _, s := range []string{fmt.Sprint(p), fmt.Sprintf("%+v", p), b.String()} {
		if !strings.Contains(s, p.ID()) || strings.Contains(s, "cli_portal") || len(s) > 200 {
			t.Errorf("printed as %q", s)
		}
	}
}
