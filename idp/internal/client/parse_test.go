package client

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestStrictObject(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		``, `[]`, `"x"`, `{`, `{}{}`, `{"a":1,"a":2}`, `{"a":1,"A":2}`, `{"sub":1,"ſub":2}`, `{"a":{"b":1,"b":2}}`, `{"a":[{"b":1,"B":1}]}`,
		strings.Repeat(`{"a":`, 20) + `1` + strings.Repeat(`}`, 20),
	} {
		var v map[string]json.RawMessage
		if err := strictObject([]byte(bad), &v); err == nil {
			t.Errorf("%s accepted", bad)
		}
	}
	for _, good := range []string{`{}`, ` {"a":1,"b":[1,[2],{"a":1}],"c":{"a":null}} `} {
		var v map[string]json.RawMessage
		if err := strictObject([]byte(good), &v); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

// FuzzParseAssertion: whatever is accepted has one reading only.
func FuzzParseAssertion(f *testing.F) {
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJhIn0.AAAA")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJFUzI1NiIsImNyaXQiOlsiYjY0Il0sImI2NCI6ZmFsc2V9.e30.AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		jws, claims, err := parseAssertion(token)
		if err != nil {
			return
		}
		switch alg := jws.Signatures[0].Protected.Algorithm; alg {
		case "ES256", "PS256", "EdDSA":
		default:
			t.Errorf("algorithm %q", alg)
		}
		var again assertionClaims
		if json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &again) != nil || again.Sub != claims.Sub || again.Jti != claims.Jti {
			t.Error("the payload that is verified reads otherwise than the one that was checked")
		}
		if full, err := jws.CompactSerialize(); err != nil || full != token {
			t.Errorf("the token is not what its parts make: %v", err)
		}
	})
}
