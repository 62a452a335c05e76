package session

import (
	"context"
	"time"

	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
)

// What a person does to her own sessions and permissions. Each takes authority
// away and gives none, so that none of them requires the present epoch.

// Of returns the sessions of a person that stand, newest first.
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
	err = m.cfg.Live.Write(ctx, func(tx *db.Tx) error {
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

// EndDevice ends a device of the person with every session that was begun in it.
// store.ErrNotFound if she has no such device.
func (m *Manager) EndDevice(ctx context.Context, person identity.PersonID, id string) error {
	entry, err := m.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.logout", Subject: person, Actor: string(person), Object: id, Outcome: "ended", Payload: map[string]any{"why": "own-device"},
	})
	if err != nil {
		return err
	}
	now := m.cfg.Now()
	err = m.cfg.Live.Write(ctx, func(tx *db.Tx) error {
		ids, err := store.EndDevice(tx, person, id, "own-device", now)
		if err != nil {
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
		return err
	}
	return failpoint.Hit(failpoint.LogoutAfterCommit)
}

// EndApplication ends one client session of the person with what was granted
// beneath it, and queues the notice. store.ErrNotFound if it is not hers or over.
func (m *Manager) EndApplication(ctx context.Context, person identity.PersonID, sid string) error {
	return m.endBeneath(ctx, person, sid, sid, "own-application", func(tx *db.Tx, t store.BackchannelTarget, now time.Time) error {
		ended, err := store.EndRPSession(tx, sid, "own-application", now)
		if err == nil && !ended {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		return putNotice(tx, "bcl-"+sid, t, now)
	})
}

// EndGrant ends one grant of the person with its tokens and tells the
// application, whose session may stand on it. The client session ends with the
// last grant beneath it. store.ErrNotFound if it is not hers or over.
func (m *Manager) EndGrant(ctx context.Context, person identity.PersonID, id string) error {
	var sid string
	if err := m.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		sid, err = store.GrantSID(tx, person, id)
		return err
	}); err != nil {
		return err
	}
	return m.endBeneath(ctx, person, sid, id, "own-grant", func(tx *db.Tx, t store.BackchannelTarget, now time.Time) error {
		if err := store.HoldRPSession(tx, sid); err != nil {
			return err
		}
		ended, err := store.RevokeGrant(tx, id, "own", now)
		if err == nil && !ended {
			err = store.ErrNotFound
		}
		if err != nil {
			return err
		}
		used, err := store.SIDInUse(tx, sid, now)
		if err != nil {
			return err
		}
		if used {
			return putNotice(tx, "bcl-"+id, t, now)
		}
		if _, err := store.EndRPSession(tx, sid, "own-grant", now); err != nil {
			return err
		}
		return putNotice(tx, "bcl-"+sid, t, now)
	})
}

// endBeneath ends something beneath a session of the person, with one entry.
func (m *Manager) endBeneath(ctx context.Context, person identity.PersonID, sid, object, why string, end func(*db.Tx, store.BackchannelTarget, time.Time) error) error {
	var c *store.Client
	if err := m.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		t, err := store.SIDTarget(tx, person, sid)
		if err == nil {
			c, err = store.AnyClient(tx, t.Client)
		}
		return err
	}); err != nil {
		return err
	}
	entry, err := m.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.logout", Subject: person, Actor: string(person), Client: c.ID, Institution: string(c.Institution), Object: object, Outcome: "ended",
		Payload: map[string]any{"why": why, "application": c.Name},
	})
	if err != nil {
		return err
	}
	now := m.cfg.Now()
	err = m.cfg.Live.Write(ctx, func(tx *db.Tx) error {
		t, err := store.SIDTarget(tx, person, sid)
		if err != nil {
			return err
		}
		if err := end(tx, t, now); err != nil {
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
	err = m.cfg.Live.Write(ctx, func(tx *db.Tx) error {
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
			if err := putNotice(tx, "bcl-"+t.SID, t, now); err != nil {
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
