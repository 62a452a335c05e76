package sdk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	maxMetadataBytes = 64 << 10
	maxReplyBytes    = 1 << 20
	// refetchEvery bounds how often an unknown key id makes the key set be fetched anew.
	refetchEvery = time.Minute
	// keysFor is how long a key set is used before it is fetched again.
	keysFor = time.Hour
)

// metadata is the part of the provider's RFC 8414 document that is used.
type metadata struct {
	Issuer              string   `json:"issuer"`
	Authorization       string   `json:"authorization_endpoint"`
	Token               string   `json:"token_endpoint"`
	UserInfo            string   `json:"userinfo_endpoint"`
	Introspection       string   `json:"introspection_endpoint"`
	EndSession          string   `json:"end_session_endpoint"`
	PAR                 string   `json:"pushed_authorization_request_endpoint"`
	JWKS                string   `json:"jwks_uri"`
	IssParameter        bool     `json:"authorization_response_iss_parameter_supported"`
	IDTokenAlgs         []string `json:"id_token_signing_alg_values_supported"`
	RequestURIsRequired bool     `json:"require_pushed_authorization_requests"`
}

// provider knows the issuer's addresses and keys.
type provider struct {
	meta metadata
	http *http.Client
	now  func() time.Time

	mu      sync.Mutex // guards keys, fetched, tried
	keys    map[string]verificationKey
	fetched time.Time
	tried   time.Time
}

// discover reads the provider's metadata (OpenID Connect Discovery 1.0 §4) and
// refuses one that names another issuer or an address without TLS outside the own machine.
func discover(ctx context.Context, issuer string, client *http.Client, now func() time.Time) (*provider, error) {
	if err := checkURL(issuer); err != nil {
		return nil, fmt.Errorf("%w: issuer: %w", ErrConfig, err)
	}
	p := &provider{http: client, now: now}
	raw, err := p.get(ctx, strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", maxMetadataBytes)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDiscovery, err)
	}
	if err := json.Unmarshal(raw, &p.meta); err != nil {
		return nil, fmt.Errorf("%w: not JSON", ErrDiscovery)
	}
	if p.meta.Issuer != issuer {
		return nil, fmt.Errorf("%w: the document is another issuer's", ErrDiscovery)
	}
	if !p.meta.IssParameter {
		return nil, fmt.Errorf("%w: the provider does not send iss in its responses (RFC 9207)", ErrDiscovery)
	}
	for _, u := range []string{p.meta.Authorization, p.meta.Token, p.meta.JWKS} {
		if err := checkURL(u); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDiscovery, err)
		}
	}
	for _, u := range []string{p.meta.UserInfo, p.meta.Introspection, p.meta.EndSession, p.meta.PAR} {
		if u == "" {
			continue // not served
		}
		if err := checkURL(u); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDiscovery, err)
		}
	}
	return p, nil
}

// checkURL accepts https, and http for the own machine.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("not an absolute address")
	}
	switch host := u.Hostname(); {
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && (host == "localhost" || strings.HasSuffix(host, ".localhost") || host == "127.0.0.1" || host == "::1"):
		return nil
	}
	return errors.New("must be https")
}

func (p *provider) get(ctx context.Context, address string, limit int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	res, err := p.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := readLimited(res.Body, limit)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d", res.StatusCode)
	}
	return body, nil
}

func readLimited(r io.Reader, limit int64) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("reply over %d bytes", limit)
	}
	return body, nil
}

// key returns the verification key of a kid, fetching the set when it is old
// or, at most once a minute, when the kid is unknown.
func (p *provider) key(ctx context.Context, kid string) (verificationKey, error) {
	if kid == "" {
		return verificationKey{}, tokenErr("no key id")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	k, known := p.keys[kid]
	fresh := now.Sub(p.fetched) < keysFor
	if known && fresh {
		return k, nil
	}
	if p.tried.IsZero() || now.Sub(p.tried) >= refetchEvery {
		p.tried = now
		if raw, err := p.get(ctx, p.meta.JWKS, maxJWKSBytes); err != nil {
			if !known {
				return k, fmt.Errorf("%w: %w", ErrDiscovery, err)
			}
		} else if keys, err := parseJWKS(raw); err != nil {
			return k, err
		} else {
			p.keys, p.fetched = keys, now
			k, known = keys[kid]
		}
	}
	if !known {
		return k, tokenErr("unknown key id")
	}
	return k, nil
}

// verifyJWS checks form, typ, key and signature and returns the payload.
func (p *provider) verifyJWS(ctx context.Context, token string, types ...string) ([]byte, error) {
	h, payload, sig, signed, err := splitJWS(token)
	if err != nil {
		return nil, err
	}
	typ := strings.TrimPrefix(strings.ToLower(h.Typ), "application/")
	okType := false
	for _, t := range types {
		okType = okType || typ == t
	}
	if !okType {
		return nil, tokenErr("typ is not one of %v", types)
	}
	key, err := p.key(ctx, h.Kid)
	if err != nil {
		return nil, err
	}
	if err := verifySignature(h.Alg, key, signed, sig); err != nil {
		return nil, err
	}
	return payload, nil
}
