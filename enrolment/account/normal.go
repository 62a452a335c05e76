package account

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"oruro.gob.bo/suti/internal/identity"
)

// Errors of input. The text says which part is wrong and what is expected, never the value.
var (
	// ErrDocument reports a document that cannot be one of its type.
	ErrDocument = errors.New("account: document")
	// ErrName reports a name that cannot be registered.
	ErrName = errors.New("account: name")
	// ErrBirthDate reports an impossible birth date.
	ErrBirthDate = errors.New("account: birth date")
	// ErrContact reports a malformed address or telephone number.
	ErrContact = errors.New("account: contact")
)

var (
	ciNumber   = regexp.MustCompile(`^[0-9]{4,10}$`)
	complement = regexp.MustCompile(`^[0-9][A-Z]$`)
	cieNumber  = regexp.MustCompile(`^(E-?)?[0-9]{4,12}$`)
	passport   = regexp.MustCompile(`^[A-Z0-9]{5,15}$`)
	taxID      = regexp.MustCompile(`^[0-9]{9,12}$`)
	email      = regexp.MustCompile(`^[^\s@<>,;"\\\x00-\x1f\x7f-\x{a0}]{1,64}@[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)
	phone      = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
)

// maxInput bounds what is looked at of one field, in bytes.
const maxInput = 200

// ParseDocument brings a document into normal form. A CI's complement is
// accepted in its three spellings: apart, behind a hyphen, or (as comp) empty
// with the number holding both: "1234567-1A", "12345671A". The place of issue
// that older cards show ("1234567 OR") is no part of it and is dropped.
func ParseDocument(kind identity.DocumentType, number, comp string) (identity.Document, error) {
	d := identity.Document{Type: kind}
	if len(number) > maxInput || len(comp) > maxInput {
		return d, fmt.Errorf("%w: too long", ErrDocument)
	}
	number, comp = compact(number), compact(comp)
	switch kind {
	case identity.DocumentCI:
		return parseCI(number, comp)
	case identity.DocumentCIE:
		if !cieNumber.MatchString(number) || comp != "" {
			return d, fmt.Errorf("%w: a foreigner's card has 4 to 12 digits", ErrDocument)
		}
		d.Number = "E" + strings.TrimLeft(strings.TrimPrefix(number, "E"), "-")
	case identity.DocumentPassport:
		if !passport.MatchString(number) || comp != "" {
			return d, fmt.Errorf("%w: a passport has 5 to 15 letters and digits", ErrDocument)
		}
		d.Number = number
	default:
		return d, fmt.Errorf("%w: unknown type", ErrDocument)
	}
	return d, nil
}

// ParseTaxID brings a NIT into normal form, 9 to 12 digits; spaces, dots and
// hyphens between them are dropped.
func ParseTaxID(s string) (string, error) {
	if len(s) > maxInput {
		return "", fmt.Errorf("%w: too long", ErrDocument)
	}
	s = strings.ReplaceAll(compact(s), "-", "")
	if !taxID.MatchString(s) {
		return "", fmt.Errorf("%w: a NIT has 9 to 12 digits", ErrDocument)
	}
	return s, nil
}

// compact upper-cases and removes white space and the dots of thousands.
func compact(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '.' {
			return -1
		}
		return unicode.ToUpper(r)
	}, s)
}

func parseCI(number, comp string) (identity.Document, error) {
	d := identity.Document{Type: identity.DocumentCI}
	for _, place := range []string{"LP", "OR", "PT", "CB", "SC", "BE", "PD", "TJ", "CH"} {
		if bare, ok := strings.CutSuffix(number, place); ok && bare != "" {
			number = strings.TrimSuffix(bare, "-")
			break
		}
	}
	if left, right, ok := strings.Cut(number, "-"); ok {
		if comp != "" && comp != right {
			return d, fmt.Errorf("%w: two different complements", ErrDocument)
		}
		number, comp = left, right
	} else if n := len(number); comp == "" && n > 5 && complement.MatchString(number[n-2:]) {
		number, comp = number[:n-2], number[n-2:]
	}
	if !ciNumber.MatchString(number) {
		return d, fmt.Errorf("%w: a CI number has 4 to 10 digits", ErrDocument)
	}
	if comp != "" && !complement.MatchString(comp) {
		return d, fmt.Errorf("%w: a complement is a digit and a letter, such as 1A", ErrDocument)
	}
	d.Number, d.Complement = strings.TrimLeft(number, "0"), comp
	if len(d.Number) < 4 {
		return d, fmt.Errorf("%w: a CI number has 4 to 10 digits", ErrDocument)
	}
	return d, nil
}

// NamePart is a part of a name.
type NamePart int

// The parts of a name.
const (
	GivenNames NamePart = iota
	FirstSurname
	SecondSurname
)

// NameError says in which part of a name the fault is. It wraps [ErrName].
type NameError struct {
	Part NamePart
	Err  error
}

// Error implements error.
func (e *NameError) Error() string { return e.Err.Error() }

// Unwrap returns the fault.
func (e *NameError) Unwrap() error { return e.Err }

// ParseName brings a name into normal form: composed Unicode, single spaces,
// letters with the marks that names have. One surname may be missing, not both.
// A surname of "--" or "-" means that there is none. Its errors are [NameError].
func ParseName(given, first, second string) (identity.Name, error) {
	var n identity.Name
	var err error
	if n.Given, err = namePart(given); err != nil {
		return n, &NameError{Part: GivenNames, Err: err}
	}
	if n.FirstSurname, err = namePart(first); err != nil {
		return n, &NameError{Part: FirstSurname, Err: err}
	}
	if n.SecondSurname, err = namePart(second); err != nil {
		return n, &NameError{Part: SecondSurname, Err: err}
	}
	switch {
	case n.Given == "":
		return n, &NameError{Part: GivenNames, Err: fmt.Errorf("%w: given names are missing", ErrName)}
	case n.FirstSurname == "" && n.SecondSurname == "":
		return n, &NameError{Part: FirstSurname, Err: fmt.Errorf("%w: at least one surname is needed", ErrName)}
	}
	return n, nil
}

func namePart(s string) (string, error) {
	if len(s) > maxInput || !utf8.ValidString(s) {
		return "", fmt.Errorf("%w: too long or not text", ErrName)
	}
	s = strings.Join(strings.Fields(norm.NFC.String(s)), " ")
	if strings.Trim(s, "-") == "" {
		return "", nil
	}
	if utf8.RuneCountInString(s) > 60 {
		return "", fmt.Errorf("%w: more than 60 letters in one part", ErrName)
	}
	for i, r := range s {
		switch {
		case unicode.IsLetter(r):
		case i > 0 && (r == ' ' || r == '\'' || r == '’' || r == '-' || r == '.' || r == '´' || unicode.Is(unicode.Mn, r)):
		default:
			return "", fmt.Errorf("%w: a character that names do not have", ErrName)
		}
	}
	return s, nil
}

// ParseBirthDate reads DD/MM/YYYY, as people write it, or ISO 8601. The date
// must exist, lie in the past and at most 125 years back.
func ParseBirthDate(s string, now time.Time) (identity.Date, error) {
	s = strings.TrimSpace(s)
	if len(s) > 10 {
		return identity.Date{}, fmt.Errorf("%w: want day/month/year", ErrBirthDate)
	}
	t, err := time.Parse("2/1/2006", s)
	if err != nil {
		if t, err = time.Parse(time.DateOnly, s); err != nil {
			return identity.Date{}, fmt.Errorf("%w: want day/month/year", ErrBirthDate)
		}
	}
	if !t.Before(now) || t.Before(now.AddDate(-125, 0, 0)) {
		return identity.Date{}, fmt.Errorf("%w: not in the last 125 years", ErrBirthDate)
	}
	return identity.Date{Year: t.Year(), Month: t.Month(), Day: t.Day()}, nil
}

// ParseEmail brings an e-mail address into normal form; the empty one is fine.
func ParseEmail(s string) (string, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return "", nil
	}
	local, host, ok := strings.Cut(s, "@")
	s = local + "@" + strings.ToLower(host)
	if !ok || len(s) > 254 || !utf8.ValidString(s) || !email.MatchString(s) {
		return "", fmt.Errorf("%w: e-mail address", ErrContact)
	}
	return s, nil
}

// ParsePhone brings a telephone number into E.164; eight digits are Bolivian,
// the empty one is fine.
func ParsePhone(s string) (string, error) {
	if len(s) > 40 {
		return "", fmt.Errorf("%w: telephone number", ErrContact)
	}
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -().", r) {
			return -1
		}
		return r
	}, s)
	switch {
	case s == "":
		return "", nil
	case len(s) == 8 && s[0] >= '2' && s[0] <= '7':
		s = "+591" + s
	case strings.HasPrefix(s, "00"):
		s = "+" + s[2:]
	}
	if !phone.MatchString(s) {
		return "", fmt.Errorf("%w: telephone number", ErrContact)
	}
	return s, nil
}
