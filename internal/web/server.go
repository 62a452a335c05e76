package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
)

// ServerConfig configures a [Server].
type ServerConfig struct {
	// Handler answers; normally the one of [Site.Handler]. Required.
	Handler http.Handler
	// TLS holds certificates; nil serves plain HTTP, behind a proxy or on loopback.
	// TLS 1.2 is the least in any case.
	TLS *tls.Config
	// Limits bounds connections; see its fields for the defaults.
	Limits Limits
	// Logger gets the library's remarks on broken connections, at level Debug.
	Logger *slog.Logger
}

// Server is an HTTP server with bounds that ends in an orderly way.
type Server struct {
	http     *http.Server
	limits   Limits
	tls      bool
	draining atomic.Bool
}

// NewServer checks c and returns a server that is not yet listening.
func NewServer(c ServerConfig) (*Server, error) {
	if c.Handler == nil {
		return nil, errors.New("web: server needs a handler")
	}
	if err := c.Limits.setDefaults(); err != nil {
		return nil, err
	}
	l := c.Limits
	s := &Server{limits: l, tls: c.TLS != nil, http: &http.Server{
		Handler:           c.Handler,
		ReadHeaderTimeout: l.ReadHeader,
		ReadTimeout:       l.Read,
		WriteTimeout:      l.Write,
		IdleTimeout:       l.Idle,
		MaxHeaderBytes:    l.Header,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: 100, MaxReadFrameSize: 16 << 10},
		ErrorLog:          log.New(remarks{c.Logger}, "", 0),
		// "OPTIONS *" gets no answer of its own that no test has seen.
		DisableGeneralOptionsHandler: true,
	}}
	if c.TLS != nil {
		s.http.TLSConfig = c.TLS.Clone()
		s.http.TLSConfig.MinVersion = max(s.http.TLSConfig.MinVersion, tls.VersionTLS12)
	}
	return s, nil
}

// remarks turns the library's lines into log attributes.
type remarks struct{ to *slog.Logger }

func (r remarks) Write(p []byte) (int, error) {
	if r.to != nil {
		r.to.LogAttrs(context.Background(), slog.LevelDebug, "http server", slog.String("remark", strings.TrimSpace(string(p))))
	}
	return len(p), nil
}

// Serve answers on ln until Shutdown; it then returns nil.
func (s *Server) Serve(ln net.Listener) error {
	ln = netutil.LimitListener(ln, s.limits.MaxConns)
	var err error
	if s.tls {
		err = s.http.ServeTLS(ln, "", "")
	} else {
		err = s.http.Serve(ln)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Ready reports whether the server wants new requests, for a readiness probe.
func (s *Server) Ready() bool { return !s.draining.Load() }

// Shutdown ends the server: Ready turns false; for notice, so that a balancer can
// see it, requests are still answered; then nothing new is accepted and those in
// flight are finished. When ctx ends first, connections are cut and its error is
// returned.
func (s *Server) Shutdown(ctx context.Context, notice time.Duration) error {
	s.draining.Store(true)
	timer := time.NewTimer(notice)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(fmt.Errorf("drain: %w", err), s.http.Close())
	}
	return nil
}
