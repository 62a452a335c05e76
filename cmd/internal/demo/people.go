package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"oruro.gob.bo/suti/cmd/internal/app"
	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

// cells is how many cells a demo card holds, so that outside programs can enter often.
const cells = 2500

// invented is a person of the demo. The numbers are not real ones.
type invented struct {
	word     string // how the demo calls the person
	name     identity.Name
	ci       string
	birth    identity.Date
	password string
}

// cast are the people of the demo. The first three found the deployment.
func cast() []invented {
	return []invented{
		{"administradora", identity.Name{Given: "Elena", FirstSurname: "Quispe", SecondSurname: "Rojas"}, "9900001", identity.Date{Year: 1975, Month: time.March, Day: 8}, "administra-oruro"},
		{"registradora", identity.Name{Given: "Rosa", FirstSurname: "Choque", SecondSurname: "Vargas"}, "9900002", identity.Date{Year: 1984, Month: time.July, Day: 16}, "registra-oruro"},
		{"supervisor", identity.Name{Given: "Juan", FirstSurname: "Flores", SecondSurname: "Ticona"}, "9900003", identity.Date{Year: 1979, Month: time.November, Day: 2}, "supervisa-oruro"},
		{"ciudadana", identity.Name{Given: "Ana María", FirstSurname: "Mamani", SecondSurname: "Quispe"}, "9900004", identity.Date{Year: 1990, Month: time.May, Day: 2}, "ciudadana-oruro"},
		{"secretario", identity.Name{Given: "Carlos", FirstSurname: "Condori"}, "9900005", identity.Date{Year: 1970, Month: time.January, Day: 20}, "secretario-oruro"},
	}
}

// seeder makes the people of the demo through the same services that serve
// people, with software keys in their hands.
type seeder struct {
	app  *app.App
	dir  string
	st   *state
	keys map[string]*softauthn.Authenticator // by word
	ids  map[string]identity.PersonID
	tick tickets
}

// Authenticator is one person's software key with where it is kept.
func authenticatorPath(dir, word string) string {
	return filepath.Join(dir, "llaves", word+".json")
}

// seed founds the deployment and enrols the cast, on an empty database.
func (s *seeder) seed(ctx context.Context) error {
	for _, p := range cast() {
		if err := s.register(ctx, p); err != nil {
			return fmt.Errorf("register %s: %w", p.word, err)
		}
	}
	if err := s.found(ctx); err != nil {
		return fmt.Errorf("found the deployment: %w", err)
	}
	if err := s.enrol(ctx, "ciudadana", identity.N2); err != nil {
		return fmt.Errorf("enrol the citizen: %w", err)
	}
	if err := s.enrol(ctx, "secretario", identity.N3); err != nil {
		return fmt.Errorf("enrol the official: %w", err)
	}
	if err := s.appoint(ctx); err != nil {
		return fmt.Errorf("appoint the official: %w", err)
	}
	for word, id := range s.ids {
		s.st.People[word] = string(id)
	}
	return nil
}

func (s *seeder) origin() string { return s.app.Config.PublicURL }

// register opens a record and makes a passkey, as a person does at home.
func (s *seeder) register(ctx context.Context, p invented) error {
	doc, err := account.ParseDocument(identity.DocumentCI, p.ci, "")
	if err != nil {
		return err
	}
	browser := []byte("demo-" + p.word)
	t, err := s.app.Enrolment.Register(ctx, account.Registration{Name: p.name, Document: doc, BirthDate: p.birth, Email: p.word + "@demo.example"}, browser)
	if err != nil {
		return err
	}
	c, err := s.app.Enrolment.BeginKey(ctx, browser)
	if err != nil {
		return err
	}
	auth := softauthn.New(keyConfig())
	answer, err := auth.Create(s.origin(), c.Options)
	if err != nil {
		return err
	}
	if _, err := s.app.Enrolment.FinishKey(ctx, browser, c.ID, answer, "Llave de la demostración"); err != nil {
		return err
	}
	if err := auth.Save(authenticatorPath(s.dir, p.word)); err != nil {
		return err
	}
	s.keys[p.word], s.ids[p.word], s.tick[p.word] = auth, t.Person, t
	return nil
}

// sign puts a person's signature under a draft.
func (s *seeder) sign(ctx context.Context, d enrolment.Draft, words ...string) (enrolment.Draft, error) {
	for _, w := range words {
		binding := []byte("demo-seed-" + w)
		c, err := s.app.Enrolment.BeginSign(ctx, d.ID, s.ids[w], binding)
		if err != nil {
			return d, fmt.Errorf("%s: %w", w, err)
		}
		answer, err := s.keys[w].Get(s.origin(), c.Options)
		if err != nil {
			return d, fmt.Errorf("%s: %w", w, err)
		}
		if d, err = s.app.Enrolment.FinishSign(ctx, enrolment.Answer{Draft: d.ID, Person: s.ids[w], Ceremony: c.ID, Binding: binding, Response: json.RawMessage(answer)}); err != nil {
			return d, fmt.Errorf("%s: %w", w, err)
		}
	}
	return d, nil
}

// act signs a draft and has a second person approve it.
func (s *seeder) act(ctx context.Context, d enrolment.Draft, err error, approver string, words ...string) (enrolment.Draft, error) {
	if err != nil {
		return d, err
	}
	if d, err = s.sign(ctx, d, words...); err != nil {
		return d, err
	}
	a, err := s.app.Enrolment.Approve(ctx, s.ids[approver], d.ID)
	if err != nil {
		return d, fmt.Errorf("approve: %w", err)
	}
	_, err = s.sign(ctx, a, approver)
	return d, err
}

// keyConfig is how the demo's software keys behave: like synchronised passkeys
// they keep no counter, so that several programs may use one file.
func keyConfig() softauthn.Config {
	return softauthn.Config{Behaviour: &softauthn.Behaviour{UP: true, UV: true, Attestation: "none"}}
}

// found runs the founding (design D20) and pins it in the signing core.
func (s *seeder) found(ctx context.Context) error {
	d, err := s.app.Enrolment.BeginGenesis(ctx, enrolment.GenesisRequest{
		LogKey: s.app.Seq.VerifierKey(),
		Founders: []enrolment.Founder{
			{Person: s.ids["administradora"], Roles: []act.Role{act.Administrator}},
			{Person: s.ids["registradora"], Roles: []act.Role{act.Registrar}},
			{Person: s.ids["supervisor"], Roles: []act.Role{act.Supervisor}},
		},
	})
	if err != nil {
		return err
	}
	if d, err = s.sign(ctx, d, "administradora", "registradora", "supervisor"); err != nil {
		return err
	}
	if !d.Done {
		return errors.New("the founding lacks a signature")
	}
	return s.app.PinGenesis(ctx)
}

// enrol takes a person through the counter: the registrar opens the ticket and
// confirms each field, both sign, the supervisor approves.
func (s *seeder) enrol(ctx context.Context, word string, level identity.Level) error {
	registrar := s.ids["registradora"]
	t, err := s.app.Enrolment.OpenTicket(ctx, registrar, s.tick[word].Code)
	if err != nil {
		return err
	}
	d, err := s.app.Enrolment.Verify(ctx, registrar, enrolment.Verification{Ticket: t.ID, Confirmed: enrolment.Fields(), Level: level})
	_, err = s.act(ctx, d, err, "supervisor", "registradora", word)
	return err
}

// appoint makes the two institutions, a post, and gives it to the official.
func (s *seeder) appoint(ctx context.Context) error {
	admin := s.ids["administradora"]
	gov, err := s.app.Enrolment.CreateInstitution(ctx, admin, identity.Institution{Name: "Gobierno Autónomo Departamental de Oruro", ShortName: "GAD Oruro", TaxID: "1020255020"})
	if err != nil {
		return err
	}
	city, err := s.app.Enrolment.CreateInstitution(ctx, admin, identity.Institution{Name: "Gobierno Autónomo Municipal de Oruro", ShortName: "GAM Oruro", TaxID: "1020255021"})
	if err != nil {
		return err
	}
	post, err := s.app.Enrolment.CreatePost(ctx, admin, enrolment.Post{
		Institution: gov, Unit: "Secretaría Departamental de Planificación", Title: "Secretario Departamental de Planificación", Item: "17", Exclusive: true, Scopes: []string{"resolucion"},
	})
	if err != nil {
		return err
	}
	d, err := s.app.Enrolment.Appoint(ctx, admin, enrolment.AppointmentRequest{Person: s.ids["secretario"], Post: post.ID, Kind: identity.Titular, LegalAct: "DEMO 001/2026"})
	d, err = s.act(ctx, d, err, "supervisor", "administradora")
	if err != nil {
		return err
	}
	body, ok := d.Statement.Body.(*act.Appointment)
	if !ok {
		return errors.New("the draft is no appointment")
	}
	s.st.Ends = map[string]string{"gobernacion": string(gov.ID), "municipio": string(city.ID), "cargo": string(post.ID), "nombramiento": string(body.Appointment)}
	return nil
}

// card gives a person a password and a printed card.
func (s *seeder) card(ctx context.Context, p invented, id identity.PersonID) (map[string]string, error) {
	if err := s.app.Accounts.SetPassword(ctx, account.Seeded, "service:demo", id, p.password); err != nil {
		return nil, err
	}
	list, err := s.app.Accounts.IssueCard(ctx, account.Seeded, "service:demo", id, cells)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, c := range list {
		out[c.Number] = c.Code
	}
	return out, nil
}

// tickets are the counter tickets of the cast, by word.
type tickets map[string]enrolment.Ticket
