package i18n_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"oruro.gob.bo/suti/internal/i18n"
)

func TestLint(t *testing.T) {
	t.Parallel()
	own := source(map[string]string{
		"es": file("es", true, `,"p.one":"Uno","p.two":"Dos","p.level.a":"A","p.level.b":"B","p.idle":"Nada"`),
		"en": file("en", true, `,"p.one":"One","p.two":"Two","p.level.a":"A","p.level.b":"B","p.idle":"Nil"`),
	})
	shared := source(map[string]string{
		"es": file("es", true, `,"web.next":"Continuar"`), "en": file("en", true, `,"web.next":"Continue"`),
	})
	code := fstest.MapFS{
		"p.go": {Data: []byte(`package p
// The keys of levels: i18n:use p.level.*
var page = struct{ Title, Name string }{Title: "p.lost", Name: "p.audit_kind"}
func f(p interface{ T(string) string }) { p.T("web.next"); p.T("web.gone"); p.T("not a key") }
`)},
		"p_test.go": {Data: []byte(`package p
var x = "p.idle"`)},
		"t/page.html": {Data: []byte(`<!-- a remark --><h1>{{t "p.one"}}</h1>{{/* a "p.remark" */}}
<a href="/x" title="{{tt "p.two"}}">{{t "p.tow"}}</a>&nbsp;{{template "field" (field "mail" "label" "p.label")}}
<img alt="Escudo"> <p>Texto suelto</p> x {{th "unknown.key" "file.css"}}`)},
		"style.css": {Data: []byte(`a { b: "p.css" }`)},
	}
	err := i18n.Lint(code, own, shared)
	if err == nil {
		t.Fatal("no problems found")
	}
	var got []string
	for line := range strings.Lines(err.Error()) {
		got = append(got, strings.TrimSpace(line))
	}
	for _, want := range []string{
		"the key p.lost", "the key web.gone", "the key p.tow", "the key p.label", "the key unknown.key",
		`attribute "alt=\"Escudo\""`, `words "Texto suelto"`, "key p.idle is not used",
	} {
		n := 0
		for _, line := range got {
			if strings.Contains(line, want) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("problem %q reported %d times, want once", want, n)
		}
	}
	if len(got) != 8 {
		t.Errorf("got %d problems, want 8:\n%s", len(got), strings.Join(got, "\n"))
	}
	if err := i18n.Lint(fstest.MapFS{}, source(nil)); err == nil {
		t.Error("missing catalogue accepted")
	}
}
