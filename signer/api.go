package signer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/sdk/api"
)

const (
	typePDF     = "application/pdf"
	maxJSONBody = 64 << 10
)

// RegisterAPI registers the routes of the JSON interface.
func (s *Service) RegisterAPI(m *web.APIMux) {
	m.Handle("POST /api/v1/documents", s.client(ScopeCreate, s.apiUpload), web.Accepts(typePDF), web.Upload(s.cfg.MaxDocument+1))
	m.Handle("POST /api/v1/signing-requests", s.client(ScopeCreate, s.apiCreate), web.MaxBody(maxJSONBody))
	m.Handle("GET /api/v1/signing-requests/{id}", s.client(ScopeRead, s.apiStatus))
	m.Handle("POST /api/v1/signing-requests/{id}/cancel", s.client(ScopeCreate, s.apiCancel))
	m.Handle("GET /api/v1/signing-requests/{id}/documents/{doc}/signed", s.client(ScopeRead, s.apiSigned), web.Download())
	m.Handle("GET /api/v1/signing-requests/{id}/evidence", s.client(ScopeRead, s.apiEvidence))
	m.Handle("POST /api/v1/validations", s.apiValidate, web.Accepts(typePDF), web.Upload(s.cfg.MaxVerify+1))
}

type clientHandler func(w http.ResponseWriter, r *http.Request, c APIClient) error

// client lets only applications with a scope pass.
func (s *Service) client(scope string, h clientHandler) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		c, err := s.cfg.API.APIClient(r)
		if errors.Is(err, ErrToken) {
			return reply(refuse(CodeToken, err))
		}
		if err != nil {
			return err
		}
		if !slices.Contains(c.Scopes, scope) {
			return reply(refuse(CodeScope, fmt.Errorf("scope %s", scope)))
		}
		return reply(h(w, r, c))
	}
}

// raw writes an answer that is JSON already.
func raw(w http.ResponseWriter, status int, answer json.RawMessage) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err := w.Write(append(bytes.Clone(answer), '\n'))
	return err
}

func (s *Service) apiUpload(w http.ResponseWriter, r *http.Request, c APIClient) error {
	key, err := web.IdempotencyKey(r)
	if err != nil {
		return err
	}
	answer, err := s.Upload(r.Context(), c, key, r.Body)
	if err != nil {
		return err
	}
	return raw(w, http.StatusCreated, answer)
}

func (s *Service) apiCreate(w http.ResponseWriter, r *http.Request, c APIClient) error {
	key, err := web.IdempotencyKey(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxJSONBody+1))
	if err != nil {
		return err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in api.SigningRequest
	if err := web.JSON(r, maxJSONBody, &in); err != nil {
		return err
	}
	answer, err := s.Create(r.Context(), c, key, body, in)
	if err != nil {
		return err
	}
	return raw(w, http.StatusCreated, answer)
}

func (s *Service) apiStatus(w http.ResponseWriter, r *http.Request, c APIClient) error {
	st, err := s.Status(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, st)
}

func (s *Service) apiCancel(w http.ResponseWriter, r *http.Request, c APIClient) error {
	st, err := s.Cancel(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, st)
}

func (s *Service) apiSigned(w http.ResponseWriter, r *http.Request, c APIClient) error {
	f, d, err := s.SignedFile(r.Context(), c, r.PathValue("id"), r.PathValue("doc"))
	if err != nil {
		return err
	}
	defer f.Close()
	w.Header().Set("Content-Type", typePDF)
	w.Header().Set("Content-Length", strconv.FormatInt(d.Size, 10))
	w.Header().Set("Content-Disposition", `attachment; filename="`+d.ID+`.pdf"`)
	_, err = f.WriteTo(w)
	return err
}

// apiEvidence serves the bundle of the last signer, or of ?signer=N, from 1.
func (s *Service) apiEvidence(w http.ResponseWriter, r *http.Request, c APIClient) error {
	party := -1
	if q := r.URL.Query().Get("signer"); q != "" {
		n, err := strconv.Atoi(q)
		if err != nil || n < 1 {
			return refuseField(CodeInvalid, "signer")
		}
		party = n - 1
	}
	b, err := s.Evidence(r.Context(), c, r.PathValue("id"), party)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, err = w.Write(b)
	return err
}

// apiValidate judges a file for anybody.
func (s *Service) apiValidate(w http.ResponseWriter, r *http.Request) error {
	leave, err := s.admit(r)
	if err != nil {
		return err
	}
	defer leave()
	v, err := s.Validate(r.Context(), r.Body, r.URL.Query().Get("code"))
	if err == nil && v.Status() != http.StatusOK {
		err = refuse(Code(v.Refusal), nil)
	}
	if err != nil {
		return reply(err)
	}
	return web.WriteJSON(w, http.StatusOK, v)
}
