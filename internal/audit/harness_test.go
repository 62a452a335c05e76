package audit_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
)

const testOrigin = "suti.example/log"

var errKeyErased = errors.New("test: key destroyed")

// clock is a time that moves only when told to.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 11, 24, 12, 0, 0, 123_456_000, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// keys is the least key store that keeps DataKeys' contract.
type keys struct {
	mu     sync.Mutex
	byName map[string]envelope.Key
	gone   map[string]bool
}

func newKeys() *keys { return &keys{byName: map[string]envelope.Key{}, gone: map[string]bool{}} }

func (k *keys) DataKey(_ context.Context, owner string) (envelope.Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.gone[owner] {
		return envelope.Key{}, fmt.Errorf("owner: %w", errKeyErased)
	}
	key, ok := k.byName[owner]
	if !ok {
		key = envelope.NewKey()
		k.byName[owner] = key
	}
	return key, nil
}

func (k *keys) destroy(owner identity.PersonID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.byName, string(owner))
	k.gone[string(owner)] = true
}

// harness is one node: a database handle, a log, a sequencer.
type harness struct {
	t     testing.TB
	url   string
	d     *db.DB
	clock *clock
	keys  *keys
	log   *audit.Log
	seq   *audit.Sequencer
	cfg   audit.SequencerConfig

	published []logverify.Checkpoint // all checkpoints ever seen, in order
	notes     [][]byte
}

func testKey(n byte) ed25519.PrivateKey {
	sum := sha256.Sum256([]byte{n})
	return ed25519.NewKeyFromSeed(sum[:])
}

func vkeyOf(t testing.TB, origin string, key crypto.Signer) string {
	t.Helper()
	v, err := logverify.VerifierKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var lines = []db.Line{audit.Migrations}

// each runs fn on both engines with a node that has a log and a sequencer.
func each(t *testing.T, fn func(t *testing.T, h *harness)) {
	t.Helper()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			fn(t, newHarness(t, dbtest.URL(t, e), nil))
		})
	}
}

// newHarness opens a node on the database at url. A second node passes the
// first, and so shares its clock and keys.
func newHarness(t testing.TB, url string, first *harness) *harness {
	t.Helper()
	h := &harness{t: t, url: url, clock: newClock(), keys: newKeys()}
	if first != nil {
		h.clock, h.keys = first.clock, first.keys
	}
	h.d = dbtest.OpenConfig(t, db.Config{URL: url, Now: h.clock.Now})
	if err := h.d.Migrate(t.Context(), lines...); err != nil {
		t.Fatal(err)
	}
	h.log = newLog(t, h.d, h.clock, h.keys)
	h.cfg = audit.SequencerConfig{
		Log: h.log, Signer: testKey(1), Origin: testOrigin, HighWater: filepath.Join(t.TempDir(), "high-water"),
		Lease: 10 * time.Second,
	}
	h.restart()
	return h
}

func newLog(t testing.TB, d *db.DB, c *clock, k *keys) *audit.Log {
	t.Helper()
	return newLogMaxAge(t, d, c, k, 0)
}

func newLogMaxAge(t testing.TB, d *db.DB, c *clock, k *keys, maxAge time.Duration) *audit.Log {
	t.Helper()
	l, err := audit.New(audit.Config{DB: d, Keys: k, Erased: errKeyErased, Now: c.Now, MaxAge: maxAge})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// restart makes a new sequencer, as a new process would.
func (h *harness) restart() {
	h.t.Helper()
	seq, err := audit.NewSequencer(h.t.Context(), h.cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	h.seq = seq
}

func person(n int) identity.PersonID {
	return identity.PersonID(fmt.Sprintf("per_%026d", n))
}

func event(n int) audit.Entry {
	return audit.Entry{
		Kind: "idp.login", Subject: person(n % 3), Actor: string(person(n % 3)), Client: "cli_portal",
		Institution: "ins_x", Purpose: "trámite", Outcome: audit.OutcomeOK, Object: fmt.Sprint("obj-", n),
		Payload: map[string]any{"n": n, "name": "María"},
	}
}

func (h *harness) prepare(e audit.Entry) *audit.Prepared {
	h.t.Helper()
	p, err := h.log.Prepare(h.t.Context(), e)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *harness) append(e audit.Entry) string {
	h.t.Helper()
	p := h.prepare(e)
	if err := h.appendPrepared(p); err != nil {
		h.t.Fatal(err)
	}
	return p.ID()
}

func (h *harness) appendPrepared(p *audit.Prepared) error {
	return h.d.Write(h.t.Context(), func(tx *db.Tx) error {
		id, err := h.log.Append(tx, p)
		if err == nil && id != p.ID() {
			return fmt.Errorf("Append returned id %q, want %q", id, p.ID())
		}
		return err
	})
}

func (h *harness) appendN(n int) []string {
	h.t.Helper()
	var ids []string
	for i := range n {
		h.clock.Advance(time.Millisecond)
		ids = append(ids, h.append(event(i)))
	}
	return ids
}

// step runs one Step that must succeed and place want entries.
func (h *harness) step(want int) {
	h.t.Helper()
	n, err := h.seq.Step(h.t.Context())
	if err != nil || n != want {
		h.t.Fatalf("Step = %d, %v; want %d", n, err, want)
	}
}

// check re-verifies every invariant: the database's own check, the published
// log read over HTTP by the offline verifier, and that the latest checkpoint
// extends every one seen before. It returns the size of the published tree.
func (h *harness) check() int64 {
	h.t.Helper()
	ctx := h.t.Context()
	r, err := h.log.Check(ctx, audit.CheckOptions{HighWater: h.cfg.HighWater})
	if err != nil {
		h.t.Fatalf("Check: %v", err)
	}
	for _, f := range r.Findings {
		h.t.Errorf("Check: %s", f)
	}
	note, cp, err := h.log.Latest(ctx)
	if errors.Is(err, audit.ErrPending) {
		return -1
	}
	if err != nil {
		h.t.Fatalf("Latest: %v", err)
	}
	if n := len(h.published); n == 0 || h.published[n-1] != cp {
		h.published = append(h.published, cp)
		h.notes = append(h.notes, note)
	}
	vkey := vkeyOf(h.t, cp.Origin, h.cfg.Signer)
	var earlier [][]byte
	for i, p := range h.published {
		if p.Origin == cp.Origin {
			earlier = append(earlier, h.notes[i])
		}
	}
	rep, err := logverify.VerifyLog(ctx, handlerSource{h.log.Handler(nil)}, logverify.LogOptions{Key: vkey, Earlier: earlier})
	if err != nil {
		h.t.Fatalf("VerifyLog: %v", err)
	}
	if rep.Checkpoint != cp || rep.Earlier != len(earlier) {
		h.t.Errorf("VerifyLog: got %+v, want %+v with %d earlier", rep, cp, len(earlier))
	}
	return cp.Size
}

// handlerSource reads a log through its HTTP handler.
type handlerSource struct{ h http.Handler }

func (s handlerSource) Fetch(ctx context.Context, path string, limit int64) ([]byte, error) {
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/log/"+path, nil))
	switch {
	case w.Code == http.StatusNotFound:
		return nil, fmt.Errorf("%w: %s", logverify.ErrNotFound, path)
	case w.Code != http.StatusOK:
		return nil, fmt.Errorf("status %d: %s", w.Code, strings.TrimSpace(w.Body.String()))
	case int64(w.Body.Len()) > limit:
		return nil, logverify.ErrTooLarge
	}
	return w.Body.Bytes(), nil
}

// exec changes the database behind the package's back.
func (h *harness) exec(want int64, q string, args ...any) {
	h.t.Helper()
	err := h.d.Write(h.t.Context(), func(tx *db.Tx) error {
		n, err := tx.Exec(q, args...)
		if err == nil && n != want {
			return fmt.Errorf("changed %d rows, want %d", n, want)
		}
		return err
	})
	if err != nil {
		h.t.Fatalf("%s: %v", q, err)
	}
}
