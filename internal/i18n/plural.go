package i18n

// category is a plural category of Unicode CLDR.
type category string

const (
	one   category = "one"
	many  category = "many"
	other category = "other"
)

// categories returns the plural categories a language's texts may have. CLDR
// 46 has Spanish one/many/other and English one/other. It has no rules for
// Quechua and Aymara; there the noun after a numeral needs no plural suffix
// (-kuna, -naka), so one form serves, until reviewers say otherwise.
func categories(l Lang) []category {
	switch l {
	case ES:
		return []category{one, many, other}
	case EN:
		return []category{one, other}
	}
	return []category{other}
}

// plural returns the category of the whole number n.
func plural(l Lang, n int) category {
	switch {
	case l != ES && l != EN:
		return other
	case n == 1 || n == -1:
		return one
	case l == ES && n != 0 && n%1_000_000 == 0:
		return many // "un millón de archivos"; a text without it uses "other"
	}
	return other
}
