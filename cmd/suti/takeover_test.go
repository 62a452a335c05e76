package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/tsp"
)

// node is a server in a process of its own.
type node struct {
	t               *testing.T
	config, socket  string
	public, private string
	notify          *net.UnixConn
	notifyPath      string
	log             lockedBuffer
	cmd             *exec.Cmd
}

// newNode configures a node on a shared database; the first makes the keys.
func newNode(t *testing.T, name, urlFile string, first *node) *node {
	t.Helper()
	dir := t.TempDir()
	n := &node{
		t: t, config: filepath.Join(dir, "suti.toml"), socket: filepath.Join(dir, "data", "admin.sock"),
		public: freeAddress(t), private: freeAddress(t), notifyPath: filepath.Join(dir, "n"),
	}
	pass := filepath.Join(dir, "passphrase")
	text := fmt.Sprintf("node = %q\n", name) + fmt.Sprintf(testSettings, filepath.Join(dir, "data"), pass, n.public, n.private) + fmt.Sprintf("[database]\nurl_file = %q\n", urlFile)
	for path, text := range map[string]string{pass: "a passphrase for this test", n.config: text} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"key", "init", "--config", n.config}
	if first != nil {
		from := filepath.Dir(first.config)
		args = append(args, "--same-keys-as", filepath.Join(from, "data", "suti.key"), "--its-passphrase-file", filepath.Join(from, "passphrase"))
	}
	if code := run(t.Context(), args, nil, io.Discard, &n.log, func(string) string { return "" }); code != exitOK {
		t.Fatalf("key init: code %d\n%s", code, n.log.String())
	}
	var err error
	if n.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: n.notifyPath, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.notify.Close() })
	return n
}

// start runs the node's process until it is ready.
func (n *node) start() {
	n.t.Helper()
	n.cmd = exec.Command("suti", "serve", "--config", n.config)
	n.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+n.notifyPath)
	n.cmd.Stderr = &n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	cmd := n.cmd
	n.t.Cleanup(func() { // whatever happens, nothing is left running
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	waitNotified(n.t, n.notify, "READY=1", &n.log)
}

// leads asks the node to sequence now, which only the leader does.
func (n *node) leads(ctx context.Context) bool {
	_, err := callAdmin(ctx, n.socket, http.MethodPost, adminLog)
	return err == nil
}

// stamped are the serials of the time-stamps that were given out.
type stamped struct {
	mu      sync.Mutex // guards serials
	serials []string
	count   atomic.Int64
	failed  atomic.Int64
}

// stamp asks one node for a time-stamp; its answer acknowledges an entry.
func (s *stamped) stamp(client *http.Client, addr string, i int64) error {
	sum := sha256.Sum256(fmt.Append(nil, addr, i))
	body, err := (&tsp.Request{Imprint: tsp.Imprint{Hash: crypto.SHA256, Digest: sum[:]}}).Marshal()
	if err != nil {
		return err
	}
	res, err := client.Post("http://"+addr+"/pki/tsa", tsp.RequestType, bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return err
	}
	answer, err := tsp.ParseResponse(raw)
	if err != nil || answer.Status != tsp.Granted {
		return fmt.Errorf("%d, %v", res.StatusCode, err)
	}
	token, err := tsp.ParseToken(answer.Token)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serials = append(s.serials, hex.EncodeToString(token.Info.Serial.FillBytes(make([]byte, 17))))
	s.count.Add(1)
	return nil
}

// load asks nodes for time-stamps, the other one where one fails, until ctx ends.
func (s *stamped) load(ctx context.Context, wg *sync.WaitGroup, addrs ...string) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: 3 * time.Second}
	for w := range 4 {
		wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for i := int64(w); ctx.Err() == nil; i += 4 {
				<-tick.C
				if err := s.stamp(client, addrs[int(i/4)%len(addrs)], i); err != nil {
					s.failed.Add(1)
				}
			}
		})
	}
}

// eventually calls fn until it holds.
func eventually(t *testing.T, what string, fn func() bool) {
	t.Helper()
	tick, end := time.NewTicker(50*time.Millisecond), time.After(90*time.Second)
	defer tick.Stop()
	for !fn() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within 90 s: %s", what)
		}
	}
}

// TestLeaderIsReplacedUnderLoad kills the node that leads the log, and freezes
// the next one, while both give out time-stamps: the other takes over, nothing
// that was acknowledged is lost, no place is empty or given twice, and the
// frozen leader writes nothing when it wakes.
func TestLeaderIsReplacedUnderLoad(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	server := os.Getenv(dbtest.EnvPostgres)
	if server == "" {
		dbtest.Missing(t, dbtest.EnvPostgres+" is not set")
	}
	ctx := t.Context()
	url := newSchema(t, server)
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte(url), 0o600); err != nil {
		t.Fatal(err)
	}
	one := newNode(t, "nodo-1", file, nil)
	one.start()
	two := newNode(t, "nodo-2", file, one)
	two.start()

	var got stamped
	work, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	got.load(work, &wg, one.public, two.public)
	more := func(n int64) {
		t.Helper()
		from := got.count.Load()
		eventually(t, fmt.Sprintf("%d more time-stamps", n), func() bool { return got.count.Load() >= from+n })
	}
	leader := func() (leads, follows *node) {
		t.Helper()
		eventually(t, "one node leads", func() bool {
			for _, n := range []*node{one, two} {
				if n.leads(ctx) {
					leads = n
				}
			}
			return leads != nil
		})
		if follows = one; leads == one {
			follows = two
		}
		return leads, follows
	}

	more(50)
	dead, other := leader()
	if err := dead.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	more(20)
	eventually(t, "the other leads after the kill", func() bool { return other.leads(ctx) })
	more(20)
	_ = dead.cmd.Wait()
	dead.start()
	more(20)

	frozen, other := leader()
	if err := frozen.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	more(20)
	eventually(t, "the other leads after the freeze", func() bool { return other.leads(ctx) })
	if err := frozen.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	more(50)
	stop()
	wg.Wait()
	t.Logf("%d time-stamps acknowledged, %d tries failed", got.count.Load(), got.failed.Load())
	for _, n := range []*node{one, two} {
		if err := n.cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := n.cmd.Wait(); err != nil {
			t.Errorf("end: %v\n%s", err, n.log.String())
		}
	}
	one.start() // places what the others left waiting
	eventually(t, "all is placed", func() bool {
		_, err := callAdmin(ctx, one.socket, http.MethodPost, adminLog)
		return err == nil
	})
	checkStamped(t, url, one, got.serials)
}

// checkStamped holds that each acknowledged time-stamp has one entry with a
// place, and that the record is whole.
func checkStamped(t *testing.T, url string, n *node, serials []string) {
	t.Helper()
	ctx := t.Context()
	d, err := db.Open(ctx, db.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	places := map[string]int{}
	rows, err := d.Query(ctx, "SELECT object, leaf_index IS NULL FROM audit_entry WHERE kind = 'tsa.stamp'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var sn string
		var waits bool
		if err := rows.Scan(&sn, &waits); err != nil {
			t.Fatal(err)
		}
		if places[sn]++; waits {
			t.Errorf("time-stamp %s has no place", sn)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, sn := range serials {
		if places[sn] != 1 {
			t.Errorf("acknowledged time-stamp %s: %d entries, want one", sn, places[sn])
		}
	}
	var size, last int64
	if err := d.QueryRow(ctx, "SELECT COUNT(leaf_index), MAX(leaf_index) FROM audit_entry").Scan(&size, &last); err != nil || size != last+1 {
		t.Errorf("%d places up to %d, %v", size, last, err)
	}
	file, err := envelope.OpenFile(filepath.Join(filepath.Dir(n.socket), "suti.key"), []byte("a passphrase for this test"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Wipe()
	keys, err := keystore.Open(ctx, keystore.Config{DB: d, KEK: file.KEK()})
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.New(audit.Config{DB: d, Keys: keys, Erased: keystore.ErrErased})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := log.Check(ctx, audit.CheckOptions{HighWater: filepath.Join(filepath.Dir(n.socket), "log.highwater")}); err != nil || !r.OK() || r.Pending > 0 {
		t.Errorf("record: %+v, %v", r, err)
	}
}
