package report

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"strings"
	"time"
)

// xmlWriter writes elements. Every text and attribute is escaped here.
type xmlWriter struct {
	b    bytes.Buffer
	open []string
}

// start opens an element; attrs are pairs of name and value.
func (w *xmlWriter) start(name string, attrs ...string) {
	w.indent()
	w.tag(name, attrs)
	w.b.WriteString(">\n")
	w.open = append(w.open, name)
}

func (w *xmlWriter) tag(name string, attrs []string) {
	w.b.WriteString("<" + name)
	for i := 0; i+1 < len(attrs); i += 2 {
		w.b.WriteString(" " + attrs[i] + `="`)
		w.escape(attrs[i+1])
		w.b.WriteByte('"')
	}
}

// escape writes text; a [bytes.Buffer] does not fail.
func (w *xmlWriter) escape(s string) { _ = xml.EscapeText(&w.b, []byte(s)) }

func (w *xmlWriter) indent() { w.b.WriteString(strings.Repeat("  ", len(w.open))) }

// end closes the newest element.
func (w *xmlWriter) end() {
	name := w.open[len(w.open)-1]
	w.open = w.open[:len(w.open)-1]
	w.indent()
	w.b.WriteString("</" + name + ">\n")
}

// text writes an element with text.
func (w *xmlWriter) text(name, value string, attrs ...string) {
	w.indent()
	w.tag(name, attrs)
	w.b.WriteByte('>')
	w.escape(value)
	w.b.WriteString("</" + name + ">\n")
}

// empty writes an element without content.
func (w *xmlWriter) empty(name string, attrs ...string) {
	w.indent()
	w.tag(name, attrs)
	w.b.WriteString("/>\n")
}

func (w *xmlWriter) base64(name string, value []byte) {
	w.text(name, base64.StdEncoding.EncodeToString(value))
}

func (w *xmlWriter) time(name string, t time.Time) {
	w.text(name, t.UTC().Format("2006-01-02T15:04:05.999Z"))
}

// within writes an element and, in it, what fn writes.
func (w *xmlWriter) within(name string, fn func(), attrs ...string) {
	w.start(name, attrs...)
	fn()
	w.end()
}
