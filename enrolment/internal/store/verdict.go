package store

import (
	"database/sql"
	"time"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// What became of an act that waited, beside its approval.
const (
	Rejected  = string(machine.Rejected)
	Withdrawn = string(machine.Withdrawn)
)

// Verdict says that an act waits no more.
type Verdict struct {
	Act     identity.ActID
	Verdict string            // Rejected or Withdrawn
	Person  identity.PersonID // whom the act concerns; may be empty
	Author  identity.PersonID // of the act
	By      identity.PersonID
	Reason  string
	Note    []byte // sealed; empty: none
	At      time.Time
}

const verdictColumns = `act, verdict, person, author, by_who, reason, note, at`

func scanVerdict(scan func(...any) error) (Verdict, error) {
	var v Verdict
	var at int64
	err := scan(&v.Act, &v.Verdict, &v.Person, &v.Author, &v.By, &v.Reason, &v.Note, &at)
	v.At = db.Time(at)
	return v, none(err)
}

// PutVerdict stores the one verdict on an act; ErrNone if it has one.
func PutVerdict(tx *db.Tx, v Verdict) error {
	if v.Note == nil {
		v.Note = []byte{}
	}
	return one(tx.Exec(`INSERT INTO enrolment_verdict (`+verdictColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (act) DO NOTHING`,
		string(v.Act), v.Verdict, string(v.Person), string(v.Author), string(v.By), v.Reason, v.Note, db.Micros(v.At)))
}

// VerdictOn returns the verdict on an act, or ErrNone.
func VerdictOn(q db.Querier, act identity.ActID) (Verdict, error) {
	return scanVerdict(q.QueryRow(`SELECT `+verdictColumns+` FROM enrolment_verdict WHERE act = $1`, string(act)).Scan)
}

// VerdictsSince lists the verdicts since a time, the newest first; with an author,
// only those on this one's acts. At most limit.
func VerdictsSince(q db.Querier, author identity.PersonID, since time.Time, limit int) ([]Verdict, error) {
	var out []Verdict
	err := collect(q, func(r *sql.Rows) error {
		v, err := scanVerdict(r.Scan)
		out = append(out, v)
		return err
	}, `SELECT `+verdictColumns+` FROM enrolment_verdict WHERE ($1 = '' OR author = $1) AND at > $2 ORDER BY at DESC, act LIMIT $3`, string(author), db.Micros(since), limit)
	return out, err
}

// LastEnrolment returns the newest enrolment of a person that was signed, in
// effect or not, or ErrNone.
func LastEnrolment(q db.Querier, person identity.PersonID) (identity.ActID, error) {
	var id identity.ActID
	err := q.QueryRow(`SELECT id FROM enrolment_act WHERE person = $1 AND kind = 'enrolment' ORDER BY seq DESC LIMIT 1`, string(person)).Scan(&id)
	return id, none(err)
}

// Hold locks the chain at a number until the commit, so that no act comes
// between; ErrNone if it is elsewhere already.
func Hold(tx *db.Tx, head int64) error {
	return one(tx.Exec(`UPDATE enrolment_chain SET head = head WHERE one = 1 AND head = $1`, head))
}

// ReopenTicket lays the ticket back for any counter whose enrolment waited for
// its approval; ErrNone if there is none.
func ReopenTicket(tx *db.Tx, draft identity.ActID) error {
	return one(tx.Exec(`UPDATE enrolment_ticket SET state = 'abierto', draft = '', locked_until = 0 WHERE draft = $1 AND state = 'en_revision'`, string(draft)))
}

// TicketByPerson returns the newest ticket of a person, or ErrNone.
func TicketByPerson(q db.Querier, person identity.PersonID) (Ticket, error) {
	return scanTicket(q.QueryRow(`SELECT `+ticketColumns+` FROM enrolment_ticket WHERE person = $1 ORDER BY created_at DESC, id DESC LIMIT 1`, string(person)).Scan)
}

// TouchTicket locks a ticket that no counter has begun with until the commit;
// ErrNone if one has.
func TouchTicket(tx *db.Tx, id string) error {
	return one(tx.Exec(`UPDATE enrolment_ticket SET locked_until = 0 WHERE id = $1 AND state = 'abierto'`, id))
}
