package idp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
)

// pair is a certificate and its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// issue makes a certificate under an authority, or a self-signed one if by is nil.
func issue(t *testing.T, by *pair, change func(*x509.Certificate)) *pair {
	t.Helper()
	p := &pair{key: must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "app", Organization: []string{"GAD Oruro"}, Country: []string{"BO"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"app.example"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}
	if change != nil {
		change(c)
	}
	parent, key := c, p.key
	if by != nil {
		parent, key = by.cert, by.key
	}
	p.cert = must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, c, parent, p.key.Public(), key))(t)))(t)
	return p
}

func authority(c *x509.Certificate) {
	c.IsCA, c.KeyUsage, c.ExtKeyUsage, c.DNSNames, c.Subject = true, x509.KeyUsageCertSign, nil, nil, pkix.Name{CommonName: "CA"}
}

// header is the certificate as a proxy hands it on (RFC 9440).
func (p *pair) header() string {
	return ":" + base64.StdEncoding.EncodeToString(p.cert.Raw) + ":"
}

func (p *pair) x5t() string {
	sum := sha256.Sum256(p.cert.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// withCert is the JWK Set of a key with its certificate.
func (p *pair) withCert(t *testing.T) string {
	return strings.Replace(jwks(t, p.key), `"kid":`, fmt.Sprintf(`"x5c":[%q],"kid":`, base64.StdEncoding.EncodeToString(p.cert.Raw)), 1)
}

// mtlsWorld is a provider behind a proxy on this machine, which hands on
// certificates; and what it takes to be a client there.
type mtlsWorld struct {
	*world
	ca *pair
}

func eachMTLS(t *testing.T, fn func(w *mtlsWorld)) {
	t.Helper()
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		m := &mtlsWorld{ca: issue(t, nil, authority)}
		pool := x509.NewCertPool()
		pool.AddCert(m.ca.cert)
		m.world = newWorld(t, d, func(c *idp.Config) {
			c.MTLS = &idp.MTLS{Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, ClientCAs: pool, Alias: "https://mtls.id.example"}
		})
		fn(m)
	})
}

// post sends a form with a client_id and headers.
func (w *world) postAs(id, path string, form url.Values, header ...string) (int, map[string]any) {
	w.t.Helper()
	form.Set("client_id", id)
	res, body := (&browser{w: w}).do(http.MethodPost, w.issuer+path, "application/x-www-form-urlencoded", form.Encode(), header...)
	var out map[string]any
	_ = json.Unmarshal([]byte(body), &out)
	return res.StatusCode, out
}

func machineScopes(c idp.Client) idp.Client {
	c.Scopes, c.Grants = []string{"openid", "profile", "offline_access", "firmas:leer"}, []string{"authorization_code", "refresh_token", "client_credentials"}
	return c
}

// TestCertificatesAuthenticateClients: RFC 8705 §2, behind a proxy.
func TestCertificatesAuthenticateClients(t *testing.T) {
	eachMTLS(t, func(w *mtlsWorld) {
		self := issue(w.t, nil, nil)
		for id, name := range map[string]string{"por-dns": "dns:APP.example", "por-dn": "dn:CN=app,O=GAD Oruro,C=BO", "por-ip": "ip:10.0.0.7", "por-uri": "uri:urn:suti:app", "por-correo": "email:app@gad.example"} {
			w.register(machineScopes(idp.Client{ID: id, Profile: idp.ProfileWeb, AuthMethod: idp.AuthTLS, TLSSubject: name}))
		}
		w.register(machineScopes(idp.Client{ID: "propia", Profile: idp.ProfileWeb, AuthMethod: idp.AuthSelfSigned, JWKS: self.withCert(w.t)}))
		ask := func(id string, header ...string) (int, any) {
			status, out := w.postAs(id, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"firmas:leer"}}, header...)
			return status, out["error"]
		}
		full := issue(w.t, w.ca, func(c *x509.Certificate) {
			c.IPAddresses, c.URIs, c.EmailAddresses = append(c.IPAddresses, []byte{10, 0, 0, 7}), []*url.URL{{Scheme: "urn", Opaque: "suti:app"}}, []string{"app@gad.example"}
		})
		for _, id := range []string{"por-dns", "por-dn", "por-ip", "por-uri", "por-correo"} {
			if status, e := ask(id, "Client-Cert", full.header()); status != 200 {
				w.t.Errorf("%s: %d %v", id, status, e)
			}
		}
		if status, e := ask("propia", "Client-Cert", self.header()); status != 200 {
			w.t.Errorf("self-signed: %d %v", status, e)
		}
		sub := issue(w.t, w.ca, func(c *x509.Certificate) { authority(c); c.Subject.CommonName = "CA 2" })
		leaf := issue(w.t, sub, nil)
		if status, e := ask("por-dns", "Client-Cert", leaf.header(), "Client-Cert-Chain", sub.header()); status != 200 {
			w.t.Errorf("with an authority between: %d %v", status, e)
		}
		other := issue(w.t, issue(w.t, nil, authority), nil)
		short := func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}
		for name, c := range map[string]struct {
			id     string
			header []string
		}{
			"no certificate":               {"por-dns", nil},
			"an authority left out":        {"por-dns", []string{"Client-Cert", leaf.header()}},
			"another authority":            {"por-dns", []string{"Client-Cert", other.header()}},
			"self-signed for an authority": {"por-dns", []string{"Client-Cert", self.header()}},
			"another name":                 {"por-ip", []string{"Client-Cert", leaf.header(), "Client-Cert-Chain", sub.header()}},
			"another name in full":         {"por-dn", []string{"Client-Cert", issue(w.t, w.ca, func(c *x509.Certificate) { c.Subject.Organization = nil }).header()}},
			"for servers only":             {"por-dns", []string{"Client-Cert", issue(w.t, w.ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }).header()}},
			"expired":                      {"por-dns", []string{"Client-Cert", issue(w.t, w.ca, short).header()}},
			"another one of the same name": {"propia", []string{"Client-Cert", issue(w.t, nil, nil).header()}},
			"no base64":                    {"propia", []string{"Client-Cert", ":####:"}},
			"no colons":                    {"propia", []string{"Client-Cert", strings.Trim(self.header(), ":")}},
			"PEM in the address":           {"propia", []string{"Client-Cert", url.QueryEscape("-----BEGIN CERTIFICATE-----")}},
			"no certificate in it":         {"propia", []string{"Client-Cert", ":AAAA:"}},
			"too long a chain":             {"por-dns", []string{"Client-Cert", leaf.header(), "Client-Cert-Chain", strings.Repeat(sub.header()+", ", 5) + sub.header()}},
			"header of another name":       {"propia", []string{"X-Client-Cert", self.header(), "X-SSL-Cert", self.header()}},
		} {
			if status, e := ask(c.id, c.header...); status != 401 || e != "invalid_client" {
				w.t.Errorf("%s: %d %v", name, status, e)
			}
		}
		w.clock.Add(48 * time.Hour)
		if status, e := ask("propia", "Client-Cert", self.header()); status != 401 {
			w.t.Errorf("self-signed after its end: %d %v", status, e)
		}
		for name, c := range map[string]idp.Client{
			"a name of no kind": {AuthMethod: idp.AuthTLS, TLSSubject: "CN=app"}, "no name": {AuthMethod: idp.AuthTLS}, "a wildcard": {AuthMethod: idp.AuthTLS, TLSSubject: "dns:*.example"},
			"a name for self-signed": {AuthMethod: idp.AuthSelfSigned, JWKS: self.withCert(w.t), TLSSubject: "dns:x"}, "keys without certificates": {AuthMethod: idp.AuthSelfSigned, JWKS: jwks(w.t, self.key)},
			"a certificate of another key": {AuthMethod: idp.AuthSelfSigned, JWKS: (&pair{cert: full.cert, key: self.key}).withCert(w.t)},
			"both bindings":                {AuthMethod: idp.AuthSelfSigned, JWKS: self.withCert(w.t), CertBound: true, DPoP: true},
		} {
			c.ID, c.Name, c.Institution, c.Profile, c.RedirectURIs, c.Scopes = "mala", "Mala", insA, idp.ProfileWeb, []string{"https://mala.example/cb"}, []string{"openid"}
			if _, err := w.p.Register(w.t.Context(), "", c); err == nil {
				w.t.Errorf("%s was registered", name)
			}
		}
		_, m := w.metadata()
		aliases, _ := m["mtls_endpoint_aliases"].(map[string]any)
		if m["tls_client_certificate_bound_access_tokens"] != true || aliases["token_endpoint"] != "https://mtls.id.example/oauth2/token" || !strings.Contains(fmt.Sprint(m["token_endpoint_auth_methods_supported"]), "self_signed_tls_client_auth") {
			w.t.Errorf("metadata %v", m)
		}
		got := must(w.p.RegisteredClient(w.t.Context(), "por-ip"))(w.t)
		if got.AuthMethod != idp.AuthTLS || got.TLSSubject != "ip:10.0.0.7" {
			w.t.Errorf("registered as %+v", got)
		}
	})
}

// TestCertificateBoundTokens: RFC 8705 §3, codes, refreshes and our own resource.
func TestCertificateBoundTokens(t *testing.T) {
	eachMTLS(t, func(w *mtlsWorld) {
		who, one, two := w.person(identity.N2), issue(w.t, nil, nil), issue(w.t, nil, nil)
		keys := func() string {
			return strings.Replace(one.withCert(w.t), `]}`, `,`+strings.Replace(strings.TrimSuffix(strings.TrimPrefix(two.withCert(w.t), `{"keys":[`), `]}`), `"k1"`, `"k2"`, 1)+`]}`, 1)
		}
		a := w.register(machineScopes(idp.Client{ID: "ligada", Profile: idp.ProfileFAPI2, AuthMethod: idp.AuthSelfSigned, JWKS: keys(), CertBound: true, AccessTokens: idp.FormatJWT}))
		a.dpop = nil
		status, pushed := w.postAs(a.id, "/oauth2/par", must(url.Parse(a.authorize("scope", "openid profile offline_access")))(w.t).Query(), "Client-Cert", one.header())
		if status != 201 {
			w.t.Fatalf("par: %d %v", status, pushed)
		}
		back := w.browser().enter(w.issuer+"/oauth2/authorize?"+url.Values{"client_id": {a.id}, "request_uri": {pushed["request_uri"].(string)}}.Encode(), who)
		status, tok := w.postAs(a.id, "/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {a.redirect}, "code_verifier": {verifier}}, "Client-Cert", one.header())
		if status != 200 || tok["token_type"] != "Bearer" {
			w.t.Fatalf("token: %d %v", status, tok)
		}
		cnf := func(c map[string]any) any { m, _ := c["cnf"].(map[string]any); return m["x5t#S256"] }
		if got := cnf(claimsOf(w.t, tok["access_token"])); got != one.x5t() {
			w.t.Errorf("cnf of the token: %v, want %s", got, one.x5t())
		}
		_, seen := w.postAs(a.id, "/oauth2/introspect", url.Values{"token": {tok["access_token"].(string)}}, "Client-Cert", two.header())
		if seen["active"] != true || cnf(seen) != one.x5t() || seen["token_type"] != "Bearer" {
			w.t.Errorf("introspection: %v", seen)
		}
		info := func(token any, header ...string) int {
			res, _ := (&browser{w: w.world}).do(http.MethodGet, w.issuer+"/oauth2/userinfo", "", "", append([]string{"Authorization", "Bearer " + token.(string)}, header...)...)
			return res.StatusCode
		}
		key := newDPoPKey(w.world)
		for name, c := range map[string]struct {
			want   int
			header []string
		}{"its certificate": {200, []string{"Client-Cert", one.header()}}, "another": {401, []string{"Client-Cert", two.header()}}, "none": {401, nil}, "broken": {401, []string{"Client-Cert", "x"}},
			"DPoP": {401, []string{"Client-Cert", one.header(), "Authorization", "DPoP " + tok["access_token"].(string), "DPoP", key.proof(http.MethodGet, w.issuer+"/oauth2/userinfo", tok["access_token"].(string))}}} {
			if got := info(tok["access_token"], c.header...); got != c.want {
				w.t.Errorf("userinfo with %s: %d, want %d", name, got, c.want)
			}
		}
		refresh := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}}
		status, next := w.postAs(a.id, "/oauth2/token", refresh, "Client-Cert", two.header())
		if status != 200 || cnf(claimsOf(w.t, next["access_token"])) != two.x5t() || info(next["access_token"], "Client-Cert", one.header()) != 401 {
			w.t.Errorf("refreshed with the client's next certificate: %d %v", status, next)
		}
		if status, out := w.postAs(a.id, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"firmas:leer"}}, "Client-Cert", one.header(), "DPoP", "x"); status != 400 || out["error"] != "invalid_dpop_proof" {
			w.t.Errorf("a DPoP proof beside the certificate: %d %v", status, out)
		}

		// A public client has no other credentials: its refresh token is the certificate's (RFC 8705 §4).
		p := w.register(idp.Client{ID: "publica", Profile: idp.ProfileNative, CertBound: true, RedirectURIs: []string{"https://publica.example/cb"}})
		code := w.browser().enter(p.authorize("scope", "openid offline_access"), who).Query().Get("code")
		redeem := func(header ...string) (int, map[string]any) {
			return w.postAs(p.id, "/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.redirect}, "code_verifier": {verifier}}, header...)
		}
		if status, out := redeem(); status != 400 || out["error"] != "invalid_request" {
			w.t.Errorf("without a certificate: %d %v", status, out)
		}
		_, tok = redeem("Client-Cert", one.header())
		refresh = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tok["refresh_token"].(string)}}
		if status, out := w.postAs(p.id, "/oauth2/token", refresh, "Client-Cert", two.header()); status != 400 || out["error"] != "invalid_grant" {
			w.t.Errorf("a public client's token with another certificate: %d %v", status, out)
		}
		if status, out := w.postAs(p.id, "/oauth2/token", refresh, "Client-Cert", one.header()); status != 200 {
			w.t.Errorf("with its own: %d %v", status, out)
		}
	})
}

// TestCertificateHeaderOfOthersCountsForNothing: the same header from a peer that is not listed.
func TestCertificateHeaderOfOthersCountsForNothing(t *testing.T) {
	t.Parallel()
	for name, proxies := range map[string][]netip.Prefix{"nobody listed": nil, "another listed": {netip.MustParsePrefix("127.0.0.2/32")}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, dbtest.Open(t, db.SQLite, lines()), func(c *idp.Config) { c.MTLS = &idp.MTLS{Proxies: proxies} })
			self := issue(t, nil, nil)
			w.register(machineScopes(idp.Client{ID: "propia", Profile: idp.ProfileWeb, AuthMethod: idp.AuthSelfSigned, JWKS: self.withCert(t)}))
			form := func() url.Values { return url.Values{"grant_type": {"client_credentials"}, "scope": {"firmas:leer"}} }
			if status, out := w.postAs("propia", "/oauth2/token", form(), "Client-Cert", self.header(), "X-Forwarded-For", "127.0.0.2"); status != 401 {
				t.Errorf("%d %v", status, out)
			}
			if _, err := w.p.Register(t.Context(), "", idp.Client{ID: "por-ca", Institution: insA, Name: "X", Profile: idp.ProfileWeb, AuthMethod: idp.AuthTLS, TLSSubject: "dns:x.example", RedirectURIs: []string{"https://x.example/cb"}, Scopes: []string{"openid"}}); err == nil {
				t.Error("a method without authorities was registered")
			}
			_, m := w.metadata()
			if got := fmt.Sprint(m["token_endpoint_auth_methods_supported"]); strings.Contains(got, " tls_client_auth") || !strings.Contains(got, "self_signed_tls_client_auth") || m["mtls_endpoint_aliases"] != nil {
				t.Errorf("metadata: %v", m)
			}
		})
	}
	t.Run("without mutual TLS", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, dbtest.Open(t, db.SQLite, lines()))
		_, m := w.metadata()
		if m["tls_client_certificate_bound_access_tokens"] != nil || strings.Contains(fmt.Sprint(m), "tls_client_auth") {
			t.Errorf("metadata: %v", m)
		}
		if _, err := w.p.Register(t.Context(), "", idp.Client{ID: "propia", Institution: insA, Name: "X", Profile: idp.ProfileWeb, AuthMethod: idp.AuthSelfSigned, JWKS: issue(t, nil, nil).withCert(t), RedirectURIs: []string{"https://x.example/cb"}, Scopes: []string{"openid"}}); err == nil {
			t.Error("a method that does not work was registered")
		}
	})
}

// TestCertificateOfTheConnection: TLS ends here; the key is proven in the
// handshake, and the header of such a peer counts for nothing.
func TestCertificateOfTheConnection(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, db.SQLite, lines()), func(c *idp.Config) { c.MTLS = &idp.MTLS{} })
	self, other := issue(t, nil, nil), issue(t, nil, nil)
	w.register(machineScopes(idp.Client{ID: "propia", Profile: idp.ProfileWeb, AuthMethod: idp.AuthSelfSigned, JWKS: self.withCert(t), CertBound: true}))
	srv := httptest.NewUnstartedServer(w.server.Config.Handler)
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	ask := func(with *pair, header string) (int, map[string]any) {
		tr := srv.Client().Transport.(*http.Transport).Clone()
		if with != nil {
			tr.TLSClientConfig.Certificates = []tls.Certificate{{Certificate: [][]byte{with.cert.Raw}, PrivateKey: with.key}}
		}
		defer tr.CloseIdleConnections()
		form := url.Values{"grant_type": {"client_credentials"}, "scope": {"firmas:leer"}, "client_id": {"propia"}}
		req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+"/oauth2/token", strings.NewReader(form.Encode())))(t)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if header != "" {
			req.Header.Set("Client-Cert", header)
		}
		res := must(tr.RoundTrip(req))(t)
		defer res.Body.Close()
		var out map[string]any
		_ = json.Unmarshal(must(io.ReadAll(res.Body))(t), &out)
		return res.StatusCode, out
	}
	if status, out := ask(self, ""); status != 200 {
		t.Errorf("%d %v", status, out)
	}
	for name, c := range map[string]struct {
		with   *pair
		header string
	}{"another": {other, ""}, "none": {nil, ""}, "none, but a header": {nil, self.header()}, "another, and a header": {other, self.header()}} {
		if status, out := ask(c.with, c.header); status != 401 {
			t.Errorf("%s: %d %v", name, status, out)
		}
	}
}
