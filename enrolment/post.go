package enrolment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// text checks a line of text that people read; it may be empty if least is 0.
func text(name, s string, least, most int) (string, error) {
	s = strings.Join(strings.Fields(s), " ")
	n := utf8.RuneCountInString(s)
	if n < least || n > most || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 || r >= 0x7f && r <= 0x9f || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e
	}) {
		return "", fmt.Errorf("%w: %s", ErrInput, name)
	}
	return s, nil
}

// CreateInstitution takes an institution up; an administrator may. ErrExists if
// the name is taken.
func (s *Service) CreateInstitution(ctx context.Context, by identity.PersonID, in identity.Institution) (identity.Institution, error) {
	if _, err := s.role(ctx, by, act.Administrator, ""); err != nil {
		return in, err
	}
	return s.putInstitution(ctx, actor(by), in)
}

func (s *Service) putInstitution(ctx context.Context, actor string, in identity.Institution) (identity.Institution, error) {
	var err1, err2 error
	in.Name, err1 = text("name", in.Name, 3, 200)
	in.ShortName, err2 = text("short_name", in.ShortName, 0, 30)
	if err := errors.Join(err1, err2); err != nil {
		return in, err
	}
	if in.TaxID != "" {
		nit, err := account.ParseTaxID(in.TaxID)
		if err != nil {
			return in, fmt.Errorf("%w: tax_id", ErrInput)
		}
		in.TaxID = nit
	}
	now := s.now()
	in.ID = identity.InstitutionID(identity.NewID(identity.PrefixInstitution, now))
	return in, s.recorded(ctx, audit.Entry{Kind: "enrolment.institution.created", Actor: actor, Object: string(in.ID), Institution: string(in.ID), Outcome: "created"},
		func(tx *db.Tx) error { return store.PutInstitution(tx, in, now) })
}

// recorded makes a change with its audit entry. A unique violation is ErrExists.
func (s *Service) recorded(ctx context.Context, e audit.Entry, change func(tx *db.Tx) error) error {
	entry, err := s.cfg.Audit.Prepare(ctx, e)
	if err != nil {
		return err
	}
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		_, err := s.cfg.Audit.Append(tx, entry)
		return err
	})
	if db.IsConstraint(err, db.Unique) {
		return ErrExists
	}
	return err
}

// Institutions lists all institutions by name.
func (s *Service) Institutions(ctx context.Context) (out []identity.Institution, err error) {
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		out, err = store.Institutions(tx)
		return err
	})
	return out, err
}

// Post is a post (cargo) of an institution.
type Post struct {
	ID          identity.PostID
	Institution identity.Institution // ID is enough to create one
	Unit        string               // organisational unit; may be empty
	Title       string               // denominación del cargo
	Item        string               // N° de ítem; empty for what has none
	// Exclusive posts have one titular or interim holder at a time.
	Exclusive bool
	// Scopes are what the post may sign, labels; empty means what its institution's rules say.
	Scopes []string
}

// CreatePost takes a post up; an administrator, or one of the institution, may.
// ErrExists if the item number is taken, ErrUnknown if the institution is not there.
func (s *Service) CreatePost(ctx context.Context, by identity.PersonID, p Post) (Post, error) {
	if _, _, err := s.adminOf(ctx, by, p.Institution.ID); err != nil {
		return p, err
	}
	return s.putPost(ctx, actor(by), p)
}

func (s *Service) putPost(ctx context.Context, actor string, p Post) (Post, error) {
	var err1, err2, err3 error
	p.Unit, err1 = text("unit", p.Unit, 0, 200)
	p.Title, err2 = text("title", p.Title, 3, 200)
	p.Item, err3 = text("item", p.Item, 0, 20)
	if err := errors.Join(err1, err2, err3); err != nil {
		return p, err
	}
	for _, scope := range p.Scopes {
		if !label(scope) {
			return p, fmt.Errorf("%w: scopes", ErrInput)
		}
	}
	p.Scopes = slices.Compact(slices.Sorted(slices.Values(p.Scopes)))
	now := s.now()
	p.ID = identity.PostID(identity.NewID(identity.PrefixPost, now))
	unit := identity.NewID("uni", now)
	err := s.recorded(ctx, audit.Entry{Kind: "enrolment.post.created", Actor: actor, Object: string(p.ID), Institution: string(p.Institution.ID), Outcome: "created"},
		func(tx *db.Tx) error { return store.PutPost(tx, store.Post(p), unit, now) })
	if db.IsConstraint(err, db.ForeignKey) {
		err = ErrUnknown
	}
	return p, err
}

// label reports whether s can be a label of an act.
func label(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

// Posts lists the posts of an institution by title.
func (s *Service) Posts(ctx context.Context, ins identity.InstitutionID) (out []Post, err error) {
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err := store.Posts(tx, ins)
		out = nil
		for _, p := range rows {
			out = append(out, Post(p))
		}
		return err
	})
	return out, err
}

// post returns one post, or ErrUnknown.
func (s *Service) post(ctx context.Context, id identity.PostID) (out Post, err error) {
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		p, err := store.PostByID(tx, id)
		out = Post(p)
		return err
	})
	if errors.Is(err, store.ErrNone) {
		err = ErrUnknown
	}
	return out, err
}

// adminOf returns in which capacity a person administers an institution:
// institution-admin before administrator; act.ErrRole if in none.
func (s *Service) adminOf(ctx context.Context, by identity.PersonID, ins identity.InstitutionID) (*known, act.Role, error) {
	k, err := s.load(ctx)
	if err != nil {
		return nil, "", err
	}
	now := s.now()
	if k.chain.HasRole(by, act.InstitutionAdmin, ins, now) == nil {
		return k, act.InstitutionAdmin, nil
	}
	return k, act.Administrator, k.chain.HasRole(by, act.Administrator, "", now)
}

// AppointmentRequest says who is to hold a post.
type AppointmentRequest struct {
	Person   identity.PersonID
	Post     identity.PostID
	Kind     identity.AppointmentKind
	LegalAct string    // number of the resolution or memorandum
	From     time.Time // zero: with the approval
	To       time.Time // zero: until ended; a deputy needs an end
}

// Appoint drafts an appointment. An administrator of the institution, or a
// general one, signs it; another administrator of the institution or a
// supervisor approves it. The person has to be enrolled at N2 or above.
func (s *Service) Appoint(ctx context.Context, by identity.PersonID, r AppointmentRequest) (Draft, error) {
	p, err := s.post(ctx, r.Post)
	if err != nil {
		return Draft{}, err
	}
	k, capacity, err := s.capable(ctx, by, p.Institution.ID, machine.Proposal, machine.Nothing, machine.ProposeAppointment, machine.Another)
	if err != nil {
		return Draft{}, err
	}
	if by == r.Person {
		return Draft{}, fmt.Errorf("%w: own appointment", act.ErrSelf)
	}
	if r.LegalAct, err = text("legal_act", r.LegalAct, 1, 90); err != nil {
		return Draft{}, err
	}
	if err := enrolled(k.chain, r.Person, identity.N2, s.now()); err != nil {
		return Draft{}, err
	}
	return s.propose(ctx, proposal{genesis: k.genesis, body: &act.Appointment{
		Appointment: identity.AppointmentID(identity.NewID(identity.PrefixAppointment, s.now())), Institution: p.Institution.ID, Post: p.ID, Person: r.Person,
		Holding: string(r.Kind), Exclusive: p.Exclusive, Scopes: p.Scopes, LegalAct: r.LegalAct, From: micro(r.From), To: micro(r.To), Proposer: by, Capacity: capacity,
	}})
}

func micro(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Microsecond)
}

// enrolled demands that a person is enrolled at a level now.
func enrolled(c *act.Chain, p identity.PersonID, least identity.Level, now time.Time) error {
	level, err := c.Enrolled(p, now)
	if err != nil {
		return err
	}
	if level < least {
		return fmt.Errorf("%w: %v, %v is needed", act.ErrLevel, level, least)
	}
	return nil
}

// EndAppointment drafts the end of an appointment, now. Its holder, an
// administrator of the institution, a general one or a supervisor signs it; with
// the signature it is over. reason is a label such as "renuncia".
func (s *Service) EndAppointment(ctx context.Context, by identity.PersonID, id identity.AppointmentID, reason string) (Draft, error) {
	a, err := s.Appointment(ctx, id)
	if err != nil {
		return Draft{}, err
	}
	k, err := s.load(ctx)
	if err != nil {
		return Draft{}, err
	}
	capacity := act.Holder
	if by != a.Person {
		if _, capacity, err = s.capable(ctx, by, a.Institution.ID, machine.Post, machine.PostHeld, machine.EndPost, machine.Signed); err != nil {
			return Draft{}, err
		}
	}
	return s.propose(ctx, proposal{genesis: k.genesis, body: &act.End{
		What: act.EndAppointment, Person: a.Person, Appointment: id, Reason: reason, By: by, Capacity: capacity,
	}})
}

// capacityOf returns the first of the roles that a person holds, or act.ErrRole.
func capacityOf(c *act.Chain, p identity.PersonID, ins identity.InstitutionID, now time.Time, roles ...act.Role) (act.Role, error) {
	for _, r := range roles {
		of := identity.InstitutionID("")
		if r == act.InstitutionAdmin {
			if ins == "" {
				continue
			}
			of = ins
		}
		if c.HasRole(p, r, of, now) == nil {
			return r, nil
		}
	}
	return "", fmt.Errorf("%w: none of those that may", act.ErrRole)
}

// Appointments lists what a person holds now.
func (s *Service) Appointments(ctx context.Context, person identity.PersonID) ([]identity.Appointment, error) {
	return s.appointments(ctx, func(tx *db.Tx) ([]store.Appointment, error) { return store.AppointmentsOf(tx, person, s.now()) })
}

// WhoHeld lists who held a post at a time: who could act as its holder then.
func (s *Service) WhoHeld(ctx context.Context, post identity.PostID, at time.Time) ([]identity.Appointment, error) {
	return s.appointments(ctx, func(tx *db.Tx) ([]store.Appointment, error) { return store.HoldersOf(tx, post, at) })
}

// AppointmentsIn lists the appointments of an institution in force or to come.
func (s *Service) AppointmentsIn(ctx context.Context, ins identity.InstitutionID) ([]identity.Appointment, error) {
	return s.appointments(ctx, func(tx *db.Tx) ([]store.Appointment, error) { return store.AppointmentsIn(tx, ins, s.now()) })
}

func (s *Service) appointments(ctx context.Context, list func(*db.Tx) ([]store.Appointment, error)) (out []identity.Appointment, err error) {
	err = s.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		rows, err := list(tx)
		out = nil
		for _, a := range rows {
			out = append(out, a.Appointment)
		}
		return err
	})
	return out, err
}

// Appointment returns an appointment that took effect, also one that has ended:
// then To is its end. act.ErrPending if it waits for approval, ErrUnknown if
// there is none.
func (s *Service) Appointment(ctx context.Context, id identity.AppointmentID) (identity.Appointment, error) {
	var a store.Appointment
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		a, err = store.AppointmentByID(tx, id)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNone):
		return identity.Appointment{}, ErrUnknown
	case err == nil && a.State == store.AppointmentProposed:
		return identity.Appointment{}, act.ErrPending
	}
	return a.Appointment, err
}
