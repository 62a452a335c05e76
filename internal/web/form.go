package web

import (
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of a form.
const (
	maxParams    = 64
	maxParamName = 128
)

// Values are the parameters of a form or a query, each with one value unless
// [Repeatable] allowed more.
type Values struct{ m map[string][]string }

// ValuesOf returns parameters with these values, for a page that is shown filled.
func ValuesOf(m map[string]string) *Values {
	v := &Values{m: make(map[string][]string, len(m))}
	for name, value := range m {
		v.m[name] = []string{value}
	}
	return v
}

// Get returns the value of name, or "".
func (v *Values) Get(name string) string {
	if vs := v.m[name]; len(vs) > 0 {
		return vs[0]
	}
	return ""
}

// Has reports whether name was given, perhaps empty.
func (v *Values) Has(name string) bool { return len(v.m[name]) > 0 }

// All returns every value of name.
func (v *Values) All(name string) []string { return slices.Clone(v.m[name]) }

// Names returns the names that were given, in order.
func (v *Values) Names() []string {
	names := make([]string, 0, len(v.m))
	for n := range v.m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// FormOption changes how a form is read.
type FormOption func(*formRules)

type formRules struct{ repeatable, multiline []string }

// Repeatable allows these parameters to come more than once, as RFC 8707 does
// for "resource", and as check boxes do.
func Repeatable(names ...string) FormOption {
	return func(r *formRules) { r.repeatable = append(r.repeatable, names...) }
}

// Multiline allows line breaks and tabs in these parameters; CR LF becomes LF.
func Multiline(names ...string) FormOption {
	return func(r *formRules) { r.multiline = append(r.multiline, names...) }
}

// Form reads the body of a POST as application/x-www-form-urlencoded, at most
// max bytes, once. It returns an [*InputError]: [ErrMediaType], [ErrTooLarge],
// [ErrTooMany], [ErrDuplicate] for a parameter given twice, be it once in the
// query, or [ErrEncoding] for what is not UTF-8 without control characters. The
// query is otherwise not part of the form.
func Form(r *http.Request, max int64, opts ...FormOption) (*Values, error) {
	types := r.Header.Values("Content-Type")
	if len(types) != 1 || r.Method != http.MethodPost {
		return nil, inputError(ErrMediaType, "")
	}
	mt, params, err := mime.ParseMediaType(types[0])
	if err != nil || mt != "application/x-www-form-urlencoded" || r.Header.Get("Content-Encoding") != "" {
		return nil, inputError(ErrMediaType, "")
	}
	if c, ok := params["charset"]; ok && !strings.EqualFold(c, "utf-8") {
		return nil, inputError(ErrMediaType, "charset")
	}
	body, err := readBody(r, max)
	if err != nil {
		return nil, err
	}
	form, err := parseParams(body, opts)
	if err != nil {
		return nil, err
	}
	query, err := parseParams(r.URL.RawQuery, opts)
	if err != nil {
		return nil, err
	}
	for name := range query.m {
		if form.Has(name) {
			return nil, inputError(ErrDuplicate, name)
		}
	}
	return form, nil
}

// Query reads the query of the address under the rules of [Form].
func Query(r *http.Request, opts ...FormOption) (*Values, error) {
	return parseParams(r.URL.RawQuery, opts)
}

func readBody(r *http.Request, max int64) (string, error) {
	if r.Body == nil {
		return "", nil
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, max+1))
	if err != nil {
		return "", bodyError(err)
	}
	if int64(len(b)) > max {
		return "", inputError(ErrTooLarge, "")
	}
	return string(b), nil
}

// parseParams parses name=value pairs joined by "&" (URL Standard §5.1), and
// refuses what parsers disagree about: ";", a pair without name, broken escapes.
func parseParams(s string, opts []FormOption) (*Values, error) {
	var rules formRules
	for _, o := range opts {
		o(&rules)
	}
	v := &Values{m: map[string][]string{}}
	if s == "" {
		return v, nil
	}
	count := 0
	for pair := range strings.SplitSeq(s, "&") {
		if count++; count > maxParams {
			return nil, inputError(ErrTooMany, "")
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, nameErr := url.QueryUnescape(rawName)
		value, valueErr := url.QueryUnescape(rawValue)
		if nameErr != nil || valueErr != nil || strings.Contains(pair, ";") || name == "" || len(name) > maxParamName || !cleanText(name, false) {
			return nil, inputError(ErrEncoding, name)
		}
		if err := v.add(name, value, &rules); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (v *Values) add(name, value string, rules *formRules) error {
	multiline := slices.Contains(rules.multiline, name)
	if !cleanText(value, multiline) {
		return inputError(ErrEncoding, name)
	}
	if multiline {
		value = strings.ReplaceAll(value, "\r\n", "\n")
	}
	if len(v.m[name]) > 0 && !slices.Contains(rules.repeatable, name) {
		return inputError(ErrDuplicate, name)
	}
	v.m[name] = append(v.m[name], value)
	return nil
}

// cleanText reports whether s is UTF-8 without control characters and without
// marks that reorder or hide text.
func cleanText(s string, multiline bool) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, c := range s {
		switch {
		case c == '\n' || c == '\r' || c == '\t':
			if !multiline {
				return false
			}
		case c < ' ' || c >= 0x7f && c <= 0x9f, c == '\u2028', c == '\u2029', c == '\ufeff',
			c >= '\u202a' && c <= '\u202e', c >= '\u2066' && c <= '\u2069':
			return false
		}
	}
	return true
}
