package flow

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// browserCookie ties interactions to the browser that began them.
const browserCookie = "__Host-suti-entrada"

// PathPrefix is where the login's pages are.
const PathPrefix = "/entrar/"

// browser returns the hash of the browser's cookie, setting one if there is none.
func (f *Flow) browser(w http.ResponseWriter, r *http.Request) []byte {
	if h := knownBrowser(r); h != nil {
		return h
	}
	value := session.Random256()
	http.SetCookie(w, &http.Cookie{
		Name: browserCookie, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(24 * time.Hour / time.Second),
	})
	return store.Hash("browser", value)
}

func knownBrowser(r *http.Request) []byte {
	ck, err := r.Cookie(browserCookie)
	if err != nil || len(ck.Value) != 43 {
		return nil
	}
	return store.Hash("browser", ck.Value)
}

// Start stores a checked request as an interaction of this browser and sends
// the browser to it. prompt=none is answered at once, without any page. An
// address that begins too many is held up.
func (f *Flow) Start(w http.ResponseWriter, r *http.Request, c *store.Client, req *oauth.Request, par []byte) error {
	if held, err := f.Hold(w, r, req, "start"); held || err != nil {
		return err
	}
	now := f.cfg.Now()
	i := &store.Interaction{
		ID: identity.NewID("int", now), Client: c.ID, Request: req.Encode(), Browser: f.browser(w, r), PAR: par,
		CreatedAt: now, ExpiresAt: now.Add(interactionLifetime),
	}
	if err := f.cfg.DB.Write(r.Context(), func(tx *db.Tx) error { return store.InsertInteraction(tx, i) }); err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.LoginRequestStored); err != nil {
		return err
	}
	if !req.HasPrompt("none") {
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, PathPrefix+i.ID, http.StatusSeeOther)
		return nil
	}
	st := &state{interaction: i, request: req, client: c}
	if err := f.attachSession(r, st); err != nil {
		return err
	}
	if err := f.assess(r.Context(), st); err != nil {
		return err
	}
	switch st.next {
	case stepDone:
		return f.complete(w, r, st, nil)
	case stepConsent:
		code := oauth.ConsentRequired
		if len(st.missing) == 0 {
			code = oauth.InteractionRequired
		}
		return f.deny(w, r, st, oauth.Refuse(code, "the person must be asked"))
	case stepUnmet:
		return f.deny(w, r, st, oauth.Refuse(oauth.UnmetRequirements, "the level asked for cannot be reached"))
	}
	return f.deny(w, r, st, oauth.Refuse(oauth.LoginRequired, "the person must authenticate"))
}

// LocalRequest is what one of Suti's own pages asks of a login.
type LocalRequest struct {
	Path   string // where the person goes after: a path of this site
	Level  identity.Level
	MaxAge time.Duration // 0: any age
	Key    bool          // a passkey, not password and card
}

// StartLocal begins a login for one of Suti's own pages.
func (f *Flow) StartLocal(w http.ResponseWriter, r *http.Request, in LocalRequest) error {
	path, ok := web.SafeReturn(in.Path)
	if !ok {
		path = "/"
	}
	c, err := f.cfg.Clients.ByID(r.Context(), LocalClient)
	if err != nil {
		return err
	}
	req := &oauth.Request{Client: LocalClient, Local: path, At: f.cfg.Now()}
	switch {
	case in.Key && in.Level == identity.N0:
		req.EssentialACR = []string{identity.ACRPhishingResistant}
	case in.Level > identity.N0:
		for l := in.Level; l.Valid(); l++ {
			req.EssentialACR = append(req.EssentialACR, l.ACR())
		}
	}
	if in.MaxAge > 0 {
		seconds := int64(in.MaxAge / time.Second)
		req.MaxAge = &seconds
	}
	return f.Start(w, r, c, req, nil)
}

// errGone reports an interaction that this browser cannot see.
var errGone = errors.New("idp: no such interaction in this browser")

// load reads the interaction of the path and everything the dispatcher needs.
func (f *Flow) load(r *http.Request) (*state, error) {
	browser := knownBrowser(r)
	id := r.PathValue("id")
	if browser == nil || identity.CheckID("int", id) != nil {
		return nil, errGone
	}
	st := &state{}
	err := f.cfg.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		st.interaction, err = store.InteractionByID(tx, id, browser)
		return err
	})
	if err == nil {
		st.client, err = f.cfg.Clients.ByID(r.Context(), st.interaction.Client)
	}
	if isNotFound(err) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	if st.request, err = oauth.DecodeRequest(st.interaction.Request); err != nil {
		return nil, err
	}
	// What was taken from the client since the request came is not given any more.
	if st.request.RedirectURI != "" && !oauth.MatchRedirect(st.client, st.request.RedirectURI) {
		return nil, errGone
	}
	st.request.Scopes = slices.DeleteFunc(st.request.Scopes, func(s string) bool { return !slices.Contains(st.client.Scopes, s) })
	speak(r, st.request.UILocales)
	if err := f.attachSession(r, st); err != nil {
		return nil, err
	}
	return st, f.assess(r.Context(), st)
}

// speak fixes the language that the application asks for, unless the person
// chose one here.
func speak(r *http.Request, locales []string) {
	if _, err := r.Cookie(languageCookie); err == nil {
		return
	}
	for _, tag := range slices.Backward(locales) { // the first one that is offered stands in the end
		base, _, _ := strings.Cut(strings.ToLower(tag), "-")
		web.SetLang(r, i18n.Lang(base))
	}
}

// languageCookie is where the browser mux keeps a person's choice of language.
const languageCookie = "__Host-idioma"

func (f *Flow) attachSession(r *http.Request, st *state) error {
	s, err := f.cfg.Session.Current(r)
	if errors.Is(err, session.ErrNone) {
		return nil
	}
	st.session = s
	return err
}
