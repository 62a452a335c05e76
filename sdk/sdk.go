package sdk

import (
	"context"
	"crypto"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Defaults of Config.
const (
	defaultIdle     = 30 * time.Minute
	defaultAbsolute = 12 * time.Hour
	defaultTimeout  = 10 * time.Second
)

// Config says who the application is. Issuer, ClientID, BaseURL and one of Key
// and ClientSecret are needed.
type Config struct {
	Issuer   string // the provider's issuer, byte for byte
	ClientID string
	// Key authenticates the client with private_key_jwt (RFC 7523): P-256, Ed25519 or RSA.
	Key   crypto.Signer
	KeyID string // kid of Key; its RFC 7638 thumbprint by default
	// ClientSecret authenticates with client_secret_basic, for applications that cannot keep a key.
	ClientSecret string
	// BaseURL is the application's public address; links are built from it alone, never from the Host header.
	BaseURL string
	// Prefix is where Routes is mounted; "/auth/" by default. The redirect URI is BaseURL + Prefix + "callback".
	Prefix string
	// Scopes asked besides openid; {"profile"} by default.
	Scopes []string
	// Store keeps sessions and logins under way; in memory by default, which suits one process.
	Store Store
	// Idle and Absolute bound a session of the application; 30 minutes and 12 hours by default.
	Idle, Absolute time.Duration
	// OnError answers a failed login; a plain page in Spanish by default.
	OnError func(w http.ResponseWriter, r *http.Request, err error)
	// HTTPClient calls the provider; one with a 10 s time-out and no redirects by default.
	HTTPClient *http.Client
	// Now is the clock; time.Now by default.
	Now func() time.Time
}

// Client is an application's connection to Suti. It is safe for concurrent use.
type Client struct {
	cfg      Config
	provider *provider
	base     *url.URL
	cookie   string // session cookie
	browser  string // cookie that ties a login under way to its browser

	mu     sync.Mutex             // guards tokens
	tokens map[string]cachedToken // client credentials by scope
}

var cookieName = regexp.MustCompile(`[^A-Za-z0-9]+`)

// New checks the configuration and reads the provider's metadata. It returns
// ErrConfig or ErrDiscovery with the cause.
func New(ctx context.Context, cfg Config) (*Client, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	base, err := url.Parse(cfg.BaseURL)
	if err != nil || checkURL(cfg.BaseURL) != nil || strings.Trim(base.Path, "/") != "" || base.RawQuery != "" {
		return nil, fmt.Errorf("%w: BaseURL must be an https origin (http only on the own machine) without a path", ErrConfig)
	}
	base.Path = ""
	p, err := discover(ctx, cfg.Issuer, cfg.HTTPClient, cfg.Now)
	if err != nil {
		return nil, err
	}
	name := cookieName.ReplaceAllString(cfg.ClientID, "-")
	return &Client{
		cfg: cfg, provider: p, base: base, tokens: map[string]cachedToken{},
		cookie: "__Host-" + name + "-sesion", browser: "__Host-" + name + "-entrada",
	}, nil
}

func (c *Config) fill() error {
	switch {
	case c.Issuer == "" || c.ClientID == "" || c.BaseURL == "":
		return fmt.Errorf("%w: Issuer, ClientID and BaseURL are needed", ErrConfig)
	case (c.Key == nil) == (c.ClientSecret == ""):
		return fmt.Errorf("%w: exactly one of Key and ClientSecret is needed", ErrConfig)
	}
	if c.Key != nil && c.KeyID == "" {
		kid, err := Thumbprint(c.Key.Public())
		if err != nil {
			return err
		}
		c.KeyID = kid
	}
	if c.Prefix == "" {
		c.Prefix = "/auth/"
	}
	if !strings.HasPrefix(c.Prefix, "/") || !strings.HasSuffix(c.Prefix, "/") || strings.Contains(c.Prefix, "..") {
		return fmt.Errorf("%w: Prefix must begin and end with /", ErrConfig)
	}
	if c.Scopes == nil {
		c.Scopes = []string{"profile"}
	}
	if c.Idle <= 0 {
		c.Idle = defaultIdle
	}
	if c.Absolute <= 0 {
		c.Absolute = defaultAbsolute
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Store == nil {
		c.Store = NewMemoryStore(c.Now)
	}
	if c.OnError == nil {
		c.OnError = plainError
	}
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{
			Timeout:       defaultTimeout,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return nil
}

// RedirectURI returns the address to register for the client.
func (c *Client) RedirectURI() string { return c.base.String() + c.cfg.Prefix + "callback" }

// PostLogoutRedirectURI returns the post-logout address to register for the client.
func (c *Client) PostLogoutRedirectURI() string { return c.base.String() + c.cfg.Prefix + "salida" }

// BackchannelLogoutURI returns the back-channel logout address to register for the client.
func (c *Client) BackchannelLogoutURI() string { return c.base.String() + c.cfg.Prefix + "backchannel" }
