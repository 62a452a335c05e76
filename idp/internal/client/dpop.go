package client

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"time"
)

// ErrProof reports a DPoP proof that proves nothing. Its text names the rule and
// holds nothing of the input.
var ErrProof = errors.New("idp: DPoP proof")

func noProof(why string) error { return fmt.Errorf("%w: %s", ErrProof, why) }

// ProofAlgs are the algorithms of DPoP proofs that are taken. Ed25519 is the
// name of RFC 9864 for what EdDSA is with such a key.
func ProofAlgs() []string { return []string{"ES256", "EdDSA", "Ed25519", "PS256"} }

const (
	maxProof   = 8 << 10
	maxNonce   = 256
	maxHTU     = 2048
	minRSABits = 2048
	maxRSABits = 4096
	// ProofSkew is how far iat may be from our clock, either way. Freshness is
	// the nonce's, so that a telephone with a wrong clock still gets in.
	ProofSkew = 5 * time.Minute
)

// Proof is a DPoP proof (RFC 9449 §4.2) whose signature holds. What it says is
// checked by [Proof.Check].
type Proof struct {
	JKT   string // SHA-256 thumbprint of the key, base64url (RFC 7638)
	JTI   string // to be spent once per key
	Nonce string // the server's, "" if the proof has none

	method, uri, ath string
	iat              time.Time
}

// ParseProof reads the values of a request's DPoP headers: exactly one compact
// JWS, signed with the public key in its own header. Errors wrap [ErrProof].
func ParseProof(headers []string) (*Proof, error) {
	if len(headers) != 1 {
		return nil, noProof("there must be one")
	}
	parts := strings.Split(headers[0], ".")
	if len(headers[0]) > maxProof || len(parts) != 3 {
		return nil, noProof("not a compact JWS")
	}
	var raw [3][]byte
	for i, part := range parts {
		b, err := strict64(part)
		if err != nil || len(b) == 0 {
			return nil, noProof("not base64url")
		}
		raw[i] = b
	}
	var head struct {
		Typ  string          `json:"typ"`
		Alg  string          `json:"alg"`
		JWK  json.RawMessage `json:"jwk"`
		Crit json.RawMessage `json:"crit"`
		B64  json.RawMessage `json:"b64"`
	}
	switch {
	case strictObject(raw[0], &head) != nil || head.Crit != nil || head.B64 != nil:
		return nil, noProof("header")
	case head.Typ != "dpop+jwt":
		return nil, noProof("typ must be dpop+jwt")
	case !slices.Contains(ProofAlgs(), head.Alg):
		return nil, noProof("alg must be one of " + strings.Join(ProofAlgs(), " "))
	}
	key, jkt, err := proofKey(head.JWK, head.Alg)
	if err != nil {
		return nil, err
	}
	if !holds(key, []byte(parts[0]+"."+parts[1]), raw[2]) {
		return nil, noProof("signature")
	}
	return proofClaims(raw[1], jkt)
}

// strict64 decodes base64url that has one reading: no padding, no line breaks,
// no stray bits at the end.
func strict64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line break")
	}
	return base64.RawURLEncoding.Strict().DecodeString(s)
}

func proofClaims(raw []byte, jkt string) (*Proof, error) {
	var c struct {
		JTI   *string  `json:"jti"`
		HTM   *string  `json:"htm"`
		HTU   *string  `json:"htu"`
		IAT   *float64 `json:"iat"`
		ATH   string   `json:"ath"`
		Nonce string   `json:"nonce"`
	}
	switch {
	case strictObject(raw, &c) != nil:
		return nil, noProof("claims")
	case c.JTI == nil || *c.JTI == "" || len(*c.JTI) > maxJTI:
		return nil, noProof("jti is missing or too long")
	case c.HTM == nil || c.HTU == nil || len(*c.HTU) > maxHTU:
		return nil, noProof("htm or htu is missing")
	case c.IAT == nil || *c.IAT <= 0 || *c.IAT >= 1<<40:
		return nil, noProof("iat is missing or out of range")
	case len(c.Nonce) > maxNonce || len(c.ATH) > maxNonce:
		return nil, noProof("nonce or ath is too long")
	}
	return &Proof{JKT: jkt, JTI: *c.JTI, Nonce: c.Nonce, method: *c.HTM, uri: *c.HTU, ath: c.ATH, iat: time.UnixMicro(int64(*c.IAT * 1e6))}, nil
}

// Check tells why the proof is not one for a request with that method and
// address, made now, with that access token ("" at the token endpoint), or nil.
// Errors wrap [ErrProof].
func (p *Proof) Check(method, address, token string, now time.Time) error {
	got, err := normalURI(p.uri)
	if err != nil {
		return err
	}
	want, err := normalURI(address)
	if err != nil {
		return err
	}
	switch d := p.iat.Sub(now); {
	case p.method != method:
		return noProof("htm is another method")
	case got != want:
		return noProof("htu is another address")
	case d > ProofSkew || d < -ProofSkew:
		return noProof("iat is too far from now")
	}
	if token == "" {
		return nil
	}
	sum := sha256.Sum256([]byte(token))
	if subtle.ConstantTimeCompare([]byte(p.ath), []byte(base64.RawURLEncoding.EncodeToString(sum[:]))) != 1 {
		return noProof("ath is not the token's")
	}
	return nil
}

// normalURI is an address without query and fragment, normalised by syntax and
// scheme (RFC 9449 §4.3 point 9, RFC 3986 §6.2.2 and §6.2.3).
func normalURI(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Hostname(), hostChars) != "" || u.Hostname() == "" {
		return "", noProof("htu is no address")
	}
	scheme, host := u.Scheme, strings.ToLower(u.Hostname()) // url.Parse lowers the scheme
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" && (scheme != "https" || port != "443") && (scheme != "http" || port != "80") {
		host += ":" + port
	}
	path := normalPath(u.EscapedPath())
	return scheme + "://" + host + path, nil
}

// normalPath writes percent-encodings in upper case and unreserved characters plainly.
func normalPath(p string) string {
	if p == "" {
		return "/"
	}
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] != '%' || i+2 >= len(p) {
			b.WriteByte(p[i])
			continue
		}
		hex := strings.ToUpper(p[i : i+3])
		if c, err := url.PathUnescape(hex); err == nil && len(c) == 1 && strings.Contains(unreserved, c) {
			b.WriteString(c)
		} else {
			b.WriteString(hex)
		}
		i += 2
	}
	return b.String()
}

// hostChars are what a host may be made of: a name in its ASCII form, or an address.
const hostChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._:"

const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// proofKey reads a public JWK for alg (RFC 7517, RFC 7518 §6, RFC 8037 §2) and
// its thumbprint. A JWK with private members is refused, whatever their names hold.
func proofKey(raw json.RawMessage, alg string) (crypto.PublicKey, string, error) {
	var members map[string]json.RawMessage
	if len(raw) == 0 || strictObject(raw, &members) != nil {
		return nil, "", noProof("jwk is missing or malformed")
	}
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if _, sent := members[private]; sent {
			return nil, "", noProof("jwk holds a private key")
		}
	}
	text := func(name string) string {
		var s string
		_ = json.Unmarshal(members[name], &s) // anything else is as good as missing
		return s
	}
	if own := text("alg"); own != "" && own != alg || text("use") != "" && text("use") != "sig" {
		return nil, "", noProof("jwk is for something else")
	}
	b := func(name string) []byte {
		v, err := strict64(text(name))
		if err != nil {
			return nil
		}
		return v
	}
	switch alg + " " + text("kty") + " " + text("crv") {
	case "ES256 EC P-256":
		x, y := b("x"), b("y")
		if len(x) != 32 || len(y) != 32 {
			break
		}
		pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		if err != nil {
			break
		}
		return pub, thumbprint(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, x, y), nil
	case "EdDSA OKP Ed25519", "Ed25519 OKP Ed25519":
		if x := b("x"); len(x) == ed25519.PublicKeySize {
			return ed25519.PublicKey(x), thumbprint(`{"crv":"Ed25519","kty":"OKP","x":"%s"}`, x), nil
		}
	case "PS256 RSA ":
		n, e := new(big.Int).SetBytes(b("n")), new(big.Int).SetBytes(b("e"))
		if n.BitLen() < minRSABits || n.BitLen() > maxRSABits || n.Bit(0) == 0 || e.BitLen() > 31 || e.Bit(0) == 0 || e.Int64() < 3 {
			return nil, "", noProof("jwk must be RSA of 2048 to 4096 bits")
		}
		return &rsa.PublicKey{N: n, E: int(e.Int64())}, thumbprint(`{"e":"%s","kty":"RSA","n":"%s"}`, e.Bytes(), n.Bytes()), nil
	}
	return nil, "", noProof("jwk is no key for alg")
}

// thumbprint is RFC 7638 §3 over members in the order of the template.
func thumbprint(template string, members ...[]byte) string {
	args := make([]any, len(members))
	for i, m := range members {
		args[i] = base64.RawURLEncoding.EncodeToString(m)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, template, args...))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// holds verifies a JWS signature (RFC 7518 §3.4 and §3.5, RFC 8037 §3.1).
func holds(key crypto.PublicKey, signed, sig []byte) bool {
	digest := sha256.Sum256(signed)
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		return len(sig) == 64 && ecdsa.Verify(k, digest[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	case ed25519.PublicKey:
		return len(sig) == ed25519.SignatureSize && ed25519.Verify(k, signed, sig)
	case *rsa.PublicKey:
		return rsa.VerifyPSS(k, crypto.SHA256, digest[:], sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	}
	return false
}
