package client

import (
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"oruro.gob.bo/suti/idp/internal/store"
)

// The ways of authenticating by certificate (RFC 8705 §2).
const (
	MethodTLS        = "tls_client_auth"             // by an authority that the operator named, and a registered name
	MethodSelfSigned = "self_signed_tls_client_auth" // by a registered certificate
)

// Bounds of certificates that clients present.
const (
	maxCertificate = 8 << 10 // bytes of DER
	maxChain       = 4       // certificates between the client's and the authority's
	maxSubject     = 512     // bytes of a registered name
)

// ErrCertificate reports a client certificate that cannot be read where it should
// be. Its text names the rule and holds nothing of the input.
var ErrCertificate = errors.New("idp: client certificate")

// TLS says whose word counts for a client's certificate.
type TLS struct {
	// Proxies are the peers that end TLS for clients and hand the certificate on in
	// the Client-Cert header (RFC 9440). From any other peer the header is nothing.
	Proxies []netip.Prefix
	// Roots are the authorities of tls_client_auth; nil: there is no such method.
	Roots *x509.CertPool
}

// Certificate is a client certificate whose key the connection proved.
type Certificate struct {
	Leaf  *x509.Certificate
	chain []*x509.Certificate
}

// Binding is the certificate as the key that tokens are bound to.
func (c *Certificate) Binding() string {
	sum := sha256.Sum256(c.Leaf.Raw)
	return store.CertBinding + base64.RawURLEncoding.EncodeToString(sum[:])
}

// Certificate returns the certificate that a request's client proved, nil if
// there is none. Of a peer that hands certificates on, its own counts for nothing.
// Errors wrap [ErrCertificate].
func (t *TLS) Certificate(r *http.Request) (*Certificate, error) {
	switch {
	case t == nil:
		return nil, nil
	case t.relays(r.RemoteAddr):
		return fromHeaders(r.Header)
	case r.TLS == nil || len(r.TLS.PeerCertificates) == 0:
		return nil, nil
	case len(r.TLS.PeerCertificates) > maxChain+1 || len(r.TLS.PeerCertificates[0].Raw) > maxCertificate:
		return nil, fmt.Errorf("%w: too large", ErrCertificate)
	}
	return &Certificate{r.TLS.PeerCertificates[0], r.TLS.PeerCertificates[1:]}, nil
}

func (t *TLS) relays(peer string) bool {
	ap, err := netip.ParseAddrPort(peer)
	if err != nil {
		return false
	}
	addr := ap.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(t.Proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// fromHeaders reads Client-Cert and Client-Cert-Chain (RFC 9440 §2).
func fromHeaders(h http.Header) (*Certificate, error) {
	values := h.Values("Client-Cert")
	if len(values) == 0 {
		return nil, nil
	}
	if len(values) > 1 {
		return nil, fmt.Errorf("%w: Client-Cert stands twice", ErrCertificate)
	}
	leaf, err := byteSequence(values[0])
	if err != nil {
		return nil, err
	}
	out := &Certificate{Leaf: leaf}
	if len(h.Values("Client-Cert-Chain")) == 0 {
		return out, nil
	}
	for item := range strings.SplitSeq(strings.Join(h.Values("Client-Cert-Chain"), ","), ",") {
		if len(out.chain) == maxChain {
			return nil, fmt.Errorf("%w: more than %d in Client-Cert-Chain", ErrCertificate, maxChain)
		}
		link, err := byteSequence(strings.Trim(item, " \t"))
		if err != nil {
			return nil, err
		}
		out.chain = append(out.chain, link)
	}
	return out, nil
}

// byteSequence reads a certificate as an RFC 9651 §3.3.5 byte sequence.
func byteSequence(s string) (*x509.Certificate, error) {
	inner, ok := strings.CutPrefix(s, ":")
	inner, closed := strings.CutSuffix(inner, ":")
	if !ok || !closed || len(inner) > base64.StdEncoding.EncodedLen(maxCertificate) || strings.ContainsAny(inner, "\r\n") {
		return nil, fmt.Errorf("%w: no byte sequence, or one too long", ErrCertificate)
	}
	der, err := base64.StdEncoding.Strict().DecodeString(inner)
	if err != nil {
		return nil, fmt.Errorf("%w: no base64", ErrCertificate)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: no certificate", ErrCertificate)
	}
	return cert, nil
}

// certificate checks tls_client_auth and self_signed_tls_client_auth.
func (a *Authenticator) certificate(r *http.Request, c *store.Client) (*store.Client, error) {
	cert, err := a.cfg.TLS.Certificate(r)
	now := a.cfg.Now()
	switch {
	case err != nil:
		return nil, refuse(err.Error())
	case cert == nil:
		return nil, refuse("no client certificate")
	case now.Before(cert.Leaf.NotBefore) || now.After(cert.Leaf.NotAfter):
		return nil, refuse("client certificate is not valid now")
	case c.AuthMethod == MethodSelfSigned && !registered(c.JWKS, cert.Leaf):
		return nil, refuse("client certificate is not a registered one")
	case c.AuthMethod == MethodSelfSigned:
		return c, nil
	case a.cfg.TLS.Roots == nil:
		return nil, refuse("no authorities of client certificates are configured")
	}
	between := x509.NewCertPool()
	for _, link := range cert.chain {
		between.AddCert(link)
	}
	opts := x509.VerifyOptions{Roots: a.cfg.TLS.Roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := cert.Leaf.Verify(opts); err != nil {
		return nil, refuse("client certificate is of no authority that is configured")
	}
	if !named(cert.Leaf, c.TLSSubject) {
		return nil, refuse("client certificate has another name")
	}
	return c, nil
}

// Certificate returns the certificate that a request's client proved, nil if there is none.
func (a *Authenticator) Certificate(r *http.Request) (*Certificate, error) {
	return a.cfg.TLS.Certificate(r)
}

// registered reports whether a certificate stands first in the x5c of a registered key (RFC 8705 §2.2.2).
func registered(set string, cert *x509.Certificate) bool {
	keys, err := parseSet(set)
	return err == nil && slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool {
		return k.Use != "enc" && len(k.Certificates) > 0 && k.Certificates[0].Equal(cert)
	})
}

// CheckCertificates tells why a JWK Set may not be registered for
// self_signed_tls_client_auth, or nil: each key needs its certificate.
func CheckCertificates(set string) error {
	if err := CheckKeys(set); err != nil {
		return err
	}
	keys, err := parseSet(set)
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.Use == "enc" {
			continue
		}
		if len(k.Certificates) == 0 || len(k.Certificates[0].Raw) > maxCertificate {
			return fmt.Errorf("%w: each key needs its certificate (x5c)", ErrKeys)
		}
	}
	return nil
}

// CheckSubject tells why a name may not be registered for tls_client_auth, or
// nil. It is KIND:VALUE with one of the kinds of RFC 8705 §2.1.2: dn (RFC 4514),
// dns, uri, ip, email.
func CheckSubject(s string) error {
	kind, value, _ := strings.Cut(s, ":")
	bad := len(s) > maxSubject || value == "" || strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c == 0x7f })
	switch kind {
	case "dn":
		bad = bad || !strings.Contains(value, "=")
	case "dns":
		bad = bad || strings.ContainsAny(value, "*/ ")
	case "email":
		bad = bad || !strings.Contains(value, "@")
	case "uri":
		u, err := url.Parse(value)
		bad = bad || err != nil || u.Scheme == ""
	case "ip":
		_, err := netip.ParseAddr(value)
		bad = bad || err != nil
	default:
		bad = true
	}
	if bad {
		return fmt.Errorf("%w: the name must be dn:, dns:, uri:, ip: or email: and its value", ErrCertificate)
	}
	return nil
}

// named reports whether a certificate has a registered name.
func named(cert *x509.Certificate, subject string) bool {
	kind, value, _ := strings.Cut(subject, ":")
	switch kind {
	case "dn":
		var dn pkix.RDNSequence
		rest, err := asn1.Unmarshal(cert.RawSubject, &dn)
		return err == nil && len(rest) == 0 && len(dn) > 0 && dn.String() == value
	case "dns":
		return slices.ContainsFunc(cert.DNSNames, func(n string) bool { return strings.EqualFold(n, value) })
	case "uri":
		return slices.ContainsFunc(cert.URIs, func(u *url.URL) bool { return u.String() == value })
	case "ip":
		want := net.ParseIP(value)
		return want != nil && slices.ContainsFunc(cert.IPAddresses, want.Equal)
	case "email":
		return slices.Contains(cert.EmailAddresses, value)
	}
	return false
}

// Alive reports whether a token bound to binding comes from the holder of its
// certificate now.
func (c *Certificate) Alive(binding string, now time.Time) bool {
	return c != nil && c.Binding() == binding && !now.Before(c.Leaf.NotBefore) && !now.After(c.Leaf.NotAfter)
}
