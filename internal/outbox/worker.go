package outbox

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
)

// Handler carries out a message. It MUST be idempotent. ctx ends at half of the
// lease; the other half is the margin for clocks that differ between nodes.
type Handler func(ctx context.Context, m Message) error

// Config configures [New]. DB and Handlers are required.
type Config struct {
	DB *db.DB
	// Handlers by topic. Messages of other topics are left alone.
	Handlers map[string]Handler
	// GivenUp, by topic, is called in the transaction that makes a message a dead
	// letter. An error of it leaves the message to be tried again.
	GivenUp map[string]func(tx *db.Tx, m Message) error
	// Lease is how long a claimed message belongs to a worker; default 1 min.
	Lease time.Duration
	// Backoff is the wait after the nth failed attempt, n from 1; default
	// Exponential(1 s, 15 min, nil).
	Backoff func(attempt int) time.Duration
	// MaxAttempts is how often a message is tried before it becomes a dead
	// letter; default 120, which with the default Backoff is more than a day.
	MaxAttempts int
	// Concurrency bounds the messages handled at a time; default 4.
	Concurrency int
	// Poll is the pause between looks for due messages in Run; default 250 ms.
	Poll   time.Duration
	Logger *slog.Logger
	Now    func() time.Time
}

// Exponential doubles from first up to most, and takes a random point of the
// upper half: random returns [0, 1); nil means the default source.
func Exponential(first, most time.Duration, random func() float64) func(attempt int) time.Duration {
	if random == nil {
		random = mathrand.Float64
	}
	return func(attempt int) time.Duration {
		w := first
		for i := 1; i < attempt && w < most; i++ {
			w *= 2
		}
		w = min(w, most)
		return w/2 + time.Duration(random()*float64(w/2))
	}
}

// Worker delivers messages. Any number of workers may run on one database.
type Worker struct {
	cfg    Config
	topics []string
	wake   chan struct{}
	steps  sync.RWMutex // read-held by each step under way
}

// New checks c and returns a worker.
func New(c Config) (*Worker, error) {
	if c.DB == nil || len(c.Handlers) == 0 {
		return nil, errors.New("outbox: worker needs a DB and handlers")
	}
	w := &Worker{wake: make(chan struct{}, 1)}
	for topic, h := range c.Handlers {
		if topic == "" || len(topic) > maxTopic || h == nil {
			return nil, fmt.Errorf("outbox: bad handler for topic %q", topic)
		}
		w.topics = append(w.topics, topic)
	}
	slices.Sort(w.topics)
	if c.Lease <= 0 {
		c.Lease = time.Minute
	}
	if c.Backoff == nil {
		c.Backoff = Exponential(time.Second, 15*time.Minute, nil)
	}
	if c.MaxAttempts <= 0 {
		c.MaxAttempts = 120
	}
	if c.Concurrency <= 0 {
		c.Concurrency = 4
	}
	if c.Poll <= 0 {
		c.Poll = 250 * time.Millisecond
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	w.cfg = c
	return w, nil
}

// Nudge makes Run look at once: for the process that has just put a message.
func (w *Worker) Nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Run delivers until ctx ends. Handlers running then see ctx end; what they
// leave undone is put back without counting the attempt.
func (w *Worker) Run(ctx context.Context) {
	for ctx.Err() == nil {
		n, err := w.Step(ctx)
		if err != nil && ctx.Err() == nil {
			w.cfg.Logger.WarnContext(ctx, "outbox step failed", "error", err)
		}
		if n > 0 && err == nil {
			continue
		}
		pause := time.NewTimer(w.cfg.Poll)
		select {
		case <-ctx.Done():
		case <-w.wake:
		case <-pause.C:
		}
		pause.Stop()
	}
}

// Step claims up to Concurrency due messages, handles them and records the
// outcomes. It returns the number claimed; 0 means that nothing is due. A
// handler's failure is recorded and is not an error of Step; err reports
// messages whose outcome could not be recorded, which will be delivered again.
func (w *Worker) Step(ctx context.Context) (n int, err error) {
	w.steps.RLock()
	defer w.steps.RUnlock()
	due, err := w.due(ctx)
	if err != nil || !due {
		return 0, err
	}
	batch, claim, err := w.claim(ctx)
	if err != nil {
		return 0, err
	}
	errs := make([]error, len(batch))
	var wg sync.WaitGroup
	for i, m := range batch {
		wg.Go(func() { errs[i] = w.deliver(ctx, m, claim) })
	}
	wg.Wait()
	return len(batch), errors.Join(errs...)
}

// Quiet waits until no step of this worker is under way and reports whether
// nothing is due then: all that could be delivered was. For a program that runs
// Run beside and must see the effects.
func (w *Worker) Quiet(ctx context.Context) (bool, error) {
	w.steps.Lock()
	defer w.steps.Unlock()
	due, err := w.due(ctx)
	return !due, err
}

// dueSQL must hold of a claimed message at time $1. It appears inside and
// outside the sub-query: inside to choose, outside because PostgreSQL checks
// only the outer one again after it has waited for another worker's claim.
const dueSQL = `dead_at = 0 AND due_at <= $1`

// chosenSQL also keeps the order of a key: nothing older of it may be left.
const chosenSQL = ` FROM outbox_message AS m WHERE m.dead_at = 0 AND m.due_at <= $1 AND (m.key = '' OR NOT EXISTS
	(SELECT 1 FROM outbox_message AS e WHERE e.topic = m.topic AND e.key = m.key AND e.seq < m.seq AND e.dead_at = 0))
	AND m.topic IN (`

func (w *Worker) topicArgs(args []any) ([]any, string) {
	marks := make([]string, len(w.topics))
	for i, t := range w.topics {
		args = append(args, t)
		marks[i] = "$" + strconv.Itoa(len(args))
	}
	return args, strings.Join(marks, ", ")
}

// due looks on the read pool, so that an idle worker writes nothing.
func (w *Worker) due(ctx context.Context) (bool, error) {
	args, marks := w.topicArgs([]any{db.Micros(w.cfg.Now())})
	var one int
	err := w.cfg.DB.QueryRow(ctx, `SELECT 1`+chosenSQL+marks+`) LIMIT 1`, args...).Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for due messages: %w", err)
	}
	return true, nil
}

func (w *Worker) claim(ctx context.Context) (batch []Message, claim string, err error) {
	claim = rand.Text()
	err = w.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		batch = nil
		now := w.cfg.Now()
		args, marks := w.topicArgs([]any{db.Micros(now), db.Micros(now.Add(w.cfg.Lease)), claim, w.cfg.Concurrency})
		rows, err := tx.Query(`UPDATE outbox_message SET due_at = $2, claim = $3, attempts = attempts + 1
			WHERE `+dueSQL+` AND id IN (SELECT m.id`+chosenSQL+marks+`) ORDER BY m.due_at, m.id LIMIT $4)
			RETURNING id, topic, key, payload, created_at, attempts`, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var m Message
			var created int64
			if err := rows.Scan(&m.ID, &m.Topic, &m.Key, &m.Payload, &created, &m.Attempt); err != nil {
				return err
			}
			m.CreatedAt = db.Time(created)
			batch = append(batch, m)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, "", fmt.Errorf("claim messages: %w", err)
	}
	return batch, claim, nil
}

// deliver hands one message to its handler and records the outcome.
func (w *Worker) deliver(ctx context.Context, m Message, claim string) error {
	if err := failpoint.Hit(failpoint.OutboxBeforeHandle); err != nil {
		return err // as if the process had ended here: the lease runs out
	}
	if m.Attempt > w.cfg.MaxAttempts {
		// Its last attempt left no outcome: it may be what ended the process.
		return w.bury(ctx, m, claim, errors.New("lease ran out on the last attempt"))
	}
	failed := w.handle(ctx, m)
	if err := failpoint.Hit(failpoint.OutboxAfterHandle); err != nil {
		return err
	}
	switch {
	case failed == nil:
		return w.settle(ctx, `DELETE FROM outbox_message WHERE id = $1 AND claim = $2`, m.ID, claim)
	case ctx.Err() != nil: // the worker is stopping
		return w.settle(ctx, `UPDATE outbox_message SET claim = '', due_at = $3, attempts = attempts - 1
			WHERE id = $1 AND claim = $2`, m.ID, claim, db.Micros(w.cfg.Now()))
	case errors.Is(failed, ErrPermanent), m.Attempt >= w.cfg.MaxAttempts:
		return w.bury(ctx, m, claim, failed)
	}
	wait := w.cfg.Backoff(m.Attempt)
	w.cfg.Logger.WarnContext(ctx, "outbox handler failed", "topic", m.Topic, "message_id", m.ID, "attempt", m.Attempt,
		"retry_in", wait.String(), "error", failed)
	return w.settle(ctx, `UPDATE outbox_message SET claim = '', due_at = $3, last_error = $4 WHERE id = $1 AND claim = $2`,
		m.ID, claim, db.Micros(w.cfg.Now().Add(wait)), errorText(failed))
}

func (w *Worker) bury(ctx context.Context, m Message, claim string, cause error) error {
	w.cfg.Logger.ErrorContext(ctx, "outbox message given up", "topic", m.Topic, "message_id", m.ID, "attempt", m.Attempt, "error", cause)
	return w.write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec(`UPDATE outbox_message SET claim = '', dead_at = $3, last_error = $4 WHERE id = $1 AND claim = $2`,
			m.ID, claim, db.Micros(w.cfg.Now()), errorText(cause))
		if hook := w.cfg.GivenUp[m.Topic]; err == nil && n == 1 && hook != nil {
			err = hook(tx, m)
		}
		return err
	})
}

// errPanic reports a handler that panicked.
var errPanic = errors.New("outbox: handler panicked")

// handle runs the handler within half the lease, whatever it does.
func (w *Worker) handle(ctx context.Context, m Message) (err error) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Lease/2)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			w.cfg.Logger.ErrorContext(ctx, "outbox handler panicked", "topic", m.Topic, "message_id", m.ID,
				"panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return w.cfg.Handlers[m.Topic](ctx, m)
}

// settle records an outcome if the message is still this worker's. It does not
// follow the caller's cancellation: the handler's effect has taken place.
func (w *Worker) settle(ctx context.Context, q string, args ...any) error {
	return w.write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(q, args...) // no row: the lease ran out and another worker has it
		return err
	})
}

func (w *Worker) write(ctx context.Context, fn func(*db.Tx) error) error {
	if err := w.cfg.DB.Write(context.WithoutCancel(ctx), fn); err != nil {
		return fmt.Errorf("record outcome of message: %w", err)
	}
	return nil
}

// maxError bounds the error text kept with a message, in bytes.
const maxError = 500

// errorText is err as text that both engines store.
func errorText(err error) string {
	s := strings.ReplaceAll(strings.ToValidUTF8(err.Error(), "?"), "\x00", "?")
	if len(s) > maxError {
		s = strings.ToValidUTF8(s[:maxError], "")
	}
	return s
}
