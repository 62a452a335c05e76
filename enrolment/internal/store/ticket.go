package store

import (
	"database/sql"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// States of a ticket.
const (
	TicketOpen      = "abierto"
	TicketAtCounter = "en_mostrador"
	TicketInReview  = "en_revision" // the enrolment waits for approval
	TicketDone      = "hecho"
	TicketVoid      = "anulado"
)

// Ticket is a pre-registration on its way to a counter.
type Ticket struct {
	ID          string
	Person      identity.PersonID
	CodeKey     []byte // keyed hash of the code
	CodeSealed  []byte
	Browser     []byte // hash of the cookie of the browser that registered
	State       string
	Registrar   identity.PersonID // who has it, or had it last
	LockedUntil time.Time
	Draft       identity.ActID
	Card        bool
	Recovery    bool                  // of somebody who is known already
	Vouched     bool                  // without a document, by those she trusts
	Credential  identity.CredentialID // made for it
	Created     time.Time
	Expires     time.Time
}

const ticketColumns = `id, person, code, code_sealed, browser, state, registrar, locked_until, draft, card, created_at, expires_at, recovery, credential, vouched`

func scanTicket(scan func(...any) error) (Ticket, error) {
	var t Ticket
	var locked, created, expires, card, recovery, vouched int64
	err := scan(&t.ID, &t.Person, &t.CodeKey, &t.CodeSealed, &t.Browser, &t.State, &t.Registrar, &locked, &t.Draft, &card, &created, &expires, &recovery, &t.Credential, &vouched)
	t.LockedUntil, t.Created, t.Expires, t.Card, t.Recovery, t.Vouched = db.Time(locked), db.Time(created), db.Time(expires), card == 1, recovery == 1, vouched == 1
	return t, none(err)
}

// PutTicket stores a fresh ticket.
func PutTicket(tx *db.Tx, t Ticket) error {
	_, err := tx.Exec(`INSERT INTO enrolment_ticket (`+ticketColumns+`) VALUES ($1, $2, $3, $4, $5, 'abierto', '', 0, '', 0, $6, $7, $8, '', $9)`,
		t.ID, string(t.Person), t.CodeKey, t.CodeSealed, t.Browser, db.Micros(t.Created), db.Micros(t.Expires), bit(t.Recovery), bit(t.Vouched))
	return err
}

// TicketByID returns a ticket, or ErrNone.
func TicketByID(q db.Querier, id string) (Ticket, error) {
	return scanTicket(q.QueryRow(`SELECT `+ticketColumns+` FROM enrolment_ticket WHERE id = $1`, id).Scan)
}

// TicketByCode returns the ticket with that keyed code, or ErrNone.
func TicketByCode(q db.Querier, code []byte) (Ticket, error) {
	return scanTicket(q.QueryRow(`SELECT `+ticketColumns+` FROM enrolment_ticket WHERE code = $1`, code).Scan)
}

// TicketByBrowser returns the newest ticket that a browser made since a time, or ErrNone.
func TicketByBrowser(q db.Querier, browser []byte, since time.Time) (Ticket, error) {
	return scanTicket(q.QueryRow(`SELECT `+ticketColumns+` FROM enrolment_ticket WHERE browser = $1 AND created_at > $2 ORDER BY created_at DESC, id DESC LIMIT 1`,
		browser, db.Micros(since)).Scan)
}

// TicketsOf lists the tickets that a registrar has in hand at now.
func TicketsOf(q db.Querier, registrar identity.PersonID, now time.Time) ([]Ticket, error) {
	var out []Ticket
	err := collect(q, func(r *sql.Rows) error {
		t, err := scanTicket(r.Scan)
		out = append(out, t)
		return err
	}, `SELECT `+ticketColumns+` FROM enrolment_ticket WHERE registrar = $1 AND state = 'en_mostrador' AND locked_until > $2 ORDER BY locked_until LIMIT 50`,
		string(registrar), db.Micros(now))
	return out, err
}

// TakeTicket puts a ticket into a registrar's hand until a time, unless it is
// in another's, over, or the registrar's own. ErrNone otherwise. Taken from a
// hand whose time is up, it has no draft any more, and taken by somebody else, no
// password that was typed before the one who had it.
func TakeTicket(tx *db.Tx, id string, registrar identity.PersonID, until, now time.Time) (Ticket, error) {
	return scanTicket(tx.QueryRow(`UPDATE enrolment_ticket SET state = 'en_mostrador', registrar = $2, locked_until = $3,
		draft = CASE WHEN registrar = $2 AND state = 'en_mostrador' THEN draft ELSE '' END, card = CASE WHEN registrar = $2 THEN card ELSE 0 END
		WHERE id = $1 AND person <> $2 AND expires_at > $4
		AND (state = 'abierto' OR state = 'en_mostrador' AND (registrar = $2 OR locked_until <= $4)) RETURNING `+ticketColumns,
		id, string(registrar), db.Micros(until), db.Micros(now)).Scan)
}

// ReleaseTicket lays a ticket back that a registrar has in hand; ErrNone if not.
func ReleaseTicket(tx *db.Tx, id string, registrar identity.PersonID, now time.Time) error {
	return one(tx.Exec(`UPDATE enrolment_ticket SET state = 'abierto', locked_until = 0, draft = '' WHERE id = $1 AND registrar = $2 AND state = 'en_mostrador' AND locked_until > $3`,
		id, string(registrar), db.Micros(now)))
}

// DraftTicket names the draft that a ticket in hand leads to and extends the
// hold; ErrNone if the ticket is not in hand.
func DraftTicket(tx *db.Tx, id string, registrar identity.PersonID, draft identity.ActID, until, now time.Time) error {
	return one(tx.Exec(`UPDATE enrolment_ticket SET draft = $3, locked_until = $4 WHERE id = $1 AND registrar = $2 AND state = 'en_mostrador' AND locked_until > $5`,
		id, string(registrar), string(draft), db.Micros(until), db.Micros(now)))
}

// CardTicket notes that a password was typed for a ticket in hand that has no
// draft and no passkey made for it yet; ErrNone otherwise.
func CardTicket(tx *db.Tx, id string, registrar identity.PersonID, now time.Time) error {
	return one(tx.Exec(`UPDATE enrolment_ticket SET card = 1 WHERE id = $1 AND registrar = $2 AND state = 'en_mostrador' AND locked_until > $3 AND draft = '' AND credential = ''`,
		id, string(registrar), db.Micros(now)))
}

// MoveTicket moves a ticket whose present draft is the given one from one state
// to another, once; ErrNone otherwise.
func MoveTicket(tx *db.Tx, id string, draft identity.ActID, from, to string) error {
	return one(tx.Exec(`UPDATE enrolment_ticket SET state = $4, locked_until = 0 WHERE id = $1 AND draft = $2 AND state = $3`, id, string(draft), from, to))
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// VoidRecoveries voids the tickets of recovery of a person that are not done: the
// last one that was opened counts.
func VoidRecoveries(tx *db.Tx, person identity.PersonID) error {
	_, err := tx.Exec(`UPDATE enrolment_ticket SET state = 'anulado', draft = '' WHERE person = $1 AND recovery = 1 AND state IN ('abierto', 'en_mostrador')`, string(person))
	return err
}

// CancelRecoveries voids every recovery of a person that is not in effect, also one
// that waits for its approval, and returns how many.
func CancelRecoveries(tx *db.Tx, person identity.PersonID) (int64, error) {
	return tx.Exec(`UPDATE enrolment_ticket SET state = 'anulado', draft = '' WHERE person = $1 AND recovery = 1 AND state IN ('abierto', 'en_mostrador', 'en_revision')`, string(person))
}

// OpenRecoveryOf returns the newest recovery of a person that is not in effect, or ErrNone.
func OpenRecoveryOf(q db.Querier, person identity.PersonID, now time.Time) (Ticket, error) {
	return scanTicket(q.QueryRow(`SELECT `+ticketColumns+` FROM enrolment_ticket WHERE person = $1 AND recovery = 1 AND state IN ('abierto', 'en_mostrador', 'en_revision')
		AND (expires_at > $2 OR state = 'en_revision') ORDER BY created_at DESC LIMIT 1`, string(person), db.Micros(now)).Scan)
}

// ClaimTicket binds a ticket of recovery at a counter to the first browser; ErrNone
// if another has it.
func ClaimTicket(tx *db.Tx, id string, browser []byte) error {
	return one(tx.Exec(`UPDATE enrolment_ticket SET browser = $2 WHERE id = $1 AND recovery = 1 AND state = 'en_mostrador' AND length(browser) = 0`, id, browser))
}

// MadeKey notes the one passkey that a ticket of recovery made; ErrNone if it has one.
func MadeKey(tx *db.Tx, id string, credential identity.CredentialID) error {
	return one(tx.Exec(`UPDATE enrolment_ticket SET credential = $2 WHERE id = $1 AND recovery = 1 AND credential = '' AND card = 0 AND state = 'en_mostrador' AND draft = ''`, id, string(credential)))
}
