package idp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/idp/internal/client"
	"oruro.gob.bo/suti/idp/internal/flow"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
)

// MaxOverlap is how long the secrets before the newest may go on at most.
const MaxOverlap = 30 * 24 * time.Hour

// ErrUnknownClient reports a client that is not registered.
var ErrUnknownClient = errors.New("idp: no such client")

// ErrClientState reports a client that is disabled, or enabled, already.
var ErrClientState = errors.New("idp: client is in that state already")

// Registered is a client with what happened since its registration.
type Registered struct {
	Client
	Created  time.Time
	Disabled time.Time // zero while it may be used
	Version  int64     // grows by one with every change
	Secrets  []Secret  // that are accepted now, oldest first
}

// Secret is when a client secret was drawn and until when it is accepted.
type Secret struct{ Created, Expires time.Time }

// Registry returns every registered client, the disabled ones too, by id.
func (p *Provider) Registry(ctx context.Context) ([]Registered, error) {
	var out []Registered
	err := p.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		list, err := store.Clients(tx)
		out = make([]Registered, 0, len(list))
		for _, c := range list {
			if c.ID == flow.LocalClient {
				continue
			}
			r, err := p.registered(tx, c)
			if err != nil {
				return err
			}
			out = append(out, r)
		}
		return err
	})
	return out, err
}

// RegisteredClient returns one client, also a disabled one, or [ErrUnknownClient].
func (p *Provider) RegisteredClient(ctx context.Context, id string) (Registered, error) {
	var out Registered
	err := p.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		c, err := anyClient(tx, id)
		if err == nil {
			out, err = p.registered(tx, c)
		}
		return err
	})
	return out, err
}

func (p *Provider) registered(q db.Querier, c *store.Client) (Registered, error) {
	lives, err := store.SecretLives(q, c.ID, p.cfg.Now())
	r := Registered{Created: c.CreatedAt, Disabled: c.DisabledAt, Version: c.Version, Client: Client{
		ID: c.ID, Institution: c.Institution, Sector: c.Sector, Profile: c.Profile, Name: c.Name, AuthMethod: c.AuthMethod, JWKS: c.JWKS,
		RedirectURIs: c.RedirectURIs, PostLogoutURIs: c.PostLogoutURIs, Scopes: c.Scopes, Grants: c.Grants, IDTokenAlg: c.IDTokenAlg, UserInfoAlg: c.UserInfoAlg,
		ResponseAlg: c.ResponseAlg, IntrospectionAlg: c.IntrospectionAlg, IDTokenEncryption: c.IDTokenEncryption, UserInfoEncryption: c.UserInfoEncryption, TLSSubject: c.TLSSubject, CertBound: c.CertBound, SignedRequests: c.SignedRequests, BackchannelURI: c.BackchannelURI, DPoP: c.DPoP, Waivers: c.Waivers,
		AccessTokens: c.TokenFormat, Resources: c.Resources, Serves: c.Serves, Exchanges: c.Exchanges, DetailTypes: c.DetailTypes,
		JWKSURI: c.JWKSURI, FrontchannelURI: c.FrontchannelURI, FrontchannelSID: c.FrontchannelSID,
	}}
	for _, l := range lives {
		r.Secrets = append(r.Secrets, Secret(l))
	}
	return r, err
}

// anyClient returns a client of the registry, or ErrUnknownClient; the provider's own
// pages are no such client.
func anyClient(q db.Querier, id string) (*store.Client, error) {
	if id == flow.LocalClient {
		return nil, ErrUnknownClient
	}
	c, err := store.AnyClient(q, id)
	if errors.Is(err, store.ErrNotFound) {
		err = ErrUnknownClient
	}
	return c, err
}

// RotateSecret draws another secret for a client that authenticates by secret
// and returns it; it is stored nowhere in clear. The earlier ones are accepted
// for overlap more, at most [MaxOverlap]; with zero they end at once. actor is as
// in audit entries. Errors: [ErrUnknownClient]; [ErrClient] if the client has no
// secret or the overlap is out of range.
func (p *Provider) RotateSecret(ctx context.Context, actor, id string, overlap time.Duration) (string, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return "", bad("the earlier secret may go on for %v at most", MaxOverlap)
	}
	secret, now := client.NewSecret(), p.cfg.Now()
	hash := p.clients.HashSecret(id, secret)
	err := p.change(ctx, actor, id, "idp.client.secret-rotated", map[string]any{"overlap_seconds": int64(overlap / time.Second)}, func(tx *db.Tx, c *store.Client) error {
		if c.AuthMethod != "client_secret_basic" && c.AuthMethod != "client_secret_post" {
			return bad("%s authenticates by %s and has no secret", id, c.AuthMethod)
		}
		if err := store.LimitSecrets(tx, id, now.Add(overlap)); err != nil {
			return err
		}
		return store.InsertSecret(tx, id, hash, now, now.Add(secretLifetime))
	})
	if err != nil {
		return "", err
	}
	return secret, nil
}

// SetKeys replaces the public JWK Set of a client that authenticates by key.
// Errors: [ErrUnknownClient]; [ErrClient] if the client has no keys or these cannot be
// registered.
func (p *Provider) SetKeys(ctx context.Context, actor, id, jwks string) error {
	return p.change(ctx, actor, id, "idp.client.keys-changed", map[string]any{"jwks": jwks}, func(tx *db.Tx, c *store.Client) error {
		if c.JWKS == "" {
			return bad("%s authenticates by %s and has no keys", id, c.AuthMethod)
		}
		if err := checkKeySet(c, jwks); err != nil {
			return err
		}
		return store.SetKeys(tx, id, jwks)
	})
}

// DisableClient ends a client until it is enabled: with the commit its codes,
// tokens and sessions are dead and it is refused everywhere. Errors:
// [ErrUnknownClient], [ErrClientState].
func (p *Provider) DisableClient(ctx context.Context, actor, id, why string) error {
	return p.change(ctx, actor, id, "idp.client.disabled", map[string]any{"why": why}, func(tx *db.Tx, _ *store.Client) error {
		return already(store.DisableClient(tx, id, p.cfg.Now()))
	})
}

// EnableClient brings a disabled client back. What was granted through it before
// stays dead: people enter anew. Errors: [ErrUnknownClient], [ErrClientState].
func (p *Provider) EnableClient(ctx context.Context, actor, id string) error {
	return p.change(ctx, actor, id, "idp.client.enabled", nil, func(tx *db.Tx, _ *store.Client) error {
		return already(store.EnableClient(tx, id, p.cfg.Now()))
	})
}

func already(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return ErrClientState
	}
	return err
}

// change alters one client, with its audit entry in the same transaction.
func (p *Provider) change(ctx context.Context, actor, id, kind string, payload map[string]any, fn func(*db.Tx, *store.Client) error) error {
	c, err := p.RegisteredClient(ctx, id)
	if err != nil {
		return err
	}
	e := audit.Entry{Kind: kind, Actor: actor, Client: id, Institution: string(c.Institution), Object: id, Outcome: audit.OutcomeOK}
	if payload != nil {
		e.Payload = payload
	}
	entry, err := p.cfg.Audit.Prepare(ctx, e)
	if err != nil {
		return fmt.Errorf("client %s: %w", id, err)
	}
	return p.live.Write(ctx, func(tx *db.Tx) error {
		c, err := anyClient(tx, id)
		if err != nil {
			return err
		}
		if err := fn(tx, c); err != nil {
			return err
		}
		_, err = p.cfg.Audit.Append(tx, entry)
		return err
	})
}
