package notify_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/notify"
	"oruro.gob.bo/suti/internal/outbox"
)

var start = time.Date(2026, 11, 24, 13, 0, 0, 0, time.UTC)

// contacts is the directory of the tests.
type contacts struct {
	mu  sync.Mutex
	m   map[identity.PersonID]notify.Contact
	err error
}

func (c *contacts) Contact(_ context.Context, who identity.PersonID) (notify.Contact, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return notify.Contact{}, c.err
	}
	got, ok := c.m[who]
	if !ok {
		return got, fmt.Errorf("look up: %w", notify.ErrUnknown)
	}
	return got, nil
}

// sender keeps what it gets and fails when told.
type sender struct {
	mu   sync.Mutex
	got  []notify.Message
	fail error
}

func (s *sender) Send(_ context.Context, m notify.Message) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.got = append(s.got, m)
	return nil
}

type world struct {
	t          *testing.T
	d          *db.DB
	now        time.Time
	contacts   *contacts
	email, sms *sender
	worker     *outbox.Worker
}

func catalog(t *testing.T) *i18n.Catalog {
	t.Helper()
	c, err := i18n.New(map[string]fs.FS{"notify": notify.Texts()}, i18n.OnFault(func(f i18n.Fault) { t.Error(f) }))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	w := &world{t: t, d: d, now: time.Now(), contacts: &contacts{m: map[identity.PersonID]notify.Contact{}}, email: &sender{}, sms: &sender{}}
	clock := func() time.Time { return w.now }
	n, err := notify.New(notify.Config{DB: d, Contacts: w.contacts, Email: w.email, SMS: w.sms, Catalog: catalog(t), Service: "Suti", Site: "https://id.oruro.example", Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	if w.worker, err = outbox.New(outbox.Config{DB: d, Handlers: n.Handlers(), Now: clock, MaxAttempts: 3}); err != nil {
		t.Fatal(err)
	}
	return w
}

func lines() []db.Line { return []db.Line{outbox.Migrations, notify.Migrations} }

func each(t *testing.T, fn func(w *world)) {
	t.Helper()
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) { fn(newWorld(t, d)) })
}

func (w *world) person(c notify.Contact) identity.PersonID {
	id := identity.PersonID(identity.NewID(identity.PrefixPerson, start))
	w.contacts.m[id] = c
	return id
}

func (w *world) put(n notify.Notice) error {
	return w.d.Write(w.t.Context(), func(tx *db.Tx) error { return notify.Put(tx, n) })
}

func (w *world) mustPut(n notify.Notice) {
	w.t.Helper()
	if err := w.put(n); err != nil {
		w.t.Fatal(err)
	}
}

// run delivers until nothing is due.
func (w *world) run() {
	w.t.Helper()
	for {
		w.now = w.now.Add(time.Hour) // past every pause
		n, err := w.worker.Step(w.t.Context())
		if err != nil {
			w.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func TestNoticeReachesBothChannelsOnce(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person(notify.Contact{Name: "Ana María", Email: "ana@example.bo", Phone: "+59171234567"})
		n := notify.Notice{ID: "key_1.added", Person: ana, Kind: notify.PasskeyAdded, At: start}
		w.mustPut(n)
		w.mustPut(n) // again before it left
		w.run()
		w.mustPut(n) // and after
		w.run()
		if len(w.email.got) != 1 || len(w.sms.got) != 1 {
			w.t.Fatalf("%d mails, %d SMS", len(w.email.got), len(w.sms.got))
		}
		m := w.email.got[0]
		if m.To != "ana@example.bo" || m.Subject != "Suti: tiene una llave de acceso nueva" || m.ID != "email:key_1.added" {
			w.t.Errorf("mail %+v", m)
		}
		for _, want := range []string{"Buen día, Ana María:", "24 de noviembre de 2026, 09:00", "https://id.oruro.example", "nunca le pide"} {
			if !strings.Contains(m.Text, want) {
				w.t.Errorf("the mail lacks %q:\n%s", want, m.Text)
			}
		}
		if s := w.sms.got[0]; s.To != "+59171234567" || !strings.HasPrefix(s.Text, "Suti: se agrego una llave") {
			w.t.Errorf("SMS %+v", s)
		}
	})
}

func TestOneChannelFailsWithoutTheOther(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person(notify.Contact{Name: "Ana", Email: "ana@example.bo", Phone: "+59171234567", Lang: i18n.EN})
		w.email.fail = errors.New("server is away")
		w.mustPut(notify.Notice{ID: "a", Person: ana, Kind: notify.Blocked, At: start})
		if _, err := w.worker.Step(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.email.fail = nil
		w.run()
		if len(w.email.got) != 1 || len(w.sms.got) != 1 {
			w.t.Fatalf("%d mails, %d SMS", len(w.email.got), len(w.sms.got))
		}
		if w.email.got[0].Subject != "Suti: your identity is blocked" {
			w.t.Errorf("language: %q", w.email.got[0].Subject)
		}
	})
}

func TestWhoCannotBeReached(t *testing.T) {
	each(t, func(w *world) {
		mailOnly := w.person(notify.Contact{Name: "Ana", Email: "ana@example.bo"})
		gone := w.person(notify.Contact{})
		delete(w.contacts.m, gone)
		w.mustPut(notify.Notice{ID: "a", Person: mailOnly, Kind: notify.Signed, At: start})
		w.mustPut(notify.Notice{ID: "b", Person: gone, Kind: notify.Signed, At: start})
		w.mustPut(notify.Notice{ID: "c", Person: mailOnly, Kind: notify.Signed, At: start, Channels: []notify.Channel{notify.SMS}})
		w.run()
		if len(w.email.got) != 1 || len(w.sms.got) != 0 {
			w.t.Errorf("%d mails, %d SMS", len(w.email.got), len(w.sms.got))
		}
		var left int
		if err := w.d.QueryRow(w.t.Context(), `SELECT count(1) FROM outbox_message`).Scan(&left); err != nil || left != 0 {
			w.t.Errorf("%d messages left, %v", left, err)
		}
		// A directory that is out of order is no reason to drop anything.
		w.contacts.err = errors.New("away")
		w.mustPut(notify.Notice{ID: "d", Person: mailOnly, Kind: notify.Signed, At: start})
		if _, err := w.worker.Step(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.contacts.err = nil
		w.run()
		if len(w.email.got) != 2 {
			w.t.Errorf("after the directory came back: %d mails", len(w.email.got))
		}
	})
}

// Neither the queue nor a rolled-back cause tells anything.
func TestQueueHoldsNoPersonalData(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person(notify.Contact{Name: "Ana", Email: "ana@example.bo", Phone: "+59171234567"})
		boom := errors.New("cause failed")
		err := w.d.Write(w.t.Context(), func(tx *db.Tx) error {
			return errors.Join(notify.Put(tx, notify.Notice{ID: "x", Person: ana, Kind: notify.Signed, At: start}), boom)
		})
		if !errors.Is(err, boom) {
			w.t.Fatal(err)
		}
		w.mustPut(notify.Notice{ID: "a", Person: ana, Kind: notify.SignRequest, At: start, Channels: []notify.Channel{notify.Email}})
		var n int
		var payload string
		if err := w.d.QueryRow(w.t.Context(), `SELECT count(1), max(CAST(payload AS TEXT)) FROM outbox_message`).Scan(&n, &payload); w.d.Engine() == db.SQLite && (err != nil || n != 1 || strings.Contains(payload, "ana@") || strings.Contains(payload, "Ana")) {
			w.t.Errorf("%d queued: %s, %v", n, payload, err)
		}
	})
}

func TestPutRefuses(t *testing.T) {
	each(t, func(w *world) {
		ana := w.person(notify.Contact{})
		good := notify.Notice{ID: "a", Person: ana, Kind: notify.Signed, At: start}
		for name, change := range map[string]func(*notify.Notice){
			"no id":        func(n *notify.Notice) { n.ID = "" },
			"long id":      func(n *notify.Notice) { n.ID = strings.Repeat("x", 81) },
			"no person":    func(n *notify.Notice) { n.Person = "ana@example.bo" },
			"unknown kind": func(n *notify.Notice) { n.Kind = "hola" },
			"no time":      func(n *notify.Notice) { n.At = time.Time{} },
			"channel":      func(n *notify.Notice) { n.Channels = []notify.Channel{"paloma"} },
		} {
			n := good
			change(&n)
			if err := w.put(n); !errors.Is(err, notify.ErrNotice) {
				w.t.Errorf("%s: %v", name, err)
			}
		}
	})
}

func TestDemoKeepsSealedMessages(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		kek := envelope.NewKey()
		demo := notify.NewDemo(d, kek)
		for i, to := range []string{"ana@example.bo", "pedro@example.bo", "ana@example.bo"} {
			m := notify.Message{ID: fmt.Sprintf("email:%d", i%2), Channel: notify.Email, To: to, Subject: "Asunto", Text: "Texto", At: start.Add(time.Duration(i) * time.Minute)}
			if err := demo.Send(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		got, _, err := demo.Messages(t.Context(), notify.Email, "", 10)
		if err != nil || len(got) != 2 || got[0].To != "pedro@example.bo" || got[1].Text != "Texto" {
			t.Errorf("got %+v, %v", got, err)
		}
		if got, _, err := demo.Messages(t.Context(), notify.SMS, "", 10); err != nil || len(got) != 0 {
			t.Errorf("SMS %+v, %v", got, err)
		}
		if _, _, err := notify.NewDemo(d, envelope.NewKey()).Messages(t.Context(), notify.Email, "", 10); !errors.Is(err, notify.ErrDemo) {
			t.Errorf("with another key: %v", err)
		}
		var n int64
		if err := d.Write(t.Context(), func(tx *db.Tx) (err error) {
			n, err = notify.Purge(tx, start.Add(time.Hour), 10)
			return err
		}); err != nil || n != 2 {
			t.Errorf("purged %d, %v", n, err)
		}
	})
}

// TestDemoPages: each page begins where the last one ended, also among messages
// of one instant, and what comes in between moves nothing.
func TestDemoPages(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		demo := notify.NewDemo(d, envelope.NewKey())
		send := func(id string, at time.Time) {
			if err := demo.Send(t.Context(), notify.Message{ID: id, Channel: notify.SMS, To: "+59171234567", Text: id, At: at}); err != nil {
				t.Fatal(err)
			}
		}
		var want []string
		for i := range 5 {
			send(fmt.Sprintf("sms:%d", i), start.Add(time.Duration(i/2)*time.Minute))
			want = append([]string{fmt.Sprintf("sms:%d", i)}, want...)
		}
		var got []string
		for cursor, pages := "", 0; ; pages++ {
			list, next, err := demo.Messages(t.Context(), notify.SMS, cursor, 2)
			if err != nil || pages > 2 {
				t.Fatalf("page %d: %v", pages, err)
			}
			for _, m := range list {
				got = append(got, m.ID)
			}
			send(fmt.Sprintf("sms:new-%d", pages), start.Add(time.Hour))
			if cursor = next; next == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		for _, bad := range []string{"x", "eA", "MTIz", strings.Repeat("A", 400), "MSAA"} { // "x", "123", "1 \x00"
			if _, _, err := demo.Messages(t.Context(), notify.SMS, bad, 2); !errors.Is(err, notify.ErrCursor) {
				t.Errorf("%q: %v", bad, err)
			}
		}
	})
}

// Every kind has its texts in both languages, and an SMS is one SMS: letters of
// the GSM alphabet (3GPP TS 23.038), at most 160.
func TestTexts(t *testing.T) {
	t.Parallel()
	if err := i18n.Lint(os.DirFS("."), notify.Texts()); err != nil {
		t.Error(err)
	}
	c := catalog(t)
	for _, lang := range []i18n.Lang{i18n.ES, i18n.EN} {
		p := c.Printer(lang)
		for _, k := range notify.Kinds() {
			s := p.T("notify."+string(k)+".sms", "service", "Suti", "site", "https://identidad.oruro.gob.bo")
			if len(s) > 160 || strings.ContainsFunc(s, func(r rune) bool { return r > 0x7e && !strings.ContainsRune("ñÑéùìòàüöä¿¡", r) }) {
				t.Errorf("%s %s: %d bytes: %s", lang, k, len(s), s)
			}
		}
	}
}
