package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/internal/audit"
)

// The admin socket speaks HTTP with JSON over a Unix socket that only the
// server's own user can reach: who can connect may do all of it.
const (
	adminStatus = "/v1/status"
	adminCRL    = "/v1/publish-crl"
	adminLog    = "/v1/publish-log"
	adminSeal   = "/v1/seal-backup"
)

// listenAdmin takes the socket. One that a dead process left is removed; one
// that answers is not.
func listenAdmin(ctx context.Context, path string) (net.Listener, error) {
	st, err := os.Lstat(path)
	if err == nil {
		if st.Mode()&fs.ModeSocket == 0 {
			return nil, fmt.Errorf("%s exists and is no socket", path)
		}
		var d net.Dialer
		if conn, err := d.DialContext(ctx, "unix", path); err == nil {
			_ = conn.Close()
			return nil, fmt.Errorf("another server answers on %s", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// serverStatus is what the admin socket tells of a server.
type serverStatus struct {
	Build       build             `json:"build"`
	Started     time.Time         `json:"started"`
	Node        string            `json:"node"`
	PublicURL   string            `json:"public_url"`
	Database    string            `json:"database"` // engine
	Readiness   readiness         `json:"readiness"`
	Genesis     string            `json:"genesis,omitempty"`
	Log         logStatus         `json:"log"`
	Authorities []authorityStatus `json:"authorities"`
	Writes      writeCounts       `json:"writes"` // since the start
}

// writeCounts are db.Stats in the form of the socket.
type writeCounts struct {
	Commits   int64 `json:"commits"`
	Writes    int64 `json:"writes"`
	Refused   int64 `json:"refused"`
	Retries   int64 `json:"retries"`
	Ambiguous int64 `json:"ambiguous"`
	Deadlocks int64 `json:"deadlocks"`
	MaxBatch  int64 `json:"max_batch"`

	Statements int64 `json:"statements"`
}

type logStatus struct {
	Origin string `json:"origin,omitempty"`
	Size   int64  `json:"size"`
	Key    string `json:"vkey"`
}

type authorityStatus struct {
	Name        string    `json:"name"`
	Kind        string    `json:"kind"`
	NotAfter    time.Time `json:"not_after"`
	IssuesUntil time.Time `json:"issues_until"`
}

func (s *server) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+adminStatus, func(w http.ResponseWriter, r *http.Request) {
		out, err := s.status(r.Context())
		answer(w, out, err)
	})
	mux.HandleFunc("POST "+adminCRL, func(w http.ResponseWriter, r *http.Request) {
		n, err := s.app.CA.PublishCRL(r.Context())
		answer(w, map[string]int{"published": n}, err)
	})
	mux.HandleFunc("POST "+adminLog, func(w http.ResponseWriter, r *http.Request) {
		n, err := s.app.Seq.Step(r.Context())
		answer(w, map[string]int{"placed": n}, err)
	})
	mux.HandleFunc("POST "+adminSeal, func(w http.ResponseWriter, r *http.Request) {
		sum, err := hex.DecodeString(r.FormValue("sha256"))
		if err != nil || len(sum) != sha256.Size {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": "sha256 is malformed"})
			return
		}
		writeJSON(w, http.StatusOK, map[string]string{"seal": sealOf(s.app.Node.KEK(), sum)})
	})
	s.adminPeople(mux)
	s.adminClients(mux)
	s.adminCA(mux)
	return onlyOperators(mux)
}

// answer writes the outcome of an admin request.
func answer(w http.ResponseWriter, v any, err error) {
	switch {
	case err == nil:
		writeJSON(w, http.StatusOK, v)
	case errors.Is(err, ca.ErrBusy), errors.Is(err, audit.ErrNotLeader):
		writeJSON(w, http.StatusConflict, map[string]string{"error": err.Error()})
	default:
		writeJSON(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
	}
}

func (s *server) status(ctx context.Context) (serverStatus, error) {
	out := serverStatus{
		Build: thisBuild(), Started: s.started, Node: s.cfg.Node, PublicURL: s.cfg.PublicURL, Database: s.app.DB.Engine().String(),
		Readiness: s.readiness(ctx), Authorities: []authorityStatus{}, Writes: writeCounts(s.app.DB.Stats()), Log: logStatus{Key: s.app.Seq.VerifierKey()},
	}
	if hash, err := s.app.Enrolment.Genesis(ctx); err == nil {
		out.Genesis = hex.EncodeToString(hash[:])
	}
	_, cp, err := s.app.Audit.Latest(ctx)
	switch {
	case err == nil:
		out.Log.Origin, out.Log.Size = cp.Origin, cp.Size
	case !errors.Is(err, audit.ErrPending):
		return out, err
	}
	for _, a := range s.app.CA.Authorities() {
		out.Authorities = append(out.Authorities, authorityStatus{Name: a.Slug, Kind: string(a.Kind), NotAfter: a.Certificate.NotAfter, IssuesUntil: a.IssuesUntil})
	}
	return out, nil
}

// adminFlags say which server a command talks to.
type adminFlags struct {
	config configFlags
	socket string
	json   bool
}

func (f *adminFlags) add(cmd *cobra.Command) {
	f.config.add(cmd)
	cmd.Flags().StringVar(&f.socket, "socket", "", "admin socket; default listen.admin_socket of the configuration")
	cmd.Flags().BoolVar(&f.json, "json", false, "write JSON")
}

func (c *cli) newAdminCommand() *cobra.Command {
	cmd := group("admin", "Talk to the running server on this machine", "Talk to the running server over its Unix socket, as the user that runs it.",
		"  suti admin status --config suti.toml\n  suti admin publish-crl --config suti.toml")
	for _, one := range []struct{ use, short, method, path string }{
		{"status", "Tell how the server is", http.MethodGet, adminStatus},
		{"publish-crl", "Publish the revocation lists that are due now", http.MethodPost, adminCRL},
		{"publish-log", "Place waiting entries in the log and sign a checkpoint now", http.MethodPost, adminLog},
	} {
		var f adminFlags
		sub := &cobra.Command{
			Use: one.use, Short: one.short, Args: operands(0, 0, ""),
			Example: "  suti admin " + one.use + " --config suti.toml\n  suti admin " + one.use + " --socket /run/suti/admin.sock --json",
			RunE:    func(cmd *cobra.Command, _ []string) error { return c.askAdmin(cmd.Context(), f, one.method, one.path) },
		}
		f.add(sub)
		cmd.AddCommand(sub)
	}
	return cmd
}

func (c *cli) askAdmin(ctx context.Context, f adminFlags, method, path string) error {
	socket, err := c.socketOf(f)
	if err != nil {
		return err
	}
	body, err := callAdmin(ctx, socket, method, path)
	if err != nil {
		return err
	}
	if f.json {
		_, err := c.stdout.Write(body)
		return err
	}
	if path == adminStatus {
		return c.tellStatus(body)
	}
	var counts map[string]int
	if err := json.Unmarshal(body, &counts); err != nil {
		return failedf("", "the answer is not a server's: %w", err)
	}
	for what, n := range counts {
		c.printf("%s: %d\n", what, n)
	}
	return nil
}

func (c *cli) tellStatus(body []byte) error {
	var s serverStatus
	if err := json.Unmarshal(body, &s); err != nil {
		return failedf("", "the answer is not a server's: %w", err)
	}
	w := tabwriter.NewWriter(c.stdout, 0, 4, 2, ' ', 0)
	p := &printer{w: w}
	p.cells("address", s.PublicURL)
	p.cells("node", s.Node)
	p.cells("running since", s.Started.Format(time.RFC3339))
	p.cells("ready", fmt.Sprint(s.Readiness.Ready))
	p.cells("database", s.Database)
	p.cells("genesis", s.Genesis)
	p.cells("log", fmt.Sprintf("%s, %d entries", s.Log.Origin, s.Log.Size))
	p.cells("log key", s.Log.Key)
	for _, a := range s.Authorities {
		p.cells("authority "+a.Name, "until "+a.NotAfter.Format(time.DateOnly))
	}
	return errors.Join(p.err, w.Flush())
}
