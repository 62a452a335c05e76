package enrolment

import (
	"errors"
	"net/http"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/internal/page"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// pathSheets is where code cards are printed, closed, and seen opened, by somebody
// else than who attended to the person.
const pathSheets = "/ventanilla/tarjetas"

func (w *site) askPassword(rw http.ResponseWriter, r *http.Request, wrong []web.FieldError) error {
	t, _, err := w.TicketInHand(r.Context(), who(r).Person(), r.PathValue("ticket"))
	if err != nil {
		return err
	}
	path := "/ventanilla/ticket/" + t.ID
	p := web.Page{Template: "clave", Title: "enrolment.card.title", Nav: w.nav(r, "/ventanilla"), Back: path, Errors: wrong, Data: path, Return: path + "/tarjeta"}
	if len(wrong) > 0 {
		p.Status = http.StatusUnprocessableEntity
	}
	return w.render(rw, r, p)
}

// takePassword takes the password that the person typed at the counter.
func (w *site) takePassword(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	id := r.PathValue("ticket")
	err = w.AskCard(r.Context(), who(r).Person(), id, v.Get("clave"))
	if errors.Is(err, account.ErrPassword) {
		return w.askPassword(rw, r, []web.FieldError{{Field: "clave", Code: "password", Detail: "enrolment.error.password"}})
	}
	if err != nil {
		return err
	}
	return web.Redirect(rw, "/ventanilla/ticket/"+id)
}

// sheets lists the cards that a member of staff may print, or see opened.
func (w *site) sheets(rw http.ResponseWriter, r *http.Request) error {
	list, err := w.SheetsFor(r.Context(), who(r).Person())
	if err != nil {
		return err
	}
	out := []page.Sheet{}
	for _, o := range list {
		p, err := w.cfg.Accounts.Profile(r.Context(), o.Person)
		if err != nil {
			return err
		}
		item := page.Sheet{Path: pathSheets + "/" + string(o.Person), Name: p.Name.Full(), Number: o.Number, At: o.At}
		if o.Number != "" {
			item.At = o.Printed
		}
		out = append(out, item)
	}
	return w.render(rw, r, web.Page{Template: "tarjetas", Title: "enrolment.sheet.title", Nav: w.nav(r, ""), Back: "/ventanilla", Data: out})
}

// sheetOf returns the card that a path names, and whose it is.
func (w *site) sheetOf(r *http.Request) (o account.Order, p identity.Profile, err error) {
	id := identity.PersonID(r.PathValue("person"))
	if identity.CheckID(identity.PrefixPerson, string(id)) != nil {
		return o, p, ErrUnknown
	}
	o, err = w.SheetOf(r.Context(), who(r).Person(), id)
	if errors.Is(err, account.ErrUnknown) {
		err = ErrUnknown
	}
	if err == nil {
		p, err = w.cfg.Accounts.Profile(r.Context(), id)
	}
	return o, p, err
}

func (w *site) sheet(rw http.ResponseWriter, r *http.Request, v *web.Values, wrong []web.FieldError) error {
	o, p, err := w.sheetOf(r)
	if err != nil {
		return err
	}
	by, err := w.cfg.Accounts.Profile(r.Context(), o.OrderedBy)
	if err != nil {
		return err
	}
	path := pathSheets + "/" + string(o.Person)
	data := page.Sheet{Path: path, Number: o.Number, Mine: o.PrintedBy == who(r).Person(), Rows: append(whoRows(p), web.RowView{Key: "enrolment.fact.ordered_by", Value: by.Name.Full()})}
	if o.Number != "" {
		printer, err := w.cfg.Accounts.Profile(r.Context(), o.PrintedBy)
		if err != nil {
			return err
		}
		data.Rows = append(data.Rows, web.RowView{Key: "enrolment.fact.sheet", Value: o.Number}, web.RowView{Key: "enrolment.fact.printed", Value: o.Printed},
			web.RowView{Key: "enrolment.fact.printed_by", Value: printer.Name.Full()})
	}
	out := web.Page{Template: "una-tarjeta", Title: "enrolment.sheet.title_one", Nav: w.nav(r, ""), Back: pathSheets, Values: v, Errors: wrong, Return: path, Data: data}
	if len(wrong) > 0 {
		out.Status = http.StatusUnprocessableEntity
	}
	return w.render(rw, r, out)
}

// printSheet shows a card once, to be printed, folded and closed.
func (w *site) printSheet(rw http.ResponseWriter, r *http.Request) error {
	_, p, err := w.sheetOf(r)
	if err != nil {
		return err
	}
	got, err := w.PrintSheet(r.Context(), who(r).Person(), p.Person)
	if err != nil {
		return err
	}
	card := web.CodeCardView{Holder: p.Name.Full(), Serial: got.Number, Word: got.Word}
	for _, c := range got.Cells {
		card.Cells = append(card.Cells, web.CodeCell{Number: c.Number, Code: c.Code})
	}
	return w.render(rw, r, web.Page{Template: "tarjeta", Title: "web.card.title", Secret: true, Data: page.PrintedCard{Card: card, Path: pathSheets + "/" + string(p.Person)}})
}

func (w *site) openSheet(rw http.ResponseWriter, r *http.Request) error {
	v, err := web.Form(r, maxForm)
	if err != nil {
		return err
	}
	o, _, err := w.sheetOf(r)
	if err != nil {
		return err
	}
	err = w.OpenSheet(r.Context(), who(r).Person(), o.Person, v.Get("palabra"))
	if errors.Is(err, account.ErrWord) {
		return w.sheet(rw, r, v, []web.FieldError{{Field: "palabra", Code: "word", Detail: "enrolment.error.word"}})
	}
	if err != nil {
		return err
	}
	return w.render(rw, r, web.Page{Template: "aviso", Title: "enrolment.sheet.opened", Nav: w.nav(r, ""), Return: pathSheets,
		Data: page.Notice{Text: "enrolment.sheet.opened_text", Next: pathSheets}})
}

func (w *site) refuseSheet(rw http.ResponseWriter, r *http.Request) error {
	o, _, err := w.sheetOf(r)
	if err == nil {
		err = w.RefuseSheet(r.Context(), who(r).Person(), o.Person)
	}
	if err != nil {
		return err
	}
	return w.render(rw, r, web.Page{Template: "aviso", Title: "enrolment.sheet.title_one", Nav: w.nav(r, ""), Return: pathSheets,
		Data: page.Notice{Text: "enrolment.sheet.refused", Next: pathSheets + "/" + string(o.Person)}})
}
