package idp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/safehttp"
)

// backchannelEvent is the member that makes a JWT a logout token.
const backchannelEvent = "http://schemas.openid.net/event/backchannel-logout"

// Doer sends requests to applications' back-channel addresses. It MUST check
// addresses when it dials, bound time and size, and follow no redirect.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// The states of a receipt.
const (
	NoticeQueued    = "queued"    // waits for its next try
	NoticeDelivered = "delivered" // the application answered 200 or 204
	NoticeGivenUp   = "given-up"  // the last try failed; an operator may put it back
)

// The outcomes of a try.
const (
	TryDelivered   = "delivered"
	TryRefused     = "refused"       // it answered something else, see the status
	TryUnreachable = "unreachable"   // no answer: name, connection, time
	TryLeftAlone   = "breaker-open"  // not tried: its host kept failing
	TryForbidden   = "address"       // its name leads to addresses that may not be reached
	TryRedirected  = "redirect"      // it answered with another address
	TryFailed      = "not-attempted" // ours: no token could be signed
)

// Notice is the receipt of one notice to an application that a session ended.
type Notice struct {
	ID      string
	SID     string
	Address string
	Queued  time.Time
	State   string
	Done    time.Time // zero while it waits
	Tries   int       // so far
	Log     []NoticeTry
}

// NoticeTry is what became of one try, the newest first; a receipt tells of ten.
type NoticeTry struct {
	At      time.Time
	Outcome string
	Status  int // of HTTP, 0 without an answer
}

// Receipts is what became of a client's notices.
type Receipts struct {
	Queued, Delivered, GivenUp int64 // of the last 30 days
	Latest                     []Notice
}

// Receipts returns what became of the notices to a client, the latest limit of
// them one by one. [ErrUnknownClient].
func (p *Provider) Receipts(ctx context.Context, client string, limit int) (Receipts, error) {
	var out Receipts
	err := p.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		if _, err := anyClient(tx, client); err != nil {
			return err
		}
		c, err := store.CountNotices(tx, client, p.cfg.Now().Add(-keepReceipts))
		if err != nil {
			return err
		}
		list, err := store.Notices(tx, client, max(1, min(limit, 100)))
		out = Receipts{Queued: c.Queued, Delivered: c.Delivered, GivenUp: c.GivenUp}
		for _, n := range list {
			r := Notice{ID: n.ID, SID: n.SID, Address: n.Address, Queued: n.QueuedAt, State: n.State, Done: n.DoneAt, Tries: int(n.Tries)}
			for _, t := range n.Log {
				r.Log = append(r.Log, NoticeTry{t.At, t.Outcome, t.Status})
			}
			out.Latest = append(out.Latest, r)
		}
		return err
	})
	return out, err
}

// BackchannelHandler returns the outbox handler that tells applications of
// ended sessions (Back-Channel Logout 1.0 §2.5), with a fresh token per try, and
// keeps the receipts. It is idempotent for the application, which ends a session
// that ended already.
func (p *Provider) BackchannelHandler(client Doer) (topic string, handle func(context.Context, outbox.Message) error) {
	return session.TopicBackchannel, func(ctx context.Context, m outbox.Message) error {
		var n session.Notice
		if err := json.Unmarshal(m.Payload, &n); err != nil {
			return fmt.Errorf("idp: back-channel notice: %w", err)
		}
		outcome, status, failed := p.tell(ctx, client, n)
		if failed != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
			return failed // the server is stopping: not a try
		}
		err := p.cfg.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
			return store.RecordTry(tx, m.ID, outcome, status, failed == nil, p.cfg.Now())
		})
		return errors.Join(failed, err)
	}
}

// BackchannelGivenUp closes the receipt of a notice that the outbox gives up; it
// belongs into outbox.Config.GivenUp.
func (p *Provider) BackchannelGivenUp(tx *db.Tx, m outbox.Message) error {
	return store.GiveUpNotice(tx, m.ID, p.cfg.Now())
}

// tell sends one logout token.
func (p *Provider) tell(ctx context.Context, client Doer, n session.Notice) (outcome string, status int, err error) {
	token, err := p.logoutToken(ctx, n)
	if err != nil {
		return TryFailed, 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.Address, strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
	if err != nil {
		return TryFailed, 0, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := client.Do(req)
	if err != nil {
		return outcomeOf(err), 0, err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusNoContent {
		return TryRefused, res.StatusCode, fmt.Errorf("idp: application answered status %d to a logout token", res.StatusCode)
	}
	return TryDelivered, res.StatusCode, nil
}

// outcomeOf names in one word why nothing was answered.
func outcomeOf(err error) string {
	var open *safehttp.OpenError
	switch {
	case errors.As(err, &open):
		return TryLeftAlone
	case errors.Is(err, safehttp.ErrAddress), errors.Is(err, safehttp.ErrURL):
		return TryForbidden
	case errors.Is(err, safehttp.ErrRedirect):
		return TryRedirected
	}
	return TryUnreachable
}

func (p *Provider) logoutToken(ctx context.Context, n session.Notice) (string, error) {
	now, alg := p.cfg.Now(), ""
	if err := p.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		alg, err = store.IDTokenAlg(tx, n.Client)
		return err
	}); err != nil {
		return "", err
	}
	return p.keys.Sign(ctx, alg, "logout+jwt", map[string]any{
		"iss": p.cfg.Issuer, "aud": n.Client, "sub": n.Sub, "sid": n.SID, "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": random256(),
		"events": map[string]any{backchannelEvent: map[string]any{}},
	})
}
