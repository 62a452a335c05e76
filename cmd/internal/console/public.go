package console

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/notify"
	"oruro.gob.bo/suti/internal/web"
)

// home shows what the service is, and where to go.
func (s *site) home(w http.ResponseWriter, r *http.Request) error {
	p := web.Page{Template: "inicio", Title: "console.home.title", Data: struct {
		Left, Mailbox bool
	}{done(r, "salir") != "", s.c.Mailbox != nil}}
	me, err := s.c.Auth.Principal(r)
	var nobody *web.StepUp
	switch {
	case errors.As(err, &nobody):
		return s.set.Render(w, r, p)
	case err != nil:
		return err
	}
	p.Person, p.SignOut, p.NotMe = me.Name(), PathSignOut, PathNotMe
	return s.set.Render(w, r, p)
}

// transparency shows the state of the log.
func (s *site) transparency(w http.ResponseWriter, r *http.Request) error {
	var d struct {
		Origin, Size, Key, Command string
		Lines                      []string
		Earlier                    []earlierLog
	}
	note, cp, err := s.c.Audit.Latest(r.Context())
	switch {
	case errors.Is(err, audit.ErrPending):
	case err != nil:
		return err
	default:
		d.Origin, d.Size = cp.Origin, web.Printer(r).Number(cp.Size)
		d.Lines = strings.Split(strings.TrimRight(string(note), "\n"), "\n")
	}
	if s.c.VerifierKey != nil {
		d.Key = s.c.VerifierKey()
		d.Command = "suti log verify --vkey '" + d.Key + "' " + s.c.Public + "/log"
	}
	if d.Earlier, err = s.earlierLogs(r); err != nil {
		return err
	}
	return s.set.Render(w, r, web.Page{Template: "transparencia", Title: "console.log.title", Data: d})
}

// earlierLog is a log that the present one continues.
type earlierLog struct{ Origin, Size, Held, Command string }

// earlierLogs tells of the logs before the present one, newest first: how far
// each was published, and how much of it is still here.
func (s *site) earlierLogs(r *http.Request) ([]earlierLog, error) {
	logs, err := s.c.Audit.Logs(r.Context())
	if err != nil {
		return nil, err
	}
	var out []earlierLog
	for i := len(logs) - 1; i > 0; i-- {
		e := earlierLog{Origin: logs[i].Continues.Origin, Size: web.Printer(r).Number(logs[i].Continues.Size), Held: web.Printer(r).Number(int64(0))}
		for _, l := range logs[:i] {
			if l.Origin == e.Origin {
				e.Held = web.Printer(r).Number(min(l.Size, logs[i].Continues.Size))
				e.Command = "suti log verify --vkey '" + l.VKey + "' " + s.c.Public + "/log/" + strconv.FormatInt(l.Number, 10)
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// mailsPerPage is how many messages a page of the demonstration's mailbox shows.
const mailsPerPage = 20

// mail is a message with its paragraphs.
type mail struct {
	notify.Message
	Paragraphs []string
}

// mailbox shows what would have been sent on a channel.
func (s *site) mailbox(w http.ResponseWriter, r *http.Request, c notify.Channel, path, title string) error {
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	list, next, err := s.c.Mailbox.Messages(r.Context(), c, q.Get("desde"), mailsPerPage)
	if errors.Is(err, notify.ErrCursor) {
		return badCursor(err)
	}
	if err != nil {
		return err
	}
	out := make([]mail, 0, len(list))
	for _, m := range list {
		out = append(out, mail{m, strings.Split(strings.TrimSpace(m.Text), "\n\n")})
	}
	nav := []web.NavItem{{Path: "/", Text: "console.nav.home"}, {Path: "/demo/correo", Text: "console.mail.title"}, {Path: "/demo/sms", Text: "console.sms.title"}}
	for i := range nav {
		nav[i].Current = nav[i].Path == path
	}
	return s.set.Render(w, r, web.Page{Template: "buzon", Title: title, Nav: nav, Data: struct {
		List       []mail
		Path, Next string
		First      bool
	}{out, path, next, q.Get("desde") == ""}})
}
