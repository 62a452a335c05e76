package account_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/subject"
)

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
	svc   *account.Service
}

func each(t *testing.T, fn func(h *harness)) {
	t.Helper()
	t.Parallel()
	lines := []db.Line{subject.Migrations, outbox.Migrations, keystore.Migrations, audit.Migrations, account.Migrations}
	dbtest.Each(t, lines, func(t *testing.T, d *db.DB) { fn(newHarness(t, d)) })
}

func newHarness(t *testing.T, d *db.DB) *harness {
	t.Helper()
	h := &harness{t: t, d: d, clock: &clock{t: t0}}
	keys, err := keystore.Open(t.Context(), keystore.Config{DB: d, KEK: envelope.NewKey(), Now: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.New(audit.Config{DB: d, Keys: keys, Erased: keystore.ErrErased, Now: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	h.svc, err = account.New(account.Config{DB: d, Keys: keys, KEK: envelope.NewKey(), Audit: log, Now: h.clock.Now, Argon2MemoryKiB: 64, Argon2Passes: 1})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func ana() account.Registration {
	return account.Registration{
		Name:      identity.Name{Given: "Ana María", FirstSurname: "Mamani", SecondSurname: "Ñuflo"},
		Document:  identity.Document{Type: identity.DocumentCI, Number: "9990001", Complement: "1A"},
		BirthDate: identity.Date{Year: 1990, Month: time.February, Day: 28},
		Email:     "ana@example.org", Phone: "+59171234567",
	}
}

func (h *harness) register(in account.Registration) identity.PersonID {
	h.t.Helper()
	p, err := h.svc.Register(h.t.Context(), in)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// approved is an act that a second member of staff approved.
var approved = machine.Basis{By: machine.Supervisor, With: machine.Approved}

// own is the person's own stop button.
var own = machine.Basis{By: machine.Holder, With: machine.Session}

func (h *harness) reactivate(p identity.PersonID) error {
	return h.d.Write(h.t.Context(), func(tx *db.Tx) error { return account.ReactivateIn(tx, approved, p, "checked", h.clock.Now()) })
}

func (h *harness) raise(p identity.PersonID, l identity.Level) error {
	return h.d.Write(h.t.Context(), func(tx *db.Tx) error { return account.Raise(tx, approved, p, l, h.clock.Now()) })
}

func (h *harness) live(in account.Registration) identity.PersonID {
	h.t.Helper()
	p := h.register(in)
	if err := h.raise(p, identity.N2); err != nil {
		h.t.Fatal(err)
	}
	return p
}

func wantErr(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestProfileIsWhatWasRegistered(t *testing.T) {
	each(t, func(h *harness) {
		in := ana()
		p := h.register(in)
		want := identity.Profile{Person: p, Name: in.Name, Document: in.Document, BirthDate: in.BirthDate, Email: in.Email, Phone: in.Phone, Epoch: 1, Active: true}
		got, err := h.svc.Profile(h.t.Context(), p)
		if d := cmp.Diff(got, want); err != nil || d != "" {
			h.t.Errorf("profile (-got +want): %v\n%s", err, d)
		}
		if err := h.raise(p, identity.N2); err != nil {
			h.t.Fatal(err)
		}
		if got, _ = h.svc.Profile(h.t.Context(), p); got.Level != identity.N2 {
			h.t.Errorf("level: got %v, want N2", got.Level)
		}
		wantErr(h.t, "lowering", h.raise(p, identity.N1), account.ErrState)
		_, err = h.svc.Profile(h.t.Context(), identity.PersonID(identity.NewID("per", t0)))
		wantErr(h.t, "nobody", err, account.ErrUnknown)
	})
}

// A stranger who only says that she is somebody neither keeps that person from
// registering nor stands between her and her login.
func TestOnlyProofMakesADocumentExclusive(t *testing.T) {
	each(t, func(h *harness) {
		squatter := h.register(ana())
		_, err := h.svc.FindByDocument(h.t.Context(), ana().Document)
		wantErr(h.t, "found on a word alone", err, account.ErrUnknown)
		real := h.register(ana())
		if err := h.raise(real, identity.N2); err != nil {
			h.t.Fatal(err)
		}
		_, err = h.svc.Register(h.t.Context(), ana())
		wantErr(h.t, "a third after proof", err, account.ErrExists)
		wantErr(h.t, "the squatter's proof", h.raise(squatter, identity.N2), account.ErrExists)
		got, err := h.svc.FindByDocument(h.t.Context(), ana().Document)
		if err != nil || got != real {
			h.t.Errorf("found %q, %v, want the one who proved it", got, err)
		}
	})
}

// Numbers have been given twice: complement and birth date tell people apart.
func TestHomonymsAndTwins(t *testing.T) {
	each(t, func(h *harness) {
		first, twin, younger := ana(), ana(), ana()
		twin.Document.Complement = "1B"
		younger.BirthDate.Year = 2001
		a, b := h.live(first), h.live(twin)
		if got, err := h.svc.FindByDocument(h.t.Context(), twin.Document); err != nil || got != b {
			h.t.Errorf("by complement: got %q, %v, want %q", got, err, b)
		}
		c := h.live(younger)
		if a == c {
			h.t.Fatal("one person for two birth dates")
		}
		_, err := h.svc.FindByDocument(h.t.Context(), first.Document)
		wantErr(h.t, "one number, two people", err, account.ErrUnknown)
	})
}

func TestSuspensionMovesTheEpochAndTellsOthers(t *testing.T) {
	each(t, func(h *harness) {
		p := h.live(ana())
		steps := []struct {
			do     func() error
			active bool
			level  identity.Level
		}{
			{func() error { return h.svc.Suspend(h.t.Context(), own, string(p), p, "own-stop") }, false, identity.N2},
			{func() error { return h.reactivate(p) }, true, identity.N2},
		}
		for i, s := range steps {
			if err := s.do(); err != nil {
				h.t.Fatalf("step %d: %v", i, err)
			}
			got, err := h.svc.Profile(h.t.Context(), p)
			if err != nil || got.Active != s.active || got.Epoch != identity.Epoch(i+2) || got.Level != s.level {
				h.t.Errorf("step %d: %+v, %v", i, got, err)
			}
			wantErr(h.t, "twice", s.do(), account.ErrState)
		}
		rows, err := h.d.Query(h.t.Context(), `SELECT payload FROM outbox_message WHERE topic = $1 AND key = $2 ORDER BY seq`, account.TopicSubject, string(p))
		if err != nil {
			h.t.Fatal(err)
		}
		defer rows.Close()
		var causes []string
		for rows.Next() {
			var raw []byte
			if err := rows.Scan(&raw); err != nil {
				h.t.Fatal(err)
			}
			who, cause, err := account.ParseChanged(raw)
			if err != nil || who != p {
				h.t.Errorf("message of %q, %v", who, err)
			}
			causes = append(causes, cause)
		}
		if want := []string{"own-stop", "checked"}; !slices.Equal(causes, want) {
			h.t.Errorf("told: got %v, want %v", causes, want)
		}
	})
}

// Whoever had proven nothing before a suspension has proven nothing after it.
func TestSuspensionProvesNothing(t *testing.T) {
	each(t, func(h *harness) {
		p := h.register(ana())
		if err := h.svc.Suspend(h.t.Context(), own, string(p), p, "own-stop"); err != nil {
			h.t.Fatal(err)
		}
		wantErr(h.t, "raised while suspended", h.raise(p, identity.N2), account.ErrState)
		h.register(ana()) // still keeps nobody out
		if err := h.reactivate(p); err != nil {
			h.t.Fatal(err)
		}
		_, err := h.svc.FindByDocument(h.t.Context(), ana().Document)
		wantErr(h.t, "found", err, account.ErrUnknown)
	})
}

func TestChangeNoticesAreParsedStrictly(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "{}", "[]", `{"cause":"x"}`, "\x00"} {
		if _, _, err := account.ParseChanged([]byte(bad)); err == nil {
			t.Errorf("ParseChanged(%q) accepted", bad)
		}
	}
}

// What identifies a person, passwords and codes are nowhere in the database in clear.
func TestNothingReadableAtRest(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/suti.db"
	d := dbtest.OpenConfig(t, db.Config{URL: "sqlite:" + path})
	lines := []db.Line{subject.Migrations, outbox.Migrations, keystore.Migrations, audit.Migrations, account.Migrations}
	if err := d.Migrate(t.Context(), lines...); err != nil {
		t.Fatal(err)
	}
	h := newHarness(t, d)
	p := h.live(ana())
	const password = "caballo-correcto-99"
	if err := h.svc.SetPassword(t.Context(), account.Seeded, "per_registrar", p, password); err != nil {
		t.Fatal(err)
	}
	cells, err := h.svc.IssueCard(t.Context(), account.Seeded, "per_registrar", p, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.svc.Ask(t.Context(), "9990001-1A", []byte("b")); err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir() + "/copy.db"
	if err := d.Backup(t.Context(), copied); err != nil {
		t.Fatal(err)
	}
	dump, err := os.ReadFile(copied)
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{password, "Mamani", "Ñuflo", "9990001", "1990-02-28", "ana@example.org", "71234567"}
	for _, c := range cells[:5] {
		secrets = append(secrets, c.Number+c.Code, `"`+c.Code+`"`)
	}
	for _, s := range secrets {
		if bytes.Contains(dump, []byte(s)) {
			t.Errorf("%q stands in the database", s)
		}
	}
	if !bytes.Contains(dump, []byte(p)) {
		t.Error("the copy holds nothing at all")
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	if _, err := account.New(account.Config{}); err == nil || strings.Contains(fmt.Sprint(err), "nil pointer") {
		t.Errorf("empty configuration: got %v", err)
	}
}
