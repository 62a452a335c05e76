package account_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
)

const password = "caballo-correcto-99"

var browser = []byte("browser-1")

// carded is a live person with a password and a card.
func (h *harness) carded(cells int) (identity.PersonID, map[string]string) {
	h.t.Helper()
	p := h.live(ana())
	if err := h.svc.SetPassword(h.t.Context(), account.Seeded, "per_registrar", p, password); err != nil {
		h.t.Fatal(err)
	}
	return p, h.issue(p, cells)
}

func (h *harness) issue(p identity.PersonID, cells int) map[string]string {
	h.t.Helper()
	list, err := h.svc.IssueCard(h.t.Context(), account.Seeded, "per_registrar", p, cells)
	if err != nil {
		h.t.Fatal(err)
	}
	out := map[string]string{}
	for _, c := range list {
		out[c.Number] = c.Code
	}
	return out
}

func (h *harness) ask(login string) account.Challenge {
	h.t.Helper()
	c, err := h.svc.Ask(h.t.Context(), login, browser)
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *harness) answer(c account.Challenge, pw, code string) (identity.Authentication, error) {
	return h.svc.Answer(h.t.Context(), c.ID, browser, pw, code)
}

// other returns a code that is not the one of the cell.
func other(code string) string {
	if code[0] == '9' {
		return "0" + code[1:]
	}
	return "9" + code[1:]
}

func TestCardProvesThePerson(t *testing.T) {
	each(t, func(h *harness) {
		p, card := h.carded(0)
		if len(card) != account.DefaultCells {
			h.t.Errorf("card of %d cells", len(card))
		}
		for _, login := range []string{"9990001-1A", " 9990001 1a", "99900011A"} { // the three spellings
			c := h.ask(login)
			got, err := h.answer(c, password, card[c.Cell][:3]+" "+card[c.Cell][3:])
			want := identity.Authentication{Person: p, Epoch: 1, Method: identity.MethodCard, UserVerified: true, At: h.clock.Now()}
			if err != nil || got != want {
				h.t.Errorf("login %q: got %+v, %v, want %+v", login, got, err, want)
			}
			if got.PhishingResistant() {
				h.t.Error("a card is called phishing-resistant")
			}
		}
	})
}

func TestUsedCellsAreNeverAskedAgain(t *testing.T) {
	each(t, func(h *harness) {
		_, card := h.carded(4)
		seen := map[string]bool{}
		for range 4 {
			c := h.ask("9990001-1A")
			if seen[c.Cell] {
				h.t.Fatalf("cell %s is asked again", c.Cell)
			}
			seen[c.Cell] = true
			if _, err := h.answer(c, password, card[c.Cell]); err != nil {
				h.t.Fatal(err)
			}
		}
		c := h.ask("9990001-1A") // the card is spent: a question as for nobody
		_, err := h.answer(c, password, card["0001"])
		wantErr(h.t, "a spent card", err, account.ErrRefused)
	})
}

func TestAnswersThatProveNothing(t *testing.T) {
	each(t, func(h *harness) {
		p, card := h.carded(0)
		cases := map[string]func() error{
			"wrong password": func() error {
				c := h.ask("9990001-1A")
				_, err := h.answer(c, "otra-clave-larga", card[c.Cell])
				return err
			},
			"wrong code": func() error {
				c := h.ask("9990001-1A")
				_, err := h.answer(c, password, other(card[c.Cell]))
				return err
			},
			"nobody": func() error { _, err := h.answer(h.ask("7777777"), password, "123456"); return err },
			"other browser": func() error {
				c := h.ask("9990001-1A")
				_, err := h.svc.Answer(h.t.Context(), c.ID, []byte("browser-2"), password, card[c.Cell])
				return err
			},
			"too late": func() error {
				c := h.ask("9990001-1A")
				h.clock.Add(10 * time.Minute)
				_, err := h.answer(c, password, card[c.Cell])
				return err
			},
			"the question used before": func() error {
				c := h.ask("9990001-1A")
				if _, err := h.answer(c, password, card[c.Cell]); err != nil {
					return err
				}
				_, err := h.answer(c, password, card[c.Cell])
				return err
			},
			"a voided card": func() error {
				c := h.ask("9990001-1A")
				old := card[c.Cell]
				card = h.issue(p, 0)
				_, err := h.answer(c, password, old)
				return err
			},
			"no question": func() error {
				_, err := h.svc.Answer(h.t.Context(), identity.NewID("cch", t0), browser, password, "123456")
				return err
			},
			"not an id": func() error {
				_, err := h.svc.Answer(h.t.Context(), "' OR 1=1 --", browser, password, "123456")
				return err
			},
		}
		for name, try := range cases {
			wantErr(h.t, name, try(), account.ErrRefused)
			h.clock.Add(2 * time.Hour) // so that throttling is no part of it
		}
		if err := h.svc.Suspend(h.t.Context(), own, string(p), p, "own-stop"); err != nil {
			h.t.Fatal(err)
		}
		c := h.ask("9990001-1A")
		_, err := h.answer(c, password, card[c.Cell])
		wantErr(h.t, "a suspended person", err, account.ErrRefused)
	})
}

// Only failures count, and those of an unknown login like those of a known one.
func TestThrottling(t *testing.T) {
	each(t, func(h *harness) {
		_, card := h.carded(0)
		for range 8 { // more than the limit
			c := h.ask("9990001-1A")
			if _, err := h.answer(c, password, card[c.Cell]); err != nil {
				h.t.Fatal(err)
			}
		}
		for _, login := range []string{"9990001-1A", "8888888"} {
			waiting := h.ask(login)
			for range 5 {
				_, err := h.answer(h.ask(login), "otra-clave-larga", "000000")
				wantErr(h.t, login, err, account.ErrRefused)
			}
			_, err := h.svc.Ask(h.t.Context(), login, browser)
			wantErr(h.t, login+" asked", err, account.ErrThrottled)
			_, err = h.answer(waiting, password, card[waiting.Cell])
			wantErr(h.t, login+" answered", err, account.ErrThrottled)
		}
		h.clock.Add(time.Hour + time.Second)
		c := h.ask("9990001-1A")
		if _, err := h.answer(c, password, card[c.Cell]); err != nil {
			h.t.Errorf("an hour later: %v", err)
		}
	})
}

// Asking for a login that nobody has looks like asking for one with a card in
// use: cells of the same range, not all of them, different ones in turn.
func TestUnknownLoginLooksLikeAKnownOne(t *testing.T) {
	each(t, func(h *harness) {
		_, card := h.carded(0)
		for range 6 {
			c := h.ask("9990001-1A")
			if _, err := h.answer(c, password, card[c.Cell]); err != nil {
				h.t.Fatal(err)
			}
		}
		for _, login := range []string{"9990001-1A", "8888888", "maria@example.org", "E-555666"} {
			seen := map[string]bool{}
			for range 60 {
				c := h.ask(login)
				if identity.CheckID("cch", c.ID) != nil || c.Cell < "0001" || c.Cell > "0040" {
					h.t.Fatalf("%s: question %+v", login, c)
				}
				seen[c.Cell] = true
			}
			if len(seen) < 10 {
				h.t.Errorf("%s: only %d different cells in 60 questions", login, len(seen))
			}
		}
	})
}

func TestCellIsSpentOnceUnderContention(t *testing.T) {
	each(t, func(h *harness) {
		_, card := h.carded(1)
		const n = 4 // below the limit of failures
		var questions [n]account.Challenge
		for i := range questions {
			questions[i] = h.ask("9990001-1A")
		}
		var good atomic.Int64
		dbtest.Contend(h.t, n, func(i int) {
			if _, err := h.answer(questions[i], password, card[questions[i].Cell]); err == nil {
				good.Add(1)
			}
		})
		if good.Load() != 1 {
			h.t.Errorf("one cell proved %d logins", good.Load())
		}
	})
}

func TestManyTriesAtOnceAreManyTries(t *testing.T) {
	each(t, func(h *harness) {
		_, card := h.carded(40)
		const n = 24
		var questions [n]account.Challenge
		for i := range questions {
			questions[i] = h.ask("9990001-1A")
		}
		var refused atomic.Int64
		dbtest.Contend(h.t, n, func(i int) {
			_, err := h.answer(questions[i], password, other(card[questions[i].Cell]))
			if err == nil {
				h.t.Error("a wrong code was accepted")
			}
			refused.Add(1)
		})
		var failures int64
		if err := h.d.QueryRow(h.t.Context(), `SELECT count(*) FROM enrolment_card_failure`).Scan(&failures); err != nil {
			h.t.Fatal(err)
		}
		if failures > 5+4 { // as many as there may be writers at once
			h.t.Errorf("%d of %d wrong codes were tried", failures, n)
		}
	})
}

func TestLargeCard(t *testing.T) {
	each(t, func(h *harness) {
		begun := time.Now()
		_, card := h.carded(2000)
		for range 20 {
			c := h.ask("9990001-1A")
			if _, err := h.answer(c, password, card[c.Cell]); err != nil {
				h.t.Fatal(err)
			}
		}
		if took := time.Since(begun); took > 20*time.Second {
			h.t.Errorf("2,000 cells and 20 logins took %v", took)
		}
		p := h.register(account.Registration{Name: ana().Name, Document: identity.Document{Type: identity.DocumentCI, Number: "5550001"}, BirthDate: ana().BirthDate})
		if _, err := h.svc.IssueCard(h.t.Context(), account.Seeded, "x", p, 10_001); err == nil {
			h.t.Error("a card without bound")
		}
	})
}

func TestPasswordRules(t *testing.T) {
	each(t, func(h *harness) {
		p := h.live(ana())
		for _, bad := range []string{"", "corta12", "\xff\xfe\xfd345678", string(make([]byte, 257))} {
			wantErr(h.t, fmt.Sprintf("%q", bad), h.svc.SetPassword(h.t.Context(), account.Seeded, "x", p, bad), account.ErrPassword)
		}
		nobody := identity.PersonID(identity.NewID("per", t0))
		wantErr(h.t, "nobody's password", h.svc.SetPassword(h.t.Context(), account.Seeded, "x", nobody, password), account.ErrUnknown)
		_, err := h.svc.IssueCard(h.t.Context(), account.Seeded, "x", nobody, 0)
		wantErr(h.t, "nobody's card", err, account.ErrUnknown)
		// Composed and decomposed letters are one password.
		if err := h.svc.SetPassword(h.t.Context(), account.Seeded, "x", p, "contraseña-ñandú"); err != nil {
			h.t.Fatal(err)
		}
		card := h.issue(p, 0)
		c := h.ask("9990001-1A")
		if _, err := h.answer(c, "contrasen\u0303a-n\u0303andu\u0301", card[c.Cell]); err != nil {
			h.t.Errorf("decomposed: %v", err)
		}
	})
}

func TestPurgeRemovesWhatIsOver(t *testing.T) {
	each(t, func(h *harness) {
		_, card := h.carded(0)
		c := h.ask("9990001-1A")
		if _, err := h.answer(c, password, other(card[c.Cell])); err == nil {
			h.t.Fatal("a wrong code was accepted")
		}
		h.ask("9990001-1A")
		h.clock.Add(2 * time.Hour)
		kept := h.ask("9990001-1A")
		if err := h.svc.Purge(h.t.Context(), h.clock.Now().Add(-time.Hour), 100); err != nil {
			h.t.Fatal(err)
		}
		var n, failures int64
		err := h.d.Read(h.t.Context(), func(tx *db.Tx) error {
			if err := tx.QueryRow(`SELECT count(*) FROM enrolment_card_challenge`).Scan(&n); err != nil {
				return err
			}
			return tx.QueryRow(`SELECT count(*) FROM enrolment_card_failure`).Scan(&failures)
		})
		if err != nil || n != 1 || failures != 0 {
			h.t.Errorf("left: %d questions, %d failures, %v", n, failures, err)
		}
		if _, err := h.answer(kept, password, card[kept.Cell]); err != nil {
			h.t.Errorf("the open question: %v", err)
		}
	})
}
