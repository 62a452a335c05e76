package enrolment

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"oruro.gob.bo/suti/enrolment/internal/page"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// kindText is the text of a kind of act.
func kindText(k act.Kind) string {
	return "enrolment.act." + strings.ReplaceAll(string(k), "-", "_")
}

func roleText(r act.Role) string {
	return "enrolment.role." + strings.ReplaceAll(string(r), "-", "_")
}

// day writes a date as people do.
func day(d identity.Date) string {
	if d.IsZero() {
		return ""
	}
	return fmt.Sprintf("%02d/%02d/%04d", d.Day, int(d.Month), d.Year)
}

// said are the rows of what a person said of herself.
func said(p identity.Profile) []web.RowView {
	return []web.RowView{
		{Key: "enrolment.fact.document", Value: string(p.Document.Type) + " " + p.Document.String()},
		{Key: "enrolment.fact.given", Value: p.Name.Given},
		{Key: "enrolment.fact.surnames", Value: p.Name.Surnames()},
		{Key: "enrolment.fact.birth", Value: day(p.BirthDate)},
	}
}

// initials and masked show of a name and a document's number, on a page that is
// reached by a code, enough to know one's own and too little to learn another's.
func initials(name string) string {
	var out []string
	for _, w := range strings.Fields(name) {
		first, _ := utf8.DecodeRuneInString(w)
		out = append(out, string(first)+".")
	}
	return strings.Join(out, " ")
}

func masked(d identity.Document) string {
	n := d.String()
	if len(n) > 3 {
		n = "…" + n[len(n)-3:]
	}
	return n
}

// rowList gathers rows; an empty value is left out.
type rowList []web.RowView

func (l *rowList) add(key string, value any) {
	if value != "" {
		*l = append(*l, web.RowView{Key: key, Value: value})
	}
}

// describe says in plain words what an act does. Names are shown only to staff
// and to the person concerned.
func (s *Service) describe(ctx context.Context, r *http.Request, st act.Statement, names bool) ([]web.RowView, error) {
	var rows rowList
	rows.add("enrolment.fact.kind", web.Printer(r).T(kindText(st.Body.Kind())))
	person, author := parties(st.Body)
	if names && person != "" {
		p, err := s.cfg.Accounts.Profile(ctx, person)
		if err != nil {
			return nil, err
		}
		if _, ok := st.Body.(*act.Enrolment); ok {
			rows = append(rows, said(p)...)
		} else {
			rows.add("enrolment.fact.person", p.Name.Full())
			rows.add("enrolment.fact.document", string(p.Document.Type)+" "+p.Document.String())
		}
	}
	if a, ok := st.Body.(*act.Approval); ok {
		k, err := s.load(ctx)
		if err != nil {
			return nil, err
		}
		signed, err := target(k.chain, a.Target)
		if err != nil {
			return nil, err
		}
		more, err := s.describe(ctx, r, signed.Statement(), names)
		if len(more) > 0 { // the first row is the kind: of what is signed here, then of what that approves
			rows[0].Key, more[0].Key = "enrolment.fact.signs", "enrolment.fact.target"
		}
		return append(rows, more...), err
	}
	if b, ok := st.Body.(*act.Genesis); ok {
		return rows, s.describeGenesis(ctx, st, b, &rows)
	}
	if err := s.describeBody(ctx, r, st.Body, &rows); err != nil {
		return nil, err
	}
	if names && author != person && author != "" {
		p, err := s.cfg.Accounts.Profile(ctx, author)
		if err != nil {
			return nil, err
		}
		rows.add("enrolment.fact.by", p.Name.Full())
	}
	return rows, nil
}

// reasonTexts are the reasons that our own pages give, of ends and of rejections.
var reasonTexts = map[string]string{
	"renuncia": "enrolment.reason.renuncia", "fin-de-designacion": "enrolment.reason.fin", "destitucion": "enrolment.reason.destitucion", ReasonOther: "enrolment.reason.otro",
	"perdida": "enrolment.reason.lost", "sospecha": "enrolment.reason.suspicion", "orden": "enrolment.reason.order", "acta-de-parada": "enrolment.reason.recorded",
	"identidad-comprobada": "enrolment.reason.identified", "aclarado": "enrolment.reason.cleared", "error": "enrolment.reason.wrong",
	reasonRemoved: "enrolment.reason.removed", ReasonLastKey: "enrolment.reason.last_key",
	ReasonMismatch: "enrolment.reason.mismatch", ReasonDocument: "enrolment.reason.document", ReasonDuplicate: "enrolment.reason.duplicate",
	ReasonAbsent: "enrolment.reason.absent", ReasonBacking: "enrolment.reason.backing", ReasonMistake: "enrolment.reason.mistake",
}

// reasonText says a reason in words; one from elsewhere stands as it is.
func reasonText(pr *i18n.Printer, reason string) string {
	if key := reasonTexts[reason]; key != "" {
		return pr.T(key)
	}
	return reason
}

// describeBody adds what a body says beside its people.
func (s *Service) describeBody(ctx context.Context, r *http.Request, body act.Body, rows *rowList) error {
	pr := web.Printer(r)
	switch b := body.(type) {
	case *act.Enrolment:
		if b.Replaces {
			rows.add("enrolment.fact.replaces", pr.T("enrolment.recover.replaces"))
		}
		rows.add("enrolment.fact.level", b.Level.String())
		rows.add("enrolment.fact.keys", strconv.Itoa(len(b.Keys)))
		if len(b.Keys) == 0 {
			rows.add("enrolment.fact.card", pr.T("enrolment.yes"))
		}
	case *act.RoleGrant:
		rows.add("enrolment.fact.role", pr.T(roleText(b.Role)))
		if b.Institution != "" {
			name, err := s.institutionName(ctx, b.Institution)
			if err != nil {
				return err
			}
			rows.add("enrolment.fact.institution", name)
		}
	case *act.Appointment:
		p, err := s.post(ctx, b.Post)
		if err != nil {
			return err
		}
		rows.add("enrolment.fact.post", p.Title+" ("+pr.T("enrolment.kind."+b.Holding)+")")
		rows.add("enrolment.fact.institution", p.Institution.Name)
		rows.add("enrolment.fact.legal_act", b.LegalAct)
		if !b.From.IsZero() {
			rows.add("enrolment.fact.from", b.From)
		}
		if !b.To.IsZero() {
			rows.add("enrolment.fact.to", b.To)
		}
	case *act.End:
		if b.What == act.EndAppointment {
			a, err := s.Appointment(ctx, b.Appointment)
			if err != nil {
				return err
			}
			rows.add("enrolment.fact.post", a.Title)
			rows.add("enrolment.fact.institution", a.Institution.Name)
		}
		if b.What == act.EndKey {
			have, err := s.cfg.Passkeys.Credentials(ctx, b.Person)
			if err != nil {
				return err
			}
			for _, c := range have {
				if act.Hash(sha256.Sum256(c.PublicKey)) == b.Key {
					rows.add("enrolment.fact.key", c.Label)
				}
			}
		}
		if b.What == act.EndRole {
			rows.add("enrolment.fact.role", pr.T(roleText(b.Role)))
			if b.Institution != "" {
				name, err := s.institutionName(ctx, b.Institution)
				if err != nil {
					return err
				}
				rows.add("enrolment.fact.institution", name)
			}
		}
		rows.add("enrolment.fact.reason", reasonText(pr, b.Reason))
	case *act.Lift:
		k, err := s.load(ctx)
		if err != nil {
			return err
		}
		signed, err := target(k.chain, b.Suspension)
		if err != nil {
			return err
		}
		if stop, ok := signed.Statement().Body.(*act.Suspension); ok {
			rows.add("enrolment.fact.stopped", reasonText(pr, stop.Reason))
			rows.add("enrolment.fact.since", signed.Statement().At)
		}
		rows.add("enrolment.fact.reason", reasonText(pr, b.Reason))
	case *act.Suspension:
		rows.add("enrolment.fact.reason", reasonText(pr, b.Reason))
	}
	return nil
}

func (s *Service) institutionName(ctx context.Context, id identity.InstitutionID) (string, error) {
	all, err := s.Institutions(ctx)
	for _, i := range all {
		if i.ID == id {
			return i.Name, nil
		}
	}
	return string(id), err
}

// signPage is the page of a draft for one of its signers.
func (s *Service) signPage(r *http.Request, d Draft, me identity.PersonID, path, next string, names bool) (page.Sign, error) {
	rows, err := s.describe(r.Context(), r, d.Statement, names)
	out := page.Sign{Rows: rows, Mine: d.Lacks(me) && !d.Done, Done: d.Done, Next: next, Waiting: "enrolment.sign.waiting_text"}
	if err != nil {
		return out, err
	}
	if out.Mine {
		out.Key = page.Key{Path: path}
	}
	other := "enrolment.sign.other_key"
	if d.Statement.Body.Kind() == act.KindGenesis {
		other, out.Waiting = "enrolment.founding.other", "enrolment.founding.waiting"
	}
	mine := 0
	for _, n := range d.Needs {
		switch {
		case n.Signed:
		case n.Person == me:
			if mine++; mine > 1 {
				out.Todo = append(out.Todo, "enrolment.sign.own_key")
			} else {
				out.Todo = append([]string{"enrolment.sign.own"}, out.Todo...)
			}
		case n.Key.IsZero():
			out.Todo = append(out.Todo, "enrolment.sign.other_staff")
		default:
			out.Todo = append(out.Todo, other)
		}
	}
	switch d.Statement.Body.(type) {
	case *act.Enrolment, *act.RoleGrant, *act.Appointment, *act.Lift:
		out.Pending = d.Done
		out.Todo = append(out.Todo, "enrolment.sign.approval")
	}
	return out, nil
}

// confirm shows a person the act that was drawn up about her.
func (w *site) confirm(rw http.ResponseWriter, r *http.Request) error {
	d, person, _, err := w.confirming(r)
	if err != nil {
		return err
	}
	data, err := w.signPage(r, d, person, r.URL.Path, "", false)
	if err != nil {
		return err
	}
	who, err := w.cfg.Accounts.Profile(r.Context(), person)
	if err != nil {
		return err
	}
	data.Rows = append([]web.RowView{
		{Key: "enrolment.fact.person", Value: initials(who.Name.Full())},
		{Key: "enrolment.fact.document", Value: string(who.Document.Type) + " " + masked(who.Document)},
	}, data.Rows...)
	p := web.Page{Template: "firmar", Title: "enrolment.confirm.title", Data: data}
	if d.Statement.Body.Kind() == act.KindGenesis {
		p.Title = "enrolment.founding.title"
	}
	if data.Mine {
		return w.pages.RenderKey(rw, r, p)
	}
	return w.pages.Render(rw, r, p)
}
