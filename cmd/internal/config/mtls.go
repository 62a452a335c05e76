package config

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// MTLS says where applications' certificates come from (RFC 8705).
type MTLS struct {
	Listen       string         // address of a listener that asks for certificates, "" for none
	Proxies      []netip.Prefix // whose Client-Cert header (RFC 9440) is believed
	ClientCAFile string         // authorities of tls_client_auth, PEM
	AliasURL     string         // public origin at which certificates are asked for
}

// Used reports whether certificates come from anywhere.
func (m *MTLS) Used() bool { return m.Listen != "" || len(m.Proxies) > 0 }

// maxClientCAs bounds the file of authorities, in bytes.
const maxClientCAs = 1 << 20

// ClientCAs reads the authorities of applications' certificates, the newest pool
// each time; nil if none are configured.
func (m *MTLS) ClientCAs() (*x509.CertPool, error) {
	if m.ClientCAFile == "" {
		return nil, nil
	}
	raw, err := os.ReadFile(m.ClientCAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if len(raw) > maxClientCAs || !pool.AppendCertsFromPEM(raw) {
		return nil, fmt.Errorf("%s holds no certificate in PEM, or more than %d bytes", m.ClientCAFile, maxClientCAs)
	}
	return pool, nil
}

func mtlsSettings() []setting {
	return []setting{
		text("mtls.listen", "", "address of a listener that asks applications for certificates (RFC 8705), with the public listener's own", func(c *Config) *string { return &c.MTLS.Listen }),
		{key: "mtls.proxies", kind: kindList, doc: "addresses of proxies whose Client-Cert header (RFC 9440) is believed; from others it counts for nothing",
			set: func(c *Config, v value) (err error) { c.MTLS.Proxies, err = prefixes(v.list); return err },
			get: func(c *Config) string { return joinedPrefixes(c.MTLS.Proxies) }},
		text("mtls.client_ca_file", "", "authorities of applications' certificates (tls_client_auth), PEM", func(c *Config) *string { return &c.MTLS.ClientCAFile }),
		text("mtls.alias_url", "", "public https address at which certificates are asked for, where it is not public_url", func(c *Config) *string { return &c.MTLS.AliasURL }),
	}
}

func (k *checker) mtls() {
	m := &k.c.MTLS
	if m.Listen != "" {
		if _, ok := k.address("mtls.listen", m.Listen); ok && m.Listen == k.c.Listen.Public {
			k.fault("mtls.listen", "give it a port of its own: browsers would ask people for certificates", "is the public listener's address")
		}
		if k.c.Listen.TLSCertFile == "" {
			k.fault("mtls.listen", "name listen.tls_cert_file, or let the proxy ask and list it in mtls.proxies", "needs a certificate of its own")
		}
	}
	if !m.Used() && (m.ClientCAFile != "" || m.AliasURL != "") {
		k.fault("mtls.listen", "set it, or mtls.proxies", "is missing: no certificate could come")
	}
	if m.AliasURL == "" {
		return
	}
	u, err := url.Parse(m.AliasURL)
	if err == nil && (u.Scheme != "https" || u.Host == "" || u.Path != "" || strings.ContainsAny(m.AliasURL, "?#@")) {
		err = errors.New("another form")
	}
	if err != nil {
		k.fault("mtls.alias_url", "it is https://HOST without a trailing slash", "cannot be used")
	}
}
