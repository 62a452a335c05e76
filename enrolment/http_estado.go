package enrolment

import (
	"errors"
	"net/http"

	"oruro.gob.bo/suti/enrolment/internal/page"
	"oruro.gob.bo/suti/enrolment/internal/store"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// PathRegistration is where a person sees how far her registration is.
const PathRegistration = "/cuenta/registro"

// standing says in words where a person's registration is.
func (w *site) standing(r *http.Request, person identity.PersonID) (page.Standing, error) {
	s, err := w.StandingOf(r.Context(), person)
	if err != nil {
		return page.Standing{}, err
	}
	return standingView(s), nil
}

// standingView chooses the words. A rejection counts until a counter has gone on.
func standingView(s Standing) page.Standing {
	out := page.Standing{Kind: "info"}
	state := store.TicketDone
	if s.Ticket != nil {
		state, out.Until = s.Ticket.State, s.Ticket.Expires
	}
	switch {
	case state == store.TicketInReview:
		out.Title, out.Text = "enrolment.standing.review", "enrolment.standing.review_text"
	case state == store.TicketAtCounter:
		out.Title, out.Text = "enrolment.standing.counter", "enrolment.standing.counter_text"
	case s.Verdict != nil && !s.Verdict.Withdrawn:
		out.Kind, out.Title, out.Text = "warn", "enrolment.standing.rejected", "enrolment.standing.rejected_text"
		out.At, out.Reason, out.Note = s.Verdict.At, reasonTexts[s.Verdict.Reason], s.Verdict.Note
	case s.Verdict != nil && state == store.TicketOpen:
		out.Kind, out.Title, out.Text = "warn", "enrolment.standing.withdrawn", "enrolment.standing.withdrawn_text"
	case s.Level > identity.N0:
		out.Kind, out.Title, out.Text = "ok", "enrolment.standing.done", "enrolment.standing.done_text"
	default:
		out.Title, out.Text = "enrolment.standing.open", "enrolment.standing.open_text"
	}
	return out
}

// registered shows a person signed in how far her registration is.
func (w *site) registered(rw http.ResponseWriter, r *http.Request) error {
	where, err := w.standing(r, who(r).Person())
	if err != nil {
		return err
	}
	return w.render(rw, r, web.Page{Template: "estado", Title: "enrolment.standing.title", Nav: w.account(PathRegistration), Data: where})
}

// rejected tells whoever has the code of a ticket that its enrolment was rejected,
// and for which of the fixed reasons; what was written to it only she reads who
// is signed in. told is false if there is nothing to tell.
func (w *site) rejected(rw http.ResponseWriter, r *http.Request, code string) (told bool, err error) {
	t, err := w.TicketByCode(r.Context(), code)
	if err != nil {
		return false, err
	}
	s, err := w.StandingOf(r.Context(), t.Person)
	if err != nil || s.Verdict == nil || s.Ticket == nil || s.Ticket.ID != t.ID {
		return false, err
	}
	where := standingView(s)
	if where.Title != "enrolment.standing.rejected" && where.Title != "enrolment.standing.withdrawn" {
		return false, nil
	}
	where.Note = ""
	return true, w.pages.Render(rw, r, web.Page{Template: "estado", Title: "enrolment.standing.title", Return: "/registro/confirmar", Data: where})
}

// rejectForm asks why an act is rejected.
func (w *site) rejectForm(rw http.ResponseWriter, r *http.Request, v *web.Values, wrong []web.FieldError) error {
	a, err := w.WaitingAct(r.Context(), who(r).Person(), identity.ActID(r.PathValue("act")))
	if err != nil {
		return err
	}
	data, err := w.approvalOf(r, a)
	if err != nil {
		return err
	}
	back := data.Path
	data.Path += "/rechazar"
	out := web.Page{Template: "rechazar", Title: "enrolment.reject.title", Nav: w.nav(r, "/ventanilla/aprobar"), Back: back, Values: v, Errors: wrong, Return: data.Path, Data: data}
	if len(wrong) > 0 {
		out.Status = http.StatusUnprocessableEntity
	}
	return w.render(rw, r, out)
}

func (w *site) reject(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm, web.Multiline("nota"))
	if err != nil {
		return err
	}
	in := Rejection{Reason: v.Get("motivo"), Note: v.Get("nota")}
	switch {
	case in.Reason == "":
		return w.rejectForm(rw, r, v, []web.FieldError{{Field: "motivo", Code: "missing", Detail: "enrolment.error.choose"}})
	case in.Reason == ReasonOther && in.Note == "":
		return w.rejectForm(rw, r, v, []web.FieldError{{Field: "nota", Code: "missing", Detail: "enrolment.error.note"}})
	}
	err = w.Reject(r.Context(), who(r).Person(), identity.ActID(r.PathValue("act")), in)
	if errors.Is(err, ErrInput) {
		return w.rejectForm(rw, r, v, []web.FieldError{{Field: "nota", Code: "note", Detail: "enrolment.error.note_long"}})
	}
	if err != nil {
		return err
	}
	return w.render(rw, r, web.Page{Template: "aviso", Title: "enrolment.reject.done_title", Nav: w.nav(r, "/ventanilla/aprobar"), Return: "/ventanilla/aprobar",
		Data: page.Notice{Text: "enrolment.reject.done", Next: "/ventanilla/aprobar"}})
}

// proposal shows an author what became of an act of hers.
func (w *site) proposal(rw http.ResponseWriter, r *http.Request) error {
	p, err := w.ProposalOf(r.Context(), who(r).Person(), identity.ActID(r.PathValue("act")))
	if err != nil {
		return err
	}
	rows, err := w.describe(r.Context(), r, p.Statement, true)
	if err != nil {
		return err
	}
	view, err := w.approvalOf(r, p.Waiting)
	if err != nil {
		return err
	}
	data := page.Proposal{Path: "/ventanilla/propuesta/" + string(p.ID), Rows: rows, Waits: p.Verdict == nil, Enrolment: view.Enrolment}
	if v := p.Verdict; v != nil {
		data.Withdrawn, data.At, data.Reason, data.Note = v.Withdrawn, v.At, reasonTexts[v.Reason], v.Note
		by, err := w.cfg.Accounts.Profile(r.Context(), v.By)
		if err != nil {
			return err
		}
		data.By = by.Name.Full()
	}
	return w.render(rw, r, web.Page{Template: "propuesta", Title: "enrolment.proposal.title", Nav: w.nav(r, "/ventanilla"), Back: "/ventanilla", Data: data})
}

func (w *site) withdraw(rw http.ResponseWriter, r *http.Request) error {
	id := identity.ActID(r.PathValue("act"))
	if err := w.Withdraw(r.Context(), who(r).Person(), id); err != nil {
		return err
	}
	return web.Redirect(rw, "/ventanilla/propuesta/"+string(id))
}

// proposals lists for the desk what a person proposed.
func (w *site) proposals(r *http.Request) ([]page.Waiting, error) {
	list, err := w.ProposalsOf(r.Context(), who(r).Person())
	if err != nil {
		return nil, err
	}
	var out []page.Waiting
	for _, p := range list {
		item := page.Waiting{Path: "/ventanilla/propuesta/" + string(p.ID), Kind: kindText(p.Statement.Body.Kind()), At: p.Statement.At, State: "enrolment.proposal.waits"}
		switch {
		case p.Verdict == nil:
		case p.Verdict.Withdrawn:
			item.State, item.At = "enrolment.proposal.withdrawn", p.Verdict.At
		default:
			item.State, item.At = "enrolment.proposal.rejected", p.Verdict.At
		}
		if p.Person != "" {
			who, err := w.cfg.Accounts.Profile(r.Context(), p.Person)
			if err != nil {
				return nil, err
			}
			item.Name = who.Name.Full()
		}
		out = append(out, item)
	}
	return out, nil
}
