package signer

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/signer/core"
	"oruro.gob.bo/suti/signer/internal/page"
	"oruro.gob.bo/suti/signer/internal/store"
)

const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
	maxForm  = 16 << 10
)

// LoginLeads says what the login page tells whoever comes for one of the pages
// of this context, by path prefix, as i18n keys. i18n:use signer.login.waits
func LoginLeads() map[string]string { return map[string]string{"/firmas/": "signer.login.waits"} }

// RegisterBrowser registers the pages: the inbox and approval for people signed in,
// and public verification.
func (s *Service) RegisterBrowser(m *web.BrowserMux) {
	signedIn := web.RequirePrincipal(s.cfg.Auth, identity.N1, 0)
	person := func(pattern string, h personHandler, opts ...web.RouteOption) {
		m.Handle(pattern, signedIn(func(w http.ResponseWriter, r *http.Request) error {
			p, ok := web.PrincipalFrom(r.Context())
			if !ok {
				return errors.New("signer: nobody is signed in behind RequirePrincipal")
			}
			return h(w, r, p)
		}), opts...)
	}
	person("GET /firmas", s.inbox)
	person("GET /firmas/{id}", s.showRequest, web.Timeout(2*drawWithin))
	person("GET /firmas/{id}/listo", s.showOutcome)
	person("GET /firmas/{id}/documentos/{n}", s.showDocument, web.Download())
	person("GET /firmas/{id}/documentos/{n}/paginas/{page}", s.showPage)
	person("POST /firmas/{id}/opciones", s.options, web.Accepts(typeJSON), web.Timeout(finishWithin))
	person("POST /firmas/{id}/aprobar", s.approve, web.Accepts(typeJSON), web.MaxBody(maxApproval), web.Timeout(finishWithin))
	person("POST /firmas/{id}/rechazar", s.decline, web.Accepts(typeForm, typeJSON))
	m.Handle("GET /verificar", s.askFile)
	m.Handle("POST /verificar", s.verifyFile, web.Upload(s.cfg.MaxVerify+1<<20))
	m.Handle("GET /verificar/{code}", s.showCode)
}

// decidedShown is how many of a person's decisions the inbox shows.
const decidedShown = 20

const maxApproval = core.MaxAssertion + 8<<10

type personHandler func(w http.ResponseWriter, r *http.Request, p web.Principal) error

func (s *Service) inbox(w http.ResponseWriter, r *http.Request, p web.Principal) error {
	list, err := s.store.Inbox(r.Context(), p.Person(), s.cfg.Now())
	if err != nil {
		return err
	}
	var items []page.InboxItem
	for _, q := range list {
		c, err := s.capacity(r.Context(), q.Parties[q.Turn])
		if err != nil {
			return err
		}
		items = append(items, page.InboxItem{Path: "/firmas/" + q.ID, Title: q.Documents[0].Title, Asker: q.Asker, Post: c.post(), Documents: len(q.Documents), Expires: q.ExpiresAt})
	}
	past, err := s.store.Decided(r.Context(), p.Person(), decidedShown)
	if err != nil {
		return err
	}
	var decided []page.DecidedItem
	for _, q := range past {
		i := slices.IndexFunc(q.Parties, func(x store.Party) bool { return x.Person == p.Person() && !x.DecidedAt.IsZero() })
		if i >= 0 {
			decided = append(decided, page.DecidedItem{Path: "/firmas/" + q.ID + "/listo", Title: q.Documents[0].Title, Asker: q.Asker, State: string(q.Parties[i].State), At: q.Parties[i].DecidedAt})
		}
	}
	return s.pages.Inbox(w, r, p.Name(), items, decided)
}

// mine returns a request in which the person is a signer.
func (s *Service) mine(r *http.Request, p web.Principal) (store.Request, int, error) {
	q, err := s.store.Request(r.Context(), r.PathValue("id"))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return q, 0, err
	}
	i := slices.IndexFunc(q.Parties, func(x store.Party) bool { return x.Person == p.Person() })
	if i < 0 {
		return q, 0, web.NotFound(err)
	}
	if q.State == store.Pending && q.Parties[q.Turn].Person == p.Person() { // in which of several capacities
		i = q.Turn
	}
	return q, i, nil
}

// open reports whether the signer may decide now.
func (s *Service) open(q store.Request, i int) bool {
	return q.State == store.Pending && q.Turn == i && s.cfg.Now().Before(q.ExpiresAt)
}

func (s *Service) showRequest(w http.ResponseWriter, r *http.Request, p web.Principal) error {
	q, i, err := s.mine(r, p)
	if err != nil {
		return err
	}
	if !s.open(q, i) {
		return s.outcome(w, r, p, q, i)
	}
	return s.renderRequest(w, r, p, q, i, nil)
}

func (s *Service) renderRequest(w http.ResponseWriter, r *http.Request, p web.Principal, q store.Request, i int, fault *web.FieldError) error {
	c, err := s.capacity(r.Context(), q.Parties[i])
	if err != nil {
		return err
	}
	v := page.Request{Path: "/firmas/" + q.ID, Asker: q.Asker, App: q.ClientName, Reason: q.Reason, Person: c.profile.Name.Full(), Post: c.post(),
		Institution: c.institution(), Tier: Tier, Level: q.Level, Expires: q.ExpiresAt, Signer: i + 1, Signers: len(q.Parties), Demo: s.cfg.Demo,
		Problems: page.BrowserProblems()}
	for _, code := range Problems() {
		v.Problems = append(v.Problems, page.Problem{Code: code, Text: detailKey(code)})
	}
	for n, d := range q.Documents {
		doc, err := s.documentView(r, q, n, d)
		if err != nil {
			return err
		}
		v.Documents = append(v.Documents, doc)
	}
	return s.pages.Request(w, r, v, fault)
}

func (s *Service) documentView(r *http.Request, q store.Request, n int, d store.RequestDocument) (page.Document, error) {
	path := fmt.Sprintf("/firmas/%s/documentos/%d", q.ID, n+1)
	v := page.Document{Number: n + 1, Title: d.Title, Pages: d.Pages, Size: sizeText(d.Size), Words: hashWords(d.SHA256), SHA256: hex.EncodeToString(d.SHA256[:]),
		PDF: path, SignedByOthers: d.Changed()}
	doc, err := s.store.Document(r.Context(), d.ID)
	if err != nil {
		return v, err
	}
	for _, code := range doc.Warnings {
		v.Warnings = append(v.Warnings, warningKey(code))
	}
	images, err := s.draw(r.Context(), q.Owner, d)
	if err != nil {
		return v, err
	}
	for i, m := range images {
		v.Images = append(v.Images, page.Image{Path: fmt.Sprintf("%s/paginas/%d", path, i+1), Number: i + 1, Width: m.Width, Height: m.Height})
	}
	if len(images) > 0 {
		v.More = max(d.Pages-len(images), 0)
	}
	return v, nil
}

// warningKey returns the i18n key of a finding.
func warningKey(code string) string {
	switch code {
	case "javascript", "launch-action", "external-reference", "optional-content", "embedded-file", "xfa", "font-not-embedded", "usage-rights",
		"dangling-reference", "unreferenced-object", "rich-media", "need-appearances", "fields-overlap", "field-covers-page":
		return "signer.warning." + strings.ReplaceAll(code, "-", "_")
	}
	return "signer.warning.other"
}

func sizeText(n int64) string {
	switch {
	case n < 1000:
		return strconv.FormatInt(n, 10) + " B"
	case n < 1_000_000:
		return strconv.FormatInt((n+500)/1000, 10) + " kB"
	}
	return strconv.FormatInt((n+500_000)/1_000_000, 10) + " MB"
}

// fileOf returns the document that the path names, as it is now.
func (s *Service) fileOf(r *http.Request, p web.Principal) (store.Request, store.RequestDocument, error) {
	q, _, err := s.mine(r, p)
	if err != nil {
		return q, store.RequestDocument{}, err
	}
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 1 || n > len(q.Documents) || q.State != store.Pending && q.State != store.Completed {
		return q, store.RequestDocument{}, web.NotFound(nil)
	}
	return q, q.Documents[n-1], nil
}

func (s *Service) showDocument(w http.ResponseWriter, r *http.Request, p web.Principal) error {
	q, d, err := s.fileOf(r, p)
	if err != nil {
		return err
	}
	f, err := s.cfg.Blobs.OpenOwned(r.Context(), q.Owner, d.SHA256)
	if err != nil {
		return err
	}
	defer f.Close()
	w.Header().Set("Content-Type", typePDF)
	w.Header().Set("Content-Length", strconv.FormatInt(f.Size(), 10))
	w.Header().Set("Content-Disposition", `attachment; filename="`+d.ID+`.pdf"`)
	_, err = f.WriteTo(w)
	return err
}

func (s *Service) showPage(w http.ResponseWriter, r *http.Request, p web.Principal) error {
	q, d, err := s.fileOf(r, p)
	if err != nil {
		return err
	}
	images, err := s.store.Pages(r.Context(), d.SHA256, q.Owner)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(r.PathValue("page"))
	if err != nil || n < 1 || n > len(images) {
		return web.NotFound(nil)
	}
	f, err := s.cfg.Blobs.OpenOwned(r.Context(), q.Owner, images[n-1].Image)
	if err != nil {
		return err
	}
	defer f.Close()
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Content-Length", strconv.FormatInt(f.Size(), 10))
	_, err = f.WriteTo(w)
	return err
}

// problem answers the page's script.
func problem(w http.ResponseWriter, err error) error {
	code := CodeOf(err)
	if code == "" {
		return err
	}
	known := code
	if !slices.Contains(Problems(), code) {
		known = "servicio"
	}
	return web.WriteJSON(w, status(code), map[string]string{"problem": known, "code": code})
}

func (s *Service) options(w http.ResponseWriter, r *http.Request, p web.Principal) error {
	a, err := s.Begin(r.Context(), p, r.PathValue("id"))
	if err != nil {
		return problem(w, err)
	}
	o, err := a.RequestOptions(s.cfg.Now())
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"id": a.ID, "options": o, "expires_at": a.Expires.Format(time.RFC3339)})
}

func (s *Service) approve(w http.ResponseWriter, r *http.Request, p web.Principal) error {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxApproval))
	if err != nil {
		return err
	}
	var in struct {
		ID       string          `json:"id"`
		Response json.RawMessage `json:"response"`
	}
	if json.Unmarshal(b, &in) != nil {
		return problem(w, refuse(Code(core.CodeAssertion), nil))
	}
	if _, err := s.Finish(r.Context(), p, r.PathValue("id"), in.ID, in.Response); err != nil {
		return problem(w, err)
	}
	return web.WriteJSON(w, http.StatusOK, map[string]string{"next": "/firmas/" + r.PathValue("id") + "/listo"})
}

func (s *Service) decline(w http.ResponseWriter, r *http.Request, p web.Principal) error {
	var why string
	wantsJSON := r.Header.Get("Content-Type") == typeJSON
	if wantsJSON {
		var in struct {
			Reason string `json:"reason"`
		}
		if err := web.JSON(r, maxForm, &in); err != nil {
			return err
		}
		why = in.Reason
	} else {
		form, err := web.Form(r, maxForm)
		if err != nil {
			return err
		}
		why = form.Get("reason")
	}
	id := r.PathValue("id")
	err := s.Decline(r.Context(), p, id, why)
	switch {
	case wantsJSON && err != nil:
		return problem(w, err)
	case wantsJSON:
		return web.WriteJSON(w, http.StatusOK, map[string]string{"next": "/firmas/" + id + "/listo"})
	case CodeOf(err) == string(CodeInvalid):
		q, i, err := s.mine(r, p)
		if err != nil {
			return err
		}
		return s.renderRequest(w, r, p, q, i, &web.FieldError{Field: "reason", Code: "missing", Detail: "signer.request.decline.missing"})
	case err != nil:
		return reply(err)
	}
	return web.Redirect(w, "/firmas/"+id+"/listo")
}

func (s *Service) showOutcome(w http.ResponseWriter, r *http.Request, p web.Principal) error {
	q, i, err := s.mine(r, p)
	if err != nil {
		return err
	}
	if s.open(q, i) {
		return web.Redirect(w, "/firmas/"+q.ID)
	}
	return s.outcome(w, r, p, q, i)
}

func (s *Service) outcome(w http.ResponseWriter, r *http.Request, p web.Principal, q store.Request, i int) error {
	v := page.Outcome{State: string(q.State), Title: q.Documents[0].Title, Asker: q.Asker, ReturnURL: q.ReturnURL, Person: p.Name(), Reason: q.DeclineReason}
	switch {
	case q.State == store.Completed:
		v.Code, v.CodePath = printCode(q.Code), codePath(q.Code)
		for n, d := range q.Documents {
			v.Files = append(v.Files, page.File{Path: fmt.Sprintf("/firmas/%s/documentos/%d", q.ID, n+1), Title: d.Title})
		}
	case q.State != store.Pending:
	case !s.cfg.Now().Before(q.ExpiresAt):
		v.State = string(store.Expired)
	case q.Turn > i:
		v.State = "signed"
	default:
		v.State = "waiting"
	}
	return s.pages.Outcome(w, r, v)
}
