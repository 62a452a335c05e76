package sdk

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
)

// maxJWTBytes bounds a compact JWS before anything is decoded.
const maxJWTBytes = 16 << 10

// jwsHeader is the protected header; nothing else in it is acted upon.
type jwsHeader struct {
	Alg  string          `json:"alg"`
	Kid  string          `json:"kid"`
	Typ  string          `json:"typ"`
	Crit json.RawMessage `json:"crit"`
}

// splitJWS checks the outer form and returns header, payload, signature and what was signed.
func splitJWS(token string) (h jwsHeader, payload, sig []byte, signed string, err error) {
	if len(token) > maxJWTBytes {
		return h, nil, nil, "", tokenErr("longer than %d bytes", maxJWTBytes)
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return h, nil, nil, "", tokenErr("not a compact JWS")
	}
	head, err1 := b64().DecodeString(parts[0])
	payload, err2 := b64().DecodeString(parts[1])
	sig, err3 := b64().DecodeString(parts[2])
	if err := errors.Join(err1, err2, err3); err != nil {
		return h, nil, nil, "", tokenErr("not base64url")
	}
	if err := strictJSON(head, &h); err != nil {
		return h, nil, nil, "", tokenErr("header: %v", err)
	}
	if h.Crit != nil {
		return h, nil, nil, "", tokenErr("critical header parameters are not understood")
	}
	return h, payload, sig, parts[0] + "." + parts[1], nil
}

// strictJSON decodes one JSON object, refusing duplicate names and anything after it.
func strictJSON(raw []byte, into any) error {
	if err := noDuplicates(raw); err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return errors.New("not the JSON expected")
	}
	return nil
}

// noDuplicates walks the tokens of one JSON object; nesting is bounded.
func noDuplicates(raw []byte) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	type frame struct {
		object bool
		names  map[string]bool
		key    bool // the next token is a name
	}
	var stack []frame
	for first := true; ; first = false {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) && !first && len(stack) == 0 {
			return nil
		}
		if err != nil {
			return errors.New("not JSON")
		}
		if first && tok != json.Delim('{') {
			return errors.New("not a JSON object")
		}
		if !first && len(stack) == 0 {
			return errors.New("more than one JSON value")
		}
		if d, ok := tok.(json.Delim); ok {
			if d == '{' || d == '[' {
				if len(stack) > 0 && stack[len(stack)-1].object {
					stack[len(stack)-1].key = true
				}
				if len(stack) >= 16 {
					return errors.New("nested too deep")
				}
				stack = append(stack, frame{object: d == '{', names: map[string]bool{}, key: d == '{'})
			} else {
				stack = stack[:len(stack)-1]
			}
			continue
		}
		top := &stack[len(stack)-1]
		if !top.object {
			continue
		}
		if top.key {
			name, _ := tok.(string)
			name = strings.ToLower(strings.ToUpper(name)) // encoding/json matches names without regard to case, also U+017F and s
			if top.names[name] {
				return errors.New("a name stands twice")
			}
			top.names[name] = true
		}
		top.key = !top.key
	}
}

// verifySignature checks sig over signed with key under exactly the header's algorithm.
func verifySignature(alg string, key verificationKey, signed string, sig []byte) error {
	if !slices.Contains(key.algs, alg) {
		return tokenErr("algorithm %.10q is not this key's", alg)
	}
	digest := sha256.Sum256([]byte(signed))
	ok := false
	switch pub := key.pub.(type) {
	case *ecdsa.PublicKey:
		if len(sig) == 64 {
			der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])})
			ok = err == nil && ecdsa.VerifyASN1(pub, digest[:], der)
		}
	case ed25519.PublicKey:
		ok = ed25519.Verify(pub, []byte(signed), sig)
	case *rsa.PublicKey:
		if alg == "PS256" {
			ok = rsa.VerifyPSS(pub, crypto.SHA256, digest[:], sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		} else {
			ok = rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], sig) == nil
		}
	}
	if !ok {
		return tokenErr("signature")
	}
	return nil
}

// signJWT makes a compact JWS of claims with the given typ ("" for none).
func signJWT(key crypto.Signer, kid, typ string, claims any) (string, error) {
	pub, err := publicJWK(key.Public())
	if err != nil {
		return "", err
	}
	head, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Kid string `json:"kid,omitempty"`
		Typ string `json:"typ,omitempty"`
	}{pub.Alg, kid, typ})
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed := b64().EncodeToString(head) + "." + b64().EncodeToString(body)
	sig, err := signBytes(key, pub.Alg, signed)
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return signed + "." + b64().EncodeToString(sig), nil
}

func signBytes(key crypto.Signer, alg, signed string) ([]byte, error) {
	digest := sha256.Sum256([]byte(signed))
	switch alg {
	case "EdDSA":
		return key.Sign(rand.Reader, []byte(signed), crypto.Hash(0))
	case "PS256":
		return key.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	}
	der, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var rs struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &rs); err != nil || len(rest) != 0 {
		return nil, errors.New("signer returned no DER signature")
	}
	out := make([]byte, 64)
	rs.R.FillBytes(out[:32])
	rs.S.FillBytes(out[32:])
	return out, nil
}
