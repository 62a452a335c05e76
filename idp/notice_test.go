package idp_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/safehttp"
)

// script answers with one status after another, and remembers the tokens.
type script struct {
	status []int
	tokens []string
}

func (s *script) Do(r *http.Request) (*http.Response, error) {
	raw, _ := io.ReadAll(r.Body)
	v, _ := url.ParseQuery(string(raw))
	s.tokens = append(s.tokens, v.Get("logout_token"))
	status := s.status[min(len(s.tokens), len(s.status))-1]
	if status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader(""))}, nil
}

// deliver runs the outbox for some steps, ten minutes apart.
func (w *world) deliver(out idp.Doer, steps, attempts int) {
	w.t.Helper()
	topic, handle := w.p.BackchannelHandler(out)
	worker := must(outbox.New(outbox.Config{
		DB: w.d, Handlers: map[string]outbox.Handler{topic: handle}, GivenUp: map[string]func(*db.Tx, outbox.Message) error{topic: w.p.BackchannelGivenUp}, MaxAttempts: attempts, Now: w.clock.Now,
	}))(w.t)
	for range steps {
		if _, err := worker.Step(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.clock.Add(10 * time.Minute)
	}
}

// leave enters an application and ends all of the person's sessions.
func (w *world) leave(a *app, who identity.PersonID) (sid string) {
	w.t.Helper()
	tok := a.tokens(w.browser(), who)
	must(w.p.EndOtherSessions(w.t.Context(), who, ""))(w.t)
	return claimsOf(w.t, tok["id_token"])["sid"].(string)
}

// TestReceiptsOfNotices: whoever owns a client sees what became of each notice
// and of each try; each try has a token of its own; one that is refused for ever
// holds up no other.
func TestReceiptsOfNotices(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, BackchannelURI: "https://app-a.example/fin"})
		receipts := func() idp.Receipts { return must(w.p.Receipts(w.t.Context(), "app-a", 10))(w.t) }
		if r := receipts(); len(r.Latest) != 0 || r.Queued+r.Delivered+r.GivenUp != 0 {
			w.t.Errorf("at the beginning: %+v", r)
		}
		if _, err := w.p.Receipts(w.t.Context(), "nobody", 1); !errors.Is(err, idp.ErrUnknownClient) {
			w.t.Errorf("unknown client: %v", err)
		}

		first := w.leave(a, who)
		if r := receipts(); r.Queued != 1 || r.Latest[0].SID != first || r.Latest[0].State != idp.NoticeQueued || r.Latest[0].Tries != 0 || r.Latest[0].Address != "https://app-a.example/fin" {
			w.t.Errorf("queued: %+v", r)
		}
		out := &script{status: []int{0, 400, 503, 204}}
		w.deliver(out, 6, 0)
		r := receipts()
		var got []string
		for _, try := range r.Latest[0].Log {
			got = append(got, try.Outcome+" "+http.StatusText(try.Status))
		}
		if want := "delivered No Content|refused Service Unavailable|refused Bad Request|unreachable "; strings.Join(got, "|") != want || r.Latest[0].Tries != 4 || r.Latest[0].State != idp.NoticeDelivered || r.Latest[0].Done.IsZero() || r.Delivered != 1 || r.Queued != 0 {
			w.t.Errorf("delivered at the fourth try: %q %+v", got, r)
		}
		seen := map[any]bool{}
		for _, tok := range out.tokens {
			c := claimsOf(w.t, tok)
			if seen[c["jti"]] || c["sid"] != first {
				w.t.Errorf("token of a try: %v", c)
			}
			seen[c["jti"]] = true
		}

		second := w.leave(a, who)
		w.deliver(&script{status: []int{400}}, 5, 3)
		if r = receipts(); r.Latest[0].SID != second || r.Latest[0].State != idp.NoticeGivenUp || r.Latest[0].Tries != 3 || r.GivenUp != 1 || r.Latest[0].Log[0].Status != 400 {
			w.t.Errorf("given up: %+v", r)
		}

		// A notice that the application refuses waits alone.
		w.leave(a, who)
		w.deliver(&script{status: []int{400}}, 1, 0)
		w.clock.Add(-10 * time.Minute) // the first is not due again
		last := w.leave(a, who)
		w.deliver(&script{status: []int{200}}, 1, 0)
		if r = receipts(); r.Latest[0].SID != last || r.Latest[0].State != idp.NoticeDelivered || r.Latest[1].State != idp.NoticeQueued {
			w.t.Errorf("behind one that is refused: %+v", r.Latest[:2])
		}
		// Receipts that were closed long ago go, those that wait stay.
		if err := w.p.Purge(w.t.Context(), w.clock.Now().Add(31*24*time.Hour), 100); err != nil {
			w.t.Fatal(err)
		}
		if r = receipts(); len(r.Latest) != 1 || r.Latest[0].State != idp.NoticeQueued {
			w.t.Errorf("after the purge: %+v", r.Latest)
		}
	})
}

// resolver leads every name to one address.
type resolver string

func (r resolver) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr(string(r))}, nil
}

// TestReceiptsOfHostileAddresses: an address that leads into our own network is
// not reached, a host that keeps failing is left alone; the receipt says both.
func TestReceiptsOfHostileAddresses(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, BackchannelURI: "https://app-a.example/fin"})
		outcomes := func() string {
			var out []string
			for _, try := range must(w.p.Receipts(w.t.Context(), "app-a", 1))(w.t).Latest[0].Log {
				out = append(out, try.Outcome)
			}
			return strings.Join(out, " ")
		}
		w.leave(a, who)
		w.deliver(must(safehttp.New(safehttp.Config{Resolver: resolver("127.0.0.1"), Now: w.clock.Now}))(w.t), 2, 0)
		if got := outcomes(); got != "address address" {
			w.t.Errorf("inside: %s", got)
		}
		w.leave(a, who)
		// Nobody answers on this port; the second try falls into the pause.
		listener := w.server.Listener.Addr().String()
		_, port, _ := strings.Cut(listener, ":")
		b := w.register(idp.Client{ID: "app-b", Profile: idp.ProfileWeb, BackchannelURI: "https://localhost:" + port + "/no-tls"})
		w.leave(b, who)
		w.deliver(must(safehttp.New(safehttp.Config{AllowHosts: []string{"localhost"}, Ports: []uint16{0}, Breaker: safehttp.Policy{Failures: 1, Pause: time.Hour}, Now: w.clock.Now}))(w.t), 2, 0)
		r := must(w.p.Receipts(w.t.Context(), "app-b", 1))(w.t)
		if len(r.Latest[0].Log) != 2 || r.Latest[0].Log[1].Outcome != idp.TryUnreachable || r.Latest[0].Log[0].Outcome != idp.TryLeftAlone {
			w.t.Errorf("failing host: %+v", r.Latest[0].Log)
		}
	})
}
