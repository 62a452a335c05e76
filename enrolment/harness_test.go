package enrolment_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/softauthn"
	"oruro.gob.bo/suti/internal/subject"
)

const defaultOrigin = "http://localhost:8080"

var t0 = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

type clock struct {
	mu sync.Mutex
	t  time.Time
}

// Now moves on by a millisecond each time, so that acts have an order.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(time.Millisecond)
	return c.t
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// core is a signing core that keeps what it is told and judges it by itself.
type core struct {
	mu    sync.Mutex
	acts  []*act.Signed
	fails int // so many calls fail first
}

func (c *core) AcceptAct(_ context.Context, raw []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fails > 0 {
		c.fails--
		return errors.New("core is away")
	}
	s, err := act.Parse(raw)
	if err != nil {
		return err
	}
	for _, have := range c.acts {
		if have.Hash() == s.Hash() {
			return nil
		}
	}
	c.acts = append(c.acts, s)
	return nil
}

type harness struct {
	t        *testing.T
	origin   string
	d        *db.DB
	clock    *clock
	accounts *account.Service
	keys     *passkey.Service
	log      *audit.Log
	store    *keystore.Store
	svc      *enrolment.Service
	core     *core
	worker   *outbox.Worker
	people   int
	limiter  cache.Taker

	admin, registrar, supervisor, second *member // second is another registrar
}

// member is a person with an authenticator.
type member struct {
	id   identity.PersonID
	doc  identity.Document
	auth *softauthn.Authenticator
}

func lines() []db.Line {
	return []db.Line{subject.Migrations, outbox.Migrations, keystore.Migrations, audit.Migrations, account.Migrations, passkey.Migrations, enrolment.Migrations}
}

func each(t *testing.T, fn func(h *harness)) {
	t.Helper()
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) { fn(newHarness(t, d)) })
}

func newHarness(t *testing.T, d *db.DB) *harness { return newHarnessAt(t, d, defaultOrigin) }

func newHarnessAt(t *testing.T, d *db.DB, origin string) *harness {
	t.Helper()
	h := &harness{t: t, origin: origin, d: d, clock: &clock{t: t0}, core: &core{}}
	var err error
	if h.store, err = keystore.Open(t.Context(), keystore.Config{DB: d, KEK: envelope.NewKey(), Now: h.clock.Now}); err != nil {
		t.Fatal(err)
	}
	if h.log, err = audit.New(audit.Config{DB: d, Keys: h.store, Erased: keystore.ErrErased, Now: h.clock.Now}); err != nil {
		t.Fatal(err)
	}
	h.accounts, err = account.New(account.Config{DB: d, Keys: h.store, KEK: envelope.NewKey(), Audit: h.log, Now: h.clock.Now, Argon2MemoryKiB: 64, Argon2Passes: 1})
	if err != nil {
		t.Fatal(err)
	}
	if h.keys, err = passkey.New(passkey.Config{Origin: h.origin, DB: d, Keys: h.store, Audit: h.log, Now: h.clock.Now}); err != nil {
		t.Fatal(err)
	}
	h.svc = h.service()
	h.worker, err = outbox.New(outbox.Config{DB: d, Handlers: h.svc.Handlers(), Now: func() time.Time { return time.Now().Add(time.Hour) }, Backoff: func(int) time.Duration { return 0 }, Concurrency: 1})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// service is a node of its own on the same database.
func (h *harness) service() *enrolment.Service {
	h.t.Helper()
	s, err := enrolment.New(enrolment.Config{
		DB: h.d, Accounts: h.accounts, Passkeys: h.keys, Keys: h.store, Audit: h.log, Acts: h.core, Origin: h.origin, Name: "Gobernación de prueba", Site: "ventanilla-1", Now: h.clock.Now,
		Limiter: h.limiter,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *harness) ctx() context.Context { return h.t.Context() }

func (h *harness) registration() account.Registration {
	h.people++
	return account.Registration{
		Name:      identity.Name{Given: "Persona", FirstSurname: "Prueba", SecondSurname: string(rune('A' + h.people%26))},
		Document:  identity.Document{Type: identity.DocumentCI, Number: fmt.Sprint(9_990_000 + h.people)},
		BirthDate: identity.Date{Year: 1980, Month: time.March, Day: 1 + h.people%28},
	}
}

func secretOf(n int) []byte { return fmt.Appendf(nil, "browser-%d", n) }

// preregister registers a person at home, with a passkey.
func (h *harness) preregister() (*member, enrolment.Ticket) {
	h.t.Helper()
	in := h.registration()
	secret := secretOf(h.people)
	t, err := h.svc.Register(h.ctx(), in, secret)
	if err != nil {
		h.t.Fatal(err)
	}
	m := &member{id: t.Person, doc: in.Document, auth: softauthn.New(softauthn.Config{})}
	c, err := h.svc.BeginKey(h.ctx(), secret)
	if err != nil {
		h.t.Fatal(err)
	}
	answer, err := m.auth.Create(h.origin, c.Options)
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.svc.FinishKey(h.ctx(), secret, c.ID, answer, "Mi celular"); err != nil {
		h.t.Fatal(err)
	}
	return m, t
}

var bind = []byte("session")

// signWith signs a draft as a person with an authenticator.
func (h *harness) signWith(s *enrolment.Service, d enrolment.Draft, who identity.PersonID, auth *softauthn.Authenticator) (enrolment.Draft, error) {
	c, err := s.BeginSign(h.ctx(), d.ID, who, bind)
	if err != nil {
		return d, err
	}
	answer, err := auth.Get(h.origin, c.Options)
	if err != nil {
		return d, err
	}
	return s.FinishSign(h.ctx(), enrolment.Answer{Draft: d.ID, Person: who, Ceremony: c.ID, Binding: bind, Response: answer})
}

func (h *harness) sign(d enrolment.Draft, m *member) (enrolment.Draft, error) {
	return h.signWith(h.svc, d, m.id, m.auth)
}

// do signs a draft as everybody given and wants it to become an act.
func (h *harness) do(d enrolment.Draft, err error, by ...*member) enrolment.Draft {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
	for _, m := range by {
		if d, err = h.sign(d, m); err != nil {
			h.t.Fatalf("%s: %v", d.Statement.Body.Kind(), err)
		}
	}
	if !d.Done {
		h.t.Fatalf("%s is not done: %+v", d.Statement.Body.Kind(), d.Needs)
	}
	return d
}

func (h *harness) approve(d enrolment.Draft, by *member) {
	h.t.Helper()
	a, err := h.svc.Approve(h.ctx(), by.id, d.ID)
	h.do(a, err, by)
}

func (h *harness) genesisDraft() enrolment.Draft {
	h.t.Helper()
	h.admin, _ = h.preregister()
	h.registrar, _ = h.preregister()
	h.supervisor, _ = h.preregister()
	d, err := h.svc.BeginGenesis(h.ctx(), enrolment.GenesisRequest{Founders: []enrolment.Founder{
		{Person: h.admin.id, Roles: []act.Role{act.Administrator}},
		{Person: h.registrar.id, Roles: []act.Role{act.Registrar}},
		{Person: h.supervisor.id, Roles: []act.Role{act.Supervisor}},
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	return d
}

// found founds the deployment.
func (h *harness) found() {
	h.t.Helper()
	h.do(h.genesisDraft(), nil, h.admin, h.registrar, h.supervisor)
}

// draw brings a ticket to the point where only signatures are missing.
func (h *harness) draw(registrar *member, t enrolment.Ticket, level identity.Level) (enrolment.Draft, error) {
	if _, err := h.svc.OpenTicket(h.ctx(), registrar.id, t.Code); err != nil {
		return enrolment.Draft{}, err
	}
	return h.svc.Verify(h.ctx(), registrar.id, enrolment.Verification{Ticket: t.ID, Confirmed: enrolment.Fields(), Level: level})
}

// enrol takes a person all the way.
func (h *harness) enrol(level identity.Level) *member {
	h.t.Helper()
	m, t := h.preregister()
	d, err := h.draw(h.registrar, t, level)
	h.approve(h.do(d, err, h.registrar, m), h.supervisor)
	return m
}

func (h *harness) grant(m *member, r act.Role, ins identity.InstitutionID) {
	h.t.Helper()
	d, err := h.svc.Grant(h.ctx(), h.admin.id, enrolment.GrantRequest{Person: m.id, Role: r, Institution: ins})
	h.approve(h.do(d, err, h.admin), h.supervisor)
}

// office is an institution with a post and an administrator of its own.
func (h *harness) office() (identity.Institution, enrolment.Post, *member) {
	h.t.Helper()
	ins, err := h.svc.CreateInstitution(h.ctx(), h.admin.id, identity.Institution{Name: "Gobernación de prueba", ShortName: "GP", TaxID: "123456789"})
	if err != nil {
		h.t.Fatal(err)
	}
	m := h.enrol(identity.N2)
	h.grant(m, act.InstitutionAdmin, ins.ID)
	post, err := h.svc.CreatePost(h.ctx(), m.id, enrolment.Post{Institution: ins, Unit: "Secretaría General", Title: "Secretaria General", Item: "17", Exclusive: true, Scopes: []string{"resolucion"}})
	if err != nil {
		h.t.Fatal(err)
	}
	return ins, post, m
}

func (h *harness) level(p identity.PersonID) identity.Level {
	h.t.Helper()
	got, err := h.svc.Profile(h.ctx(), p)
	if err != nil {
		h.t.Fatal(err)
	}
	return got.Level
}

func (h *harness) epoch(p identity.PersonID) identity.Epoch {
	h.t.Helper()
	got, err := h.svc.Profile(h.ctx(), p)
	if err != nil {
		h.t.Fatal(err)
	}
	return got.Epoch
}

// check re-verifies what must hold after every step: no stored act is without
// effect, the tables agree with the chain, every act has its audit entry, and
// the core comes to the same chain by itself.
func (h *harness) check() *act.Chain {
	h.t.Helper()
	for range 50 {
		if n, err := h.worker.Step(h.ctx()); err != nil {
			h.t.Fatal(err)
		} else if n == 0 {
			break
		}
	}
	chain, err := h.service().Chain(h.ctx()) // a node that has seen nothing yet
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range chain.Refusals() {
		h.t.Errorf("a stored act has no effect: %v", r)
	}
	genesis, _ := h.svc.Genesis(h.ctx())
	theirs, err := act.Build(genesis, h.core.acts)
	if err != nil {
		h.t.Fatalf("core: %v", err)
	}
	if got, want := len(theirs.Acts()), len(chain.Acts()); got != want || len(theirs.Refusals()) > 0 {
		h.t.Errorf("the core has %d acts, %d refused, want %d", got, len(theirs.Refusals()), want)
	}
	var entries int
	for _, a := range chain.Acts() {
		var n int
		if err := h.d.QueryRow(h.ctx(), `SELECT count(*) FROM audit_entry WHERE object = $1 AND outcome = $2`, string(a.Statement().ID), audit.OutcomeOK).Scan(&n); err != nil {
			h.t.Fatal(err)
		}
		entries += n
	}
	if entries != len(chain.Acts()) {
		h.t.Errorf("%d audit entries for %d acts", entries, len(chain.Acts()))
	}
	h.checkLevels(chain)
	h.checkAppointments(chain)
	return chain
}

func (h *harness) checkLevels(chain *act.Chain) {
	h.t.Helper()
	rows, err := h.d.Query(h.ctx(), `SELECT p.id, p.level, s.state FROM enrolment_person p JOIN subject s ON s.person = p.id`)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var p identity.PersonID
		var level identity.Level
		var state string
		if err := rows.Scan(&p, &level, &state); err != nil {
			h.t.Fatal(err)
		}
		got, err := chain.Enrolled(p, h.clock.Now())
		if err == nil && got != level || errors.Is(err, act.ErrNotEnrolled) && level != 0 || errors.Is(err, act.ErrSuspended) && state == "active" {
			h.t.Errorf("%s: table says %v %s, chain says %v %v", p, level, state, got, err)
		}
	}
}

func (h *harness) checkAppointments(chain *act.Chain) {
	h.t.Helper()
	rows, err := h.d.Query(h.ctx(), `SELECT id, person, state FROM enrolment_appointment`)
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id identity.AppointmentID
		var p identity.PersonID
		var state string
		if err := rows.Scan(&id, &p, &state); err != nil {
			h.t.Fatal(err)
		}
		_, err := chain.Appointment(id, p, h.clock.Now())
		want := map[string]error{"propuesto": act.ErrPending, "cesado": act.ErrEnded}[state]
		if state == "vigente" && err != nil && !errors.Is(err, act.ErrSuspended) && !errors.Is(err, act.ErrEnded) && !errors.Is(err, act.ErrNotYet) || want != nil && !errors.Is(err, want) {
			h.t.Errorf("appointment %s: table says %s, chain says %v", id, state, err)
		}
	}
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// coseID is the id of a member's first passkey in acts.
func (m *member) coseID() act.Hash { return sha256.Sum256(m.auth.Credentials()[0].COSE) }

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
