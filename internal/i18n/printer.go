package i18n

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Printer makes texts in one language. It is immutable and cheap.
type Printer struct {
	c    *Catalog
	lang Lang
}

// Part is a piece of a text: literal text, or an argument if Name is not empty.
type Part struct {
	Text  string // literal, or the argument written out in the language
	Name  string
	Value any // the argument as it was passed
}

// Lang returns the printer's language.
func (p *Printer) Lang() Lang { return p.lang }

// T returns the text of key. args are pairs of a name and a value:
//
//	p.T("web.greeting", "name", person.Name)
//
// Whole numbers and times among the values are written as the language does.
// A mistake is reported to [OnFault]; the result then shows "[key]" or leaves
// the argument's name in its place.
func (p *Printer) T(key string, args ...any) string {
	parts, _ := p.Parts(key, args...)
	return join(parts)
}

// N is T for a text with plural forms; {n} is the number itself.
func (p *Printer) N(key string, n int, args ...any) string {
	parts, _ := p.PluralParts(key, n, args...)
	return join(parts)
}

func join(parts []Part) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(part.Text)
	}
	return b.String()
}

// Parts returns the text of key in pieces and the language it is really in,
// which is Spanish where the printer's language lacks it. Templates use it to
// escape each piece by itself and to mark foreign text.
func (p *Printer) Parts(key string, args ...any) ([]Part, Lang) {
	m, l := p.find(key)
	if m.plural {
		p.c.fault(p.lang, key, "plural text used without a number")
	}
	return p.fill(key, l, m.forms[other], args)
}

// PluralParts is Parts for a text with plural forms.
func (p *Printer) PluralParts(key string, n int, args ...any) ([]Part, Lang) {
	m, l := p.find(key)
	segs, ok := m.forms[plural(l, n)]
	if !ok {
		segs = m.forms[other]
	}
	return p.fill(key, l, segs, append([]any{"n", n}, args...))
}

// find returns the message and the language it is in; a missing key gives a
// message that shows the key.
func (p *Printer) find(key string) (message, Lang) {
	for _, l := range []Lang{p.lang, ES} {
		if m, ok := p.c.texts[l][key]; ok {
			return m, l
		}
	}
	p.c.fault(p.lang, key, "no such key")
	return message{forms: map[category][]segment{other: {{text: "[" + key + "]"}}}}, p.lang
}

func (p *Printer) fill(key string, l Lang, segs []segment, args []any) ([]Part, Lang) {
	known := map[string]any{}
	for i := 0; i+1 < len(args); i += 2 {
		name, ok := args[i].(string)
		if !ok {
			p.c.fault(p.lang, key, fmt.Sprintf("argument name is a %T", args[i]))
			continue
		}
		known[name] = args[i+1]
	}
	if len(args)%2 != 0 {
		p.c.fault(p.lang, key, "argument without a value")
	}
	parts := make([]Part, 0, len(segs))
	for _, s := range segs {
		if s.arg == "" {
			parts = append(parts, Part{Text: s.text})
			continue
		}
		v, ok := known[s.arg]
		if !ok {
			p.c.fault(p.lang, key, "argument "+s.arg+" is missing")
			parts = append(parts, Part{Text: "{" + s.arg + "}"})
			continue
		}
		parts = append(parts, Part{Text: p.write(v), Name: s.arg, Value: v})
	}
	for name := range known {
		used := slices.ContainsFunc(segs, func(s segment) bool { return s.arg == name })
		if !used && name != "n" {
			p.c.fault(p.lang, key, "argument "+name+" is not in the text")
		}
	}
	return parts, l
}

// write returns an argument as text.
func (p *Printer) write(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int:
		return p.Number(int64(v))
	case int64:
		return p.Number(v)
	case time.Time:
		return p.DateTime(v)
	case fmt.Stringer:
		return v.String()
	}
	return fmt.Sprint(v)
}
