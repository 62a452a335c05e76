package idp_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

// count returns how many rows a query counts.
func (w *world) count(query string, args ...any) int {
	w.t.Helper()
	var n int
	if err := w.d.QueryRow(w.t.Context(), query, args...).Scan(&n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) entries(kind string, who identity.PersonID) int {
	return w.count(`SELECT count(1) FROM audit_entry WHERE kind = $1 AND subject = $2`, kind, string(who))
}

func (w *world) notices() int {
	return w.count(`SELECT count(1) FROM outbox_message WHERE topic = 'idp.backchannel'`)
}

// tokens logs a person in and returns the tokens.
func (a *app) tokens(br *browser, who identity.PersonID) map[string]any {
	a.w.t.Helper()
	status, tok := a.redeem(br.enter(a.authorize("scope", "openid profile offline_access"), who).Query().Get("code"))
	if status != http.StatusOK {
		a.w.t.Fatalf("redeem: %d %v", status, tok)
	}
	return tok
}

func TestPersonEndsOwnSessions(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		who, other := w.person(identity.N2), w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, BackchannelURI: "https://app-a.example/fin"})
		phone, desk, stranger := w.browser(), w.browser(), w.browser()
		onPhone, onDesk, theirs := a.tokens(phone, who), a.tokens(desk, who), a.tokens(stranger, other)

		mine := must(w.p.Sessions(ctx, who))(w.t)
		foreign := must(w.p.Sessions(ctx, other))(w.t)
		if len(mine) != 2 || len(foreign) != 1 || mine[0].CreatedAt.Before(mine[1].CreatedAt) {
			w.t.Fatalf("sessions: %v and %v", mine, foreign)
		}
		for _, id := range []string{foreign[0].ID, "ses_unknown", ""} {
			if err := w.p.EndSession(ctx, who, id); !errors.Is(err, idp.ErrNotFound) {
				w.t.Errorf("session %q of somebody else: %v", id, err)
			}
		}
		if w.entries("idp.logout", who)+w.entries("idp.logout", other)+w.notices() != 0 {
			w.t.Error("a refusal left traces")
		}
		older := mine[1].ID // the phone's
		if err := w.p.EndSession(ctx, who, older); err != nil {
			w.t.Fatal(err)
		}
		if err := w.p.EndSession(ctx, who, older); !errors.Is(err, idp.ErrNotFound) {
			w.t.Errorf("ended twice: %v", err)
		}
		if a.active(onPhone["access_token"]) || !a.active(onDesk["access_token"]) || !a.active(theirs["access_token"]) {
			w.t.Error("the wrong tokens ended")
		}
		if got := phone.errorOf(a.authorize("prompt", "none")); got != "login_required" {
			w.t.Errorf("ended browser: %s", got)
		}
		if w.entries("idp.logout", who) != 1 || w.notices() != 1 {
			w.t.Errorf("%d entries, %d notices", w.entries("idp.logout", who), w.notices())
		}

		a.tokens(phone, who)
		now := must(w.p.Sessions(ctx, who))(w.t)
		keep := mine[0].ID
		if n := must(w.p.EndOtherSessions(ctx, who, keep))(w.t); n != 1 || len(now) != 2 {
			w.t.Errorf("others: %d of %d ended", n, len(now))
		}
		if left := must(w.p.Sessions(ctx, who))(w.t); len(left) != 1 || left[0].ID != keep {
			w.t.Errorf("left: %v", left)
		}
		if n := must(w.p.EndOtherSessions(ctx, who, keep))(w.t); n != 0 || w.entries("idp.logout", who) != 2 {
			w.t.Errorf("again: %d ended, %d entries", n, w.entries("idp.logout", who))
		}
		if n := must(w.p.EndOtherSessions(ctx, who, ""))(w.t); n != 1 {
			w.t.Errorf("all: %d ended", n)
		}
		if a.active(onDesk["access_token"]) || !a.active(theirs["access_token"]) {
			w.t.Error("ending all reached the wrong tokens")
		}
	})
}

// Sessions that died by another way are not shown as living.
func TestSessionsShowOnlyLiving(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		a.tokens(w.browser(), who)
		w.bump(who, subject.Suspended)
		if got := must(w.p.Sessions(w.t.Context(), who))(w.t); len(got) != 0 {
			w.t.Errorf("of a suspended person: %v", got)
		}
		w.bump(who, subject.Active)
		if got := must(w.p.Sessions(w.t.Context(), who))(w.t); len(got) != 0 {
			w.t.Errorf("after reactivation: %v", got)
		}
	})
}

func TestPersonWithdrawsConsent(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		who, other := w.person(identity.N2), w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Name: "Trámites", Profile: idp.ProfileWeb, BackchannelURI: "https://app-a.example/fin"})
		b := w.register(idp.Client{ID: "app-b", Name: "Becas", Profile: idp.ProfileWeb, Institution: insB})
		br := w.browser()
		atA, atB, theirs := a.tokens(br, who), b.tokens(br, who), a.tokens(w.browser(), other)

		got := must(w.p.Consents(ctx, who))(w.t)
		if len(got) != 2 || got[0].Name != "Becas" || got[0].Institution != insB || got[1].Client != "app-a" || !slices.Contains(got[1].Scopes, "profile") {
			w.t.Fatalf("consents: %+v", got)
		}
		if got[1].Until.Before(got[1].Since) || got[1].Since.IsZero() {
			w.t.Errorf("since %v until %v", got[1].Since, got[1].Until)
		}
		for _, id := range []string{"app-x", "suti", ""} {
			if err := w.p.RevokeConsent(ctx, who, id); !errors.Is(err, idp.ErrNotFound) {
				w.t.Errorf("client %q: %v", id, err)
			}
		}
		// Of several at once one does it, and one entry says so.
		won := make(chan error, 4)
		dbtest.Contend(w.t, 4, func(int) { won <- w.p.RevokeConsent(ctx, who, "app-a") })
		ok := 0
		for range 4 {
			if err := <-won; err == nil {
				ok++
			} else if !errors.Is(err, idp.ErrNotFound) {
				w.t.Error(err)
			}
		}
		if ok != 1 || w.entries("idp.consent.revoked", who) != 1 || w.notices() != 1 {
			w.t.Errorf("%d won, %d entries, %d notices", ok, w.entries("idp.consent.revoked", who), w.notices())
		}
		if a.active(atA["access_token"]) || !b.active(atB["access_token"]) || !a.active(theirs["access_token"]) {
			w.t.Error("the wrong tokens ended")
		}
		refresh, _ := atA["refresh_token"].(string)
		if status, _ := a.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}); refresh == "" || status == http.StatusOK {
			w.t.Errorf("the refresh token %.4q lives: %d", refresh, status)
		}
		if left := must(w.p.Consents(ctx, who))(w.t); len(left) != 1 || left[0].Client != "app-b" {
			w.t.Errorf("left: %+v", left)
		}
		if left := must(w.p.Consents(ctx, other))(w.t); len(left) != 1 {
			w.t.Errorf("another person's: %+v", left)
		}
		if got := br.errorOf(a.authorize("prompt", "none")); got != "consent_required" {
			w.t.Errorf("afterwards: %s", got)
		}
		if got := must(w.p.Sessions(ctx, who))(w.t); len(got) != 1 {
			w.t.Errorf("sign-on sessions: %v", got)
		}
		a.tokens(br, who) // asked again, given again
		if got := must(w.p.Consents(ctx, who))(w.t); len(got) != 2 {
			w.t.Errorf("given again: %+v", got)
		}
	})
}

func TestSignOutEndsWhatTheCookieNames(t *testing.T) {
	each(t, func(w *world) {
		who := w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		br := w.browser()
		tok := a.tokens(br, who)
		out := func(cookies []*http.Cookie) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(w.t.Context(), http.MethodPost, "/cuenta/salir", nil)
			for _, c := range cookies {
				r.AddCookie(c)
			}
			rec := httptest.NewRecorder()
			if _, err := w.p.SignOut(rec, r); err != nil {
				w.t.Fatal(err)
			}
			return rec
		}
		if rec := out(nil); !strings.Contains(rec.Header().Get("Set-Cookie"), "Max-Age=0") || w.entries("idp.logout", who) != 0 {
			w.t.Errorf("without a session: %v", rec.Header())
		}
		at := must(url.Parse(w.issuer))(w.t)
		if rec := out(br.jar.Cookies(at)); !strings.Contains(rec.Header().Get("Set-Cookie"), "__Host-suti-sesion=;") {
			w.t.Errorf("cookie stays: %v", rec.Header())
		}
		if a.active(tok["access_token"]) || w.entries("idp.logout", who) != 1 {
			w.t.Error("the session lives on")
		}
		out(br.jar.Cookies(at)) // again is no error
		if w.entries("idp.logout", who) != 1 {
			w.t.Error("ended twice")
		}
	})
}

func TestClientsAreListed(t *testing.T) {
	each(t, func(w *world) {
		w.register(idp.Client{ID: "app-b", Name: "Becas", Profile: idp.ProfileWeb, Institution: insB})
		w.register(idp.Client{ID: "app-a", Name: "Trámites", Profile: idp.ProfileWeb})
		if err := w.d.Write(w.t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE idp_client SET disabled_at = $1 WHERE id = 'app-b'`, db.Micros(w.clock.Now()))
			return err
		}); err != nil {
			w.t.Fatal(err)
		}
		got := must(w.p.Clients(w.t.Context()))(w.t)
		want := []idp.ClientInfo{{ID: "app-a", Name: "Trámites", Institution: insA}, {ID: "app-b", Name: "Becas", Institution: insB, Disabled: true}}
		if !slices.Equal(got, want) {
			w.t.Errorf("got %+v, want %+v", got, want)
		}
	})
}
