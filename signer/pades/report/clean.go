package report

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds a piece of text from the file, in characters.
const maxText = 240

// clean makes text from a file safe to show: what cannot be seen, and what
// changes the direction of what can, becomes U+FFFD; marks that pile up on one
// letter are thinned; what is too long ends in "…".
func clean(s string) string {
	var b strings.Builder
	n, marks := 0, 0
	for len(s) > 0 {
		r, size := utf8.DecodeRuneInString(s)
		s = s[size:]
		if unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) {
			if marks++; marks > 2 {
				continue
			}
		} else {
			marks = 0
		}
		switch {
		case r == '\t' || r == '\n' || r == '\r' || unicode.Is(unicode.Zs, r):
			r = ' '
		case !unicode.IsPrint(r):
			r = utf8.RuneError
		}
		if n++; n > maxText {
			b.WriteRune('…')
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
