package sdk

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/json"
	"math"
	"slices"
	"time"
)

// skew is how far the provider's clock may differ from ours.
const skew = 60 * time.Second

// Claims are the verified claims of an ID token.
type Claims struct {
	Issuer    string
	Subject   string // pairwise: the same person has another one at another institution
	SessionID string // sid
	ACR       string
	AMR       []string
	AuthTime  time.Time
	Expires   time.Time
	// All holds every claim as it was signed.
	All map[string]json.RawMessage
}

// audience is a string or an array of strings (RFC 7519 §4.1.3).
type audience []string

// UnmarshalJSON accepts both forms.
func (a *audience) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*a = audience{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(raw, &many); err != nil {
		return err
	}
	*a = many
	return nil
}

// wireClaims are the registered claims used by any of Suti's tokens.
type wireClaims struct {
	Iss      string                     `json:"iss"`
	Sub      string                     `json:"sub"`
	Aud      audience                   `json:"aud"`
	Azp      string                     `json:"azp"`
	Exp      float64                    `json:"exp"`
	Iat      float64                    `json:"iat"`
	Nbf      float64                    `json:"nbf"`
	Jti      string                     `json:"jti"`
	Nonce    *string                    `json:"nonce"`
	AuthTime float64                    `json:"auth_time"`
	ACR      string                     `json:"acr"`
	AMR      []string                   `json:"amr"`
	Sid      string                     `json:"sid"`
	AtHash   string                     `json:"at_hash"`
	Scope    string                     `json:"scope"`
	ClientID string                     `json:"client_id"`
	Events   map[string]json.RawMessage `json:"events"`
}

// check makes the tests common to every token: issuer, audience, times.
func (c *wireClaims) check(issuer, aud string, now time.Time) error {
	switch {
	case c.Iss != issuer:
		return tokenErr("another issuer")
	case !slices.Contains(c.Aud, aud):
		return tokenErr("another audience")
	case c.Exp <= 0 || c.Exp > math.MaxInt32*4 || !now.Before(unix(c.Exp).Add(skew)):
		return tokenErr("expired")
	case c.Iat <= 0 || unix(c.Iat).After(now.Add(skew)):
		return tokenErr("issued in the future")
	case c.Nbf != 0 && unix(c.Nbf).After(now.Add(skew)):
		return tokenErr("not valid yet")
	}
	return nil
}

func unix(s float64) time.Time { return time.UnixMicro(int64(s * 1e6)).UTC() }

// expect is what the login asked for and the ID token must answer.
type expect struct {
	nonce       string
	accessToken string
	maxAge      time.Duration // negative: not asked
	acr         string        // least level asked, "" for none
}

// verifyIDToken makes every check of OpenID Connect Core 1.0 §3.1.3.7 and §3.1.3.8.
func (p *provider) verifyIDToken(ctx context.Context, token, clientID string, want expect) (*Claims, error) {
	payload, err := p.verifyJWS(ctx, token, "", "jwt")
	if err != nil {
		return nil, err
	}
	var c wireClaims
	if err := strictJSON(payload, &c); err != nil {
		return nil, tokenErr("claims: %v", err)
	}
	now := p.now()
	if err := c.check(p.meta.Issuer, clientID, now); err != nil {
		return nil, err
	}
	switch {
	case c.Sub == "" || len(c.Sub) > 255:
		return nil, tokenErr("no subject")
	case c.Events != nil:
		return nil, tokenErr("a logout token is no ID token")
	case (len(c.Aud) > 1 || c.Azp != "") && c.Azp != clientID:
		return nil, tokenErr("authorized party is another client")
	case c.Nonce == nil || subtle.ConstantTimeCompare([]byte(*c.Nonce), []byte(want.nonce)) != 1:
		return nil, tokenErr("nonce")
	case want.maxAge >= 0 && (c.AuthTime == 0 || now.After(unix(c.AuthTime).Add(want.maxAge+skew))):
		return nil, tokenErr("authentication is older than asked")
	case want.acr != "" && !Meets(c.ACR, want.acr):
		return nil, tokenErr("assurance level is lower than asked")
	}
	if err := checkAtHash(token, c.AtHash, want.accessToken); err != nil {
		return nil, err
	}
	out := &Claims{Issuer: c.Iss, Subject: c.Sub, SessionID: c.Sid, ACR: c.ACR, AMR: c.AMR, Expires: unix(c.Exp)}
	if c.AuthTime > 0 {
		out.AuthTime = unix(c.AuthTime)
	}
	return out, json.Unmarshal(payload, &out.All)
}

// checkAtHash binds the access token to the ID token; EdDSA over Ed25519 uses SHA-512.
func checkAtHash(token, atHash, accessToken string) error {
	if atHash == "" {
		return nil // optional in the code flow
	}
	h, _, _, _, err := splitJWS(token)
	if err != nil {
		return err
	}
	var sum []byte
	if h.Alg == "EdDSA" {
		s := sha512.Sum512([]byte(accessToken))
		sum = s[:32]
	} else {
		s := sha256.Sum256([]byte(accessToken))
		sum = s[:16]
	}
	if subtle.ConstantTimeCompare([]byte(b64().EncodeToString(sum)), []byte(atHash)) != 1 {
		return tokenErr("at_hash")
	}
	return nil
}
