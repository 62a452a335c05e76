package core_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/bundle"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
	"oruro.gob.bo/suti/internal/subject"
	"oruro.gob.bo/suti/signer/core"
	"oruro.gob.bo/suti/signer/core/coretest"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

func each(t *testing.T, fn func(t *testing.T, w *coretest.World)) {
	t.Helper()
	t.Parallel()
	dbtest.Each(t, coretest.Lines(), func(t *testing.T, d *db.DB) { fn(t, coretest.New(t, d)) })
}

func sample(text string) []byte { return costest.Sample(costest.Options{Text: text}) }

// order asks a person to sign files, official people in their post.
func order(p *coretest.Person, files ...[]byte) core.Order {
	o := core.Order{Request: "sig_test", Person: p.ID(), Epoch: p.Profile.Epoch, Profile: p.Profile, Appointment: p.Appointment, Client: "app-a"}
	for _, f := range files {
		o.Documents = append(o.Documents, core.OrderDocument{Base: bytes.NewReader(f), Size: int64(len(f)), SHA256: sha256.Sum256(f),
			Options: pades.Options{Level: pades.LevelBT, Seal: &pades.Seal{Name: p.Profile.Name.Full(), Tier: "Firma electrónica, certificado interno"}, Placement: pades.Placement{Page: -1}},
			Pages:   [][32]byte{sha256.Sum256([]byte("página 1")), sha256.Sum256([]byte("página 2"))}})
	}
	return o
}

func begin(t testing.TB, w *coretest.World, o core.Order) *core.Activation {
	t.Helper()
	a, err := w.Core.BeginActivation(context.Background(), o)
	if err != nil {
		t.Fatalf("begin: %v", err)
	}
	return a
}

func wantCode(t testing.TB, err error, want core.Code) {
	t.Helper()
	if got := core.CodeOf(err); got != want {
		t.Errorf("code %q, want %q (error %v)", got, want, err)
	}
}

func TestSignsAndProves(t *testing.T) {
	each(t, func(t *testing.T, w *coretest.World) {
		one, two := sample("uno"), sample("dos")
		a := begin(t, w, order(w.Official, one, two))
		w.Clock.Add(20 * time.Second)
		res, err := w.Core.Activate(t.Context(), a.ID, w.Official.Assert(t, a.Challenge))
		if err != nil {
			t.Fatal(err)
		}
		if res.State != core.Done || len(res.Documents) != 2 || res.Documents[0].Achieved != pades.LevelBT {
			t.Fatalf("result %+v", res)
		}
		pdfsig(t, w, append(bytes.Clone(one), res.Documents[0].Tail...))
		evidence(t, w, a, bundle.Pending)
		w.Sequence()
		evidence(t, w, a, bundle.OK)

		w.Clock.Add(time.Hour) // the key and its certificate are used again
		b := begin(t, w, order(w.Official, one))
		if _, err := w.Core.Activate(t.Context(), b.ID, w.Official.Assert(t, b.Challenge)); err != nil {
			t.Fatal(err)
		}
		if w.CA.Issued != 1 {
			t.Errorf("%d certificates issued, want one for both signatures", w.CA.Issued)
		}
		w.Clock.Add(364 * 24 * time.Hour)
		w.Clock.Add(24 * time.Hour)
		begin(t, w, order(w.Official, one))
		if w.CA.Issued != 2 {
			t.Errorf("%d certificates issued after the first ended, want 2", w.CA.Issued)
		}
	})
}

func evidence(t testing.TB, w *coretest.World, a *core.Activation, log bundle.Status) {
	t.Helper()
	b, err := w.Core.Evidence(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	r, err := bundle.Verify(raw, bundle.Trust{Genesis: w.Genesis, Now: w.Clock.Now().Add(time.Minute), Roots: w.CA.Pool(), TSARoots: w.CA.Pool()})
	if err != nil {
		t.Fatal(err)
	}
	want := bundle.Valid
	if log == bundle.Pending {
		want = bundle.Indeterminate
	}
	if r.Verdict != want {
		t.Errorf("verdict %s, want %s: %+v", r.Verdict, want, r.Checks)
	}
	if c, _ := r.Check(bundle.CheckLog); c.Status != log {
		t.Errorf("log check %+v, want %s", c, log)
	}
}

// pdfsig lets a foreign verifier judge.
func pdfsig(t testing.TB, w *coretest.World, pdf []byte) {
	t.Helper()
	if _, err := exec.LookPath("pdfsig"); err != nil {
		dbtest.Missing(t, "pdfsig is not installed")
		return
	}
	path := filepath.Join(t.TempDir(), "firmado.pdf")
	if err := os.WriteFile(path, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("pdfsig", "-nocert", path).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Signature is Valid") {
		t.Errorf("pdfsig: %v\n%s", err, out)
	}
}

// TestRefusals holds the ways in which nobody gets a signature, each by its name.
func TestRefusals(t *testing.T) {
	pdf := sample("texto")
	cases := map[string]struct {
		want core.Code
		run  func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion)
	}{
		"used twice": {core.CodeUsed, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			as := w.Official.Assert(t, a.Challenge)
			if _, err := w.Core.Activate(t.Context(), a.ID, as); err != nil {
				t.Fatal(err)
			}
			return a.ID, as
		}},
		"replayed for another": {core.CodeReplayed, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			as := w.Official.Assert(t, a.Challenge)
			if _, err := w.Core.Activate(t.Context(), a.ID, as); err != nil {
				t.Fatal(err)
			}
			return begin(t, w, order(w.Official, pdf)).ID, as
		}},
		"other documents": {core.CodeOtherDocuments, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			other := begin(t, w, order(w.Official, sample("otro texto")))
			return a.ID, w.Official.Assert(t, other.Challenge)
		}},
		"unknown challenge": {core.CodeAssertion, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			return a.ID, w.Official.Assert(t, act.Hash(sha256.Sum256([]byte("x"))))
		}},
		"key of another": {core.CodeOtherPerson, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			return a.ID, w.Citizen.Assert(t, a.Challenge)
		}},
		"key of nobody": {core.CodeAssertion, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			auth := softauthn.New(softauthn.Config{})
			cred, err := auth.NewCredential(coretest.RPID, []byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			return a.ID, (&coretest.Person{Auth: auth, Cred: cred}).Assert(t, a.Challenge)
		}},
		"changed signature": {core.CodeAssertion, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			as := w.Official.Assert(t, a.Challenge)
			as.Signature[len(as.Signature)-1] ^= 1
			return a.ID, as
		}},
		"no user verification": {core.CodeNoUserVerification, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			w.Official.Auth.Behave(func(b *softauthn.Behaviour) { b.UV = false })
			return a.ID, w.Official.Assert(t, a.Challenge)
		}},
		"too late": {core.CodeExpired, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			w.Clock.Add(5 * time.Minute)
			return a.ID, w.Official.Assert(t, a.Challenge)
		}},
		"unknown": {core.CodeUnknownActivation, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			return "sac_x", w.Official.Assert(t, a.Challenge)
		}},
		"suspended by an act": {core.CodeSuspended, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			w.Accept(w.Act(&act.Suspension{Person: w.Official.ID(), Reason: "denuncia", By: w.Supervisor.ID(), Capacity: act.Supervisor}, w.Supervisor))
			return a.ID, w.Official.Assert(t, a.Challenge)
		}},
		"suspended in the registry": {core.CodeSuspended, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			w.Write(func(tx *db.Tx) error {
				_, err := subject.Bump(tx, w.Official.ID(), subject.Suspended, "test.suspend", w.Clock.Now())
				return err
			})
			return a.ID, w.Official.Assert(t, a.Challenge)
		}},
		"changed since": {core.CodeStale, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			w.Write(func(tx *db.Tx) error {
				_, err := subject.Advance(tx, w.Official.ID(), "test.change", w.Clock.Now())
				return err
			})
			return a.ID, w.Official.Assert(t, a.Challenge)
		}},
		"appointment ended": {core.CodeAppointmentEnded, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			w.Accept(w.Act(&act.End{What: act.EndAppointment, Person: w.Official.ID(), Appointment: w.Official.Appointment.ID, Reason: "cese",
				By: w.Supervisor.ID(), Capacity: act.Supervisor}, w.Supervisor))
			return a.ID, w.Official.Assert(t, a.Challenge)
		}},
		"key ended": {core.CodeKeyNotAccepted, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			w.Accept(w.Act(&act.End{What: act.EndKey, Person: w.Official.ID(), Key: act.Hash(sha256.Sum256(w.Official.Cred.COSE)), Reason: "robo",
				By: w.Supervisor.ID(), Capacity: act.Supervisor}, w.Supervisor))
			return a.ID, w.Official.Assert(t, a.Challenge)
		}},
		"certificate revoked": {core.CodeCertificateRevoked, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			w.CA.RevokeAll()
			return a.ID, w.Official.Assert(t, a.Challenge)
		}},
		"key renewed": {core.CodeCertificateExpired, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			if err := w.Core.Renew(t.Context(), w.Official.ID(), w.Official.Appointment.ID); err != nil {
				t.Fatal(err)
			}
			return a.ID, w.Official.Assert(t, a.Challenge)
		}},
		"copied passkey": {core.CodeCounter, func(t *testing.T, w *coretest.World, a *core.Activation) (string, core.Assertion) {
			w.Official.Auth.Behave(func(b *softauthn.Behaviour) { b.CounterStep = 1 })
			if err := w.Official.Auth.SetCounter(w.Official.Cred.ID, 7); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Core.Activate(t.Context(), a.ID, w.Official.Assert(t, a.Challenge)); err != nil {
				t.Fatal(err)
			}
			if err := w.Official.Auth.SetCounter(w.Official.Cred.ID, 7); err != nil {
				t.Fatal(err)
			}
			b := begin(t, w, order(w.Official, pdf))
			return b.ID, w.Official.Assert(t, b.Challenge)
		}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, w *coretest.World) {
				a := begin(t, w, order(w.Official, pdf))
				id, as := c.run(t, w, a)
				before := countSigned(t, w)
				_, err := w.Core.Activate(t.Context(), id, as)
				wantCode(t, err, c.want)
				if after := countSigned(t, w); after != before {
					t.Errorf("%d activations led to a signature, want %d", after, before)
				}
			})
		})
	}
}

func countSigned(t testing.TB, w *coretest.World) (n int) {
	t.Helper()
	if err := w.DB.QueryRow(t.Context(), "SELECT COUNT(id) FROM signer_core_activation WHERE state <> 'open'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBeginRefusals are the refusals that come before a person is asked.
func TestBeginRefusals(t *testing.T) {
	each(t, func(t *testing.T, w *coretest.World) {
		pdf := sample("texto")
		begin(t, w, order(w.Official, pdf)) // the certificate is there
		w.CA.RevokeAll()
		_, err := w.Core.BeginActivation(t.Context(), order(w.Official, pdf))
		wantCode(t, err, core.CodeCertificateRevoked)
		if err := w.Core.Renew(t.Context(), w.Official.ID(), w.Official.Appointment.ID); err != nil {
			t.Fatal(err)
		}
		begin(t, w, order(w.Official, pdf)) // a new key after staff decided so

		o := order(w.Citizen, pdf)
		o.Appointment = &identity.Appointment{ID: w.Official.Appointment.ID, Person: w.Citizen.ID()}
		_, err = w.Core.BeginActivation(t.Context(), o)
		wantCode(t, err, core.CodeAppointment)

		o = order(w.Citizen, pdf)
		o.Documents[0].SHA256[0] ^= 1
		_, err = w.Core.BeginActivation(t.Context(), o)
		wantCode(t, err, core.CodeOrder)

		o = order(w.Citizen, []byte("no es un PDF"))
		var refused *pades.RefusedError
		if _, err = w.Core.BeginActivation(t.Context(), o); !errors.As(err, &refused) {
			t.Errorf("not a PDF: %v", err)
		}
		w.CA.Refuse = errors.New("closed")
		_, err = w.Core.BeginActivation(t.Context(), order(w.Other, pdf))
		wantCode(t, err, core.CodeCertificateMissing)
	})
}

func TestDeviceBoundPolicy(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, coretest.Lines(), func(t *testing.T, d *db.DB) {
		w := coretest.New(t, d, func(c *core.Config) { c.KeyPolicy = core.DeviceBound })
		w.Other.Auth.Behave(func(b *softauthn.Behaviour) { b.BE = true })
		synced := *w.Other
		var err error
		if synced.Cred, err = w.Other.Auth.NewCredential(coretest.RPID, []byte("sync")); err != nil {
			t.Fatal(err)
		}
		w.Other.Cred = synced.Cred
		w.Accept(w.Act(&act.End{What: act.EndKey, Person: w.Other.ID(), Key: firstKey(t, w, w.Other.ID()), Reason: "cambio", By: w.Supervisor.ID(), Capacity: act.Supervisor}, w.Supervisor))
		w.Enrol(w.Other)
		_, err = w.Core.BeginActivation(t.Context(), order(w.Other, sample("x")))
		wantCode(t, err, core.CodeKeyPolicy)
		begin(t, w, order(w.Citizen, sample("x")))
	})
}

func firstKey(t testing.TB, w *coretest.World, p identity.PersonID) act.Hash {
	t.Helper()
	keys, err := w.Core.Keys(t.Context(), p)
	if err != nil || len(keys) == 0 {
		t.Fatalf("keys: %v %v", keys, err)
	}
	return keys[0].Key
}

// TestOneUse: an activation used by many at once leads to one signature.
func TestOneUse(t *testing.T) {
	each(t, func(t *testing.T, w *coretest.World) {
		a := begin(t, w, order(w.Official, sample("una vez")))
		as := w.Official.Assert(t, a.Challenge)
		var won, lost atomic.Int64
		dbtest.Contend(t, 64, func(int) {
			_, err := w.Core.Activate(context.Background(), a.ID, as)
			switch {
			case err == nil:
				won.Add(1)
			case core.CodeOf(err) == core.CodeUsed:
				lost.Add(1)
			default:
				t.Errorf("unexpected: %v", err)
			}
		})
		if won.Load() != 1 || lost.Load() != 63 || w.TSA.Made != 1 {
			t.Errorf("%d won, %d lost, %d stamped; want 1, 63, 1", won.Load(), lost.Load(), w.TSA.Made)
		}
		checkAudit(t, w, 1)
	})
}

// checkAudit demands that no intent is open and that as many results as signatures are recorded.
func checkAudit(t testing.TB, w *coretest.World, results int) {
	t.Helper()
	open, err := w.Audit.OpenIntents(t.Context(), "signer", w.Clock.Now().Add(time.Hour), 10)
	if err != nil || len(open) != 0 {
		t.Errorf("open intents %v, error %v", open, err)
	}
	var done int
	if err := w.DB.QueryRow(t.Context(), "SELECT COUNT(id) FROM audit_entry WHERE kind = 'signer.sign' AND outcome = 'ok'").Scan(&done); err != nil {
		t.Fatal(err)
	}
	if done != results {
		t.Errorf("%d recorded results, want %d", done, results)
	}
}

// TestCrashes stops at every failpoint, by an error and by the end of the process,
// then starts afresh and recovers: no signature without its record, none twice,
// and nothing lost that was answered.
func TestCrashes(t *testing.T) { // failpoints are global: not parallel
	points := map[string]core.State{ // what recovery makes of a crash there
		failpoint.SignAssertionSpent: core.Abandoned, failpoint.SignAfterIntent: core.Abandoned, failpoint.SignAfterKeyUse: core.Abandoned,
		failpoint.SignAfterStamp: core.Done, failpoint.SignBeforeResult: core.Done, failpoint.SignAfterResult: core.Done,
	}
	for _, engine := range []db.Engine{db.SQLite, db.Postgres} {
		for point, want := range points {
			for _, kind := range []string{"error", "crash"} {
				t.Run(fmt.Sprintf("%s/%s/%s", engine, point, kind), func(t *testing.T) {
					w := coretest.New(t, dbtest.Open(t, engine, coretest.Lines()))
					a := begin(t, w, order(w.Official, sample("texto")))
					as := w.Official.Assert(t, a.Challenge)
					_, err := stopped(t, point, kind, func() (*core.Result, error) { return w.Core.Activate(t.Context(), a.ID, as) })
					if err == nil {
						t.Fatal("the call succeeded although it was stopped")
					}
					w.Reopen()
					if _, err := w.Core.Activate(t.Context(), a.ID, as); core.CodeOf(err) != core.CodeUsed {
						t.Errorf("second use after the crash: %v", err)
					}
					w.Clock.Add(2 * time.Minute)
					for range 2 { // recovery is idempotent
						if _, err := w.Core.Recover(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
					res, err := w.Core.Result(t.Context(), a.ID)
					if err != nil {
						t.Fatal(err)
					}
					if got := res.State; got != want && (kind != "error" || want != core.Abandoned || got != core.Failed) {
						t.Errorf("state %s, want %s", got, want)
					}
					results := 0
					if res.State == core.Done {
						results = 1
						pdfsig(t, w, append(sample("texto"), res.Documents[0].Tail...))
					}
					checkAudit(t, w, results)
				})
			}
		}
	}
}

// stopped runs fn with a failpoint that fails or ends the process.
func stopped(t *testing.T, point, kind string, fn func() (*core.Result, error)) (res *core.Result, err error) {
	t.Helper()
	hit := false
	defer failpoint.Arm(point, func() error {
		hit = true
		if kind == "crash" {
			panic("crash")
		}
		return failpoint.ErrInjected
	})()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("stopped: %v", p)
		}
		if !hit {
			t.Error("the failpoint was not reached")
		}
	}()
	return fn()
}

// TestLateStamp: a time-stamp that fails does not lose the signature, and does not
// lower its level; after too long it is given up.
func TestLateStamp(t *testing.T) {
	each(t, func(t *testing.T, w *coretest.World) {
		a := begin(t, w, order(w.Official, sample("a")))
		w.TSA.Refuse = errors.New("down")
		_, err := w.Core.Activate(t.Context(), a.ID, w.Official.Assert(t, a.Challenge))
		wantCode(t, err, core.CodeTimestampUnavailable)
		b := begin(t, w, order(w.Official, sample("b")))
		w.TSA.Refuse = nil
		w.Clock.Add(2 * time.Minute)
		if n, err := w.Core.Recover(t.Context()); n != 1 || err != nil {
			t.Fatalf("recovered %d, %v", n, err)
		}
		res, err := w.Core.Result(t.Context(), a.ID)
		if err != nil || res.State != core.Done || res.Documents[0].Achieved != pades.LevelBT {
			t.Errorf("result %+v, %v", res, err)
		}
		evidence(t, w, a, bundle.Pending)

		w.TSA.Refuse = errors.New("down")
		_, err = w.Core.Activate(t.Context(), b.ID, w.Official.Assert(t, b.Challenge))
		wantCode(t, err, core.CodeTimestampUnavailable)
		w.TSA.Refuse = nil // a stamp can be had again, but would prove nothing
		w.Clock.Add(9 * time.Minute)
		if n, err := w.Core.Recover(t.Context()); n != 1 || err != nil {
			t.Fatalf("gave up %d, %v", n, err)
		}
		if res, err := w.Core.Result(t.Context(), b.ID); err != nil || res.State != core.Abandoned {
			t.Errorf("result %+v, %v", res, err)
		}
		checkAudit(t, w, 1)
	})
}

func TestActsAreJudged(t *testing.T) {
	each(t, func(t *testing.T, w *coretest.World) {
		foreign := w.Act(&act.Suspension{Person: w.Official.ID(), Reason: "x", By: w.Citizen.ID(), Capacity: act.Supervisor}, w.Citizen)
		if err := w.Core.AcceptAct(t.Context(), w.Raw(foreign)); !errors.Is(err, act.ErrRole) {
			t.Errorf("act by somebody without the role: %v", err)
		}
		if err := w.Core.AcceptAct(t.Context(), []byte("x")); err == nil {
			t.Error("garbage accepted")
		}
		good := w.Act(&act.Suspension{Person: w.Other.ID(), Reason: "x", By: w.Supervisor.ID(), Capacity: act.Supervisor}, w.Supervisor)
		dbtest.Contend(t, 8, func(int) {
			if err := w.Core.AcceptAct(context.Background(), w.Raw(good)); err != nil {
				t.Errorf("accept: %v", err)
			}
		})
		if err := w.Core.Pin(t.Context(), act.Hash{1}); !errors.Is(err, core.ErrPinned) {
			t.Errorf("another genesis: %v", err)
		}
		w.Reopen() // reads the same acts again
		_, err := w.Core.BeginActivation(t.Context(), order(w.Other, sample("x")))
		wantCode(t, err, core.CodeSuspended)
	})
}

// TestActsArriveLate hands over acts after a long stop of the service: what the
// log recorded in time counts, what somebody dated back does not.
func TestActsArriveLate(t *testing.T) {
	each(t, func(t *testing.T, w *coretest.World) {
		suspend := func(p *coretest.Person) *act.Signed {
			return w.Act(&act.Suspension{Person: p.ID(), Reason: "x", By: w.Supervisor.ID(), Capacity: act.Supervisor}, w.Supervisor)
		}
		record := func(s *act.Signed) {
			t.Helper()
			p, err := w.Audit.Prepare(t.Context(), audit.Entry{Kind: "enrolment.act.suspension", Actor: string(w.Supervisor.ID()),
				Outcome: audit.OutcomeOK, Object: string(s.Statement().ID), Leaf: s.Leaf()})
			if err != nil {
				t.Fatal(err)
			}
			w.Write(func(tx *db.Tx) error { _, err := w.Audit.Append(tx, p); return err })
		}
		intime, backdated := suspend(w.Other), suspend(w.Citizen)
		record(intime)
		w.Clock.Add(2 * time.Hour)
		var refused *act.Refusal
		if err := w.Core.AcceptAct(t.Context(), w.Raw(intime)); err == nil || errors.As(err, &refused) {
			t.Errorf("before the log says when: got %v, want an error that is worth another try", err)
		}
		w.Sequence()
		if err := w.Core.AcceptAct(t.Context(), w.Raw(intime)); err != nil {
			t.Errorf("recorded in time: %v", err)
		}
		w.Accept(suspend(w.Official)) // makes a later entry
		w.Sequence()
		record(backdated)
		w.Sequence()
		if err := w.Core.AcceptAct(t.Context(), w.Raw(backdated)); !errors.Is(err, act.ErrTime) {
			t.Errorf("dated back: got %v, want ErrTime", err)
		}
	})
}

func FuzzParseAssertion(f *testing.F) {
	f.Add([]byte(`{"rawId":"AAAA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AA","signature":"AA"}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := core.ParseAssertion(raw)
		if err == nil && (len(a.CredentialID) == 0 || len(a.Signature) == 0) {
			t.Error("accepted without its parts")
		}
		if err != nil && core.CodeOf(err) != core.CodeAssertion {
			t.Errorf("untyped: %v", err)
		}
	})
}
