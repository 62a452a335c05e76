package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp/internal/store"
)

func native() *store.Client {
	return &store.Client{
		ID: "movil", Profile: ProfileNative, AuthMethod: "none", Scopes: []string{"openid", "profile"}, Grants: []string{GrantCode},
		RedirectURIs: []string{"http://127.0.0.1/cb", "http://[::1]/cb?x=1", "bo.gob.app:/cb", "https://app.example/cb"},
	}
}

// FuzzMatchRedirect: an address that is not registered byte for byte is taken
// only if a second parser sees the registered loopback address with a port.
func FuzzMatchRedirect(f *testing.F) {
	for _, s := range []string{
		"http://127.0.0.1:4444/cb", "http://evil@127.0.0.1:4444/cb", "http://127.0.0.1:4444\\@evil/cb", "http://127.0.0.1:@evil/cb", "http://127.0.0.1:4444/cb#x",
		"http://[::1]:80/cb?x=1", "http://127.0.0.1:/cb", "http://127.0.0.1:4444/%63b", "http://127.0.0.1.evil/cb", "HTTP://127.0.0.1/cb", "http://127.1/cb", "http://0x7f.1/cb",
		"http://127.0.0.1:99999/cb", "http://127.0.0.1:4444/cb/../evil", "http://127.0.0.1:4444//evil/cb", "bo.gob.app:/cb", "bo.gob.app:/cb?x",
	} {
		f.Add(s)
	}
	c := native()
	f.Fuzz(func(t *testing.T, uri string) {
		if !MatchRedirect(c, uri) || slices.Contains(c.RedirectURIs, uri) {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.Scheme != "http" || u.User != nil || u.Fragment != "" || strings.Contains(uri, "#") {
			t.Fatalf("%q taken: %v", uri, err)
		}
		switch u.Hostname() {
		case "127.0.0.1":
			if u.EscapedPath() != "/cb" || u.RawQuery != "" {
				t.Errorf("%q taken", uri)
			}
		case "::1":
			if u.EscapedPath() != "/cb" || u.RawQuery != "x=1" {
				t.Errorf("%q taken", uri)
			}
		default:
			t.Errorf("%q taken: host %q", uri, u.Hostname())
		}
	})
}

// FuzzParseRequest: a request is refused, or is canonical: bounded, of the
// client's own scopes and addresses, and the same after storing and reading.
func FuzzParseRequest(f *testing.F) {
	base := "client_id=movil&redirect_uri=http%3A%2F%2F127.0.0.1%3A4444%2Fcb&response_type=code&scope=openid&code_challenge_method=S256&code_challenge=" + strings.Repeat("a", 43)
	for _, more := range []string{"", "&state=%00", "&claims={}", `&claims={"id_token":{"acr":{"essential":true,"values":["phr"]},"sub":{"value":"x"}}}`, "&claims=null", "&max_age=99999999999", "&max_age=0x1", "&prompt=none", "&prompt=none+login", "&request=x", "&id_token_hint=x", "&response_mode=form_post"} {
		f.Add(base + more)
	}
	c, now := native(), time.Unix(1790000000, 0)
	f.Fuzz(func(t *testing.T, query string) {
		q, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		r, err := ParseRequest(q, c, now)
		var front *FrontError
		if err != nil {
			if !errors.As(err, &front) {
				t.Fatalf("error of another kind: %v", err)
			}
			if front.Redirect && (front.Request == nil || !MatchRedirect(c, front.Request.RedirectURI)) {
				t.Error("an error goes to an address that is not registered")
			}
			if strings.ContainsAny(front.Cause.Description, "\"\\\r\n\t") {
				t.Errorf("description %q", front.Cause.Description)
			}
			return
		}
		if !MatchRedirect(c, r.RedirectURI) || r.Challenge == "" || len(r.Scopes) == 0 {
			t.Errorf("accepted: %+v", r)
		}
		for _, s := range r.Scopes {
			if !slices.Contains(c.Scopes, s) {
				t.Errorf("scope %q is not the client's", s)
			}
		}
		again, err := DecodeRequest(r.Encode())
		if err != nil || again.RedirectURI != r.RedirectURI || again.Challenge != r.Challenge || !slices.Equal(again.Scopes, r.Scopes) || !slices.Equal(again.EssentialACR, r.EssentialACR) && validUTF8(r.EssentialACR) {
			t.Errorf("changed by storing: %+v to %+v, %v", r, again, err)
		}
	})
}

func validUTF8(list []string) bool {
	return strings.ToValidUTF8(strings.Join(list, ""), "") == strings.Join(list, "")
}

// FuzzParseDetails never accepts what it would not say again in the same words.
func FuzzParseDetails(f *testing.F) {
	f.Add(`[{"type":"document_signing","locations":["https://a"],"documents":[{"hash":"n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg","label":"x"}]}]`)
	f.Add(`[{"type":"document_signing","documents":[{"label":"\u202e","hash":""}]},null]`)
	c := &store.Client{DetailTypes: DetailTypes(), Exchanges: []string{"https://a"}}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := parseDetails(raw, c)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\"\\\r\n\t") {
				t.Errorf("description %q", err)
			}
			return
		}
		again, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := parseDetails(string(again), c); err != nil || !reflect.DeepEqual(second, got) {
			t.Errorf("%q became %s: %v", raw, again, err)
		}
	})
}

// FuzzUserCode reads a code in one way, whatever a person types.
func FuzzUserCode(f *testing.F) {
	f.Add("WDJB-MJHT")
	f.Add(" wdjb mjht")
	f.Fuzz(func(t *testing.T, typed string) {
		shown, hash, ok := UserCode(typed)
		if !ok {
			return
		}
		if again, other, ok := UserCode(shown); !ok || again != shown || !bytes.Equal(other, hash) || len(shown) != 9 {
			t.Errorf("%q became %q, then %q", typed, shown, again)
		}
	})
}
