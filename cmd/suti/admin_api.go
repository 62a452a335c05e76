package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
)

// maxAdminBody bounds what a command and the server send each other.
const maxAdminBody = 8 << 20

// operatorKey is the context key of who is at the other end of the socket.
type operatorKey struct{}

// withOperator notes which user of this machine connected, as the kernel says.
func withOperator(ctx context.Context, conn net.Conn) context.Context {
	uid, err := peerUser(conn)
	if err != nil && runtime.GOOS != "linux" { // elsewhere the socket's mode alone decides
		return context.WithValue(ctx, operatorKey{}, "operator:unknown")
	}
	if err != nil || !mayOperate(uid, os.Getuid()) {
		return ctx
	}
	return context.WithValue(ctx, operatorKey{}, "operator:"+strconv.FormatUint(uint64(uid), 10))
}

// mayOperate reports whether a user may command a server that runs as another.
// The socket's mode says the same, but not between its making and the change of
// its mode, and not to who connected then.
func mayOperate(uid uint32, server int) bool { return uid == 0 || int64(uid) == int64(server) }

// onlyOperators refuses whoever withOperator did not name.
func onlyOperators(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if operator(r.Context()) == "" {
			writeJSON(w, http.StatusForbidden, adminFault{Error: "only the server's own user and root may use its admin socket", Code: exitRefused})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// operator returns how audit entries name who sent a request.
func operator(ctx context.Context) string {
	who, _ := ctx.Value(operatorKey{}).(string)
	return who
}

// handleAdmin serves one operation: a POST of one JSON value that is answered
// with another, or with a refusal.
func handleAdmin[In, Out any](mux *http.ServeMux, path string, do func(context.Context, In) (Out, error)) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		var in In
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAdminBody))
		d.DisallowUnknownFields()
		if err := d.Decode(&in); err != nil {
			writeJSON(w, http.StatusBadRequest, adminFault{Error: "malformed request: " + err.Error(), Code: exitUsage})
			return
		}
		out, err := do(r.Context(), in)
		if err != nil {
			f := refusalOf(err)
			writeJSON(w, f.status(), f)
			return
		}
		writeJSON(w, http.StatusOK, out)
	})
}

// adminFault is why an operation was not done, and what to do now.
type adminFault struct {
	Error string `json:"error"`
	Next  string `json:"next,omitempty"`
	Code  int    `json:"exit_code"`
}

func (f adminFault) status() int {
	switch f.Code {
	case exitUsage:
		return http.StatusUnprocessableEntity
	case exitRefused:
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

// refusals says what to do about the reasons that operators meet.
var refusals = []struct {
	err  error
	code int
	next string
}{
	{enrolment.ErrGenesisDone, exitRefused, "it can never be founded again; staff is appointed by staff, at /ventanilla"},
	{enrolment.ErrFounding, exitRefused, "see it with: suti person genesis status; take it back with: suti person genesis cancel"},
	{enrolment.ErrNoGenesis, exitRefused, "found the deployment first with: suti person genesis"},
	{enrolment.ErrTicketExpired, exitRefused, "the person registers again at /registro"},
	{enrolment.ErrTicketUsed, exitRefused, "the ticket is at a counter or led to an enrolment already"},
	{enrolment.ErrTicket, exitUsage, "it stands on the page where a registration at /registro ends: eight letters and digits"},
	{enrolment.ErrDraft, exitRefused, "nothing waits for signatures"},
	{enrolment.ErrDone, exitRefused, "the last signature came first"},
	{enrolment.ErrKey, exitRefused, "every founder makes a passkey at the end of the registration"},
	{enrolment.ErrExists, exitRefused, "see what there is with: suti institution list"},
	{enrolment.ErrUnknown, exitUsage, "see what there is with: suti institution list"},
	{enrolment.ErrInput, exitUsage, "--help tells what each may be"},
	{account.ErrUnknown, exitUsage, "see who there is with: suti person list"},
	{account.ErrState, exitRefused, "the person is suspended or closed already: suti person show"},
	{act.ErrLastHolder, exitRefused, "let staff give the role to somebody else first"},
	{idp.ErrUnknownClient, exitUsage, "see which there are with: suti client list"},
	{idp.ErrClientState, exitRefused, "see it with: suti client show"},
	{idp.ErrClient, exitUsage, "see: suti client add --help"},
	{ca.ErrNotFound, exitUsage, "a serial is the hexadecimal number that a certificate and its entry in the record show"},
	{ca.ErrNotIssued, exitRefused, "there is no certificate to revoke"},
	{ca.ErrRevoked, exitRefused, "the first revocation stands"},
	{ca.ErrReason, exitUsage, "see: suti ca revoke --help"},
	{ca.ErrRequest, exitRefused, ""},
	{ca.ErrBusy, exitRefused, "another node is at it; ask again in a few seconds"},
	{audit.ErrNotLeader, exitRefused, "ask the node that leads the log"},
}

func refusalOf(err error) adminFault {
	var e *exitError
	if errors.As(err, &e) {
		return adminFault{Error: e.err.Error(), Next: e.next, Code: e.code}
	}
	for _, r := range refusals {
		if errors.Is(err, r.err) {
			return adminFault{Error: err.Error(), Next: r.next, Code: r.code}
		}
	}
	var a *act.Refusal
	if errors.As(err, &a) {
		return adminFault{Error: err.Error(), Code: exitRefused}
	}
	return adminFault{Error: err.Error(), Next: "the server's log may say more", Code: exitFailed}
}

// socketOf returns the socket that a command is to use.
func (c *cli) socketOf(f adminFlags) (string, error) {
	if f.socket != "" {
		return f.socket, nil
	}
	cfg, err := c.load(f.config)
	if err != nil {
		return "", err
	}
	return cfg.Listen.AdminSocket, nil
}

// ask has the running server do one operation. out may be nil.
func (c *cli) ask(ctx context.Context, f adminFlags, path string, in, out any) error {
	socket, err := c.socketOf(f)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(in)
	if err != nil {
		return err
	}
	body, err := sendAdmin(ctx, socket, http.MethodPost, path, raw)
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return failedf("do the command and the server have the same version?", "the answer is not a server's: %w", err)
	}
	return nil
}

// callAdmin makes one request without a body over the socket and returns the
// body of its answer.
func callAdmin(ctx context.Context, socket, method, path string) ([]byte, error) {
	return sendAdmin(ctx, socket, method, path, nil)
}

// sendAdmin is callAdmin with a body.
func sendAdmin(ctx context.Context, socket, method, path string, in []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socket)
	}}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, method, "http://suti"+path, bytes.NewReader(in))
	if err != nil {
		return nil, err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, failedf("is the server running, and are you the user that runs it?", "no answer on %s: %w", socket, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAdminBody))
	if err != nil {
		return nil, failedf("", "read the answer: %w", err)
	}
	if res.StatusCode == http.StatusOK {
		return body, nil
	}
	var f adminFault
	_ = json.Unmarshal(body, &f) // the status is told in any case
	f.Error = strings.ReplaceAll(f.Error, "\n", "; ")
	if f.Code == exitUsage || f.Code == exitRefused {
		return nil, &exitError{code: f.Code, err: errors.New(printable(f.Error)), next: printable(f.Next)}
	}
	return nil, failedf(f.Next, "the server answered %d: %s", res.StatusCode, printable(f.Error))
}

// table writes rows of cells, aligned.
func (c *cli) table(rows [][]string) error {
	w := tabwriter.NewWriter(c.stdout, 0, 4, 2, ' ', 0)
	p := &printer{w: w}
	for _, r := range rows {
		p.cells(r...)
	}
	return errors.Join(p.err, w.Flush())
}

// dateTime is how listings tell a time; a zero one is empty.
func dateTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// confirm asks on stderr and reads a line; only "yes" is yes.
func (c *cli) confirm(question string) error {
	fmt.Fprintf(c.stderr, "%s Type yes to go on: ", question)
	var line [64]byte
	n := 0
	for n < len(line) {
		m, err := c.stdin.Read(line[n : n+1])
		n += m
		if err != nil || n > 0 && line[n-1] == '\n' {
			break
		}
	}
	if string(bytes.TrimSpace(line[:n])) != "yes" {
		return refusedf("", "not confirmed; nothing was done")
	}
	return nil
}
