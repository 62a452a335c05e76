// Package subject owns the epoch of every person: the one number that decides
// whether what was granted to a person still holds.
//
// Whatever ends or changes a person's rights (suspension, recovery, the end of
// an appointment, death) commits together with epoch+1, in one transaction with
// its cause and its outbox messages (design D16). Whatever is granted (session,
// token, pending signature) records the epoch it was granted under and is valid
// only while that is the current one. Effects elsewhere may come late; validity
// does not wait for them.
//
// Invariants: the epoch of a person rises by exactly 1 per change and never
// falls; each change is in the feed, and the order of the feed is the order of
// the commits, so a reader that has seen sequence n will never find a new
// change at or below n; a write that called [Require] commits before any later
// bump of that person.
//
// Any context may read and join the table subject. Only enrolment/account calls
// [Create], [Bump], [BumpFrom] and [Advance].
package subject

import (
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations is the line of this package.
var Migrations = db.Line{Name: "subject", FS: files}

// State is the standing of a person. Only Active people can do anything.
type State string

// The states. Closed is final. Deceased can be left only for Suspended, to
// correct a mistaken report.
const (
	Active     State = "active"
	Suspended  State = "suspended"
	Recovering State = "recovering"
	Closed     State = "closed"
	Deceased   State = "deceased"
)

// sources lists, for each state, the states it may be entered from. Staying is
// always allowed: that is a bump without a change of state.
func sources(to State) []State {
	switch to {
	case Active, Recovering:
		return []State{Active, Suspended, Recovering}
	case Suspended:
		return []State{Active, Suspended, Recovering, Deceased}
	case Closed:
		return []State{Active, Suspended, Recovering, Deceased, Closed}
	case Deceased:
		return []State{Active, Suspended, Recovering, Closed, Deceased}
	}
	return nil
}

// Valid reports whether s is a known state.
func (s State) Valid() bool { return sources(s) != nil }

// Epoch counts the changes of a person's standing, from 1.
type Epoch int64

// Subject is a person's present standing.
type Subject struct {
	Person identity.PersonID
	Epoch  Epoch
	State  State
}

// Errors that callers branch on.
var (
	// ErrUnknown reports a person without a subject row.
	ErrUnknown = errors.New("subject: unknown person")
	// ErrExists reports a second Create for a person.
	ErrExists = errors.New("subject: person exists")
	// ErrStale reports an epoch that is not the current one.
	ErrStale = errors.New("subject: epoch is not current")
	// ErrNotActive reports a person in another state than Active.
	ErrNotActive = errors.New("subject: person is not active")
	// ErrTransition reports a change of state that is not allowed.
	ErrTransition = errors.New("subject: change of state not allowed")
	// ErrCause reports a cause that is empty or longer than 100 bytes.
	ErrCause = errors.New("subject: cause missing or too long")
)

// maxCause bounds a cause, in bytes.
const maxCause = 100

// Create adds a person with epoch 1. It returns ErrExists for a known person,
// identity.ErrID for a malformed identifier and ErrTransition for a state in
// which nobody can begin.
func Create(tx *db.Tx, person identity.PersonID, state State, now time.Time) error {
	if err := identity.CheckID(identity.PrefixPerson, string(person)); err != nil {
		return err
	}
	if state != Active && state != Suspended {
		return fmt.Errorf("%w: cannot begin as %q", ErrTransition, string(state))
	}
	seq, err := nextSeq(tx)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`INSERT INTO subject (person, epoch, state, changed_at) VALUES ($1, 1, $2, $3)
		ON CONFLICT (person) DO NOTHING`, person, state, db.Micros(now))
	if err != nil {
		return fmt.Errorf("create subject: %w", err)
	}
	if n != 1 {
		return ErrExists
	}
	return record(tx, seq, Subject{person, 1, state}, "created", now)
}

// Bump moves a person to a state (which may be the present one) and raises the
// epoch by 1. cause is a dotted word for the feed and must hold no personal
// datum. It returns the new epoch, or ErrUnknown, ErrTransition, ErrCause.
func Bump(tx *db.Tx, person identity.PersonID, state State, cause string, now time.Time) (Epoch, error) {
	return bump(tx, person, state, 0, cause, now)
}

// BumpFrom is Bump for a decision taken on a known epoch: it returns ErrStale
// if that is no longer current.
func BumpFrom(tx *db.Tx, person identity.PersonID, from Epoch, state State, cause string, now time.Time) (Epoch, error) {
	if from < 1 {
		return 0, ErrStale
	}
	return bump(tx, person, state, from, cause, now)
}

func bump(tx *db.Tx, person identity.PersonID, state State, from Epoch, cause string, now time.Time) (Epoch, error) {
	if cause == "" || len(cause) > maxCause {
		return 0, ErrCause
	}
	if !state.Valid() {
		return 0, fmt.Errorf("%w: unknown state", ErrTransition)
	}
	seq, err := nextSeq(tx)
	if err != nil {
		return 0, err
	}
	args := []any{person, state, db.Micros(now)}
	q := `UPDATE subject SET epoch = epoch + 1, state = $2, changed_at = $3 WHERE person = $1`
	if from > 0 {
		args = append(args, from)
		q += ` AND epoch = $` + strconv.Itoa(len(args))
	}
	marks := make([]string, 0, len(sources(state)))
	for _, s := range sources(state) {
		args = append(args, s)
		marks = append(marks, "$"+strconv.Itoa(len(args)))
	}
	q += ` AND state IN (` + strings.Join(marks, ", ") + `) RETURNING epoch`
	var epoch Epoch
	err = tx.QueryRow(q, args...).Scan(&epoch)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, refusal(tx, person, state, from)
	}
	if err != nil {
		return 0, fmt.Errorf("bump subject: %w", err)
	}
	return epoch, record(tx, seq, Subject{person, epoch, state}, cause, now)
}

// refusal says why no row was changed.
func refusal(tx *db.Tx, person identity.PersonID, to State, from Epoch) error {
	cur, err := Current(tx, person)
	switch {
	case err != nil:
		return err
	case from > 0 && cur.Epoch != from:
		return ErrStale
	case !slices.Contains(sources(to), cur.State):
		return fmt.Errorf("%w: from %s to %s", ErrTransition, cur.State, to)
	}
	return ErrStale // it changed between the two statements
}

// Advance raises the epoch by 1 and leaves the state as it is, whatever it is:
// for causes that end rights without touching the account, such as the end of
// an appointment.
func Advance(tx *db.Tx, person identity.PersonID, cause string, now time.Time) (Epoch, error) {
	if cause == "" || len(cause) > maxCause {
		return 0, ErrCause
	}
	seq, err := nextSeq(tx)
	if err != nil {
		return 0, err
	}
	s := Subject{Person: person}
	err = tx.QueryRow(`UPDATE subject SET epoch = epoch + 1, changed_at = $2 WHERE person = $1 RETURNING epoch, state`,
		person, db.Micros(now)).Scan(&s.Epoch, &s.State)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, ErrUnknown
	}
	if err != nil {
		return 0, fmt.Errorf("advance subject: %w", err)
	}
	return s.Epoch, record(tx, seq, s, cause, now)
}

// nextSeq takes the next place in the feed. It comes before any other
// statement of a change: all changes then lock in the same order.
func nextSeq(tx *db.Tx) (Seq, error) {
	var seq Seq
	if err := tx.QueryRow(`UPDATE subject_feed SET last = last + 1 WHERE id = 1 RETURNING last`).Scan(&seq); err != nil {
		return 0, fmt.Errorf("next place in subject feed: %w", err)
	}
	return seq, nil
}

func record(tx *db.Tx, seq Seq, s Subject, cause string, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO subject_change (seq, person, epoch, state, cause, at) VALUES ($1, $2, $3, $4, $5, $6)`,
		seq, s.Person, s.Epoch, s.State, cause, db.Micros(now))
	if err != nil {
		return fmt.Errorf("record subject change: %w", err)
	}
	return nil
}

// Current returns a person's present standing, or ErrUnknown. Inside a write it
// protects nothing: use [Require] there.
func Current(q db.Querier, person identity.PersonID) (Subject, error) {
	return scanCurrent(q.QueryRow(`SELECT epoch, state FROM subject WHERE person = $1`, person), person)
}

func scanCurrent(row *sql.Row, person identity.PersonID) (Subject, error) {
	s := Subject{Person: person}
	err := row.Scan(&s.Epoch, &s.State)
	if errors.Is(err, sql.ErrNoRows) {
		return Subject{}, ErrUnknown
	}
	if err != nil {
		return Subject{}, fmt.Errorf("read subject: %w", err)
	}
	return s, nil
}

// Require makes a write depend on a person being Active at the given epoch: it
// returns ErrStale, ErrNotActive or ErrUnknown, or else keeps the row locked
// until the commit, so that a concurrent bump comes wholly after this write.
func Require(tx *db.Tx, person identity.PersonID, epoch Epoch) error {
	q := `SELECT epoch, state FROM subject WHERE person = $1`
	if tx.Engine() == db.Postgres {
		q += ` FOR SHARE` // SQLite has one writer
	}
	cur, err := scanCurrent(tx.QueryRow(q, person), person)
	switch {
	case err != nil:
		return err
	case cur.State != Active:
		return fmt.Errorf("%w: %s", ErrNotActive, cur.State)
	case cur.Epoch != epoch:
		return ErrStale
	}
	return nil
}
