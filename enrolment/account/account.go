package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/subject"
)

// Errors that callers branch on.
var (
	// ErrUnknown reports a person that is not registered.
	ErrUnknown = errors.New("account: unknown person")
	// ErrExists reports a document that an open record has already.
	ErrExists = errors.New("account: document is registered already")
	// ErrState reports a change that the person's state does not allow.
	ErrState = errors.New("account: not possible in this state")
)

// TopicSubject is the outbox topic that tells of a person whose epoch moved on.
const TopicSubject = "subject.changed"

// State is where a person's record is in its life.
type State string

// The states.
const (
	Requested = State(machine.Requested) // self-asserted, not proven
	Live      = State(machine.Live)
	Suspended = State(machine.Suspended)
	Closed    = State(machine.Closed)
)

// DataKeys gives the keys under which people's data is sealed.
type DataKeys interface {
	DataKey(ctx context.Context, owner string) (envelope.Key, error)
}

// Config configures New; DB, Keys, KEK and Audit are needed.
type Config struct {
	DB    *db.DB
	Keys  DataKeys
	KEK   envelope.Key // the pepper of keyed hashes is derived from it
	Audit *audit.Log
	Now   func() time.Time
	// Argon2 costs of passwords; 19 MiB, 2 passes and 1 lane by default (OWASP's least).
	Argon2MemoryKiB, Argon2Passes uint32
}

// Service is the registry. It is safe for concurrent use.
type Service struct {
	cfg    Config
	pepper []byte
	slots  chan struct{} // bounds the memory of concurrent password checks
}

// New checks the configuration.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Keys == nil || c.KEK.IsZero() || c.Audit == nil {
		return nil, errors.New("account: DB, Keys, KEK and Audit are needed")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Argon2MemoryKiB == 0 {
		c.Argon2MemoryKiB, c.Argon2Passes = 19<<10, 2
	}
	pepper := envelope.Derive(c.KEK, "suti/enrolment/pepper")
	return &Service{cfg: c, pepper: pepper.Reveal(), slots: make(chan struct{}, 4)}, nil
}

func (s *Service) keyed(label string, parts ...string) []byte {
	m := hmac.New(sha256.New, s.pepper)
	m.Write([]byte(label))
	for _, p := range parts {
		var n [4]byte
		n[0], n[1], n[2], n[3] = byte(len(p)>>24), byte(len(p)>>16), byte(len(p)>>8), byte(len(p))
		m.Write(n[:])
		m.Write([]byte(p))
	}
	return m.Sum(nil)
}

// Registration is what a person says of herself.
type Registration struct {
	Name      identity.Name
	Document  identity.Document
	BirthDate identity.Date
	Email     string
	Phone     string
}

// sealed is what the profile column holds.
type sealed struct {
	Name      identity.Name     `json:"name"`
	Document  identity.Document `json:"document"`
	BirthDate identity.Date     `json:"birth_date"`
	Email     string            `json:"email,omitempty"`
	Phone     string            `json:"phone,omitempty"`
}

// Register opens a record at N0, on the person's word alone. A document that
// somebody has proven to be theirs is ErrExists; words alone keep nobody else
// from saying the same, so that no stranger can block a person's registration.
func (s *Service) Register(ctx context.Context, in Registration) (identity.PersonID, error) {
	now := s.cfg.Now()
	person := identity.PersonID(identity.NewID(identity.PrefixPerson, now))
	box, err := s.seal(ctx, person, in)
	if err != nil {
		return "", err
	}
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.account.registered", Subject: person, Actor: string(person), Object: string(person), Outcome: "registered"})
	if err != nil {
		return "", err
	}
	full, match := s.fullKey(in), s.matchKeys(in)
	row, err := machine.Person.Next(machine.Nothing, machine.Register, machine.Basis{By: machine.Browser})
	if err != nil {
		return "", err
	}
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if err := unproven(tx, full); err != nil {
			return err
		}
		if err := subject.Create(tx, person, subject.Active, now); err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO enrolment_person (id, state, level, doc_full, doc_login, profile, created_at, changed_at) VALUES ($1, $2, 0, $3, $4, $5, $6, $6)`,
			string(person), string(row.To), full, s.loginKey(in.Document.String()), box, db.Micros(now)); err != nil {
			return err
		}
		if err := putMatch(tx, person, match); err != nil {
			return err
		}
		_, err := s.cfg.Audit.Append(tx, entry)
		return err
	})
	if err != nil {
		return "", err
	}
	return person, nil
}

// seal closes what a person says of herself under her own key.
func (s *Service) seal(ctx context.Context, person identity.PersonID, in Registration) ([]byte, error) {
	raw, err := json.Marshal(sealed(in))
	if err != nil {
		return nil, err
	}
	key, err := s.cfg.Keys.DataKey(ctx, string(person))
	if err != nil {
		return nil, err
	}
	return envelope.Seal(key, raw, envelope.Place("enrolment_person", "profile", string(person))), nil
}

func (s *Service) fullKey(in Registration) []byte {
	doc := in.Document
	return s.keyed("full", string(doc.Type), doc.Number, doc.Complement, in.BirthDate.String())
}

// unproven is ErrExists if somebody has proven to hold the document.
func unproven(tx *db.Tx, full []byte) error {
	var proven int64
	if err := tx.QueryRow(`SELECT count(*) FROM enrolment_person WHERE doc_full = $1 AND level > 0 AND state <> 'cerrada'`, full).Scan(&proven); err != nil {
		return err
	}
	if proven > 0 {
		return ErrExists
	}
	return nil
}

func (s *Service) loginKey(login string) []byte { return s.keyed("login", login) }

// Profile returns what is known of a person, present level and epoch included.
func (s *Service) Profile(ctx context.Context, person identity.PersonID) (identity.Profile, error) {
	var box []byte
	var level int64
	var state string
	var who subject.Subject
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if err = tx.QueryRow(`SELECT profile, level, state FROM enrolment_person WHERE id = $1`, string(person)).Scan(&box, &level, &state); err != nil {
			return err
		}
		who, err = subject.Current(tx, person)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) || errors.Is(err, subject.ErrUnknown) {
		return identity.Profile{}, ErrUnknown
	}
	if err != nil {
		return identity.Profile{}, err
	}
	key, err := s.cfg.Keys.DataKey(ctx, string(person))
	if err != nil {
		return identity.Profile{}, err
	}
	raw, err := envelope.Open(key, box, envelope.Place("enrolment_person", "profile", string(person)))
	if err != nil {
		return identity.Profile{}, fmt.Errorf("account: profile: %w", err)
	}
	var in sealed
	if err := json.Unmarshal(raw, &in); err != nil {
		return identity.Profile{}, fmt.Errorf("account: profile is not JSON: %w", err)
	}
	return identity.Profile{
		Person: person, Name: in.Name, Document: in.Document, BirthDate: in.BirthDate, Email: in.Email, Phone: in.Phone,
		Level: identity.Level(level), Epoch: identity.Epoch(who.Epoch), Active: who.State == subject.Active,
	}, nil
}

// FindByDocument returns who has proven to hold a document. A number given to
// several people needs the birth date: then it is ErrUnknown, as for a document
// that nobody has, or that people only say they have.
func (s *Service) FindByDocument(ctx context.Context, doc identity.Document) (identity.PersonID, error) {
	return s.find(ctx, s.loginKey(doc.String()))
}

func (s *Service) find(ctx context.Context, key []byte) (identity.PersonID, error) {
	var found []string
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		found = nil
		rows, err := tx.Query(`SELECT id FROM enrolment_person WHERE doc_login = $1 AND level > 0 AND state <> 'cerrada' LIMIT 2`, key)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			found = append(found, id)
		}
		return rows.Err()
	})
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", ErrUnknown
	}
	return identity.PersonID(found[0]), nil
}

// step asks the table of a person's record whether a command is possible now.
// ErrState if not, ErrUnknown if there is no such record.
func step(q db.Querier, person identity.PersonID, do machine.Command, b machine.Basis) (machine.Row, error) {
	var state machine.State
	var level int64
	err := q.QueryRow(`SELECT state, level FROM enrolment_person WHERE id = $1`, string(person)).Scan(&state, &level)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrUnknown
	}
	if err != nil {
		return machine.Row{}, err
	}
	if do == machine.Lift && level == 0 {
		do = machine.LiftUnproven
	}
	row, err := machine.Person.Next(state, do, b)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrState, err)
	}
	return row, err
}

// Raise sets a person's level by the act that proves it, in the caller's
// transaction. It never lowers, and only moves a record as the table of people
// allows, else it is ErrState. If another live record has the same document it
// is ErrExists.
func Raise(tx *db.Tx, b machine.Basis, person identity.PersonID, level identity.Level, now time.Time) error {
	row, err := step(tx, person, machine.Prove, b)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`UPDATE enrolment_person SET state = $4, level = $2, changed_at = $3 WHERE id = $1 AND level <= $2 AND state = $5`,
		string(person), int64(level), db.Micros(now), string(row.To), string(row.From))
	if db.IsUnique(err, "enrolment_person_document") {
		return ErrExists
	}
	if err == nil && n == 0 {
		err = ErrState
	}
	return err
}

// changed is the payload of TopicSubject.
type changed struct {
	Person identity.PersonID `json:"person"`
	Epoch  int64             `json:"epoch"`
	Cause  string            `json:"cause"`
}

// ParseChanged reads a message of TopicSubject.
func ParseChanged(payload []byte) (person identity.PersonID, cause string, err error) {
	var c changed
	if err := json.Unmarshal(payload, &c); err != nil || c.Person == "" {
		return "", "", errors.New("account: malformed notice of a change")
	}
	return c.Person, c.Cause, nil
}

// Bump moves a person's epoch on and queues the notice, in the caller's
// transaction with the cause (design D16). An empty state keeps the present one.
func Bump(tx *db.Tx, person identity.PersonID, state subject.State, cause string, now time.Time) error {
	var epoch subject.Epoch
	var err error
	if state == "" {
		epoch, err = subject.Advance(tx, person, cause, now)
	} else {
		epoch, err = subject.Bump(tx, person, state, cause, now)
	}
	if err != nil {
		return err
	}
	raw, err := json.Marshal(changed{person, int64(epoch), cause})
	if err != nil {
		return err
	}
	return outbox.Put(tx, outbox.Message{ID: fmt.Sprintf("subject-%s-%d", person, epoch), Topic: TopicSubject, Key: string(person), Payload: raw, NotBefore: now})
}

// Suspend takes a person out of use: every session, token and pending signature
// is dead with the commit. ErrState if the person is suspended or closed already.
// What lifts it is an act, in the transaction of that ([ReactivateIn]).
func (s *Service) Suspend(ctx context.Context, b machine.Basis, actor string, person identity.PersonID, cause string) error {
	return s.SuspendIf(ctx, b, actor, person, cause, func(*db.Tx) error { return nil })
}

// SuspendIf is Suspend under a condition: allowed runs in the same transaction
// and may refuse.
func (s *Service) SuspendIf(ctx context.Context, b machine.Basis, actor string, person identity.PersonID, cause string, allowed func(*db.Tx) error) error {
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "enrolment.account.suspended", Subject: person, Actor: actor, Object: string(person), Outcome: string(Suspended), Payload: map[string]any{"cause": cause},
	})
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	return s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if err := allowed(tx); err != nil {
			return err
		}
		if err := SuspendIn(tx, b, person, cause, now); err != nil {
			return err
		}
		_, err := s.cfg.Audit.Append(tx, entry)
		return err
	})
}

// SuspendIn is Suspend in the caller's transaction, which MUST hold the audit
// entry of its cause. Of somebody stopped already, an act of suspension only
// records it: her epoch moves on all the same.
func SuspendIn(tx *db.Tx, b machine.Basis, person identity.PersonID, cause string, now time.Time) error {
	return shift(tx, machine.Stop, b, person, cause, now)
}

// ReactivateIn brings a suspended person back in the caller's transaction, under
// the same duty; nothing granted before revives. A person who had proven nothing
// is back where she was.
func ReactivateIn(tx *db.Tx, b machine.Basis, person identity.PersonID, cause string, now time.Time) error {
	return shift(tx, machine.Lift, b, person, cause, now)
}

// RecoverIn brings somebody back, in use or suspended, at the level of the act
// that names her new passkey, which may be lower than before; under the same duty.
func RecoverIn(tx *db.Tx, b machine.Basis, person identity.PersonID, level identity.Level, cause string, now time.Time) error {
	if err := shift(tx, machine.Recover, b, person, cause, now); err != nil {
		return err
	}
	_, err := tx.Exec(`UPDATE enrolment_person SET level = $2 WHERE id = $1 AND level > 0`, string(person), int64(level))
	return err
}

// shift moves a record as the table says, and the epoch with it.
func shift(tx *db.Tx, do machine.Command, b machine.Basis, person identity.PersonID, cause string, now time.Time) error {
	row, err := step(tx, person, do, b)
	if err != nil {
		return err
	}
	n, err := tx.Exec(`UPDATE enrolment_person SET state = $2, changed_at = $3 WHERE id = $1 AND state = $4`, string(person), string(row.To), db.Micros(now), string(row.From))
	if err == nil && n == 0 {
		err = ErrState
	}
	if err != nil || !row.Has(machine.EpochMoves) {
		return err
	}
	to := subject.Active
	switch {
	case row.From == row.To:
		to = "" // stays as it is
	case row.To == machine.Suspended:
		to = subject.Suspended
	}
	return Bump(tx, person, to, cause, now)
}
