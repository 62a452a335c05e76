package web

import (
	"net/http"
	"strings"
)

// PlainCookies lets h be used over plain http on this machine by any program:
// many HTTP clients, and some browsers, neither keep nor send a Secure cookie
// for http://localhost. Towards the client it takes the prefix __Host- from the
// names and the attribute Secure from the cookies; towards h it puts the prefix
// back. It is for demonstrations on loopback alone: without the prefix another
// program on this machine can plant a cookie. A cookie that arrives with the
// prefix is dropped, so that none has two forms.
func PlainCookies(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sent := r.Header["Cookie"]; len(sent) > 0 {
			r = r.Clone(r.Context())
			r.Header["Cookie"] = []string{prefixed(sent)}
		}
		pw := &plainWriter{w}
		h.ServeHTTP(pw, r)
		pw.change() // for a handler that wrote nothing
	})
}

// prefixed returns one Cookie header with the prefix on every name.
func prefixed(sent []string) string {
	var out []string
	for _, line := range sent {
		for pair := range strings.SplitSeq(line, ";") {
			if pair = strings.TrimSpace(pair); pair != "" && !strings.HasPrefix(pair, hostPrefix) {
				out = append(out, hostPrefix+pair)
			}
		}
	}
	return strings.Join(out, "; ")
}

// plainWriter changes Set-Cookie before the header goes out.
type plainWriter struct{ http.ResponseWriter }

func (w *plainWriter) change() {
	set := w.Header()["Set-Cookie"]
	for i, c := range set {
		parts := strings.Split(strings.TrimPrefix(c, hostPrefix), "; ")
		kept := parts[:1]
		for _, p := range parts[1:] {
			if p != "Secure" {
				kept = append(kept, p)
			}
		}
		set[i] = strings.Join(kept, "; ")
	}
}

// WriteHeader implements http.ResponseWriter.
func (w *plainWriter) WriteHeader(status int) {
	w.change()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *plainWriter) Write(b []byte) (int, error) {
	w.change()
	return w.ResponseWriter.Write(b)
}

// FlushError sends what there is, for http.ResponseController.
func (w *plainWriter) FlushError() error {
	w.change()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets http.ResponseController reach the connection.
func (w *plainWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
