package enrolment_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web/webtest"
)

// TestGrantOverHTTP: an administrator proposes staff on a page, a supervisor
// approves on another; nobody else sees the page, and one signature gives nothing.
func TestGrantOverHTTP(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	s := h.serve(true)
	h.found()
	fresh := h.enrol(identity.N2)
	ins, _, clerk := h.office()
	for who, m := range map[string]*member{"a registrar": h.registrar, "an institution's administrator": clerk} {
		if status, _ := s.as(m).get("/ventanilla/funciones"); status != http.StatusForbidden {
			t.Errorf("the page for %s: %d", who, status)
		}
	}
	admin, supervisor := s.as(h.admin), s.as(h.supervisor)
	if _, page := admin.get("/ventanilla"); !strings.Contains(page, "/ventanilla/funciones") {
		t.Error("the counter does not lead to the page")
	}
	for why, form := range map[string]url.Values{
		"no role":        {"documento": {fresh.doc.Number}},
		"unknown role":   {"documento": {fresh.doc.Number}, "funcion": {"jefe"}},
		"no institution": {"documento": {fresh.doc.Number}, "funcion": {"institution-admin"}, "institucion": {""}},
		"unknown person": {"documento": {"1234567"}, "funcion": {"registrar"}},
		"nobody at all":  {"funcion": {"registrar"}},
	} {
		if status, _, _ := admin.post("/ventanilla/funciones", form); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d", why, status)
		}
	}
	give := func(form url.Values) string {
		t.Helper()
		at := admin.lead("/ventanilla/funciones", form)
		admin.mustKey(at, false)
		return at[strings.LastIndexByte(at, '/')+1:]
	}
	draft := give(url.Values{"documento": {fresh.doc.Number}, "funcion": {"registrar"}})
	if roles, err := h.svc.Roles(h.ctx(), fresh.id); err != nil || len(roles) != 0 {
		t.Errorf("with one signature: %v, %v", roles, err)
	}
	supervisor.mustKey(supervisor.lead("/ventanilla/aprobar/"+draft, nil), false)
	draft = give(url.Values{"documento": {fresh.doc.Number}, "funcion": {"institution-admin"}, "institucion": {string(ins.ID)}})
	supervisor.mustKey(supervisor.lead("/ventanilla/aprobar/"+draft, nil), false)
	roles, err := h.svc.Roles(h.ctx(), fresh.id)
	if err != nil || len(roles) != 2 || roles[0].Role != act.Registrar || roles[1].Institution != ins.ID {
		t.Errorf("roles %+v, %v", roles, err)
	}
	h.check()

	b := webtest.Browser(t)
	s.cookie(b, "quien", string(h.admin.id))
	for _, width := range []int{360, 1280} {
		for _, x := range b.Check(t, s.base+"/ventanilla/funciones", width) {
			t.Errorf("%d px: %s (%s): %s\n\t%s", width, x.Rule, x.Impact, x.Help, strings.Join(x.Nodes, "\n\t"))
		}
		if err := os.WriteFile(filepath.Join(t.ArtifactDir(), fmt.Sprintf("funciones-%d.png", width)), b.Screenshot(t, s.base+"/ventanilla/funciones", width), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
