package tour

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"oruro.gob.bo/suti/cmd/internal/demo"
	"oruro.gob.bo/suti/internal/cache/redis"
	"oruro.gob.bo/suti/internal/db"
)

// pingTimeout bounds the wait for the cache's sign of life.
const pingTimeout = 5 * time.Second

// askCache asks the cache for a sign of life and says in words what it is. The
// system itself starts without its cache and waits for it; a tour that names one
// is there to try it.
func askCache(ctx context.Context, address string) (string, error) {
	if address == "" {
		return "caché en el proceso", nil
	}
	r, err := redis.New(redis.Config{URL: address})
	if err != nil {
		return "", fmt.Errorf("--redis: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := errors.Join(r.Ping(ctx), r.Close()); err != nil {
		return "", fmt.Errorf("--redis: the cache does not answer: %w (check the address and that the server runs)", err)
	}
	where := "caché Redis"
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		where += " en " + u.Host + u.Path // never the password
	}
	return where, nil
}

// engineName says which database this is, with its version.
func engineName(ctx context.Context, d *db.DB) (string, error) {
	name, query := "SQLite", "SELECT sqlite_version()"
	if d.Engine() == db.Postgres {
		name, query = "PostgreSQL", "SHOW server_version"
	}
	var version string
	if err := d.QueryRow(ctx, query).Scan(&version); err != nil {
		return "", fmt.Errorf("ask the database for its version: %w", err)
	}
	version, _, _ = strings.Cut(version, " ") // without the distribution's own
	return name + " " + version, nil
}

// startFault says why the system did not start.
func startFault(err error) error {
	if errors.Is(err, demo.ErrUsed) {
		return fmt.Errorf("--db: %w: a tour needs an empty database of its own", err)
	}
	return fmt.Errorf("start the system: %w", err)
}
