package live

import (
	"context"
	"time"

	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
)

// maxClients is how many clients are kept.
const maxClients = 10_000

// Clients keeps registrations with the secrets that prove them. It is safe for
// concurrent use.
type Clients struct {
	f     *Follower
	cache *Cache[*registered]
}

type registered struct {
	client  *store.Client
	secrets []store.Secret
}

// NewClients returns an empty cache.
func NewClients(f *Follower) *Clients {
	return &Clients{f, NewCache[*registered](f, maxClients)}
}

// ByID returns a client that is not disabled, or store.ErrNotFound.
func (c *Clients) ByID(ctx context.Context, id string) (*store.Client, error) {
	r, err := c.get(ctx, id)
	if err != nil {
		return nil, err
	}
	own := *r.client
	return &own, nil
}

// WithSecrets is ByID with the HMACs of the client's secrets that live at now.
func (c *Clients) WithSecrets(ctx context.Context, id string, now time.Time) (*store.Client, [][]byte, error) {
	r, err := c.get(ctx, id)
	if err != nil {
		return nil, nil, err
	}
	var out [][]byte
	for _, s := range r.secrets {
		if now.Before(s.Expires) {
			out = append(out, s.Hash)
		}
	}
	own := *r.client
	return &own, out, nil
}

func (c *Clients) get(ctx context.Context, id string) (*registered, error) {
	return c.cache.Get(id, func() (v Value[*registered], err error) {
		r := &registered{}
		err = c.f.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
			if r.client, err = store.ClientByID(tx, id); err != nil || r.client.Public() || r.client.AuthMethod == "private_key_jwt" {
				return err
			}
			r.secrets, err = store.Secrets(tx, id, c.f.cfg.Now())
			return err
		})
		return Value[*registered]{Value: r, Needs: []string{Client(id)}}, err
	})
}
