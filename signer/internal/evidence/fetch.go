package evidence

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Doer sends HTTP requests. It MUST be safe for concurrent use, honour the
// request's context and not follow redirects to addresses that it would not
// take itself. *safehttp.Client is the one of the product; its MaxResponse must
// let the largest list through ([revocation.MaxCRL]).
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

const maxURL = 2048

// request is one exchange with its bounds.
type request struct {
	url       *url.URL
	body      []byte // POST where not nil
	mediaType string // of body
	accept    string
	max       int64 // octets of the answer
	timeout   time.Duration
	authorize func(*http.Request)
}

// fetch performs one exchange and returns the whole body of a 200 answer.
func fetch(ctx context.Context, d Doer, r request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	method, body := http.MethodGet, io.Reader(nil)
	if r.body != nil {
		method, body = http.MethodPost, bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, method, r.url.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAddress, err)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", r.mediaType)
	}
	req.Header.Set("Accept", r.accept)
	if r.authorize != nil {
		r.authorize(req)
	}
	res, err := d.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFetch, err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%w: %w", ErrFetch, &HTTPError{Host: r.url.Host, Status: res.StatusCode})
	}
	if res.ContentLength > r.max {
		return nil, fmt.Errorf("%w: %d octets announced, %d allowed", ErrTooLarge, res.ContentLength, r.max)
	}
	out, err := io.ReadAll(io.LimitReader(res.Body, r.max+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFetch, err)
	}
	if int64(len(out)) > r.max {
		return nil, fmt.Errorf("%w: more than %d octets", ErrTooLarge, r.max)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: empty answer from %s", ErrFetch, r.url.Host)
	}
	return out, nil
}

// parseURL reads an http(s) address without user part or fragment.
func parseURL(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, fmt.Errorf("%w: too long", ErrAddress)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: not a URL", ErrAddress)
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "" {
		return nil, fmt.Errorf("%w: scheme, host, user or fragment", ErrAddress)
	}
	return u, nil
}

// hostList says to which hosts addresses in certificates may lead.
type hostList struct {
	names map[string]bool // host, or host:port where the port is not the scheme's
	any   bool
}

func newHostList(names []string, anyHost bool) (hostList, error) {
	l := hostList{names: map[string]bool{}, any: anyHost}
	for _, n := range names {
		if n == "" || n != strings.ToLower(n) || strings.ContainsAny(n, "/@ *") {
			return l, fmt.Errorf("%w: host %q", ErrParams, n)
		}
		l.names[n] = true
	}
	return l, nil
}

// open reads an address and checks its host.
func (l hostList) open(raw string) (*url.URL, error) {
	u, err := parseURL(raw)
	if err != nil || l.any {
		return u, err
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if port != "" && !(u.Scheme == "http" && port == "80") && !(u.Scheme == "https" && port == "443") {
		host = net.JoinHostPort(host, port)
	}
	if !l.names[host] {
		return nil, fmt.Errorf("%w: host %q is not on the list", ErrAddress, host)
	}
	return u, nil
}

// gaveUp reports whether the caller's own context has ended.
func gaveUp(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
}
