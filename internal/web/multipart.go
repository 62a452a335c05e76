package web

import (
	"errors"
	"io"
	"net/http"
	"path"
	"strings"
	"unicode/utf8"
)

// Bounds of the parts of a multipart form that are not files.
const (
	maxFieldBytes = 64 << 10 // all fields together
	maxFileName   = 200      // bytes of a file's name that are kept
)

// FileFunc takes one file of a form. name is the last element of the name the
// person's device gave, cleaned, for display only; it may be empty. Reading body
// beyond the bound of the route fails with an error that a mux answers with 413.
type FileFunc func(field, name string, body io.Reader) error

// Multipart reads a multipart/form-data body in one pass: fields are kept under
// the rules of [Form], each file is handed to file as it arrives. The route needs
// the option [Upload]. An error of file is returned as is.
func Multipart(r *http.Request, file FileFunc, opts ...FormOption) (*Values, error) {
	var rules formRules
	for _, o := range opts {
		o(&rules)
	}
	mr, err := r.MultipartReader()
	if err != nil {
		return nil, &InputError{Kind: ErrMediaType, Err: err}
	}
	v := &Values{m: map[string][]string{}}
	left := int64(maxFieldBytes)
	for n := 0; ; n++ {
		part, err := mr.NextRawPart() // raw: no transfer encodings
		if errors.Is(err, io.EOF) {
			return v, nil
		}
		if err != nil {
			return nil, partError(err)
		}
		name := part.FormName()
		switch {
		case n >= maxParams:
			return nil, inputError(ErrTooMany, "")
		case name == "" || len(name) > maxParamName || !cleanText(name, false):
			return nil, inputError(ErrEncoding, "")
		}
		if _, isFile := filename(part.Header.Get("Content-Disposition")); isFile {
			if err := file(name, cleanFileName(part.FileName()), part); err != nil {
				return nil, err
			}
			continue
		}
		b, err := io.ReadAll(io.LimitReader(part, left+1))
		if err != nil {
			return nil, partError(err)
		}
		if left -= int64(len(b)); left < 0 {
			return nil, inputError(ErrTooLarge, name)
		}
		if err := v.add(name, string(b), &rules); err != nil {
			return nil, err
		}
	}
}

func partError(err error) error {
	if max := (*http.MaxBytesError)(nil); errors.As(err, &max) {
		return bodyError(err)
	}
	return &InputError{Kind: ErrSyntax, Err: errors.New("multipart body")}
}

// filename reports whether a part was sent as a file, even one without a name.
func filename(disposition string) (string, bool) {
	_, rest, ok := strings.Cut(strings.ToLower(disposition), "filename")
	return rest, ok
}

// cleanFileName makes a name fit to be shown.
func cleanFileName(s string) string {
	s = path.Base(strings.ReplaceAll(s, `\`, "/"))
	s = strings.Map(func(c rune) rune {
		if c == utf8.RuneError || !cleanText(string(c), false) {
			return -1
		}
		return c
	}, s)
	for len(s) > maxFileName {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	if s == "." || s == "/" {
		return ""
	}
	return strings.TrimSpace(s)
}
