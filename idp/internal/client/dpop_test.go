package client

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// rfcProof is the example of RFC 9449 §4.1, figure 2, and rfcKey its thumbprint (§6.1).
const (
	rfcProof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
	rfcKey   = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
)

func TestProofOfTheStandard(t *testing.T) {
	t.Parallel()
	p, err := ParseProof([]string{rfcProof})
	if err != nil {
		t.Fatal(err)
	}
	if p.JKT != rfcKey || p.JTI != "-BwC3ESc6acc2lTc" {
		t.Errorf("got key %s, jti %s", p.JKT, p.JTI)
	}
	at := time.Unix(1562262616, 0)
	if err := p.Check("POST", "https://server.example.com/token", "", at); err != nil {
		t.Error(err)
	}
	if err := p.Check("POST", "https://server.example.com/token", "a token", at); err == nil {
		t.Error("a proof without ath passes for a token")
	}
}

func TestNormalURI(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"HTTPS://A.example:443/x?y#z": "https://a.example/x", "http://a.example:80": "http://a.example/", "https://a.example:80/": "https://a.example:80/",
		"https://a.example/%7eb%2f%c3": "https://a.example/~b%2F%C3", "https://[2001:DB8::1]:443/a": "https://[2001:db8::1]/a", "https://a.example/a//b": "https://a.example/a//b",
	} {
		if got, err := normalURI(in); err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "/x", "https:", "https:x", "https://u@a.example/", "https://a.example/%zz", "\x00"} {
		if got, err := normalURI(bad); err == nil {
			t.Errorf("%q taken as %q", bad, got)
		}
	}
}

// FuzzParseProof: what is taken, another implementation verifies with the same key.
func FuzzParseProof(f *testing.F) {
	f.Add(rfcProof)
	f.Add("eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7fX0.e30.AAAA")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := ParseProof([]string{token})
		if err != nil {
			return
		}
		if head, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0]); strings.Contains(string(head), `Ed25519"`) {
			t.Skip("the other implementation does not know the name Ed25519")
		}
		jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.PS256})
		if err != nil {
			t.Fatal(err)
		}
		key := jws.Signatures[0].Protected.JSONWebKey
		payload, err := jws.Verify(key)
		if err != nil {
			t.Fatal(err)
		}
		var c struct{ JTI string }
		sum, err := key.Thumbprint(crypto.SHA256)
		if err != nil || json.Unmarshal(payload, &c) != nil || base64.RawURLEncoding.EncodeToString(sum) != p.JKT || c.JTI != p.JTI {
			t.Errorf("key %s or jti %q is another", p.JKT, p.JTI)
		}
	})
}

func FuzzProofAddress(f *testing.F) {
	f.Add("https://a.example:443/%7eb")
	f.Fuzz(func(t *testing.T, s string) {
		once, err := normalURI(s)
		if err != nil {
			return
		}
		if twice, err := normalURI(once); err != nil || twice != once {
			t.Errorf("%q, then %q, %v", once, twice, err)
		}
	})
}
