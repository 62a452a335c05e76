package enrolment

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"time"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/page"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
	"oruro.gob.bo/suti/internal/web"
)

// Texts returns the catalogue of this package's pages, to be one source of i18n.New.
func Texts() fs.FS { return page.Texts() }

// WebConfig configures Routes; all but SignOut and NotMe are needed.
type WebConfig struct {
	Mux   *web.BrowserMux
	Pages *web.Pages
	Auth  web.Authenticator
	// SignOut and NotMe are the paths that every page of somebody signed in offers.
	SignOut, NotMe string
	// Nav returns the sections of the person's own account; none if nil.
	Nav func(current string) []web.NavItem
}

// site is the pages of this package on one mux.
type site struct {
	*Service
	c     WebConfig
	pages *page.Pages
}

// Limits of what a browser sends.
const (
	maxForm   = 16 << 10
	maxAnswer = 96 << 10
)

// keyAge is how old the last use of a passkey may be where the own passkeys are changed.
const keyAge = 10 * time.Minute

// Routes registers /registro, /fundacion, /ventanilla, /cuenta/llaves,
// /cuenta/registro, /cuenta/confianza and /cuenta/bloquear.
//
// A passkey step at PATH is two posts of JSON: PATH/opciones returns
// {"id", "options"}, PATH/fin takes {"id", "response"} and returns {"next"};
// both return {"problem"} with a status of 400 or above where they refuse.
func (s *Service) Routes(c WebConfig) error {
	if c.Mux == nil || c.Pages == nil || c.Auth == nil {
		return errors.New("enrolment: Mux, Pages and Auth are needed")
	}
	pages, err := page.New(c.Pages)
	if err != nil {
		return err
	}
	w := &site{s, c, pages}
	w.registration()
	w.founding()
	w.counter()
	w.people()
	w.recovery()
	w.trust()
	w.own()
	return nil
}

// handle registers a page or form; errors become what a person reads.
func (w *site) handle(pattern string, h web.HandlerFunc, opts ...web.RouteOption) {
	w.c.Mux.Handle(pattern, h.Map(fault), opts...)
}

// step registers the two posts of a passkey step.
func (w *site) step(path string, protect func(web.HandlerFunc) web.HandlerFunc, begin func(*http.Request, answer) (passkey.Ceremony, error), finish func(*http.Request, answer) (next string, err error)) {
	route := func(suffix string, h func(*http.Request, answer) (any, error)) {
		var serve web.HandlerFunc = func(rw http.ResponseWriter, r *http.Request) error {
			var a answer
			if err := web.JSON(r, maxAnswer, &a); err != nil {
				return err
			}
			out, err := h(r, a)
			if err != nil {
				return err
			}
			return reply(rw, http.StatusOK, out)
		}
		serve = protect(serve)
		w.c.Mux.Handle("POST "+path+suffix, func(rw http.ResponseWriter, r *http.Request) error {
			err := serve(rw, r)
			status, problem := problemOf(err)
			if problem == "" {
				return err
			}
			return reply(rw, status, map[string]string{"problem": problem, "code": act.Code(err)})
		}, web.Accepts("application/json"), web.MaxBody(maxAnswer))
	}
	route("/opciones", func(r *http.Request, a answer) (any, error) {
		c, err := begin(r, a)
		return map[string]any{"id": c.ID, "options": c.Options}, err
	})
	route("/fin", func(r *http.Request, a answer) (any, error) {
		next, err := finish(r, a)
		return map[string]string{"next": next}, err
	})
}

// answer is what the page's script posts.
type answer struct {
	ID       string          `json:"id"`
	Response json.RawMessage `json:"response"`
	Label    string          `json:"etiqueta"`
}

func reply(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = w.Write(b)
	return err
}

// bounded lets anybody pass, so often from one address.
func (w *site) bounded(h web.HandlerFunc) web.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) error {
		if err := w.limit(r.Context(), "llave:"+web.ClientKey(r), keyRate); err != nil {
			return err
		}
		return h(rw, r)
	}
}

// staff lets pass whoever signed in with a passkey at N2 or above. The role is
// checked by what the handler calls, at that moment.
func (w *site) staff(h web.HandlerFunc) web.HandlerFunc {
	return web.RequireKeyPrincipal(w.c.Auth, identity.N2, 0)(bound(h))
}

// self lets pass whoever is signed in, at any level.
func (w *site) self(h web.HandlerFunc) web.HandlerFunc {
	return web.RequirePrincipal(w.c.Auth, identity.N0, 0)(bound(h))
}

// fresh lets pass whoever used a passkey just now.
func (w *site) fresh(h web.HandlerFunc) web.HandlerFunc {
	return web.RequireKeyPrincipal(w.c.Auth, identity.N0, keyAge)(bound(h))
}

// bound makes every write that a request leads to depend on the epoch of its
// session: a person who was suspended, or whose rights changed, after the session
// was checked changes nothing any more.
func bound(h web.HandlerFunc) web.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) error {
		p := who(r)
		return h(rw, r.WithContext(db.Requiring(r.Context(), func(tx *db.Tx) error {
			if err := subject.Require(tx, p.Person(), subject.Epoch(p.Epoch())); err != nil {
				return fmt.Errorf("%w: %w", ErrSession, err)
			}
			return nil
		})))
	}
}

// who returns the person that a protected route let pass.
func who(r *http.Request) web.Principal {
	p, ok := web.PrincipalFrom(r.Context())
	if !ok {
		panic("enrolment: route without a principal")
	}
	return p
}

// bindSession ties a ceremony to a session.
func bindSession(r *http.Request) []byte {
	sum := sha256.Sum256([]byte("suti/enrolment/session\x00" + who(r).Session()))
	return sum[:]
}

// render shows a page to somebody signed in.
func (w *site) render(rw http.ResponseWriter, r *http.Request, p web.Page) error {
	p.Person, p.SignOut, p.NotMe = who(r).Name(), w.c.SignOut, w.c.NotMe
	if k, ok := p.Data.(page.Sign); ok && k.Path != "" {
		return w.pages.RenderKey(rw, r, p)
	}
	if _, ok := p.Data.(page.Key); ok {
		return w.pages.RenderKey(rw, r, p)
	}
	return w.pages.Render(rw, r, p)
}

// browserCookie holds the secret of a browser that registers or confirms.
var browserCookie = web.MustCookie(web.Cookie{Name: "registro", MaxAge: BrowserHold, Strict: true})

// browser returns the secret of the browser, and sets one if w is not nil.
func browser(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if v, ok := browserCookie.Read(r); ok {
		if b, err := base64.RawURLEncoding.DecodeString(v); err == nil && len(b) == 32 {
			return b, nil
		}
	}
	if w == nil {
		return nil, ErrTicket
	}
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (Go 1.24)
	return b, browserCookie.Set(w, base64.RawURLEncoding.EncodeToString(b))
}

// limit takes one event of a rate, or is a 429.
func (s *Service) limit(ctx context.Context, key string, rate cache.Rate) error {
	if s.cfg.Limiter == nil {
		return nil
	}
	d, err := s.cfg.Limiter.Take(ctx, "enrolment:"+key, rate, 1)
	if err != nil {
		return web.Unavailable(err)
	}
	if !d.Allowed {
		return web.TooMany(d.RetryAfter)
	}
	return nil
}

// faults maps the reasons of a refusal to what a person reads: status, code for
// programs, text, and the problem that a passkey step names.
var faults = []struct {
	err     error
	status  int
	code    string
	text    string
	problem string
}{
	{ErrSession, http.StatusForbidden, "session_over", "enrolment.error.session", "sin-sesion"},
	{ErrTicketExpired, http.StatusGone, "ticket_expired", "enrolment.error.expired", "vencido"},
	{ErrTicketUsed, http.StatusConflict, "ticket_used", "enrolment.error.used", "hecho"},
	{ErrTicketTaken, http.StatusConflict, "ticket_taken", "enrolment.error.taken", "otra-persona"},
	{ErrTicketHold, http.StatusConflict, "ticket_not_in_hand", "enrolment.error.hold", "vencido"},
	{ErrTicket, http.StatusNotFound, "ticket_unknown", "enrolment.error.code", "vencido"},
	{ErrHasKey, http.StatusConflict, "has_key", "enrolment.error.done", "ya-tiene"},
	{ErrDone, http.StatusConflict, "done", "enrolment.error.done", "hecho"},
	{ErrDraft, http.StatusNotFound, "draft_unknown", "enrolment.error.draft", "vencido"},
	{ErrRace, http.StatusConflict, "race", "enrolment.problem.adelantado", "adelantado"},
	{ErrKey, http.StatusConflict, "key_unusable", "enrolment.ticket.no_key_text", "llave"},
	{ErrTrusted, http.StatusConflict, "trusted", "enrolment.error.trusted", "permiso"},
	{ErrWaits, http.StatusConflict, "waits", "enrolment.error.waits", "vencido"},
	{account.ErrPrinter, http.StatusForbidden, "printer", "enrolment.error.printer", "otra-persona"},
	{ErrLastWay, http.StatusConflict, "last_way", "enrolment.error.last_way", "ultima-llave"},
	{ErrApprovalNeeded, http.StatusForbidden, "two_people", "enrolment.error.two_people", "permiso"},
	{ErrExists, http.StatusConflict, "exists", "enrolment.error.field", "servicio"},
	{account.ErrExists, http.StatusConflict, "document_exists", "enrolment.problem.ya_registrado", "ya-registrado"},
	{act.ErrSelf, http.StatusForbidden, "self", "enrolment.error.own", "otra-persona"},
	{act.ErrSamePerson, http.StatusForbidden, "same_person", "enrolment.error.same_person", "otra-persona"},
	{act.ErrRole, http.StatusForbidden, "role", "enrolment.error.role", "permiso"},
	{act.ErrCapacity, http.StatusForbidden, "capacity", "enrolment.error.role", "permiso"},
	{act.ErrLastHolder, http.StatusConflict, "last_holder", "enrolment.error.last_holder", "ultima-funcion"},
	{act.ErrDuplicate, http.StatusConflict, "duplicate", "enrolment.error.done", "hecho"},
	{ErrNoGenesis, http.StatusForbidden, "not_founded", "enrolment.error.role", "permiso"},
	{act.ErrPending, http.StatusConflict, "pending", "enrolment.error.pending", "servicio"},
	{act.ErrPostTaken, http.StatusConflict, "post_taken", "enrolment.problem.cargo_ocupado", "cargo-ocupado"},
	{act.ErrTime, http.StatusConflict, "time", "enrolment.error.draft", "vencido"},
	{act.ErrTarget, http.StatusConflict, "target", "enrolment.error.draft", "hecho"},
	{ErrUnknown, http.StatusNotFound, "not_found", "web.error.not_found", "vencido"},
	{passkey.ErrCeremony, http.StatusConflict, "ceremony", "enrolment.problem.vencido", "vencido"},
	{passkey.ErrExists, http.StatusConflict, "key_exists", "enrolment.problem.ya_tiene", "ya-tiene"},
	{passkey.ErrTooMany, http.StatusConflict, "too_many_keys", "enrolment.problem.llave", "llave"},
	{passkey.ErrRefused, http.StatusForbidden, "key_refused", "enrolment.problem.llave", "llave"},
	{passkey.ErrUnknown, http.StatusForbidden, "key_unknown", "enrolment.problem.llave", "llave"},
	{passkey.ErrNotActive, http.StatusForbidden, "key_not_active", "enrolment.problem.llave", "llave"},
	{passkey.ErrClone, http.StatusForbidden, "key_suspended", "enrolment.problem.llave", "llave"},
	{passkey.ErrBackupChanged, http.StatusForbidden, "key_changed", "enrolment.problem.llave", "llave"},
	{subject.ErrNotActive, http.StatusForbidden, "not_active", "enrolment.problem.llave", "llave"},
	{account.ErrState, http.StatusConflict, "state", "enrolment.error.done", "hecho"},
	{ErrInput, http.StatusUnprocessableEntity, "input", "enrolment.error.field", "servicio"},
}

// fault says how an error of this package looks from outside.
func fault(err error) error {
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return &web.Error{Status: f.status, Code: f.code, Detail: f.text, Err: err}
		}
	}
	var refused *act.Refusal
	if errors.As(err, &refused) {
		return &web.Error{Status: http.StatusForbidden, Code: "refused", Detail: "enrolment.problem.permiso", Err: err}
	}
	return err
}

// problemOf says what a passkey step names an error; "" for one that it leaves
// to the mux.
func problemOf(err error) (status int, problem string) {
	if err == nil {
		return 0, ""
	}
	var login *web.StepUp
	if errors.As(err, &login) {
		return http.StatusUnauthorized, "sin-sesion"
	}
	var busy *web.Error
	if errors.As(err, &busy) && busy.Status == http.StatusTooManyRequests {
		return busy.Status, "espera"
	}
	for _, f := range faults {
		if errors.Is(err, f.err) {
			return f.status, f.problem
		}
	}
	var refused *act.Refusal
	if errors.As(err, &refused) {
		return http.StatusForbidden, "permiso"
	}
	return 0, ""
}
