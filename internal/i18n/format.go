package i18n

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bolivia is the time zone America/La_Paz, UTC−4 all year since 1932. It needs
// no zone database.
var Bolivia = time.FixedZone("BOT", -4*60*60)

var (
	monthsES = [...]string{"enero", "febrero", "marzo", "abril", "mayo", "junio", "julio", "agosto", "septiembre", "octubre", "noviembre", "diciembre"}
	monthsEN = [...]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"}
)

// Date returns the day in Bolivia in words: "24 de noviembre de 2026". Quechua
// and Aymara use the Spanish form, as official papers do.
func (p *Printer) Date(t time.Time) string {
	t = t.In(Bolivia)
	if p.lang == EN {
		return fmt.Sprintf("%d %s %d", t.Day(), monthsEN[t.Month()-1], t.Year())
	}
	return fmt.Sprintf("%d de %s de %d", t.Day(), monthsES[t.Month()-1], t.Year())
}

// DateTime returns day and minute in Bolivia: "24 de noviembre de 2026, 15:04".
func (p *Printer) DateTime(t time.Time) string { return p.Date(t) + ", " + p.Clock(t) }

// Clock returns the minute in Bolivia on the 24-hour clock: "15:04".
func (p *Printer) Clock(t time.Time) string { return t.In(Bolivia).Format("15:04") }

// ShortDate returns the day in Bolivia in figures: "24/11/2026".
func (p *Printer) ShortDate(t time.Time) string { return t.In(Bolivia).Format("02/01/2006") }

// Machine returns the instant for the datetime attribute of HTML, RFC 3339 with
// the offset of Bolivia.
func (p *Printer) Machine(t time.Time) string { return t.In(Bolivia).Format(time.RFC3339) }

// Number writes a whole number with its thousands apart: "1.234.567" as in
// es-BO, "1,234,567" in English.
func (p *Printer) Number(n int64) string {
	sign, digits := "", strconv.FormatInt(n, 10)
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	return sign + p.group(digits)
}

// Decimal writes f with exactly places digits after the comma: "1.234,50".
func (p *Printer) Decimal(f float64, places int) string {
	s := strconv.FormatFloat(f, 'f', places, 64)
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	whole, frac, ok := strings.Cut(s, ".")
	if !ok {
		return sign + p.group(whole)
	}
	comma := ","
	if p.lang == EN {
		comma = "."
	}
	return sign + p.group(whole) + comma + frac
}

// group puts the separator of the language between each three digits.
func (p *Printer) group(digits string) string {
	sep := "."
	if p.lang == EN {
		sep = ","
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteString(sep)
		}
		b.WriteRune(d)
	}
	return b.String()
}
