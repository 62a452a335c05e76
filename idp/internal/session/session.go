// Package session keeps single sign-on: who is signed in in a browser, what
// that proves now, and how it ends. The cookie's secret changes at every
// authentication; the assurance level is computed from the session's events
// each time and never stored. Ending a session ends everything beneath it in
// one statement and queues the notices to applications in the same transaction.
// Only idp's packages may import it.
package session

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp/internal/live"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/outbox"
)

// CookieName is the sign-on cookie: host-only, secure, out of reach of scripts.
const CookieName = "__Host-suti-sesion"

// DeviceCookie knows a browser again, so that a person can end all that she
// began in it at once. It proves nothing and opens nothing.
const DeviceCookie = "__Host-suti-equipo"

// deviceLife is how long an own device is known again, in seconds; browsers keep
// no cookie longer. A shared one is forgotten when the browser closes.
const deviceLife = 400 * 24 * 3600

// TopicBackchannel is the outbox topic of notices that a client's session ended.
const TopicBackchannel = "idp.backchannel"

// Limits of a session on a person's own device and on a shared one (D27).
const (
	OwnIdle        = 60 * time.Minute
	OwnAbsolute    = 24 * time.Hour
	SharedIdle     = 10 * time.Minute
	SharedAbsolute = time.Hour
	touchEvery     = time.Minute
)

// ErrNone reports a browser without a live session.
var ErrNone = errors.New("idp: no session")

// Directory tells what is known of people.
type Directory interface {
	// Profile returns a person's present profile. It MUST fail for an unknown person.
	Profile(ctx context.Context, person identity.PersonID) (identity.Profile, error)
}

// Config configures New; DB, Live, Audit and Directory are needed.
type Config struct {
	DB        *db.DB
	Live      *live.Follower
	Audit     *audit.Log
	Directory Directory
	// DeviceBoundN3 lets only device-bound, attested passkeys reach N3.
	DeviceBoundN3 bool
	Now           func() time.Time
}

// Manager is single sign-on. It is safe for concurrent use.
type Manager struct{ cfg Config }

// New checks the configuration.
func New(c Config) (*Manager, error) {
	if c.DB == nil || c.Live == nil || c.Audit == nil || c.Directory == nil {
		return nil, errors.New("idp: session needs DB, Audit and Directory")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Manager{c}, nil
}

// Random256 returns 256 random bits in base64url.
func Random256() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Current returns the live session of the request's browser, or ErrNone.
func (m *Manager) Current(r *http.Request) (*store.Session, error) {
	ck, err := r.Cookie(CookieName)
	if err != nil || len(ck.Value) != 43 {
		return nil, ErrNone
	}
	ctx, now := r.Context(), m.cfg.Now()
	var s *store.Session
	err = m.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		s, err = store.SessionBySecret(tx, store.Hash("session", ck.Value), now)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, err
	}
	if now.Sub(s.SeenAt) >= touchEvery {
		if err := m.cfg.DB.Write(ctx, func(tx *db.Tx) error { return store.TouchSession(tx, s.ID, now) }); err != nil {
			return nil, err
		}
		s.SeenAt = now
	}
	return s, nil
}

// Held returns the session that the browser's cookie names unless it was ended:
// also one that lapsed and so is no [Manager.Current] one. Leaving, and entering
// as somebody else, end it with what lies beneath. ErrNone without one.
func (m *Manager) Held(r *http.Request) (*store.Session, error) {
	ck, err := r.Cookie(CookieName)
	if err != nil || len(ck.Value) != 43 {
		return nil, ErrNone
	}
	var s *store.Session
	err = m.cfg.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		s, err = store.SessionHeld(tx, store.Hash("session", ck.Value))
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNone
	}
	return s, err
}

// Establish records an authentication: in the person's session of this browser,
// also if it was idle, or in a new one, after ending another person's. Either
// way the cookie is fresh and the old one dead.
func (m *Manager) Establish(w http.ResponseWriter, r *http.Request, a identity.Authentication, shared bool) (*store.Session, error) {
	old, err := m.Held(r)
	if err != nil && !errors.Is(err, ErrNone) {
		return nil, err
	}
	if old != nil && old.Person == a.Person && old.Epoch == a.Epoch && old.Shared == shared && m.cfg.Now().Before(old.ExpiresAt) {
		s, err := m.record(w, r, old, a, shared)
		if !errors.Is(err, store.ErrSpent) {
			return s, err
		} // it ended meanwhile: begin anew
	}
	if old != nil {
		if err := m.End(r.Context(), old, "replaced"); err != nil {
			return nil, err
		}
	}
	return m.record(w, r, nil, a, shared)
}

// record stores an authentication in the session, or in a new one if old is nil.
func (m *Manager) record(w http.ResponseWriter, r *http.Request, old *store.Session, a identity.Authentication, shared bool) (*store.Session, error) {
	ctx, now := r.Context(), m.cfg.Now()
	entry, err := m.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.authenticated", Subject: a.Person, Actor: string(a.Person), Outcome: "ok",
		Payload: map[string]any{"method": a.Method, "credential": a.Credential, "user_verified": a.UserVerified, "device_bound": a.DeviceBound, "shared": shared, "device": Device(r)},
	})
	if err != nil {
		return nil, err
	}
	secret, eventID := Random256(), identity.NewID("evt", now)
	hash := store.Hash("session", secret)
	device, deviceID := deviceSecret(r), store.NewDeviceID(now)
	s := old
	if s == nil {
		s = fresh(a, shared, Device(r), now)
	}
	err = m.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if old == nil {
			var err error
			if s.DeviceID, err = store.UseDevice(tx, deviceID, store.Hash("device", device), a.Person, now); err != nil {
				return err
			}
			if err := store.InsertSession(tx, s, hash); err != nil {
				return err
			}
		} else if err := store.RotateSecret(tx, s.ID, hash, now); err != nil {
			return err
		}
		if err := store.InsertEvent(tx, eventID, s.ID, a); err != nil {
			return err
		}
		_, err := m.cfg.Audit.Append(tx, entry)
		return err
	})
	if err != nil {
		return nil, err
	}
	cookie(w, CookieName, secret, int(OwnAbsolute/time.Second), shared)
	if old == nil {
		cookie(w, DeviceCookie, device, deviceLife, shared)
	}
	return s, nil
}

// deviceSecret is what the browser is known by, or a fresh one.
func deviceSecret(r *http.Request) string {
	if ck, err := r.Cookie(DeviceCookie); err == nil && len(ck.Value) == 43 {
		return ck.Value
	}
	return Random256()
}

func fresh(a identity.Authentication, shared bool, device string, now time.Time) *store.Session {
	s := &store.Session{
		ID: identity.NewID("ses", now), Person: a.Person, Epoch: a.Epoch, Device: device, Shared: shared,
		CreatedAt: now, SeenAt: now, Idle: OwnIdle, ExpiresAt: now.Add(OwnAbsolute),
	}
	if shared {
		s.Idle, s.ExpiresAt = SharedIdle, now.Add(SharedAbsolute)
	}
	return s
}

// cookie sets a cookie for so many seconds. On a shared device it ends with the browser.
func cookie(w http.ResponseWriter, name, value string, seconds int, shared bool) {
	ck := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: seconds}
	if shared {
		ck.MaxAge = 0
	}
	http.SetCookie(w, ck)
}

// Forget removes the cookie.
func Forget(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{Name: CookieName, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
}

// Device says in a few words what browser this is, for the person's own list.
func Device(r *http.Request) string {
	ua := r.UserAgent()
	os, browser := "otro sistema", "otro navegador"
	for _, c := range []struct{ mark, name string }{{"Android", "Android"}, {"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Windows", "Windows"}, {"Mac OS X", "Mac"}, {"Linux", "Linux"}} {
		if strings.Contains(ua, c.mark) {
			os = c.name
			break
		}
	}
	for _, c := range []struct{ mark, name string }{{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"}} {
		if strings.Contains(ua, c.mark) {
			browser = c.name
			break
		}
	}
	return browser + ", " + os
}

// Notice is the payload of TopicBackchannel: which client is to be told what.
type Notice struct {
	Client  string `json:"client"`
	Address string `json:"address"`
	SID     string `json:"sid"`
	Sub     string `json:"sub"`
}

// End ends a session and everything beneath it, and queues the notices to the
// applications that asked for them. Ending twice is no error.
func (m *Manager) End(ctx context.Context, s *store.Session, why string) error {
	entry, err := m.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "idp.logout", Subject: s.Person, Actor: string(s.Person), Object: s.ID, Outcome: "ended", Payload: map[string]any{"why": why}})
	if err != nil {
		return err
	}
	now := m.cfg.Now()
	err = m.cfg.Live.Write(ctx, func(tx *db.Tx) error {
		ended, err := store.EndSession(tx, s.ID, why, now)
		if err != nil || !ended {
			return err
		}
		if err := notify(tx, s.ID, now); err != nil {
			return err
		}
		_, err = m.cfg.Audit.Append(tx, entry)
		return err
	})
	if err != nil {
		return err
	}
	return failpoint.Hit(failpoint.LogoutAfterCommit)
}

// notify queues a notice for each application with a back-channel address that
// the session reached.
func notify(tx *db.Tx, session string, now time.Time) error {
	targets, err := store.BackchannelTargets(tx, session)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if err := putNotice(tx, "bcl-"+t.SID, t, now); err != nil {
			return err
		}
	}
	return nil
}

// putNotice queues a notice. There is no order between notices: one that an
// application refuses holds up no other.
func putNotice(tx *db.Tx, id string, t store.BackchannelTarget, now time.Time) error {
	if t.Address == "" || t.Sub == "" {
		return nil
	}
	raw, err := json.Marshal(Notice{Client: t.Client, Address: t.Address, SID: t.SID, Sub: t.Sub})
	if err != nil {
		return err
	}
	if err := store.InsertNotice(tx, &store.Notice{ID: id, Client: t.Client, SID: t.SID, Address: t.Address, QueuedAt: now}); err != nil {
		return err
	}
	return outbox.Put(tx, outbox.Message{ID: id, Topic: TopicBackchannel, Payload: raw, NotBefore: now})
}

// EndClient ends one client's session with its tokens, as that client asked
// by a logout from a browser that holds no session. Ending twice is no error.
func (m *Manager) EndClient(ctx context.Context, rp *store.RPSession) error {
	var person identity.PersonID
	if err := m.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		person, err = store.SIDOwner(tx, rp.SID)
		return err
	}); err != nil {
		return err
	}
	entry, err := m.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "idp.logout", Subject: person, Actor: rp.Client, Client: rp.Client, Object: rp.Session, Outcome: "ended", Payload: map[string]any{"why": "client"}})
	if err != nil {
		return err
	}
	now := m.cfg.Now()
	err = m.cfg.Live.Write(ctx, func(tx *db.Tx) error {
		ended, err := store.EndRPSession(tx, rp.SID, "client", now)
		if err != nil || !ended {
			return err
		}
		_, err = m.cfg.Audit.Append(tx, entry)
		return err
	})
	if err != nil {
		return err
	}
	return failpoint.Hit(failpoint.LogoutAfterCommit)
}

// EndPerson ends every session of a person whose epoch has moved on: the
// consumer of subject changes. It is idempotent.
func (m *Manager) EndPerson(ctx context.Context, person identity.PersonID, why string) error {
	entry, err := m.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "idp.logout", Subject: person, Actor: "service:idp", Outcome: "ended", Payload: map[string]any{"why": why}})
	if err != nil {
		return err
	}
	now := m.cfg.Now()
	return m.cfg.Live.Write(ctx, func(tx *db.Tx) error {
		ids, err := store.EndStaleSessions(tx, person, why, now)
		if err != nil || len(ids) == 0 {
			return err
		}
		for _, id := range ids {
			if err := notify(tx, id, now); err != nil {
				return err
			}
		}
		_, err = m.cfg.Audit.Append(tx, entry)
		return err
	})
}
