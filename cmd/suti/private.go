package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
)

// sideServer serves operators: health and metrics, or the admin socket.
type sideServer struct{ http *http.Server }

func newSideServer(h http.Handler) *sideServer {
	return &sideServer{&http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: 30 * time.Second, MaxHeaderBytes: 8 << 10}}
}

func (s *sideServer) serve(ln net.Listener) error {
	if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// shutdown ends it; long profiles are cut.
func (s *sideServer) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}

// privateHandler answers on the private listener.
func (s *server) privateHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]bool{"live": true})
	})
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// readiness is what /readyz answers.
type readiness struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"` // "ok", or what is wrong
}

// readyz tells a balancer whether to send requests here.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) {
	out := s.readiness(r.Context())
	status := http.StatusOK
	if !out.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, status, out)
}

func (s *server) readiness(ctx context.Context) readiness {
	out := readiness{Ready: true, Checks: map[string]string{"server": "ok", "database": "ok"}}
	if !s.public.Ready() {
		out.Ready, out.Checks["server"] = false, "stopping"
	}
	if err := s.database(ctx); err != nil {
		out.Ready, out.Checks["database"] = false, "does not answer"
		s.log.WarnContext(ctx, "not ready", "error", err.Error())
	}
	return out
}

func (s *server) database(ctx context.Context) error {
	if err := s.app.DB.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var one int
	return s.app.DB.QueryRow(ctx, "SELECT 1").Scan(&one)
}

// healthy decides whether the watchdog is told that all is well.
func (s *server) healthy(ctx context.Context) bool { return s.database(ctx) == nil }

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the reader has gone
}

func (c *cli) newHealthcheckCommand() *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "healthcheck", Short: "Ask the server on this machine whether it is ready",
		Long: "Ask the private listener of the configured server whether it is ready, for containers and scripts.\n\n" +
			"Exit codes: 0 ready, 1 not ready or not running, 2 configured wrongly.",
		Example: "  suti healthcheck --config suti.toml",
		Args:    operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(f)
			if err != nil {
				return err
			}
			return c.healthcheck(cmd.Context(), cfg.Listen.Private)
		},
	}
	f.add(cmd)
	return cmd
}

func (c *cli) healthcheck(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return usagef("", "listen.private: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return failedf("is the server running? its log says why it stopped", "no answer: %w", err)
	}
	defer res.Body.Close()
	var out readiness
	if err := json.NewDecoder(http.MaxBytesReader(nil, res.Body, 64<<10)).Decode(&out); err != nil {
		return failedf("", "the answer is not a server's: %w", err)
	}
	if !out.Ready {
		return failedf("", "not ready: %v", out.Checks)
	}
	c.printf("ready\n")
	return nil
}
