package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// ErrCredential reports that the other side refused name, password or token.
var ErrCredential = errors.New("notify: the credential was refused")

// Check connects to the mail server as for a message, with TLS and the password
// if there is one, and sends nothing.
func (s *SMTP) Check(ctx context.Context) error {
	conn, err := s.client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("notify: connect to the mail server: %w", err)
	}
	return s.client.CloseWithSMTPClient(conn)
}

// Check asks the gateway for the head of its address, which sends nothing. Any
// answer shows that it is there; 401 and 403 are ErrCredential.
func (g *Gateway) Check(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, g.url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+g.token)
	res, err := g.client.Do(req)
	if err != nil {
		return fmt.Errorf("notify: SMS gateway: %w", err)
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode == http.StatusUnauthorized, res.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%w: the SMS gateway answered %d", ErrCredential, res.StatusCode)
	case res.StatusCode >= 500 && res.StatusCode != http.StatusNotImplemented:
		return fmt.Errorf("notify: the SMS gateway answered %d", res.StatusCode)
	}
	return nil
}
