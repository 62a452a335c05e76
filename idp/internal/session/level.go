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
	AuthTime          time.Time // of the newest authentication; zero if there is none
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

// Assurance computes what the session's authentications at or after since prove
// now, given what identity proofing reached.
func (m *Manager) Assurance(ctx context.Context, s *store.Session, since time.Time) (Assurance, identity.Profile, error) {
	profile, err := m.cfg.Directory.Profile(ctx, s.Person)
	if err != nil {
		return Assurance{}, profile, err
	}
	var events []identity.Authentication
	if err := m.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		events, err = store.Events(tx, s)
		return err
	}); err != nil {
		return Assurance{}, profile, err
	}
	return m.assess(profile.Level, events, since), profile, nil
}

// assess takes the strongest authentication; of equals the newest, which come first.
func (m *Manager) assess(proofed identity.Level, events []identity.Authentication, since time.Time) Assurance {
	var out Assurance
	best := identity.Level(-1)
	for _, e := range events {
		if e.At.Before(since) {
			continue
		}
		if out.AuthTime.IsZero() {
			out.AuthTime = e.At
		}
		if l := m.reach(e); l > best {
			best = l
			out.Level, out.PhishingResistant, out.AMR = min(l, proofed), e.PhishingResistant(), e.AMR()
		}
	}
	return out
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

// KeyUsed returns when the session last saw a passkey with user verification;
// zero if it never did.
func (m *Manager) KeyUsed(ctx context.Context, s *store.Session) (time.Time, error) {
	var events []identity.Authentication
	if err := m.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		events, err = store.Events(tx, s)
		return err
	}); err != nil {
		return time.Time{}, err
	}
	for _, e := range events { // newest first
		if e.Method == identity.MethodPasskey && e.UserVerified {
			return e.At, nil
		}
	}
	return time.Time{}, nil
}
