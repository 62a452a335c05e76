package idp_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"oruro.gob.bo/suti/idp"
)

// encryptionModules are ID tokens and answers of userinfo that only the client can read.
func encryptionModules() []module {
	set := func(keys ...jose.JSONWebKey) string {
		raw, _ := json.Marshal(jose.JSONWebKeySet{Keys: keys})
		return string(raw)
	}
	public := func(k crypto.Signer, use string) jose.JSONWebKey {
		return jose.JSONWebKey{Key: k.Public(), KeyID: use + "-1", Use: use}
	}
	// opened decrypts a nested JWT and returns the signed one in it.
	opened := func(s *suite, token string, key any, alg, enc string) string {
		s.t.Helper()
		jwe, err := jose.ParseEncryptedCompact(token, []jose.KeyAlgorithm{jose.KeyAlgorithm(alg)}, []jose.ContentEncryption{jose.ContentEncryption(enc)})
		if err != nil {
			s.t.Fatalf("%v: %s", err, token)
		}
		if cty, _ := jwe.Header.ExtraHeaders["cty"].(string); cty != "JWT" || jwe.Header.KeyID != "enc-1" {
			s.t.Errorf("header %+v", jwe.Header)
		}
		return string(must(jwe.Decrypt(key))(s.t))
	}
	encrypted := func(alg, enc string, key func(s *suite) crypto.Signer) module {
		return module{"oidcc-encrypted-" + alg + "-" + enc, func(s *suite) {
			k, signing := key(s), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(s.t)
			id := strings.ToLower(strings.ReplaceAll(alg+"-"+enc, "+", "-"))
			sig := public(signing, "sig")
			sig.KeyID = "k1"
			a := s.register(idp.Client{ID: id, Profile: idp.ProfileWeb, AuthMethod: "private_key_jwt", JWKS: set(public(k, "enc"), sig), IDTokenEncryption: alg + " " + enc, UserInfoAlg: "ES256", UserInfoEncryption: alg + " " + enc})
			a.key = signing
			br := s.browser()
			_, tok := a.redeem(br.enter(a.authorize("scope", "openid profile offline_access"), s.who).Query().Get("code"))
			inner := opened(s, tok["id_token"].(string), k, alg, enc)
			head, c := s.published(inner)
			if head["typ"] != "JWT" || c["aud"] != a.id || c["nonce"] != "n-1" {
				s.t.Errorf("%v %v", head, c)
			}
			res, body := (&browser{w: s.world}).do(http.MethodGet, s.issuer+"/oauth2/userinfo", "", "", "Authorization", "Bearer "+tok["access_token"].(string))
			if head, c := s.published(opened(s, body, k, alg, enc)); res.Header.Get("Content-Type") != "application/jwt" || head["typ"] != "userinfo+jwt" || c["name"] == nil {
				s.t.Errorf("userinfo %v %v", head, c)
			}
			_, tok = a.call("/oauth2/token", map[string][]string{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}})
			opened(s, tok["id_token"].(string), k, alg, enc)
			if got := br.errorOf(a.authorize("prompt", "none", "id_token_hint", inner)); got != "code" {
				s.t.Errorf("the decrypted token as a hint: %s", got)
			}
		}}
	}
	ec := func(s *suite) crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(s.t) }
	return []module{
		encrypted("ECDH-ES", "A128GCM", ec),
		encrypted("ECDH-ES+A128KW", "A256GCM", func(s *suite) crypto.Signer { return must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(s.t) }),
		encrypted("RSA-OAEP-256", "A256GCM", func(s *suite) crypto.Signer { return must(rsa.GenerateKey(rand.Reader, 2048))(s.t) }),
		{"encryption-registrations-that-cannot-work", func(s *suite) {
			enc, sig := ec(s), ec(s)
			small := must(rsa.GenerateKey(rand.Reader, 1024))
			good := set(public(enc, "enc"), public(sig, "sig"))
			for name, c := range map[string]idp.Client{
				"old padding": {JWKS: good, IDTokenEncryption: "RSA1_5 A128GCM"}, "old content": {JWKS: good, IDTokenEncryption: "ECDH-ES A128CBC-HS256"}, "no content": {JWKS: good, IDTokenEncryption: "ECDH-ES"},
				"no key of the kind": {JWKS: good, IDTokenEncryption: "RSA-OAEP-256 A128GCM"}, "signing key": {JWKS: set(public(sig, "sig")), IDTokenEncryption: "ECDH-ES A128GCM"},
				"only a key to encrypt to": {JWKS: set(public(enc, "enc")), IDTokenEncryption: "ECDH-ES A128GCM"}, "userinfo unsigned": {JWKS: good, UserInfoEncryption: "ECDH-ES A128GCM"},
				"short RSA":          {JWKS: set(public(sig, "sig"), public(small(s.t), "enc")), IDTokenEncryption: "RSA-OAEP-256 A128GCM"},
				"secret and no keys": {AuthMethod: "client_secret_basic", IDTokenEncryption: "ECDH-ES A128GCM"}, "secret and a signing key": {AuthMethod: "client_secret_basic", JWKS: good, IDTokenEncryption: "ECDH-ES A128GCM"},
				"private key": {AuthMethod: "client_secret_basic", JWKS: set(public(enc, "enc"), jose.JSONWebKey{Key: sig, KeyID: "x", Use: "enc"}), IDTokenEncryption: "ECDH-ES A128GCM"},
			} {
				c.ID, c.Name, c.Institution, c.Profile, c.RedirectURIs, c.Scopes = "mala", "Mala", insA, idp.ProfileWeb, []string{"https://mala.example/cb"}, []string{"openid"}
				if _, err := s.p.Register(s.t.Context(), "", c); err == nil {
					s.t.Errorf("%s was registered", name)
				}
			}
			a := s.register(idp.Client{ID: "cifrada-secreta", Profile: idp.ProfileWeb, AuthMethod: "client_secret_basic", JWKS: set(public(enc, "enc")), IDTokenEncryption: "ECDH-ES A128GCM"})
			opened(s, s.tokensFresh(a)["id_token"].(string), enc, "ECDH-ES", "A128GCM")
			if err := s.p.SetKeys(s.t.Context(), "", a.id, set(public(sig, "sig"))); err == nil {
				s.t.Error("the key that is encrypted to could be taken away")
			}
		}},
		{"encryption-metadata", func(s *suite) {
			_, m := s.metadata()
			for _, kind := range []string{"id_token", "userinfo"} {
				algs, _ := m[kind+"_encryption_alg_values_supported"].([]any)
				encs, _ := m[kind+"_encryption_enc_values_supported"].([]any)
				if len(algs) != 3 || len(encs) != 2 {
					s.t.Errorf("%s: %v %v", kind, algs, encs)
				}
			}
		}},
	}
}
