// Package i18n holds the texts that people read, in Spanish, English, Quechua
// and Aymara, and the ways of writing numbers and dates in Bolivia.
//
// Each package that shows text embeds its own catalogue: es.json and en.json,
// complete and alike in keys and arguments, and optionally qu.json and ay.json.
// [New] joins them. A catalogue file says whether people who speak the language
// have reviewed it; unreviewed text is never shown. What a language lacks is
// shown in Spanish and marked as Spanish.
//
// A catalogue file is one JSON object: "@meta" gives language and review, every
// other name is a key, lower-case words joined by dots, and its value a text or
// an object of plural forms:
//
//	{
//	  "@meta": {"lang": "es", "reviewed": true},
//	  "web.greeting": "Hola, {name}",
//	  "web.files": {"one": "{n} archivo", "other": "{n} archivos"}
//	}
//
// Texts are plain text, never markup; {{ and }} stand for braces. In a template
// they are escaped like any other value.
//
// The package imports the standard library and x/text/language; anyone may
// import it.
package i18n
