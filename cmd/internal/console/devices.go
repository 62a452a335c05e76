package console

import (
	"net/http"
	"slices"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// pathSessions is the page of devices and of what is open on them.
const pathSessions = "/cuenta/sesiones"

// device is where the person is signed in, with what lies beneath.
type device struct {
	ID, Name string
	Here     bool
	Sessions []openSession
}

// openSession is one sign-on session of a device.
type openSession struct {
	idp.OwnSession
	Here         bool
	Applications []entered
}

// entered is an application that the person entered in a session.
type entered struct {
	idp.OwnApplication
	Institution string
	Entries     []entry
}

// entry is what an application was given at one entry.
type entry struct {
	idp.OwnGrant
	Data string
}

// sessions shows where the person is signed in, this device first.
func (s *site) sessions(w http.ResponseWriter, r *http.Request) error {
	me, ctx := who(r), r.Context()
	list, err := s.c.Account.Devices(ctx, me.Person())
	if err != nil {
		return err
	}
	names, err := s.institutionNames(ctx)
	if err != nil {
		return err
	}
	var here, others []device
	open := 0
	for _, v := range list {
		d := device{ID: v.ID, Name: v.Sessions[0].Device}
		for _, o := range v.Sessions {
			d.Sessions = append(d.Sessions, openSession{o, o.ID == me.Session(), applications(web.Printer(r), o.Applications, names)})
			if d.Here = d.Here || o.ID == me.Session(); o.ID != me.Session() {
				open++
			}
		}
		if d.Here {
			here = append(here, d)
		} else {
			others = append(others, d)
		}
	}
	return s.render(w, r, pathSessions, web.Page{Template: "sesiones", Title: "console.sessions.title", Return: pathSessions, Data: struct {
		List   []device
		Others int
		Done   string
	}{slices.Concat(here, others), open, done(r, "cerrar", "equipo", "aplicacion", "entrada")}})
}

func applications(pr *i18n.Printer, list []idp.OwnApplication, names map[identity.InstitutionID]string) []entered {
	out := make([]entered, 0, len(list))
	for _, a := range list {
		e := entered{OwnApplication: a, Institution: names[a.Institution]}
		for _, g := range a.Grants {
			e.Entries = append(e.Entries, entry{g, dataWords(pr, g.Scopes)})
		}
		out = append(out, e)
	}
	return out
}

func (s *site) endSession(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	me, id := who(r), form.Get("sesion")
	if id == me.Session() {
		return s.leave(w, r)
	}
	return s.after(w, s.c.Account.EndSession(r.Context(), me.Person(), id), pathSessions, "cerrar")
}

// endDevice ends a device. Of the one in hand the cookie goes too.
func (s *site) endDevice(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	me, id := who(r), form.Get("equipo")
	list, err := s.c.Account.Devices(r.Context(), me.Person())
	if err != nil {
		return err
	}
	here := slices.ContainsFunc(list, func(d idp.OwnDevice) bool {
		return d.ID == id && slices.ContainsFunc(d.Sessions, func(o idp.OwnSession) bool { return o.ID == me.Session() })
	})
	err = s.c.Account.EndDevice(r.Context(), me.Person(), id)
	if err == nil && here {
		return s.leave(w, r)
	}
	return s.after(w, err, pathSessions, "equipo")
}

func (s *site) endApplication(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	return s.after(w, s.c.Account.EndApplication(r.Context(), who(r).Person(), form.Get("aplicacion")), pathSessions, "aplicacion")
}

func (s *site) endGrant(w http.ResponseWriter, r *http.Request) error {
	form, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	return s.after(w, s.c.Account.EndGrant(r.Context(), who(r).Person(), form.Get("entrada")), pathSessions, "entrada")
}
