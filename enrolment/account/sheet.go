package account

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// The way to enter by password and code sheet, in four steps: a registrar
// has the password typed; an act, approved by a second member of staff, makes an
// order of it; somebody who is not that registrar prints the sheet, closed; and
// who printed it sees the person open it. Until then nobody enters with it.

const (
	// SheetLifetime is how long a closed sheet waits to be opened.
	SheetLifetime = 60 * 24 * time.Hour
	// maxWrongWords void a closed sheet.
	maxWrongWords = 5
	wordLength    = 6
	// wordAlphabet has no vowels, and nothing that reads like something else.
	wordAlphabet = "BCDFGHJKMNPQRSTVWXZ23456789"
)

// Errors of a closed sheet.
var (
	// ErrWord reports a word that does not stand inside it.
	ErrWord = errors.New("account: not the word inside the sheet")
	// ErrPrinter reports somebody who did not print it: whether it came closed
	// knows who closed it, and anybody else could have opened it on its way.
	ErrPrinter = errors.New("account: only who printed the sheet sees it opened")
)

// Sheet is a printed code sheet: Number stands outside, the rest inside.
type Sheet struct {
	Number string
	Word   string
	Cells  []Cell
}

type sheet struct{ id, word string }

func newWord() string {
	var b strings.Builder
	for b.Len() < wordLength {
		var r [1]byte
		_, _ = rand.Read(r[:]) // never fails (Go 1.24)
		if int(r[0]) < 256/len(wordAlphabet)*len(wordAlphabet) {
			b.WriteByte(wordAlphabet[int(r[0])%len(wordAlphabet)])
		}
	}
	return b.String()
}

func (s *Service) wordHash(card, word string) []byte {
	m := hmac.New(sha256.New, s.pepper)
	m.Write([]byte("suti/card-word/v1\x00" + card + "\x00" + word))
	return m.Sum(nil)
}

// sheetNumber is what stands outside a sheet: the end of its id, in capitals.
func sheetNumber(card string) string { return strings.ToUpper(card[len(card)-6:]) }

// AskCard takes the password that a person types at a counter, for the act of
// enrolment of a ticket; allowed runs in the same transaction. Nothing counts
// before that act is approved ([OrderCard]).
func (s *Service) AskCard(ctx context.Context, b Basis, registrar, person identity.PersonID, ticket, password string, allowed func(*db.Tx) error) error {
	hash, err := s.newPassword(ctx, password)
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.card.asked", Subject: person, Actor: string(registrar), Object: ticket, Outcome: audit.OutcomeOK})
	if err != nil {
		return err
	}
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := cardStep(tx, person, machine.AskCard, b); err != nil {
			return err
		}
		if err := allowed(tx); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO enrolment_card_order (ticket, person, hash, ordered_by, asked_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (ticket) DO UPDATE SET hash = excluded.hash, ordered_by = excluded.ordered_by, asked_at = excluded.asked_at`,
			ticket, string(person), hash, string(registrar), db.Micros(now)); err != nil {
			return err
		}
		_, err := s.cfg.Audit.Append(tx, entry)
		return err
	})
	if db.IsConstraint(err, db.ForeignKey) {
		return ErrUnknown
	}
	return err
}

// OrderCard makes an order of what was asked for with a ticket, in the transaction
// that approves its act: what the person entered with by card is void, and the
// password that she typed counts with the sheet that will be printed.
func OrderCard(tx *db.Tx, b Basis, person identity.PersonID, ticket string, registrar identity.PersonID, now time.Time) error {
	if _, err := cardStep(tx, person, machine.OrderCard, b); err != nil {
		return err
	}
	if err := voidAll(tx, person, ticket, now); err != nil {
		return err
	}
	var hash string
	err := tx.QueryRow(`UPDATE enrolment_card_order SET ordered_at = $4 WHERE ticket = $1 AND person = $2 AND ordered_by = $3 AND ordered_at IS NULL RETURNING hash`,
		ticket, string(person), string(registrar), db.Micros(now)).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%w: no password was typed before that registrar", ErrState)
	}
	if err != nil {
		return err
	}
	return putPassword(tx, person, hash, now)
}

// VoidCard makes worthless what a person enters with by card, in the transaction
// that replaces it; what was asked for with the given ticket stays.
func VoidCard(tx *db.Tx, b Basis, person identity.PersonID, ticket string, now time.Time) error {
	if _, err := cardStep(tx, person, machine.VoidCard, b); err != nil {
		return err
	}
	return voidAll(tx, person, ticket, now)
}

// voidAll voids sheet, password and orders, but for what was asked for with one ticket.
func voidAll(tx *db.Tx, person identity.PersonID, but string, now time.Time) error {
	if err := voidSheet(tx, person, now); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM enrolment_password WHERE person = $1`, string(person)); err != nil {
		return err
	}
	_, err := tx.Exec(`DELETE FROM enrolment_card_order WHERE person = $1 AND ticket <> $2`, string(person), but)
	return err
}

func voidSheet(tx *db.Tx, person identity.PersonID, now time.Time) error {
	_, err := tx.Exec(`UPDATE enrolment_card SET voided_at = $2 WHERE person = $1 AND voided_at IS NULL`, string(person), db.Micros(now))
	return err
}

// Order is a sheet that is to be printed, or was printed and is closed.
type Order struct {
	Person    identity.PersonID
	OrderedBy identity.PersonID
	At        time.Time
	// Number, Printed and PrintedBy are of the closed sheet; empty before it is printed.
	Number    string
	Printed   time.Time
	PrintedBy identity.PersonID
}

const orderColumns = `o.person, o.ordered_by, o.ordered_at, coalesce(c.id, ''), coalesce(c.created_at, 0), coalesce(c.printed_by, '')`

func scanOrder(scan func(...any) error) (o Order, err error) {
	var at, printed int64
	var card string
	if err = scan(&o.Person, &o.OrderedBy, &at, &card, &printed, &o.PrintedBy); err != nil {
		return o, err
	}
	o.At = db.Time(at)
	if card != "" {
		o.Number, o.Printed = sheetNumber(card), db.Time(printed)
	}
	return o, nil
}

// Orders lists the orders that are not done, the oldest first, at most limit.
func Orders(q db.Querier, limit int) ([]Order, error) {
	rows, err := q.Query(`SELECT `+orderColumns+` FROM enrolment_card_order o LEFT JOIN enrolment_card c ON c.person = o.person AND c.voided_at IS NULL
		WHERE o.ordered_at IS NOT NULL ORDER BY o.ordered_at, o.ticket LIMIT $1`, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Order
	for rows.Next() {
		o, err := scanOrder(rows.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, rows.Err()
}

// OrderOf returns the order of a person that is not done, or ErrUnknown.
func OrderOf(q db.Querier, person identity.PersonID) (Order, error) {
	o, err := scanOrder(q.QueryRow(`SELECT `+orderColumns+` FROM enrolment_card_order o LEFT JOIN enrolment_card c ON c.person = o.person AND c.voided_at IS NULL
		WHERE o.person = $1 AND o.ordered_at IS NOT NULL`, string(person)).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrUnknown
	}
	return o, err
}

// PrintSheet makes the closed sheet of an order and voids one that was printed
// before. What stands in it is returned once; only hashes are kept.
func (s *Service) PrintSheet(ctx context.Context, b Basis, by, person identity.PersonID) (Sheet, error) {
	cells, made, err := s.print(ctx, b, string(by), person, DefaultCells)
	if err != nil {
		return Sheet{}, err
	}
	return Sheet{Number: sheetNumber(made.id), Word: made.word, Cells: cells}, nil
}

// OpenSheet makes a closed sheet count, on the word that the person read out of
// it. ErrWord for another word; the fifth voids the sheet, which is then printed
// again.
func (s *Service) OpenSheet(ctx context.Context, b Basis, by, person identity.PersonID, word string) error {
	now := s.cfg.Now()
	opened, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.card.opened", Subject: person, Actor: string(by), Object: string(person), Outcome: audit.OutcomeOK})
	if err != nil {
		return err
	}
	refused, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.card.refused", Subject: person, Actor: string(by), Object: string(person), Outcome: "word"})
	if err != nil {
		return err
	}
	word = strings.ToUpper(strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, word))
	wrong := false
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		wrong = false
		if _, err := cardStep(tx, person, machine.OpenCard, b); err != nil {
			return err
		}
		var id, printedBy string
		var want []byte
		var tries, created int64
		if err := tx.QueryRow(`SELECT id, word, wrong, created_at, printed_by FROM enrolment_card WHERE person = $1 AND voided_at IS NULL`, string(person)).Scan(&id, &want, &tries, &created, &printedBy); err != nil {
			return err
		}
		if printedBy != string(by) {
			return ErrPrinter
		}
		if !now.Before(db.Time(created).Add(SheetLifetime)) {
			return fmt.Errorf("%w: the sheet is too old", ErrState)
		}
		if subtle.ConstantTimeCompare(want, s.wordHash(id, word)) != 1 {
			if wrong = true; tries+1 >= maxWrongWords {
				if err := voidSheet(tx, person, now); err != nil {
					return err
				}
				_, err := s.cfg.Audit.Append(tx, refused)
				return err
			}
			_, err := tx.Exec(`UPDATE enrolment_card SET wrong = wrong + 1 WHERE id = $1`, id)
			return err
		}
		n, err := tx.Exec(`UPDATE enrolment_card SET opened_at = $2 WHERE id = $1 AND opened_at IS NULL AND voided_at IS NULL`, id, db.Micros(now))
		if err == nil && n == 0 {
			err = ErrState
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`DELETE FROM enrolment_card_order WHERE person = $1 AND ordered_at IS NOT NULL`, string(person)); err != nil {
			return err
		}
		_, err = s.cfg.Audit.Append(tx, opened)
		return err
	})
	if err == nil && wrong {
		err = ErrWord
	}
	return err
}

// RefuseSheet voids a closed sheet that came open, or never; the order stands.
func (s *Service) RefuseSheet(ctx context.Context, b Basis, by, person identity.PersonID) error {
	now := s.cfg.Now()
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.card.refused", Subject: person, Actor: string(by), Object: string(person), Outcome: "open"})
	if err != nil {
		return err
	}
	return s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := cardStep(tx, person, machine.RefuseCard, b); err != nil {
			return err
		}
		if err := voidSheet(tx, person, now); err != nil {
			return err
		}
		_, err := s.cfg.Audit.Append(tx, entry)
		return err
	})
}
