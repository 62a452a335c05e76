package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/safehttp"
)

// GatewayConfig configures [NewGateway]. URL and Token are needed.
type GatewayConfig struct {
	// URL takes the posts: https.
	URL string
	// Token is sent as bearer token.
	Token string
	// Prefixes are addresses that may be reached although they are not public.
	Prefixes []netip.Prefix
	// InsecureAllowHTTP also allows http, for a gateway on the same machine.
	InsecureAllowHTTP bool
	Now               func() time.Time
}

// LogValue does not show the token.
func (c GatewayConfig) LogValue() slog.Value { return slog.GroupValue(slog.String("url", c.URL)) }

// Gateway is a [Sender] of SMS over a small HTTP interface; providers with
// another one are reached through an adapter that offers it:
//
//	POST URL
//	Authorization: Bearer TOKEN
//	Idempotency-Key: ID
//	Content-Type: application/json
//
//	{"id": ID, "to": "+59171234567", "text": "…"}
//
// Any 2xx means that the gateway has the message. 408, 425, 429, every 5xx and no
// answer mean try again, with the same ID; any other status is a refusal for good.
type Gateway struct {
	url, token string
	client     *safehttp.Client
}

// NewGateway checks the configuration; it connects to nothing.
func NewGateway(c GatewayConfig) (*Gateway, error) {
	u, err := url.Parse(c.URL)
	if err != nil || c.Token == "" {
		return nil, errors.New("notify: the SMS gateway needs URL and Token")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if u.Port() == "" {
		port, err = map[string]uint64{"https": 443, "http": 80}[u.Scheme], nil
	}
	if err != nil {
		return nil, errors.New("notify: the SMS gateway's port is malformed")
	}
	client, err := safehttp.New(safehttp.Config{
		OnlyHosts: []string{u.Hostname()}, AllowPrefixes: c.Prefixes, InsecureAllowHTTP: c.InsecureAllowHTTP, Ports: []uint16{uint16(port)},
		Timeout: 15 * time.Second, MaxResponse: 64 << 10, Now: c.Now,
	})
	if err != nil {
		return nil, err
	}
	if err := client.CheckURL(u); err != nil {
		return nil, fmt.Errorf("notify: SMS gateway: %w", err)
	}
	return &Gateway{url: c.URL, token: c.Token, client: client}, nil
}

// e164 is a telephone number as ITU-T E.164 writes it.
var e164 = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// Send implements [Sender].
func (g *Gateway) Send(ctx context.Context, m Message) error {
	if !e164.MatchString(m.To) {
		return fmt.Errorf("%w: notify: the person's telephone number is malformed", outbox.ErrPermanent)
	}
	body, err := json.Marshal(map[string]string{"id": m.ID, "to": m.To, "text": m.Text})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	req.Header.Set("Idempotency-Key", m.ID)
	req.Header.Set("Content-Type", "application/json")
	res, err := g.client.Do(req)
	if err != nil {
		return fmt.Errorf("notify: SMS gateway: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body) // bounded; so that the connection can be used again
	switch s := res.StatusCode; {
	case s >= 200 && s < 300:
		return nil
	case s == http.StatusRequestTimeout, s == http.StatusTooEarly, s == http.StatusTooManyRequests, s >= 500:
		return fmt.Errorf("notify: the SMS gateway answered %d", s)
	default:
		return fmt.Errorf("%w: notify: the SMS gateway refused with %d", outbox.ErrPermanent, s)
	}
}
