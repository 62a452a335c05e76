package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"oruro.gob.bo/suti/sdk/api"
)

// Scopes of the signing interface.
const (
	ScopeSignCreate = "firmas:crear"
	ScopeSignRead   = "firmas:leer"
)

// maxSignedBytes bounds a signed document that is downloaded.
const maxSignedBytes = 2 << 30

// APIError is a refusal by Suti's interface (RFC 9457). Branch on Code.
type APIError struct{ api.Problem }

// Error returns the stable code and the detail.
func (e *APIError) Error() string {
	return fmt.Sprintf("sdk: %d %s: %s", e.Status, e.Code, e.Detail)
}

// Signing is the interface for signature requests.
type Signing struct{ c *Client }

// Signing returns the signing interface; the client needs the scopes firmas:crear and firmas:leer.
func (c *Client) Signing() Signing { return Signing{c} }

// Upload stores a PDF of the given size. key makes a repeated call have one
// effect; use one per document.
func (s Signing) Upload(ctx context.Context, key string, pdf io.Reader, size int64) (*api.Document, error) {
	var d api.Document
	return &d, s.call(ctx, http.MethodPost, "/api/v1/documents", "application/pdf", key, ScopeSignCreate, pdf, size, &d)
}

// Create asks for signatures. key makes a repeated call have one effect.
func (s Signing) Create(ctx context.Context, key string, req api.SigningRequest) (*api.SigningStatus, error) {
	raw, err := json.Marshal(req)
	if err != nil {
		return nil, err
	}
	var st api.SigningStatus
	return &st, s.call(ctx, http.MethodPost, "/api/v1/signing-requests", "application/json", key, ScopeSignCreate, bytes.NewReader(raw), int64(len(raw)), &st)
}

// Status returns a request as it stands.
func (s Signing) Status(ctx context.Context, id string) (*api.SigningStatus, error) {
	var st api.SigningStatus
	return &st, s.call(ctx, http.MethodGet, "/api/v1/signing-requests/"+url.PathEscape(id), "", "", ScopeSignRead, nil, 0, &st)
}

// Cancel withdraws a request that is still pending.
func (s Signing) Cancel(ctx context.Context, id string) (*api.SigningStatus, error) {
	var st api.SigningStatus
	return &st, s.call(ctx, http.MethodPost, "/api/v1/signing-requests/"+url.PathEscape(id)+"/cancel", "application/json", "cancel-"+id, ScopeSignCreate, nil, 0, &st)
}

// Signed writes the signed PDF to w and returns its size in bytes.
func (s Signing) Signed(ctx context.Context, id, document string, w io.Writer) (int64, error) {
	return s.download(ctx, "/api/v1/signing-requests/"+url.PathEscape(id)+"/documents/"+url.PathEscape(document)+"/signed", w)
}

// Evidence writes the evidence bundle to w and returns its size in bytes.
func (s Signing) Evidence(ctx context.Context, id string, w io.Writer) (int64, error) {
	return s.download(ctx, "/api/v1/signing-requests/"+url.PathEscape(id)+"/evidence", w)
}

func (s Signing) do(ctx context.Context, method, path, contentType, key, scope string, body io.Reader, size int64) (*http.Response, error) {
	token, err := s.c.ClientToken(ctx, scope)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(s.c.cfg.Issuer, "/")+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != nil {
		req.ContentLength = size
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	client := *s.c.cfg.HTTPClient
	client.Timeout = 0 // documents may be large; ctx bounds the call
	res, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call the signing service: %w", err)
	}
	if res.StatusCode >= 200 && res.StatusCode < 300 {
		return res, nil
	}
	defer res.Body.Close()
	raw, err := readLimited(res.Body, maxMetadataBytes)
	e := &APIError{}
	if err != nil || json.Unmarshal(raw, &e.Problem) != nil || e.Code == "" {
		e.Problem = api.Problem{Code: "unexpected_reply", Detail: "the reply is no problem document"}
	}
	e.Status = res.StatusCode
	return nil, e
}

func (s Signing) call(ctx context.Context, method, path, contentType, key, scope string, body io.Reader, size int64, out any) error {
	res, err := s.do(ctx, method, path, contentType, key, scope, body, size)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := readLimited(res.Body, maxReplyBytes)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return errors.New("sdk: the signing service's reply is not JSON")
	}
	return nil
}

func (s Signing) download(ctx context.Context, path string, w io.Writer) (int64, error) {
	res, err := s.do(ctx, http.MethodGet, path, "", "", ScopeSignRead, nil, 0)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	n, err := io.Copy(w, io.LimitReader(res.Body, maxSignedBytes+1))
	switch {
	case err != nil:
		return n, err
	case n > maxSignedBytes:
		return n, fmt.Errorf("sdk: document over %d bytes", int64(maxSignedBytes))
	case res.ContentLength >= 0 && n != res.ContentLength:
		return n, io.ErrUnexpectedEOF
	}
	return n, nil
}
