package cos

import (
	"errors"
	"strconv"
)

// errShort says that the text ends inside a token or an object and that more
// of the file is needed to decide.
var errShort = errors.New("cos: short text")

type tokenKind uint8

const (
	tokEOF tokenKind = iota
	tokInteger
	tokReal
	tokString
	tokName
	tokArrayOpen
	tokArrayClose
	tokDictOpen
	tokDictClose
	tokKeyword
)

type token struct {
	kind       tokenKind
	start, end int
	num        int64
	str        string // decoded string or name; real or keyword as written
}

// lexer cuts text into tokens (§7.2, §7.3). final says that text ends where
// the file (or the decoded stream) ends, so that a token may end there too.
type lexer struct {
	text  []byte
	pos   int
	final bool
	base  int64 // offset of text[0] in the file, for errors; -1 if unknown
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0 || c == '\f'
}

func isDelim(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', '{', '}', '/', '%':
		return true
	}
	return false
}

func isRegular(c byte) bool { return !isSpace(c) && !isDelim(c) }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func (l *lexer) at(pos int) int64 {
	if l.base < 0 {
		return -1
	}
	return l.base + int64(pos)
}

func (l *lexer) fault(pos int, format string, args ...any) error {
	return damaged(CodeSyntax, l.at(pos), format, args...)
}

// short returns errShort if more text may follow, else a fault.
func (l *lexer) short(pos int, what string) error {
	if !l.final {
		return errShort
	}
	return l.fault(pos, "file ends inside %s", what)
}

// skipSpace moves over white space and comments.
func (l *lexer) skipSpace() error {
	for l.pos < len(l.text) {
		c := l.text[l.pos]
		switch {
		case isSpace(c):
			l.pos++
		case c == '%':
			for l.pos < len(l.text) && l.text[l.pos] != '\n' && l.text[l.pos] != '\r' {
				l.pos++
			}
		default:
			return nil
		}
	}
	if !l.final {
		return errShort
	}
	return nil
}

func (l *lexer) next() (token, error) {
	if err := l.skipSpace(); err != nil {
		return token{}, err
	}
	if l.pos >= len(l.text) {
		return token{kind: tokEOF, start: l.pos, end: l.pos}, nil
	}
	switch c := l.text[l.pos]; c {
	case '[':
		return l.single(tokArrayOpen), nil
	case ']':
		return l.single(tokArrayClose), nil
	case '(':
		return l.literalString()
	case '/':
		return l.name()
	case '<', '>':
		return l.angle(c)
	case ')', '{', '}':
		return token{}, l.fault(l.pos, "unexpected delimiter %q", c)
	default:
		return l.regular()
	}
}

func (l *lexer) single(k tokenKind) token {
	l.pos++
	return token{kind: k, start: l.pos - 1, end: l.pos}
}

func (l *lexer) angle(c byte) (token, error) {
	if l.pos+1 >= len(l.text) {
		return token{}, l.short(l.pos, "a bracket")
	}
	if l.text[l.pos+1] == c {
		k := tokDictOpen
		if c == '>' {
			k = tokDictClose
		}
		l.pos += 2
		return token{kind: k, start: l.pos - 2, end: l.pos}, nil
	}
	if c == '>' {
		return token{}, l.fault(l.pos, "unexpected %q", c)
	}
	return l.hexString()
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}

func (l *lexer) hexString() (token, error) {
	start := l.pos
	var out []byte
	half := -1
	for i := start + 1; i < len(l.text); i++ {
		c := l.text[i]
		if c == '>' {
			if half >= 0 {
				out = append(out, byte(half<<4))
			}
			l.pos = i + 1
			return token{kind: tokString, start: start, end: l.pos, str: string(out)}, nil
		}
		if isSpace(c) {
			continue
		}
		h := unhex(c)
		switch {
		case h < 0:
			return token{}, l.fault(i, "%q in a hexadecimal string", c)
		case half < 0:
			half = h
		default:
			out = append(out, byte(half<<4|h))
			half = -1
		}
	}
	return token{}, l.short(start, "a hexadecimal string")
}

// literalString reads (…) with balanced parentheses and escapes (§7.3.4.2).
func (l *lexer) literalString() (token, error) {
	start := l.pos
	var out []byte
	depth := 0
	for i := start; i < len(l.text); i++ {
		c := l.text[i]
		switch c {
		case '(':
			if depth++; depth > 1 {
				out = append(out, c)
			}
		case ')':
			if depth--; depth == 0 {
				l.pos = i + 1
				return token{kind: tokString, start: start, end: l.pos, str: string(out)}, nil
			}
			out = append(out, c)
		case '\\':
			var ok bool
			if out, i, ok = l.escape(out, i); !ok {
				return token{}, l.short(start, "a string")
			}
		case '\r': // an end of line in a string reads as line feed
			out = append(out, '\n')
			if i+1 >= len(l.text) {
				return token{}, l.short(start, "a string")
			}
			if l.text[i+1] == '\n' {
				i++
			}
		default:
			out = append(out, c)
		}
	}
	return token{}, l.short(start, "a string")
}

// escape decodes the escape sequence at i and returns the index of its last byte.
func (l *lexer) escape(out []byte, i int) ([]byte, int, bool) {
	if i+1 >= len(l.text) {
		return out, i, false
	}
	i++
	switch c := l.text[i]; c {
	case 'n':
		return append(out, '\n'), i, true
	case 'r':
		return append(out, '\r'), i, true
	case 't':
		return append(out, '\t'), i, true
	case 'b':
		return append(out, '\b'), i, true
	case 'f':
		return append(out, '\f'), i, true
	case '\n':
		return out, i, true
	case '\r':
		if i+1 >= len(l.text) {
			return out, i, false
		}
		if l.text[i+1] == '\n' {
			i++
		}
		return out, i, true
	default:
		if c < '0' || c > '7' {
			return append(out, c), i, true
		}
		n := 0
		j := i
		for ; j < i+3; j++ {
			if j >= len(l.text) {
				return out, i, false
			}
			if l.text[j] < '0' || l.text[j] > '7' {
				break
			}
			n = n<<3 | int(l.text[j]-'0')
		}
		return append(out, byte(n)), j - 1, true
	}
}

// name reads /Name with #xx (§7.3.5). A # without two hexadecimal digits
// stands for itself, as in files older than PDF 1.2.
func (l *lexer) name() (token, error) {
	start := l.pos
	i := start + 1
	escaped := false
	for i < len(l.text) && isRegular(l.text[i]) {
		escaped = escaped || l.text[i] == '#'
		i++
	}
	if i == len(l.text) && !l.final {
		return token{}, errShort
	}
	l.pos = i
	raw := l.text[start+1 : i]
	if !escaped {
		return token{kind: tokName, start: start, end: i, str: string(raw)}, nil
	}
	out := make([]byte, 0, len(raw))
	for j := 0; j < len(raw); j++ {
		if raw[j] == '#' && j+2 < len(raw) && unhex(raw[j+1]) >= 0 && unhex(raw[j+2]) >= 0 {
			out = append(out, byte(unhex(raw[j+1])<<4|unhex(raw[j+2])))
			j += 2
			continue
		}
		out = append(out, raw[j])
	}
	return token{kind: tokName, start: start, end: i, str: string(out)}, nil
}

// regular reads a number or a keyword.
func (l *lexer) regular() (token, error) {
	start := l.pos
	i := start
	for i < len(l.text) && isRegular(l.text[i]) {
		i++
	}
	if i == len(l.text) && !l.final {
		return token{}, errShort
	}
	l.pos = i
	word := l.text[start:i]
	t := token{kind: tokKeyword, start: start, end: i}
	if c := word[0]; !isDigit(c) && c != '+' && c != '-' && c != '.' {
		t.str = string(word)
		return t, nil
	}
	kind, ok := numberKind(word)
	if !ok {
		return token{}, l.fault(start, "malformed number")
	}
	t.kind = kind
	if kind == tokInteger {
		n, err := strconv.ParseInt(string(word), 10, 64)
		if err == nil {
			t.num = n
			return t, nil
		}
		t.kind = tokReal // beyond 64 bits: kept as written
	}
	t.str = string(word)
	return t, nil
}

// numberKind checks a number against §7.3.3: sign, digits, at most one point.
func numberKind(w []byte) (tokenKind, bool) {
	i, digits, points := 0, 0, 0
	if w[0] == '+' || w[0] == '-' {
		i++
	}
	for ; i < len(w); i++ {
		switch {
		case isDigit(w[i]):
			digits++
		case w[i] == '.':
			points++
		default:
			return 0, false
		}
	}
	if digits == 0 || points > 1 || len(w) > 64 {
		return 0, false
	}
	if points == 1 {
		return tokReal, true
	}
	return tokInteger, true
}
