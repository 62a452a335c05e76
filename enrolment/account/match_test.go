package account_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// TestSound: what one name is written like sounds alike, and other names do not.
func TestSound(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{"Huanca", "Guanca", "Wanca", "Wank'a", "HUANCA", "Huánca"},
		{"Quispe", "Kispe", "Qispe", "QUISPE"},
		{"Choque", "Choke", "CHOQUE"},
		{"Llanque", "Yanque", "Yanke"},
		{"Vásquez", "Basquez", "Vasques", "Básques"},
		{"Mamani Condori", "Condori Mamani", "Mamani  Kondori"},
		{"de la Cruz", "Cruz", "CRUS", "De La Cruz"},
		{"Colque vda. de Flores", "Colque Flores"},
		{"Ñuflo", "Nuflo"},
		{"Jos\u00e9", "Jose\u0301", "JOSE"},
		{"Cecilia", "Sesilia", "Zecilia"},
		{"Callisaya", "Kallisaya", "Kayisaya"},
	} {
		for _, n := range same[1:] {
			if got, want := account.Sound(n), account.Sound(same[0]); got != want {
				t.Errorf("%q sounds %q, %q sounds %q", n, got, same[0], want)
			}
		}
	}
	for _, other := range [][2]string{{"Quispe", "Choque"}, {"Mamani", "Mamanta"}, {"Condori", "Condor"}, {"Choque", "Soque"}, {"Ana", "Anita"}, {"Flores", "Torres"}} {
		if account.Sound(other[0]) == account.Sound(other[1]) {
			t.Errorf("%q and %q sound alike", other[0], other[1])
		}
	}
}

func FuzzSound(f *testing.F) {
	f.Add("Huanca de la Cruz")
	f.Add("Jose\u0301 Ñuflo")
	f.Add("%ch h qu")
	f.Fuzz(func(t *testing.T, name string) {
		n, err := account.ParseName(name, "Quispe", "")
		if err != nil {
			return
		}
		got := account.Sound(n.Given)
		if again := account.Sound(strings.ToUpper(n.Given)); len(n.Given) < 40 && isASCII(n.Given) && again != got {
			t.Errorf("%q: %q, in capitals %q", n.Given, got, again)
		}
		words := strings.Fields(got)
		if !slices.IsSorted(words) {
			t.Errorf("%q: %q is not in order", n.Given, got)
		}
	})
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f })
}

// TestSimilar: a proven record that may be of the same person is found, by number
// or by sound and birth date, and nobody else.
func TestSimilar(t *testing.T) {
	each(t, func(h *harness) {
		birth := identity.Date{Year: 1985, Month: time.May, Day: 5}
		known := func(number, given, first, second string, born identity.Date) account.Registration {
			return account.Registration{Name: identity.Name{Given: given, FirstSurname: first, SecondSurname: second}, Document: identity.Document{Type: identity.DocumentCI, Number: number}, BirthDate: born}
		}
		proven := h.live(known("4400001", "Juana María", "Huanca", "Quispe", birth))
		for name, c := range map[string]struct {
			in   account.Registration
			want bool
		}{
			"sounds alike, born on the day":       {known("4400002", "Juana", "Guanca", "Kispe", birth), true},
			"surnames the other way round":        {known("4400003", "Juana Rosa", "Quispe", "Huanca", birth), true},
			"the number, another complement":      {account.Registration{Name: identity.Name{Given: "Rosa", FirstSurname: "Flores"}, Document: identity.Document{Type: identity.DocumentCI, Number: "4400001", Complement: "1A"}, BirthDate: identity.Date{Year: 1999, Month: 1, Day: 1}}, true},
			"sounds alike, born on another day":   {known("4400004", "Juana", "Huanca", "Quispe", identity.Date{Year: 1985, Month: time.May, Day: 6}), false},
			"another given name, a twin perhaps":  {known("4400005", "Rosa", "Huanca", "Quispe", birth), false},
			"another name, number and birth date": {known("4400006", "Pedro", "Mamani", "", identity.Date{Year: 1970, Month: 1, Day: 1}), false},
		} {
			p := h.register(c.in)
			got, err := h.svc.Similar(h.t.Context(), p)
			if err != nil || slices.Contains(got, proven) != c.want {
				h.t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
			}
		}
		alone := h.register(known("4400099", "Pedro", "Mamani", "", identity.Date{Year: 1970, Month: 1, Day: 1}))
		if got, err := h.svc.Similar(h.t.Context(), alone); err != nil || len(got) != 0 { // nobody proven is like that
			h.t.Errorf("similar to nobody: %v, %v", got, err)
		}
		if err := h.svc.Correct(h.t.Context(), alone, known("4400001", "Pedro", "Mamani", "", identity.Date{Year: 1970, Month: 1, Day: 1}), func(*db.Tx) error { return nil }); err != nil {
			h.t.Fatal(err)
		}
		if got, err := h.svc.Similar(h.t.Context(), alone); err != nil || !slices.Equal(got, []identity.PersonID{proven}) {
			h.t.Errorf("after the correction: %v, %v", got, err)
		}
	})
}
