package db

import (
	"strings"
	"testing"
)

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{
		"sqlite:a.db", "sqlite:///var/x.db", "sqlite::memory:", "sqlite:a?mode=ro", "postgres://u:pw@h:5432/d?sslmode=disable",
		"postgresql://h/d?password=pw&x=%zz", "postgres://u:pw@[::1", "postgres://u:p%77@h/d#x", "mysql://x", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		target, err := parseURL(raw)
		if err != nil {
			// The URL may hold a password: no error may quote what is beyond the scheme.
			if rest := strings.TrimPrefix(raw, "postgres://"); len(rest) > 8 && rest != raw && strings.Contains(err.Error(), rest) {
				t.Errorf("error quotes the URL: %v", err)
			}
			return
		}
		switch target.engine {
		case SQLite:
			if target.path == "" || strings.ContainsAny(target.path, "?#%\x00") {
				t.Errorf("path %q accepted", target.path)
			}
		case Postgres:
			for _, p := range target.secret {
				if p != "" && !strings.Contains("[redacted]", p) && strings.Contains(target.redact("text "+p+" text"), p) {
					t.Errorf("secret survives redaction")
				}
			}
		default:
			t.Errorf("engine %v", target.engine)
		}
	})
}

func TestSQLitePathsReachTheDriverUnchanged(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{"/a b/ñ.db": "file:/a%20b/%C3%B1.db?", "rel/x.db": "file:rel/x.db?"} {
		if got := sqliteDSN(path, true); !strings.HasPrefix(got, want) {
			t.Errorf("%s: got %s, want prefix %s", path, got, want)
		}
	}
}
