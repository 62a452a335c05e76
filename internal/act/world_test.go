package act

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

const (
	testRPID   = "id.example.org"
	testOrigin = "https://id.example.org"
)

var testStart = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// fixedID returns the n-th identifier of a kind.
func fixedID(prefix string, n int) string { return fmt.Sprintf("%s_%026d", prefix, n) }

func personID(n int) identity.PersonID { return identity.PersonID(fixedID("per", n)) }

// counterRand is a reproducible source of bytes.
type counterRand struct {
	seed string
	n    uint64
	rest []byte
}

func (r *counterRand) Read(p []byte) (int, error) {
	for i := range p {
		if len(r.rest) == 0 {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(r.seed), r.n))
			r.n, r.rest = r.n+1, sum[:]
		}
		p[i], r.rest = r.rest[0], r.rest[1:]
	}
	return len(p), nil
}

// device is one passkey on one software authenticator.
type device struct {
	auth   *softauthn.Authenticator
	cred   softauthn.Credential
	record KeyRecord
}

func newDevice(t testing.TB, seed string, alg softauthn.Alg) *device {
	t.Helper()
	d := &device{auth: softauthn.New(softauthn.Config{Rand: &counterRand{seed: seed}, Algs: []softauthn.Alg{alg}})}
	var err error
	if d.cred, err = d.auth.NewCredential(testRPID, []byte(seed)); err != nil {
		t.Fatal(err)
	}
	d.record = KeyRecord{COSE: d.cred.COSE, Backup: SingleDevice, Attestation: AttestationNone}
	return d
}

func (d *device) id() Hash { return d.record.ID() }

// sign signs a challenge as the given person.
func (d *device) sign(t testing.TB, who identity.PersonID, challenge Hash) Signature {
	t.Helper()
	r, err := d.auth.Assert(d.cred.ID, testRPID, testOrigin, challenge[:])
	if err != nil {
		t.Fatal(err)
	}
	return Signature{Person: who, Key: d.id(), Response: assertion.Response{
		AuthenticatorData: r.AuthenticatorData, ClientDataJSON: r.ClientDataJSON, Signature: r.Signature,
	}}
}

// member is a person with their first device.
type member struct {
	id  identity.PersonID
	dev *device
}

// by is a signature to be made: a device in the name of a person.
type by struct {
	who identity.PersonID
	dev *device
}

func (m *member) signs() by { return by{m.id, m.dev} }

// world is a deployment with a few people and the acts so far.
type world struct {
	t       testing.TB
	now     time.Time
	nextID  int
	acts    []*Signed
	genesis Hash

	admin, registrar, supervisor *member // founders, one role each
}

func (w *world) member(n int, seed string) *member {
	return &member{id: personID(n), dev: newDevice(w.t, seed, softauthn.ES256)}
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, now: testStart}
	w.admin, w.registrar, w.supervisor = w.member(1, "admin"), w.member(2, "registrar"), w.member(3, "supervisor")
	s := w.signed(w.genesisBody(), w.admin.signs(), w.registrar.signs(), w.supervisor.signs())
	w.genesis, w.acts = s.Hash(), []*Signed{s}
	return w
}

func (w *world) genesisBody() *Genesis {
	founder := func(m *member, r Role) Founder {
		return Founder{Person: m.id, Roles: []Role{r}, Keys: []KeyRecord{m.dev.record}}
	}
	return &Genesis{
		Name: "Gobernación de ejemplo", RPID: testRPID,
		Settings: Settings{Origins: []string{testOrigin}, LogOrigin: "id.example.org/log", Policy: "1.0"},
		Founders: []Founder{
			founder(w.admin, Administrator), founder(w.registrar, Registrar), founder(w.supervisor, Supervisor),
		},
	}
}

// tick moves the clock and returns the new time.
func (w *world) tick() time.Time {
	w.now = w.now.Add(time.Minute)
	return w.now
}

// signed makes an act at the present time; it is not taken into the world.
func (w *world) signed(b Body, signers ...by) *Signed {
	w.t.Helper()
	w.nextID++
	st := Statement{ID: identity.ActID(fixedID("act", w.nextID)), Genesis: w.genesis, At: w.now, Body: b}
	return w.signStatement(st, signers...)
}

func (w *world) signStatement(st Statement, signers ...by) *Signed {
	w.t.Helper()
	hash, err := st.Hash()
	if err != nil {
		w.t.Fatalf("statement: %v", err)
	}
	var sigs []Signature
	for _, s := range signers {
		sigs = append(sigs, s.dev.sign(w.t, s.who, hash))
	}
	out, err := Sign(st, sigs...)
	if err != nil {
		w.t.Fatalf("sign: %v", err)
	}
	return out
}

// do makes an act one minute later and takes it into the world.
func (w *world) do(b Body, signers ...by) *Signed {
	w.t.Helper()
	w.tick()
	s := w.signed(b, signers...)
	w.acts = append(w.acts, s)
	return s
}

func (w *world) chain(more ...*Signed) *Chain {
	w.t.Helper()
	c, err := Build(w.genesis, slices.Concat(w.acts, more))
	if err != nil {
		w.t.Fatalf("build: %v", err)
	}
	return c
}

// clean fails the test if any act of the world was refused.
func (w *world) clean() *Chain {
	w.t.Helper()
	c := w.chain()
	for _, r := range c.Refusals() {
		w.t.Errorf("refused: %v", r)
	}
	return c
}

func (w *world) enrolment(m *member, l identity.Level) *Enrolment {
	f, err := Commit("document", []byte("0123456789abcdef"), []byte("CI 0000000"))
	if err != nil {
		w.t.Fatal(err)
	}
	return &Enrolment{
		Person: m.id, Level: l, Keys: []KeyRecord{m.dev.record}, Facts: []Fact{f},
		Registrar: w.registrar.id, Site: "site-1", Policy: "1.0",
	}
}

// approve approves an act as supervisor.
func (w *world) approve(s *Signed) *Signed {
	w.t.Helper()
	return w.do(&Approval{
		Target: s.Hash(), TargetKind: s.Statement().Body.Kind(), Approver: w.supervisor.id, Capacity: Supervisor,
	}, w.supervisor.signs())
}

// enrol enrols a new person with approval and returns them.
func (w *world) enrol(n int, seed string, l identity.Level) *member {
	w.t.Helper()
	m := w.member(n, seed)
	w.approve(w.do(w.enrolment(m, l), w.registrar.signs(), m.signs()))
	return m
}

// grant gives a role with approval.
func (w *world) grant(m *member, r Role, ins identity.InstitutionID) {
	w.t.Helper()
	w.approve(w.do(&RoleGrant{Person: m.id, Role: r, Institution: ins, Proposer: w.admin.id}, w.admin.signs()))
}

// refusedFor wants the chain of the world to have refused an act for a reason.
func refusedFor(t testing.TB, w *world, s *Signed, name string, want error) {
	t.Helper()
	for _, e := range w.chain().entries {
		if e.act != s {
			continue
		}
		switch {
		case want == nil && e.refusal != nil:
			t.Errorf("%s: got %v, want it to stand", name, e.refusal)
		case want != nil && e.refusal == nil:
			t.Errorf("%s: it stands, want %v", name, want)
		case want != nil && !errors.Is(e.refusal, want):
			t.Errorf("%s: got %v, want %v", name, e.refusal, want)
		case want != nil && !strings.Contains(e.refusal.Error(), string(s.Statement().ID)):
			t.Errorf("%s: the refusal does not name the act: %v", name, e.refusal)
		}
		return
	}
	t.Errorf("%s: the act is not in the chain", name)
}
