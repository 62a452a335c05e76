package idp

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"oruro.gob.bo/suti/idp/internal/client"
	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/store"
)

// The ways in which clients prove themselves by certificate (RFC 8705 §2).
const (
	AuthTLS        = client.MethodTLS
	AuthSelfSigned = client.MethodSelfSigned
)

// MTLS says where client certificates come from (RFC 8705): from connections on
// which a listener of ours asks for them, and from proxies that end TLS.
type MTLS struct {
	// Proxies are the peers whose Client-Cert header (RFC 9440) is believed. From
	// any other peer the header counts for nothing.
	Proxies []netip.Prefix
	// ClientCAs are the authorities of tls_client_auth; nil: there is no such method.
	ClientCAs *x509.CertPool
	// Alias is the origin at which certificates are asked for (RFC 8705 §5), such as
	// https://mtls.id.oruro.example; "" if that is the issuer's.
	Alias string
}

func (m *MTLS) check() error {
	if m == nil || m.Alias == "" {
		return nil
	}
	u, err := url.Parse(m.Alias)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil || strings.HasSuffix(m.Alias, "#") {
		return errors.New("idp: MTLS.Alias must be an https origin such as https://mtls.id.oruro.example")
	}
	return nil
}

func (m *MTLS) source() *client.TLS {
	if m == nil {
		return nil
	}
	return &client.TLS{Proxies: m.Proxies, Roots: m.ClientCAs}
}

// alias is the origin at which certificates are asked for, "" if there is none.
func (p *Provider) alias() string {
	if p.cfg.MTLS == nil {
		return ""
	}
	return p.cfg.MTLS.Alias
}

// certificateMethods are the ways of authenticating by certificate that work here.
func (p *Provider) certificateMethods() []string {
	switch {
	case p.cfg.MTLS == nil:
		return nil
	case p.cfg.MTLS.ClientCAs == nil:
		return []string{AuthSelfSigned}
	}
	return []string{AuthTLS, AuthSelfSigned}
}

// aliases are the endpoints where certificates are asked for (RFC 8705 §5), nil
// unless they have an origin of their own.
func (p *Provider) aliases() map[string]string {
	if p.alias() == "" {
		return nil
	}
	out := map[string]string{}
	for name, path := range map[string]string{
		"token_endpoint": pathToken, "pushed_authorization_request_endpoint": pathPAR, "userinfo_endpoint": pathUserInfo,
		"introspection_endpoint": pathIntrospect, "revocation_endpoint": pathRevoke, "device_authorization_endpoint": pathDevice,
	} {
		out[name] = p.alias() + path
	}
	return out
}

// checkCertificates tells why a client may not prove itself, or bind its
// tokens, by certificate as it is registered.
func (p *Provider) checkCertificates(c *store.Client) error {
	byTLS := c.AuthMethod == AuthTLS
	switch {
	case (byTLS || c.AuthMethod == AuthSelfSigned || c.CertBound) && p.cfg.MTLS == nil:
		return bad("this server asks no client for certificates")
	case byTLS && p.cfg.MTLS.ClientCAs == nil:
		return bad("this server knows no authorities of client certificates")
	case byTLS != (c.TLSSubject != ""):
		return bad("a name in the certificate belongs to tls_client_auth, and that to a name")
	case c.CertBound && c.DPoP:
		return bad("tokens are bound to a certificate or to DPoP keys, not to both")
	}
	if byTLS {
		if err := client.CheckSubject(c.TLSSubject); err != nil {
			return bad("%v", err)
		}
	}
	return nil
}

// binding returns what the tokens of a request will be bound to: the client's
// certificate, the key of a DPoP proof, or nil.
func (p *Provider) binding(w http.ResponseWriter, r *http.Request, c *store.Client) (*client.Proof, error) {
	if !c.CertBound {
		return p.clientProof(w, r, c, c.DPoP)
	}
	if len(r.Header.Values("DPoP")) > 0 {
		return nil, oauth.Refuse(oauth.InvalidDPoPProof, "the tokens of this client are bound to its certificate and to nothing else")
	}
	cert, err := p.clients.Certificate(r)
	if err != nil || cert == nil {
		e := oauth.Refuse(oauth.InvalidRequest, "the tokens of this client are bound to its certificate: present it")
		e.Err = err
		return nil, e
	}
	return &client.Proof{JKT: cert.Binding()}, nil
}

// presentCertificate tells why a token that is bound to a certificate is not
// good in this request (RFC 8705 §3).
func (p *Provider) presentCertificate(r *http.Request, scheme string, a *store.Access) error {
	cert, err := p.clients.Certificate(r)
	if err != nil || scheme != schemeBearer || !cert.Alive(a.JKT, p.cfg.Now()) {
		e := oauth.Refuse(oauth.InvalidToken, "the token is bound to a certificate: present that one, with the Bearer scheme")
		e.Err = err
		return e
	}
	return nil
}
