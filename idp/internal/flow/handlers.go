package flow

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/page"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

const (
	maxForm     = 16 << 10
	maxResponse = 64 << 10 // a browser's passkey answer
)

// Register adds the login's handlers to the browser mux.
func (f *Flow) Register(mux *web.BrowserMux) {
	json := []web.RouteOption{web.Accepts("application/json"), web.MaxBody(maxResponse)}
	mux.Handle("GET /entrar", f.local)
	mux.Handle("GET "+DevicePath, f.deviceForm)
	mux.Handle("POST "+DevicePath, f.deviceCode)
	mux.Handle("GET "+PathPrefix+"{id}", f.show)
	mux.Handle("POST "+PathPrefix+"{id}/llave/opciones", f.passkeyOptions, json...)
	mux.Handle("POST "+PathPrefix+"{id}/llave", f.passkey, json...)
	mux.Handle("GET "+PathPrefix+"{id}/tarjeta", f.cardForm)
	mux.Handle("POST "+PathPrefix+"{id}/tarjeta", f.cardLogin)
	mux.Handle("POST "+PathPrefix+"{id}/celda", f.cardCell)
	mux.Handle("GET "+PathPrefix+"{id}/celda", func(w http.ResponseWriter, r *http.Request) error { // read again, or come back to
		return web.Redirect(w, PathPrefix+r.PathValue("id")+"/tarjeta")
	})
	mux.Handle("POST "+PathPrefix+"{id}/decision", f.decide)
	mux.Handle("POST "+PathPrefix+"{id}/no-soy-yo", f.notMe)
}

// Fault shows a request that cannot be answered to the application.
func (f *Flow) Fault(w http.ResponseWriter, r *http.Request, err error) error {
	var e *oauth.Error
	if !errors.As(err, &e) {
		return err
	}
	return f.cfg.Pages.Fault(w, r, e.Code, e.Description)
}

// local starts a login for one of our own pages: /entrar?volver=/cuenta, with
// the level (nivel), the greatest age of the authentication (edad) and whether a
// passkey is required (llave).
func (f *Flow) local(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	back := q.Get(web.ReturnParam)
	if back == "" {
		back = "/cuenta"
	}
	level, err := identity.ParseACR(q.Get("nivel"))
	if err != nil {
		level = identity.N0
	}
	age, err := time.ParseDuration(q.Get("edad"))
	if err != nil || age < 0 {
		age = 0
	}
	return f.StartLocal(w, r, LocalRequest{Path: back, Level: level, MaxAge: age, Key: q.Get("llave") != ""})
}

// gone answers for an interaction that this browser cannot see.
func (f *Flow) gone(w http.ResponseWriter, r *http.Request, err error) error {
	if errors.Is(err, errGone) {
		return f.cfg.Pages.Gone(w, r)
	}
	return err
}

// show is the dispatcher: whatever happened before, it leads on.
func (f *Flow) show(w http.ResponseWriter, r *http.Request) error {
	st, err := f.load(r)
	if err != nil {
		return f.gone(w, r, err)
	}
	switch {
	case !st.interaction.DecidedAt.IsZero():
		return f.cfg.Pages.Finished(w, r, st.client.Name)
	case !f.cfg.Now().Before(st.interaction.ExpiresAt):
		return f.Start(w, r, st.client, st.request, st.interaction.PAR) // begins anew from the stored request
	}
	switch st.next {
	case stepDone:
		return f.complete(w, r, st, nil)
	case stepConsent:
		return f.consent(w, r, st)
	case stepOther:
		return f.deny(w, r, st, oauth.Refuse(oauth.LoginRequired, "another person signed in"))
	case stepUnmet:
		return f.cfg.Pages.Unmet(w, r, page.Unmet{App: st.client.Name, Person: st.profile.Name.Full(), Action: PathPrefix + st.interaction.ID, Redirect: st.request.RedirectURI})
	}
	return f.cfg.Pages.Login(w, r, f.loginView(st, ""))
}

func (f *Flow) loginView(st *state, problem string) page.Login {
	v := page.Login{
		App: st.client.Name, Local: st.request.Local != "", Action: PathPrefix + st.interaction.ID, Cards: f.cfg.Cards != nil,
		Lead: f.lead(st.request.Local), StepUp: st.next == stepUp, Insufficient: st.insufficient, Problem: problem, Hint: st.request.LoginHint, Redirect: st.request.RedirectURI,
	}
	if st.next == stepUp {
		v.Person, v.Shared = st.profile.Name.Full(), st.session.Shared
	}
	return v
}

// lead returns what to say to whoever comes for one of our own pages; "" is
// nothing in particular.
func (f *Flow) lead(local string) string {
	best, key := 0, ""
	for prefix, k := range f.cfg.Leads {
		if len(prefix) > best && len(local) > len(prefix) && strings.HasPrefix(local, prefix) {
			best, key = len(prefix), k
		}
	}
	return key
}

func (f *Flow) consentView(st *state) page.Consent {
	v := page.Consent{
		App: st.client.Name, Person: st.profile.Name.Full(), Action: PathPrefix + st.interaction.ID, Redirect: st.request.RedirectURI, Seen: seen(st),
	}
	for _, d := range st.request.Details {
		for _, doc := range d.Documents {
			v.Documents = append(v.Documents, page.Document{Label: doc.Label, Hash: doc.Hash})
		}
	}
	for _, s := range st.missing {
		v.Scopes = append(v.Scopes, page.Scope{Name: s, Values: page.ScopeValues(s, st.profile)})
	}
	return v
}

// seen names what a consent page shows: which person's session, and which
// scopes. An answer counts for exactly that; if somebody else has signed in
// since, or a permission was withdrawn, the page is shown again.
func seen(st *state) string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{"suti/idp/seen", st.interaction.ID, st.session.ID, string(st.session.Person)}, st.missing...), "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// binding ties a ceremony to the browser and the interaction.
func binding(st *state) []byte {
	sum := sha256.Sum256(bytes.Join([][]byte{[]byte("suti/idp/login"), st.interaction.Browser, []byte(st.interaction.ID)}, []byte{0}))
	return sum[:]
}

// open reports whether the interaction still awaits an authentication.
func (f *Flow) open(st *state) bool {
	return st.interaction.DecidedAt.IsZero() && f.cfg.Now().Before(st.interaction.ExpiresAt)
}

// passkeyOptions answers the page's script with the options of a ceremony.
func (f *Flow) passkeyOptions(w http.ResponseWriter, r *http.Request) error {
	st, err := f.load(r)
	if errors.Is(err, errGone) || err == nil && !f.open(st) {
		return web.WriteJSON(w, http.StatusConflict, map[string]string{"problem": "vencido", "next": r.URL.Path[:len(r.URL.Path)-len("/llave/opciones")]})
	} else if err != nil {
		return err
	}
	if held, err := f.holdScript(w, r); held || err != nil {
		return err
	}
	req := LoginRequest{Binding: binding(st)}
	if st.next == stepUp {
		req.Person = st.session.Person
	}
	c, err := f.cfg.Authenticator.BeginLogin(r.Context(), req)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"id": c.ID, "options": c.Options})
}

// passkey verifies the browser's answer and opens the session.
func (f *Flow) passkey(w http.ResponseWriter, r *http.Request) error {
	st, err := f.load(r)
	if errors.Is(err, errGone) || err == nil && !f.open(st) {
		return web.WriteJSON(w, http.StatusConflict, map[string]string{"problem": "vencido"})
	} else if err != nil {
		return err
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxResponse))
	if err != nil {
		return web.WriteJSON(w, http.StatusRequestEntityTooLarge, map[string]string{"problem": "respuesta"})
	}
	var in struct {
		ID       string          `json:"id"`
		Response json.RawMessage `json:"response"`
		Shared   string          `json:"shared"` // present when the box is ticked
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return web.WriteJSON(w, http.StatusBadRequest, map[string]string{"problem": "respuesta"})
	}
	a, err := f.cfg.Authenticator.FinishLogin(r.Context(), in.ID, binding(st), in.Response)
	switch {
	case errors.Is(err, ErrRefused):
		web.LogAttrs(r.Context(), slog.String("refused", err.Error()))
		if a.Person == "" && st.next == stepUp {
			a.Person = st.session.Person
		}
		f.refused(r, a.Person, string(identity.MethodPasskey))
		return web.WriteJSON(w, http.StatusForbidden, map[string]string{"problem": "llave"})
	case err != nil:
		return err
	case st.next == stepUp && a.Person != st.session.Person:
		f.refused(r, st.session.Person, string(identity.MethodPasskey)) // with another person's passkey
		return web.WriteJSON(w, http.StatusForbidden, map[string]string{"problem": "otra-persona"})
	}
	if _, err := f.cfg.Session.Establish(w, r, a, shared(st, in.Shared != "")); err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.LoginAuthenticated); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]string{"next": PathPrefix + st.interaction.ID})
}

// shared is whether the device counts as shared: a step-up keeps what was said
// when the session began.
func shared(st *state, said bool) bool {
	if st.next == stepUp {
		return st.session.Shared
	}
	return said
}

// cardForm asks for the login name; the cell to read off depends on it.
func (f *Flow) cardForm(w http.ResponseWriter, r *http.Request) error {
	st, err := f.load(r)
	if err != nil {
		return f.gone(w, r, err)
	}
	if f.cfg.Cards == nil || !f.open(st) {
		http.Redirect(w, r, PathPrefix+st.interaction.ID, http.StatusSeeOther)
		return nil
	}
	return f.cfg.Pages.CardName(w, r, page.Card{Login: f.loginView(st, "")})
}

// cardCell names an unused cell of the card.
func (f *Flow) cardCell(w http.ResponseWriter, r *http.Request) error {
	st, err := f.load(r)
	if err != nil {
		return f.gone(w, r, err)
	}
	form, err := web.Form(r, maxForm)
	if err != nil || f.cfg.Cards == nil || !f.open(st) {
		http.Redirect(w, r, PathPrefix+st.interaction.ID, http.StatusSeeOther)
		return nil
	}
	if held, err := f.Hold(w, r, st.request, "card"); held || err != nil {
		return err
	}
	ch, err := f.cfg.Cards.BeginCard(r.Context(), form.Get("username"), binding(st))
	if errors.Is(err, ErrThrottled) {
		return f.cfg.Pages.CardName(w, r, page.Card{Login: f.loginView(st, page.ProblemThrottled), Username: form.Get("username")})
	}
	if err != nil {
		return err
	}
	return f.cfg.Pages.Card(w, r, page.Card{Login: f.loginView(st, ""), Username: form.Get("username"), Challenge: ch.ID, Cell: ch.Cell})
}

// cardLogin verifies password and cell. After a failure a new cell is asked for.
func (f *Flow) cardLogin(w http.ResponseWriter, r *http.Request) error {
	st, err := f.load(r)
	if err != nil {
		return f.gone(w, r, err)
	}
	form, err := web.Form(r, maxForm)
	if err != nil || f.cfg.Cards == nil || !f.open(st) {
		http.Redirect(w, r, PathPrefix+st.interaction.ID, http.StatusSeeOther)
		return nil
	}
	if held, err := f.Hold(w, r, st.request, "card"); held || err != nil {
		return err
	}
	ctx := r.Context()
	a, err := f.cfg.Cards.FinishCard(ctx, form.Get("challenge"), binding(st), form.Get("password"), form.Get("code"))
	if err == nil && st.next == stepUp && a.Person != st.session.Person {
		a, err = identity.Authentication{Person: st.session.Person}, ErrRefused // with another person's card
	}
	if errors.Is(err, ErrRefused) || errors.Is(err, ErrThrottled) {
		f.refused(r, a.Person, string(identity.MethodCard))
	}
	switch {
	case errors.Is(err, ErrThrottled):
		return f.cfg.Pages.CardName(w, r, page.Card{Login: f.loginView(st, page.ProblemThrottled)})
	case errors.Is(err, ErrRefused):
		ch, err := f.cfg.Cards.BeginCard(ctx, form.Get("username"), binding(st))
		if errors.Is(err, ErrThrottled) {
			return f.cfg.Pages.CardName(w, r, page.Card{Login: f.loginView(st, page.ProblemThrottled)})
		} else if err != nil {
			return err
		}
		return f.cfg.Pages.Card(w, r, page.Card{Login: f.loginView(st, page.ProblemCard), Username: form.Get("username"), Challenge: ch.ID, Cell: ch.Cell})
	case err != nil:
		return err
	}
	// With a code card the device counts as shared unless the person says otherwise (D27).
	if _, err := f.cfg.Session.Establish(w, r, a, shared(st, form.Get("device") != "own")); err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.LoginAuthenticated); err != nil {
		return err
	}
	http.Redirect(w, r, PathPrefix+st.interaction.ID, http.StatusSeeOther)
	return nil
}

// decide takes the person's answer to the consent page.
func (f *Flow) decide(w http.ResponseWriter, r *http.Request) error {
	st, err := f.load(r)
	if err != nil {
		return f.gone(w, r, err)
	}
	form, err := web.Form(r, maxForm)
	if err != nil || !f.open(st) {
		http.Redirect(w, r, PathPrefix+st.interaction.ID, http.StatusSeeOther)
		return nil
	}
	switch decision := form.Get("decision"); {
	case decision == "cancel" && st.next == stepUnmet:
		return f.deny(w, r, st, oauth.Refuse(oauth.UnmetRequirements, "the level asked for cannot be reached"))
	case decision == "cancel":
		return f.deny(w, r, st, oauth.Refuse(oauth.AccessDenied, "the person did not agree"))
	case decision != "accept" || st.next != stepConsent || form.Get("seen") != seen(st):
		http.Redirect(w, r, PathPrefix+st.interaction.ID, http.StatusSeeOther)
		return nil
	}
	var consented []string
	for _, s := range st.missing {
		if !form.Has("no-"+s) && !slices.Contains(consented, s) {
			consented = append(consented, s)
		}
	}
	st.deviceOwn = form.Get("device") == "own"
	return f.complete(w, r, st, consented)
}

// notMe ends the session of someone else on this device and asks anew.
func (f *Flow) notMe(w http.ResponseWriter, r *http.Request) error {
	st, err := f.load(r)
	if err != nil {
		return f.gone(w, r, err)
	}
	s, err := f.cfg.Session.Held(r)
	if err != nil && !errors.Is(err, session.ErrNone) {
		return err
	}
	if s != nil {
		if err := f.cfg.Session.End(r.Context(), s, "not-me"); err != nil {
			return err
		}
		session.Forget(w)
	}
	http.Redirect(w, r, PathPrefix+st.interaction.ID, http.StatusSeeOther)
	return nil
}
