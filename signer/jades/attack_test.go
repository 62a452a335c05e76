package jades_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"oruro.gob.bo/suti/signer/jades"
	"oruro.gob.bo/suti/signer/pades"
)

const sound = `"x5t#S256":"THUMB","x5c":CHAIN,"iat":NOW`

func decode(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sortStrings(s []string) { slices.Sort(s) }

func TestAttackSubstitutedContent(t *testing.T) {
	t.Parallel()
	w := shared()
	changed := bytes.Replace(act, []byte("250"), []byte("950"), 1)
	parts := strings.Split(string(w.sign(t, "ES256", jades.Options{}, act)), ".")
	w.verify(t, "payload", []byte(parts[0]+"."+b64(changed)+"."+parts[2]), nil, jades.Invalid, pades.SubCrypto, jades.LevelNone)
	detached := w.sign(t, "ES256", jades.Options{Name: "acta.json"}, act)
	w.verify(t, "detached", detached, changed, jades.Invalid, pades.SubHash, jades.LevelNone)
	w.refused(t, "no content", detached, nil, jades.CodeDetached)
	w.refused(t, "payload put into a detached one", []byte(strings.Replace(string(detached), "..", "."+b64(changed)+".", 1)), nil, jades.CodeMalformed)
	w.refused(t, "content beside an embedded one", w.sign(t, "ES256", jades.Options{}, act), act, jades.CodeAttached)
}

// A name of an algorithm never chooses how a key is used.
func TestAttackAlgorithmConfusion(t *testing.T) {
	t.Parallel()
	w := shared()
	payload := b64(act)
	for _, alg := range []string{"none", "None", "", "HS256", "HS512", "ES256K", "RS1", "es256", "RS512"} {
		w.refused(t, alg, w.forge(t, "ES256", `{"alg":"`+alg+`",`+sound+`}`, payload), nil, jades.CodeAlgorithm)
	}
	// HMAC with the public key as secret, told as an algorithm that is in the list.
	p := w.people["RS256"]
	sum := sha256.Sum256(p.chain[0].Raw)
	head := b64([]byte(`{"alg":"RS256","iat":1,"x5t#S256":"` + b64(sum[:]) + `","x5c":["` + base64.StdEncoding.EncodeToString(p.chain[0].Raw) + `"]}`))
	pub := must(x509.MarshalPKIXPublicKey(p.chain[0].PublicKey))
	mac := hmac.New(sha256.New, pub)
	mac.Write([]byte(head + "." + payload))
	w.verify(t, "HMAC", []byte(head+"."+payload+"."+b64(mac.Sum(nil))), nil, jades.Invalid, pades.SubCrypto, jades.LevelNone)
	for real, told := range map[string]string{"ES256": "ES384", "RS256": "PS256", "PS256": "ES256", "EdDSA": "RS256"} {
		w.verify(t, real+" as "+told, w.forge(t, real, `{"alg":"`+told+`",`+sound+`}`, payload), nil, jades.Invalid, pades.SubCrypto, jades.LevelNone)
	}
	w.refused(t, "no alg", w.forge(t, "ES256", `{`+sound+`}`, payload), nil, jades.CodeAlgorithm)
}

// ECDSA values of other forms: DER, too long, zero.
func TestAttackSignatureForms(t *testing.T) {
	t.Parallel()
	w := shared()
	parts := strings.Split(string(w.sign(t, "ES256", jades.Options{}, act)), ".")
	value := decode(t, parts[2])
	for name, v := range map[string][]byte{
		"zeros": make([]byte, 64), "longer": append(value, 0), "shorter": value[:63], "padded": slices.Concat(make([]byte, 1), value[:32], make([]byte, 1), value[32:]),
	} {
		w.verify(t, name, []byte(parts[0]+"."+parts[1]+"."+b64(v)), nil, jades.Invalid, pades.SubCrypto, jades.LevelNone)
	}
	w.refused(t, "none", []byte(parts[0]+"."+parts[1]+"."), nil, jades.CodeMalformed)
}

func TestAttackCritical(t *testing.T) {
	t.Parallel()
	w := shared()
	payload := b64(act)
	for _, crit := range []string{
		`"crit":["exp"],"exp":1`, `"crit":["sigPId"],"sigPId":{}`, `"crit":["b64","x"],"b64":true,"x":1`, `"crit":["b64"]`, `"crit":[]`, `"crit":null`,
		`"crit":"b64","b64":true`, `"crit":[1]`, `"crit":["b64","b64"],"b64":true`, `"crit":["alg"]`, `"crit":["x5c"]`, `"crit":["crit"]`, `"b64":false`, `"b64":true`,
		`"sigD":{"mId":"http://uri.etsi.org/19182/ObjectIdByURIHash","pars":["x"],"hashM":"S256","hashV":["x"]}`,
	} {
		w.refused(t, crit, w.forge(t, "ES256", `{"alg":"ES256",`+sound+`,`+crit+`}`, payload), nil, jades.CodeCritical)
	}
}

func TestAttackDuplicateMembers(t *testing.T) {
	t.Parallel()
	w := shared()
	payload := b64(act)
	for _, head := range []string{
		`{"alg":"ES256","alg":"ES256",` + sound + `}`, `{"alg":"ES256","\u0061lg":"none",` + sound + `}`, `{"alg":"ES256",` + sound + `,"iat":1}`,
		`{"alg":"ES256",` + sound + `,"jwk":{"x":1,"x":2}}`, `{"alg":"ES256",` + sound + `,"\ud800":1,"\ud801":2}`,
		`{"alg":"ES256",` + sound + `}{}`, `[]`, `"x"`, `null`, `{"alg":"ES256",` + sound + `,"x":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + `}`,
	} {
		w.refused(t, head, w.forge(t, "ES256", head, payload), nil, jades.CodeMalformed)
	}
	// In the payload, where it is JSON: nobody can say which of the two was signed.
	twice := b64([]byte(`{"monto":1,"monto":9}`))
	w.verify(t, "payload", w.forge(t, "ES256", `{"alg":"ES256",`+sound+`,"cty":"json"}`, twice), nil, jades.Indeterminate, pades.SubConstraints, jades.LevelBB)
	w.verify(t, "payload of a JSON kind", w.forge(t, "ES256", `{"alg":"ES256",`+sound+`,"cty":"application/acta+json; v=1"}`, twice), nil, jades.Indeterminate, pades.SubConstraints, jades.LevelBB)
}

// Names of members are exact: what others take for the same is not.
func TestAttackOtherSpellings(t *testing.T) {
	t.Parallel()
	w := shared()
	r := w.verify(t, "Alg", w.forge(t, "ES256", `{"alg":"ES256",`+sound+`,"Alg":"none","CRIT":["x"]}`, b64(act)), nil, jades.Valid, "", jades.LevelBB)
	if len(r.Warnings) == 0 || r.Warnings[0].Code != jades.WarnIgnored {
		t.Errorf("warnings %v", r.Warnings)
	}
}

// Keys and certificates that the header brings or points to prove nothing.
func TestAttackWrongCertificate(t *testing.T) {
	t.Parallel()
	w := shared()
	payload := b64(act)
	other := w.people["EdDSA"].chain[0]
	sum := sha256.Sum256(other.Raw)
	for name, c := range map[string]struct{ head, sub string }{
		"thumbprint of another": {`"x5t#S256":"` + b64(sum[:]) + `","x5c":CHAIN,"iat":NOW`, pades.SubNoSigner},
		"chain of another":      {`"x5t#S256":"THUMB","x5c":["` + base64.StdEncoding.EncodeToString(other.Raw) + `"],"iat":NOW`, pades.SubNoSigner},
		"no certificate":        {`"x5t#S256":"THUMB","iat":NOW`, pades.SubNoSigner},
		"nothing but a key":     {`"jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"},"kid":"x","iat":NOW`, pades.SubNoSigner},
		"x5t#o of another":      {`"x5t#S256":"THUMB","x5c":CHAIN,"iat":NOW,"x5t#o":{"digAlg":"S256","digVal":"` + b64(sum[:]) + `"}`, pades.SubNoSigner},
	} {
		w.verify(t, name, w.forge(t, "ES256", `{"alg":"ES256",`+c.head+`}`, payload), nil, jades.Indeterminate, c.sub, jades.LevelNone)
	}
	twin := w.person("Ana ES256", w.people["ES256"].key) // another certificate of the same key
	swapped := `"x5t#S256":"THUMB","x5c":["` + base64.StdEncoding.EncodeToString(twin.chain[0].Raw) + `"],"iat":NOW`
	w.verify(t, "twin", w.forge(t, "ES256", `{"alg":"ES256",`+swapped+`}`, payload), nil, jades.Indeterminate, pades.SubNoSigner, jades.LevelNone)
	stranger := &world{root: other, people: w.people}
	stranger.verify(t, "another root", w.sign(t, "ES256", jades.Options{}, act), nil, jades.Indeterminate, pades.SubNoChain, jades.LevelBB)
}

func TestAttackEncodings(t *testing.T) {
	t.Parallel()
	w := shared()
	good := string(w.sign(t, "ES256", jades.Options{}, act))
	parts := strings.Split(good, ".")
	w.verify(t, "line break at the end", []byte(good+"\r\n"), nil, jades.Valid, "", jades.LevelBB)
	for name, bad := range map[string]string{
		"line break within": parts[0] + "." + parts[1] + "\n." + parts[2], "padding": parts[0] + "." + parts[1] + "." + parts[2] + "==",
		"four parts": good + ".", "two parts": parts[0] + "." + parts[1], "empty": "", "two line breaks": good + "\n\n", "space": " " + good,
		"JSON serialization": `{"payload":"` + parts[1] + `"}`,
	} {
		w.refused(t, name, []byte(bad), nil, jades.CodeMalformed)
	}
	// Bits that base64 does not use: the same bytes, written in another way.
	last := parts[2][len(parts[2])-1]
	i := strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", last)
	stray := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[i|1]
	w.refused(t, "stray bits", []byte(good[:len(good)-1]+string(stray)), nil, jades.CodeMalformed)
	w.refused(t, "too large", bytes.Repeat([]byte("A"), jades.MaxCompact+1), nil, jades.CodeLimit)
}

func TestDetachedFormsThatAreNotRead(t *testing.T) {
	t.Parallel()
	w := shared()
	for _, sigD := range []string{
		`{"mId":"http://uri.etsi.org/19182/HttpHeaders","pars":["digest"]}`,
		`{"mId":"http://uri.etsi.org/19182/ObjectIdByURI","pars":["x"]}`,
		`{"mId":"http://uri.etsi.org/19182/ObjectIdByURIHash","pars":["x","y"],"hashM":"S256","hashV":["AA","AA"]}`,
		`{"mId":"http://uri.etsi.org/19182/ObjectIdByURIHash","pars":["x"],"hashM":"S256","hashV":["AA"],"more":1}`,
	} {
		w.refused(t, sigD, w.forge(t, "ES256", `{"alg":"ES256",`+sound+`,"crit":["sigD"],"sigD":`+sigD+`}`, ""), act, jades.CodeUnsupported)
	}
}
