package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testSettings = `public_url = "http://localhost:8080"
data_dir = %q
passphrase_file = %q
[listen]
public = %q
private = %q
shutdown_notice = "400ms"
[organization]
name = "Gobierno de prueba"
nit = "1020255020"
short_name = "GP"
[ca]
policy_arc = "1.3.6.1.4.1.99999"
insecure_online_root = true
`

// deployment is a server that was started as operators start it.
type deployment struct {
	t                   *testing.T
	dir, config, origin string
	listen, private     string
	notify              *net.UnixConn // where it says how it is
	log                 *lockedBuffer
	cancel              context.CancelFunc // asks it to end
	done                chan struct{}      // closed when it has, then code is set
	code                int
}

// startServer writes a configuration, makes the key file and serves until the
// test is over, when it has to end well. change may alter the configuration,
// which lies in dir; env is what its environment holds besides.
func startServer(t *testing.T, change func(settings, dir string) string, env map[string]string) *deployment {
	t.Helper()
	dir := t.TempDir()
	d := &deployment{
		t: t, dir: dir, config: filepath.Join(dir, "suti.toml"), origin: "http://localhost:8080", listen: freeAddress(t), private: freeAddress(t),
		log: &lockedBuffer{}, done: make(chan struct{}),
	}
	pass, socket := filepath.Join(dir, "passphrase"), filepath.Join(dir, "n")
	settings := fmt.Sprintf(testSettings, filepath.Join(dir, "data"), pass, d.listen, d.private)
	if change != nil {
		settings = change(settings, dir)
	}
	d.write("passphrase", "a passphrase for this test")
	d.write("suti.toml", settings)
	var err error
	if d.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.notify.Close() })
	d.run(exitOK, "key", "init")
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	getenv := func(k string) string {
		if k == "NOTIFY_SOCKET" {
			return socket
		}
		return env[k]
	}
	go func() {
		defer close(d.done)
		d.code = run(ctx, []string{"serve", "--config", d.config}, nil, io.Discard, d.log, getenv)
	}()
	t.Cleanup(func() {
		cancel()
		<-d.done
		if d.code != exitOK {
			t.Errorf("serve ended with %d\n%s", d.code, d.log)
		}
	})
	waitNotified(t, d.notify, "READY=1", d.log)
	return d
}

// write puts a file into the deployment's folder and returns its path.
func (d *deployment) write(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

// run executes a command on the deployment and returns what it wrote; its code
// has to be the one wanted, or any if that is negative.
func (d *deployment) run(want int, args ...string) (stdout, stderr string) {
	d.t.Helper()
	var out, errs bytes.Buffer
	args = append(args, "--config", d.config)
	if code := run(d.t.Context(), args, strings.NewReader("yes\n"), &out, &errs, func(string) string { return "" }); want >= 0 && code != want {
		d.t.Fatalf("suti %s: code %d, want %d\n%s%s", strings.Join(args, " "), code, want, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// ask runs a command with --json and decodes its answer.
func ask[T any](d *deployment, args ...string) (v T) {
	d.t.Helper()
	out, _ := d.run(exitOK, append(args, "--json")...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		d.t.Fatalf("suti %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return v
}

func (d *deployment) visitor() *visitor { return newVisitor(d.origin, d.listen) }
