package flow

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
)

func isNotFound(err error) bool { return errors.Is(err, store.ErrNotFound) }

// complete ends an interaction with a code, or, for one of Suti's own pages,
// by going there. consented are the scopes that the person allowed just now.
func (f *Flow) complete(w http.ResponseWriter, r *http.Request, st *state, consented []string) error {
	if st.request.Local != "" {
		if err := f.cfg.DB.Write(r.Context(), func(tx *db.Tx) error {
			return store.DecideInteraction(tx, st.interaction.ID, f.cfg.Now())
		}); err != nil && !errors.Is(err, store.ErrSpent) {
			return err
		}
		http.Redirect(w, r, st.request.Local, http.StatusSeeOther)
		return nil
	}
	scopes := f.granted(st, consented)
	if st.request.Device != nil {
		return f.completeDevice(w, r, st, scopes, consented)
	}
	if len(scopes) == 0 {
		return f.deny(w, r, st, oauth.Refuse(oauth.AccessDenied, "the person allowed nothing of what was asked"))
	}
	code, err := f.commit(r.Context(), st, scopes, consented)
	var refused *oauth.Error
	switch {
	case errors.Is(err, store.ErrSpent):
		return f.cfg.Pages.Finished(w, r, st.client.Name)
	case isNotFound(err): // the person left in another tab meanwhile: ask who enters
		http.Redirect(w, r, PathPrefix+st.interaction.ID, http.StatusSeeOther)
		return nil
	case errors.As(err, &refused): // a waiver may have ended since the request came
		return f.deny(w, r, st, refused)
	case err != nil:
		return err
	}
	return f.respond(w, r, st.request, url.Values{"code": {code}})
}

// granted are the scopes of the request without those that were asked about
// and not allowed.
func (f *Flow) granted(st *state, consented []string) []string {
	var out []string
	for _, s := range st.request.Scopes {
		if !slices.Contains(st.missing, s) || slices.Contains(consented, s) {
			out = append(out, s)
		}
	}
	return out
}

// commit stores the decision: consents, grant and code, in one transaction with
// the audit entry. The interaction, and a pushed request behind it, are spent.
func (f *Flow) commit(ctx context.Context, st *state, scopes, consented []string) (string, error) {
	now := f.cfg.Now()
	value, code, err := f.cfg.Engine.MintCode(ctx, st.client, st.request, scopes)
	if err != nil {
		return "", err
	}
	payload := map[string]any{"scopes": scopes, "acr": st.acr(), "amr": st.assurance.AMR, "consented": consented, "application": st.client.Name}
	if len(st.request.Details) > 0 {
		payload["authorization_details"] = st.request.Details
	}
	entry, err := f.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.login", Subject: st.session.Person, Actor: string(st.session.Person), Client: st.client.ID, Institution: string(st.client.Institution),
		Object: st.interaction.ID, Outcome: "granted",
		Payload: payload,
	})
	if err != nil {
		return "", err
	}
	grant := &store.Grant{
		ID: identity.NewID("grt", now), Session: st.session.ID, Client: st.client.ID, Person: st.session.Person, Epoch: st.session.Epoch,
		Scopes: scopes, Request: st.request.Encode(), ACR: st.acr(), AMR: st.assurance.AMR, AuthAt: st.assurance.AuthTime, CreatedAt: now,
	}
	code.Grant = grant.ID
	freshSub, freshSID := session.Random256(), session.Random256()
	if err := failpoint.Hit(failpoint.LoginConsented); err != nil {
		return "", err
	}
	err = f.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		return f.apply(tx, st, grant, code, consented, freshSub, freshSID, now, entry)
	})
	if err != nil {
		return "", err
	}
	return value, failpoint.Hit(failpoint.LoginCodeIssued)
}

func (f *Flow) apply(tx *db.Tx, st *state, grant *store.Grant, code *store.Code, consented []string, freshSub, freshSID string, now time.Time, entry *audit.Prepared) error {
	if err := store.RequireSession(tx, st.session.ID, now); err != nil {
		return err
	}
	if err := store.DecideInteraction(tx, st.interaction.ID, now); err != nil {
		return err
	}
	if st.interaction.PAR != nil {
		if err := store.ConsumePAR(tx, st.interaction.PAR, now); err != nil {
			return err
		}
	}
	var err error
	if grant.Sub, err = store.Subject(tx, st.client.Sector, st.session.Person, freshSub, now); err != nil {
		return err
	}
	if grant.SID, err = store.OpenRPSession(tx, st.session.ID, st.client.ID, freshSID, now); err != nil {
		return err
	}
	if err := store.InsertGrant(tx, grant); err != nil {
		return err
	}
	if err := store.InsertCode(tx, code); err != nil {
		return err
	}
	if err := insertConsents(tx, st, consented, now); err != nil {
		return err
	}
	_, err = f.cfg.Audit.Append(tx, entry)
	return err
}

// deny ends an interaction with an error for the application.
func (f *Flow) deny(w http.ResponseWriter, r *http.Request, st *state, e *oauth.Error) error {
	entry, err := f.deviceRefusal(r.Context(), st)
	if err != nil {
		return err
	}
	err = f.cfg.DB.Write(r.Context(), func(tx *db.Tx) error {
		if err := store.DecideInteraction(tx, st.interaction.ID, f.cfg.Now()); err != nil {
			return err
		}
		if st.request.Device != nil {
			return f.refuseDevice(tx, st, entry)
		}
		if st.interaction.PAR == nil {
			return nil
		}
		return store.ConsumePAR(tx, st.interaction.PAR, f.cfg.Now())
	})
	if errors.Is(err, store.ErrSpent) {
		return f.cfg.Pages.Finished(w, r, st.client.Name)
	}
	if err != nil {
		return err
	}
	if st.request.Local != "" {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return nil
	}
	if st.request.Device != nil {
		return f.cfg.Pages.DeviceDenied(w, r, st.client.Name)
	}
	return f.RespondError(w, r, st.request, e)
}
