package web

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"

	"oruro.gob.bo/suti/internal/i18n"
)

// exchange is what a Site knows of one request while it is being answered.
type exchange struct {
	site   *Site
	id     string
	client netip.Addr

	mux   string // set once by the mux that took the request
	route string
	lang  i18n.Lang // set by SetLang; empty before

	mu    sync.Mutex // guards attrs and err
	attrs []slog.Attr
	err   error // the fault that led to the answer
	stack string
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	ex, _ := ctx.Value(exchangeKey{}).(*exchange)
	return ex
}

// newRequestID returns 80 random bits in lower-case base32, sixteen letters and
// digits that a person can read out over the telephone.
func newRequestID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// RequestID returns the id of the request, as in its X-Request-Id header and its
// log line; empty outside a Site.
func RequestID(ctx context.Context) string {
	if ex := exchangeOf(ctx); ex != nil {
		return ex.id
	}
	return ""
}

// LogAttrs adds attributes to the request's log line. Names are snake_case, values
// must be neither secret nor personal: a client id is well, a name is not.
func LogAttrs(ctx context.Context, attrs ...slog.Attr) {
	if ex := exchangeOf(ctx); ex != nil {
		ex.mu.Lock()
		defer ex.mu.Unlock()
		ex.attrs = append(ex.attrs, attrs...)
	}
}

func (ex *exchange) fail(err error) {
	ex.mu.Lock()
	defer ex.mu.Unlock()
	ex.err = err
}

// recorder notes what was answered and takes cookies away where none may be set.
type recorder struct {
	http.ResponseWriter
	status    int
	bytes     int64
	noCookies bool
}

// Unwrap is for http.ResponseController.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter. A second final status is dropped.
func (w *recorder) WriteHeader(status int) {
	if status >= 200 {
		if w.status != 0 {
			return
		}
		w.status = status
		if w.noCookies {
			w.Header().Del("Set-Cookie")
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// FlushError is for http.ResponseController.
func (w *recorder) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}
