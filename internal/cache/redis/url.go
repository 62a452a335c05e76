package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// ErrURL reports an address that [New] does not understand. It never repeats
// the address, which may hold a password.
var ErrURL = errors.New("redis: bad address")

// parseURL turns an address in one of the forms of [Config] into client
// options. An unknown parameter is refused.
func parseURL(s string) (*goredis.UniversalOptions, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, fmt.Errorf("%w: not a URL", ErrURL)
	}
	scheme, mode, _ := strings.Cut(u.Scheme, "+")
	if scheme != "redis" && scheme != "rediss" {
		return nil, fmt.Errorf("%w: scheme must be redis or rediss", ErrURL)
	}
	if u.Hostname() == "" || u.Fragment != "" || u.Opaque != "" {
		return nil, fmt.Errorf("%w: want scheme://host:port", ErrURL)
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: bad parameters", ErrURL)
	}
	defaultPort := "6379"
	if mode == "sentinel" {
		defaultPort = "26379"
	}
	o := &goredis.UniversalOptions{Username: u.User.Username()}
	o.Password, _ = u.User.Password()
	for _, hp := range append([]string{u.Host}, q["addr"]...) {
		addr, err := withPort(hp, defaultPort)
		if err != nil {
			return nil, err
		}
		o.Addrs = append(o.Addrs, addr)
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		if o.DB, err = strconv.Atoi(db); err != nil || o.DB < 0 {
			return nil, fmt.Errorf("%w: database is not a number", ErrURL)
		}
	}
	if scheme == "rediss" {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
		if mode != "" {
			o.TLSConfig.ServerName = "" // each node is verified under its own name
		}
	}
	return o, applyMode(o, mode, q)
}

func applyMode(o *goredis.UniversalOptions, mode string, q url.Values) error {
	allowed := map[string]bool{"addr": mode != "", "master": mode == "sentinel"}
	for k, v := range q {
		if !allowed[k] || (k != "addr" && len(v) != 1) {
			return fmt.Errorf("%w: parameter %.32q is unknown, repeated or not for this scheme", ErrURL, k)
		}
	}
	switch mode {
	case "":
	case "sentinel":
		if o.MasterName = q.Get("master"); o.MasterName == "" {
			return fmt.Errorf("%w: sentinel needs master=NAME", ErrURL)
		}
	case "cluster":
		if o.DB != 0 {
			return fmt.Errorf("%w: a cluster has only database 0", ErrURL)
		}
		o.IsClusterMode = true
	default:
		return fmt.Errorf("%w: want redis, redis+sentinel or redis+cluster", ErrURL)
	}
	return nil
}

func withPort(hostport, port string) (string, error) {
	u, err := url.Parse("//" + hostport)
	if err != nil || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" {
		return "", fmt.Errorf("%w: bad host and port", ErrURL)
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}
