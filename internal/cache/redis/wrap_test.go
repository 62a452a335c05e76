package redis

import (
	"bytes"
	"testing"
)

func FuzzUnwrap(f *testing.F) {
	f.Add("suti:v:k", wrap("suti:v:k", []byte("v")))
	f.Add("suti:v:k", wrap("suti:v:j", []byte("v")))
	f.Add("", []byte{1, 0, 0})
	f.Add("a", []byte{1, 0xff, 0xff, 'a'})
	f.Fuzz(func(t *testing.T, name string, b []byte) {
		if len(name) > 1000 {
			t.Skip()
		}
		if val, ok := unwrap(name, b); ok && !bytes.Equal(wrap(name, val), b) {
			t.Errorf("unwrap(%q, %q) accepted what wrap does not write", name, b)
		}
		if val, ok := unwrap(name, wrap(name, b)); !ok || !bytes.Equal(val, b) {
			t.Errorf("round trip of %q: got %q, %v", b, val, ok)
		}
	})
}
