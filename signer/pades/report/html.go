package report

import (
	"bytes"
	_ "embed" // the template
	"html/template"
	"strings"
	"sync"
)

//go:embed page.html
var pageText string

var page = sync.OnceValues(func() (*template.Template, error) {
	return template.New("page").Funcs(template.FuncMap{"lines": func(s string) []string { return strings.Split(s, "\n") }}).Parse(pageText)
})

// writeHTML writes one page without scripts that asks nobody for anything.
func writeHTML(in Input) ([]byte, error) {
	v, err := newView(in)
	if err != nil {
		return nil, err
	}
	t, err := page()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
