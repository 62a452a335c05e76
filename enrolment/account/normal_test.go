package account_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/internal/identity"
)

func TestParseDocument(t *testing.T) {
	t.Parallel()
	ci, cie, pas := identity.DocumentCI, identity.DocumentCIE, identity.DocumentPassport
	for _, c := range []struct {
		kind         identity.DocumentType
		number, comp string
		want         string // "" means refused
	}{
		{ci, "1234567", "", "1234567"},
		{ci, " 1.234.567 ", "", "1234567"},
		{ci, "1234567 OR", "", "1234567"},
		{ci, "1234567-LP", "", "1234567"},
		{ci, "1234567-1A", "", "1234567-1A"},
		{ci, "12345671a", "", "1234567-1A"},
		{ci, "1234567", "1a", "1234567-1A"},
		{ci, "1234567-1A", "1A", "1234567-1A"},
		{ci, "1234567-1A OR", "", "1234567-1A"},
		{ci, "0001234567", "", "1234567"},
		{ci, "1234567-1A", "1B", ""},
		{ci, "1234567", "AA", ""},
		{ci, "123", "", ""},
		{ci, "0000123", "", ""},
		{ci, "12345678901", "", ""},
		{ci, "", "", ""},
		{ci, "OR", "", ""},
		{ci, "１２３４５６７", "", ""}, // full-width digits
		{cie, "E-1234567", "", "E1234567"},
		{cie, "1234567", "", "E1234567"},
		{cie, "1234567", "1A", ""},
		{pas, "ab 123456", "", "AB123456"},
		{pas, "AB", "", ""},
		{"NIT", "1234567", "", ""},
		{ci, strings.Repeat("1", 300), "", ""},
	} {
		got, err := account.ParseDocument(c.kind, c.number, c.comp)
		if c.want == "" {
			if !errors.Is(err, account.ErrDocument) {
				t.Errorf("%s %q %q: got %v, %v, want ErrDocument", c.kind, c.number, c.comp, got, err)
			}
			if err != nil && len(c.number) > 4 && strings.Contains(err.Error(), c.number) {
				t.Errorf("%q: the error repeats the value", c.number)
			}
			continue
		}
		if err != nil || got.String() != c.want || got.Type != c.kind {
			t.Errorf("%s %q %q: got %v, %v, want %s", c.kind, c.number, c.comp, got, err, c.want)
		}
	}
}

// A fault is told of the part that has it.
func TestParseNameSaysWhichPart(t *testing.T) {
	t.Parallel()
	for in, want := range map[[3]string]account.NamePart{
		{"Ana 2", "Quispe", ""}: account.GivenNames, {"", "Quispe", ""}: account.GivenNames,
		{"Ana", "Quispe1", ""}: account.FirstSurname, {"Ana", "", "--"}: account.FirstSurname, {"Ana", "Quispe", "7"}: account.SecondSurname,
	} {
		_, err := account.ParseName(in[0], in[1], in[2])
		var ne *account.NameError
		if !errors.As(err, &ne) || ne.Part != want || !errors.Is(err, account.ErrName) {
			t.Errorf("%q: got %v, want part %d", in, err, want)
		}
	}
}

func TestParseName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   [3]string
		want string
	}{
		{[3]string{"  Juan   Pablo ", "Quispe", "Mamani"}, "Juan Pablo Quispe Mamani"},
		{[3]string{"María", "--", "Ñuflo"}, "María Ñuflo"},
		{[3]string{"Ana", "D'Orbigny", "-"}, "Ana D'Orbigny"},
		{[3]string{"Jose\u0301", "de la Cruz", ""}, "José de la Cruz"},
		{[3]string{"Ana", "--", "--"}, ""},
		{[3]string{"", "Quispe", ""}, ""},
		{[3]string{"Ana<b>", "Quispe", ""}, ""},
		{[3]string{"Ana", "Quispe1", ""}, ""},
		{[3]string{"Ana\u202e", "Quispe", ""}, ""},
		{[3]string{strings.Repeat("a", 61), "Quispe", ""}, ""},
		{[3]string{strings.Repeat("ñ", 60), "Quispe", ""}, strings.Repeat("ñ", 60) + " Quispe"},
	} {
		got, err := account.ParseName(c.in[0], c.in[1], c.in[2])
		if c.want == "" {
			if !errors.Is(err, account.ErrName) {
				t.Errorf("%q: got %v, %v, want ErrName", c.in, got, err)
			}
		} else if err != nil || got.Full() != c.want {
			t.Errorf("%q: got %q, %v, want %q", c.in, got.Full(), err, c.want)
		}
	}
}

func TestParseBirthDate(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"28/02/1990": "1990-02-28", "1/1/2000": "2000-01-01", "29/02/2000": "2000-02-29", "1990-02-28": "1990-02-28", " 24/11/2026 ": "2026-11-24",
		"29/02/2001": "", "31/04/1990": "", "25/11/2026": "", "1/1/1900": "", "": "", "28-02-1990": "", "28/02/90": "", "28/02/1990 12:00": "",
	} {
		got, err := account.ParseBirthDate(in, t0)
		if want == "" {
			if !errors.Is(err, account.ErrBirthDate) {
				t.Errorf("%q: got %v, %v, want ErrBirthDate", in, got, err)
			}
		} else if err != nil || got.String() != want {
			t.Errorf("%q: got %v, %v, want %s", in, got, err, want)
		}
	}
}

func TestParseContacts(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "Ana.Q@Example.ORG": "Ana.Q@example.org", " a@b.bo ": "a@b.bo",
		"a@b": "!", "a b@c.org": "!", "a@b..org": "!", "@b.org": "!", "a@-b.org": "!", "a\x00b@c.org": "!", "a@b.org\r\nBcc: x@y.org": "!", "a@b@c.org": "!",
	} {
		got, err := account.ParseEmail(in)
		if want == "!" && !errors.Is(err, account.ErrContact) || want != "!" && (err != nil || got != want) {
			t.Errorf("e-mail %q: got %q, %v", in, got, err)
		}
	}
	for in, want := range map[string]string{
		"": "", "71234567": "+59171234567", "(591) 7123-4567": "!", "+591 7123-4567": "+59171234567", "00591 71234567": "+59171234567", "2-5250000": "+59125250000",
		"123": "!", "+0123456789": "!", "12345678": "!", "+591712345671234567": "!", "７１２３４５６７": "!",
	} {
		got, err := account.ParsePhone(in)
		if want == "!" && !errors.Is(err, account.ErrContact) || want != "!" && (err != nil || got != want) {
			t.Errorf("telephone %q: got %q, %v, want %q", in, got, err, want)
		}
	}
}

func TestParseTaxID(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"123456789": "123456789", " 1.234.567.890 ": "1234567890", "123456-789-012": "123456789012", "1020304050607": "", "12345678": "", "": "", "-": "",
		"12345678A": "", "１２３４５６７８９": "", strings.Repeat("1", 300): "",
	} {
		got, err := account.ParseTaxID(in)
		if want == "" && !errors.Is(err, account.ErrDocument) || want != "" && (err != nil || got != want) {
			t.Errorf("NIT %q: got %q, %v, want %q", in, got, err, want)
		}
	}
}

func FuzzParseTaxID(f *testing.F) {
	f.Add("1.234.567.890")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := account.ParseTaxID(s)
		if err != nil {
			return
		}
		if again, err := account.ParseTaxID(n); err != nil || again != n || strings.Trim(n, "0123456789") != "" {
			t.Errorf("%q becomes %q, %v", n, again, err)
		}
	})
}

// A normal form is its own normal form.
func FuzzParseDocument(f *testing.F) {
	for _, s := range []string{"1234567", "1234567-1A", "12345671A", "1.234.567 OR", "E-123456", "AB123456", "ſC1234", "0000000-1A"} {
		f.Add("CI", s, "")
		f.Add("CIE", s, "")
		f.Add("PAS", s, "1A")
	}
	f.Fuzz(func(t *testing.T, kind, number, comp string) {
		d, err := account.ParseDocument(identity.DocumentType(kind), number, comp)
		if err != nil {
			return
		}
		again, err := account.ParseDocument(d.Type, d.String(), "")
		if err != nil || again != d {
			t.Errorf("%q %q: %+v becomes %+v, %v", number, comp, d, again, err)
		}
		for _, r := range d.Number + d.Complement {
			if (r < '0' || r > '9') && (r < 'A' || r > 'Z') {
				t.Errorf("%q in a document", r)
			}
		}
	})
}

func FuzzParseName(f *testing.F) {
	f.Add("Juan Pablo", "Quispe", "Mamani")
	f.Add("Jose\u0301", "--", "D'Orbigny")
	f.Fuzz(func(t *testing.T, given, first, second string) {
		n, err := account.ParseName(given, first, second)
		if err != nil {
			return
		}
		again, err := account.ParseName(n.Given, n.FirstSurname, n.SecondSurname)
		if err != nil || again != n {
			t.Errorf("%+v becomes %+v, %v", n, again, err)
		}
		full := n.Full()
		if !utf8.ValidString(full) || !norm.NFC.IsNormalString(full) || strings.ContainsFunc(full, unicode.IsControl) || n.Surnames() == "" {
			t.Errorf("%q is no name", full)
		}
	})
}

func FuzzParseBirthDate(f *testing.F) {
	f.Add("28/02/1990")
	f.Add("1990-02-28")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := account.ParseBirthDate(s, t0)
		if err != nil {
			return
		}
		if again, err := account.ParseBirthDate(d.String(), t0); err != nil || again != d {
			t.Errorf("%q: %v becomes %v, %v", s, d, again, err)
		}
	})
}

func FuzzParseContacts(f *testing.F) {
	f.Add("Ana@Example.org", "71234567")
	f.Add("", "00591-71234567")
	f.Fuzz(func(t *testing.T, mail, phone string) {
		if m, err := account.ParseEmail(mail); err == nil {
			if again, err := account.ParseEmail(m); err != nil || again != m || strings.ContainsFunc(m, unicode.IsControl) || strings.ContainsFunc(m, unicode.IsSpace) {
				t.Errorf("%q becomes %q, %v", m, again, err)
			}
		}
		if p, err := account.ParsePhone(phone); err == nil {
			if again, err := account.ParsePhone(p); err != nil || again != p {
				t.Errorf("%q becomes %q, %v", p, again, err)
			}
		}
	})
}
