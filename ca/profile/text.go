package profile

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrSubject reports registry data that a subject name cannot carry. It names
// the field and the rule and never repeats the value.
var ErrSubject = errors.New("profile: subject data refused")

// SubjectError is the typed form of [ErrSubject].
type SubjectError struct {
	Field  Attribute
	Reason string
}

// Error names field and rule.
func (e *SubjectError) Error() string {
	return fmt.Sprintf("profile: subject data refused: %s %s", e.Field, e.Reason)
}

// Is makes errors.Is(err, ErrSubject) hold.
func (e *SubjectError) Is(target error) bool { return target == ErrSubject }

// Upper bounds in characters, RFC 5280 appendix A.1. Given names and surnames
// have 32768 there; 64 is what readers display.
const (
	maxName       = 64
	maxNotice     = 200 // DisplayText
	maxBytesInput = 1024
)

// personal punctuation that occurs in names of persons.
const personalMarks = " '’-.ʼ"

// officialMarks occur in names of institutions, units and posts.
const officialMarks = " '’\"“”«».,;:()/&-–+°ºª№#ʼ"

// checkText returns a [SubjectError] unless s is 1 to limit characters of the
// Latin script with the given punctuation, without edge or doubled spaces. One
// script keeps look-alike letters out of a signer's name; letters come
// composed, which makes the text Unicode normal form C.
func checkText(field Attribute, s, marks string, withDigits bool, limit int) error {
	refuse := func(reason string, a ...any) error {
		return &SubjectError{Field: field, Reason: fmt.Sprintf(reason, a...)}
	}
	switch {
	case s == "":
		return refuse("is empty")
	case len(s) > maxBytesInput || utf8.RuneCountInString(s) > limit:
		return refuse("has more than %d characters", limit)
	case !utf8.ValidString(s):
		return refuse("is not UTF-8")
	case strings.TrimSpace(s) != s || strings.Contains(s, "  "):
		return refuse("has surplus spaces")
	}
	letters := 0
	for _, r := range s {
		switch {
		case latinLetter(r):
			letters++
		case strings.ContainsRune(marks, r):
		case withDigits && r >= '0' && r <= '9':
		default:
			return refuse("has character U+%04X, which is not allowed", r)
		}
	}
	if letters == 0 {
		return refuse("has no letter")
	}
	return nil
}

// latinLetter accepts Basic Latin to Latin Extended-B and Latin Extended
// Additional; none of these letters has another canonical form.
func latinLetter(r rune) bool {
	return (r <= 0x024f || r >= 0x1e00 && r <= 0x1eff) && unicode.IsLetter(r) && unicode.Is(unicode.Latin, r)
}

// printable accepts text for the user notice.
func printable(r rune) bool {
	return latinLetter(r) || strings.ContainsRune(officialMarks+digits+"¡!¿?*", r)
}
