package tour

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
)

// fetch gets a public document of the provider.
func (t *Tour) fetch(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	res, err := t.http().Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", address, res.StatusCode)
	}
	return raw, nil
}

// checkIDToken verifies an RS256 ID token against the published keys by the
// standard library alone.
func (t *Tour) checkIDToken(ctx context.Context, token string) error {
	raw, err := t.fetch(ctx, t.demo.File.Issuer+"/jwks.json")
	if err != nil {
		return err
	}
	var set struct {
		Keys []struct{ Kty, Kid, N, E string }
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return err
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return errors.New("the ID token has no three parts")
	}
	enc := base64.RawURLEncoding
	head, err1 := enc.DecodeString(parts[0])
	body, err2 := enc.DecodeString(parts[1])
	sig, err3 := enc.DecodeString(parts[2])
	var h struct{ Alg, Kid string }
	var c struct {
		Iss, Aud, Nonce string
	}
	if err := errors.Join(err1, err2, err3, json.Unmarshal(head, &h), json.Unmarshal(body, &c)); err != nil {
		return err
	}
	if h.Alg != "RS256" || c.Iss != t.demo.File.Issuer || c.Aud != "heredada" || c.Nonce != "tour-nonce" {
		return fmt.Errorf("ID token says alg %q, iss %q, aud %q", h.Alg, c.Iss, c.Aud)
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	for _, k := range set.Keys {
		if k.Kid != h.Kid || k.Kty != "RSA" {
			continue
		}
		n, errN := enc.DecodeString(k.N)
		e, errE := enc.DecodeString(k.E)
		if err := errors.Join(errN, errE); err != nil {
			return err
		}
		pub := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		return rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], sig)
	}
	return errors.New("no published key has the ID token's kid")
}
