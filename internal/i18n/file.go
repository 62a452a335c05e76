package i18n

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxFile bounds one catalogue file, in bytes.
const maxFile = 1 << 20

// metaKey names the description of the file itself.
const metaKey = "@meta"

// keyPattern is the form of a key.
var keyPattern = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$`)

// argPattern is the form of an argument's name.
var argPattern = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// markupPattern finds text that someone wrote as markup.
var markupPattern = regexp.MustCompile(`</?[A-Za-z]|&[a-zA-Z#][a-zA-Z0-9]*;`)

// file is one parsed catalogue file.
type file struct {
	reviewed bool
	messages map[string]message
}

// message is the text of a key: one form, or one per plural category.
type message struct {
	plural bool
	forms  map[category][]segment
}

// segment is a literal, or the place of an argument if arg is not empty.
type segment struct{ text, arg string }

// args returns the names of the arguments of the form "other", in order.
// Other forms may leave out "n" ("un archivo") but name no others.
func (m message) args() []string {
	names := map[string]bool{}
	for _, s := range m.forms[other] {
		if s.arg != "" {
			names[s.arg] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func readFile(fsys fs.FS, l Lang) (*file, error) {
	r, err := fsys.Open(string(l) + ".json")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return nil, err
	}
	return parseFile(b, l)
}

// parseFile parses a catalogue file of language l. It reads token by token,
// because a repeated key would otherwise silently win.
func parseFile(b []byte, l Lang) (*file, error) {
	if len(b) > maxFile {
		return nil, fmt.Errorf("larger than %d bytes", maxFile)
	}
	if !utf8.Valid(b) {
		return nil, errors.New("not UTF-8")
	}
	f := &file{messages: map[string]message{}}
	var meta *struct {
		Lang     Lang `json:"lang"`
		Reviewed bool `json:"reviewed"`
	}
	err := eachMember(b, func(key string, raw json.RawMessage) error {
		if key == metaKey {
			d := json.NewDecoder(bytes.NewReader(raw))
			d.DisallowUnknownFields()
			return d.Decode(&meta)
		}
		if !keyPattern.MatchString(key) {
			return errors.New("not a key: want lower-case words joined by dots")
		}
		m, err := parseMessage(raw, l)
		f.messages[key] = m
		return err
	})
	if err != nil {
		return nil, err
	}
	if meta == nil || meta.Lang != l {
		return nil, fmt.Errorf("%s must name the language %s", metaKey, l)
	}
	f.reviewed = meta.Reviewed
	return f, nil
}

// eachMember calls fn for each member of the one JSON object in b, and refuses
// repeated names and anything after the object.
func eachMember(b []byte, fn func(key string, raw json.RawMessage) error) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(errors.New("want one JSON object"), err)
	}
	seen := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		key, ok := t.(string)
		if !ok || seen[key] {
			return fmt.Errorf("name %q is repeated", key)
		}
		seen[key] = true
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		if err := fn(key, raw); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return nil
}

func parseMessage(raw json.RawMessage, l Lang) (message, error) {
	m := message{forms: map[category][]segment{}}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		segs, err := parseText(text)
		m.forms[other] = segs
		return m, err
	}
	m.plural = true
	err := eachMember(raw, func(name string, raw json.RawMessage) error {
		cat := category(name)
		if !slices.Contains(categories(l), cat) {
			return fmt.Errorf("%s has no plural form of that name", l)
		}
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
		segs, err := parseText(text)
		m.forms[cat] = segs
		return err
	})
	if err != nil {
		return m, err
	}
	return m, checkForms(m, l)
}

// checkForms demands the forms of the language and arguments alike in all.
func checkForms(m message, l Lang) error {
	for _, cat := range categories(l) {
		if _, ok := m.forms[cat]; !ok && cat != many {
			return fmt.Errorf("plural form %q is missing", cat)
		}
	}
	names := m.args()
	for cat, segs := range m.forms {
		for _, s := range segs {
			if s.arg != "" && s.arg != "n" && !slices.Contains(names, s.arg) {
				return fmt.Errorf("form %q has the argument %s that \"other\" lacks", cat, s.arg)
			}
		}
	}
	return nil
}

// parseText splits a text at its arguments.
func parseText(s string) ([]segment, error) {
	if strings.TrimSpace(s) == "" || strings.TrimSpace(s) != s {
		return nil, errors.New("text is empty or has space around it")
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return nil, errors.New("text has a control character")
	}
	if markupPattern.MatchString(s) {
		return nil, errors.New("text has markup; texts are plain")
	}
	var segs []segment
	var lit strings.Builder
	for s != "" {
		switch {
		case strings.HasPrefix(s, "{{"), strings.HasPrefix(s, "}}"):
			lit.WriteByte(s[0])
			s = s[2:]
		case s[0] == '{':
			name, rest, ok := strings.Cut(s[1:], "}")
			if !ok || !argPattern.MatchString(name) {
				return nil, errors.New("want {name}, or {{ for a brace")
			}
			if lit.Len() > 0 {
				segs = append(segs, segment{text: lit.String()})
				lit.Reset()
			}
			segs = append(segs, segment{arg: name})
			s = rest
		case s[0] == '}':
			return nil, errors.New("want }} for a brace")
		default:
			lit.WriteByte(s[0])
			s = s[1:]
		}
	}
	if lit.Len() > 0 {
		segs = append(segs, segment{text: lit.String()})
	}
	return segs, nil
}
