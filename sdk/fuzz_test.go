package sdk

import (
	"encoding/json"
	"testing"
)

func FuzzSplitJWS(f *testing.F) {
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJFUzI1NiIsImFsZyI6Im5vbmUifQ.e30.AA")
	f.Fuzz(func(t *testing.T, token string) {
		h, payload, _, _, err := splitJWS(token)
		if err != nil {
			return
		}
		if h.Crit != nil {
			t.Error("critical parameters accepted")
		}
		var c wireClaims
		_ = strictJSON(payload, &c)
	})
}

func FuzzParseJWKS(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"1","x":"","y":""}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"1","n":"AQAB","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		keys, err := parseJWKS(raw)
		if err != nil {
			return
		}
		for _, k := range keys {
			if k.pub == nil || len(k.algs) == 0 {
				t.Error("a key without public part or algorithm")
			}
		}
	})
}

func TestStrictJSONRefusesAmbiguity(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{`{"a":1,"a":2}`, `{"a":1,"A":2}`, `{"sub":1,"ſub":2}`, `{"a":{"b":1,"b":2}}`, `{} {}`, `[]`, `"x"`, ``, `{`, `{"a":[{"b":1},{"c":1,"c":2}]}`} {
		var v map[string]json.RawMessage
		if err := strictJSON([]byte(bad), &v); err == nil {
			t.Errorf("%s accepted", bad)
		}
	}
	for _, good := range []string{`{}`, `{"a":1,"b":{"a":1},"c":[{"a":1},{"a":2}]}`, ` {"a":"a"} `} {
		var v map[string]json.RawMessage
		if err := strictJSON([]byte(good), &v); err != nil {
			t.Errorf("%s refused: %v", good, err)
		}
	}
}
