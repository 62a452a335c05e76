package client

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
)

// Fetcher reads public documents of others. It MUST check addresses when it
// dials, bound time and size, and follow no redirect.
type Fetcher interface {
	Fetch(ctx context.Context, address, accept string) ([]byte, error)
}

const (
	// keysInterval is how often at most a client's keys are read, over all nodes.
	keysInterval = time.Minute
	// keysFresh is how long keys that were read are not asked for again without need.
	keysFresh = time.Hour
	// keysLast is how long they count when the client's address does not answer.
	keysLast = 24 * time.Hour
)

// ErrKeysGone reports keys that could not be read for too long.
var ErrKeysGone = errors.New("idp: the client's published keys could not be read for a day")

// flight is one reading under way on this node.
type flight struct {
	done chan struct{}
	keys string // "" if nothing was read
}

// Read reads keys at an address and checks them. The error of bad keys wraps [ErrKeys].
func (a *Authenticator) Read(ctx context.Context, address string) (string, error) {
	if a.cfg.Fetcher == nil {
		return "", errors.Join(ErrKeys, errors.New("this server reads no published keys"))
	}
	raw, err := a.cfg.Fetcher.Fetch(ctx, address, "application/jwk-set+json, application/json")
	if err != nil {
		return "", err
	}
	return string(raw), CheckKeys(string(raw))
}

// FreshKeys brings the keys of a client that publishes them up to date if they
// are old, or if token names one that is not among them, and sets c.JWKS. They
// are read at most once a minute over all nodes; callers at the same time wait
// for the one reading. ErrKeysGone once they are too old to count.
func (a *Authenticator) FreshKeys(ctx context.Context, c *store.Client, token string) error {
	if c.JWKSURI == "" {
		return nil
	}
	age := a.cfg.Now().Sub(c.JWKSReadAt)
	if age < keysFresh && knows(c.JWKS, kidOf(token)) {
		return nil
	}
	if keys, err := a.refresh(ctx, c); err != nil {
		return err
	} else if keys != "" {
		c.JWKS = keys
		return nil
	}
	if age > keysLast {
		return ErrKeysGone
	}
	return nil
}

// refresh returns the client's newest keys, "" if none newer could be had.
func (a *Authenticator) refresh(ctx context.Context, c *store.Client) (string, error) {
	a.mu.Lock()
	f, under := a.flights[c.ID]
	if !under {
		f = &flight{done: make(chan struct{})}
		a.flights[c.ID] = f
	}
	a.mu.Unlock()
	if under {
		select {
		case <-f.done:
			return f.keys, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	defer func() {
		a.mu.Lock()
		delete(a.flights, c.ID)
		a.mu.Unlock()
		close(f.done)
	}()
	// The reading serves all who wait: it does not end with the first of them.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	var err error
	f.keys, err = a.readAgain(ctx, c)
	return f.keys, err
}

func (a *Authenticator) readAgain(ctx context.Context, c *store.Client) (string, error) {
	now, mine := a.cfg.Now(), false
	var latest *store.Client
	if err := a.cfg.DB.Write(ctx, func(tx *db.Tx) (err error) {
		if mine, err = store.ClaimKeys(tx, c.ID, now.Add(-keysInterval), now); err != nil {
			return err
		}
		latest, err = store.AnyClient(tx, c.ID)
		return err
	}); err != nil {
		return "", err
	}
	if !mine { // tried a moment ago, perhaps by another node
		if latest.JWKSURI == c.JWKSURI && latest.JWKSReadAt.After(c.JWKSReadAt) {
			return latest.JWKS, nil
		}
		return "", nil
	}
	keys, err := a.Read(ctx, c.JWKSURI)
	if err != nil {
		a.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "published keys of a client could not be read", slog.String("client", c.ID), slog.Any("cause", err))
		return "", nil
	}
	entry, err := a.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.client.keys-read", Actor: "service:idp", Client: c.ID, Institution: string(c.Institution), Object: c.ID, Outcome: audit.OutcomeOK, Payload: map[string]any{"jwks": keys, "jwks_uri": c.JWKSURI},
	})
	if err != nil {
		return "", err
	}
	return keys, a.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		changed, err := store.StoreReadKeys(tx, c.ID, c.JWKSURI, keys, now)
		if err == nil && changed {
			_, err = a.cfg.Audit.Append(tx, entry)
		}
		return err
	})
}

// kidOf returns the kid in a token's header, "" if it has none.
func kidOf(token string) string {
	head, _, _ := strings.Cut(token, ".")
	var h struct {
		Kid string `json:"kid"`
	}
	if raw, err := strict64(head); err == nil {
		_ = json.Unmarshal(raw, &h) // a malformed token is refused by those who verify it
	}
	return h.Kid
}

// knows reports whether a set has a key of that id; "" asks for none.
func knows(set, kid string) bool {
	if kid == "" {
		return true
	}
	keys, err := parseSet(set)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool { return k.KeyID == kid })
}
