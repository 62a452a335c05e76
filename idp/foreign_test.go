package idp_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/identity"
)

// TestForeignFAPIClient: oauth4webapi, which knows nothing of us, goes through a
// FAPI 2.0 login with each kind of DPoP key, and without ES256 with signed requests and responses. SUTI_TEST_OAUTH4WEBAPI is its index.js.
func TestForeignFAPIClient(t *testing.T) {
	library := os.Getenv("SUTI_TEST_OAUTH4WEBAPI")
	node, err := exec.LookPath("node")
	if library == "" || err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatal("node and SUTI_TEST_OAUTH4WEBAPI are required")
		}
		t.Skip("no node, or SUTI_TEST_OAUTH4WEBAPI does not name oauth4webapi")
	}
	each(t, func(w *world) {
		who := w.person(identity.N2)
		for alg, c := range map[string]idp.Client{
			"ES256":   {ID: "fapi-es", IDTokenAlg: "ES256", AccessTokens: idp.FormatJWT},
			"Ed25519": {ID: "fapi-ed", IDTokenAlg: "EdDSA"},
			"PS256":   {ID: "fapi-ps", IDTokenAlg: "PS256"},
		} {
			c.Profile = idp.ProfileFAPI2
			a := w.register(c)
			got := a.runNode(node, library, alg, c.IDTokenAlg, who)
			if got["type"] != "dpop" || got["name"] != "Ana María Mamani Quispe" || got["jkt"] != got["thumbprint"] || got["active"] != true || got["after"] != false || got["downgrade"] != 401.0 {
				w.t.Errorf("%s: %v", alg, got)
			}
		}
	})
}

// runNode runs the client and is its browser; it returns what the client says in the end.
func (a *app) runNode(node, library, dpopAlg, alg string, who identity.PersonID) map[string]any {
	t := a.w.t
	t.Helper()
	point, private := must(a.key.PublicKey.Bytes())(t), must(a.key.Bytes())(t)
	enc := base64.RawURLEncoding
	conf := must(json.Marshal(map[string]any{
		"issuer": a.w.issuer, "client_id": a.id, "redirect_uri": a.redirect, "dpop_alg": dpopAlg, "alg": alg, "signed": alg != "ES256",
		"key": map[string]string{"kty": "EC", "crv": "P-256", "kid": "k1", "x": enc.EncodeToString(point[1:33]), "y": enc.EncodeToString(point[33:]), "d": enc.EncodeToString(private)},
	}))(t)
	cmd := exec.CommandContext(t.Context(), node, "testdata/oauth4webapi.mjs")
	cmd.Env = append(os.Environ(), "OAUTH4WEBAPI="+library, "CLIENT="+string(conf))
	cmd.Stderr = t.Output()
	in, out := must(cmd.StdinPipe())(t), must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	read := func() (said map[string]any) {
		raw, err := lines.ReadBytes('\n')
		if err != nil || json.Unmarshal(raw, &said) != nil {
			_, _ = io.Copy(io.Discard, lines)
			t.Fatalf("the client said %q, %v; it ended with %v", raw, err, cmd.Wait())
		}
		return said
	}
	visit, _ := read()["visit"].(string)
	fmt.Fprintln(in, a.w.browser().enter(visit, who))
	said := read()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the client ended with %v", err)
	}
	return said
}
