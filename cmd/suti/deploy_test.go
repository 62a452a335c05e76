package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"oruro.gob.bo/suti/cmd/internal/config"
	"oruro.gob.bo/suti/internal/db/dbtest"
)

const deployDir = "../../deploy"

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		dbtest.Missing(t, name+" is not installed")
	}
	return path
}

func readText(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestUnitIsUnderstoodAndClosed asks systemd itself, with this program in the
// place of the installed one.
func TestUnitIsUnderstoodAndClosed(t *testing.T) {
	t.Parallel()
	analyze := tool(t, "systemd-analyze")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	unit := readText(t, filepath.Join(deployDir, "systemd", "suti.service"))
	path := filepath.Join(t.TempDir(), "suti.service")
	if err := os.WriteFile(path, []byte(strings.Replace(unit, "/usr/local/bin/suti", self, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", path).CombinedOutput(); err != nil || strings.Contains(string(out), "suti.service:") {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err := exec.Command(analyze, "security", "--offline=yes", path).CombinedOutput()
	if err != nil {
		t.Fatalf("security: %v\n%s", err, out)
	}
	m := regexp.MustCompile(`Overall exposure level for suti.service: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("no score in\n%s", out)
	}
	if score, err := strconv.ParseFloat(string(m[1]), 64); err != nil || score > 1.5 {
		t.Errorf("exposure %s, want at most 1.5", m[1])
	}
}

// TestUnitFitsTheProgram compares the unit with what the program does.
func TestUnitFitsTheProgram(t *testing.T) {
	t.Parallel()
	unit := readText(t, filepath.Join(deployDir, "systemd", "suti.service"))
	for _, want := range []string{"Type=notify", "TimeoutStopSec=30s", "LoadCredential=passphrase:", "UMask=0077", "LimitCORE=0"} {
		if !strings.Contains(unit, want) {
			t.Errorf("no %s", want)
		}
	}
	m := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/suti (.*)$`).FindStringSubmatch(unit)
	if m == nil {
		t.Fatal("no ExecStart")
	}
	knownCommand(t, strings.Fields(m[1]))
	for _, f := range []string{"one-node.toml", "several-nodes.toml"} {
		for _, cred := range regexp.MustCompile(`"credential:([a-z-]+)"`).FindAllStringSubmatch(readText(t, filepath.Join(deployDir, "config", f)), -1) {
			if !strings.Contains(unit, "LoadCredential="+cred[1]+":") {
				t.Errorf("%s wants the credential %s, which the unit does not name", f, cred[1])
			}
		}
	}
}

// TestUnitLetsChildrenBoundThemselves: the server starts itself as a child that
// bounds itself (design D15); systemd itself says what the filter lets through.
func TestUnitLetsChildrenBoundThemselves(t *testing.T) {
	t.Parallel()
	analyze := tool(t, "systemd-analyze")
	unit := readText(t, filepath.Join(deployDir, "systemd", "suti.service"))
	members := func(group string) []string {
		out, err := exec.Command(analyze, "syscall-filter", "--no-pager", group).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(string(out), ""))
	}
	var has func(group, call string) bool
	has = func(group, call string) bool {
		for _, m := range members(group)[1:] {
			if m == call || strings.HasPrefix(m, "@") && has(m, call) {
				return true
			}
		}
		return false
	}
	lines := regexp.MustCompile(`(?m)^SystemCallFilter=(~?)(.*)$`).FindAllStringSubmatch(unit, -1)
	if len(lines) != 2 || lines[0][1] != "" || lines[1][1] != "~" {
		t.Fatalf("the filter is not the one this test knows: %q", lines)
	}
	for _, call := range []string{"execve", "clone", "clone3", "vfork", "setpgid", "prctl", "prlimit64", "getrusage", "kill", "waitid", "pidfd_open", "pidfd_send_signal"} {
		if !has(lines[0][2], call) && !has("@default", call) {
			t.Errorf("%s is not let through", call)
		}
		for _, group := range strings.Fields(lines[1][2]) {
			if has(group, call) {
				t.Errorf("%s is taken away with %s", call, group)
			}
		}
	}
	for _, line := range []string{"OOMPolicy=continue", "NoNewPrivileges=yes", "ProcSubset=pid", "LimitCORE=0"} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("no %s", line)
		}
	}
	for _, bad := range []string{"NoExecPaths", "LimitNPROC", "LimitAS", "\nMemoryDenyWriteExecute=yes"} {
		if strings.Contains(unit, bad) {
			t.Errorf("%s would keep children from starting", bad)
		}
	}
}

// knownCommand fails unless the words name a command of this program and flags of it.
func knownCommand(t *testing.T, words []string) {
	t.Helper()
	c := &cli{stdout: t.Output(), stderr: t.Output(), getenv: func(string) string { return "" }}
	cmd, rest, err := c.root().Find(words)
	if err != nil || cmd.HasSubCommands() {
		t.Errorf("suti %s is no command: %v", strings.Join(words, " "), err)
		return
	}
	if err := cmd.ParseFlags(rest); err != nil {
		t.Errorf("suti %s: %v", strings.Join(words, " "), err)
	}
}

// serviceKeys are the keys of a service that the compose file may use.
var serviceKeys = []string{
	"image", "user", "command", "restart", "read_only", "init", "cap_drop", "cap_add", "security_opt", "pids_limit", "mem_limit", "shm_size",
	"stop_grace_period", "depends_on", "ports", "networks", "volumes", "tmpfs", "secrets", "healthcheck", "environment",
}

func TestComposeFile(t *testing.T) {
	t.Parallel()
	top, err := parseYAML(readText(t, filepath.Join(deployDir, "compose", "compose.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	for k := range top {
		if !slices.Contains([]string{"name", "services", "networks", "volumes", "secrets"}, k) {
			t.Errorf("unknown key %s", k)
		}
	}
	services := top["services"].(map[string]any)
	if len(services) != 3 {
		t.Errorf("%d services, want app, db and cache", len(services))
	}
	for name, v := range services {
		checkService(t, name, v.(map[string]any), top)
	}
	app := services["app"].(map[string]any)
	knownCommand(t, texts(app["command"]))
	probe := texts(app["healthcheck"].(map[string]any)["test"])
	if len(probe) < 3 || probe[0] != "CMD" || probe[1] != "/suti" {
		t.Fatalf("the probe of app is %v", probe)
	}
	knownCommand(t, probe[2:])
	cfg, err := config.Load(config.Options{Path: filepath.Join(deployDir, "compose", "suti.toml"), Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{cfg.PassphraseFile, cfg.DatabaseURLFile} {
		if name, ok := strings.CutPrefix(path, "/run/secrets/"); !ok || !slices.Contains(texts(app["secrets"]), name) {
			t.Errorf("the configuration reads %s, which is no secret of app", path)
		}
	}
}

func checkService(t *testing.T, name string, s, top map[string]any) {
	t.Helper()
	for k := range s {
		if !slices.Contains(serviceKeys, k) {
			t.Errorf("%s: unknown key %s", name, k)
		}
	}
	if s["read_only"] != "true" || !slices.Contains(texts(s["cap_drop"]), "ALL") || !slices.Contains(texts(s["security_opt"]), "no-new-privileges:true") || s["mem_limit"] == nil {
		t.Errorf("%s: not closed: read_only %v, cap_drop %v, security_opt %v, mem_limit %v", name, s["read_only"], s["cap_drop"], s["security_opt"], s["mem_limit"])
	}
	health, ok := s["healthcheck"].(map[string]any)
	if !ok || len(texts(health["test"])) < 2 {
		t.Errorf("%s: no healthcheck", name)
	}
	for _, p := range texts(s["ports"]) {
		if !strings.HasPrefix(p, "127.0.0.1:") {
			t.Errorf("%s: port %s is open to everybody", name, p)
		}
	}
	for kind, refs := range map[string][]string{"networks": texts(s["networks"]), "secrets": texts(s["secrets"])} {
		defined := top[kind].(map[string]any)
		for _, r := range refs {
			if defined[r] == nil {
				t.Errorf("%s: %s %s is not defined", name, kind, r)
			}
		}
	}
	for _, v := range texts(s["volumes"]) {
		source, _, _ := strings.Cut(v, ":")
		if file, local := strings.CutPrefix(source, "./"); local {
			if _, err := os.Stat(filepath.Join(deployDir, "compose", file)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else if top["volumes"].(map[string]any)[source] == nil {
			t.Errorf("%s: volume %s is not defined", name, source)
		}
	}
	depends, _ := s["depends_on"].(map[string]any)
	for other, v := range depends {
		needed, ok := top["services"].(map[string]any)[other].(map[string]any)
		if !ok || needed["healthcheck"] == nil || v.(map[string]any)["condition"] != "service_healthy" {
			t.Errorf("%s: depends on %s, which does not tell its health", name, other)
		}
	}
}

func texts(v any) []string {
	var out []string
	list, _ := v.([]any)
	for _, e := range list {
		out = append(out, fmt.Sprint(e))
	}
	return out
}

// parseYAML reads the part of YAML that the compose file is written in: nested
// maps, lists of one-line values, flow lists that are JSON. Anything else is an
// error, as is a key that stands twice.
func parseYAML(src string) (map[string]any, error) {
	p := &yamlReader{}
	for n, l := range strings.Split(src, "\n") {
		if text := strings.TrimSpace(l); text == "" || text[0] == '#' {
			continue
		}
		if strings.ContainsRune(l, '\t') {
			return nil, fmt.Errorf("line %d: a tab", n+1)
		}
		p.lines, p.numbers = append(p.lines, l), append(p.numbers, n+1)
	}
	v, err := p.block(0)
	if err == nil && p.at < len(p.lines) {
		err = fmt.Errorf("line %d: indented wrongly", p.numbers[p.at])
	}
	m, ok := v.(map[string]any)
	if err == nil && !ok {
		err = fmt.Errorf("no map")
	}
	return m, err
}

type yamlReader struct {
	lines   []string
	numbers []int
	at      int
}

func indent(l string) int { return len(l) - len(strings.TrimLeft(l, " ")) }

func (p *yamlReader) block(level int) (any, error) {
	m, list := map[string]any{}, []any(nil)
	for p.at < len(p.lines) && indent(p.lines[p.at]) == level {
		text, n := strings.TrimSpace(p.lines[p.at]), p.numbers[p.at]
		p.at++
		if item, ok := strings.CutPrefix(text, "- "); ok {
			v, err := scalar(item)
			if err != nil {
				return nil, fmt.Errorf("line %d: %w", n, err)
			}
			list = append(list, v)
			continue
		}
		key, rest, ok := strings.Cut(text, ":")
		if _, twice := m[key]; !ok || twice || rest != "" && rest[0] != ' ' {
			return nil, fmt.Errorf("line %d: %q is no key, or stands twice", n, key)
		}
		var v any
		var err error
		switch {
		case strings.TrimSpace(rest) != "":
			v, err = scalar(strings.TrimSpace(rest))
		case p.at < len(p.lines) && indent(p.lines[p.at]) > level:
			v, err = p.block(indent(p.lines[p.at]))
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		m[key] = v
	}
	if list != nil && len(m) > 0 {
		return nil, fmt.Errorf("a list and a map in one place")
	}
	if list != nil {
		return list, nil
	}
	return m, nil
}

// scalar reads a one-line value. Plain words stay text: they are compared as such.
func scalar(s string) (v any, err error) {
	if strings.ContainsRune(`["{`, rune(s[0])) {
		err = json.Unmarshal([]byte(s), &v)
		return v, err
	}
	if strings.ContainsAny(s, "#&*!|>'%@`") || strings.Contains(s, ": ") {
		return nil, fmt.Errorf("%q wants quotes", s)
	}
	return s, nil
}
