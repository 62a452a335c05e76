package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// FaultWriter writes the answer for an error of a protocol route.
type FaultWriter func(w http.ResponseWriter, r *http.Request, e *Error)

// RouteOption changes one route.
type RouteOption func(*route)

type route struct {
	pattern  string
	handler  HandlerFunc
	maxBody  int64
	accepts  []string
	timeout  time.Duration
	upload   bool
	download bool
	cors     bool
	fault    FaultWriter
}

// MaxBody bounds the body of the request, in bytes.
func MaxBody(n int64) RouteOption { return func(rt *route) { rt.maxBody = n } }

// Accepts lists the media types that the body may have, instead of the one type
// of the mux. An API route never accepts those of forms.
func Accepts(types ...string) RouteOption {
	return func(rt *route) { rt.accepts = slices.Clone(types) }
}

// Timeout bounds the work on the request, instead of [Limits].Handler.
func Timeout(d time.Duration) RouteOption { return func(rt *route) { rt.timeout = d } }

// Upload allows a body of up to max bytes on a slow line: the connection's time-out
// begins anew with each piece that arrives, up to half an hour in all. On a
// [BrowserMux] the form may be multipart; read it with [Multipart].
func Upload(max int64) RouteOption {
	return func(rt *route) {
		rt.maxBody, rt.upload, rt.timeout = max, true, slowTotal
	}
}

// Download allows an answer that takes long on a slow line, in the same way.
func Download() RouteOption {
	return func(rt *route) { rt.download, rt.timeout = true, slowTotal }
}

// mux is what the three kinds have in common.
type mux struct {
	site   *Site
	name   string // for log and metrics
	routes []*route

	maxBody   int64
	accepts   []string
	noCookies bool
	headers   func(http.Header, *route)
	check     func(*http.Request) error
	// fault and stepUp write the answer to an error.
	fault  func(http.ResponseWriter, *http.Request, *route, *Error)
	stepUp func(http.ResponseWriter, *http.Request, *route, *StepUp)
}

// Mux is one of the three kinds.
type Mux interface{ base() *mux }

func (m *mux) base() *mux { return m }

// handle registers a route. It panics on a pattern without method or with a
// host: those are mistakes of the program, found at its start.
func (m *mux) handle(pattern string, h HandlerFunc, opts []RouteOption) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok || method == "" || !strings.HasPrefix(path, "/") || h == nil {
		panic(fmt.Sprintf("web: route %q: want \"METHOD /path\" and a handler", pattern))
	}
	rt := &route{pattern: pattern, handler: h, maxBody: m.maxBody, accepts: m.accepts, timeout: m.site.c.Limits.Handler}
	for _, o := range opts {
		o(rt)
	}
	m.routes = append(m.routes, rt)
}

// panicError is a recovered panic.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// serve returns the handler of a route for the joined mux. The request has
// an exchange and w is its recorder.
func (m *mux) serve(rt *route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ex, rec := exchangeOf(r.Context()), w.(*recorder)
		ex.mux, ex.route = m.name, rt.pattern
		m.prepare(rec, r, rt)
		if err := m.run(rec, r, rt); err != nil {
			m.answer(rec, r, rt, err)
		}
	})
}

// prepare sets headers and takes away what this mux does not know.
func (m *mux) prepare(w *recorder, r *http.Request, rt *route) {
	m.headers(w.Header(), rt)
	if m.noCookies {
		w.noCookies = true
		r.Header.Del("Cookie")
	}
}

func (m *mux) run(w *recorder, r *http.Request, rt *route) (err error) {
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	select {
	case m.site.slots <- struct{}{}:
		defer func() { <-m.site.slots }()
	default:
		return Unavailable(errors.New("too many requests in flight"))
	}
	if err := m.check(r); err != nil {
		return err
	}
	if err := checkBody(r, rt); err != nil {
		return err
	}
	var rw http.ResponseWriter = w
	r.Body = http.MaxBytesReader(w, r.Body, rt.maxBody)
	if rt.upload {
		r.Body = newSlowBody(w, r.Body)
	}
	if rt.download {
		rw = newSlowWriter(w)
	}
	ctx, cancel := context.WithTimeout(r.Context(), rt.timeout)
	defer cancel()
	return rt.handler(rw, r.WithContext(ctx))
}

// checkBody refuses a body of a type the route does not accept, and any body
// that is compressed.
func checkBody(r *http.Request, rt *route) error {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil
	}
	unsupported := func(cause string) error {
		return &Error{Status: http.StatusUnsupportedMediaType, Code: "unsupported_media_type",
			Detail: "web.error.media_type", Err: errors.New(cause)}
	}
	if r.ContentLength > rt.maxBody {
		return &Error{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: "web.error.too_large"}
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return unsupported("compressed body")
	}
	types := r.Header.Values("Content-Type")
	if len(types) != 1 {
		return unsupported("want one content type")
	}
	mt, params, err := mime.ParseMediaType(types[0])
	if err != nil || !slices.Contains(rt.accepts, mt) {
		return unsupported("content type of the body")
	}
	if c, ok := params["charset"]; ok && !strings.EqualFold(c, "utf-8") {
		return unsupported("charset of the body")
	}
	return nil
}

// answer writes what the client is told of err, or marks the exchange as broken
// if part of an answer has gone out already.
func (m *mux) answer(w *recorder, r *http.Request, rt *route, err error) {
	ex := exchangeOf(r.Context())
	ex.fail(err)
	if p := (*panicError)(nil); errors.As(err, &p) {
		ex.stack = string(p.stack)
		m.site.metrics.panics.Inc()
	}
	if w.status != 0 {
		panic(http.ErrAbortHandler) // the client must not take it for complete
	}
	if su := (*StepUp)(nil); errors.As(err, &su) {
		m.stepUp(w, r, rt, su)
		return
	}
	e := asError(r.Context(), err)
	if e.Status == statusClosed {
		w.status = statusClosed // for the log; there is nobody to answer
		panic(http.ErrAbortHandler)
	}
	for k, vs := range e.Header {
		if httpguts.ValidHeaderFieldName(k) {
			w.Header()[http.CanonicalHeaderKey(k)] = vs
		}
	}
	m.fault(w, r, rt, e)
}

// level is the level of a log line by the status of the answer.
func level(status int) slog.Level {
	if status >= 500 {
		return slog.LevelError
	}
	return slog.LevelInfo
}
