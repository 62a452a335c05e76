package notify_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"

	"oruro.gob.bo/suti/internal/notify"
	"oruro.gob.bo/suti/internal/outbox"
)

// server is a mail server as RFC 5321 §4.1.1 needs it, without extensions.
type server struct {
	port   int
	mu     sync.Mutex
	rcpt   string // answer to RCPT
	mails  []string
	dialog []string
}

func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s := &server{rcpt: "250 OK"}
	s.port, _ = strconv.Atoi(port)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.talk(c)
		}
	}()
	return s
}

func (s *server) talk(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	say := func(line string) { _, _ = fmt.Fprintf(c, "%s\r\n", line) }
	say("220 prueba ESMTP")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		s.mu.Lock()
		s.dialog = append(s.dialog, strings.TrimSpace(line))
		rcpt := s.rcpt
		s.mu.Unlock()
		switch verb := strings.ToUpper(strings.Fields(line + " x")[0]); verb {
		case "RCPT":
			say(rcpt)
		case "DATA":
			say("354 go")
			var b strings.Builder
			for {
				l, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if l == ".\r\n" {
					break
				}
				b.WriteString(strings.TrimPrefix(l, "."))
			}
			s.mu.Lock()
			s.mails = append(s.mails, b.String())
			s.mu.Unlock()
			say("250 queued")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 OK")
		}
	}
}

func TestSMTP(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	s, err := notify.NewSMTP(notify.SMTPConfig{Host: "127.0.0.1", Port: srv.port, From: "Suti <suti@oruro.example>", InsecureNoTLS: true})
	if err != nil {
		t.Fatal(err)
	}
	m := notify.Message{ID: "email:key_1.added", Channel: notify.Email, To: "ana@example.bo", Subject: "Suti: está lista su llave", Text: "Buen día, Ñusta:\n\n.punto al comienzo\n", At: start}
	for range 2 {
		if err := s.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if len(srv.mails) != 2 {
		t.Fatalf("%d mails: %q", len(srv.mails), srv.dialog)
	}
	ids := map[string]bool{}
	for _, raw := range srv.mails {
		got, err := mail.ReadMessage(strings.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		h := got.Header
		subject, err := new(mime.WordDecoder).DecodeHeader(h.Get("Subject"))
		if err != nil || subject != m.Subject {
			t.Errorf("subject %q, %v", subject, err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(got.Body))
		if want := strings.ReplaceAll(m.Text, "\n", "\r\n"); err != nil || strings.TrimSpace(string(text)) != strings.TrimSpace(want) {
			t.Errorf("text %q, %v", text, err)
		}
		if from, err := mail.ParseAddress(h.Get("From")); err != nil || from.Address != "suti@oruro.example" || !strings.Contains(h.Get("To"), "ana@example.bo") || h.Get("Auto-Submitted") != "auto-generated" {
			t.Errorf("header %v", h)
		}
		ids[h.Get("Message-ID")] = true
	}
	if len(ids) != 1 || !ids["<email.key-1.added@oruro.example>"] {
		t.Errorf("two tries of one message bear %v", ids)
	}
	for rcpt, permanent := range map[string]bool{"550 no such user": true, "451 later": false} {
		srv.mu.Lock()
		srv.rcpt = rcpt
		srv.mu.Unlock()
		err := s.Send(t.Context(), m)
		if err == nil || errors.Is(err, outbox.ErrPermanent) != permanent || strings.Contains(err.Error(), "ana@") {
			t.Errorf("%s: %v", rcpt, err)
		}
	}
	for _, to := range []string{"", "ana", "ana@example.bo\r\nBcc: otro@example.bo", "ana@example.bo, otro@example.bo"} {
		m.To = to
		if err := s.Send(t.Context(), m); !errors.Is(err, outbox.ErrPermanent) {
			t.Errorf("to %q: %v", to, err)
		}
	}
	if len(srv.mails) != 2 {
		t.Errorf("%d mails after refusals", len(srv.mails))
	}
}

func TestSMTPNeedsTLS(t *testing.T) {
	t.Parallel()
	srv := newServer(t)
	s, err := notify.NewSMTP(notify.SMTPConfig{Host: "127.0.0.1", Port: srv.port, From: "suti@oruro.example", User: "suti", Password: "canario"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), notify.Message{ID: "x", To: "ana@example.bo", At: start}); err == nil || len(srv.mails) != 0 || strings.Contains(fmt.Sprint(srv.dialog), "AUTH") {
		t.Errorf("sent in clear: %v %q", err, srv.dialog)
	}
	for name, c := range map[string]notify.SMTPConfig{
		"no host":           {From: "suti@oruro.example"},
		"no sender":         {Host: "mx"},
		"password in clear": {Host: "mx", From: "suti@oruro.example", User: "u", Password: "canario", InsecureNoTLS: true},
	} {
		if _, err := notify.NewSMTP(c); err == nil || strings.Contains(err.Error(), "canario") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestGateway(t *testing.T) {
	t.Parallel()
	status := http.StatusAccepted
	var got map[string]string
	var header http.Header
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		_ = json.NewDecoder(r.Body).Decode(&got)
		w.WriteHeader(status)
	}))
	t.Cleanup(srv.Close)
	c := notify.GatewayConfig{URL: srv.URL + "/sms", Token: "canario", InsecureAllowHTTP: true, Prefixes: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	g, err := notify.NewGateway(c)
	if err != nil {
		t.Fatal(err)
	}
	m := notify.Message{ID: "sms:1", Channel: notify.SMS, To: "+59171234567", Text: "Hola"}
	if err := g.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if got["to"] != m.To || got["text"] != m.Text || got["id"] != m.ID || header.Get("Idempotency-Key") != m.ID || header.Get("Authorization") != "Bearer canario" {
		t.Errorf("sent %v with %v", got, header)
	}
	for s, permanent := range map[int]bool{400: true, 401: true, 404: true, 429: false, 408: false, 500: false, 503: false, 302: true} {
		status = s
		if err := g.Send(t.Context(), m); err == nil || errors.Is(err, outbox.ErrPermanent) != permanent || strings.Contains(err.Error(), m.To) {
			t.Errorf("%d: %v", s, err)
		}
	}
	for _, to := range []string{"", "71234567", "+0123456789", "+591 71234567", "+59171234567\n"} {
		m.To = to
		if err := g.Send(t.Context(), m); !errors.Is(err, outbox.ErrPermanent) {
			t.Errorf("to %q: %v", to, err)
		}
	}
	c.Prefixes = nil
	if g, err = notify.NewGateway(c); err != nil {
		t.Fatal(err)
	}
	m.To = "+59171234567"
	if err := g.Send(t.Context(), m); err == nil {
		t.Error("a private address was reached without leave")
	}
	for _, bad := range []string{"", "ftp://x/", "http://sms.example/", "https://u:p@sms.example/"} {
		if _, err := notify.NewGateway(notify.GatewayConfig{URL: bad, Token: "canario"}); err == nil {
			t.Errorf("address %q was taken", bad)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	log := slog.New(slog.NewJSONHandler(&b, nil))
	log.Info("x", "smtp", notify.SMTPConfig{Host: "mx", Password: "canario"}, "sms", notify.GatewayConfig{Token: "canario"})
	if strings.Contains(b.String(), "canario") {
		t.Error(b.String())
	}
}
