package i18n

import (
	"strings"

	"golang.org/x/text/language"
)

// maxPreference bounds one list of languages before it is parsed, in bytes.
const maxPreference = 200

// Match returns the offered language that fits best. Each preference is a list
// as in an Accept-Language header or in the ui_locales parameter of OpenID
// Connect (tags separated by spaces); earlier lists win over later ones, a list
// that is empty, malformed, too long or fits nothing is skipped. Cuzco Quechua
// (quz) and Central Aymara (ayr) lead to qu and ay, any Spanish to es. Without a
// match the answer is Spanish.
func (c *Catalog) Match(preferences ...string) Lang {
	tags := make([]language.Tag, len(c.offered))
	for i, l := range c.offered {
		tags[i] = regional(l)
	}
	m := language.NewMatcher(tags)
	for _, pref := range preferences {
		wanted := parseList(pref)
		if len(wanted) == 0 {
			continue
		}
		if _, i, sure := m.Match(wanted...); sure >= language.High {
			return c.offered[i]
		}
	}
	return ES
}

// regional returns the tag that stands for the language in matching.
func regional(l Lang) language.Tag {
	if l == EN {
		return language.English
	}
	return language.Make(string(l) + "-BO")
}

// parseList parses a header list, or the space-separated list of ui_locales.
func parseList(s string) []language.Tag {
	if len(s) > maxPreference {
		return nil
	}
	if !strings.ContainsAny(s, ",;") {
		s = strings.Join(strings.Fields(s), ",")
	}
	tags, weights, err := language.ParseAcceptLanguage(s)
	if err != nil {
		return nil
	}
	wanted := tags[:0]
	for i, t := range tags {
		if weights[i] > 0 && t != language.Und {
			wanted = append(wanted, t)
		}
	}
	return wanted
}
