package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// maxDepth bounds the nesting of an assertion's JSON.
const maxDepth = 8

// parseAssertion reads a client assertion without looking at its signature.
func parseAssertion(token string) (*jose.JSONWebSignature, *assertionClaims, error) {
	jws, raw, err := parseJWS(token, maxAssertion, "", "jwt", "client-authentication+jwt")
	if err != nil {
		return nil, nil, err
	}
	var claims assertionClaims
	if strictObject(raw, &claims) != nil {
		return nil, nil, refuse("assertion's claims")
	}
	return jws, &claims, nil
}

// parseJWS reads a compact JWS without looking at its signature. It takes
// exactly one reading of it: strict base64url, JSON objects without repeated
// names, no critical parameters, one of the types given in lower case and no
// other kind of token (RFC 8725 §3.11), and one of three algorithms.
func parseJWS(token string, limit int, types ...string) (*jose.JSONWebSignature, []byte, error) {
	parts := strings.Split(token, ".")
	if len(token) > limit || len(parts) != 3 {
		return nil, nil, refuse("assertion is no compact JWS")
	}
	var raw [3][]byte
	for i, p := range parts {
		b, err := strict64(p)
		if err != nil || len(b) == 0 {
			return nil, nil, refuse("assertion is not base64url")
		}
		raw[i] = b
	}
	var head struct {
		Typ  string          `json:"typ"`
		Crit json.RawMessage `json:"crit"`
		B64  json.RawMessage `json:"b64"`
	}
	if strictObject(raw[0], &head) != nil || head.Crit != nil || head.B64 != nil {
		return nil, nil, refuse("assertion's header")
	}
	if !slices.Contains(types, strings.ToLower(head.Typ)) {
		return nil, nil, refuse("assertion has the typ of another kind of token")
	}
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.PS256, jose.EdDSA})
	if err != nil || len(jws.Signatures) != 1 {
		return nil, nil, refuse("assertion is no JWS of ES256, PS256 or EdDSA")
	}
	return jws, raw[1], nil
}

// strictObject decodes one JSON object in which no name stands twice, whatever
// its case, because encoding/json does not tell names by case.
func strictObject(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	tok, err := dec.Token()
	if err != nil || tok != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	if err := members(dec, true, 1); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON value")
	}
	return json.Unmarshal(raw, into)
}

// members reads the rest of an object or array.
func members(dec *json.Decoder, object bool, depth int) error {
	if depth > maxDepth {
		return errors.New("nested too deep")
	}
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return err
		}
		if object {
			name, _ := tok.(string)
			if name = strings.ToLower(strings.ToUpper(name)); seen[name] { // as Unicode folds, for instance U+017F to s
				return errors.New("a name stands twice")
			}
			seen[name] = true
			if tok, err = dec.Token(); err != nil {
				return err
			}
		}
		if d, ok := tok.(json.Delim); ok {
			if err := members(dec, d == '{', depth+1); err != nil {
				return err
			}
		}
	}
	_, err := dec.Token() // the end
	return err
}
