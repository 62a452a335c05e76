package cos

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// pdfDocHigh are the characters of PDFDocEncoding at 0x18–0x1F and 0x80–0xA0
// that differ from Latin-1 (annex D.3).
const (
	pdfDocLow  = "\u02d8\u02c7\u02c6\u02d9\u02dd\u02db\u02da\u02dc"
	pdfDocHigh = "\u2022\u2020\u2021\u2026\u2014\u2013\u0192\u2044\u2039\u203a\u2212\u2030\u201e\u201c\u201d\u2018" +
		"\u2019\u201a\u2122\ufb01\ufb02\u0141\u0152\u0160\u0178\u017d\u0131\u0142\u0153\u0161\u017e\ufffd\u20ac"
)

// TextString decodes a text string (§7.9.2.2): UTF-16BE or UTF-8 with a mark,
// else PDFDocEncoding.
func TextString(s string) string {
	switch {
	case strings.HasPrefix(s, "\xfe\xff"):
		units := make([]uint16, 0, len(s)/2)
		for i := 2; i+1 < len(s); i += 2 {
			units = append(units, uint16(s[i])<<8|uint16(s[i+1]))
		}
		return string(utf16.Decode(units))
	case strings.HasPrefix(s, "\xef\xbb\xbf"):
		return strings.ToValidUTF8(s[3:], string(utf8.RuneError))
	}
	low, high := []rune(pdfDocLow), []rune(pdfDocHigh)
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 0x18 && c <= 0x1f:
			b.WriteRune(low[c-0x18])
		case c >= 0x80 && c <= 0xa0:
			b.WriteRune(high[c-0x80])
		default:
			b.WriteRune(rune(c))
		}
	}
	return b.String()
}

// EncodeText writes s as a text string in hexadecimal form: ASCII as it is,
// anything else as UTF-16BE.
func EncodeText(s string) string {
	const digits = "0123456789ABCDEF"
	var raw []byte
	ascii := true
	for i := range len(s) {
		ascii = ascii && s[i] >= 0x20 && s[i] < 0x7f
	}
	if ascii {
		raw = []byte(s)
	} else {
		raw = []byte{0xfe, 0xff}
		for _, u := range utf16.Encode([]rune(s)) {
			raw = append(raw, byte(u>>8), byte(u))
		}
	}
	var b strings.Builder
	b.WriteByte('<')
	for _, c := range raw {
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	b.WriteByte('>')
	return b.String()
}
