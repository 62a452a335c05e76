package tsa

import (
	"io"
	"mime"
	"net/http"
	"strconv"

	"oruro.gob.bo/suti/internal/tsp"
)

// ServeHTTP is the HTTP transport of RFC 3161 §3.4: POST of a TimeStampReq. A
// rejection is a reply like any other, with status 200.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST an application/timestamp-query", http.StatusMethodNotAllowed)
		return
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != tsp.RequestType {
		http.Error(w, "Content-Type must be "+tsp.RequestType, http.StatusUnsupportedMediaType)
		return
	}
	var out []byte
	// One octet more than allowed tells a request that is too long.
	body, err := io.ReadAll(io.LimitReader(r.Body, tsp.MaxRequest+1))
	if err != nil {
		out = tsp.Reject(tsp.BadDataFormat, "")
	} else {
		out = s.Reply(r.Context(), body)
	}
	h := w.Header()
	h.Set("Content-Type", tsp.ResponseType)
	h.Set("Content-Length", strconv.Itoa(len(out)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(out)
}
