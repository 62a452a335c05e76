package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a JSON body.
const maxDepth = 32

// JSON reads the body as one JSON value of at most max bytes into v, a pointer
// to a struct. It returns an [*InputError]: [ErrTooLarge], [ErrEncoding] for what
// is not UTF-8, [ErrDuplicate] for a member given twice (also if only the case
// differs), [ErrTooMany] for deep nesting, [ErrSyntax] for everything else,
// members that v does not know among it.
func JSON(r *http.Request, max int64, v any) error {
	s, err := readBody(r, max)
	if err != nil {
		return err
	}
	b := []byte(s)
	if !utf8.Valid(b) {
		return inputError(ErrEncoding, "")
	}
	if err := checkJSON(b); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		var te *json.UnmarshalTypeError
		if errors.As(err, &te) {
			return inputError(ErrSyntax, te.Field)
		}
		if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return inputError(ErrSyntax, strings.Trim(name, `"`))
		}
		return inputError(ErrSyntax, "")
	}
	return nil
}

// checkJSON walks the tokens of exactly one value, bounds depth and refuses
// members given twice, which decoders resolve in different ways.
func checkJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	type level struct {
		names map[string]bool // nil in an array
		value bool            // the next token of an object is a value
	}
	var stack []level
	for {
		t, err := d.Token()
		if errors.Is(err, io.EOF) && len(stack) == 0 {
			return inputError(ErrSyntax, "") // no value at all
		}
		if err != nil {
			return inputError(ErrSyntax, "")
		}
		if top := len(stack) - 1; top >= 0 && stack[top].names != nil && t != json.Delim('}') {
			if !stack[top].value {
				name, _ := t.(string)
				folded := strings.ToLower(name)
				if stack[top].names[folded] {
					return inputError(ErrDuplicate, name)
				}
				stack[top].names[folded] = true
				stack[top].value = true
				continue
			}
			stack[top].value = false
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if len(stack) == maxDepth {
				return inputError(ErrTooMany, "")
			}
			l := level{}
			if t == json.Delim('{') {
				l.names = map[string]bool{}
			}
			stack = append(stack, l)
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
		if len(stack) == 0 {
			if _, err := d.Token(); !errors.Is(err, io.EOF) {
				return inputError(ErrSyntax, "") // something follows
			}
			return nil
		}
	}
}
