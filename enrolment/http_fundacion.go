package enrolment

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"oruro.gob.bo/suti/enrolment/internal/page"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
)

// founding registers the page on which founders come to sign: they are no staff
// yet and have no session that could let them in. It shows what is to be
// founded and leads by the code of the own ticket to that one act.
func (w *site) founding() {
	w.handle("GET /fundacion/{draft}", w.foundingPage)
}

func (w *site) foundingPage(rw http.ResponseWriter, r *http.Request) error {
	d, err := w.Draft(r.Context(), identity.ActID(r.PathValue("draft")))
	if err != nil {
		return err
	}
	body, ok := d.Statement.Body.(*act.Genesis)
	if !ok {
		return ErrDraft
	}
	if d.Done {
		return w.pages.Render(rw, r, web.Page{Template: "aviso", Title: "enrolment.founding.title", Data: page.Notice{Text: "enrolment.founding.done"}})
	}
	if !w.now().Before(d.Expires) {
		return ErrDraft
	}
	rows, err := w.describe(r.Context(), r, d.Statement, false)
	if err != nil {
		return err
	}
	missing := 0
	for _, f := range body.Founders {
		if d.Lacks(f.Person) {
			missing++
		}
	}
	return w.pages.Render(rw, r, web.Page{Template: "fundacion", Title: "enrolment.founding.title", Data: page.Founding{Rows: rows, Missing: missing, Expires: d.Expires}})
}

// describeGenesis says who is to found what, in the words that those in the
// room can compare with the operator's screen.
func (s *Service) describeGenesis(ctx context.Context, st act.Statement, b *act.Genesis, rows *rowList) error {
	rows.add("enrolment.fact.service", b.Name)
	rows.add("enrolment.fact.address", strings.Join(b.Settings.Origins, ", "))
	for _, f := range b.Founders {
		p, err := s.cfg.Accounts.Profile(ctx, f.Person)
		if err != nil {
			return err
		}
		for _, role := range f.Roles {
			rows.add(roleText(role), fmt.Sprintf("%s (%s %s)", initials(p.Name.Full()), p.Document.Type, masked(p.Document)))
		}
	}
	hash, err := st.Hash()
	if err == nil {
		rows.add("enrolment.fact.hash", ShortHash(hash))
	}
	return err
}

// ShortHash is the beginning of an act's hash as people compare it: 16
// hexadecimal digits in groups of four.
func ShortHash(h act.Hash) string {
	full := h.String()
	return full[:4] + " " + full[4:8] + " " + full[8:12] + " " + full[12:16]
}
