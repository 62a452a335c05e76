package idp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

// forge builds a compact JWS from raw JSON, signed by sign.
func forge(header, claims string, sign func(signed []byte) []byte) string {
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(claims))
	return signed + "." + enc.EncodeToString(sign([]byte(signed)))
}

func ecSign(t *testing.T, key *ecdsa.PrivateKey) func([]byte) []byte {
	return func(signed []byte) []byte {
		digest := sha256.Sum256(signed)
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out
	}
}

// assertWith calls the token endpoint with an assertion.
func (w *world) assertWith(assertion string) (int, map[string]any) {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"firmas:leer"}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}}
	res, body := (&browser{w: w}).do(http.MethodPost, w.issuer+"/oauth2/token", "application/x-www-form-urlencoded", form.Encode())
	var out map[string]any
	_ = json.Unmarshal([]byte(body), &out)
	return res.StatusCode, out
}

func TestAssertionForgeries(t *testing.T) {
	each(t, func(w *world) {
		own := []string{"client_credentials"}
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, Scopes: []string{"firmas:leer"}, Grants: own})
		evil := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(w.t)
		point := must(a.key.PublicKey.Bytes())(w.t)
		spki := must(x509.MarshalPKIXPublicKey(&a.key.PublicKey))(w.t)
		evilJWK := strings.TrimSuffix(strings.TrimPrefix(jwks(w.t, evil), `{"keys":[`), `]}`)
		claims := func() string {
			now := w.clock.Now()
			return fmt.Sprintf(`{"iss":"app-a","sub":"app-a","aud":%q,"jti":%q,"iat":%d,"exp":%d}`, w.issuer, identity.NewID("jti", now), now.Unix(), now.Add(time.Minute).Unix())
		}
		mac := func(key []byte) func([]byte) []byte {
			return func(b []byte) []byte { m := hmac.New(sha256.New, key); m.Write(b); return m.Sum(nil) }
		}
		good := ecSign(w.t, a.key)
		fixedSig := func(sig []byte) func([]byte) []byte { return func([]byte) []byte { return sig } }
		der := func(b []byte) []byte {
			d := sha256.Sum256(b)
			return must(ecdsa.SignASN1(rand.Reader, a.key, d[:]))(w.t)
		}
		twice := func(name, value string) string { return strings.Replace(claims(), `{`, `{"`+name+`":"`+value+`",`, 1) }
		n := elliptic.P256().Params().N
		if status, out := w.assertWith(forge(`{"alg":"ES256","kid":"k1"}`, claims(), good)); status != 200 {
			w.t.Fatalf("control: %d %v", status, out)
		}
		for name, token := range map[string]string{
			"none":                       forge(`{"alg":"none"}`, claims(), fixedSig(nil)),
			"None":                       forge(`{"alg":"None","kid":"k1"}`, claims(), fixedSig([]byte{0})),
			"HS256 with the point":       forge(`{"alg":"HS256","kid":"k1"}`, claims(), mac(point)),
			"HS256 with the SPKI":        forge(`{"alg":"HS256","kid":"k1"}`, claims(), mac(spki)),
			"HS256 with the PEM":         forge(`{"alg":"HS256","kid":"k1"}`, claims(), mac(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki}))),
			"HS256 with the set":         forge(`{"alg":"HS256","kid":"k1"}`, claims(), mac([]byte(jwks(w.t, a.key)))),
			"ES256 as RS256":             forge(`{"alg":"RS256","kid":"k1"}`, claims(), good),
			"ES256 as EdDSA":             forge(`{"alg":"EdDSA","kid":"k1"}`, claims(), good),
			"embedded key":               forge(`{"alg":"ES256","jwk":`+evilJWK+`}`, claims(), ecSign(w.t, evil)),
			"embedded key, known kid":    forge(`{"alg":"ES256","kid":"k1","jwk":`+evilJWK+`}`, claims(), ecSign(w.t, evil)),
			"key by address":             forge(`{"alg":"ES256","kid":"k1","jku":"`+w.issuer+`/evil"}`, claims(), ecSign(w.t, evil)),
			"kid as path":                forge(`{"alg":"ES256","kid":"../../k1"}`, claims(), good),
			"kid as SQL":                 forge(`{"alg":"ES256","kid":"k1' OR '1'='1"}`, claims(), good),
			"kid as list":                forge(`{"alg":"ES256","kid":["k1"]}`, claims(), good),
			"signature of zeros":         forge(`{"alg":"ES256","kid":"k1"}`, claims(), fixedSig(make([]byte, 64))),
			"signature r=n, s=n":         forge(`{"alg":"ES256","kid":"k1"}`, claims(), fixedSig(append(n.FillBytes(make([]byte, 32)), n.FillBytes(make([]byte, 32))...))),
			"signature in DER":           forge(`{"alg":"ES256","kid":"k1"}`, claims(), der),
			"signature with a byte more": forge(`{"alg":"ES256","kid":"k1"}`, claims(), func(b []byte) []byte { return append(good(b), 0) }),
			"critical parameter":         forge(`{"alg":"ES256","kid":"k1","crit":["exp"],"exp":1}`, claims(), good),
			"unencoded payload":          forge(`{"alg":"ES256","kid":"k1","crit":["b64"],"b64":false}`, claims(), good),
			"DPoP proof":                 forge(`{"alg":"ES256","kid":"k1","typ":"dpop+jwt"}`, claims(), good),
			"request object":             forge(`{"alg":"ES256","kid":"k1","typ":"oauth-authz-req+jwt"}`, claims(), good),
			"alg twice":                  forge(`{"alg":"ES256","alg":"none","kid":"k1"}`, claims(), good),
			"sub twice":                  forge(`{"alg":"ES256","kid":"k1"}`, twice("sub", "other"), good),
			"sub twice by case":          forge(`{"alg":"ES256","kid":"k1"}`, twice("SUB", "other"), good),
			"aud twice":                  forge(`{"alg":"ES256","kid":"k1"}`, twice("aud", "https://other.example"), good),
			"claims as list":             forge(`{"alg":"ES256","kid":"k1"}`, "["+claims()+"]", good),
			"claims and more":            forge(`{"alg":"ES256","kid":"k1"}`, claims()+"{}", good),
			"NUL in jti":                 forge(`{"alg":"ES256","kid":"k1"}`, strings.Replace(claims(), `"jti":"`, `"jti":"\u0000`, 1)+" ", fixedSig(make([]byte, 64))),
			"padded":                     forge(`{"alg":"ES256","kid":"k1"}`, claims(), good) + "=",
			"four parts":                 forge(`{"alg":"ES256","kid":"k1"}`, claims(), good) + ".e30",
			"a megabyte":                 forge(`{"alg":"ES256","kid":"k1"}`, `{"x":"`+strings.Repeat("x", 40<<10)+`"}`, good),
			"deep":                       forge(`{"alg":"ES256","kid":"k1"}`, strings.Repeat(`{"a":`, 500)+"1"+strings.Repeat("}", 500), good),
		} {
			if status, out := w.assertWith(token); status != 401 || out["error"] != "invalid_client" || out["access_token"] != nil {
				w.t.Errorf("%s: got %d %v, want invalid_client", name, status, out)
			}
		}
	})
}

// TestAssertionBase64HasOneForm: the unused bits at the end of a part are zero.
func TestAssertionBase64HasOneForm(t *testing.T) {
	each(t, func(w *world) {
		a := w.register(idp.Client{ID: "app-a", Profile: idp.ProfileWeb, Scopes: []string{"firmas:leer"}, Grants: []string{"client_credentials"}})
		token := a.assertion(nil)
		last := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", token[len(token)-1])
		loose := token[:len(token)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last|1])
		if status, _ := w.assertWith(loose); status != 401 {
			w.t.Errorf("a signature with loose bits at its end: %d", status)
		}
		if status, out := w.assertWith(token); status != 200 {
			w.t.Errorf("the token itself: %d %v", status, out)
		}
	})
}

// TestAssertionSaltHasTheSizeOfTheHash is RFC 7518 §3.5.
func TestAssertionSaltHasTheSizeOfTheHash(t *testing.T) {
	each(t, func(w *world) {
		key := must(rsa.GenerateKey(rand.Reader, 2048))(w.t)
		enc := base64.RawURLEncoding
		set := fmt.Sprintf(`{"keys":[{"kty":"RSA","kid":"k1","n":%q,"e":%q}]}`, enc.EncodeToString(key.N.Bytes()), enc.EncodeToString(big.NewInt(int64(key.E)).Bytes()))
		must(w.p.Register(w.t.Context(), "", idp.Client{ID: "app-r", Institution: insA, Profile: idp.ProfileWeb, AuthMethod: "private_key_jwt", JWKS: set, Name: "R", Scopes: []string{"firmas:leer"}, Grants: []string{"client_credentials"}}))(w.t)
		for salt, want := range map[int]int{rsa.PSSSaltLengthEqualsHash: 200, 0: 200, 20: 401, 64: 401} {
			now := w.clock.Now()
			claims := fmt.Sprintf(`{"iss":"app-r","sub":"app-r","aud":%q,"jti":%q,"exp":%d}`, w.issuer, identity.NewID("jti", now), now.Add(time.Minute).Unix())
			token := forge(`{"alg":"PS256"}`, claims, func(b []byte) []byte {
				d := sha256.Sum256(b)
				opts := &rsa.PSSOptions{SaltLength: salt, Hash: crypto.SHA256}
				if salt == 0 {
					opts.SaltLength = 32
				}
				return must(rsa.SignPSS(rand.Reader, key, crypto.SHA256, d[:], opts))(w.t)
			})
			if status, out := w.assertWith(token); status != want {
				w.t.Errorf("salt of %d: got %d %v, want %d", salt, status, out, want)
			}
		}
	})
}
