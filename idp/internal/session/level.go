package session

import (
	"context"
	"time"

	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Assurance is what a session proves at one moment.
type Assurance struct {
	Level             identity.Level
	PhishingResistant bool
	AMR               []string
	AuthTime          time.Time // of the authentication that carries Level; zero if there is none
	Newest            time.Time // of the newest authentication that counted, whatever its strength
}

// ACR returns the acr claim of the level.
func (a Assurance) ACR() string { return a.Level.ACR() }

// Meets reports whether the assurance satisfies one acr value.
func (a Assurance) Meets(acr string) bool {
	switch acr {
	case identity.ACRPhishingResistant:
		return a.PhishingResistant
	case identity.ACRPhishingResistantHardware:
		return false // no attested hardware is required yet, so none is claimed
	}
	want, err := identity.ParseACR(acr)
	return err == nil && a.Level >= want
}

// Evidence is what a session's level is computed from.
type Evidence struct {
	Profile identity.Profile
	m       *Manager
	events  []identity.Authentication // newest first
}

// Evidence reads the person's profile and the session's authentications.
func (m *Manager) Evidence(ctx context.Context, s *store.Session) (*Evidence, error) {
	profile, err := m.cfg.Directory.Profile(ctx, s.Person)
	if err != nil {
		return nil, err
	}
	e := &Evidence{Profile: profile, m: m}
	return e, m.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		e.events, err = store.Events(tx, s)
		return err
	})
}

// Since returns what the authentications at or after since prove, given what
// identity proofing reached: the strongest of them counts, of equals the
// newest. Its time is the one reported, so that an old strong authentication
// never borrows the freshness of a weak new one.
func (e *Evidence) Since(since time.Time) Assurance {
	var out Assurance
	best := identity.Level(-1)
	for _, a := range e.events {
		if a.At.Before(since) {
			continue
		}
		if out.Newest.IsZero() {
			out.Newest = a.At
		}
		l := min(e.m.reach(a), e.Profile.Level)
		resistant := a.PhishingResistant() && a.UserVerified
		if l > best || l == best && resistant && !out.PhishingResistant {
			best = l
			out.Level, out.PhishingResistant, out.AMR, out.AuthTime = l, resistant, a.AMR(), a.At
		}
	}
	return out
}

// KeyUsed returns when the session last saw a passkey with user verification;
// zero if it never did.
func (e *Evidence) KeyUsed() time.Time {
	for _, a := range e.events {
		if a.Method == identity.MethodPasskey && a.UserVerified {
			return a.At
		}
	}
	return time.Time{}
}

// reach is the level that one authentication can carry at most (the table of
// levels): a passkey with user verification all, password and card N2.
func (m *Manager) reach(e identity.Authentication) identity.Level {
	switch {
	case e.Method == identity.MethodCard:
		return identity.N2
	case !e.UserVerified:
		return identity.N0
	case m.cfg.DeviceBoundN3 && !(e.DeviceBound && e.Attested):
		return identity.N2
	}
	return identity.N3
}
