package coretest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/blob"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/softauthn"
	"oruro.gob.bo/suti/internal/subject"
	"oruro.gob.bo/suti/signer/core"
)

// RPID and Origin of the deployment.
const (
	RPID   = "localhost"
	Origin = "http://localhost"
	// LogOrigin names the transparency log.
	LogOrigin = "localhost/log"
)

// Lines are the migrations that the world needs.
func Lines(more ...db.Line) []db.Line {
	return append([]db.Line{subject.Migrations, outbox.Migrations, keystore.Migrations, audit.Migrations, blob.Migrations, core.Migrations}, more...)
}

// Clock is a time that moves only when told to.
type Clock struct {
	mu sync.Mutex
	t  time.Time
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

// Add moves the time.
func (c *Clock) Add(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
	return c.t
}

// Person is somebody with one passkey.
type Person struct {
	Profile     identity.Profile
	Appointment *identity.Appointment // nil for citizens
	Auth        *softauthn.Authenticator
	Cred        softauthn.Credential
}

// ID returns the person's id.
func (p *Person) ID() identity.PersonID { return p.Profile.Person }

// World is a deployment.
type World struct {
	T       testing.TB
	DB      *db.DB
	Clock   *Clock
	KEK     envelope.Key
	Keys    *keystore.Store
	Audit   *audit.Log
	CA      *CA
	TSA     *TSA
	Core    *core.Core
	Config  core.Config // of Core
	Genesis act.Hash

	Admin, Registrar, Supervisor *Person
	// Official holds an appointment, Citizen has none, Other is a second citizen.
	Official, Citizen, Other *Person

	acts int
	seq  *audit.Sequencer
}

// Start is when every world begins.
func Start() time.Time { return time.Date(2026, 11, 24, 14, 0, 0, 0, time.UTC) }

// New makes a world on a database that has [Lines].
func New(t testing.TB, d *db.DB, change ...func(*core.Config)) *World {
	t.Helper()
	w := &World{T: t, DB: d, Clock: &Clock{t: Start()}, KEK: envelope.NewKey()}
	w.open()
	w.CA, w.TSA = newCA(t, w.Clock), nil
	w.TSA = &TSA{ca: w.CA}
	w.people()
	w.Config = core.Config{DB: d, Keys: w.Keys, Audit: w.Audit, Certifier: w.CA, Timestamper: w.TSA, Hints: w, Now: w.Clock.Now}
	for _, c := range change {
		c(&w.Config)
	}
	w.Reopen()
	w.found()
	return w
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (w *World) open() {
	w.Keys = must(keystore.Open(w.T.Context(), keystore.Config{DB: w.DB, KEK: w.KEK, Now: w.Clock.Now}))(w.T)
	w.Audit = must(audit.New(audit.Config{DB: w.DB, Keys: w.Keys, Erased: keystore.ErrErased, Now: w.Clock.Now}))(w.T)
}

// Reopen makes the core anew on the same database, as after a crash.
func (w *World) Reopen() {
	w.T.Helper()
	w.Core = must(core.New(w.Config))(w.T)
}

// Write runs fn in a transaction.
func (w *World) Write(fn func(*db.Tx) error) {
	w.T.Helper()
	if err := w.DB.Write(w.T.Context(), fn); err != nil {
		w.T.Fatal(err)
	}
}

func (w *World) person(n int, given string, level identity.Level) *Person {
	p := &Person{Auth: softauthn.New(softauthn.Config{}), Profile: identity.Profile{
		Person: identity.PersonID(fmt.Sprintf("per_%026d", n)), Name: identity.Name{Given: given, FirstSurname: "Mamani", SecondSurname: "Ñáñez"},
		Document: identity.Document{Type: identity.DocumentCI, Number: fmt.Sprintf("%07d", 1234560+n)}, Level: level, Epoch: 1, Active: true,
	}}
	p.Cred = must(p.Auth.NewCredential(RPID, []byte(p.Profile.Person)))(w.T)
	w.Write(func(tx *db.Tx) error { return subject.Create(tx, p.ID(), subject.Active, w.Clock.Now()) })
	return p
}

func (w *World) people() {
	w.Admin, w.Registrar, w.Supervisor = w.person(1, "Ana", identity.N3), w.person(2, "Rosa", identity.N3), w.person(3, "Saúl", identity.N3)
	w.Official, w.Citizen, w.Other = w.person(10, "María José", identity.N3), w.person(11, "Pedro", identity.N2), w.person(12, "Otilia", identity.N2)
	w.Official.Appointment = &identity.Appointment{
		ID: identity.AppointmentID(fmt.Sprintf("apt_%026d", 1)), Person: w.Official.ID(), Post: "pst_00000000000000000000000001",
		Institution: identity.Institution{ID: "ins_00000000000000000000000001", Name: "Gobierno Autónomo Departamental de Oruro", ShortName: "GAD Oruro", TaxID: "177442021"},
		Title:       "Secretaria Departamental de Minería", Kind: identity.Interim, From: w.Clock.Now(), LegalAct: "Memorándum 12/2026",
	}
}

// Record returns the person's passkey as acts name it.
func (p *Person) Record() act.KeyRecord {
	backup := act.SingleDevice
	if p.Cred.BE {
		backup = act.MultiDevice
	}
	return act.KeyRecord{COSE: p.Cred.COSE, Backup: backup, Attestation: act.AttestationNone}
}

// Assert signs a challenge.
func (p *Person) Assert(t testing.TB, challenge act.Hash) core.Assertion {
	t.Helper()
	r := must(p.Auth.Assert(p.Cred.ID, RPID, Origin, challenge[:]))(t)
	return core.Assertion{CredentialID: r.CredentialID, Response: assertion.Response{
		AuthenticatorData: r.AuthenticatorData, ClientDataJSON: r.ClientDataJSON, Signature: r.Signature}}
}

// Act makes a signed act one second from now.
func (w *World) Act(b act.Body, signers ...*Person) *act.Signed {
	w.T.Helper()
	w.acts++
	st := act.Statement{ID: identity.ActID(fmt.Sprintf("act_%026d", w.acts)), Genesis: w.Genesis, At: w.Clock.Add(time.Second), Body: b}
	hash := must(st.Hash())(w.T)
	var sigs []act.Signature
	for _, p := range signers {
		sigs = append(sigs, act.Signature{Person: p.ID(), Key: act.Hash(sha256.Sum256(p.Cred.COSE)), Response: p.Assert(w.T, hash).Response})
	}
	return must(act.Sign(st, sigs...))(w.T)
}

// Raw returns the stored form of an act.
func (w *World) Raw(s *act.Signed) []byte {
	w.T.Helper()
	return must(s.Marshal())(w.T)
}

// Accept hands an act to the core.
func (w *World) Accept(s *act.Signed) *act.Signed {
	w.T.Helper()
	if err := w.Core.AcceptAct(context.Background(), w.Raw(s)); err != nil {
		w.T.Fatalf("accept act: %v", err)
	}
	return s
}

// Approve makes and accepts the supervisor's approval.
func (w *World) Approve(s *act.Signed) {
	w.T.Helper()
	w.Accept(w.Act(&act.Approval{Target: s.Hash(), TargetKind: s.Statement().Body.Kind(), Approver: w.Supervisor.ID(), Capacity: act.Supervisor}, w.Supervisor))
}

// Enrol enrols a person with their passkey.
func (w *World) Enrol(p *Person) {
	w.T.Helper()
	w.Approve(w.Accept(w.Act(&act.Enrolment{Person: p.ID(), Level: p.Profile.Level, Keys: []act.KeyRecord{p.Record()},
		Registrar: w.Registrar.ID(), Site: "site-1", Policy: "1.0"}, w.Registrar, p)))
}

func (w *World) found() {
	founder := func(p *Person, r act.Role) act.Founder {
		return act.Founder{Person: p.ID(), Roles: []act.Role{r}, Keys: []act.KeyRecord{p.Record()}}
	}
	g := w.Act(&act.Genesis{Name: "Gobernación de ejemplo", RPID: RPID,
		Settings: act.Settings{Origins: []string{Origin}, LogOrigin: LogOrigin, LogKey: w.Sequencer().VerifierKey(), Policy: "1.0"},
		Founders: []act.Founder{founder(w.Admin, act.Administrator), founder(w.Registrar, act.Registrar), founder(w.Supervisor, act.Supervisor)},
	}, w.Admin, w.Registrar, w.Supervisor)
	w.Genesis = g.Hash()
	if err := w.Core.Pin(w.T.Context(), w.Genesis); err != nil {
		w.T.Fatal(err)
	}
	w.Accept(g)
	w.Enrol(w.Official)
	w.Enrol(w.Citizen)
	w.Enrol(w.Other)
	a := w.Official.Appointment
	w.Approve(w.Accept(w.Act(&act.Appointment{Appointment: a.ID, Institution: a.Institution.ID, Post: a.Post, Person: a.Person,
		Holding: string(a.Kind), Exclusive: true, LegalAct: a.LegalAct, Proposer: w.Admin.ID(), Capacity: act.Administrator}, w.Admin)))
	w.Clock.Add(time.Minute)
}

// Sequencer returns the log's sequencer.
func (w *World) Sequencer() *audit.Sequencer {
	w.T.Helper()
	if w.seq != nil {
		return w.seq
	}
	p := must(w.Keys.Generate(keystore.Spec{Purpose: "log", Alg: keystore.EdDSA, Owner: "system:log", Activate: true}))(w.T)
	w.Write(func(tx *db.Tx) error { return w.Keys.Put(tx, p) })
	key := must(w.Keys.Signer(w.T.Context(), p.ID(), "log"))(w.T)
	w.seq = must(audit.NewSequencer(w.T.Context(), audit.SequencerConfig{Log: w.Audit, Signer: key, Origin: LogOrigin}))(w.T)
	return w.seq
}

// Sequence gives every entry its place and signs a checkpoint.
func (w *World) Sequence() {
	w.T.Helper()
	for {
		n := must(w.Sequencer().Step(w.T.Context()))(w.T)
		if n == 0 {
			return
		}
	}
}

func (w *World) everybody() []*Person {
	return []*Person{w.Admin, w.Registrar, w.Supervisor, w.Official, w.Citizen, w.Other}
}

// OfPerson implements core.Hints.
func (w *World) OfPerson(_ context.Context, id identity.PersonID) (out []core.Hint, err error) {
	for _, p := range w.everybody() {
		if p.ID() == id {
			out = append(out, core.Hint{CredentialID: p.Cred.ID, COSE: p.Cred.COSE})
		}
	}
	return out, nil
}

// ByID implements core.Hints.
func (w *World) ByID(_ context.Context, id []byte) ([]byte, error) {
	for _, p := range w.everybody() {
		if string(p.Cred.ID) == string(id) {
			return p.Cred.COSE, nil
		}
	}
	return nil, nil
}

// Answer answers WebAuthn options as the person's browser would.
func (p *Person) Answer(t testing.TB, options json.RawMessage) json.RawMessage {
	t.Helper()
	var o struct {
		PublicKey json.RawMessage `json:"publicKey"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	return must(p.Auth.Get(Origin, o.PublicKey))(t)
}
