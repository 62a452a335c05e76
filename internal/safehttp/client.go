package safehttp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Defaults of [Config].
const (
	DefaultTimeout     = 10 * time.Second
	DefaultMaxResponse = 1 << 20
	dialTimeout        = 3 * time.Second
	maxHeader          = 32 << 10
	maxAnswers         = 32   // addresses of one name
	maxCircuits        = 4096 // hosts remembered as failing
	userAgent          = "Suti"
)

// Resolver finds the addresses of a name. *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Config configures a [Client]. The zero value reaches public https on port 443.
type Config struct {
	// AllowHosts are names, lower case and without port, whose addresses are not
	// judged: the operator vouches for them. For instance "localhost" in a demo.
	AllowHosts []string
	// AllowPrefixes are addresses that are allowed although they are not public.
	AllowPrefixes []netip.Prefix
	// OnlyHosts, if not empty, are the only names that may be reached at all.
	OnlyHosts []string
	// InsecureAllowHTTP also allows http.
	InsecureAllowHTTP bool
	// Ports that may be reached; 443, and 80 with InsecureAllowHTTP, if empty.
	// Port 0 allows every port.
	Ports []uint16
	// Timeout bounds the whole exchange from resolving to the last byte.
	Timeout time.Duration
	// MaxResponse bounds the body of an answer, in bytes.
	MaxResponse int64
	// Resolver is net.DefaultResolver by default.
	Resolver Resolver
	// TLS adds roots or a client certificate; TLS 1.2 is the least in any case.
	TLS *tls.Config
	// Breaker says when a failing host is left alone.
	Breaker Policy
	// Now is the clock of the breaker.
	Now func() time.Time

	// dial replaces the last step of a connection in tests.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Errors of the client. They are found with errors.Is in what Do returns.
var (
	// ErrURL reports an address that is refused as it stands: scheme, port,
	// user part, missing or unlisted host.
	ErrURL = errors.New("safehttp: address refused")
	// ErrAddress reports a name that leads, at least in part, to addresses that
	// are not allowed.
	ErrAddress = errors.New("safehttp: leads to a forbidden address")
	// ErrRedirect reports an answer that points elsewhere.
	ErrRedirect = errors.New("safehttp: redirects are not followed")
	// ErrTooLarge reports a body longer than MaxResponse; it is returned by Do if
	// the length was announced, else by reading the body.
	ErrTooLarge = errors.New("safehttp: answer is too large")
)

// OpenError reports a host that is left alone after failures.
type OpenError struct {
	// Host is its name and port.
	Host string
	// RetryAfter is how long it will be left alone yet.
	RetryAfter time.Duration
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("safehttp: %s keeps failing, next try in %v", e.Host, e.RetryAfter.Round(time.Second))
}

// Client is a bounded HTTP client. It is safe for concurrent use.
type Client struct {
	c    Config
	http *http.Client

	mu       sync.Mutex // guards circuits
	circuits map[string]Circuit
}

// New checks c and returns a client.
func New(c Config) (*Client, error) {
	if c.Timeout < 0 || c.MaxResponse < 0 {
		return nil, errors.New("safehttp: negative bound")
	}
	for _, h := range slices.Concat(c.AllowHosts, c.OnlyHosts) {
		if h == "" || h != canonicalHost(h) {
			return nil, fmt.Errorf("safehttp: host %q: want a lower-case name without port", h)
		}
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.MaxResponse == 0 {
		c.MaxResponse = DefaultMaxResponse
	}
	if len(c.Ports) == 0 {
		c.Ports = []uint16{443}
		if c.InsecureAllowHTTP {
			c.Ports = append(c.Ports, 80)
		}
	}
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Client{c: c, circuits: map[string]Circuit{}}
	tlsConfig := &tls.Config{}
	if c.TLS != nil {
		tlsConfig = c.TLS.Clone()
	}
	tlsConfig.MinVersion = max(tlsConfig.MinVersion, tls.VersionTLS12)
	s.http = &http.Client{
		Timeout:       c.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return ErrRedirect },
		Transport: &transport{s: s, next: &http.Transport{
			Proxy:                  nil,
			DialContext:            s.dialContext,
			TLSClientConfig:        tlsConfig,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
			TLSHandshakeTimeout:    dialTimeout,
			ResponseHeaderTimeout:  c.Timeout,
			MaxIdleConns:           100,
			MaxIdleConnsPerHost:    4,
			MaxConnsPerHost:        16,
			IdleConnTimeout:        30 * time.Second,
		}},
	}
	return s, nil
}

// HTTP returns the client for libraries that want one of the standard type. It
// has all bounds, but its errors repeat the whole address, which may hold a
// secret in its query; prefer Do.
func (s *Client) HTTP() *http.Client { return s.http }

// Do sends req. The caller closes the body, reading which may give [ErrTooLarge].
// An error names scheme and host of the address and nothing else of it.
func (s *Client) Do(req *http.Request) (*http.Response, error) {
	res, err := s.http.Do(req)
	if err == nil {
		return res, nil
	}
	if res != nil { // a refused redirect: its body is already closed
		_ = res.Body.Close()
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return nil, fmt.Errorf("%s %s://%s: %w", req.Method, req.URL.Scheme, req.URL.Host, err)
}

// Fetch reads the whole body of a GET that must answer 200.
func (s *Client) Fetch(ctx context.Context, rawURL, accept string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, rawURL, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: not a URL", ErrURL)
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	res, err := s.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, &StatusError{Host: req.URL.Host, Status: res.StatusCode}
	}
	return io.ReadAll(res.Body)
}

// StatusError reports an answer other than 200 to Fetch.
type StatusError struct {
	Host   string
	Status int
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("safehttp: %s answered %d", e.Host, e.Status)
}

// CheckURL returns [ErrURL] unless u could be sent to; it resolves nothing. Use
// it where somebody registers an address.
func (s *Client) CheckURL(u *url.URL) error {
	_, err := s.endpoint(u)
	return err
}

// endpoint returns the host and port that u leads to.
func (s *Client) endpoint(u *url.URL) (string, error) {
	port := u.Port()
	switch {
	case u.Scheme == "https":
		if port == "" {
			port = "443"
		}
	case u.Scheme == "http" && s.c.InsecureAllowHTTP:
		if port == "" {
			port = "80"
		}
	default:
		return "", fmt.Errorf("%w: scheme", ErrURL)
	}
	host := canonicalHost(u.Hostname())
	switch {
	case u.User != nil:
		return "", fmt.Errorf("%w: user part", ErrURL)
	case u.Opaque != "" || host == "" || strings.ContainsFunc(host, notInHost):
		return "", fmt.Errorf("%w: host", ErrURL)
	case len(s.c.OnlyHosts) > 0 && !slices.Contains(s.c.OnlyHosts, host):
		return "", fmt.Errorf("%w: host is not listed", ErrURL)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || !slices.Contains(s.c.Ports, uint16(n)) && !slices.Contains(s.c.Ports, 0) {
		return "", fmt.Errorf("%w: port", ErrURL)
	}
	return net.JoinHostPort(host, port), nil
}

// notInHost finds what no name in its ASCII form and no address contains: an
// IPv6 zone, for instance, or letters that two resolvers may write differently.
func notInHost(r rune) bool {
	return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune("-._:", r)
}

// canonicalHost folds case and drops the dot that ends an absolute name.
func canonicalHost(h string) string { return strings.TrimSuffix(strings.ToLower(h), ".") }

// dialContext resolves address, judges every answer and connects to one of them.
func (s *Client) dialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: host", ErrURL)
	}
	host = canonicalHost(host)
	trusted := slices.Contains(s.c.AllowHosts, host)
	addrs, err := s.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		if !trusted && !s.allowed(a) {
			return nil, fmt.Errorf("%w: %s", ErrAddress, host)
		}
	}
	dial := s.c.dial
	if dial == nil {
		d := net.Dialer{Timeout: dialTimeout, ControlContext: s.guard(trusted)}
		dial = d.DialContext
	}
	var errs []error
	for _, a := range addrs {
		c, err := dial(ctx, network, net.JoinHostPort(a.String(), port))
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func (s *Client) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	addrs, err := s.c.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("resolve: %w", err)
	}
	if len(addrs) == 0 || len(addrs) > maxAnswers {
		return nil, fmt.Errorf("resolve %s: %d addresses", host, len(addrs))
	}
	out := make([]netip.Addr, len(addrs))
	for i, a := range addrs {
		out[i] = a.Unmap()
	}
	return out, nil
}

func (s *Client) allowed(a netip.Addr) bool {
	return Public(a) || slices.ContainsFunc(s.c.AllowPrefixes, func(p netip.Prefix) bool { return p.Contains(a.Unmap()) })
}

// guard judges the address once more on the socket itself, just before it
// connects, so that no change above it can bring back an unjudged address.
func (s *Client) guard(trusted bool) func(context.Context, string, string, syscall.RawConn) error {
	return func(_ context.Context, network, address string, _ syscall.RawConn) error {
		ap, err := netip.ParseAddrPort(address)
		if err != nil || (network != "tcp4" && network != "tcp6") || !trusted && !s.allowed(ap.Addr()) {
			return fmt.Errorf("%w: socket", ErrAddress)
		}
		return nil
	}
}
