package session

import (
	"context"

	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
)

// What a person does to her own sessions and permissions. Each takes authority
// away and gives none, so that none of them requires the present epoch.

// Of returns the live sessions of a person, newest first.
func (m *Manager) Of(ctx context.Context, person identity.PersonID) (list []*store.Session, err error) {
	err = m.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		list, err = store.PersonSessions(tx, person, m.cfg.Now())
		return err
	})
	return list, err
}

// EndOthers ends every session of a person but keep, all if keep is empty, and
// returns how many. The change is one transaction with one entry.
func (m *Manager) EndOthers(ctx context.Context, person identity.PersonID, keep string) (n int, err error) {
	entry, err := m.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.logout", Subject: person, Actor: string(person), Outcome: "ended", Payload: map[string]any{"why": "own-all", "kept": keep != ""},
	})
	if err != nil {
		return 0, err
	}
	now := m.cfg.Now()
	err = m.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		ids, err := store.EndOtherSessions(tx, person, keep, "own-all", now)
		if n = len(ids); err != nil || n == 0 {
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
	if err != nil {
		return 0, err
	}
	return n, failpoint.Hit(failpoint.LogoutAfterCommit)
}

// Withdraw ends a person's permissions for a client, its grants with their
// tokens, and its sessions, and queues the notices. It reports whether there
// was anything to end.
func (m *Manager) Withdraw(ctx context.Context, person identity.PersonID, client *store.Client) (ended bool, err error) {
	entry, err := m.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.consent.revoked", Subject: person, Actor: string(person), Client: client.ID, Institution: string(client.Institution),
		Object: client.ID, Outcome: "revoked", Payload: map[string]any{"application": client.Name},
	})
	if err != nil {
		return false, err
	}
	now := m.cfg.Now()
	err = m.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := store.RevokeConsents(tx, string(person), client.ID, now)
		if err != nil {
			return err
		}
		targets, err := store.ClientTargets(tx, person, client.ID)
		if err != nil {
			return err
		}
		for _, t := range targets {
			if _, err := store.EndRPSession(tx, t.SID, "consent", now); err != nil {
				return err
			}
			if t.Address == "" || t.Sub == "" {
				continue
			}
			if err := putNotice(tx, t, now); err != nil {
				return err
			}
		}
		if ended = n > 0 || len(targets) > 0; !ended {
			return nil
		}
		_, err = m.cfg.Audit.Append(tx, entry)
		return err
	})
	return ended, err
}
