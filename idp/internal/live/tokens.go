package live

import (
	"context"
	"encoding/hex"

	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
)

// maxTokens is how many tokens of a kind are kept.
const maxTokens = 50_000

// Tokens keeps tokens that live. It is safe for concurrent use.
type Tokens struct {
	f       *Follower
	cache   *Cache[token]
	refresh *Cache[family]
}

type family struct {
	refresh *store.Refresh
	grant   *store.Grant
	alive   bool
}

type token struct {
	access *store.Access
	grant  *store.Grant
}

// NewTokens returns an empty cache.
func NewTokens(f *Follower) *Tokens {
	return &Tokens{f, NewCache[token](f, maxTokens), NewCache[family](f, maxTokens)}
}

// RefreshByHash is store.RefreshByHash for tokens that are not rotated: nothing
// of them changes but the idle limit, which only moves away. What uses one has a
// condition of its own, in the statement that moves it.
func (c *Tokens) RefreshByHash(ctx context.Context, hash []byte) (*store.Refresh, *store.Grant, bool, error) {
	t, err := c.refresh.Get(hex.EncodeToString(hash), func() (v Value[family], err error) {
		now := c.f.cfg.Now()
		err = c.f.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
			v.Value.refresh, v.Value.grant, v.Value.alive, err = store.RefreshByHash(tx, hash, now)
			return err
		})
		if err != nil {
			return v, err
		}
		if v.Until = v.Value.refresh.IdleUntil; !v.Value.alive {
			v.Until = now // not kept
		}
		v.Needs = grantNeeds(v.Value.grant)
		return v, nil
	})
	if err != nil {
		return nil, nil, false, err
	}
	r, g := *t.refresh, *t.grant
	return &r, &g, t.alive, nil
}

func grantNeeds(g *store.Grant) []string {
	return []string{Grant(g.ID), SID(g.SID), Session(g.Session), Client(g.Client), Person(string(g.Person))}
}

// ByHash is store.LiveAccess.
func (c *Tokens) ByHash(ctx context.Context, hash []byte) (*store.Access, *store.Grant, error) {
	name := hex.EncodeToString(hash)
	t, err := c.cache.Get(name, func() (v Value[token], err error) {
		err = c.f.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
			v.Value.access, v.Value.grant, v.Until, err = store.LiveAccess(tx, hash, c.f.cfg.Now())
			return err
		})
		if err != nil {
			return v, err
		}
		v.Needs = []string{Access(name), Client(v.Value.access.Client)}
		if g := v.Value.grant; g != nil {
			v.Needs = append(v.Needs, grantNeeds(g)...)
		}
		return v, nil
	})
	if err != nil {
		return nil, nil, err
	}
	a := *t.access
	if t.grant == nil {
		return &a, nil, nil
	}
	g := *t.grant
	return &a, &g, nil
}
