package ca_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/subject"
)

var errCrash = errors.New("the process stopped here")

// crash arms a failpoint for the first hit. What runs meets an error there,
// and the "restarted process" is another CA on the same database.
func crash(t *testing.T, name string) (disarm func()) {
	t.Helper()
	fired := false
	off := failpoint.Arm(name, func() error {
		if fired {
			return nil
		}
		fired = true
		return errCrash
	})
	return func() {
		off()
		if !fired {
			t.Errorf("failpoint %s was not reached", name)
		}
	}
}

// engines runs fn on both engines one after the other: armed failpoints are
// global, so these tests and their subtests are not parallel.
func engines(t *testing.T, fn func(t *testing.T, d *db.DB)) {
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) { fn(t, dbtest.Open(t, e, lines())) })
	}
}

// answer is what OCSP says of a number: a status of x/crypto/ocsp, or -1 for "unauthorized".
func (w *world) answer(t *testing.T, serial []byte) int {
	t.Helper()
	out, err := w.OCSP(t.Context(), serial)
	if errors.Is(err, ca.ErrNotFound) {
		return -1
	}
	if err != nil {
		t.Fatal(err)
	}
	return parseAnswer(t, out).Status
}

func parseAnswer(t testing.TB, der []byte) *ocsp.Response {
	t.Helper()
	r, err := ocsp.ParseResponse(der, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestIssueCrashes(t *testing.T) {
	for _, tc := range []struct {
		point string
		// After the crash: is there an intent, a certificate?
		intent, certificate bool
	}{
		{failpoint.IssueBeforeIntent, false, false},
		{failpoint.IssueAfterIntent, true, false},
		{failpoint.IssueAfterSign, true, false},
		{failpoint.IssueAfterStore, true, true},
		{failpoint.IssueBeforeReply, true, true},
	} {
		t.Run(tc.point, func(t *testing.T) {
			engines(t, func(t *testing.T, d *db.DB) {
				w := newWorld(t, d)
				r := w.request(t, w.person(t), newKey(t))
				disarm := crash(t, tc.point)
				_, err := w.IssueCitizen(t.Context(), r)
				disarm()
				wantErr(t, "crash", err, errCrash)

				// The process comes back at once.
				w = open(t, d, w.clock, "uno")
				if err := w.Init(t.Context()); err != nil {
					t.Fatal(err)
				}
				c, err := w.IssueCitizen(t.Context(), r)
				switch {
				case tc.certificate:
					if err != nil || !c.Existing {
						t.Fatalf("stored before the crash: %v", err)
					}
					says(t, w.ask(t, c), ": good")
					return
				case !tc.intent:
					if err != nil || c.Existing {
						t.Fatalf("nothing done before the crash: %v", err)
					}
					return
				}
				wantErr(t, "young intent", err, ca.ErrInProgress)
				serial := w.serialOf(t, r.IntentID)
				if got := w.answer(t, serial); got != -1 {
					t.Errorf("OCSP of an open intent: %d", got)
				}
				w.clock.Add(61 * time.Second)
				if err := w.Maintain(t.Context()); err != nil {
					t.Fatal(err)
				}
				_, err = w.IssueCitizen(t.Context(), r)
				wantErr(t, "old intent", err, ca.ErrAbandoned)
				w.mustBeRevoked(t, serial)
				next := w.request(t, r.Person, newKey(t))
				if _, err := w.IssueCitizen(t.Context(), next); err != nil {
					t.Errorf("a new intent: %v", err)
				}
			})
		})
	}
}

func (w *world) serialOf(t *testing.T, intent string) []byte {
	t.Helper()
	var sn []byte
	if err := w.db.QueryRow(t.Context(), `SELECT sn FROM ca_intent WHERE intent = $1`, intent).Scan(&sn); err != nil {
		t.Fatal(err)
	}
	return sn
}

// mustBeRevoked checks that an abandoned number is on the list and that no audit
// intent is open.
func (w *world) mustBeRevoked(t *testing.T, serial []byte) {
	t.Helper()
	st, err := w.Status(t.Context(), serial)
	if err != nil || !st.Revoked || st.State != "abandoned" {
		t.Errorf("status %+v, %v", st, err)
	}
	_, _, body := w.get(t, "/pki/crl/firma-g1.crl")
	list, err := x509.ParseRevocationList(body)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, e := range list.RevokedCertificateEntries {
		found = found || string(e.SerialNumber.Bytes()) == string(serial)
	}
	if !found {
		t.Error("abandoned number is not on the list")
	}
}

// While recovery abandons an intent, the slow process that comes back from its
// signature cannot store the certificate.
func TestSlowIssueLosesAgainstRecovery(t *testing.T) {
	engines(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		r := w.request(t, w.person(t), newKey(t))
		off := failpoint.Arm(failpoint.IssueAfterSign, func() error {
			w.clock.Add(2 * time.Minute)
			return w.Maintain(context.Background())
		})
		_, err := w.IssueCitizen(t.Context(), r)
		off()
		wantErr(t, "slow issue", err, ca.ErrAbandoned)
		w.mustBeRevoked(t, w.serialOf(t, r.IntentID))
	})
}

// A person suspended between intent and certificate gets none, and the number is revoked.
func TestSuspendedWhileSigning(t *testing.T) {
	engines(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		p := w.person(t)
		r := w.request(t, p, newKey(t))
		off := failpoint.Arm(failpoint.IssueAfterIntent, func() error { w.bump(t, p, subject.Suspended); return nil })
		_, err := w.IssueCitizen(t.Context(), r)
		off()
		if !errors.Is(err, subject.ErrStale) && !errors.Is(err, subject.ErrNotActive) {
			t.Errorf("got %v", err)
		}
		w.clock.Add(61 * time.Second)
		if err := w.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.mustBeRevoked(t, w.serialOf(t, r.IntentID))
	})
}

// A client that goes away after the intent does not leave it half done.
func TestCancelledClientDoesNotStopIssue(t *testing.T) {
	engines(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		r := w.request(t, w.person(t), newKey(t))
		ctx, cancel := context.WithCancel(t.Context())
		off := failpoint.Arm(failpoint.IssueAfterIntent, func() error { cancel(); return nil })
		_, err := w.IssueCitizen(ctx, r)
		off()
		if err != nil {
			t.Errorf("got %v", err)
		}
	})
}

func TestRevokeCrashes(t *testing.T) {
	for _, point := range []string{failpoint.RevokeAfterCommit, failpoint.RevokeAfterOCSP} {
		t.Run(point, func(t *testing.T) {
			engines(t, func(t *testing.T, d *db.DB) {
				w := newWorld(t, d)
				c := w.citizen(t, w.person(t))
				disarm := crash(t, point)
				err := w.Revoke(t.Context(), c.Serial, ca.Superseded, "per_x")
				disarm()
				wantErr(t, "crash", err, errCrash)
				w = open(t, d, w.clock, "uno")
				if err := w.Init(t.Context()); err != nil {
					t.Fatal(err)
				}
				// The answer signed ahead as good is still there after the first crash.
				says(t, w.ask(t, c, "-sha256", "-no_nonce"), ": revoked", "superseded")
				wantErr(t, "again", w.Revoke(t.Context(), c.Serial, ca.Superseded, "per_x"), ca.ErrRevoked)
			})
		})
	}
}

func TestPublishCrashes(t *testing.T) {
	for _, point := range []string{failpoint.CRLBeforePublish, failpoint.CRLAfterPublish} {
		t.Run(point, func(t *testing.T) {
			engines(t, func(t *testing.T, d *db.DB) {
				w := newWorld(t, d)
				c := w.citizen(t, w.person(t))
				before := w.list(t, "firma-g1")
				if err := w.Revoke(t.Context(), c.Serial, ca.Superseded, "per_x"); err != nil {
					t.Fatal(err)
				}
				disarm := crash(t, point)
				_, err := w.PublishCRL(t.Context())
				disarm()
				wantErr(t, "crash", err, errCrash)
				w = open(t, d, w.clock, "uno")
				if err := w.Init(t.Context()); err != nil {
					t.Fatal(err)
				}
				after := w.list(t, "firma-g1")
				if len(after.RevokedCertificateEntries) != 1 || after.Number.Cmp(before.Number) <= 0 || !after.NextUpdate.After(w.clock.Now()) {
					t.Errorf("list %v after %v with %d entries", after.Number, before.Number, len(after.RevokedCertificateEntries))
				}
			})
		})
	}
}

func (w *world) list(t testing.TB, slug string) *x509.RevocationList {
	t.Helper()
	_, _, body := w.get(t, "/pki/crl/"+slug+".crl")
	list, err := x509.ParseRevocationList(body)
	if err != nil {
		t.Fatalf("%s: %v", slug, err)
	}
	return list
}

// A crash while authorities are made leaves nothing that a restart cannot replace.
func TestInitCrashes(t *testing.T) {
	for _, point := range []string{failpoint.IssueBeforeIntent, failpoint.IssueAfterIntent, failpoint.IssueAfterSign, failpoint.IssueAfterStore, failpoint.CRLBeforePublish} {
		for _, hit := range []int{1, 2, 4, 6} {
			t.Run(fmt.Sprintf("%s hit %d", point, hit), func(t *testing.T) { engines(t, func(t *testing.T, d *db.DB) { crashInit(t, d, point, hit) }) })
		}
	}
}

func crashInit(t *testing.T, d *db.DB, point string, hit int) {
	w := open(t, d, begin(), "uno")
	n := 0
	off := failpoint.Arm(point, func() error {
		if n++; n == hit {
			return errCrash
		}
		return nil
	})
	err := w.Init(t.Context())
	off()
	if n >= hit {
		wantErr(t, point, err, errCrash)
	}
	w = open(t, d, w.clock, "uno")
	w.clock.Add(61 * time.Second)
	if err := w.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.check(t)
	c := w.citizen(t, w.person(t))
	if err := w.verify(t, c, ""); err != nil {
		t.Error(err)
	}
	says(t, w.ask(t, c), ": good")
	if len(w.Roots()) != 1 {
		t.Errorf("%d roots", len(w.Roots()))
	}
}
