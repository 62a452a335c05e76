package config

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/internal/web"
)

// nit is a Bolivian tax number.
var nit = regexp.MustCompile(`^[0-9]{5,12}$`)

var nodeName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// checker gathers faults of values that are well formed each.
type checker struct {
	c      *Config
	faults Faults
}

func (k *checker) fault(key, next, format string, args ...any) {
	where := k.c.Sources[key]
	if where == "default" || where == "" {
		where = "configuration"
	}
	k.faults = append(k.faults, Fault{Where: where, What: key + " " + fmt.Sprintf(format, args...), Next: next})
}

// check judges the whole, fills in what follows from other keys, and returns
// all faults.
func (c *Config) check() Faults {
	k := &checker{c: c}
	k.identity()
	k.stores()
	k.listeners()
	k.mtls()
	k.authority()
	k.senders()
	return k.faults
}

func (k *checker) identity() {
	c := k.c
	switch {
	case c.PublicURL == "":
		k.fault("public_url", `for example public_url = "https://id.example"`, "is missing")
	default:
		if _, err := web.ParsePublicURL(c.PublicURL); err != nil {
			k.fault("public_url", "it is https://HOST, or http://localhost:PORT to try things out", "cannot be used: %v", err)
		}
	}
	if c.DataDir == "" {
		k.fault("data_dir", `for example data_dir = "/var/lib/suti"`, "is missing")
	}
	if !nodeName.MatchString(c.Node) {
		k.fault("node", "use 1 to 32 of a-z 0-9 -", "%q is no name", c.Node)
	}
	if c.GenesisHash != "" {
		if b, err := hex.DecodeString(c.GenesisHash); err != nil || len(b) != 32 {
			k.fault("genesis_hash", "it is printed when the deployment is founded", "is not 64 hexadecimal digits")
		}
	}
	if c.LoginsPerMinute < 1 || c.LoginsPerMinute > 100_000 {
		k.fault("limits.logins_per_minute", "use 1 to 100000", "%d does not fit", c.LoginsPerMinute)
	}
	switch c.LogLevel {
	case "debug", "info", "warn", "error":
	default:
		k.fault("log.level", "use debug, info, warn or error", "%q is none", c.LogLevel)
	}
	if c.Listen.AdminSocket == "" && c.DataDir != "" {
		c.Listen.AdminSocket = filepath.Join(c.DataDir, SocketFile)
	}
}

// stores checks the addresses of database and cache. Their values never go into a fault.
func (k *checker) stores() {
	c := k.c
	if c.DatabaseURL != "" && c.DatabaseURLFile != "" {
		k.fault("database.url_file", "keep one of them", "stands beside database.url")
	}
	if c.RedisURL != "" && c.RedisURLFile != "" {
		k.fault("cache.redis_url_file", "keep one of them", "stands beside cache.redis_url")
	}
	if c.DatabaseURL == "" && c.DatabaseURLFile == "" && c.DataDir != "" {
		c.DatabaseURL = "sqlite:" + filepath.Join(c.DataDir, DatabaseFile)
	}
	if c.DatabaseURL != "" && !strings.HasPrefix(c.DatabaseURL, "sqlite:") {
		k.remote("database.url", c.DatabaseURL, "postgres", "postgresql")
	}
	if c.RedisURL != "" {
		k.remote("cache.redis_url", c.RedisURL, "redis", "rediss")
	}
	if c.Listen.ShutdownNotice < 0 || c.Listen.ShutdownLimit < time.Second || c.Listen.ShutdownLimit > 20*time.Second || c.Listen.ShutdownNotice >= c.Listen.ShutdownLimit {
		k.fault("listen.shutdown_limit", "use 1s to 20s, and less for listen.shutdown_notice", "and listen.shutdown_notice do not fit")
	}
}

func (k *checker) remote(key, raw string, schemes ...string) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" && u.Query().Get("host") == "" {
		k.fault(key, "it is "+schemes[0]+"://USER@HOST/NAME", "is no address")
		return
	}
	known := false
	for _, s := range schemes {
		known = known || u.Scheme == s
	}
	if !known {
		k.fault(key, "it begins with "+schemes[0]+"://", "has another scheme")
	}
	if _, has := u.User.Password(); has || u.Query().Get("password") != "" {
		k.fault(key, "put the address into a file of mode 0600 and name it in "+key+"_file", "holds a password, and secrets do not stand in a configuration")
	}
}

func (k *checker) listeners() {
	c := k.c
	public, okPublic := k.address("listen.public", c.Listen.Public)
	private, okPrivate := k.address("listen.private", c.Listen.Private)
	if okPublic && okPrivate && c.Listen.Public == c.Listen.Private && public.Port() != 0 {
		k.fault("listen.private", "give it a port of its own", "is the public listener's address")
	}
	if okPrivate && !c.Listen.PrivateAnywhere && !private.Addr().IsLoopback() && !private.Addr().IsPrivate() {
		k.fault("listen.private", "use a loopback or private address, or listen.private_anywhere = true in a closed network", "would show metrics and profiles on %s", private.Addr())
	}
	tls := c.Listen.TLSCertFile != ""
	if tls != (c.Listen.TLSKeyFile != "") {
		k.fault("listen.tls_cert_file", "give both or neither", "and listen.tls_key_file belong together")
	}
	if strings.HasPrefix(c.PublicURL, "https:") && !tls && !c.Listen.BehindProxy {
		k.fault("listen.tls_cert_file", "name certificate and key, or set listen.behind_proxy = true", "is missing, and the public address is https")
	}
	if tls && c.Listen.BehindProxy {
		k.fault("listen.behind_proxy", "keep one of them", "stands beside listen.tls_cert_file")
	}
	if c.Listen.BehindProxy && okPublic && !public.Addr().IsLoopback() && len(c.Listen.TrustedProxies) == 0 {
		k.fault("listen.trusted_proxies", `for example trusted_proxies = ["10.0.0.5"]`, "is empty: everybody would seem to come from the proxy")
	}
}

func (k *checker) address(key, s string) (netip.AddrPort, bool) {
	host, port, err := net.SplitHostPort(s)
	if err == nil && host == "localhost" {
		host = "127.0.0.1"
	}
	if err == nil && host == "" {
		host = "0.0.0.0"
	}
	a, parseErr := netip.ParseAddrPort(net.JoinHostPort(host, port))
	if err != nil || parseErr != nil {
		k.fault(key, "it is ADDRESS:PORT, for example 127.0.0.1:8080", "%q cannot be listened on", s)
		return a, false
	}
	return a, true
}

func (k *checker) authority() {
	c := k.c
	for _, f := range []struct{ key, val string }{
		{"organization.name", c.Organization.Name}, {"organization.nit", c.Organization.NIT}, {"organization.short_name", c.Organization.ShortName},
	} {
		if strings.TrimSpace(f.val) == "" {
			k.fault(f.key, "it stands in every certificate", "is missing")
		}
	}
	if c.Organization.NIT != "" && !nit.MatchString(c.Organization.NIT) {
		k.fault("organization.nit", "it is 5 to 12 digits", "is no tax number")
	}
	if c.PolicyArc == "" {
		k.fault("ca.policy_arc", "an arc 1.3.6.1.4.1.N is free of charge at IANA (Private Enterprise Numbers)", "is missing")
	} else if _, err := profile.ParseArc(c.PolicyArc, true); err != nil {
		k.fault("ca.policy_arc", "use your institution's own arc from IANA, 1.3.6.1.4.1.N", "cannot be used: %v", err)
	}
	if c.PKIURL != "" {
		u, err := url.Parse(c.PKIURL)
		if err != nil || u.Host == "" || u.Scheme != "http" || strings.HasSuffix(c.PKIURL, "/") {
			k.fault("ca.pki_url", "it is http://HOST without a trailing slash; status must be readable without TLS", "cannot be used")
		}
	}
}
