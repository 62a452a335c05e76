package jades_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"oruro.gob.bo/suti/signer/jades"
	"oruro.gob.bo/suti/signer/pades"
)

func TestEveryAlgorithmAndForm(t *testing.T) {
	t.Parallel()
	w := shared()
	for alg := range w.people {
		r := w.verify(t, alg, w.sign(t, alg, jades.Options{}, act), nil, jades.Valid, "", jades.LevelBB)
		if !bytes.Equal(r.Payload, act) || r.MediaType != "application/json" || !r.ClaimedTime.Equal(now) || !r.Trusted || r.Algorithm != alg || r.Detached {
			t.Errorf("%s: %+v", alg, r)
		}
		r = w.verify(t, alg+" detached", w.sign(t, alg, jades.Options{Name: "acta.json"}, act), act, jades.Valid, "", jades.LevelBB)
		if !r.Detached || r.Name != "acta.json" || r.Payload != nil || r.Size != int64(len(act)) {
			t.Errorf("%s: %+v", alg, r)
		}
	}
}

// Another implementation of JWS verifies the signatures with an embedded payload.
func TestGoJOSEAgrees(t *testing.T) {
	t.Parallel()
	w := shared()
	for alg, p := range w.people {
		compact := w.sign(t, alg, jades.Options{}, act)
		j, err := jose.ParseSignedCompact(string(compact), []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		payload, err := j.Verify(p.chain[0].PublicKey)
		if err != nil || !bytes.Equal(payload, act) {
			t.Errorf("%s: %q, %v", alg, payload, err)
		}
	}
}

// What another implementation signs is verified, and is not taken for JAdES.
func TestSignaturesByGoJOSE(t *testing.T) {
	t.Parallel()
	w := shared()
	p := w.people["ES256"]
	o := (&jose.SignerOptions{}).WithHeader("x5c", [][]byte{p.chain[0].Raw}).WithHeader("iat", now.Unix())
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: p.key}, o)
	if err != nil {
		t.Fatal(err)
	}
	j, err := s.Sign(act)
	if err != nil {
		t.Fatal(err)
	}
	compact, err := j.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	w.verify(t, "x5c alone", []byte(compact), nil, jades.Valid, "", jades.LevelNone)
}

// The header is that of TS 119 182-1 V1.2.1.
func TestHeader(t *testing.T) {
	t.Parallel()
	w := shared()
	for name, want := range map[string]string{"": "alg cty iat x5c x5t#S256", "acta.json": "alg b64 crit iat sigD x5c x5t#S256"} {
		compact := w.sign(t, "ES256", jades.Options{Name: name}, act)
		head, _, _ := strings.Cut(string(compact), ".")
		var m map[string]json.RawMessage
		if err := json.Unmarshal(decode(t, head), &m); err != nil {
			t.Fatal(err)
		}
		var names []string
		for k := range m {
			names = append(names, k)
		}
		sortStrings(names)
		if got := strings.Join(names, " "); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if string(m["iat"]) != "1795528800" {
			t.Errorf("iat %s", m["iat"])
		}
	}
}

// sigT is understood; whether it makes a baseline signature depends on when.
func TestClaimedTimes(t *testing.T) {
	t.Parallel()
	w := shared()
	payload := b64(act)
	for _, c := range []struct {
		name, times string
		level       jades.Level
		claimed     time.Time
	}{
		{"iat", `"iat":NOW`, jades.LevelBB, now},
		{"sigT before", `"sigT":"2025-05-14T23:59:59Z"`, jades.LevelBB, time.Date(2025, 5, 14, 23, 59, 59, 0, time.UTC)},
		{"sigT critical", `"sigT":"2025-05-14T23:59:59Z","crit":["sigT"]`, jades.LevelBB, time.Date(2025, 5, 14, 23, 59, 59, 0, time.UTC)},
		{"sigT since", `"sigT":"2025-05-15T00:00:00Z"`, jades.LevelNone, time.Date(2025, 5, 15, 0, 0, 0, 0, time.UTC)},
		{"both", `"iat":NOW,"sigT":"2025-01-01T00:00:00Z"`, jades.LevelNone, now},
		{"none", `"cty":"json"`, jades.LevelNone, time.Time{}},
	} {
		r := w.verify(t, c.name, w.forge(t, "ES256", `{"alg":"ES256","x5t#S256":"THUMB","x5c":CHAIN,`+c.times+`}`, payload), nil, jades.Valid, "", c.level)
		if !r.ClaimedTime.Equal(c.claimed) {
			t.Errorf("%s: claimed %v, want %v", c.name, r.ClaimedTime, c.claimed)
		}
	}
	for _, bad := range []string{`"iat":1.5`, `"iat":"1"`, `"iat":-1`, `"iat":1e9`, `"iat":1795528800000000`, `"iat":null`, `"sigT":"ayer"`} {
		w.refused(t, bad, w.forge(t, "ES256", `{"alg":"ES256","x5t#S256":"THUMB","x5c":CHAIN,`+bad+`}`, payload), nil, jades.CodeMalformed)
	}
}

// Forms that others write and RFC 7797 allows.
func TestPayloadForms(t *testing.T) {
	t.Parallel()
	w := shared()
	head := `{"alg":"ES256","x5t#S256":"THUMB","x5c":CHAIN,"iat":NOW`
	plain := `{"alg":"EdDSA","x5t#S256":"THUMB","x5c":CHAIN,"iat":NOW`
	w.verify(t, "unencoded", w.forge(t, "ES256", head+`,"b64":false,"crit":["b64"]}`, "acta 1"), nil, jades.Valid, "", jades.LevelBB)
	w.verify(t, "b64 true", w.forge(t, "ES256", head+`,"b64":true,"crit":["b64"]}`, b64(act)), nil, jades.Valid, "", jades.LevelBB)
	cut := func(compact []byte) []byte {
		parts := strings.SplitN(string(compact), ".", 2)
		return []byte(parts[0] + ".." + lastPart(string(compact)))
	}
	w.verify(t, "detached without sigD", cut(w.forge(t, "ES256", head+`}`, b64(act))), act, jades.Valid, "", jades.LevelBB)
	w.verify(t, "detached, unencoded", cut(w.forge(t, "ES256", head+`,"b64":false,"crit":["b64"]}`, string(act))), act, jades.Valid, "", jades.LevelBB)
	w.verify(t, "detached by EdDSA", cut(w.forge(t, "EdDSA", plain+`}`, b64(act))), act, jades.Valid, "", jades.LevelBB)
	w.verify(t, "detached without sigD, other content", cut(w.forge(t, "ES256", head+`}`, b64(act))), []byte("otro"), jades.Invalid, pades.SubCrypto, jades.LevelNone)
}

// lastPart returns what stands behind the last dot.
func lastPart(s string) string { return s[strings.LastIndex(s, ".")+1:] }

// A detached file is read once, as it comes.
func TestDetachedContentIsNeverHeld(t *testing.T) {
	t.Parallel()
	w := shared()
	p := w.people["EdDSA"]
	const size = 64 << 20
	s, err := jades.Sign(context.Background(), io.LimitReader(zeros{t}, size), p.key, p.chain, jades.Options{SigningTime: now, Name: "ceros.bin", MediaType: "application/octet-stream"})
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Compact) > 4096 {
		t.Errorf("%d bytes", len(s.Compact))
	}
	r, err := jades.Verify(context.Background(), s.Compact, io.LimitReader(zeros{t}, size), jades.VerifyOptions{At: now})
	if err != nil || r.Size != size || r.SubIndication != pades.SubNoChain {
		t.Errorf("%+v, %v", r, err)
	}
}

type zeros struct{ t testing.TB }

func (z zeros) Read(p []byte) (int, error) {
	if len(p) > 1<<20 {
		z.t.Errorf("%d bytes asked for at once", len(p))
	}
	clear(p)
	return len(p), nil
}

// A stored session goes on in another process, and a wrong value never comes out.
func TestTwoPhases(t *testing.T) {
	t.Parallel()
	w := shared()
	p, q := w.people["ES256"], w.people["EdDSA"]
	ctx := context.Background()
	for _, name := range []string{"", "acta.json"} {
		s, err := jades.Prepare(ctx, bytes.NewReader(act), jades.Options{SigningTime: now, Name: name})
		if err != nil {
			t.Fatal(err)
		}
		var again jades.Session
		if err := again.UnmarshalBinary(must(s.MarshalBinary())); err != nil {
			t.Fatal(err)
		}
		if again.Size() != int64(len(act)) || again.SHA256() != sha256.Sum256(act) {
			t.Errorf("stored: %d bytes, %x", again.Size(), again.SHA256())
		}
		tbs, err := again.SigningInput(p.chain, "")
		if err != nil {
			t.Fatal(err)
		}
		value := must(p.key.Sign(rand.Reader, tbs.Input, tbs.Opts))
		signed, err := again.Embed(ctx, jades.Signature{Value: value, Header: tbs.Header, Chain: p.chain})
		if err != nil {
			t.Fatal(err)
		}
		content := act
		if name == "" {
			content = nil
		}
		w.verify(t, "resumed", signed.Compact, content, jades.Valid, "", jades.LevelBB)
		other := w.person("Eva", must(p.key, nil))
		if _, err := again.Embed(ctx, jades.Signature{Value: value, Header: tbs.Header, Chain: other.chain}); !errors.Is(err, jades.ErrSession) {
			t.Errorf("another certificate of the key: %v", err)
		}
		if _, err := again.Embed(ctx, jades.Signature{Value: value, Header: tbs.Header, Chain: q.chain}); err == nil {
			t.Error("another person's certificate: embedded")
		}
		value[len(value)-1] ^= 1
		if _, err := again.Embed(ctx, jades.Signature{Value: value, Header: tbs.Header, Chain: p.chain}); !errors.Is(err, jades.ErrSignature) {
			t.Errorf("a wrong value: %v", err)
		}
	}
}

func TestWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	w := shared()
	p := w.people["ES256"]
	for name, c := range map[string]struct {
		content []byte
		code    jades.Code
	}{
		"member twice":  {[]byte(`{"monto":1,"monto":9}`), jades.CodeAmbiguous},
		"nested twice":  {[]byte(`{"a":[{"m":1,"\u006d":9}]}`), jades.CodeAmbiguous},
		"no JSON":       {[]byte(`acta`), jades.CodeAmbiguous},
		"two values":    {[]byte(`{} {}`), jades.CodeAmbiguous},
		"not UTF-8":     {[]byte("\"\xff\""), jades.CodeAmbiguous},
		"too deep":      {[]byte(strings.Repeat("[", 70) + strings.Repeat("]", 70)), jades.CodeAmbiguous},
		"nothing":       {nil, jades.CodeMalformed},
		"more than may": {bytes.Repeat([]byte("1"), jades.MaxPayload+1), jades.CodeLimit},
	} {
		s, err := jades.Sign(context.Background(), bytes.NewReader(c.content), p.key, p.chain, jades.Options{SigningTime: now})
		var refused *jades.RefusedError
		if s != nil || !errors.As(err, &refused) || refused.Code != c.code {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}
