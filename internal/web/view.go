package web

import (
	"errors"
	"fmt"
	"html/template"
	"slices"
	"strings"
	"time"

	"oruro.gob.bo/suti/internal/i18n"
)

// View is what templates see: the [Page], and methods for its form.
type View struct {
	Page
	p    *Pages
	pr   *i18n.Printer
	lang i18n.Lang
	path string
}

// Lang returns the language of the page.
func (v *View) Lang() string { return string(v.lang) }

// TitleText returns the title.
func (v *View) TitleText() string { return v.pr.T(v.Title, v.TitleArgs...) }

// Theme returns the look.
func (v *View) Theme() Theme { return v.p.c.Theme }

// Demo reports whether nothing here has legal effect.
func (v *View) Demo() bool { return v.p.c.Demo }

// LangItem is one language of the switch.
type LangItem struct {
	Code, Name string
	Current    bool
}

// Languages returns the languages of the switch; none if there is one only.
func (v *View) Languages() []LangItem {
	offered := v.p.c.Catalog.Offered()
	if len(offered) < 2 {
		return nil
	}
	items := make([]LangItem, len(offered))
	for i, l := range offered {
		items[i] = LangItem{string(l), l.Name(), l == v.lang}
	}
	return items
}

// ReturnPath returns where the language switch leads back to.
func (v *View) ReturnPath() string {
	if v.Return != "" {
		return v.Return
	}
	return v.path
}

// ErrorOf returns the fault of a field, if any.
func (v *View) ErrorOf(field string) *FieldError {
	for i := range v.Errors {
		if v.Errors[i].Field == field {
			return &v.Errors[i]
		}
	}
	return nil
}

// FieldView is a labelled input.
type FieldView struct {
	Name, Label, Hint                   string // Label and Hint are keys
	Type, Value                         string
	Autocomplete, InputMode, AutoCapita string
	MaxLength, Rows                     int
	Required, Spell, Narrow             bool
	Error                               *FieldError
}

// DescribedBy returns the ids of hint and error.
func (f FieldView) DescribedBy() string {
	var ids []string
	if f.Hint != "" {
		ids = append(ids, f.Name+"-ayuda")
	}
	if f.Error != nil {
		ids = append(ids, f.Name+"-error")
	}
	return strings.Join(ids, " ")
}

// Field makes a labelled input for the template "field". Options are pairs of a
// name and a value: label, hint (keys), type, value, autocomplete, inputmode,
// autocapitalize, maxlength, rows (makes it a text area), optional, spell, narrow.
// What a person typed before is shown again, except passwords.
func (v *View) Field(name string, opts ...any) (FieldView, error) {
	f := FieldView{Name: name, Type: "text", Required: true, Error: v.ErrorOf(name)}
	err := eachOption(opts, func(opt string, val any) bool {
		switch opt {
		case "label":
			return set(&f.Label, val)
		case "hint":
			return set(&f.Hint, val)
		case "type":
			return set(&f.Type, val)
		case "value":
			return set(&f.Value, val)
		case "autocomplete":
			return set(&f.Autocomplete, val)
		case "inputmode":
			return set(&f.InputMode, val)
		case "autocapitalize":
			return set(&f.AutoCapita, val)
		case "maxlength":
			return set(&f.MaxLength, val)
		case "rows":
			return set(&f.Rows, val)
		case "spell":
			return set(&f.Spell, val)
		case "narrow":
			return set(&f.Narrow, val)
		case "optional":
			var optional bool
			ok := set(&optional, val)
			f.Required = !optional
			return ok
		}
		return false
	})
	if err == nil && f.Label == "" {
		err = errors.New("a field needs a label")
	}
	if v.Values.Has(name) {
		f.Value = v.Values.Get(name)
	}
	if f.Type == "password" {
		f.Value = ""
	}
	return f, err
}

// ChoiceView is a question with answers to choose from.
type ChoiceView struct {
	Name, Legend, Hint string // Legend and Hint are keys
	Many               bool
	Options            []OptionView
	Error              *FieldError
}

// OptionView is one answer.
type OptionView struct {
	Value, Label, Hint string // Label and Hint are keys
	Text               string // shown instead of Label if not empty
	Checked            bool
}

// DescribedBy returns the ids of hint and error.
func (c ChoiceView) DescribedBy() string {
	return FieldView{Name: c.Name, Hint: c.Hint, Error: c.Error}.DescribedBy()
}

// Choice makes radio buttons, or check boxes if many is set, for the template
// "choice". What a person chose before stays chosen.
func (v *View) Choice(name, legend, hint string, many bool, options ...OptionView) ChoiceView {
	c := ChoiceView{Name: name, Legend: legend, Hint: hint, Many: many, Options: slices.Clone(options), Error: v.ErrorOf(name)}
	for i := range c.Options {
		if v.Values.Has(name) {
			c.Options[i].Checked = slices.Contains(v.Values.All(name), c.Options[i].Value)
		}
	}
	return c
}

// RowView is a line of a summary list.
type RowView struct {
	Key          string // i18n key of what it is
	Value        any    // text, HTML, or a time
	Path, Action string // a link at its end; Action is a key
}

// NoticeView is a notice: Kind is info, ok, warn or error.
type NoticeView struct {
	Kind, Title, Text string // keys
	Args              []any
}

// TableView is a table. On narrow screens each row becomes a block.
type TableView struct {
	Caption string   // key
	Head    []string // keys
	Rows    [][]any  // text, HTML, or times
	Empty   string   // key of what is shown instead of no rows
}

// CodeCardView is a card of single-use codes, made to be printed.
type CodeCardView struct {
	Holder, Serial string
	Cells          []CodeCell
	// Word is read out to whoever sees a closed card opened; may be empty.
	Word string
}

// CodeCell is one code of a [CodeCardView] with the number by which it is asked for.
type CodeCell struct{ Number, Code string }

// eachOption calls fn for pairs of a name and a value.
func eachOption(opts []any, fn func(name string, val any) bool) error {
	if len(opts)%2 != 0 {
		return errors.New("options come in pairs")
	}
	for i := 0; i < len(opts); i += 2 {
		name, ok := opts[i].(string)
		if !ok || !fn(name, opts[i+1]) {
			return fmt.Errorf("bad option %v", opts[i])
		}
	}
	return nil
}

func set[T any](to *T, val any) bool {
	v, ok := val.(T)
	if ok {
		*to = v
	}
	return ok
}

// funcs returns the functions of templates, bound to one language:
//
//	t, tn    text of a key (with a number: plural), marked if in another language
//	tv       the same with the arguments as one list
//	tt       the same as plain text, for attributes and titles
//	th       text of a key whose arguments may be HTML, for links within sentences
//	a        a link to a path of this site, as an argument of th
//	day, moment, clock    times, as <time>
//	number   a whole number
//	asset    the address of an asset
//	button, row, notice, option, list    make the values of components
func (p *Pages) funcs(pr *i18n.Printer) template.FuncMap {
	return template.FuncMap{
		"t": func(key string, args ...any) template.HTML {
			parts, l := pr.Parts(key, args...)
			return marked(parts, l, pr.Lang(), false)
		},
		"tn": func(key string, n int, args ...any) template.HTML {
			parts, l := pr.PluralParts(key, n, args...)
			return marked(parts, l, pr.Lang(), false)
		},
		"th": func(key string, args ...any) template.HTML {
			parts, l := pr.Parts(key, args...)
			return marked(parts, l, pr.Lang(), true)
		},
		"tv": func(key string, args []any) template.HTML {
			parts, l := pr.Parts(key, args...)
			return marked(parts, l, pr.Lang(), false)
		},
		"tt":     pr.T,
		"a":      func(path, key string) (template.HTML, error) { return anchor(pr, path, key) },
		"day":    func(at time.Time) template.HTML { return timeTag(pr, at, pr.Date(at)) },
		"moment": func(at time.Time) template.HTML { return timeTag(pr, at, pr.DateTime(at)) },
		"clock":  func(at time.Time) template.HTML { return timeTag(pr, at, pr.Clock(at)) },
		"number": func(n int) string { return pr.Number(int64(n)) },
		"asset":  p.assets.url,
		"cell":   func(v any) any { return cell(pr, v) },
		"button": newButton,
		"row": func(key string, value any, link ...string) (RowView, error) {
			r := RowView{Key: key, Value: value}
			if len(link) == 2 {
				r.Path, r.Action = link[0], link[1]
			} else if len(link) != 0 {
				return r, errors.New("a row's link is a path and a key")
			}
			return r, nil
		},
		"notice": func(kind, title, text string, args ...any) NoticeView {
			return NoticeView{Kind: kind, Title: title, Text: text, Args: args}
		},
		"option": func(value, label string, hint ...string) OptionView {
			o := OptionView{Value: value, Label: label}
			if len(hint) > 0 {
				o.Hint = hint[0]
			}
			return o
		},
		"list": func(items ...any) []any { return items },
	}
}

// ButtonView is a button of a form.
type ButtonView struct {
	Label, Name, Value string // Label is a key
	Kind               string // "", "second" or "danger"
}

func newButton(label string, opts ...any) (ButtonView, error) {
	b := ButtonView{Label: label}
	err := eachOption(opts, func(opt string, val any) bool {
		switch opt {
		case "name":
			return set(&b.Name, val)
		case "value":
			return set(&b.Value, val)
		case "kind":
			return set(&b.Kind, val)
		}
		return false
	})
	return b, err
}

// marked joins the parts of a text, escaping each, and wraps them in an element
// that names the language where it is not the page's.
func marked(parts []i18n.Part, l, page i18n.Lang, allowHTML bool) template.HTML {
	var b strings.Builder
	for _, part := range parts {
		if h, ok := part.Value.(template.HTML); ok && allowHTML {
			b.WriteString(string(h))
			continue
		}
		b.WriteString(template.HTMLEscapeString(part.Text))
	}
	if l == page {
		return template.HTML(b.String()) //nolint:gosec // every part was escaped above
	}
	return template.HTML(`<span lang="` + string(l) + `">` + b.String() + `</span>`) //nolint:gosec // as above
}

func anchor(pr *i18n.Printer, path, key string) (template.HTML, error) {
	safe, ok := SafeReturn(path)
	if !ok {
		return "", errors.New("a link leads to a path of this site")
	}
	parts, l := pr.Parts(key)
	return template.HTML(`<a href="` + template.HTMLEscapeString(safe) + `">` + //nolint:gosec // escaped
		string(marked(parts, l, pr.Lang(), false)) + `</a>`), nil
}

func timeTag(pr *i18n.Printer, at time.Time, text string) template.HTML {
	return template.HTML(`<time datetime="` + pr.Machine(at) + `">` + template.HTMLEscapeString(text) + `</time>`) //nolint:gosec // digits and escaped text
}

// cell writes a value of a table or summary.
func cell(pr *i18n.Printer, v any) any {
	switch v := v.(type) {
	case time.Time:
		return timeTag(pr, v, pr.DateTime(v))
	case int:
		return pr.Number(int64(v))
	}
	return v
}
