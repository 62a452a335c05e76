package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"
)

// maxStack bounds the stack of a panic in the log, in bytes.
const maxStack = 8 << 10

// root is the joined muxes.
type root struct {
	site *Site
	mux  *http.ServeMux
	// byPath says which mux has a path, byFirst which one answers for paths
	// under a first segment.
	byPath, byFirst map[string]*mux
	fallback        *mux
}

// Handler joins muxes into the handler of a server. Which one answers is decided
// by the patterns of net/http, the more specific first; two that conflict panic.
// Where nothing matches, the path decides whose face the refusal has, else its
// first segment, else the first mux given. Register all routes before.
func (s *Site) Handler(muxes ...Mux) http.Handler {
	h := &root{site: s, mux: http.NewServeMux(), byFirst: map[string]*mux{}, byPath: map[string]*mux{}}
	for _, k := range muxes {
		m := k.base()
		if h.fallback == nil {
			h.fallback = m
		}
		for _, rt := range m.routes {
			h.mux.Handle(rt.pattern, m.serve(rt))
			_, p, _ := strings.Cut(rt.pattern, " ")
			h.byPath[p] = m
			if first := firstSegment(p); first != "" {
				if other := h.byFirst[first]; other == nil {
					h.byFirst[first] = m
				}
			}
		}
	}
	if h.fallback == nil {
		panic("web: no mux to join")
	}
	return h
}

func firstSegment(p string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
	return first
}

// ServeHTTP implements http.Handler.
func (h *root) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := h.site
	start := s.c.Now()
	ex := &exchange{site: s, id: newRequestID(), client: clientAddr(r, s.c.TrustedProxies)}
	rec := &recorder{ResponseWriter: w}
	rec.Header().Set("X-Request-Id", ex.id)
	s.baseHeaders(rec.Header())
	s.metrics.inFlight.Inc()
	broken := true
	defer func() {
		v := recover()
		s.metrics.inFlight.Dec()
		if v != nil && v != http.ErrAbortHandler {
			ex.fail(fmt.Errorf("panic: %v", v))
			ex.stack = string(debug.Stack())
			s.metrics.panics.Inc()
			if rec.status == 0 {
				rec.WriteHeader(http.StatusInternalServerError)
				v = nil
			}
		}
		if rec.status == 0 && !broken {
			rec.status = http.StatusOK // nothing was written: net/http answers 200
		}
		s.finish(ex, rec, r, start, v != nil)
		if v != nil {
			panic(http.ErrAbortHandler)
		}
	}()
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, ex))
	h.dispatch(rec, r)
	broken = false
}

// dispatch finds the route, or refuses with the face of the mux concerned.
func (h *root) dispatch(w *recorder, r *http.Request) {
	if !cleanPath(r.URL.Path) {
		h.refuse(w, r, NotFound(errors.New("path is not clean")))
		return
	}
	found, pattern := h.mux.Handler(r)
	if pattern != "" {
		h.mux.ServeHTTP(w, r)
		return
	}
	// The library knows whether another method would match; ask it on the side.
	probe := &probe{header: http.Header{}}
	found.ServeHTTP(probe, r)
	if allow := probe.header.Get("Allow"); allow != "" {
		h.refuse(w, r, &Error{Status: http.StatusMethodNotAllowed, Code: "method_not_allowed",
			Detail: "web.error.method", Header: http.Header{"Allow": {allow}}})
		return
	}
	h.refuse(w, r, NotFound(nil))
}

// refuse answers for a request that no route took.
func (h *root) refuse(w *recorder, r *http.Request, e *Error) {
	m := h.byPath[r.URL.Path] // another method of a path is refused in the path's own manner
	if m == nil {
		m = h.byFirst[firstSegment(r.URL.Path)]
	}
	if m == nil {
		m = h.fallback
	}
	rt := &route{pattern: "unmatched", timeout: h.site.c.Limits.Handler}
	rt.handler = func(http.ResponseWriter, *http.Request) error { return e }
	rt.maxBody, rt.accepts = m.maxBody, m.accepts
	if r.Body != nil {
		_ = r.Body.Close()
		r.Body = http.NoBody
	}
	m.serve(rt).ServeHTTP(w, r)
}

// cleanPath reports whether p is what path.Clean would give, with an optional
// slash at its end. Others are not redirected but not found.
func cleanPath(p string) bool {
	if p == "" || p[0] != '/' {
		return false
	}
	clean := path.Clean(p)
	return p == clean || p == clean+"/" && clean != "/"
}

// probe is a ResponseWriter that keeps only headers.
type probe struct{ header http.Header }

func (p *probe) Header() http.Header         { return p.header }
func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(int)             {}

// finish counts and logs one request.
func (s *Site) finish(ex *exchange, rec *recorder, r *http.Request, start time.Time, aborted bool) {
	took := s.c.Now().Sub(start)
	method := boundedMethod(r.Method)
	s.metrics.count(ex, method, rec.status, took)
	ex.mu.Lock()
	defer ex.mu.Unlock()
	attrs := []slog.Attr{
		slog.String("request_id", ex.id),
		slog.String("mux", ex.mux),
		slog.String("method", method),
		slog.String("route", ex.route),
		slog.Int("status", rec.status),
		slog.Int64("bytes", rec.bytes),
		slog.Float64("duration_ms", float64(took.Microseconds())/1000),
		slog.String("client", addrKey(ex.client)),
	}
	if aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	if ex.err != nil {
		attrs = append(attrs, slog.String("error", ex.err.Error()))
	}
	if ex.stack != "" {
		attrs = append(attrs, slog.String("stack", ex.stack[:min(len(ex.stack), maxStack)]))
	}
	lvl := level(rec.status)
	if ex.stack != "" || aborted && rec.status != statusClosed {
		lvl = slog.LevelError
	}
	s.log.LogAttrs(context.WithoutCancel(r.Context()), lvl, "request", append(attrs, ex.attrs...)...)
}

func boundedMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "OTHER"
}
