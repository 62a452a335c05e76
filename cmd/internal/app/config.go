package app

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oruro.gob.bo/suti/idp"
	"oruro.gob.bo/suti/internal/notify"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/signer/isolate"
)

// Config says what to run. DataDir and PublicURL are required.
type Config struct {
	// DataDir is this node's own folder: key file, high-water mark and, unless
	// DatabaseURL says otherwise, the database.
	DataDir string
	// DatabaseURL is sqlite:PATH or postgres://…; a file in DataDir by default.
	DatabaseURL string
	// RedisURL names the shared cache; in-process by default.
	RedisURL string
	// PublicURL is the one public address. Its host is the RP ID for ever.
	PublicURL string
	// PKIURL is where certificates say their status is served; PublicURL over
	// http by default.
	PKIURL string
	// Passphrase opens the key file. A demo draws one and keeps it beside the file.
	Passphrase []byte
	// Demo makes what is missing by itself and marks everything as a demonstration.
	Demo bool
	// Node names this node for good where several share a database.
	Node string
	// Organization runs the service; OrganizationID is its NIT.
	Organization, OrganizationID, ShortName string
	// Arc is the private enterprise arc of the certificate policies.
	Arc string
	// InsecureOnlineRoot lets the service make and keep its root key online.
	InsecureOnlineRoot bool
	// RenderCache keeps the compiled page drawer between starts; a folder in
	// DataDir by default. Only this service may write there.
	RenderCache string
	// VerifyCommand is a program, with first words, that runs isolate.Work: it judges
	// the files of strangers, each in a process of its own (design D15). Without
	// it they are judged in this process, which only tests may want.
	VerifyCommand []string
	// VerifyLimits bounds each of them; the zero value means the defaults.
	VerifyLimits isolate.Limits
	// Email and SMS carry notices to people; without them none are sent. A
	// demonstration shows them instead.
	Email, SMS notify.Sender
	// BackchannelHosts are applications' hosts that may be reached on private addresses.
	BackchannelHosts []string
	// BackchannelTLS, if set, says whom to trust at applications' addresses,
	// in place of the system's roots.
	BackchannelTLS *tls.Config
	TrustedProxies []netip.Prefix
	// MTLS says where applications' certificates come from; nil: from nowhere.
	MTLS *idp.MTLS
	// LoginsPerMinute is how many logins one address may begin; the provider's own
	// default if 0. A demonstration, to which programs come from one address, does
	// not limit them.
	LoginsPerMinute int
	Metrics         prometheus.Registerer
	Logger          *slog.Logger
	Now             func() time.Time
}

func (c *Config) check() error {
	if c.DataDir == "" || c.PublicURL == "" {
		return errors.New("app: DataDir and PublicURL are needed")
	}
	if _, err := web.ParsePublicURL(c.PublicURL); err != nil {
		return err
	}
	if c.DatabaseURL == "" {
		c.DatabaseURL = "sqlite:" + filepath.Join(c.DataDir, "suti.db")
	}
	if c.PKIURL == "" {
		c.PKIURL = "http://" + strings.SplitN(c.PublicURL, "://", 2)[1]
	}
	if c.Organization == "" {
		c.Organization, c.ShortName, c.OrganizationID = "Gobierno Autónomo Departamental de Oruro", "GAD Oruro", "1020255020"
	}
	if c.RenderCache == "" {
		c.RenderCache = c.path("render")
	}
	if c.Node == "" {
		c.Node = "embedded"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return os.MkdirAll(c.DataDir, 0o700)
}

// logOrigin names the transparency log: the address of its prefix without the scheme.
func (c *Config) logOrigin() string {
	return strings.SplitN(c.PublicURL, "://", 2)[1] + "/log"
}

// path returns the path of a file in the node's folder.
func (c *Config) path(name string) string { return filepath.Join(c.DataDir, name) }

// explain wraps an error with what failed and what to do next.
func explain(what, next string, err error) error {
	return fmt.Errorf("%s: %w (%s)", what, err, next)
}
