package flow

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/session"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

const (
	// maxRecords is how many records of refusals are written at a time; further ones are dropped.
	maxRecords = 16
	// refusalsPerHour bounds the records about one person, so that nobody can
	// bury the others under them. The person has been told by then.
	refusalsPerHour = 6
	recordWithin    = 10 * time.Second
)

// wait counts one event of the request's address and returns how long it must
// wait; 0 lets it go on.
func (f *Flow) wait(r *http.Request, what string) (time.Duration, error) {
	n := f.cfg.LoginsPerMinute
	d, err := f.cfg.Limiter.Take(r.Context(), "idp:"+what+":"+web.ClientKey(r), cache.Rate{Count: n, Per: time.Minute, Burst: 2 * n}, 1)
	if err != nil || d.Allowed {
		return 0, err
	}
	return max(d.RetryAfter, time.Second), nil
}

// Hold answers a request for a login from an address that began too many: the
// application, if it asked that nothing be shown, else the person. It reports
// whether it did.
func (f *Flow) Hold(w http.ResponseWriter, r *http.Request, req *oauth.Request, what string) (bool, error) {
	wait, err := f.wait(r, what)
	switch {
	case err != nil || wait == 0:
		return false, err
	case req.HasPrompt("none"):
		return true, f.RespondError(w, r, req, oauth.Refuse(oauth.TemporarilyUnavailable, "too many logins were begun from this address"))
	}
	return true, web.TooMany(wait)
}

// holdScript is hold for the page's script.
func (f *Flow) holdScript(w http.ResponseWriter, r *http.Request) (bool, error) {
	wait, err := f.wait(r, "ceremony")
	if err != nil || wait == 0 {
		return false, err
	}
	w.Header().Set("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	return true, web.WriteJSON(w, http.StatusTooManyRequests, map[string]string{"problem": "muchos"})
}

// refused records, for the person who was meant, that somebody tried to enter as
// her and could not. It is written aside: the answer must not take longer for
// somebody known. What cannot be written is logged.
func (f *Flow) refused(r *http.Request, person identity.PersonID, method string) {
	if person == "" {
		return
	}
	select {
	case f.refusal <- struct{}{}:
	default:
		f.cfg.Logger.WarnContext(r.Context(), "refused login not recorded: too many at once")
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), recordWithin)
	device := session.Device(r)
	f.records.Go(func() {
		defer func() { <-f.refusal; cancel() }()
		if err := f.recordRefusal(ctx, person, method, device); err != nil {
			f.cfg.Logger.LogAttrs(ctx, slog.LevelError, "refused login not recorded", slog.String("error", err.Error()))
		}
	})
}

func (f *Flow) recordRefusal(ctx context.Context, person identity.PersonID, method, device string) error {
	d, err := f.cfg.Limiter.Take(ctx, "idp:refused:"+string(person), cache.Rate{Count: refusalsPerHour, Per: time.Hour}, 1)
	if err != nil || !d.Allowed {
		return err
	}
	entry, err := f.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "idp.refused", Subject: person, Actor: "service:idp", Outcome: "refused", Payload: map[string]any{"method": method, "device": device},
	})
	if err != nil {
		return err
	}
	return f.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := f.cfg.Audit.Append(tx, entry)
		return err
	})
}

// Settle waits for the records under way.
func (f *Flow) Settle() { f.records.Wait() }
