package ca

import (
	"bytes"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"oruro.gob.bo/suti/ca/internal/der"
	"oruro.gob.bo/suti/ca/internal/store"
	"oruro.gob.bo/suti/ca/profile"
)

// Media types of RFC 2585 §4, RFC 6960 appendix C and RFC 8555 §9.1.
const (
	typeCertificate  = "application/pkix-cert"
	typeChain        = "application/pem-certificate-chain"
	typeCRL          = "application/pkix-crl"
	typeOCSPRequest  = "application/ocsp-request"
	typeOCSPResponse = "application/ocsp-response"
)

// sharedAge is how long caches may keep answers and lists. Revocations are
// effective everywhere within a minute, so it stays well below that.
const sharedAge = 30 * time.Second

// Handler serves /pki/ca/NAME.cer, /pki/crl/NAME.crl, /pki/ocsp (GET and POST)
// and /pki/tsa. Who knows no name finds at /pki/ca all certificates of
// authorities as PEM, the one that issues to people first and roots last, and at
// /pki/crl the newest list of the authority that issues to people. It reads the path as sent: an OCSP request in base64 may hold
// "//", so it MUST be reached before a ServeMux cleans the path.
func (c *CA) Handler() http.Handler { return http.HandlerFunc(c.serve) }

func (c *CA) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), "/pki/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	switch kind, rest, _ := strings.Cut(path, "/"); kind {
	case "ca":
		if path == kind {
			c.serveAuthorities(w, r)
			return
		}
		c.serveCertificate(w, r, rest)
	case "crl":
		if path == kind {
			rest = c.peopleSlug() + ".crl"
		}
		c.serveCRL(w, r, rest)
	case "ocsp":
		c.serveOCSP(w, r, rest)
	case "tsa":
		if s := c.TSA(); s != nil && rest == "" {
			s.ServeHTTP(w, r)
			return
		}
		http.NotFound(w, r)
	default:
		http.NotFound(w, r)
	}
}

func readOnly(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return false
}

func (c *CA) serveCertificate(w http.ResponseWriter, r *http.Request, name string) {
	slug, ok := strings.CutSuffix(name, ".cer")
	a, err := c.authorities.BySlug(slug)
	if !ok || err != nil {
		http.NotFound(w, r)
		return
	}
	if !readOnly(w, r) {
		return
	}
	w.Header().Set("Content-Type", typeCertificate)
	w.Header().Set("Cache-Control", "public, max-age=86400")
	http.ServeContent(w, r, "", a.Cert.NotBefore, bytes.NewReader(a.Cert.Raw))
}

// serveAuthorities serves all certificates of authorities in one file.
func (c *CA) serveAuthorities(w http.ResponseWriter, r *http.Request) {
	if !readOnly(w, r) {
		return
	}
	var out bytes.Buffer
	for _, k := range []profile.Kind{profile.Firma, profile.Servicios, profile.Root} {
		for _, a := range c.authorities.All() {
			if a.Kind == k {
				_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: a.Cert.Raw}) // a buffer takes everything
			}
		}
	}
	h := w.Header()
	h.Set("Content-Type", typeChain)
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(sharedAge.Seconds())))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(out.Bytes()))
}

// peopleSlug names the authority that issues people's certificates now, or the
// newest that did; "" where there is none.
func (c *CA) peopleSlug() string {
	if a, err := c.authorities.Issuing(profile.Firma, c.cfg.Now()); err == nil {
		return a.Slug
	}
	for _, a := range c.authorities.All() {
		if a.Kind == profile.Firma {
			return a.Slug
		}
	}
	return ""
}

func (c *CA) serveCRL(w http.ResponseWriter, r *http.Request, name string) {
	slug, ok := strings.CutSuffix(name, ".crl")
	if !ok {
		http.NotFound(w, r)
		return
	}
	if !readOnly(w, r) {
		return
	}
	list, err := c.store.LatestCRL(r.Context(), slug)
	switch {
	case errors.Is(err, store.ErrNotFound):
		http.NotFound(w, r)
		return
	case err != nil:
		c.cfg.Logger.ErrorContext(r.Context(), "list not read", "error", err)
		w.Header().Set("Retry-After", "5")
		http.Error(w, "try later", http.StatusServiceUnavailable)
		return
	}
	h := w.Header()
	h.Set("Content-Type", typeCRL)
	h.Set("ETag", `"`+hex.EncodeToString(list.SHA256)+`"`)
	shared(h, c.cfg.Now(), list.NextUpdate)
	http.ServeContent(w, r, "", list.ThisUpdate, bytes.NewReader(list.DER))
}

// shared lets caches keep an answer for a short while, never past its end.
func shared(h http.Header, now, next time.Time) {
	age := min(sharedAge, max(0, next.Sub(now)))
	h.Set("Cache-Control", "public, no-transform, must-revalidate, max-age="+strconv.Itoa(int(age.Seconds())))
	h.Set("Expires", now.Add(age).UTC().Format(http.TimeFormat))
}

func (c *CA) serveOCSP(w http.ResponseWriter, r *http.Request, rest string) {
	var request []byte
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		request = decodeGET(rest)
	case http.MethodPost:
		if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != typeOCSPRequest {
			http.Error(w, "Content-Type must be "+typeOCSPRequest, http.StatusUnsupportedMediaType)
			return
		}
		// One octet more than allowed tells a request that is too long.
		request, _ = io.ReadAll(io.LimitReader(r.Body, der.MaxOCSPRequest+1))
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	a := c.responder.Answer(r.Context(), request)
	h := w.Header()
	h.Set("Content-Type", typeOCSPResponse)
	h.Set("Content-Length", strconv.Itoa(len(a.DER)))
	if a.Signed && a.Cacheable && r.Method != http.MethodPost {
		shared(h, c.cfg.Now(), a.NextUpdate)
		h.Set("Last-Modified", a.ThisUpdate.UTC().Format(http.TimeFormat))
	} else {
		h.Set("Cache-Control", "no-store")
	}
	_, _ = w.Write(a.DER)
}

// decodeGET reads base64 from the path (RFC 6960 appendix A.1) as clients and
// proxies write it: percent-encoded or not, "+" turned into a space, slashes
// doubled in front, padding lost. What cannot be read is an empty request.
func decodeGET(escaped string) []byte {
	if len(escaped) > 4*der.MaxOCSPRequest {
		return nil
	}
	s, err := url.PathUnescape(escaped)
	if err != nil {
		return nil
	}
	s = strings.ReplaceAll(strings.TrimLeft(s, "/"), " ", "+")
	out, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil {
		return nil
	}
	return out
}

// OCSP returns an answer about a certificate made now, to keep beside a
// signature. Errors: [ErrNotFound] for a number without a certificate.
func (c *CA) OCSP(ctx context.Context, serial []byte) ([]byte, error) {
	st, err := c.store.Status(ctx, serial, 0)
	if err != nil {
		return nil, err
	}
	if st.State != store.Issued {
		return nil, ErrNotFound
	}
	a, err := c.authorities.BySlug(st.Issuer)
	if err != nil {
		return nil, err
	}
	return c.responder.Fresh(ctx, a, a.Hasher.CertID(crypto.SHA1, serial))
}

// CRL returns the newest list of the authority that issued the certificate with
// that number. Errors: [ErrNotFound].
func (c *CA) CRL(ctx context.Context, serial []byte) ([]byte, error) {
	st, err := c.store.Status(ctx, serial, 0)
	if err != nil {
		return nil, err
	}
	list, err := c.store.LatestCRL(ctx, st.Issuer)
	return list.DER, err
}
