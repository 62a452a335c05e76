package safehttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// transport judges a request, asks the breaker and bounds the answer.
type transport struct {
	s    *Client
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	host, err := t.s.endpoint(req.URL)
	if err == nil {
		err = t.s.ask(host)
	}
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	req = req.Clone(req.Context())
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", userAgent)
	}
	res, err := t.next.RoundTrip(req)
	t.s.tell(host, outcome(req.Context(), res, err))
	if err != nil {
		return nil, err
	}
	if res.ContentLength > t.s.c.MaxResponse {
		_ = res.Body.Close()
		return nil, fmt.Errorf("%w: %d bytes announced, %d allowed", ErrTooLarge, res.ContentLength, t.s.c.MaxResponse)
	}
	res.Body = &bounded{ReadCloser: res.Body, left: t.s.c.MaxResponse, max: t.s.c.MaxResponse}
	return res, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the pool.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// outcome says what an exchange tells about the host. A caller that gave up and
// an address that we refuse tell nothing; an overrun deadline counts as failure.
func outcome(ctx context.Context, res *http.Response, err error) Event {
	switch {
	case err == nil && res.StatusCode < 500 && res.StatusCode != http.StatusTooManyRequests:
		return Succeeded
	case errors.Is(ctx.Err(), context.Canceled), errors.Is(err, ErrAddress), errors.Is(err, ErrURL):
		return Abandoned
	}
	return Failed
}

// ask returns an [OpenError] if the host is being left alone.
func (s *Client) ask(host string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.circuits[host]
	if !known {
		return nil
	}
	next, allowed, wait := c.Step(Ask, s.c.Now(), s.c.Breaker)
	s.circuits[host] = next
	if !allowed {
		return &OpenError{Host: host, RetryAfter: wait}
	}
	return nil
}

func (s *Client) tell(host string, e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.c.Now()
	next, _, _ := s.circuits[host].Step(e, now, s.c.Breaker)
	if next == (Circuit{}) {
		delete(s.circuits, host)
		return
	}
	if _, known := s.circuits[host]; !known && len(s.circuits) >= maxCircuits {
		s.forget(now)
	}
	s.circuits[host] = next
}

// forget makes room: what is idle goes, and if nothing is, any one goes.
func (s *Client) forget(now time.Time) {
	for host, c := range s.circuits {
		if c.idle(now) {
			delete(s.circuits, host)
		}
	}
	for host := range s.circuits {
		if len(s.circuits) < maxCircuits {
			return
		}
		delete(s.circuits, host)
	}
}

// bounded is a body that fails beyond its bound instead of ending there.
type bounded struct {
	io.ReadCloser
	left, max int64
	failed    bool
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.failed {
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, b.max)
	}
	if len(p) == 0 {
		return 0, nil
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		b.left, b.failed = 0, true
		return n, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, b.max)
	}
	b.left -= int64(n)
	return n, err
}
