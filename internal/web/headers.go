package web

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Fixed header values. Tests repeat them as literals.
const (
	permissionsPolicy = "accelerometer=(), autoplay=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), " +
		"microphone=(), midi=(), payment=(), publickey-credentials-create=(self), publickey-credentials-get=(self), usb=()"
	strictTransport = "max-age=63072000; includeSubDomains"
	closedPolicy    = "default-src 'none'; frame-ancestors 'none'"
)

// baseHeaders are set on every answer, before it is known which mux it is for.
func (s *Site) baseHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", closedPolicy)
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	// Browsers apply it to all ports: on localhost it would lock out every other
	// program of the machine that speaks plain http (RFC 6797 §8.3).
	if s.c.Public.Secure() && !isLocalhost(s.c.Public.Hostname()) {
		h.Set("Strict-Transport-Security", strictTransport)
	}
}

// browserHeaders are set on every page. The referrer policy is same-origin and
// not no-referrer, because browsers then send "Origin: null" with forms.
func browserHeaders(h http.Header) {
	h.Set("Content-Security-Policy", Policy{}.String())
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Origin-Agent-Cluster", "?1")
	h.Set("Permissions-Policy", permissionsPolicy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Frame-Options", "DENY")
}

// Policy is what a page may do beyond the strict default Content-Security-Policy
// (CSP Level 3): own style, script and images, forms to this site, no frames.
type Policy struct {
	// FormAction lists further places to which a form of this page may lead,
	// also by a redirect after the post, as Chromium checks it: origins such as
	// "https://app.example:8443", or the scheme of a native application, "bo.app:".
	FormAction []string
	// Frame lists the origins of pages that this one frames.
	Frame []string
	// ConnectSelf allows scripts to fetch from this site.
	ConnectSelf bool
	// MediaSelf allows sound and video of this site.
	MediaSelf bool
	// WorkerSelf allows workers of this site.
	WorkerSelf bool
}

// ErrPolicy reports a source that cannot be part of a policy.
var ErrPolicy = errors.New("web: bad policy source")

// Relax sets the policy of this answer. It returns [ErrPolicy] and changes
// nothing if a source is malformed: it may come from a client's registration.
func Relax(w http.ResponseWriter, p Policy) error {
	for _, src := range slices.Concat(p.FormAction, p.Frame) {
		if err := checkSource(src); err != nil {
			return err
		}
	}
	w.Header().Set("Content-Security-Policy", p.String())
	return nil
}

// String returns the header value.
func (p Policy) String() string {
	var b strings.Builder
	b.WriteString("default-src 'none'; base-uri 'none'")
	add := func(on bool, directive string) {
		if on {
			b.WriteString("; " + directive)
		}
	}
	add(p.ConnectSelf, "connect-src 'self'")
	form := append([]string{"form-action", "'self'"}, p.FormAction...)
	add(true, strings.Join(slices.Compact(form), " "))
	add(true, "frame-ancestors 'none'")
	add(len(p.Frame) > 0, "frame-src "+strings.Join(slices.Compact(slices.Sorted(slices.Values(p.Frame))), " "))
	add(true, "img-src 'self' data:")
	add(p.MediaSelf, "media-src 'self'")
	add(true, "script-src 'self'")
	add(true, "style-src 'self'")
	add(p.WorkerSelf, "worker-src 'self'")
	return b.String()
}

// FormActionSource returns the policy source of a redirect address: its origin,
// or its scheme if it is one of a native application.
func FormActionSource(redirect string) (string, error) {
	u, err := url.Parse(redirect)
	if err != nil {
		return "", fmt.Errorf("%w: not a URL", ErrPolicy)
	}
	src := u.Scheme + ":"
	if u.Scheme == "http" || u.Scheme == "https" {
		src = u.Scheme + "://" + strings.ToLower(u.Host)
	}
	return src, checkSource(src)
}

// checkSource allows exactly scheme://host[:port] for http and https, and
// scheme: for others that no browser runs as script.
func checkSource(src string) error {
	for i := range len(src) {
		c := src[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("-.:/[]+", c) < 0 {
			return fmt.Errorf("%w: character", ErrPolicy)
		}
	}
	if scheme, rest, _ := strings.Cut(src, ":"); rest == "" {
		bad := []string{"", "http", "https", "javascript", "data", "blob", "filesystem", "about", "file", "ws", "wss", "vbscript"}
		if !strings.Contains(src, ":") || slices.Contains(bad, scheme) || strings.ContainsAny(scheme, "/[]") {
			return fmt.Errorf("%w: scheme", ErrPolicy)
		}
		return nil
	}
	u, err := url.Parse(src)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Scheme+"://"+u.Host != src {
		return fmt.Errorf("%w: want an origin or a scheme", ErrPolicy)
	}
	return nil
}
