package web

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// Bounds of exchanges over slow lines.
const (
	// slowIdle is how long nothing may arrive, or be taken, before the connection ends.
	slowIdle = 30 * time.Second
	// slowTotal is how long the whole may last: 10 MB at 50 kbit/s take 27 minutes.
	slowTotal = 30 * time.Minute
)

var errSlow = errors.New("web: transfer took too long")

// slowBody begins the time-out of the connection anew with each read.
type slowBody struct {
	io.ReadCloser
	rc  *http.ResponseController
	end time.Time
}

func newSlowBody(w http.ResponseWriter, body io.ReadCloser) *slowBody {
	return &slowBody{ReadCloser: body, rc: http.NewResponseController(w), end: time.Now().Add(slowTotal)}
}

// Read implements io.Reader.
func (b *slowBody) Read(p []byte) (int, error) {
	now := time.Now()
	if now.After(b.end) {
		return 0, errSlow
	}
	// A writer that knows no deadlines belongs to a test.
	_ = b.rc.SetReadDeadline(now.Add(slowIdle))
	_ = b.rc.SetWriteDeadline(now.Add(slowIdle + time.Minute)) // the answer comes after the body
	return b.ReadCloser.Read(p)
}

// slowWriter begins the time-out of the connection anew with each write.
type slowWriter struct {
	http.ResponseWriter
	rc  *http.ResponseController
	end time.Time
}

func newSlowWriter(w http.ResponseWriter) *slowWriter {
	return &slowWriter{ResponseWriter: w, rc: http.NewResponseController(w), end: time.Now().Add(slowTotal)}
}

// Unwrap is for http.ResponseController.
func (w *slowWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Write implements http.ResponseWriter. Long data go out in pieces, each with
// its own time-out.
func (w *slowWriter) Write(p []byte) (n int, err error) {
	const piece = 16 << 10
	for first := true; first || len(p) > 0; first = false {
		now := time.Now()
		if now.After(w.end) {
			return n, errSlow
		}
		_ = w.rc.SetWriteDeadline(now.Add(slowIdle))
		m, err := w.ResponseWriter.Write(p[:min(len(p), piece)])
		n += m
		if err != nil {
			return n, err
		}
		p = p[m:]
	}
	return n, nil
}
