package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const good = `
public_url = "https://id.example" # the one
data_dir = '/var/lib/suti'
[listen]
behind_proxy = true
trusted_proxies = [
  "10.0.0.5", # front
  "10.1.0.0/16",
]
[organization]
name = "Gobierno \"de\" Oruro \u00d1"
nit = "1020255020"
short_name = "GAD"
[ca]
policy_arc = "1.3.6.1.4.1.99999"
`

func write(t *testing.T, src string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "suti.toml")
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func env(pairs map[string]string) func(string) string {
	return func(k string) string { return pairs[k] }
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	path := write(t, good+"[log]\nlevel = \"warn\"\n")
	for _, tt := range []struct {
		env          map[string]string
		set          []string
		want, source string
	}{
		{nil, nil, "warn", "suti.toml:17"},
		{map[string]string{"SUTI_LOG_LEVEL": "error"}, nil, "error", "SUTI_LOG_LEVEL"},
		{map[string]string{"SUTI_LOG_LEVEL": "error"}, []string{"log.level=debug"}, "debug", "--set"},
	} {
		c, err := Load(Options{Path: path, Set: tt.set, Getenv: env(tt.env)})
		if err != nil {
			t.Fatal(err)
		}
		if c.LogLevel != tt.want || c.Sources["log.level"] != tt.source {
			t.Errorf("got %q from %q, want %q from %q", c.LogLevel, c.Sources["log.level"], tt.want, tt.source)
		}
		if c.Sources["node"] != "default" || c.Node != "embedded" || c.Listen.ShutdownLimit != 20*time.Second {
			t.Errorf("defaults: node %q, limit %v", c.Node, c.Listen.ShutdownLimit)
		}
		if c.Organization.Name != `Gobierno "de" Oruro Ñ` || c.DatabaseURL != "sqlite:/var/lib/suti/suti.db" || c.Listen.AdminSocket != "/var/lib/suti/admin.sock" {
			t.Errorf("read %+v", c)
		}
		if got := getProxies(c); got != "10.0.0.5/32, 10.1.0.0/16" {
			t.Errorf("proxies: %s", got)
		}
	}
}

func TestAllFaultsAtOnceWithTheirPlaces(t *testing.T) {
	t.Parallel()
	path := write(t, `public_ulr = "https://id.example"
data_dir = /var/lib/suti
nonsense
[listen]
public = "everywhere"
private = "0.0.0.0:9090"
behind_proxy = "yes"
tls_cert_file = "a.pem"
[database]
url = "postgres://suti:hunter2@db/suti"
[ca]
policy_arc = "1.3.6.1.4.1.32473.1"
insecure_online_root = true
insecure_online_root = false
[organization]
name = "X"
nit = 1020
`)
	_, err := Load(Options{Path: path, Set: []string{"level=debug", "novalue"}, Getenv: env(map[string]string{"SUTI_LISTEN_SHUTDOWN_NOTICE": "soon"})})
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got %v, want faults", err)
	}
	text := err.Error()
	for _, want := range []string{
		`suti.toml:1: there is no key "public_ulr"; did you mean public_url?`,
		"suti.toml:2: data_dir has no value that is understood",
		"suti.toml:3: is not of the form",
		`suti.toml:5: listen.public "everywhere" cannot be listened on`,
		"suti.toml:6: listen.private would show metrics and profiles on 0.0.0.0",
		"suti.toml:7: listen.behind_proxy takes true or false",
		"suti.toml:8: listen.tls_cert_file and listen.tls_key_file belong together",
		"suti.toml:10: database.url holds a password",
		"suti.toml:12: ca.policy_arc cannot be used",
		"suti.toml:14: ca.insecure_online_root was set before, on line 13",
		"suti.toml:17: organization.nit takes text in quotes",
		"configuration: organization.short_name is missing",
		`--set: there is no key "level"; did you mean log.level?`,
		`--set: "novalue" is not key=value`,
		"SUTI_LISTEN_SHUTDOWN_NOTICE: listen.shutdown_notice",
		"configuration: public_url is missing",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(text, "hunter2") {
		t.Error("a password is in the error")
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ set, want string }{
		"plain http":        {"public_url=http://id.example", "public_url cannot be used"},
		"https without TLS": {"listen.behind_proxy=false", "tls_cert_file is missing"},
		"trust nobody":      {"listen.trusted_proxies=|listen.public=10.0.0.1:8080", "trusted_proxies is empty"},
		"status over TLS":   {"ca.pki_url=https://id.example", "ca.pki_url cannot be used"},
		"not a database":    {"database.url=mysql://db/suti", "has another scheme"},
		"password of Redis": {"cache.redis_url=redis://:secret@h:1/0", "cache.redis_url holds a password"},
		"both addresses":    {"database.url=sqlite:x|database.url_file=y", "stands beside database.url"},
		"genesis":           {"genesis_hash=abc", "is not 64 hexadecimal digits"},
		"node":              {"node=Nodo 1", "is no name"},
		"tax number":        {"organization.nit=12A", "organization.nit is no tax number"},
		"long end":          {"listen.shutdown_limit=21s", "do not fit"},
		"one address twice": {"listen.private=127.0.0.1:8080", "is the public listener's address"},
		"level":             {"log.level=loud", "is none"},
		"no logins":         {"limits.logins_per_minute=0", "0 does not fit"},
		"logins, many":      {"limits.logins_per_minute=100001", "100001 does not fit"},
		"logins, in words":  {"limits.logins_per_minute=many", "limits.logins_per_minute"},
	} {
		_, err := Load(Options{Path: write(t, good), Set: strings.Split(tt.set, "|"), Getenv: env(nil)})
		var faults Faults
		if !errors.As(err, &faults) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", name, err, tt.want)
		}
		if len(faults) != 1 {
			t.Errorf("%s: %d faults, want 1: %v", name, len(faults), err)
		}
		if err != nil && strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: a password is in the error", name)
		}
	}
}

func TestLocalhostNeedsNoTLS(t *testing.T) {
	t.Parallel()
	if _, err := Load(Options{Path: write(t, good), Set: []string{"public_url=http://localhost:8080", "listen.behind_proxy=false", "listen.trusted_proxies="}, Getenv: env(nil)}); err != nil {
		t.Error(err)
	}
}

func TestSecretsAreFilesThatOnlyTheOwnerReads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "passphrase")
	if err := os.WriteFile(file, []byte("correct horse battery\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(Options{Path: write(t, good), Getenv: env(map[string]string{"SUTI_PASSPHRASE_FILE": file})})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Passphrase()
	if err != nil || string(got) != "correct horse battery" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Passphrase(); !errors.Is(err, ErrLoose) {
		t.Errorf("mode 0644: got %v, want ErrLoose", err)
	}
	if c, err = Load(Options{Path: write(t, good), Getenv: env(map[string]string{"SUTI_PASSPHRASE_FILE": "credential:passphrase", "CREDENTIALS_DIRECTORY": dir})}); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Passphrase(); err != nil || string(got) != "correct horse battery" {
		t.Errorf("credential: got %q, %v", got, err)
	}
	c.PassphraseFile = "credential:../passphrase"
	if _, err := c.Passphrase(); err == nil {
		t.Error("a credential outside its folder was read")
	}
	c.PassphraseFile = ""
	if _, err := c.Passphrase(); !errors.Is(err, ErrNoPassphrase) {
		t.Errorf("no file: got %v", err)
	}
}

func TestItemsTellEverything(t *testing.T) {
	t.Parallel()
	c, err := Load(Options{Path: write(t, good), Getenv: env(nil)})
	if err != nil {
		t.Fatal(err)
	}
	items := c.Items()
	if len(items) != len(settings()) {
		t.Errorf("%d items, want %d", len(items), len(settings()))
	}
	want := Item{Key: "listen.behind_proxy", Value: "true", Source: "suti.toml:5", Env: "SUTI_LISTEN_BEHIND_PROXY", Doc: "TLS ends at a proxy in front of the public listener"}
	for _, i := range items {
		if i.Key == want.Key {
			if diff := cmp.Diff(i, want); diff != "" {
				t.Error(diff)
			}
		}
	}
}

func TestExamplesOfDeploymentLoad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../../deploy/config/*.toml")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d examples, %v", len(files), err)
	}
	for _, f := range files {
		if _, err := Load(Options{Path: f, Getenv: env(nil)}); err != nil {
			t.Errorf("%s: %v", filepath.Base(f), err)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{good, "a=1", "a = [", "a = \"\\u00", "[x]\ny=true#", "=\n]", "a='", "\xff", "a=[\"x\",\n,]", "a = -0\r\nb = 1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		entries, faults := scan("x", src)
		lines := strings.Count(src, "\n") + 1
		for _, e := range entries {
			if e.line < 1 || e.line > lines || e.key == "" {
				t.Errorf("entry %+v of %d lines", e, lines)
			}
		}
		if len(faults) > 3*lines+1 {
			t.Errorf("%d faults in %d lines", len(faults), lines)
		}
	})
}
