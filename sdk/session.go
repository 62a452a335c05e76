package sdk

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"time"
)

// User is the person signed in at this application.
type User struct {
	Subject   string
	SessionID string // the provider's sid
	ACR       string
	AMR       []string
	AuthTime  time.Time
	Claims    map[string]json.RawMessage // of the ID token
}

// Claim returns a claim that is a string, or "".
func (u *User) Claim(name string) string {
	var s string
	if json.Unmarshal(u.Claims[name], &s) != nil {
		return ""
	}
	return s
}

type userKey struct{}

// UserFrom returns the person of a request that passed RequireLogin, or nil.
func UserFrom(ctx context.Context) *User {
	u, _ := ctx.Value(userKey{}).(*User)
	return u
}

// session is what the store holds for a signed-in browser.
type session struct {
	User    User
	IDToken string // the id_token_hint of logout
	Created time.Time
	Seen    time.Time
}

// token256 returns 256 random bits, base64url.
func token256() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return b64().EncodeToString(b[:])
}

// keyOf hides a bearer value from whoever can read the store.
func keyOf(kind, value string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + value))
	return kind + ":" + b64().EncodeToString(sum[:])
}

func (c *Client) setCookie(w http.ResponseWriter, name, value string, maxAge time.Duration) {
	ck := &http.Cookie{Name: name, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(maxAge / time.Second)}
	if value == "" {
		ck.MaxAge = -1
	}
	http.SetCookie(w, ck)
}

// load returns the live session of the request. A session ends by its limits
// or because the provider said so by back-channel logout.
func (c *Client) load(r *http.Request) (*session, string, error) {
	ck, err := r.Cookie(c.cookie)
	if err != nil || len(ck.Value) > 64 {
		return nil, "", ErrNoSession
	}
	ctx := r.Context()
	key := keyOf("session", ck.Value)
	raw, ok, err := c.cfg.Store.Get(ctx, key)
	if err != nil {
		return nil, "", err
	}
	var s session
	if !ok || json.Unmarshal(raw, &s) != nil {
		return nil, "", ErrNoSession
	}
	now := c.cfg.Now()
	if now.Sub(s.Seen) >= c.cfg.Idle || now.Sub(s.Created) >= c.cfg.Absolute {
		return nil, "", ErrNoSession
	}
	ended, err := c.ended(ctx, key, &s)
	if err != nil || ended {
		return nil, "", errOr(err, ErrNoSession)
	}
	if now.Sub(s.Seen) > time.Minute {
		s.Seen = now
		if err := c.save(ctx, key, &s); err != nil {
			return nil, "", err
		}
	}
	return &s, ck.Value, nil
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// endSession makes a session unusable for good: the mark outlives the session,
// so that a request under way, which writes back when it was last seen, cannot
// bring it to life again.
func (c *Client) endSession(ctx context.Context, id string) error {
	key := keyOf("session", id)
	if err := c.cfg.Store.Put(ctx, keyOf("ended-session", key), []byte("1"), c.cfg.Absolute+time.Minute); err != nil {
		return err
	}
	_, _, err := c.cfg.Store.Take(ctx, key)
	return err
}

// ended reports whether the person left, or the provider ended the session or
// all of the person's.
func (c *Client) ended(ctx context.Context, key string, s *session) (bool, error) {
	if _, ok, err := c.cfg.Store.Get(ctx, keyOf("ended-session", key)); err != nil || ok {
		return ok, err
	}
	if s.User.SessionID != "" {
		if _, ok, err := c.cfg.Store.Get(ctx, keyOf("ended-sid", s.User.SessionID)); err != nil || ok {
			return ok, err
		}
	}
	raw, ok, err := c.cfg.Store.Get(ctx, keyOf("ended-sub", s.User.Subject))
	if err != nil || !ok {
		return false, err
	}
	var at time.Time
	return json.Unmarshal(raw, &at) != nil || !s.Created.After(at), nil
}

func (c *Client) save(ctx context.Context, key string, s *session) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return c.cfg.Store.Put(ctx, key, raw, c.cfg.Absolute)
}
