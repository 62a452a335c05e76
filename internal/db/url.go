package db

import (
	"fmt"
	"net/url"
	"strings"
)

// Engine says which database answers.
type Engine int

// The engines.
const (
	SQLite Engine = iota + 1
	Postgres
)

// String returns "sqlite" or "postgres".
func (e Engine) String() string {
	switch e {
	case SQLite:
		return "sqlite"
	case Postgres:
		return "postgres"
	}
	return "unknown"
}

// target is a parsed Config.URL.
type target struct {
	engine Engine
	path   string // SQLite: file path
	dsn    string // PostgreSQL: the URL as given; may hold a password
	secret []string
}

// parseURL accepts "sqlite:PATH" and "postgres://…" or "postgresql://…". Its
// errors never contain the URL, which may hold a password.
func parseURL(raw string) (target, error) {
	if raw == "" {
		return target{}, fmt.Errorf("%w: empty; want sqlite:PATH or postgres://…", ErrURL)
	}
	if path, ok := strings.CutPrefix(raw, "sqlite:"); ok {
		return parseSQLitePath(path)
	}
	if !strings.HasPrefix(raw, "postgres://") && !strings.HasPrefix(raw, "postgresql://") {
		return target{}, fmt.Errorf("%w: unsupported engine; want sqlite:PATH or postgres://…", ErrURL)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return target{}, fmt.Errorf("%w: not a well-formed postgres:// URL", ErrURL)
	}
	if u.Fragment != "" {
		return target{}, fmt.Errorf("%w: fragment not allowed; escape # as %%23", ErrURL)
	}
	t := target{engine: Postgres, dsn: raw}
	if p, ok := u.User.Password(); ok && p != "" {
		t.secret = append(t.secret, p, url.QueryEscape(p), url.PathEscape(p))
	}
	if p := u.Query().Get("password"); p != "" {
		t.secret = append(t.secret, p, url.QueryEscape(p), url.PathEscape(p))
	}
	return t, nil
}

func parseSQLitePath(path string) (target, error) {
	path = strings.TrimPrefix(path, "//")
	switch {
	case path == "":
		return target{}, fmt.Errorf("%w: sqlite: needs a file path", ErrURL)
	case strings.HasPrefix(path, ":") || strings.HasPrefix(path, "file:"):
		return target{}, fmt.Errorf("%w: sqlite: takes a plain file path; in-memory databases are not supported", ErrURL)
	case strings.ContainsAny(path, "?#%\x00"):
		return target{}, fmt.Errorf("%w: sqlite: path must not contain ?, #, %% or NUL", ErrURL)
	}
	return target{engine: SQLite, path: path}, nil
}

// redact removes the URL's password from a driver's message.
func (t target) redact(s string) string {
	for _, p := range t.secret {
		s = strings.ReplaceAll(s, p, "[redacted]")
	}
	return s
}
