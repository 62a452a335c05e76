package idp_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
)

// refreshes reports whether a refresh token still works.
func (a *app) refreshes(tok map[string]any) bool {
	a.w.t.Helper()
	refresh, _ := tok["refresh_token"].(string)
	if refresh == "" {
		a.w.t.Fatal("no refresh token")
	}
	status, _ := a.call("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}})
	return status == http.StatusOK
}

// TestEveryLevelEndsAlone ends one level at a time: everything beneath is dead,
// tokens included, the applications concerned are told their own sid, and what
// lies beside goes on.
func TestEveryLevelEndsAlone(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		who, other := w.person(identity.N2), w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, BackchannelURI: "https://app-a.example/fin"})
		b := w.register(idp.Client{ID: "app-b", Profile: idp.ProfileWeb, BackchannelURI: "https://app-b.example/fin"})
		phone, desk := w.browser(), w.browser()
		phoneA1, phoneA2, phoneB, deskA := a.tokens(phone, who), a.tokens(phone, who), b.tokens(phone, who), a.tokens(desk, who)
		theirs := a.tokens(w.browser(), other)
		sid := func(tok map[string]any) string { return claimsOf(w.t, tok["id_token"])["sid"].(string) }

		// What is shown is what there is.
		devices := must(w.p.Devices(ctx, who))(w.t)
		if len(devices) != 2 || devices[0].ID == devices[1].ID || len(devices[0].Sessions) != 1 || len(devices[1].Sessions) != 1 {
			w.t.Fatalf("devices: %+v", devices)
		}
		onPhone := devices[0].Sessions[0]
		if len(onPhone.Applications) != 2 {
			onPhone = devices[1].Sessions[0]
		}
		var atA idp.OwnApplication
		for _, ap := range onPhone.Applications {
			if ap.Client == "app-a" {
				atA = ap
			}
		}
		if atA.SID != sid(phoneA1) || sid(phoneA1) != sid(phoneA2) || sid(phoneA1) == sid(phoneB) || sid(phoneA1) == sid(deskA) {
			w.t.Fatal("a client session has one sid of its own beneath each session")
		}
		if len(atA.Grants) != 2 || !atA.Grants[0].Renewable || atA.Institution != insA || !strings.Contains(strings.Join(atA.Grants[0].Scopes, " "), "profile") {
			w.t.Fatalf("application: %+v", atA)
		}

		// Nobody ends what is another's, or over.
		for name, err := range map[string]error{
			"device": w.p.EndDevice(ctx, other, devices[0].ID), "application": w.p.EndApplication(ctx, other, atA.SID), "grant": w.p.EndGrant(ctx, other, atA.Grants[0].ID),
			"no device": w.p.EndDevice(ctx, who, "dev_x"), "no application": w.p.EndApplication(ctx, who, ""), "no grant": w.p.EndGrant(ctx, who, "grt_x"),
		} {
			if !errors.Is(err, idp.ErrNotFound) {
				w.t.Errorf("%s: %v", name, err)
			}
		}
		if w.entries("idp.logout", who)+w.entries("idp.logout", other)+w.notices() != 0 {
			w.t.Error("a refusal left traces")
		}

		alive := func(level string, want ...map[string]any) {
			w.t.Helper()
			for name, tok := range map[string]map[string]any{"phoneA1": phoneA1, "phoneA2": phoneA2, "phoneB": phoneB, "deskA": deskA, "theirs": theirs} {
				at, should := a, false
				if name == "phoneB" {
					at = b
				}
				for _, x := range want {
					should = should || x["access_token"] == tok["access_token"]
				}
				if got := at.active(tok["access_token"]); got != should || at.refreshes(tok) != should {
					w.t.Errorf("after one %s: %s lives: %v, want %v", level, name, got, should)
				}
			}
		}
		told := func(level string, want ...string) {
			w.t.Helper()
			sent := w.told()
			if len(sent) != len(want) {
				w.t.Errorf("after one %s: told %d, want %d", level, len(sent), len(want))
				return
			}
			for i, s := range sent {
				address, token, _ := strings.Cut(s, " ")
				if c := claimsOf(w.t, token); address+" "+c["sid"].(string) != want[i] {
					w.t.Errorf("after one %s: told %s sid %s, want %s", level, address, c["sid"], want[i])
				}
			}
		}

		// The older grant: the newer one beside it goes on, and so does the client session.
		if err := w.p.EndGrant(ctx, who, atA.Grants[1].ID); err != nil {
			w.t.Fatal(err)
		}
		alive("grant", phoneA2, phoneB, deskA, theirs)
		told("grant", "https://app-a.example/fin "+sid(phoneA1))
		if err := w.p.EndGrant(ctx, who, atA.Grants[1].ID); !errors.Is(err, idp.ErrNotFound) {
			w.t.Errorf("ended twice: %v", err)
		}
		if again := a.tokens(phone, who); sid(again) != sid(phoneA1) {
			w.t.Error("the client session ended with one of its grants")
		}

		// The client session.
		if err := w.p.EndApplication(ctx, who, atA.SID); err != nil {
			w.t.Fatal(err)
		}
		alive("application", phoneB, deskA, theirs)
		told("application", "https://app-a.example/fin "+sid(phoneA1))
		if got := phone.errorOf(a.authorize("prompt", "none")); got != "code" {
			w.t.Errorf("the permission went with the client session: %s", got)
		}

		// The last grant takes the client session with it.
		apps := must(w.p.Devices(ctx, who))(w.t)
		for _, d := range apps {
			for _, ap := range d.Sessions[0].Applications {
				if ap.Client == "app-b" {
					if err := w.p.EndGrant(ctx, who, ap.Grants[0].ID); err != nil {
						w.t.Fatal(err)
					}
				}
			}
		}
		alive("last grant", deskA, theirs)
		told("last grant", "https://app-b.example/fin "+sid(phoneB))
		if again := b.tokens(phone, who); sid(again) == sid(phoneB) {
			w.t.Error("the client session outlived its last grant")
		}
		if n := w.entries("idp.logout", who); n != 3 {
			w.t.Errorf("%d entries, want 3", n)
		}
	})
}

// TestDeviceEndsWithAllItsSessions: two sessions one after the other in one
// browser are one device; another person in it has a device of her own.
func TestDeviceEndsWithAllItsSessions(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		who, other := w.person(identity.N2), w.person(identity.N2)
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, BackchannelURI: "https://app-a.example/fin"})
		desk, phone := w.browser(), w.browser()
		first := a.tokens(desk, who)
		desk.set("__Host-suti-sesion", "") // as if the browser had lost it
		second := a.tokens(desk, who)
		onPhone := a.tokens(phone, who)
		desk.set("__Host-suti-sesion", "")
		theirs := a.tokens(desk, other)

		devices := must(w.p.Devices(ctx, who))(w.t)
		var id string
		for _, d := range devices {
			if len(d.Sessions) == 2 {
				id = d.ID
			}
		}
		if len(devices) != 2 || id == "" {
			w.t.Fatalf("devices: %+v", devices)
		}
		foreign := must(w.p.Devices(ctx, other))(w.t)
		if len(foreign) != 1 || foreign[0].ID == id {
			w.t.Fatalf("another person in the same browser: %+v", foreign)
		}
		// Also when the sessions are idle: applications may go on beneath them.
		w.clock.Add(61 * time.Minute)
		if got := must(w.p.Devices(ctx, who))(w.t); len(got) != 2 || !got[0].Sessions[0].Lapsed {
			w.t.Errorf("idle sessions: %+v", got)
		}
		won := make(chan error, 4)
		dbtest.Contend(w.t, 4, func(int) { won <- w.p.EndDevice(ctx, who, id) })
		ok := 0
		for range 4 {
			if err := <-won; err == nil {
				ok++
			} else if !errors.Is(err, idp.ErrNotFound) {
				w.t.Error(err)
			}
		}
		if ok != 1 || w.entries("idp.logout", who) != 1 || w.notices() != 2 {
			w.t.Errorf("%d ended it, %d entries, %d notices", ok, w.entries("idp.logout", who), w.notices())
		}
		if a.refreshes(first) || a.refreshes(second) || !a.refreshes(onPhone) || !a.refreshes(theirs) {
			w.t.Error("the wrong tokens ended")
		}
		a.tokens(desk, who) // she comes back: the browser is known as a new device
		for _, d := range must(w.p.Devices(ctx, who))(w.t) {
			if d.ID == id {
				w.t.Error("the ended device came back")
			}
		}
	})
}

// TestDeviceEndsWhileSomebodyEnters: a login that comes at the same moment lies
// either beneath the device that ended, and is dead, or beneath a new one.
func TestDeviceEndsWhileSomebodyEnters(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb})
		for range 8 {
			who, desk := w.person(identity.N2), w.browser()
			a.tokens(desk, who)
			id := must(w.p.Devices(ctx, who))(w.t)[0].ID
			device := desk.cookie("__Host-suti-equipo")
			dbtest.Contend(w.t, 4, func(i int) {
				if i == 0 {
					if err := w.p.EndDevice(ctx, who, id); err != nil {
						w.t.Error(err)
					}
					return
				}
				again := w.browser()
				again.set("__Host-suti-equipo", device)
				_, _, page := again.follow(a.authorize())
				again.login(page, who)
			})
			for _, d := range must(w.p.Devices(ctx, who))(w.t) {
				if d.ID == id {
					w.t.Fatal("a session stands beneath a device that ended")
				}
			}
		}
	})
}

// TestGrantsEndTogether: of grants that end at the same moment one is the last
// and takes the client session with it.
func TestGrantsEndTogether(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, BackchannelURI: "https://app-a.example/fin"})
		for range 5 {
			who, br := w.person(identity.N2), w.browser()
			for range 4 {
				a.tokens(br, who)
			}
			app := must(w.p.Devices(ctx, who))(w.t)[0].Sessions[0].Applications[0]
			before := w.notices()
			dbtest.Contend(w.t, 4, func(i int) {
				if err := w.p.EndGrant(ctx, who, app.Grants[i].ID); err != nil {
					w.t.Error(err)
				}
			})
			if n := w.count(`SELECT count(1) FROM idp_rp_session WHERE sid = $1 AND ended_at IS NULL`, app.SID); n != 0 {
				w.t.Fatal("the client session outlived its grants")
			}
			if n := w.notices() - before; n != 4 {
				w.t.Errorf("%d notices, want one a grant", n)
			}
		}
	})
}
