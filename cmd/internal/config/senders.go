package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// Mail is how notices go out by e-mail; none are sent without a Host.
type Mail struct {
	Host          string
	Port          int
	From          string
	User          string
	PasswordFile  string
	CAFile        string
	InsecureNoTLS bool
}

// SMS is how notices go out by text message; none are sent without a URL.
type SMS struct {
	URL               string
	TokenFile         string
	PrivateNetworks   []netip.Prefix
	InsecureAllowHTTP bool
}

// maxCAFile bounds the file of roots, in bytes.
const maxCAFile = 1 << 20

func senderSettings() []setting {
	return []setting{
		text("mail.host", "", "mail server that takes notices by e-mail; none are sent without it", func(c *Config) *string { return &c.Mail.Host }),
		whole("mail.port", "587", "its port; STARTTLS is required there", func(c *Config) *int { return &c.Mail.Port }),
		text("mail.from", "", "sender of notices: NAME <ADDRESS>", func(c *Config) *string { return &c.Mail.From }),
		text("mail.user", "", "user name at the mail server, if it wants one", func(c *Config) *string { return &c.Mail.User }),
		text("mail.password_file", "", "file with the password, or credential:NAME", func(c *Config) *string { return &c.Mail.PasswordFile }),
		text("mail.ca_file", "", "roots of the mail server's certificate, PEM; default the system's", func(c *Config) *string { return &c.Mail.CAFile }),
		truth("mail.insecure_no_tls", "talk in clear to a relay on this machine", func(c *Config) *bool { return &c.Mail.InsecureNoTLS }),
		text("sms.url", "", "https address of the gateway that takes notices by SMS; none are sent without it", func(c *Config) *string { return &c.SMS.URL }),
		text("sms.token_file", "", "file with the gateway's bearer token, or credential:NAME", func(c *Config) *string { return &c.SMS.TokenFile }),
		{key: "sms.private_networks", kind: kindList, doc: "private networks in which the gateway may stand", set: setNetworks, get: getNetworks},
		truth("sms.insecure_allow_http", "talk in clear to a gateway on this machine", func(c *Config) *bool { return &c.SMS.InsecureAllowHTTP }),
	}
}

func whole(key, def, doc string, field func(*Config) *int) setting {
	return setting{
		key: key, kind: kindInt, def: def, doc: doc,
		set: func(c *Config, v value) (err error) { *field(c), err = strconv.Atoi(v.text); return err },
		get: func(c *Config) string { return strconv.Itoa(*field(c)) },
	}
}

func setNetworks(c *Config, v value) (err error) {
	c.SMS.PrivateNetworks, err = prefixes(v.list)
	return err
}

func getNetworks(c *Config) string { return joinedPrefixes(c.SMS.PrivateNetworks) }

// senders checks how notices go out. Secrets are read when the server starts.
func (k *checker) senders() {
	k.mail()
	k.sms()
}

// stray is a key, and whether it is set.
type stray struct {
	key string
	set bool
}

// alone faults keys that mean nothing without another.
func (k *checker) alone(without, next string, keys []stray) {
	for _, s := range keys {
		if s.set {
			k.fault(s.key, next, "stands without %s: no notice would be sent", without)
		}
	}
}

func (k *checker) mail() {
	m := k.c.Mail
	if m.Host == "" {
		k.alone("mail.host", `for example host = "smtp.example"`, []stray{
			{"mail.from", m.From != ""}, {"mail.user", m.User != ""}, {"mail.password_file", m.PasswordFile != ""}, {"mail.ca_file", m.CAFile != ""}, {"mail.insecure_no_tls", m.InsecureNoTLS},
		})
		return
	}
	if strings.ContainsAny(m.Host, "/: \t@") && net.ParseIP(m.Host) == nil {
		k.fault("mail.host", "it is a name or an address, without port", "%q is no host", m.Host)
	}
	if m.Port < 1 || m.Port > 65535 {
		k.fault("mail.port", "587 is usual", "%d is no port", m.Port)
	}
	if a, err := mail.ParseAddress(m.From); err != nil || !strings.Contains(a.Address[strings.LastIndexByte(a.Address, '@')+1:], ".") {
		k.fault("mail.from", `for example from = "Suti <suti@example.gob.bo>"`, "is no sender")
	}
	if (m.User == "") != (m.PasswordFile == "") {
		k.fault("mail.user", "give both or neither", "and mail.password_file belong together")
	}
	switch {
	case m.InsecureNoTLS && m.PasswordFile != "":
		k.fault("mail.insecure_no_tls", "leave it out, or the password", "would send the password in clear")
	case m.InsecureNoTLS && !loopback(m.Host):
		k.fault("mail.insecure_no_tls", "use a relay at localhost, or a server with STARTTLS", "would send notices in clear to %s", m.Host)
	case m.InsecureNoTLS && m.CAFile != "":
		k.fault("mail.ca_file", "keep one of them", "stands beside mail.insecure_no_tls")
	}
}

func (k *checker) sms() {
	s := k.c.SMS
	if s.URL == "" {
		k.alone("sms.url", `for example url = "https://sms.example/send"`, []stray{
			{"sms.token_file", s.TokenFile != ""}, {"sms.private_networks", len(s.PrivateNetworks) > 0}, {"sms.insecure_allow_http", s.InsecureAllowHTTP},
		})
		return
	}
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Hostname() == "" || u.Fragment != "":
		k.fault("sms.url", "it is https://HOST/PATH", "is no address")
		return
	case u.User != nil:
		k.fault("sms.url", "the gateway's secret goes into sms.token_file", "holds a secret, and secrets do not stand in a configuration")
	case u.Scheme == "http" && !s.InsecureAllowHTTP, u.Scheme != "http" && u.Scheme != "https":
		k.fault("sms.url", "it begins with https://", "is not https")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		k.fault("sms.insecure_allow_http", "use https, or an adapter at localhost", "would send notices and the token in clear to %s", u.Hostname())
	}
	if s.TokenFile == "" {
		k.fault("sms.token_file", `for example token_file = "credential:sms-token"`, "is missing")
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Password reads the password of the mail server, "" if it wants none.
func (m Mail) Password(c *Config) (string, error) {
	if m.PasswordFile == "" {
		return "", nil
	}
	b, err := c.Secret(m.PasswordFile)
	return string(b), err
}

// TLS returns the settings of connections to the mail server: its own roots, or
// nil for the system's.
func (m Mail) TLS() (*tls.Config, error) {
	if m.CAFile == "" {
		return nil, nil
	}
	st, err := os.Stat(m.CAFile)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > maxCAFile {
		return nil, fmt.Errorf("%s is not a file of at most %d bytes", m.CAFile, maxCAFile)
	}
	raw, err := os.ReadFile(m.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(raw) {
		return nil, errors.New(m.CAFile + " holds no certificate")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// Token reads the gateway's token.
func (s SMS) Token(c *Config) (string, error) {
	b, err := c.Secret(s.TokenFile)
	return string(b), err
}
