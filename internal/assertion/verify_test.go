package assertion_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/softauthn"
)

const (
	rpID   = "id.example.org"
	origin = "https://id.example.org"
)

var challenge = []byte("0123456789abcdef0123456789abcdef")

// signed returns an authenticator with one passkey, and an assertion by it
// with what a verifier expects of it.
func signed(t testing.TB, alg softauthn.Alg, change func(*softauthn.Behaviour)) (assertion.Response, assertion.Expected) {
	t.Helper()
	a := softauthn.New(softauthn.Config{Algs: []softauthn.Alg{alg}})
	if change != nil {
		a.Behave(change)
	}
	c, err := a.NewCredential(rpID, []byte("u"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := a.Assert(c.ID, rpID, origin, challenge)
	if err != nil {
		t.Fatal(err)
	}
	return assertion.Response{
			AuthenticatorData: r.AuthenticatorData, ClientDataJSON: r.ClientDataJSON, Signature: r.Signature,
		}, assertion.Expected{
			RPID: rpID, Origins: []string{"https://other.example.org", origin}, Challenge: challenge,
			PublicKey: c.COSE, RequireUV: true,
		}
}

func TestVerifyAccepts(t *testing.T) {
	t.Parallel()
	for _, alg := range []softauthn.Alg{softauthn.ES256, softauthn.EdDSA} {
		r, e := signed(t, alg, func(b *softauthn.Behaviour) { b.BE, b.BS, b.CounterStep = true, true, 7 })
		got, err := assertion.Verify(r, e)
		if err != nil {
			t.Fatalf("%d: %v", alg, err)
		}
		if !got.OK() || !got.UV() || !got.BE() || !got.BS() || got.Counter() != 7 || got.Origin() != origin {
			t.Errorf("%d: got %+v", alg, got)
		}
		if !got.IsFor(challenge) || got.IsFor(challenge[:31]) || (assertion.Verified{}).IsFor(nil) {
			t.Errorf("%d: IsFor does not tell challenges apart", alg)
		}
		if got.KeyID() != sha256.Sum256(e.PublicKey) || int64(got.Algorithm()) != int64(alg) {
			t.Errorf("%d: got key %x, algorithm %v", alg, got.KeyID(), got.Algorithm())
		}
	}
}

func TestVerifyRefusesBehaviour(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*softauthn.Behaviour)
		want   error
	}{
		{"user not present", func(b *softauthn.Behaviour) { b.UP = false }, assertion.ErrUserPresence},
		{"user not verified", func(b *softauthn.Behaviour) { b.UV = false }, assertion.ErrUserVerification},
		{"backed up but not eligible", func(b *softauthn.Behaviour) { b.BS = true }, assertion.ErrFlags},
		{"cross-origin frame", func(b *softauthn.Behaviour) { b.CrossOrigin = true }, assertion.ErrCrossOrigin},
	} {
		r, e := signed(t, softauthn.ES256, tc.change)
		if got, err := assertion.Verify(r, e); !errors.Is(err, tc.want) || got.OK() {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
	r, e := signed(t, softauthn.ES256, func(b *softauthn.Behaviour) { b.UV = false })
	e.RequireUV = false
	if got, err := assertion.Verify(r, e); err != nil || got.UV() {
		t.Errorf("verification not required: got UV %v, %v", got.UV(), err)
	}
}

func TestVerifyRefusesExpectation(t *testing.T) {
	t.Parallel()
	_, other := signed(t, softauthn.ES256, nil)
	for _, tc := range []struct {
		name   string
		change func(*assertion.Expected)
		want   error
	}{
		{"other challenge", func(e *assertion.Expected) { e.Challenge = bytes.ToUpper(challenge) }, assertion.ErrChallenge},
		{"longer challenge", func(e *assertion.Expected) { e.Challenge = append(bytes.Clone(challenge), 0) }, assertion.ErrChallenge},
		{"other host", func(e *assertion.Expected) { e.Origins = []string{"https://example.org"} }, assertion.ErrOrigin},
		{"other port", func(e *assertion.Expected) { e.Origins = []string{origin + ":8443"} }, assertion.ErrOrigin},
		{"other scheme", func(e *assertion.Expected) { e.Origins = []string{"http://id.example.org"} }, assertion.ErrOrigin},
		{"trailing slash", func(e *assertion.Expected) { e.Origins = []string{origin + "/"} }, assertion.ErrOrigin},
		{"upper case", func(e *assertion.Expected) { e.Origins = []string{"https://ID.example.org"} }, assertion.ErrOrigin},
		{"other relying party", func(e *assertion.Expected) { e.RPID = "example.org" }, assertion.ErrRPID},
		{"other key", func(e *assertion.Expected) { e.PublicKey = other.PublicKey }, assertion.ErrSignature},
		{"no relying party", func(e *assertion.Expected) { e.RPID = "" }, assertion.ErrExpected},
		{"no origins", func(e *assertion.Expected) { e.Origins = nil }, assertion.ErrExpected},
		{"empty origin", func(e *assertion.Expected) { e.Origins = []string{origin, ""} }, assertion.ErrExpected},
		{"short challenge", func(e *assertion.Expected) { e.Challenge = challenge[:15] }, assertion.ErrExpected},
		{"no key", func(e *assertion.Expected) { e.PublicKey = nil }, assertion.ErrExpected},
		{"huge key", func(e *assertion.Expected) { e.PublicKey = make([]byte, 601) }, assertion.ErrSize},
	} {
		r, e := signed(t, softauthn.ES256, nil)
		tc.change(&e)
		if got, err := assertion.Verify(r, e); !errors.Is(err, tc.want) || got.OK() {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
}

// TestNoBitMayChange flips each bit of each part of a response in turn.
func TestNoBitMayChange(t *testing.T) {
	t.Parallel()
	for _, alg := range []softauthn.Alg{softauthn.ES256, softauthn.EdDSA} {
		r, e := signed(t, alg, nil)
		for name, part := range map[string]*[]byte{
			"authenticator data": &r.AuthenticatorData, "client data": &r.ClientDataJSON, "signature": &r.Signature,
		} {
			whole := *part
			for bit := range len(whole) * 8 {
				changed := bytes.Clone(whole)
				changed[bit/8] ^= 1 << (bit % 8)
				*part = changed
				if got, err := assertion.Verify(r, e); err == nil || got.OK() {
					t.Errorf("alg %d, %s, bit %d: accepted", alg, name, bit)
				}
			}
			*part = whole
			for _, changed := range [][]byte{nil, whole[:len(whole)-1], append(bytes.Clone(whole), 0)} {
				*part = changed
				if _, err := assertion.Verify(r, e); err == nil {
					t.Errorf("alg %d, %s of %d bytes accepted", alg, name, len(changed))
				}
			}
			*part = whole
		}
	}
}

func TestVerifyBoundsSizes(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*assertion.Response){
		"authenticator data": func(r *assertion.Response) { r.AuthenticatorData = make([]byte, assertion.MaxAuthData+1) },
		"client data":        func(r *assertion.Response) { r.ClientDataJSON = make([]byte, assertion.MaxClientData+1) },
		"signature":          func(r *assertion.Response) { r.Signature = make([]byte, assertion.MaxSignature+1) },
	} {
		r, e := signed(t, softauthn.ES256, nil)
		change(&r)
		if _, err := assertion.Verify(r, e); !errors.Is(err, assertion.ErrSize) {
			t.Errorf("%s: got %v, want ErrSize", name, err)
		}
	}
}

// resign signs changed authenticator and client data with a key of the test.
func resign(t *testing.T, auth, client []byte) (assertion.Response, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	cose := slices.Concat([]byte{0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32}, point[1:33], []byte{0x22, 0x58, 32}, point[33:])
	hash := sha256.Sum256(client)
	digest := sha256.Sum256(slices.Concat(auth, hash[:]))
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return assertion.Response{AuthenticatorData: auth, ClientDataJSON: client, Signature: sig}, cose
}

func TestAuthenticatorDataRules(t *testing.T) {
	t.Parallel()
	hash := sha256.Sum256([]byte(rpID))
	client := fmt.Appendf(nil, `{"type":"webauthn.get","challenge":%q,"origin":%q}`, b64(challenge), origin)
	for _, tc := range []struct {
		name  string
		flags byte
		rest  []byte
		want  error
	}{
		{"plain", 0x05, nil, nil},
		{"reserved bits are ignored", 0x27, nil, nil},
		{"extension", 0x85, []byte{0xa1, 0x61, 'a', 0xf5}, nil},
		{"two extensions in order", 0x85, []byte{0xa2, 0x61, 'a', 0xf5, 0x61, 'b', 0x01}, nil},
		{"two extensions out of order", 0x85, []byte{0xa2, 0x61, 'b', 0xf5, 0x61, 'a', 0x01}, assertion.ErrFormat},
		{"extension twice", 0x85, []byte{0xa2, 0x61, 'a', 0xf5, 0x61, 'a', 0xf5}, assertion.ErrFormat},
		{"extension flag without extensions", 0x85, nil, assertion.ErrFormat},
		{"extension flag with empty map", 0x85, []byte{0xa0}, assertion.ErrFlags},
		{"extension flag with array", 0x85, []byte{0x80}, assertion.ErrFormat},
		{"extension without flag", 0x05, []byte{0xa1, 0x61, 'a', 0xf5}, assertion.ErrFormat},
		{"bytes after extension", 0x85, []byte{0xa1, 0x61, 'a', 0xf5, 0x00}, assertion.ErrFormat},
		{"indefinite map", 0x85, []byte{0xbf, 0x61, 'a', 0xf5, 0xff}, assertion.ErrFormat},
		{"long argument", 0x85, []byte{0xa1, 0x61, 'a', 0x18, 0x17}, assertion.ErrFormat},
		{"integer name", 0x85, []byte{0xa1, 0x01, 0xf5}, assertion.ErrFormat},
		{"float", 0x85, []byte{0xa1, 0x61, 'a', 0xf9, 0, 0}, assertion.ErrFormat},
		{"tag", 0x85, []byte{0xa1, 0x61, 'a', 0xc0, 0x00}, assertion.ErrFormat},
		{"undefined", 0x85, []byte{0xa1, 0x61, 'a', 0xf7}, assertion.ErrFormat},
		{"text not UTF-8", 0x85, []byte{0xa1, 0x61, 'a', 0x61, 0xff}, assertion.ErrFormat},
		{"four levels", 0x85, []byte{0xa1, 0x61, 'a', 0x81, 0x81, 0x81, 0x01}, nil},
		{"five levels", 0x85, []byte{0xa1, 0x61, 'a', 0x81, 0x81, 0x81, 0x81, 0x01}, assertion.ErrFormat},
		{"attested data", 0x45, make([]byte, 18), assertion.ErrFormat},
		{"backup state alone", 0x15, nil, assertion.ErrFlags},
		{"huge string", 0x85, []byte{0xa1, 0x61, 'a', 0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, assertion.ErrFormat},
	} {
		auth := slices.Concat(hash[:], []byte{tc.flags, 0, 0, 0, 0}, tc.rest)
		r, cose := resign(t, auth, client)
		_, err := assertion.Verify(r, assertion.Expected{
			RPID: rpID, Origins: []string{origin}, Challenge: challenge, PublicKey: cose, RequireUV: true,
		})
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
}

func TestAttestedDataIsRefusedInAssertion(t *testing.T) {
	t.Parallel()
	f := readW3C(t)
	att, err := assertion.ParseAttestationObject(f.Vectors[0].Registration.AttestationObject)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte(rpID))
	auth := slices.Concat(hash[:], []byte{0x45, 0, 0, 0, 0}, make([]byte, 16), []byte{0, 16}, make([]byte, 16), att.AuthData.Attested.COSE)
	client := fmt.Appendf(nil, `{"type":"webauthn.get","challenge":%q,"origin":%q}`, b64(challenge), origin)
	r, cose := resign(t, auth, client)
	_, err = assertion.Verify(r, assertion.Expected{RPID: rpID, Origins: []string{origin}, Challenge: challenge, PublicKey: cose})
	if !errors.Is(err, assertion.ErrFlags) {
		t.Errorf("got %v, want ErrFlags", err)
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func TestClientDataRules(t *testing.T) {
	t.Parallel()
	ch := b64(challenge)
	plain := `{"type":"webauthn.get","challenge":"` + ch + `","origin":"` + origin + `"`
	for _, tc := range []struct {
		name, json string
		want       error
	}{
		{"without crossOrigin", plain + `}`, nil},
		{"crossOrigin false", plain + `,"crossOrigin":false}`, nil},
		{"unknown members", plain + `,"x":{"a":[1,{"b":null}],"c":"d"},"tokenBinding":{"status":"supported"}}`, nil},
		{"spaces", " \n" + plain + " }\t", nil},
		{"escapes in a name", `{"typ\u0065":"webauthn.get","challenge":"` + ch + `","origin":"` + origin + `"}`, nil},
		{"crossOrigin true", plain + `,"crossOrigin":true}`, assertion.ErrCrossOrigin},
		{"crossOrigin null", plain + `,"crossOrigin":null}`, assertion.ErrClientData},
		{"crossOrigin text", plain + `,"crossOrigin":"false"}`, assertion.ErrClientData},
		{"topOrigin", plain + `,"topOrigin":"` + origin + `"}`, assertion.ErrCrossOrigin},
		{"topOrigin null", plain + `,"topOrigin":null}`, assertion.ErrCrossOrigin},
		{"registration", strings.Replace(plain, "webauthn.get", "webauthn.create", 1) + `}`, assertion.ErrType},
		{"type of another case", strings.Replace(plain, "webauthn.get", "WebAuthn.get", 1) + `}`, assertion.ErrType},
		{"name of another case", strings.Replace(plain, `"type"`, `"Type"`, 1) + `}`, assertion.ErrClientData},
		{"type twice", plain + `,"type":"webauthn.get"}`, assertion.ErrClientData},
		{"challenge twice, escaped", plain + `,"challeng\u0065":"AAAA"}`, assertion.ErrClientData},
		{"nested name twice", plain + `,"x":[{"a":1,"a":2}]}`, assertion.ErrClientData},
		{"padded challenge", strings.Replace(plain, ch, ch+"=", 1) + `}`, assertion.ErrChallenge},
		{"line break in challenge", strings.Replace(plain, ch, ch[:4]+`\n`+ch[4:], 1) + `}`, assertion.ErrChallenge},
		{"loose bits in challenge", strings.Replace(plain, ch, ch[:42]+"Z", 1) + `}`, assertion.ErrChallenge},
		{"challenge missing", `{"type":"webauthn.get","origin":"` + origin + `"}`, assertion.ErrClientData},
		{"challenge number", `{"type":"webauthn.get","challenge":1,"origin":"` + origin + `"}`, assertion.ErrClientData},
		{"origin list", `{"type":"webauthn.get","challenge":"` + ch + `","origin":["` + origin + `"]}`, assertion.ErrClientData},
		{"byte order mark", "\ufeff" + plain + `}`, assertion.ErrClientData},
		{"not UTF-8", plain + `,"x":"` + "\xff" + `"}`, assertion.ErrClientData},
		{"bytes after", plain + `}{}`, assertion.ErrClientData},
		{"trailing comma", plain + `,}`, assertion.ErrClientData},
		{"comment", plain + `/**/}`, assertion.ErrClientData},
		{"array", `[` + plain + `}]`, assertion.ErrClientData},
		{"empty", ``, assertion.ErrClientData},
		{"deep", plain + `,"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, assertion.ErrClientData},
		{"eight levels", plain + `,"x":` + strings.Repeat("[", 7) + strings.Repeat("]", 7) + `}`, nil},
	} {
		hash := sha256.Sum256([]byte(rpID))
		r, cose := resign(t, slices.Concat(hash[:], []byte{0x05, 0, 0, 0, 0}), []byte(tc.json))
		_, err := assertion.Verify(r, assertion.Expected{
			RPID: rpID, Origins: []string{origin}, Challenge: challenge, PublicKey: cose, RequireUV: true,
		})
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
}

// TestSignatureIsStrictDER re-encodes a valid signature in ways that are not DER.
func TestSignatureIsStrictDER(t *testing.T) {
	t.Parallel()
	r, e := signed(t, softauthn.ES256, nil)
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(r.Signature, &rs); err != nil {
		t.Fatal(err)
	}
	integer := func(v []byte) []byte { return append([]byte{2, byte(len(v))}, v...) }
	positive := func(v *big.Int) []byte {
		b := v.Bytes()
		if b[0]&0x80 != 0 {
			b = append([]byte{0}, b...)
		}
		return b
	}
	seq := func(parts ...[]byte) []byte {
		body := slices.Concat(parts...)
		return append([]byte{0x30, byte(len(body))}, body...)
	}
	rb, sb := positive(rs.R), positive(rs.S)
	n := elliptic.P256().Params().N
	good := seq(integer(rb), integer(sb))
	if !bytes.Equal(good, r.Signature) {
		t.Fatal("the re-encoding is not the signature")
	}
	for name, sig := range map[string][]byte{
		"padded r":       seq(integer(append([]byte{0}, rb...)), integer(sb)),
		"padded s":       seq(integer(rb), integer(append([]byte{0}, sb...))),
		"long length":    append([]byte{0x30, 0x81, byte(len(good) - 2)}, good[2:]...),
		"indefinite":     slices.Concat([]byte{0x30, 0x80}, good[2:], []byte{0, 0}),
		"trailing zero":  append(bytes.Clone(good), 0),
		"third integer":  seq(integer(rb), integer(sb), integer([]byte{1})),
		"r zero":         seq(integer([]byte{0}), integer(sb)),
		"s zero":         seq(integer(rb), integer([]byte{0})),
		"both zero":      seq(integer([]byte{0}), integer([]byte{0})),
		"r = n":          seq(integer(positive(n)), integer(sb)),
		"s + n":          seq(integer(rb), integer(positive(new(big.Int).Add(rs.S, n)))),
		"raw r and s":    slices.Concat(rs.R.FillBytes(make([]byte, 32)), rs.S.FillBytes(make([]byte, 32))),
		"empty":          nil,
		"empty sequence": {0x30, 0},
	} {
		r.Signature = sig
		if _, err := assertion.Verify(r, e); !errors.Is(err, assertion.ErrSignature) {
			t.Errorf("%s: got %v, want ErrSignature", name, err)
		}
	}
}

func TestRS256(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cose := rsaCOSE(key.N.Bytes(), []byte{1, 0, 1})
	hash := sha256.Sum256([]byte(rpID))
	auth := slices.Concat(hash[:], []byte{0x05, 0, 0, 0, 0})
	client := fmt.Appendf(nil, `{"type":"webauthn.get","challenge":%q,"origin":%q}`, b64(challenge), origin)
	ch := sha256.Sum256(client)
	digest := sha256.Sum256(slices.Concat(auth, ch[:]))
	sig, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	e := assertion.Expected{RPID: rpID, Origins: []string{origin}, Challenge: challenge, PublicKey: cose, RequireUV: true}
	r := assertion.Response{AuthenticatorData: auth, ClientDataJSON: client, Signature: sig}
	if got, err := assertion.Verify(r, e); err != nil || got.Algorithm() != assertion.RS256 {
		t.Fatalf("got %v, %v", got.Algorithm(), err)
	}
	pss, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"PSS": pss, "zero in front": append([]byte{0}, sig...), "short": sig[1:]} {
		r.Signature = bad
		if _, err := assertion.Verify(r, e); !errors.Is(err, assertion.ErrSignature) {
			t.Errorf("%s: got %v, want ErrSignature", name, err)
		}
	}
}

func TestCheckCounter(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		stored, received uint32
		ok               bool
	}{{0, 0, true}, {0, 1, true}, {5, 6, true}, {5, 5, false}, {5, 4, false}, {5, 0, false}, {1 << 31, 1<<32 - 1, true}, {1<<32 - 1, 0, false}} {
		if err := assertion.CheckCounter(tc.stored, tc.received); (err == nil) != tc.ok || (err != nil && !errors.Is(err, assertion.ErrCounter)) {
			t.Errorf("CheckCounter(%d, %d) = %v", tc.stored, tc.received, err)
		}
	}
}
