package web

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// PublicURL is the one address under which people and applications know this
// site. Links are made from it; the Host header and forwarded headers never are.
type PublicURL struct {
	scheme, host string // host with port if it is not the default one
}

// ErrPublicURL reports an address that cannot be a public one.
var ErrPublicURL = errors.New("web: bad public address")

// ParsePublicURL parses an origin: https://host[:port], or http for localhost
// and names under it, which browsers treat as secure. Nothing may follow.
func ParsePublicURL(s string) (*PublicURL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("%w: not a URL", ErrPublicURL)
	}
	host := u.Hostname()
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !isLocalhost(host)):
		return nil, fmt.Errorf("%w: want https, or http for localhost", ErrPublicURL)
	case host == "" || host != strings.ToLower(host) || strings.HasSuffix(host, ".") || strings.ContainsAny(host, ":%"):
		return nil, fmt.Errorf("%w: want a lower-case host name", ErrPublicURL)
	case u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.ForceQuery || strings.HasSuffix(s, "#"):
		return nil, fmt.Errorf("%w: nothing may follow the host", ErrPublicURL)
	}
	if p := u.Port(); p == "" && strings.HasSuffix(u.Host, ":") || p == map[string]string{"https": "443", "http": "80"}[u.Scheme] && p != "" {
		return nil, fmt.Errorf("%w: leave out the default port", ErrPublicURL)
	}
	return &PublicURL{scheme: u.Scheme, host: u.Host}, nil
}

func isLocalhost(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// Origin returns scheme and host, as in an Origin header.
func (p *PublicURL) Origin() string { return p.scheme + "://" + p.host }

// String returns the origin.
func (p *PublicURL) String() string { return p.Origin() }

// Host returns the host, with its port unless that is the default one.
func (p *PublicURL) Host() string { return p.host }

// Hostname returns the host without port: the WebAuthn RP ID.
func (p *PublicURL) Hostname() string {
	u := url.URL{Host: p.host}
	return u.Hostname()
}

// Secure reports whether the scheme is https.
func (p *PublicURL) Secure() bool { return p.scheme == "https" }

// Link returns the absolute address of a path of this site, with query if it
// is not empty. path must begin with one slash; anything else is a mistake of
// the caller and gives the origin.
func (p *PublicURL) Link(path string, query url.Values) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		path = "/"
	}
	u := url.URL{Scheme: p.scheme, Host: p.host, Path: path, RawQuery: query.Encode()}
	return u.String()
}

// maxReturn bounds a return path, in bytes.
const maxReturn = 1024

// SafeReturn returns path if it leads to a place on this site and nowhere else:
// a clean absolute path, with a query perhaps. Anything that a browser could
// read as another host, or that looks like two things, gives ok=false.
func SafeReturn(path string) (safe string, ok bool) {
	if len(path) > maxReturn {
		return "", false
	}
	return safePath(path)
}

func safePath(path string) (string, bool) {
	if path == "" || path[0] != '/' {
		return "", false
	}
	for i := range len(path) {
		if c := path[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`\"<>^{|}#`+"`", c) >= 0 {
			return "", false
		}
	}
	p, _, _ := strings.Cut(path, "?")
	for i, seg := range strings.Split(p[1:], "/") {
		last := i == strings.Count(p[1:], "/")
		if seg == "." || seg == ".." || seg == "" && !last {
			return "", false
		}
	}
	u, err := url.Parse(path)
	if err != nil || u.Host != "" || u.Scheme != "" || u.User != nil || u.Opaque != "" || strings.ContainsAny(u.Path, "\\\x00\r\n") {
		return "", false
	}
	for seg := range strings.SplitSeq(u.Path, "/") {
		if seg == "." || seg == ".." { // written as %2e
			return "", false
		}
	}
	return path, true
}
