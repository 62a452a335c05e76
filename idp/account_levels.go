package idp

import (
	"context"
	"errors"
	"slices"
	"time"

	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Devices returns where a person is signed in, with all that stands beneath:
// devices, their sessions, the applications entered in each, what each was
// given. The device used last comes first.
func (p *Provider) Devices(ctx context.Context, person identity.PersonID) ([]OwnDevice, error) {
	sessions, err := p.Sessions(ctx, person)
	if err != nil {
		return nil, err
	}
	apps, err := p.applications(ctx, person)
	if err != nil {
		return nil, err
	}
	var out []OwnDevice
	for _, s := range sessions {
		s.Applications = apps[s.ID]
		i := slices.IndexFunc(out, func(d OwnDevice) bool { return d.ID == s.DeviceID })
		if i < 0 {
			out, i = append(out, OwnDevice{ID: s.DeviceID}), len(out)
		}
		out[i].Sessions = append(out[i].Sessions, s)
	}
	slices.SortStableFunc(out, func(a, b OwnDevice) int { return lastSeen(b).Compare(lastSeen(a)) })
	return out, nil
}

// applications returns a person's client sessions with what was granted beneath
// each, by sign-on session.
func (p *Provider) applications(ctx context.Context, person identity.PersonID) (map[string][]OwnApplication, error) {
	out := map[string][]OwnApplication{}
	now := p.cfg.Now()
	err := p.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		list, err := store.PersonRPSessions(tx, person, now)
		if err != nil {
			return err
		}
		grants, err := store.PersonGrants(tx, person, now)
		if err != nil {
			return err
		}
		for _, r := range list {
			c, err := store.ClientByID(tx, r.Client)
			if errors.Is(err, store.ErrNotFound) {
				continue // a disabled one can do nothing
			}
			if err != nil {
				return err
			}
			a := OwnApplication{SID: r.SID, Client: c.ID, Name: c.Name, Institution: c.Institution, Since: r.CreatedAt}
			for _, g := range grants {
				if g.SID == r.SID {
					a.Grants = append(a.Grants, OwnGrant{ID: g.ID, Scopes: g.Scopes, Since: g.CreatedAt, Renewable: g.Renewable})
				}
			}
			out[r.Session] = append(out[r.Session], a)
		}
		return nil
	})
	return out, err
}

// EndDevice ends one device of the person: every session that was begun in it,
// with all beneath. [ErrNotFound] if she has no such device.
func (p *Provider) EndDevice(ctx context.Context, person identity.PersonID, id string) error {
	return hers(p.session.EndDevice(ctx, person, id))
}

// EndApplication ends one application's session beneath one of the person's
// sessions, with its grants and tokens, and tells the application. The
// permission stays. [ErrNotFound] if it is not hers or over.
func (p *Provider) EndApplication(ctx context.Context, person identity.PersonID, sid string) error {
	return hers(p.session.EndApplication(ctx, person, sid))
}

// EndGrant ends what an application was given at one entry, with its tokens, and
// tells the application, whose session ends with its last grant. [ErrNotFound] if
// it is not hers or over.
func (p *Provider) EndGrant(ctx context.Context, person identity.PersonID, id string) error {
	return hers(p.session.EndGrant(ctx, person, id))
}

func hers(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return ErrNotFound
	}
	return err
}

func lastSeen(d OwnDevice) (at time.Time) {
	for _, s := range d.Sessions {
		if s.SeenAt.After(at) {
			at = s.SeenAt
		}
	}
	return at
}
