package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/cmd/internal/app"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

// postOffice is a mail server with STARTTLS (RFC 3207) and AUTH PLAIN (RFC
// 4954), which takes nothing in clear and nothing without the password.
type postOffice struct {
	addr   string
	caFile string
	conf   *tls.Config
	login  string

	mu    sync.Mutex // guards the fields below
	mails []string
	clear []string // what was said before TLS
}

func newPostOffice(t *testing.T, user, password string) *postOffice {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &postOffice{
		addr: l.Addr().String(), caFile: filepath.Join(t.TempDir(), "mail-ca.pem"),
		conf:  &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw}, PrivateKey: key}}, MinVersion: tls.VersionTLS12},
		login: base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password)),
	}
	if err := os.WriteFile(p.caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.talk(c)
		}
	}()
	return p
}

// talk serves one connection.
func (p *postOffice) talk(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	r, secure, known := bufio.NewReader(c), false, false
	say := func(lines string) { _, _ = fmt.Fprint(c, strings.ReplaceAll(lines, "\n", "\r\n")+"\r\n") }
	say("220 localhost ESMTP")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		if !secure {
			p.mu.Lock()
			p.clear = append(p.clear, line)
			p.mu.Unlock()
		}
		switch verb, rest, _ := strings.Cut(line, " "); strings.ToUpper(verb) {
		case "EHLO":
			if say("250-localhost"); secure {
				say("250 AUTH PLAIN")
			} else {
				say("250 STARTTLS")
			}
		case "STARTTLS":
			say("220 go")
			t := tls.Server(c, p.conf)
			if t.Handshake() != nil {
				return
			}
			c, r, secure = t, bufio.NewReader(t), true
		case "AUTH":
			if known = rest == "PLAIN "+p.login; known {
				say("235 welcome")
			} else {
				say("535 no")
			}
		case "MAIL", "RCPT":
			if known {
				say("250 ok")
			} else {
				say("530 who are you")
			}
		case "DATA":
			say("354 go")
			var b strings.Builder
			for {
				l, err := r.ReadString('\n')
				if err != nil || l == ".\r\n" {
					break
				}
				b.WriteString(l)
			}
			p.mu.Lock()
			p.mails = append(p.mails, b.String())
			p.mu.Unlock()
			say("250 queued")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// senderConfig writes a configuration with both senders.
func senderConfig(t *testing.T, p *postOffice, sms string) (path string) {
	t.Helper()
	dir := t.TempDir()
	_, port, _ := net.SplitHostPort(p.addr)
	path = filepath.Join(dir, "suti.toml")
	text := fmt.Sprintf(testSettings, filepath.Join(dir, "data"), filepath.Join(dir, "passphrase"), freeAddress(t), freeAddress(t)) +
		fmt.Sprintf("[mail]\nhost = \"localhost\"\nport = %s\nfrom = \"Suti <suti@gobierno.example>\"\nuser = \"suti\"\npassword_file = %q\nca_file = %q\n", port, filepath.Join(dir, "mail-password"), p.caFile) +
		fmt.Sprintf("[sms]\nurl = %q\ntoken_file = %q\ninsecure_allow_http = true\n", sms, filepath.Join(dir, "sms-token"))
	for name, content := range map[string]string{path: text, filepath.Join(dir, "passphrase"): "a passphrase for this test", filepath.Join(dir, "mail-password"): "canary-mail\n", filepath.Join(dir, "sms-token"): "canary-sms\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// TestNoticesGoOut registers a person at a server configured like a real one: the
// notice of the new passkey arrives by e-mail, over TLS, and by SMS; doctor sees
// both, and tells what is wrong with either.
func TestNoticesGoOut(t *testing.T) {
	t.Parallel()
	post := newPostOffice(t, "suti", "canary-mail")
	var mu sync.Mutex
	var texts []map[string]string
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer canary-sms" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Method == http.MethodPost {
			var m map[string]string
			_ = json.NewDecoder(r.Body).Decode(&m)
			mu.Lock()
			texts = append(texts, m)
			mu.Unlock()
		}
	}))
	t.Cleanup(gateway.Close)
	path := senderConfig(t, post, gateway.URL)
	var said lockedBuffer
	c := &cli{stdout: &said, stderr: &said, getenv: func(string) string { return "" }, now: time.Now}
	if code := run(t.Context(), []string{"key", "init", "--config", path}, nil, io.Discard, &said, c.getenv); code != exitOK {
		t.Fatalf("key init: %d\n%s", code, said.String())
	}
	cfg, err := c.load(configFlags{path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := readyToServe(cfg); err != nil {
		t.Fatal(err)
	}
	ac, err := c.appConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), ac)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	registerPerson(t, a)
	if err := a.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	post.mu.Lock()
	if len(post.mails) != 1 || !strings.Contains(post.mails[0], "ana@example.bo") || !strings.Contains(post.mails[0], "suti@gobierno.example") {
		t.Errorf("mails: %q", post.mails)
	}
	for _, line := range post.clear {
		if verb := strings.ToUpper(strings.Fields(line + " -")[0]); verb != "EHLO" && verb != "STARTTLS" {
			t.Errorf("said in clear: %q", line)
		}
	}
	post.mu.Unlock()
	mu.Lock()
	if len(texts) != 1 || texts[0]["to"] != "+59171234567" {
		t.Errorf("SMS: %v", texts)
	}
	mu.Unlock()
	doctorOnSenders(t, path, post)
}

func registerPerson(t *testing.T, a *app.App) {
	t.Helper()
	ctx, browser := t.Context(), []byte("a browser")
	doc, err := account.ParseDocument(identity.DocumentCI, "9900099", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Enrolment.Register(ctx, account.Registration{
		Name: identity.Name{Given: "Ana", FirstSurname: "Mamani"}, Document: doc, BirthDate: identity.Date{Year: 1990, Month: time.May, Day: 2}, Email: "ana@example.bo", Phone: "+59171234567",
	}, browser)
	if err != nil {
		t.Fatal(err)
	}
	ceremony, err := a.Enrolment.BeginKey(ctx, browser)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := softauthn.New(softauthn.Config{}).Create(a.Config.PublicURL, ceremony.Options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Enrolment.FinishKey(ctx, browser, ceremony.ID, answer, "Llave"); err != nil {
		t.Fatal(err)
	}
}

// doctorOnSenders changes one thing at a time and reads what doctor says.
func doctorOnSenders(t *testing.T, path string, post *postOffice) {
	t.Helper()
	dir := filepath.Dir(path)
	sent := len(post.mails)
	for _, tt := range []struct {
		name, file, content string
		set                 []string
		check, status, says string
	}{
		{"as it is", "", "", nil, "mail", statusOK, "answers"},
		{"as it is", "", "", nil, "sms", statusOK, "answers"},
		{"wrong password", "mail-password", "wrong\n", nil, "mail", statusFault, ""},
		{"wrong token", "sms-token", "wrong\n", nil, "sms", statusFault, "refused"},
		{"no password", "mail-password", "", nil, "mail", statusFault, "mail.password_file"},
		{"unknown root", "", "", []string{"mail.ca_file="}, "mail", statusFault, "certificate"},
		{"nobody there", "", "", []string{"mail.port=1"}, "mail", statusFault, "connect"},
		{"none", "", "", []string{"mail.host=", "mail.from=", "mail.user=", "mail.password_file=", "mail.ca_file="}, "mail", statusWarning, "not configured"},
	} {
		t.Run(tt.name+" "+tt.check, func(t *testing.T) {
			if tt.file != "" {
				file := filepath.Join(dir, tt.file)
				before := readText(t, file)
				defer func() { _ = os.WriteFile(file, []byte(before), 0o600) }()
				if err := os.WriteFile(file, []byte(tt.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c := &cli{stdout: io.Discard, stderr: io.Discard, getenv: func(string) string { return "" }, now: time.Now}
			cfg, err := c.load(configFlags{path: path, set: tt.set})
			if err != nil {
				t.Fatal(err)
			}
			d := &doctor{c: c, cfg: cfg}
			d.senders(t.Context())
			for _, f := range d.findings {
				if f.Check != tt.check {
					continue
				}
				if f.Status != tt.status || !strings.Contains(f.Detail, tt.says) || strings.Contains(f.Detail+f.Next, "canary") {
					t.Errorf("got %+v, want %s, %q", f, tt.status, tt.says)
				}
				return
			}
			t.Errorf("nothing about %s in %+v", tt.check, d.findings)
		})
	}
	if len(post.mails) != sent {
		t.Error("doctor sent something")
	}
}
