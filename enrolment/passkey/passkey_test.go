package passkey_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/softauthn"
	"oruro.gob.bo/suti/internal/subject"
)

const origin = "https://id.example.org"

var t0 = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

type harness struct {
	t     *testing.T
	d     *db.DB
	clock *clock
	svc   *passkey.Service
	bind  []byte
}

func each(t *testing.T, fn func(h *harness)) {
	t.Helper()
	t.Parallel()
	lines := []db.Line{subject.Migrations, keystore.Migrations, audit.Migrations, passkey.Migrations}
	dbtest.Each(t, lines, func(t *testing.T, d *db.DB) {
		h := &harness{t: t, d: d, clock: &clock{t: t0}, bind: []byte("browser-1")}
		keys, err := keystore.Open(t.Context(), keystore.Config{DB: d, KEK: envelope.NewKey(), Now: h.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		log, err := audit.New(audit.Config{DB: d, Keys: keys, Erased: keystore.ErrErased, Now: h.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		if h.svc, err = passkey.New(passkey.Config{Origin: origin, DB: d, Keys: keys, Audit: log, Now: h.clock.Now}); err != nil {
			t.Fatal(err)
		}
		fn(h)
	})
}

func (h *harness) person() identity.PersonID {
	h.t.Helper()
	p := identity.PersonID(identity.NewID("per", t0))
	if err := h.d.Write(h.t.Context(), func(tx *db.Tx) error { return subject.Create(tx, p, subject.Active, t0) }); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// publicKey unwraps {"publicKey": …} as a page does.
func publicKey(t *testing.T, options json.RawMessage) []byte {
	t.Helper()
	var o struct {
		PublicKey json.RawMessage `json:"publicKey"`
	}
	if err := json.Unmarshal(options, &o); err != nil {
		t.Fatal(err)
	}
	return o.PublicKey
}

// lax is what a page under an attacker's control asks of its authenticator.
func lax(options []byte) []byte {
	return bytes.Replace(options, []byte(`"userVerification":"required"`), []byte(`"userVerification":"discouraged"`), 1)
}

func (h *harness) register(p identity.PersonID, a *softauthn.Authenticator) (passkey.Credential, error) {
	h.t.Helper()
	c, err := h.svc.BeginRegistration(h.t.Context(), passkey.Begin{Purpose: passkey.Enrol, Person: p, Binding: h.bind}, "Ana Mamani")
	if err != nil {
		return passkey.Credential{}, err
	}
	answer, err := a.Create(origin, lax(publicKey(h.t, c.Options)))
	if err != nil {
		return passkey.Credential{}, err
	}
	return h.svc.FinishRegistration(h.t.Context(), machine.Basis{By: machine.Holder, With: machine.Key}, c.ID, passkey.Enrol, h.bind, answer, "Mi celular")
}

func (h *harness) mustRegister(p identity.PersonID, a *softauthn.Authenticator) passkey.Credential {
	h.t.Helper()
	c, err := h.register(p, a)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *harness) begin(b passkey.Begin) passkey.Ceremony {
	h.t.Helper()
	if b.Binding == nil {
		b.Binding = h.bind
	}
	c, err := h.svc.BeginLogin(h.t.Context(), b)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *harness) get(a *softauthn.Authenticator, c passkey.Ceremony) []byte {
	h.t.Helper()
	answer, err := a.Get(origin, lax(publicKey(h.t, c.Options)))
	if err != nil {
		h.t.Fatal(err)
	}
	return answer
}

func (h *harness) login(a *softauthn.Authenticator) (passkey.Assertion, error) {
	h.t.Helper()
	c := h.begin(passkey.Begin{Purpose: passkey.Login})
	return h.svc.FinishLogin(h.t.Context(), c.ID, passkey.Login, h.bind, h.get(a, c))
}

func TestRegisterAndLogIn(t *testing.T) {
	for name, alg := range map[string]softauthn.Alg{"ES256": softauthn.ES256, "EdDSA": softauthn.EdDSA} {
		for _, format := range []string{"none", "packed"} {
			t.Run(name+" "+format, func(t *testing.T) {
				each(t, func(h *harness) {
					p := h.person()
					a := softauthn.New(softauthn.Config{Algs: []softauthn.Alg{alg}, Behaviour: &softauthn.Behaviour{UP: true, UV: true, CounterStep: 1, Attestation: format}})
					cred := h.mustRegister(p, a)
					got, err := h.login(a)
					if err != nil {
						h.t.Fatal(err)
					}
					want := identity.Authentication{Person: p, Epoch: 1, Method: identity.MethodPasskey, Credential: cred.ID, UserVerified: true, DeviceBound: true, At: t0}
					if got.Authentication != want {
						h.t.Errorf("got %+v, want %+v", got.Authentication, want)
					}
					if list, err := h.svc.Credentials(h.t.Context(), p); err != nil || len(list) != 1 || !list[0].UsedAt.Equal(t0) || list[0].Label != "Mi celular" {
						h.t.Errorf("credentials: %+v, %v", list, err)
					}
				})
			})
		}
	}
}

func TestAnswerCountsOnceUnderContention(t *testing.T) {
	each(t, func(h *harness) {
		p, a := h.person(), softauthn.New(softauthn.Config{}) // counter stays at zero: nothing but the ceremony tells replays apart
		h.mustRegister(p, a)
		c := h.begin(passkey.Begin{Purpose: passkey.Login})
		answer := h.get(a, c)
		var won atomic.Int64
		dbtest.Contend(h.t, 24, func(int) {
			_, err := h.svc.FinishLogin(h.t.Context(), c.ID, passkey.Login, h.bind, answer)
			if err == nil {
				won.Add(1)
			} else if !errors.Is(err, passkey.ErrCeremony) {
				h.t.Errorf("loser got %v, want ErrCeremony", err)
			}
		})
		if won.Load() != 1 {
			h.t.Errorf("one answer counted %d times", won.Load())
		}
	})
}

func TestCeremonyIsBound(t *testing.T) {
	each(t, func(h *harness) {
		p, a := h.person(), softauthn.New(softauthn.Config{})
		h.mustRegister(p, a)
		for name, finish := range map[string]func(c passkey.Ceremony, answer []byte) error{
			"another browser": func(c passkey.Ceremony, answer []byte) error {
				_, err := h.svc.FinishLogin(h.t.Context(), c.ID, passkey.Login, []byte("browser-2"), answer)
				return err
			},
			"another purpose": func(c passkey.Ceremony, answer []byte) error {
				_, err := h.svc.FinishLogin(h.t.Context(), c.ID, passkey.StepUp, h.bind, answer)
				return err
			},
			"as a registration": func(c passkey.Ceremony, answer []byte) error {
				_, err := h.svc.FinishRegistration(h.t.Context(), machine.Basis{By: machine.Holder, With: machine.Key}, c.ID, passkey.Login, h.bind, answer, "")
				return err
			},
			"too late": func(c passkey.Ceremony, answer []byte) error {
				h.clock.Add(passkey.CeremonyLifetime)
				_, err := h.svc.FinishLogin(h.t.Context(), c.ID, passkey.Login, h.bind, answer)
				return err
			},
		} {
			c := h.begin(passkey.Begin{Purpose: passkey.Login})
			answer := h.get(a, c)
			if err := finish(c, answer); !errors.Is(err, passkey.ErrCeremony) {
				h.t.Errorf("%s: got %v, want ErrCeremony", name, err)
			}
			if _, err := h.svc.FinishLogin(h.t.Context(), c.ID, passkey.Login, h.bind, answer); !errors.Is(err, passkey.ErrCeremony) {
				h.t.Errorf("%s: the ceremony survived a wrong try: %v", name, err)
			}
		}
		one, two := h.begin(passkey.Begin{Purpose: passkey.Login}), h.begin(passkey.Begin{Purpose: passkey.Login})
		if _, err := h.svc.FinishLogin(h.t.Context(), one.ID, passkey.Login, h.bind, h.get(a, two)); !errors.Is(err, passkey.ErrRefused) {
			h.t.Errorf("answer to another challenge: got %v, want ErrRefused", err)
		}
	})
}

func TestRefusals(t *testing.T) {
	each(t, func(h *harness) {
		p, a := h.person(), softauthn.New(softauthn.Config{})
		h.mustRegister(p, a)
		for name, b := range map[string]softauthn.Behaviour{
			"user not verified": {UP: true}, "cross origin": {UP: true, UV: true, CrossOrigin: true},
			"backed up without eligibility": {UP: true, UV: true, BS: true},
		} {
			a.Behave(func(to *softauthn.Behaviour) { *to = b })
			if _, err := h.login(a); !errors.Is(err, passkey.ErrRefused) {
				h.t.Errorf("%s: got %v, want ErrRefused", name, err)
			}
		}
		a.Behave(func(to *softauthn.Behaviour) {
			*to = softauthn.Behaviour{UP: true, UV: true, BE: true, OverrideBE: true}
		})
		if _, err := h.login(a); !errors.Is(err, passkey.ErrBackupChanged) {
			h.t.Errorf("BE flip: got %v, want ErrBackupChanged", err)
		}
		a.Behave(func(to *softauthn.Behaviour) { *to = softauthn.Behaviour{UP: true, UV: true} })
		c := h.begin(passkey.Begin{Purpose: passkey.Login})
		if _, err := h.svc.FinishLogin(h.t.Context(), c.ID, passkey.Login, h.bind, make([]byte, 1<<20)); !errors.Is(err, passkey.ErrRefused) {
			h.t.Errorf("huge answer: got %v, want ErrRefused", err)
		}
		stranger := softauthn.New(softauthn.Config{})
		if _, err := stranger.NewCredential("id.example.org", []byte("handle-of-nobody")); err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.login(stranger); !errors.Is(err, passkey.ErrUnknown) {
			h.t.Errorf("unregistered passkey: got %v, want ErrUnknown", err)
		}
		if _, err := h.login(a); err != nil {
			h.t.Errorf("honest login after all: %v", err)
		}
	})
}

func TestRegistrationRefusals(t *testing.T) {
	each(t, func(h *harness) {
		p, q, a := h.person(), h.person(), softauthn.New(softauthn.Config{Behaviour: &softauthn.Behaviour{UP: true, Attestation: "none"}})
		if _, err := h.register(p, a); !errors.Is(err, passkey.ErrRefused) {
			h.t.Errorf("user not verified: got %v, want ErrRefused", err)
		}
		b := softauthn.New(softauthn.Config{})
		c, err := h.svc.BeginRegistration(h.t.Context(), passkey.Begin{Purpose: passkey.Enrol, Person: p, Binding: h.bind}, "Ana")
		if err != nil {
			h.t.Fatal(err)
		}
		answer, err := b.Create(origin, publicKey(h.t, c.Options))
		if err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.svc.FinishRegistration(h.t.Context(), machine.Basis{By: machine.Holder, With: machine.Key}, c.ID, passkey.Enrol, h.bind, answer, ""); err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.svc.FinishRegistration(h.t.Context(), machine.Basis{By: machine.Holder, With: machine.Key}, c.ID, passkey.Enrol, h.bind, answer, ""); !errors.Is(err, passkey.ErrCeremony) {
			h.t.Errorf("replayed registration: got %v, want ErrCeremony", err)
		}
		if _, err := h.register(p, b); !errors.Is(err, softauthn.ErrInvalidState) {
			h.t.Errorf("second passkey on the same device: got %v, want the exclude list to stop it", err)
		}
		// The same credential id for another person is refused whoever holds it.
		d, err := h.svc.BeginRegistration(h.t.Context(), passkey.Begin{Purpose: passkey.Enrol, Person: q, Binding: h.bind}, "Eva")
		if err != nil {
			h.t.Fatal(err)
		}
		fixed := softauthn.New(softauthn.Config{Rand: zeros{}})
		first, err := fixed.Create(origin, publicKey(h.t, d.Options))
		if err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.svc.FinishRegistration(h.t.Context(), machine.Basis{By: machine.Holder, With: machine.Key}, d.ID, passkey.Enrol, h.bind, first, ""); err != nil {
			h.t.Fatal(err)
		}
		e, _ := h.svc.BeginRegistration(h.t.Context(), passkey.Begin{Purpose: passkey.Enrol, Person: p, Binding: h.bind}, "Ana")
		second, err := softauthn.New(softauthn.Config{Rand: zeros{}}).Create(origin, publicKey(h.t, e.Options))
		if err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.svc.FinishRegistration(h.t.Context(), machine.Basis{By: machine.Holder, With: machine.Key}, e.ID, passkey.Enrol, h.bind, second, ""); !errors.Is(err, passkey.ErrExists) {
			h.t.Errorf("credential id of another person: got %v, want ErrExists", err)
		}
	})
}

// zeros is a source of the same bytes for every authenticator.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 7
	}
	return len(p), nil
}

func TestCounterThatDoesNotRiseSuspends(t *testing.T) {
	each(t, func(h *harness) {
		p := h.person()
		a := softauthn.New(softauthn.Config{Behaviour: &softauthn.Behaviour{UP: true, UV: true, CounterStep: 1, Attestation: "none"}})
		cred := h.mustRegister(p, a)
		for range 3 {
			if _, err := h.login(a); err != nil {
				h.t.Fatal(err)
			}
		}
		if err := a.SetCounter(cred.CredentialID, 1); err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.login(a); !errors.Is(err, passkey.ErrClone) {
			h.t.Fatalf("counter put back: got %v, want ErrClone", err)
		}
		if err := a.SetCounter(cred.CredentialID, 100); err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.login(a); !errors.Is(err, passkey.ErrNotActive) {
			h.t.Errorf("after the suspicion: got %v, want ErrNotActive", err)
		}
		if list, _ := h.svc.Credentials(h.t.Context(), p); list[0].State != passkey.Suspect {
			h.t.Errorf("state %q, want suspect", list[0].State)
		}
	})
}

func TestSuspendedPersonAndCredential(t *testing.T) {
	each(t, func(h *harness) {
		p, a := h.person(), softauthn.New(softauthn.Config{})
		cred := h.mustRegister(p, a)
		bump := func(s subject.State) {
			if err := h.d.Write(h.t.Context(), func(tx *db.Tx) error {
				_, err := subject.Bump(tx, p, s, "test", t0)
				return err
			}); err != nil {
				h.t.Fatal(err)
			}
		}
		bump(subject.Suspended)
		if _, err := h.login(a); !errors.Is(err, passkey.ErrNotActive) {
			h.t.Errorf("suspended person: got %v, want ErrNotActive", err)
		}
		bump(subject.Active)
		if got, err := h.login(a); err != nil || got.Authentication.Epoch != 3 {
			h.t.Errorf("active again: %+v, %v; want epoch 3", got.Authentication, err)
		}
		move := func(do machine.Command, b machine.Basis) error {
			return h.d.Write(h.t.Context(), func(tx *db.Tx) error { return passkey.Move(tx, p, cred.ID, do, b, h.clock.Now()) })
		}
		if err := move(machine.RevokeKey, machine.Basis{By: machine.Holder, With: machine.Signed}); err != nil {
			h.t.Fatal(err)
		}
		if _, err := h.login(a); !errors.Is(err, passkey.ErrNotActive) {
			h.t.Errorf("revoked credential: got %v, want ErrNotActive", err)
		}
		if err := move(machine.RevokeKey, machine.Basis{By: machine.Holder, With: machine.Signed}); !errors.Is(err, passkey.ErrRefused) {
			h.t.Errorf("revival: got %v, want ErrRefused", err)
		}
		if _, err := h.svc.BeginLogin(h.t.Context(), passkey.Begin{Purpose: passkey.StepUp, Person: p, Binding: h.bind}); !errors.Is(err, passkey.ErrUnknown) {
			h.t.Errorf("no passkey left: got %v, want ErrUnknown", err)
		}
	})
}

func TestSigningBindsTheChallengeAndItsEvidenceStandsAlone(t *testing.T) {
	each(t, func(h *harness) {
		p, q := h.person(), h.person()
		a, b := softauthn.New(softauthn.Config{}), softauthn.New(softauthn.Config{})
		h.mustRegister(p, a)
		h.mustRegister(q, b)
		challenge := []byte("0123456789abcdef0123456789abcdef")
		c := h.begin(passkey.Begin{Purpose: passkey.Sign, Person: p, Challenge: challenge, Preimage: []byte("what it means")})
		got, err := h.svc.FinishLogin(h.t.Context(), c.ID, passkey.Sign, h.bind, h.get(a, c))
		if err != nil {
			h.t.Fatal(err)
		}
		if string(got.Preimage) != "what it means" {
			h.t.Errorf("preimage %q", got.Preimage)
		}
		ev := got.Evidence
		key, err := assertion.ParseKey(ev.PublicKey)
		if err != nil {
			h.t.Fatal(err)
		}
		_ = key
		if !slices.Equal(ev.CredentialID, a.Credentials()[0].ID) {
			h.t.Error("evidence names another credential")
		}
		for name, bad := range map[string]passkey.Begin{
			"sign without a person":    {Purpose: passkey.Sign, Challenge: challenge},
			"sign without a challenge": {Purpose: passkey.Sign, Person: p},
			"short challenge":          {Purpose: passkey.Act, Person: p, Challenge: challenge[:16]},
			"login with a challenge":   {Purpose: passkey.Login, Challenge: challenge},
			"step-up without a person": {Purpose: passkey.StepUp},
			"enrolling as a login":     {Purpose: passkey.Enrol, Person: p},
			"without a browser at all": {Purpose: passkey.Login, Binding: []byte{}},
		} {
			if bad.Binding == nil {
				bad.Binding = h.bind
			}
			if _, err := h.svc.BeginLogin(h.t.Context(), bad); !errors.Is(err, passkey.ErrCeremony) {
				h.t.Errorf("%s: got %v, want ErrCeremony", name, err)
			}
		}
	})
}
