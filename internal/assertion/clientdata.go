package assertion

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// MaxClientData bounds client data JSON, in bytes.
const MaxClientData = 4 << 10

// maxJSONDepth bounds nesting inside members that this package does not know.
const maxJSONDepth = 8

// Ceremony types (WebAuthn L3 §5.8.1).
const (
	TypeGet    = "webauthn.get"
	TypeCreate = "webauthn.create"
)

// ClientData is parsed client data (WebAuthn L3 §5.8.1).
type ClientData struct {
	Type        string
	Challenge   string // base64url without padding, exactly as it stands in the JSON
	Origin      string
	CrossOrigin bool
	HasTop      bool // a topOrigin member is present, whatever its value
}

func clientErr(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrClientData, fmt.Sprintf(format, args...))
}

// ParseClientData parses client data JSON. The text must be UTF-8 without a
// byte order mark, one object, no name twice in any object, at most
// [MaxClientData] bytes; type, challenge and origin must be strings and
// crossOrigin, if present, a boolean. Members it does not know are ignored, as
// WebAuthn L3 §5.8.1 asks. Errors: [ErrSize], [ErrClientData].
func ParseClientData(raw []byte) (*ClientData, error) {
	if len(raw) > MaxClientData {
		return nil, fmt.Errorf("%w: client data of %d bytes", ErrSize, len(raw))
	}
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, clientErr("not JSON in UTF-8")
	}
	if trimmed := bytes.TrimLeft(raw, " \t\r\n"); trimmed[0] != '{' {
		return nil, clientErr("not an object")
	}
	p := &clientParser{dec: json.NewDecoder(bytes.NewReader(raw)), seen: map[string]bool{}}
	if _, err := p.dec.Token(); err != nil { // the opening brace
		return nil, clientErr("not an object")
	}
	for p.dec.More() {
		if err := p.member(); err != nil {
			return nil, err
		}
	}
	for _, name := range []string{"type", "challenge", "origin"} {
		if !p.seen[name] {
			return nil, clientErr("member %q missing", name)
		}
	}
	return &p.out, nil
}

type clientParser struct {
	dec  *json.Decoder
	seen map[string]bool
	out  ClientData
}

func (p *clientParser) member() error {
	name, err := p.name(p.seen)
	if err != nil {
		return err
	}
	switch name {
	case "type":
		return p.str(name, &p.out.Type)
	case "challenge":
		return p.str(name, &p.out.Challenge)
	case "origin":
		return p.str(name, &p.out.Origin)
	case "crossOrigin":
		tok, err := p.dec.Token()
		v, ok := tok.(bool)
		if err != nil || !ok {
			return clientErr("crossOrigin is not a boolean")
		}
		p.out.CrossOrigin = v
		return nil
	case "topOrigin":
		p.out.HasTop = true
	}
	return p.value(1)
}

// name reads a member name and refuses one that was seen before.
func (p *clientParser) name(seen map[string]bool) (string, error) {
	tok, err := p.dec.Token()
	name, ok := tok.(string)
	if err != nil || !ok {
		return "", clientErr("member name expected")
	}
	if seen[name] {
		return "", clientErr("a member name appears twice")
	}
	seen[name] = true
	return name, nil
}

func (p *clientParser) str(name string, to *string) error {
	tok, err := p.dec.Token()
	s, ok := tok.(string)
	if err != nil || !ok {
		return clientErr("%s is not a string", name)
	}
	*to = s
	return nil
}

// value passes over one value, checking the names of objects in it.
func (p *clientParser) value(depth int) error {
	tok, err := p.dec.Token()
	if err != nil {
		return clientErr("value expected")
	}
	open, ok := tok.(json.Delim)
	if !ok {
		return nil
	}
	if depth >= maxJSONDepth {
		return clientErr("nesting above %d", maxJSONDepth)
	}
	seen := map[string]bool{}
	for p.dec.More() {
		if open == '{' {
			if _, err := p.name(seen); err != nil {
				return err
			}
		}
		if err := p.value(depth + 1); err != nil {
			return err
		}
	}
	if _, err := p.dec.Token(); err != nil { // the closing delimiter
		return clientErr("value not closed")
	}
	return nil
}
