package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp/internal/store"
)

// ErrRequestObject reports a request object that is not the client's, or not for
// now. Its text names the rule and holds nothing of the input.
var ErrRequestObject = errors.New("idp: request object")

func noRequest(why string) error { return fmt.Errorf("%w: %s", ErrRequestObject, why) }

// RequestAlgs are the algorithms of request objects that are taken.
func RequestAlgs() []string { return []string{"ES256", "PS256", "EdDSA"} }

const (
	// maxRequestObject bounds a request object, in bytes.
	maxRequestObject = 16 << 10
	// MaxRequestLife bounds how long before and after now a request object may
	// be good (FAPI 2.0 Message Signing §5.3.1).
	MaxRequestLife = time.Hour
	// typRequest is the one typ of request objects (RFC 9101 §10.8), so that none
	// is another kind of JWT that the client signed.
	typRequest = "oauth-authz-req+jwt"
)

// RequestObject is a signed authorization request that holds.
type RequestObject struct {
	Params url.Values // all that counts of the request
	JTI    string     // to be spent once per client; "" if it has none
}

// OpenRequest verifies a signed request object (RFC 9101) of a client with the
// keys that it registered. For gov-fapi2 nbf is needed beside exp. Errors wrap
// [ErrRequestObject].
func OpenRequest(c *store.Client, issuer, token string, now time.Time) (*RequestObject, error) {
	if strings.Count(token, ".") == 4 {
		return nil, noRequest("encrypted ones are not taken")
	}
	jws, raw, err := parseJWS(token, maxRequestObject, typRequest)
	if err == nil {
		err = verifyWith(c.JWKS, jws, token)
	}
	if err != nil {
		return nil, errors.Join(noRequest("not signed by a key of the client, as "+typRequest), err)
	}
	var members map[string]json.RawMessage // names are told by case
	if strictObject(raw, &members) != nil {
		return nil, noRequest("claims are no JSON object, or one stands twice")
	}
	out := &RequestObject{}
	var iss, sub string
	var exp, nbf, iat *float64
	for name, into := range map[string]any{"iss": &iss, "sub": &sub, "jti": &out.JTI, "exp": &exp, "nbf": &nbf, "iat": &iat} {
		if v, sent := members[name]; sent && json.Unmarshal(v, into) != nil {
			return nil, noRequest(name + " is of another kind")
		}
	}
	at := func(v float64) time.Time { return time.UnixMicro(int64(v * 1e6)) }
	bounded := func(v *float64) bool { return v == nil || *v > 0 && *v < 1<<40 }
	switch {
	case iss != c.ID:
		return nil, noRequest("iss must be the client")
	case sub == c.ID: // it might be shown as a client assertion (RFC 9101 §10.8)
		return nil, noRequest("sub may not be the client")
	case !audience(members["aud"], issuer):
		return nil, noRequest("aud must hold the issuer")
	case len(out.JTI) > maxJTI:
		return nil, noRequest("jti is too long")
	case exp == nil || !bounded(exp) || !bounded(nbf) || !bounded(iat) || nbf == nil && c.Profile == "gov-fapi2":
		return nil, noRequest("exp or nbf is missing, or a time is out of range")
	case !now.Before(at(*exp)) || at(*exp).After(now.Add(MaxRequestLife+earlySkew)):
		return nil, noRequest("it has expired, or lives longer than an hour")
	case nbf != nil && (at(*nbf).After(now.Add(earlySkew)) || now.Sub(at(*nbf)) > MaxRequestLife+earlySkew):
		return nil, noRequest("it is not valid yet, or older than an hour")
	case iat != nil && at(*iat).After(now.Add(earlySkew)):
		return nil, noRequest("it was made in the future")
	}
	out.Params, err = requestParameters(c, members)
	return out, err
}

// audience reports whether aud, one string or several, holds the issuer.
func audience(raw json.RawMessage, issuer string) bool {
	var one string
	var many []string
	if json.Unmarshal(raw, &one) == nil {
		return one == issuer
	}
	return json.Unmarshal(raw, &many) == nil && slices.Contains(many, issuer)
}

// requestParameters turns the members into parameters: strings as they are,
// whole numbers in digits, objects, and the array of authorization details, as JSON.
func requestParameters(c *store.Client, members map[string]json.RawMessage) (url.Values, error) {
	q := url.Values{}
	for name, raw := range members {
		var text string
		var number int64
		switch {
		case slices.Contains([]string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}, name):
			continue
		case name == "request" || name == "request_uri":
			return nil, noRequest("a request may not be in a request")
		case raw[0] == '"' && json.Unmarshal(raw, &text) == nil:
			q.Set(name, text)
		case raw[0] == '{', raw[0] == '[' && name == "authorization_details":
			q.Set(name, string(raw))
		case raw[0] != 'n' && json.Unmarshal(raw, &number) == nil:
			q.Set(name, fmt.Sprint(number))
		default:
			return nil, noRequest("a parameter is neither text, whole number nor object")
		}
	}
	if q.Get("client_id") != c.ID {
		return nil, noRequest("client_id must be the client")
	}
	return q, nil
}
