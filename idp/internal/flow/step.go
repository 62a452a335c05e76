package flow

import (
	"context"
	"slices"
	"time"

	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// kind is what a login needs next.
type kind int

const (
	stepLogin   kind = iota // authenticate, as anyone
	stepUp                  // authenticate again, as the same person, more strongly or more recently
	stepConsent             // ask the person, naming who enters where and what leaves
	stepUnmet               // the person cannot reach what the application insists on
	stepOther               // somebody else signed in than the application asks for
	stepDone                // answer the application
)

// state is all that the dispatcher looks at.
type state struct {
	interaction *store.Interaction
	request     *oauth.Request
	client      *store.Client
	session     *store.Session // nil: nobody is signed in
	assurance   session.Assurance
	profile     identity.Profile
	missing     []string // scopes that lack consent
	next        kind
	deviceOwn   bool // the person said that the device which asks is hers alone
	// insufficient says that the person authenticated during this interaction
	// and it did not suffice.
	insufficient bool
}

// silent lists scopes that reveal nothing of the person and need no question.
func silent(scope string) bool { return scope == "openid" }

// since is the time from which authentications count for a request: prompt=login
// and max_age (OpenID Connect Core 1.0 §3.1.2.1). One made during the
// interaction always counts.
func since(i *store.Interaction, r *oauth.Request, now time.Time) time.Time {
	var t time.Time
	if r.HasPrompt("login") || r.HasPrompt("select_account") {
		t = i.CreatedAt
	}
	if r.MaxAge != nil {
		limit := now.Add(-time.Duration(*r.MaxAge) * time.Second)
		if limit.After(i.CreatedAt) {
			limit = i.CreatedAt
		}
		if limit.After(t) {
			t = limit
		}
	}
	return t
}

// assess fills in what follows from the session: level, consent, next step.
func (f *Flow) assess(ctx context.Context, st *state) error {
	if st.session == nil {
		st.next = stepLogin
		return nil
	}
	now := f.cfg.Now()
	evidence, err := f.cfg.Session.Evidence(ctx, st.session)
	if err != nil {
		return err
	}
	st.assurance, st.profile = evidence.Since(since(st.interaction, st.request, now)), evidence.Profile
	during := !st.assurance.Newest.IsZero() && !st.assurance.Newest.Before(st.interaction.CreatedAt)
	same, err := f.hinted(ctx, st)
	if err != nil {
		return err
	}
	switch {
	case !same:
		if st.next = stepLogin; during {
			st.next = stepOther
		}
		return nil
	case st.assurance.AuthTime.IsZero():
		st.next = stepUp
		return nil
	case !meetsAny(st.assurance, st.request.EssentialACR):
		st.insufficient = during
		st.next = stepUp
		if !reachable(st.profile.Level, st.request.EssentialACR) {
			st.next = stepUnmet
		}
		return nil
	case !during && !st.request.HasPrompt("none") && !meetsAny(st.assurance, st.request.ACRValues) && reachable(st.profile.Level, st.request.ACRValues):
		st.next = stepUp // voluntary: asked once, then answered with what was reached
		return nil
	}
	return f.assessConsent(ctx, st)
}

func (f *Flow) assessConsent(ctx context.Context, st *state) error {
	st.next = stepDone
	if st.request.Local != "" {
		return nil
	}
	var given []store.Consent
	if err := f.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		given, err = store.Consents(tx, string(st.session.Person), st.client.ID, f.cfg.Now())
		return err
	}); err != nil {
		return err
	}
	for _, s := range st.request.Scopes {
		known := slices.ContainsFunc(given, func(c store.Consent) bool { return c.Scope == s })
		if !silent(s) && (!known || st.request.HasPrompt("consent") || st.request.Device != nil) {
			st.missing = append(st.missing, s)
		}
	}
	// On a shared device every entry names the person, also one who has just
	// unlocked a passkey: it may be a relative's (D27).
	if len(st.missing) > 0 || st.session.Shared || st.request.HasPrompt("consent") || st.request.Device != nil || len(st.request.Details) > 0 {
		st.next = stepConsent
	}
	return nil
}

// hinted reports whether the session is the person's that id_token_hint names.
func (f *Flow) hinted(ctx context.Context, st *state) (bool, error) {
	if st.request.HintSubject == "" {
		return true, nil
	}
	var who identity.PersonID
	err := f.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		who, err = store.PersonBySubject(tx, st.client.Sector, st.request.HintSubject)
		return err
	})
	if isNotFound(err) {
		return false, nil
	}
	return who == st.session.Person, err
}

// acr is the claim that the application gets: the level, or, where it asked for
// values of which the level's is none, the first of them that is met (OpenID
// Connect Core 1.0 §5.5.1.1).
func (st *state) acr() string {
	level := st.assurance.ACR()
	for _, asked := range [][]string{st.request.EssentialACR, st.request.ACRValues} {
		if slices.Contains(asked, level) {
			return level
		}
		if i := slices.IndexFunc(asked, st.assurance.Meets); i >= 0 {
			return asked[i]
		}
	}
	return level
}

func meetsAny(a session.Assurance, acrs []string) bool {
	return len(acrs) == 0 || slices.ContainsFunc(acrs, a.Meets)
}

// reachable reports whether a person of that proofed level could meet one of
// the values by authenticating with a passkey.
func reachable(proofed identity.Level, acrs []string) bool {
	best := session.Assurance{Level: proofed, PhishingResistant: true}
	return meetsAny(best, acrs)
}
