package account

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

// Rules of passwords and cards.
const (
	// DefaultCells is how many cells a printed card holds.
	DefaultCells = 40
	maxCells     = 10_000
	minPassword  = 8   // characters
	maxPassword  = 256 // bytes
	cellDigits   = 6
	// maxFailures failed tries within failureWindow throttle a login name. Only failures count.
	maxFailures   = 5
	failureWindow = time.Hour
	// challengeLifetime is how long a question for a cell waits.
	challengeLifetime = 10 * time.Minute
)

// Errors of password and card.
var (
	// ErrRefused reports a password and cell that do not prove the person; it never says which part was wrong.
	ErrRefused = errors.New("account: password or code refused")
	// ErrThrottled reports too many failures within the hour.
	ErrThrottled = errors.New("account: too many failed tries")
	// ErrPassword reports a password that may not be set.
	ErrPassword = errors.New("account: password must have 8 characters or more")
)

// Cell is one cell of a printed card.
type Cell struct {
	Number string // four digits, "0001"
	Code   string // six digits
}

// Basis is who asks for a card or a password, and on what evidence.
type Basis = machine.Basis

// Seeded is the basis of the people of a demonstration.
var Seeded = Basis{By: machine.Demo}

// cardState returns where password and code sheet of a person stand.
func cardState(q db.Querier, person identity.PersonID) (machine.State, error) {
	var live, opened, ordered int64
	if err := q.QueryRow(`SELECT count(*), count(opened_at) FROM enrolment_card WHERE person = $1 AND voided_at IS NULL`, string(person)).Scan(&live, &opened); err != nil {
		return "", err
	}
	if err := q.QueryRow(`SELECT count(*) FROM enrolment_card_order WHERE person = $1 AND ordered_at IS NOT NULL`, string(person)).Scan(&ordered); err != nil {
		return "", err
	}
	switch {
	case opened > 0:
		return machine.CardLive, nil
	case live > 0:
		return machine.CardPrinted, nil
	case ordered > 0:
		return machine.CardOrdered, nil
	}
	return machine.Nothing, nil
}

// cardStep asks the table of password and card whether a command is possible now.
func cardStep(q db.Querier, person identity.PersonID, do machine.Command, b Basis) (machine.Row, error) {
	state, err := cardState(q, person)
	if err != nil {
		return machine.Row{}, err
	}
	row, err := machine.Card.Next(state, do, b)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrState, err)
	}
	return row, err
}

// IssueCard makes an open code card for a person and voids the one before. The cells
// are returned once, to be printed; only their hashes are kept.
func (s *Service) IssueCard(ctx context.Context, b Basis, actor string, person identity.PersonID, cells int) ([]Cell, error) {
	out, _, err := s.print(ctx, b, actor, person, cells)
	return out, err
}

// print makes a code card, open or closed as the table says. word is what stands
// inside a closed one; serial is part of what stands outside.
func (s *Service) print(ctx context.Context, b Basis, actor string, person identity.PersonID, cells int) ([]Cell, sheet, error) {
	if cells <= 0 {
		cells = DefaultCells
	}
	if cells > maxCells {
		return nil, sheet{}, fmt.Errorf("account: a card holds at most %d cells", maxCells)
	}
	now := s.cfg.Now()
	made := sheet{id: identity.NewID("crd", now), word: newWord()}
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails (Go 1.24)
	out := make([]Cell, cells)
	hashes := make([][]byte, cells)
	for i := range out {
		n, err := rand.Int(rand.Reader, big.NewInt(1_000_000))
		if err != nil {
			return nil, made, err
		}
		out[i] = Cell{Number: fmt.Sprintf("%04d", i+1), Code: fmt.Sprintf("%0*d", cellDigits, n.Int64())}
		hashes[i] = s.cellHash(salt, int64(i+1), out[i].Code)
	}
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.card.issued", Subject: person, Actor: actor, Object: made.id, Outcome: "issued", Payload: map[string]any{"cells": cells}})
	if err != nil {
		return nil, made, err
	}
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		row, err := cardStep(tx, person, machine.PrintCard, b)
		if err != nil {
			return err
		}
		if row.Has(machine.CardVoided) {
			if err := voidSheet(tx, person, now); err != nil {
				return err
			}
		}
		opened := any(nil)
		if row.To == machine.CardLive {
			opened = db.Micros(now)
		}
		if _, err := tx.Exec(`INSERT INTO enrolment_card (id, person, salt, cells, created_at, printed_by, word, opened_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			made.id, string(person), salt, int64(cells), db.Micros(now), actor, s.wordHash(made.id, made.word), opened); err != nil {
			return err
		}
		if err := insertCells(tx, made.id, hashes); err != nil {
			return err
		}
		_, err = s.cfg.Audit.Append(tx, entry)
		return err
	})
	switch {
	case db.IsConstraint(err, db.ForeignKey):
		return nil, made, ErrUnknown
	case err != nil:
		return nil, made, err
	}
	return out, made, nil
}

// insertCells writes the cells in statements of a hundred rows.
func insertCells(tx *db.Tx, card string, hashes [][]byte) error {
	for at := 0; at < len(hashes); at += 100 {
		part := hashes[at:min(at+100, len(hashes))]
		var q strings.Builder
		q.WriteString(`INSERT INTO enrolment_card_cell (card, number, hash) VALUES `)
		args := []any{card}
		for i, h := range part {
			if i > 0 {
				q.WriteString(", ")
			}
			fmt.Fprintf(&q, "($1, $%d, $%d)", len(args)+1, len(args)+2)
			args = append(args, int64(at+i+1), h)
		}
		if _, err := tx.Exec(q.String(), args...); err != nil {
			return err
		}
	}
	return nil
}

// cellHash is keyed: six digits would not withstand guessing otherwise.
func (s *Service) cellHash(salt []byte, number int64, code string) []byte {
	m := hmac.New(sha256.New, s.pepper)
	m.Write([]byte("suti/card-cell/v1\x00"))
	m.Write(salt)
	m.Write([]byte(strconv.FormatInt(number, 10) + "\x00" + code))
	return m.Sum(nil)
}

// HasCard reports whether a person can enter with password and code card: both
// are there, and a cell is unused.
func HasCard(q db.Querier, person identity.PersonID) (bool, error) {
	var n int64
	err := q.QueryRow(`SELECT count(*) FROM enrolment_card c JOIN enrolment_password p ON p.person = c.person
		WHERE c.person = $1 AND c.voided_at IS NULL AND c.opened_at IS NOT NULL AND EXISTS (SELECT 1 FROM enrolment_card_cell l WHERE l.card = c.id AND l.used_at IS NULL)`, string(person)).Scan(&n)
	return n > 0, err
}

// Challenge asks for one cell of a card.
type Challenge struct {
	ID   string
	Cell string // four digits
}

// normalLogin is how a typed login name is looked up and throttled: one form for
// every spelling of a document.
func normalLogin(login string) string {
	for _, kind := range []identity.DocumentType{identity.DocumentCI, identity.DocumentCIE, identity.DocumentPassport} {
		if d, err := ParseDocument(kind, login, ""); err == nil {
			return d.String()
		}
	}
	if len(login) > maxInput {
		login = login[:maxInput]
	}
	return "?" + strings.ToLower(strings.TrimSpace(login))
}

// Ask names an unused cell of the card of whoever has that login: the document
// as the person writes it. For a login that nobody has the answer looks the same.
func (s *Service) Ask(ctx context.Context, login string, binding []byte) (Challenge, error) {
	login = normalLogin(login)
	key, now := s.loginKey(login), s.cfg.Now()
	if err := s.throttled(ctx, key, now); err != nil {
		return Challenge{}, err
	}
	person, err := s.find(ctx, key)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return Challenge{}, err
	}
	ch := Challenge{ID: identity.NewID("cch", now)}
	card, cell, err := s.pick(ctx, person, key)
	if err != nil {
		return Challenge{}, err
	}
	ch.Cell = fmt.Sprintf("%04d", cell)
	return ch, s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		// person and card are empty for an unknown login: the answer will be refused, in the same time.
		_, err := tx.Exec(`INSERT INTO enrolment_card_challenge (id, person, card, cell, binding, expires_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			ch.ID, string(person)+"|"+base64.RawStdEncoding.EncodeToString(key), card, cell, binding, db.Micros(now.Add(challengeLifetime)))
		return err
	})
}

// pick chooses an unused cell at random. For a person without a card, or nobody,
// it draws from a card that is imagined from the login: some of its cells are
// used too, always the same ones, so that asking often tells nothing.
func (s *Service) pick(ctx context.Context, person identity.PersonID, key []byte) (card string, cell int64, err error) {
	var free []int64
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		free = nil
		rows, err := tx.Query(`SELECT c.id, l.number FROM enrolment_card c JOIN enrolment_card_cell l ON l.card = c.id
			WHERE c.person = $1 AND c.voided_at IS NULL AND c.opened_at IS NOT NULL AND l.used_at IS NULL ORDER BY l.number`, string(person))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var n int64
			if err := rows.Scan(&card, &n); err != nil {
				return err
			}
			free = append(free, n)
		}
		return rows.Err()
	})
	if err != nil {
		return "", 0, err
	}
	if len(free) == 0 {
		card, free = "", s.imagined(key)
	}
	i, err := rand.Int(rand.Reader, big.NewInt(int64(len(free))))
	if err != nil {
		return "", 0, err
	}
	return card, free[i.Int64()], nil
}

// imagined returns the unused cells of a card that does not exist.
func (s *Service) imagined(key []byte) []int64 {
	used := int64(s.keyed("decoy", string(key))[0]) % (DefaultCells / 2)
	order := make([]int64, DefaultCells)
	for i := range order {
		order[i] = int64(i + 1)
	}
	slices.SortFunc(order, func(a, b int64) int {
		return bytes.Compare(s.keyed("decoy", string(key), strconv.FormatInt(a, 10)), s.keyed("decoy", string(key), strconv.FormatInt(b, 10)))
	})
	return order[used:]
}

func (s *Service) throttled(ctx context.Context, key []byte, now time.Time) error {
	return s.cfg.DB.Read(ctx, func(tx *db.Tx) error { return tooMany(tx, key, now) })
}

// tooMany returns ErrThrottled if a login has failed too often within the window.
func tooMany(q db.Querier, key []byte, now time.Time) error {
	var n int64
	err := q.QueryRow(`SELECT count(*) FROM enrolment_card_failure WHERE login = $1 AND failed_at > $2`, key, db.Micros(now.Add(-failureWindow))).Scan(&n)
	if err == nil && n >= maxFailures {
		err = ErrThrottled
	}
	return err
}

// Answer verifies password and cell, and spends the cell. The challenge is
// spent whatever the outcome. A refusal comes with the person who was meant, if
// there is one, and nothing else.
func (s *Service) Answer(ctx context.Context, challenge string, binding []byte, password, code string) (identity.Authentication, error) {
	var out identity.Authentication
	if identity.CheckID("cch", challenge) != nil || len(password) > maxPassword || len(code) > 32 {
		return out, ErrRefused
	}
	now := s.cfg.Now()
	var person, card string
	var cell, expires int64
	var bound []byte
	err := s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		return tx.QueryRow(`DELETE FROM enrolment_card_challenge WHERE id = $1 RETURNING person, card, cell, binding, expires_at`, challenge).Scan(&person, &card, &cell, &bound, &expires)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return out, ErrRefused
	}
	if err != nil {
		return out, err
	}
	if subtle.ConstantTimeCompare(bound, binding) != 1 || !now.Before(db.Time(expires)) {
		return out, ErrRefused
	}
	who, encoded, _ := strings.Cut(person, "|")
	key, err := base64.RawStdEncoding.DecodeString(encoded)
	if err != nil {
		return out, fmt.Errorf("account: stored challenge: %w", err)
	}
	out.Person = identity.PersonID(who)
	if err := s.throttled(ctx, key, now); err != nil {
		return out, err
	}
	return s.prove(ctx, identity.PersonID(who), key, card, cell, password, strings.ReplaceAll(strings.TrimSpace(code), " ", ""))
}

// prove checks the password first, in full, and then spends the cell in the one
// statement that can succeed once.
func (s *Service) prove(ctx context.Context, person identity.PersonID, key []byte, card string, cell int64, password, code string) (identity.Authentication, error) {
	var hash string
	var salt []byte
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		err := tx.QueryRow(`SELECT p.hash, c.salt FROM enrolment_password p JOIN enrolment_card c ON c.person = p.person AND c.voided_at IS NULL WHERE p.person = $1 AND c.id = $2`,
			string(person), card).Scan(&hash, &salt)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return identity.Authentication{}, err
	}
	good, err := s.checkPassword(ctx, password, hash)
	if err != nil {
		return identity.Authentication{}, err
	}
	now := s.cfg.Now()
	digest := s.cellHash(salt, cell, code)
	var who subject.Subject
	spent := false
	failure := identity.NewID("fal", now)
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) (err error) {
		spent = false
		// Tries that waited for their turn count too: many at once are many tries.
		if err := tooMany(tx, key, now); err != nil {
			return err
		}
		if good {
			if who, err = subject.Current(tx, person); err != nil {
				return err
			}
			n, err := tx.Exec(`UPDATE enrolment_card_cell SET used_at = $4 WHERE card = $1 AND number = $2 AND hash = $3 AND used_at IS NULL
				AND EXISTS (SELECT 1 FROM enrolment_card c WHERE c.id = enrolment_card_cell.card AND c.person = $5 AND c.voided_at IS NULL AND c.opened_at IS NOT NULL)`,
				card, cell, digest, db.Micros(now), string(person))
			if err != nil {
				return err
			}
			if spent = n == 1 && who.State == subject.Active; spent {
				return nil
			}
		}
		_, err = tx.Exec(`INSERT INTO enrolment_card_failure (login, failed_at, id) VALUES ($1, $2, $3)`, key, db.Micros(now), failure)
		return err
	})
	if err != nil {
		return identity.Authentication{Person: person}, err
	}
	if !spent {
		return identity.Authentication{Person: person}, ErrRefused
	}
	return identity.Authentication{Person: person, Epoch: identity.Epoch(who.Epoch), Method: identity.MethodCard, UserVerified: true, At: now}, nil
}

// Purge removes challenges and failures from before the time, at most limit of each.
func (s *Service) Purge(ctx context.Context, before time.Time, limit int) error {
	return s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		for _, q := range []string{
			`DELETE FROM enrolment_card_challenge WHERE id IN (SELECT id FROM enrolment_card_challenge WHERE expires_at < $1 LIMIT $2)`,
			`DELETE FROM enrolment_card_failure WHERE id IN (SELECT id FROM enrolment_card_failure WHERE failed_at < $1 LIMIT $2)`,
		} {
			if _, err := tx.Exec(q, db.Micros(before), limit); err != nil {
				return err
			}
		}
		return nil
	})
}
