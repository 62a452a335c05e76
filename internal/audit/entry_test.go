package audit_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

func TestPrepareRefuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		for name, change := range map[string]func(*audit.Entry){
			"no kind":           func(e *audit.Entry) { e.Kind = "" },
			"one word":          func(e *audit.Entry) { e.Kind = "idp" },
			"unknown context":   func(e *audit.Entry) { e.Kind = "nobody.login" },
			"upper case":        func(e *audit.Entry) { e.Kind = "idp.Login" },
			"empty word":        func(e *audit.Entry) { e.Kind = "idp..login" },
			"long kind":         func(e *audit.Entry) { e.Kind = "idp." + strings.Repeat("a", 64) },
			"subject not an id": func(e *audit.Entry) { e.Subject = "María" },
			"subject other kind": func(e *audit.Entry) {
				e.Subject = identity.PersonID(strings.Replace(string(person(1)), "per", "ins", 1))
			},
			"no outcome":          func(e *audit.Entry) { e.Outcome = "" },
			"outcome with spaces": func(e *audit.Entry) { e.Outcome = "all right" },
			"intent not an id":    func(e *audit.Entry) { e.Intent = "x" },
			"opens and closes": func(e *audit.Entry) {
				e.Intent = identity.NewID("aud", time.Unix(1, 0))
				e.Outcome = audit.OutcomeIntent
			},
			"control character": func(e *audit.Entry) { e.Purpose = "a\nb" },
			"NUL":               func(e *audit.Entry) { e.Object = "a\x00b" },
			"not UTF-8":         func(e *audit.Entry) { e.Actor = "a\xff" },
			"long text":         func(e *audit.Entry) { e.Client = strings.Repeat("a", audit.MaxText+1) },
			"long body":         func(e *audit.Entry) { e.Leaf = make([]byte, audit.MaxBody+1) },
			"payload not JSON":  func(e *audit.Entry) { e.Payload = func() {} },
			"long payload":      func(e *audit.Entry) { e.Payload = strings.Repeat("a", audit.MaxPayload) },
			"log without body":  func(e *audit.Entry) { e.Kind = "audit.outage" },
			"log with raw body": func(e *audit.Entry) { e.Kind = "audit.outage"; e.Leaf = []byte{0, 1} },
		} {
			e := event(1)
			change(&e)
			if p, err := h.log.Prepare(t.Context(), e); !errors.Is(err, audit.ErrEntry) || p != nil {
				t.Errorf("%s: got %v, want ErrEntry", name, err)
			}
		}
		if err := h.d.Write(t.Context(), func(tx *db.Tx) error { _, err := h.log.Append(tx, &audit.Prepared{}); return err }); !errors.Is(err, audit.ErrEntry) {
			t.Errorf("zero Prepared: got %v, want ErrEntry", err)
		}
	})
}

func TestClassOf(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]logverify.Class{
		"ca.issue": "certificate", "ca.issue.intent": "certificate", "ca.key.generate": "key", "ca.ceremony.root": "key",
		"tsa.stamp": "timestamp", "signer.sign": "signature", "enrolment.proof": "act", "enrolment.genesis": "act",
		"enrolment.appointment.end": "appointment", "enrolment.passkey.add": "account", "idp.login": "login",
		"idp.logout": "login", "idp.client.change": "client", "idp.token.refresh": "token", "idp.userinfo.read": "access",
		"access.record": "access", "operation.start": "operation", "audit.reopen": "log", "audit.read.mine": "access",
		"key.rotate": "key", "idp.clients": "login",
	} {
		if got, err := audit.ClassOf(kind); err != nil || got != want {
			t.Errorf("ClassOf(%q) = %q, %v; want %q", kind, got, err, want)
		}
	}
	known := logverify.Classes()
	for _, kind := range []string{"cab.issue", "x.y", "idp", ".idp", "idp.", "idp.é"} {
		if got, err := audit.ClassOf(kind); !errors.Is(err, audit.ErrEntry) {
			t.Errorf("ClassOf(%q) = %q, %v; want ErrEntry", kind, got, err)
		}
	}
	if len(known) != 13 {
		t.Errorf("%d classes; extend this test and docs/log-format.md", len(known))
	}
}

// TestOnePreparedIsOneLogicalWrite: a closure may run again, a second write
// with the same Prepared may not commit.
func TestOnePreparedIsOneLogicalWrite(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		p := h.prepare(event(1))
		boom := errors.New("boom")
		err := h.d.Write(t.Context(), func(tx *db.Tx) error {
			if _, err := h.log.Append(tx, p); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatalf("failing closure: %v", err)
		}
		if err := h.appendPrepared(p); err != nil {
			t.Errorf("run again after a rollback: %v", err)
		}
		if err := h.appendPrepared(p); !errors.Is(err, audit.ErrAppended) {
			t.Errorf("second logical write: got %v, want ErrAppended", err)
		}
		p2 := h.prepare(event(2))
		err = h.d.Write(t.Context(), func(tx *db.Tx) error {
			_, err1 := h.log.Append(tx, p2)
			_, err2 := h.log.Append(tx, p2)
			return errors.Join(err1, err2)
		})
		if !errors.Is(err, audit.ErrAppended) {
			t.Errorf("twice in one closure: got %v, want ErrAppended", err)
		}
		// 16 writers with one Prepared: one wins.
		p3 := h.prepare(event(3))
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				switch err := h.appendPrepared(p3); {
				case err == nil:
					won.Add(1)
				case errors.Is(err, audit.ErrAppended):
					lost.Add(1)
				default:
					t.Errorf("contention: %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 15 {
			t.Errorf("contention: %d won, %d lost; want 1 and 15", won.Load(), lost.Load())
		}
		h.step(2)
		if got := h.check(); got != 2 {
			t.Errorf("size %d, want 2", got)
		}
	})
}

func TestAppendRefusesAnOldPrepared(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		p := h.prepare(event(1))
		h.clock.Advance(10 * time.Minute)
		if err := h.appendPrepared(p); err != nil {
			t.Errorf("at the limit: %v", err)
		}
		p = h.prepare(event(1))
		h.clock.Advance(10*time.Minute + time.Microsecond)
		if err := h.appendPrepared(p); !errors.Is(err, audit.ErrStale) {
			t.Errorf("beyond the limit: got %v, want ErrStale", err)
		}
	})
}

func TestIntentsHaveOneOutcome(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		open := func(kind string) string {
			h.clock.Advance(time.Second)
			e := event(1)
			e.Kind, e.Outcome = kind, audit.OutcomeIntent
			return h.append(e)
		}
		closing := func(intent string) error {
			e := event(1)
			e.Intent, e.Outcome = intent, audit.OutcomeAbandoned
			return h.appendPrepared(h.prepare(e))
		}
		start := h.clock.Now()
		a, b, c := open("ca.issue"), open("ca.issue.bulk"), open("signer.sign")
		got := func(prefix string, before time.Time) []string {
			list, err := h.log.OpenIntents(t.Context(), prefix, before, 100)
			if err != nil {
				t.Fatal(err)
			}
			ids := []string{}
			for _, o := range list {
				ids = append(ids, o.ID)
				if o.Subject != person(1) || o.Object != "obj-1" || o.At.Before(start) {
					t.Errorf("intent %+v", o)
				}
			}
			return ids
		}
		now := h.clock.Now().Add(time.Microsecond)
		for _, q := range []struct {
			prefix string
			before time.Time
			want   []string
		}{
			{"", now, []string{a, b, c}}, {"ca", now, []string{a, b}}, {"ca.issue", now, []string{a, b}},
			{"ca.issue.bulk", now, []string{b}}, {"ca.iss", now, []string{}}, {"signer", now, []string{c}},
			{"", now.Add(-time.Second), []string{a, b}}, {"", start, []string{}},
		} {
			if diff := cmp.Diff(got(q.prefix, q.before), q.want); diff != "" {
				t.Errorf("OpenIntents(%q, %s) (-got +want):\n%s", q.prefix, q.before.Sub(start), diff)
			}
		}
		h.step(3)
		h.check()

		plain := h.append(event(1))
		if err := closing(plain); !errors.Is(err, audit.ErrIntent) {
			t.Errorf("outcome of an entry that is no intent: got %v, want ErrIntent", err)
		}
		if err := closing(identity.NewID("aud", h.clock.Now())); !errors.Is(err, audit.ErrIntent) {
			t.Errorf("outcome of nothing: got %v, want ErrIntent", err)
		}
		// Recovery and the slow first writer race: one outcome.
		for _, intent := range []string{a, b, c} {
			var won, lost atomic.Int64
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					switch err := closing(intent); {
					case err == nil:
						won.Add(1)
					case errors.Is(err, audit.ErrIntentClosed):
						lost.Add(1)
					default:
						t.Errorf("race: %v", err)
					}
				})
			}
			wg.Wait()
			if won.Load() != 1 || lost.Load() != 7 {
				t.Errorf("race: %d won, %d lost; want 1 and 7", won.Load(), lost.Load())
			}
		}
		if diff := cmp.Diff(got("", now.Add(time.Hour)), []string{}); diff != "" {
			t.Errorf("open after all outcomes (-got +want):\n%s", diff)
		}
		h.step(4) // a failed outcome leaves no row behind
		if got := h.check(); got != 7 {
			t.Errorf("size %d, want 7", got)
		}
	})
}

func TestBySubjectPagesAndErasure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		ids := h.appendN(30) // ten for each of three persons; several within one millisecond step
		var mine []string
		for i := len(ids) - 1; i >= 0; i-- {
			if i%3 == 1 {
				mine = append(mine, ids[i])
			}
		}
		h.step(30)
		for _, limit := range []int{1, 3, 10, 0} {
			var got []string
			cursor := ""
			for pages := 0; pages < 20; pages++ {
				views, next, err := h.log.BySubject(t.Context(), person(1), cursor, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range views {
					got = append(got, v.ID)
					var payload struct{ N int }
					if err := json.Unmarshal(v.Payload, &payload); err != nil || payload.N%3 != 1 || v.Subject != person(1) || v.Erased || !v.Placed {
						t.Errorf("view %+v: %v", v, err)
					}
				}
				if cursor = next; cursor == "" {
					break
				}
			}
			if diff := cmp.Diff(got, mine); diff != "" {
				t.Errorf("limit %d (-got +want):\n%s", limit, diff)
			}
		}
		_, cursor, err := h.log.BySubject(t.Context(), person(1), "", 3)
		if err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]string{"changed": strings.Map(func(r rune) rune {
			if r == 'A' {
				return 'B'
			}
			return 'A'
		}, cursor), "cut": cursor[:20], "foreign": "@@", "long": strings.Repeat("A", 300)} {
			if _, _, err := h.log.BySubject(t.Context(), person(1), c, 3); !errors.Is(err, audit.ErrCursor) {
				t.Errorf("%s cursor: got %v, want ErrCursor", name, err)
			}
		}
		if _, _, err := h.log.BySubject(t.Context(), person(2), cursor, 3); !errors.Is(err, audit.ErrCursor) {
			t.Errorf("another person's cursor: got %v, want ErrCursor", err)
		}

		before, err := h.log.InclusionProof(t.Context(), mine[0])
		if err != nil {
			t.Fatal(err)
		}
		h.keys.destroy(person(1))
		var erased int64
		for {
			var n int64
			err := h.d.Write(t.Context(), func(tx *db.Tx) (err error) { n, err = h.log.Erase(tx, person(1), 4); return err })
			if err != nil {
				t.Fatal(err)
			}
			if erased += n; n == 0 {
				break
			}
		}
		if erased != 10 {
			t.Errorf("erased %d entries, want 10", erased)
		}
		views, _, err := h.log.BySubject(t.Context(), person(1), "", 0)
		if err != nil || len(views) != 10 {
			t.Fatalf("after erasure: %d views, %v", len(views), err)
		}
		for _, v := range views {
			if !v.Erased || v.Payload != nil || v.Kind != "idp.login" {
				t.Errorf("after erasure: %+v", v)
			}
		}
		if _, err := h.log.Prepare(t.Context(), event(1)); !errors.Is(err, audit.ErrErased) {
			t.Errorf("new entry about an erased person: got %v, want ErrErased", err)
		}
		// The tree, the old receipt and the opening of what is left all stand.
		if got := h.check(); got != 30 {
			t.Errorf("size %d, want 30", got)
		}
		after, err := h.log.InclusionProof(t.Context(), mine[0])
		if diff := cmp.Diff(after, before); diff != "" || err != nil {
			t.Errorf("receipt after erasure: %v (-after +before):\n%s", err, diff)
		}
		o, err := h.log.Opening(t.Context(), mine[0])
		if err != nil || !o.Erased {
			t.Fatalf("opening: %+v, %v", o, err)
		}
		if err := logverify.VerifyEntry(after.Leaf, o); err != nil {
			t.Errorf("opening after erasure: %v", err)
		}
	})
}

// TestErasureByKeyAlone: destroying the key must make content unreadable even
// where the sealed bytes are still there, as in a backup.
func TestErasureByKeyAlone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		id := h.append(event(1))
		h.step(1)
		h.keys.destroy(person(1))
		v, err := h.log.Entry(t.Context(), id)
		if err != nil || !v.Erased || v.Payload != nil {
			t.Errorf("got %+v, %v, want it erased", v, err)
		}
		h.check()
	})
}

// TestLeavesTellNothing: no clear field, payload or identifier stands in the
// published bytes, and equal entries have unequal leaves.
func TestLeavesTellNothing(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		e := event(1)
		e.Leaf = []byte("public body of a certificate")
		h.append(e)
		h.append(e)
		h.step(2)
		b, err := handlerSource{h.log.Handler(nil)}.Fetch(t.Context(), "tile/entries/000.p/2", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"per_", "aud_", "cli_", "ins_", "María", "obj-1", "trámite", "public body", "idp.login"} {
			if strings.Contains(string(b), s) {
				t.Errorf("the bundle tells %q: %q", s, b)
			}
		}
		leaves, err := logverify.ParseBundle(b, 2)
		if err != nil || string(leaves[0]) == string(leaves[1]) {
			t.Errorf("two equal entries: %q, %v", leaves, err)
		}
	})
}

func TestEntryAndOpening(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *harness) {
		e := event(7)
		e.Leaf = []byte{1, 2, 3}
		id := h.append(e)
		h.step(1)
		v, err := h.log.Entry(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		want := audit.View{
			ID: id, Class: "login", Kind: e.Kind, Subject: e.Subject, Actor: e.Actor, Client: e.Client, Institution: e.Institution,
			Purpose: e.Purpose, At: h.clock.Now(), Outcome: e.Outcome, Object: e.Object, Body: e.Leaf,
			Payload: json.RawMessage(`{"n":7,"name":"María"}`), Placed: true, Log: 1, Index: 0,
		}
		if diff := cmp.Diff(v, want); diff != "" {
			t.Errorf("view (-got +want):\n%s", diff)
		}
		rec, err := h.log.InclusionProof(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		o, err := h.log.Opening(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if err := logverify.VerifyEntry(rec.Leaf, o); err != nil {
			t.Errorf("opening: %v", err)
		}
		if _, err := h.log.Entry(t.Context(), "aud_x"); !errors.Is(err, audit.ErrUnknown) {
			t.Errorf("unknown entry: got %v, want ErrUnknown", err)
		}
		if _, err := h.log.Opening(t.Context(), "aud_x"); !errors.Is(err, audit.ErrUnknown) {
			t.Errorf("unknown opening: got %v, want ErrUnknown", err)
		}
		// An entry without subject, payload and body.
		id = h.append(audit.Entry{Kind: "operation.start", Outcome: audit.OutcomeOK})
		if v, err := h.log.Entry(t.Context(), id); err != nil || v.Payload != nil || v.Erased || v.Placed || v.Index != -1 {
			t.Errorf("bare entry: %+v, %v", v, err)
		}
	})
}
