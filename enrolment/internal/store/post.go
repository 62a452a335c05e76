package store

import (
	"database/sql"
	"encoding/json"
	"time"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// PutInstitution stores an institution. A name that is taken is a unique
// violation of enrolment_institution_name.
func PutInstitution(tx *db.Tx, i identity.Institution, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO enrolment_institution (id, name, short_name, tax_id, created_at) VALUES ($1, $2, $3, $4, $5)`,
		string(i.ID), i.Name, i.ShortName, i.TaxID, db.Micros(now))
	return err
}

// Institutions lists all institutions by name.
func Institutions(q db.Querier) ([]identity.Institution, error) {
	var out []identity.Institution
	err := collect(q, func(r *sql.Rows) error {
		var i identity.Institution
		err := r.Scan(&i.ID, &i.Name, &i.ShortName, &i.TaxID)
		out = append(out, i)
		return err
	}, `SELECT id, name, short_name, tax_id FROM enrolment_institution ORDER BY name, id`)
	return out, err
}

// Post is a post of an institution.
type Post struct {
	ID          identity.PostID
	Institution identity.Institution
	Unit        string // its name; may be empty
	Title       string
	Item        string
	Exclusive   bool
	Scopes      []string
}

// PutPost stores a post, and its unit if that is new. An item number that is
// taken is a unique violation of enrolment_post_item.
func PutPost(tx *db.Tx, p Post, freshUnit string, now time.Time) error {
	var unit any
	if p.Unit != "" {
		var id string
		if err := tx.QueryRow(`INSERT INTO enrolment_unit (id, institution, name, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (institution, name) DO UPDATE SET name = excluded.name RETURNING id`, freshUnit, string(p.Institution.ID), p.Unit, db.Micros(now)).Scan(&id); err != nil {
			return err
		}
		unit = id
	}
	scopes, err := json.Marshal(p.Scopes)
	if err != nil {
		return err
	}
	exclusive := int64(0)
	if p.Exclusive {
		exclusive = 1
	}
	_, err = tx.Exec(`INSERT INTO enrolment_post (id, institution, unit, title, item, exclusive, scopes, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		string(p.ID), string(p.Institution.ID), unit, p.Title, p.Item, exclusive, string(scopes), db.Micros(now))
	return err
}

const postQuery = `SELECT p.id, i.id, i.name, i.short_name, i.tax_id, COALESCE(u.name, ''), p.title, p.item, p.exclusive, p.scopes
	FROM enrolment_post p JOIN enrolment_institution i ON i.id = p.institution LEFT JOIN enrolment_unit u ON u.id = p.unit `

func scanPost(scan func(...any) error) (Post, error) {
	var p Post
	var exclusive int64
	var scopes string
	if err := scan(&p.ID, &p.Institution.ID, &p.Institution.Name, &p.Institution.ShortName, &p.Institution.TaxID, &p.Unit, &p.Title, &p.Item, &exclusive, &scopes); err != nil {
		return p, none(err)
	}
	p.Exclusive = exclusive == 1
	return p, json.Unmarshal([]byte(scopes), &p.Scopes)
}

// PostByID returns a post, or ErrNone.
func PostByID(q db.Querier, id identity.PostID) (Post, error) {
	return scanPost(q.QueryRow(postQuery+`WHERE p.id = $1`, string(id)).Scan)
}

// Posts lists the posts of an institution by title.
func Posts(q db.Querier, ins identity.InstitutionID) ([]Post, error) {
	var out []Post
	err := collect(q, func(r *sql.Rows) error {
		p, err := scanPost(r.Scan)
		out = append(out, p)
		return err
	}, postQuery+`WHERE p.institution = $1 ORDER BY p.title, p.item, p.id`, string(ins))
	return out, err
}

// States of an appointment.
const (
	AppointmentProposed = string(machine.PostProposed)
	AppointmentValid    = string(machine.PostHeld)
	AppointmentEnded    = string(machine.PostEnded)
)

// Appointment is an appointment with where it is in its life.
type Appointment struct {
	identity.Appointment
	Act   identity.ActID
	State string
}

// PutAppointment stores an appointment in the state to which a row of the table leads.
func PutAppointment(tx *db.Tx, a Appointment, row machine.Row) error {
	_, err := tx.Exec(`INSERT INTO enrolment_appointment (id, act, person, institution, post, holding, legal_act, state, from_at, to_at, ended_by, end_reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $10, $8, $9, '', '')`,
		string(a.ID), string(a.Act), string(a.Person), string(a.Institution.ID), string(a.Post), string(a.Kind), a.LegalAct, db.Micros(a.From), end(a.To), string(row.To))
	return err
}

func end(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return db.Micros(t)
}

// ValidateAppointment makes an appointment valid from a time, along a row of the
// table; ErrNone if it is not in the row's state.
func ValidateAppointment(tx *db.Tx, id identity.AppointmentID, from time.Time, row machine.Row) error {
	return one(tx.Exec(`UPDATE enrolment_appointment SET state = $3, from_at = $2 WHERE id = $1 AND state = $4`, string(id), db.Micros(from), string(row.To), string(row.From)))
}

// EndAppointment ends an appointment at a time, or earlier if its term was up,
// along a row of the table; ErrNone if it is not in the row's state.
func EndAppointment(tx *db.Tx, id identity.AppointmentID, at time.Time, by identity.PersonID, reason string, row machine.Row) error {
	return one(tx.Exec(`UPDATE enrolment_appointment SET state = $5, to_at = CASE WHEN to_at IS NOT NULL AND to_at < $2 THEN to_at ELSE $2 END, ended_by = $3, end_reason = $4
		WHERE id = $1 AND state = $6`, string(id), db.Micros(at), string(by), reason, string(row.To), string(row.From)))
}

const appointmentQuery = `SELECT a.id, a.act, a.person, i.id, i.name, i.short_name, i.tax_id, a.post, p.title, COALESCE(u.name, ''), a.holding, a.legal_act, a.state, a.from_at, a.to_at
	FROM enrolment_appointment a JOIN enrolment_post p ON p.id = a.post JOIN enrolment_institution i ON i.id = a.institution LEFT JOIN enrolment_unit u ON u.id = p.unit `

func scanAppointment(scan func(...any) error) (Appointment, error) {
	var a Appointment
	var from int64
	var to sql.NullInt64
	err := scan(&a.ID, &a.Act, &a.Person, &a.Institution.ID, &a.Institution.Name, &a.Institution.ShortName, &a.Institution.TaxID,
		&a.Post, &a.Title, &a.Unit, &a.Kind, &a.LegalAct, &a.State, &from, &to)
	a.From = db.Time(from)
	if to.Valid {
		a.To = db.Time(to.Int64)
	}
	return a, none(err)
}

// AppointmentByID returns an appointment, or ErrNone.
func AppointmentByID(q db.Querier, id identity.AppointmentID) (Appointment, error) {
	return scanAppointment(q.QueryRow(appointmentQuery+`WHERE a.id = $1`, string(id)).Scan)
}

func appointments(q db.Querier, where string, args ...any) ([]Appointment, error) {
	var out []Appointment
	err := collect(q, func(r *sql.Rows) error {
		a, err := scanAppointment(r.Scan)
		out = append(out, a)
		return err
	}, appointmentQuery+where, args...)
	return out, err
}

// AppointmentsOf lists what a person holds at a time.
func AppointmentsOf(q db.Querier, person identity.PersonID, at time.Time) ([]Appointment, error) {
	return appointments(q, `WHERE a.person = $1 AND a.state <> 'propuesto' AND a.from_at <= $2 AND (a.to_at IS NULL OR a.to_at > $2) ORDER BY a.from_at, a.id`,
		string(person), db.Micros(at))
}

// HoldersOf lists who held a post at a time.
func HoldersOf(q db.Querier, post identity.PostID, at time.Time) ([]Appointment, error) {
	return appointments(q, `WHERE a.post = $1 AND a.state <> 'propuesto' AND a.from_at <= $2 AND (a.to_at IS NULL OR a.to_at > $2) ORDER BY a.from_at, a.id`,
		string(post), db.Micros(at))
}

// AppointmentsIn lists the appointments of an institution that are in force or to come.
func AppointmentsIn(q db.Querier, ins identity.InstitutionID, now time.Time) ([]Appointment, error) {
	return appointments(q, `WHERE a.institution = $1 AND a.state = 'vigente' AND (a.to_at IS NULL OR a.to_at > $2) ORDER BY p.title, a.from_at, a.id LIMIT 500`,
		string(ins), db.Micros(now))
}
