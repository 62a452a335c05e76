package jades

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Bounds of what is read, in bytes and levels.
const (
	// MaxPayload is the greatest size of an embedded payload.
	MaxPayload = 4 << 20
	// MaxCompact is the greatest size of a compact signature.
	MaxCompact = maxHeader + MaxPayload*4/3 + 8192

	maxHeader       = 128 << 10
	maxHeaderDepth  = 8
	maxPayloadDepth = 64
	maxChain        = 16
)

var errAmbiguous = errors.New("not JSON that all readers read alike")

// unambiguous reports whether b is one JSON value (RFC 8259) that every reader
// reads alike: UTF-8, no member twice in an object, not too deep.
func unambiguous(b []byte, depth int) error {
	if !utf8.Valid(b) {
		return fmt.Errorf("%w: not UTF-8", errAmbiguous)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	type level struct {
		object bool
		key    bool // a key comes next
		keys   map[string]bool
	}
	var open []level
	for {
		t, err := d.Token()
		if err != nil {
			return fmt.Errorf("%w: %w", errAmbiguous, err)
		}
		top := len(open) - 1
		if delim, ok := t.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:top]
		} else {
			if top >= 0 && open[top].object {
				if open[top].key {
					k, _ := t.(string)
					if open[top].keys[k] || strings.ContainsRune(k, utf8.RuneError) {
						return fmt.Errorf("%w: member %q twice", errAmbiguous, k)
					}
					open[top].keys[k] = true
				}
				open[top].key = !open[top].key
			}
			if ok {
				if len(open) == depth {
					return fmt.Errorf("%w: too deep", errAmbiguous)
				}
				open = append(open, level{object: delim == '{', key: true, keys: map[string]bool{}})
			}
		}
		if len(open) == 0 {
			break
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: more than one value", errAmbiguous)
	}
	return nil
}

// fromBase64URL decodes without padding, line breaks or stray bits (RFC 7515 §2).
func fromBase64URL(s []byte) ([]byte, error) {
	if bytes.ContainsAny(s, "\r\n") {
		return nil, errors.New("line break in base64url")
	}
	out := make([]byte, base64.RawURLEncoding.DecodedLen(len(s)))
	n, err := base64.RawURLEncoding.Strict().Decode(out, s)
	return out[:n], err
}

func toBase64URL(b []byte) []byte {
	return base64.RawURLEncoding.AppendEncode(nil, b)
}

// isJSON reports whether a media type, "application/" perhaps left out, is JSON.
func isJSON(mediaType string) bool {
	t, _, _ := strings.Cut(strings.ToLower(mediaType), ";")
	t = strings.TrimPrefix(strings.TrimSpace(t), "application/")
	return t == "json" || strings.HasSuffix(t, "+json")
}
