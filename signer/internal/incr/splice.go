package incr

import (
	"bytes"
	"fmt"
	"slices"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// setKey returns raw with key of the dictionary d, which is within raw, set to
// val. Nothing else changes.
func setKey(raw []byte, d cos.Value, key string, val []byte) []byte {
	if d.Has(key) {
		start, end := d.Get(key).Span()
		return splice(raw, start, end, padded(raw, start, end, val))
	}
	_, end := d.Span()
	return splice(raw, end-2, end-2, slices.Concat([]byte(" /"+key+" "), val))
}

// padded puts a space around val where it would run into its neighbours.
func padded(raw []byte, start, end int, val []byte) []byte {
	out := bytes.Clone(val)
	if start > 0 && regular(raw[start-1]) && len(val) > 0 && regular(val[0]) {
		out = append([]byte{' '}, out...)
	}
	if end < len(raw) && regular(raw[end]) && len(out) > 0 && regular(out[len(out)-1]) {
		out = append(out, ' ')
	}
	return out
}

func regular(c byte) bool {
	return !bytes.ContainsRune([]byte(" \n\r\t\f\x00()<>[]{}/%"), rune(c))
}

// appendElem returns raw with elem behind the last element of the array a.
func appendElem(raw []byte, a cos.Value, elem []byte) []byte {
	_, end := a.Span()
	return splice(raw, end-1, end-1, slices.Concat([]byte(" "), elem))
}

func splice(raw []byte, start, end int, with []byte) []byte {
	return slices.Concat(raw[:start], with, raw[end:])
}

// walk goes from v down a path of dictionary keys.
func walk(v cos.Value, path []string) (cos.Value, error) {
	for _, key := range path {
		if v.Kind() != cos.Dict || !v.Has(key) {
			return cos.Value{}, fmt.Errorf("incr: no dictionary entry at depth %d", len(path))
		}
		v = v.Get(key)
	}
	return v, nil
}
