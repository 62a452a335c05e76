// Package store keeps the signer's rows: documents, signing requests as state
// machines, their signers, and what was released. An exported method is one
// transaction or one snapshot; audit entries go in the same transaction. Only
// signer's packages may import it.
package store

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations is the migration line of the signer's tables.
var Migrations = db.Line{Name: "signer", FS: files}

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("store: no such row")
	// ErrState: the state machine does not allow it from the present state.
	ErrState = errors.New("store: not possible in this state")
	// ErrKeyReused: an idempotency key was used for another body.
	ErrKeyReused = errors.New("store: idempotency key used for another request")
)

// Store is the signer's tables. It is safe for concurrent use.
type Store struct {
	db    *db.DB
	audit *audit.Log
}

// New returns the store.
func New(d *db.DB, a *audit.Log) *Store { return &Store{d, a} }

// Document is an uploaded PDF. Refusal is empty if it may be signed.
type Document struct {
	ID, Client, Owner string
	SHA256            [32]byte
	Size              int64
	Pages             int
	Refusal, Detail   string
	Warnings          []string
	CreatedAt         time.Time
}

// State is where a request is.
type State string

// The states of a request. All but pending are final.
const (
	Pending   State = "pending"
	Completed State = "completed"
	Declined  State = "declined"
	Cancelled State = "cancelled"
	Expired   State = "expired"
)

// Request is a signing request.
type Request struct {
	ID, Client, ClientName string
	Institution            identity.InstitutionID
	Asker                  string // name of the institution or application
	Owner                  string // of the blobs
	State                  State
	Level                  string // B-B or B-T
	Seal                   json.RawMessage
	ReturnURL, Reason      string
	Code                   string
	Turn                   int
	CreatedAt, ExpiresAt   time.Time
	DecidedAt              time.Time
	DeclineReason          string
	Documents              []RequestDocument
	Parties                []Party
}

// RequestDocument is a document of a request: the file as uploaded, and as it is now.
type RequestDocument struct {
	ID, Title  string
	BaseSHA256 [32]byte
	Pages      int
	SHA256     [32]byte
	Size       int64
}

// Changed reports whether somebody has signed it.
func (d RequestDocument) Changed() bool { return d.SHA256 != d.BaseSHA256 }

// PartyState is where a signer is.
type PartyState string

// The states of a signer.
const (
	Waiting        PartyState = "waiting"
	HasSigned      PartyState = "signed"
	HasDeclined    PartyState = "declined"
	PartyCancelled PartyState = "cancelled"
)

// Party is a signer.
type Party struct {
	Person      identity.PersonID
	Appointment identity.AppointmentID
	Epoch       subject.Epoch // when the request was made
	State       PartyState
	Activation  string // that led to the signature
	DecidedAt   time.Time
}

// Answer is what a repeatable request was answered.
type Answer struct {
	Client, Route, Key string
	Body               [32]byte // SHA-256 of the request's body
	Status             int
	JSON               []byte
	At                 time.Time
}

// Answered returns the stored answer to a repeated request: ErrNotFound if there is
// none, ErrKeyReused if it was for another body.
func (s *Store) Answered(ctx context.Context, a Answer) (Answer, error) {
	var body []byte
	err := s.db.QueryRow(ctx, "SELECT body, status, answer FROM signer_idempotency WHERE client = $1 AND route = $2 AND key = $3",
		a.Client, a.Route, a.Key).Scan(&body, &a.Status, &a.JSON)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return a, ErrNotFound
	case err != nil:
		return a, err
	case string(body) != string(a.Body[:]):
		return a, ErrKeyReused
	}
	return a, nil
}

func putAnswer(tx *db.Tx, a Answer) error {
	_, err := tx.Exec("INSERT INTO signer_idempotency (client, route, key, body, status, answer, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		a.Client, a.Route, a.Key, a.Body[:], a.Status, a.JSON, db.Micros(a.At))
	return err
}

// IsRepeated reports whether a write failed because its idempotency key was used meanwhile.
func IsRepeated(err error) bool { return db.IsUnique(err, "signer_idempotency") }

// ForgetAnswers removes answers older than before.
func (s *Store) ForgetAnswers(ctx context.Context, before time.Time) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("DELETE FROM signer_idempotency WHERE created_at < $1", db.Micros(before))
		return err
	})
}

// AddDocument stores a document's row with its answer and audit entry.
func (s *Store) AddDocument(ctx context.Context, d Document, a Answer, entry *audit.Prepared) error {
	warnings, err := json.Marshal(d.Warnings)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if err := putAnswer(tx, a); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO signer_document (id, client, owner, sha256, size, pages, refusal, detail, warnings, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			d.ID, d.Client, d.Owner, d.SHA256[:], d.Size, d.Pages, d.Refusal, d.Detail, string(warnings), db.Micros(d.CreatedAt))
		if err != nil {
			return err
		}
		_, err = s.audit.Append(tx, entry)
		return err
	})
}

// Document returns a document, or ErrNotFound.
func (s *Store) Document(ctx context.Context, id string) (Document, error) {
	d := Document{ID: id}
	var sum []byte
	var warnings string
	var at int64
	err := s.db.QueryRow(ctx, "SELECT client, owner, sha256, size, pages, refusal, detail, warnings, created_at FROM signer_document WHERE id = $1", id).
		Scan(&d.Client, &d.Owner, &sum, &d.Size, &d.Pages, &d.Refusal, &d.Detail, &warnings, &at)
	if errors.Is(err, sql.ErrNoRows) {
		return d, ErrNotFound
	}
	if err != nil {
		return d, err
	}
	copy(d.SHA256[:], sum)
	d.CreatedAt = db.Time(at)
	return d, json.Unmarshal([]byte(warnings), &d.Warnings)
}
