package config

import (
	"errors"
	"net/netip"
	"strconv"
	"time"
)

// Names of files in the data folder.
const (
	// KeyFile is the sealed key file (package envelope).
	KeyFile = "suti.key"
	// HighWaterFile is this node's memory of the published log; it is no part of backups.
	HighWaterFile = "log.highwater"
	// DatabaseFile is the embedded database.
	DatabaseFile = "suti.db"
	// SocketFile is the default admin socket.
	SocketFile = "admin.sock"
)

// Config is what a server is told. Fields of secrets are paths.
type Config struct {
	PublicURL      string
	DataDir        string
	Node           string
	PassphraseFile string
	GenesisHash    string

	DatabaseURL, DatabaseURLFile string
	RedisURL, RedisURLFile       string

	Listen       Listen
	MTLS         MTLS
	Organization Organization

	PKIURL             string
	PolicyArc          string
	InsecureOnlineRoot bool

	Mail Mail
	SMS  SMS

	BackchannelHosts []string
	LoginsPerMinute  int
	LogLevel         string

	// Sources tells where each key got its value: "default", "suti.toml:12",
	// "SUTI_DATA_DIR" or "--set".
	Sources map[string]string

	credentials string // systemd's folder of credentials
}

// Listen says where the server answers.
type Listen struct {
	Public, Private string // host:port
	AdminSocket     string
	TLSCertFile     string
	TLSKeyFile      string
	BehindProxy     bool
	TrustedProxies  []netip.Prefix
	PrivateAnywhere bool
	// ShutdownNotice is how long a balancer is shown "not ready" before the
	// listener closes; ShutdownLimit bounds the whole of it.
	ShutdownNotice, ShutdownLimit time.Duration
}

// Organization runs the service.
type Organization struct{ Name, NIT, ShortName string }

// setting is one key: its kind, default and meaning.
type setting struct {
	key  string
	kind kind
	def  string
	doc  string
	set  func(*Config, value) error
	get  func(*Config) string
}

func text(key, def, doc string, field func(*Config) *string) setting {
	return setting{
		key: key, kind: kindText, def: def, doc: doc,
		set: func(c *Config, v value) error { *field(c) = v.text; return nil },
		get: func(c *Config) string { return *field(c) },
	}
}

func truth(key, doc string, field func(*Config) *bool) setting {
	return setting{
		key: key, kind: kindBool, def: "false", doc: doc,
		set: func(c *Config, v value) error { *field(c) = v.text == "true"; return nil },
		get: func(c *Config) string {
			if *field(c) {
				return "true"
			}
			return "false"
		},
	}
}

func duration(key, def, doc string, field func(*Config) *time.Duration) setting {
	return setting{
		key: key, kind: kindText, def: def, doc: doc,
		set: func(c *Config, v value) (err error) { *field(c), err = time.ParseDuration(v.text); return err },
		get: func(c *Config) string { return field(c).String() },
	}
}

// settings is the whole of the configuration, in the order of the documentation.
func settings() []setting {
	all := []setting{
		text("public_url", "", "the one public address; its host can never change, because passkeys are bound to it", func(c *Config) *string { return &c.PublicURL }),
		text("data_dir", "", "this node's own folder", func(c *Config) *string { return &c.DataDir }),
		text("node", "embedded", "name of this node for good; two nodes on one database must differ", func(c *Config) *string { return &c.Node }),
		text("passphrase_file", "", "file with the passphrase of the key file, or credential:NAME", func(c *Config) *string { return &c.PassphraseFile }),
		text("genesis_hash", "", "pins who were the first staff; empty before genesis", func(c *Config) *string { return &c.GenesisHash }),
		text("database.url", "", "sqlite:PATH or postgres://… without a password; default a file in data_dir", func(c *Config) *string { return &c.DatabaseURL }),
		text("database.url_file", "", "file with the address, where it holds a password", func(c *Config) *string { return &c.DatabaseURLFile }),
		text("cache.redis_url", "", "redis://… without a password; default in this process", func(c *Config) *string { return &c.RedisURL }),
		text("cache.redis_url_file", "", "file with the address, where it holds a password", func(c *Config) *string { return &c.RedisURLFile }),
		text("listen.public", "127.0.0.1:8080", "address of the public listener", func(c *Config) *string { return &c.Listen.Public }),
		text("listen.private", "127.0.0.1:9090", "address of health, metrics and profiles", func(c *Config) *string { return &c.Listen.Private }),
		truth("listen.private_anywhere", "let the private listener answer on any address: only within a closed network", func(c *Config) *bool { return &c.Listen.PrivateAnywhere }),
		text("listen.admin_socket", "", "Unix socket of suti admin; default admin.sock in data_dir", func(c *Config) *string { return &c.Listen.AdminSocket }),
		text("listen.tls_cert_file", "", "certificate and chain of the public listener, PEM", func(c *Config) *string { return &c.Listen.TLSCertFile }),
		text("listen.tls_key_file", "", "its private key, PEM", func(c *Config) *string { return &c.Listen.TLSKeyFile }),
		truth("listen.behind_proxy", "TLS ends at a proxy in front of the public listener", func(c *Config) *bool { return &c.Listen.BehindProxy }),
		{key: "listen.trusted_proxies", kind: kindList, doc: "addresses whose X-Forwarded-For is believed", set: setProxies, get: getProxies},
		duration("listen.shutdown_notice", "3s", "how long a balancer is shown that this node is not ready", func(c *Config) *time.Duration { return &c.Listen.ShutdownNotice }),
		duration("listen.shutdown_limit", "20s", "the longest an orderly end may take", func(c *Config) *time.Duration { return &c.Listen.ShutdownLimit }),
		text("organization.name", "", "who runs the service; stands in every certificate", func(c *Config) *string { return &c.Organization.Name }),
		text("organization.nit", "", "its tax number", func(c *Config) *string { return &c.Organization.NIT }),
		text("organization.short_name", "", "its short name", func(c *Config) *string { return &c.Organization.ShortName }),
		text("ca.policy_arc", "", "its private enterprise arc, from IANA: 1.3.6.1.4.1.N", func(c *Config) *string { return &c.PolicyArc }),
		text("ca.pki_url", "", "where certificates say that their status is served; default public_url over http", func(c *Config) *string { return &c.PKIURL }),
		truth("ca.insecure_online_root", "make and keep the root key in the online key store", func(c *Config) *bool { return &c.InsecureOnlineRoot }),
	}
	all = append(append(all, mtlsSettings()...), senderSettings()...)
	return append(all,
		setting{key: "backchannel.hosts", kind: kindList, doc: "applications' hosts that may be reached on private addresses", set: setHosts, get: getHosts},
		setting{key: "limits.logins_per_minute", kind: kindInt, def: "60", doc: "how many logins one address (IPv6: one /64) may begin, twice as many at once", set: setLogins, get: func(c *Config) string { return strconv.Itoa(c.LoginsPerMinute) }},
		text("log.level", "info", "debug, info, warn or error", func(c *Config) *string { return &c.LogLevel }),
	)
}

func setLogins(c *Config, v value) error {
	n, err := strconv.Atoi(v.text)
	if err != nil {
		return errors.New("is no whole number that fits")
	}
	c.LoginsPerMinute = n
	return nil
}

func setProxies(c *Config, v value) (err error) {
	c.Listen.TrustedProxies, err = prefixes(v.list)
	return err
}

func getProxies(c *Config) string { return joinedPrefixes(c.Listen.TrustedProxies) }

// prefixes reads networks; an address is the network of itself.
func prefixes(list []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, addrErr := netip.ParseAddr(s)
			if addrErr != nil {
				return nil, err
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		out = append(out, p)
	}
	return out, nil
}

func joinedPrefixes(list []netip.Prefix) string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return joined(out)
}

func setHosts(c *Config, v value) error { c.BackchannelHosts = v.list; return nil }

func getHosts(c *Config) string { return joined(c.BackchannelHosts) }
