package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits of a configuration file.
const (
	maxFile    = 256 << 10 // bytes
	maxEntries = 1000
)

// value is what a key is set to: text, a number or truth in their spelling, or
// a list of texts.
type value struct {
	text string
	list []string
	kind kind
}

type kind uint8

const (
	kindText kind = iota + 1
	kindBool
	kindInt
	kindList
)

func (k kind) String() string {
	switch k {
	case kindText:
		return `text in quotes, "like this"`
	case kindBool:
		return "true or false"
	case kindInt:
		return "a whole number"
	case kindList:
		return `a list of texts, ["like", "this"]`
	default:
		return "unknown"
	}
}

// entry is one assignment of a file. Key is "section.name" or "name".
type entry struct {
	key  string
	line int
	val  value
}

// scanner reads a file. What it accepts is TOML 1.0 with the same meaning:
// sections of one name, bare keys, basic and literal strings on one line,
// decimal integers, booleans, and arrays of strings.
type scanner struct {
	src     string
	pos     int
	line    int
	section string
	entries []entry
	seen    map[string]int
	faults  []Fault
	name    string
}

// scan reads a whole file and returns what it could, with all faults.
func scan(name, src string) ([]entry, []Fault) {
	s := &scanner{src: src, line: 1, seen: map[string]int{}, name: name}
	if len(src) > maxFile || !utf8.ValidString(src) {
		return nil, []Fault{{Where: name, What: fmt.Sprintf("is not UTF-8 text of at most %d bytes", maxFile)}}
	}
	s.src = strings.TrimPrefix(src, "\ufeff")
	for s.pos < len(s.src) && len(s.entries) < maxEntries {
		s.statement()
	}
	return s.entries, s.faults
}

func (s *scanner) fault(format string, args ...any) {
	s.faults = append(s.faults, Fault{Where: fmt.Sprintf("%s:%d", s.name, s.line), What: fmt.Sprintf(format, args...)})
}

// statement reads one line, or the lines of an array.
func (s *scanner) statement() {
	s.space()
	switch c := s.peek(); {
	case c == '\n' || c == '\r' || c == '#' || c == 0:
	case c == '[':
		s.header()
	default:
		s.assignment()
	}
	s.endOfLine()
}

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for c := s.peek(); c == ' ' || c == '\t'; c = s.peek() {
		s.pos++
	}
}

// endOfLine skips a comment and the line's end; anything else is a fault, and skipped.
func (s *scanner) endOfLine() {
	s.space()
	rest := s.src[s.pos:]
	end := strings.IndexByte(rest, '\n')
	if end < 0 {
		end = len(rest)
	}
	tail := strings.TrimSuffix(rest[:end], "\r")
	if tail != "" && tail[0] != '#' && !s.faultOnLine() {
		s.fault("does not end after the value: %s", quoteShort(tail))
	}
	s.pos = min(s.pos+end+1, len(s.src))
	s.line++
}

func (s *scanner) faultOnLine() bool {
	n := len(s.faults)
	return n > 0 && s.faults[n-1].Where == fmt.Sprintf("%s:%d", s.name, s.line)
}

func (s *scanner) word() string {
	start := s.pos
	for {
		c := s.peek()
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			s.pos++
			continue
		}
		return s.src[start:s.pos]
	}
}

func (s *scanner) header() {
	s.pos++
	s.space()
	name := s.word()
	s.space()
	if name == "" || s.peek() != ']' {
		s.fault("a section is written [name]")
		s.skipLine()
		return
	}
	s.pos++
	if _, twice := s.seen["["+name]; twice {
		s.fault("section [%s] stands here a second time", name)
	}
	s.seen["["+name] = s.line
	s.section = name
}

// skipLine moves to the end of the line.
func (s *scanner) skipLine() {
	if n := strings.IndexByte(s.src[s.pos:], '\n'); n >= 0 {
		s.pos += n
	} else {
		s.pos = len(s.src)
	}
}

func (s *scanner) assignment() {
	line := s.line
	name := s.word()
	s.space()
	if name == "" || s.peek() != '=' {
		s.fault("is not of the form: key = value")
		s.skipLine()
		return
	}
	s.pos++
	s.space()
	val, ok := s.value()
	if !ok {
		if !s.faultOnLine() {
			s.fault("%s has no value that is understood: text stands in double quotes", name)
		}
		s.skipLine()
		return
	}
	key := name
	if s.section != "" {
		key = s.section + "." + name
	}
	if before, twice := s.seen[key]; twice {
		s.fault("%s was set before, on line %d", key, before)
		return
	}
	s.seen[key] = line
	s.entries = append(s.entries, entry{key, line, val})
}

func (s *scanner) value() (value, bool) {
	switch c := s.peek(); {
	case c == '"' || c == '\'':
		text, ok := s.text()
		return value{text: text, kind: kindText}, ok
	case c == '[':
		list, ok := s.array()
		return value{list: list, kind: kindList}, ok
	}
	w := s.word()
	if w == "true" || w == "false" {
		return value{text: w, kind: kindBool}, true
	}
	if n, err := strconv.ParseInt(w, 10, 64); err == nil && strconv.FormatInt(n, 10) == w {
		return value{text: w, kind: kindInt}, true
	}
	return value{}, false
}

// text reads a basic or a literal string on one line.
func (s *scanner) text() (string, bool) {
	quote := s.peek()
	s.pos++
	var b strings.Builder
	for {
		c := s.peek()
		switch {
		case c == 0 || c == '\n' || c == '\r':
			s.fault("a text is not closed with %c", quote)
			return "", false
		case c == quote:
			s.pos++
			return b.String(), true
		case c < ' ' && c != '\t' || c == 0x7f:
			s.fault("a control character stands in a text")
			return "", false
		case c == '\\' && quote == '"':
			if !s.escape(&b) {
				s.fault(`an escape in a text is none of \" \\ \n \t \uXXXX; paths may stand in single quotes`)
				return "", false
			}
		default:
			b.WriteByte(c)
			s.pos++
		}
	}
}

func (s *scanner) escape(b *strings.Builder) bool {
	s.pos++
	c := s.peek()
	switch c {
	case '"', '\\':
		b.WriteByte(c)
	case 'n':
		b.WriteByte('\n')
	case 't':
		b.WriteByte('\t')
	case 'u':
		if s.pos+5 > len(s.src) {
			return false
		}
		n, err := strconv.ParseUint(s.src[s.pos+1:s.pos+5], 16, 32)
		if err != nil || n == 0 || n >= 0xD800 && n <= 0xDFFF {
			return false
		}
		b.WriteRune(rune(n))
		s.pos += 4
	default:
		return false
	}
	s.pos++
	return true
}

// array reads a list of texts, which may go over several lines with comments.
func (s *scanner) array() ([]string, bool) {
	s.pos++
	list := []string{}
	for comma := true; ; {
		s.blank()
		switch c := s.peek(); {
		case c == ']':
			s.pos++
			return list, true
		case c == ',' && !comma:
			comma = true
			s.pos++
		case (c == '"' || c == '\'') && comma:
			text, ok := s.text()
			if !ok {
				return nil, false
			}
			list, comma = append(list, text), false
		default:
			s.fault("a list holds texts in quotes, with commas between them, and ends with ]")
			return nil, false
		}
	}
}

// blank skips white space, comments and line ends within an array.
func (s *scanner) blank() {
	for {
		s.space()
		switch s.peek() {
		case '#':
			s.skipLine()
		case '\r':
			s.pos++
		case '\n':
			s.pos++
			s.line++
		default:
			return
		}
	}
}

func quoteShort(s string) string {
	if len(s) > 40 {
		s = s[:40]
	}
	return strconv.Quote(s)
}
