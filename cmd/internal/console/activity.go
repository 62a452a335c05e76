package console

import (
	"context"
	"errors"
	"net/http"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// perPage is how many records one page shows.
const perPage = 30

// act is one record as its subject reads it.
type act struct {
	At        time.Time
	Text, Who string
	Erased    bool
}

// activity shows "quién vio mis datos": all that was recorded about the person,
// the latest first. The person's own looks at this list are recorded like any
// other reading, but not listed, or the list would be about itself.
func (s *site) activity(w http.ResponseWriter, r *http.Request) error {
	me, ctx := who(r), r.Context()
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	if err := s.recordReading(ctx, me.Person()); err != nil {
		return err
	}
	views, next, err := s.c.Audit.BySubject(ctx, me.Person(), q.Get("desde"), perPage)
	if errors.Is(err, audit.ErrCursor) {
		return badCursor(err)
	}
	if err != nil {
		return err
	}
	names, err := s.names(ctx)
	if err != nil {
		return err
	}
	p := web.Printer(r)
	list := make([]act, 0, len(views))
	for _, v := range views {
		if ownReading(v) {
			continue
		}
		key, args := sentence(p, v, names)
		list = append(list, act{At: v.At, Text: p.T(key, args...), Who: s.doer(ctx, p, v, names), Erased: v.Erased})
	}
	return s.render(w, r, "/cuenta/actividad", web.Page{Template: "actividad", Title: "console.activity.title", Return: "/cuenta/actividad", Wide: true, Data: struct {
		List  []act
		Next  string
		First bool
	}{list, next, q.Get("desde") == ""}})
}

// badCursor answers a cursor that none of our pages gave out.
func badCursor(err error) error {
	return &web.Error{Status: http.StatusBadRequest, Code: "invalid_cursor", Detail: "web.error.cursor", Err: err}
}

// kindReading is the kind of a person's looks at her own records.
const kindReading = "audit.read.mine"

func ownReading(v audit.View) bool {
	return v.Kind == kindReading && v.Actor == string(v.Subject)
}

func (s *site) recordReading(ctx context.Context, person identity.PersonID) error {
	entry, err := s.c.Audit.Prepare(ctx, audit.Entry{Kind: kindReading, Subject: person, Actor: string(person), Purpose: "account", Outcome: audit.OutcomeOK})
	if err != nil {
		return err
	}
	return s.c.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := s.c.Audit.Append(tx, entry)
		return err
	})
}

// book knows applications and institutions by name, and people as they are met.
type book struct {
	clients      map[string]string
	institutions map[identity.InstitutionID]string
	people       map[identity.PersonID]string
}

func (s *site) names(ctx context.Context) (*book, error) {
	clients, err := s.c.Account.Clients(ctx)
	if err != nil {
		return nil, err
	}
	b := &book{clients: make(map[string]string, len(clients)), people: map[identity.PersonID]string{}}
	for _, c := range clients {
		b.clients[c.ID] = c.Name
	}
	b.institutions, err = s.institutionNames(ctx)
	return b, err
}

// app returns the name of the application that a record is about.
func (b *book) app(v audit.View) string {
	if name := b.clients[v.Client]; name != "" {
		return name
	}
	return v.Client
}
