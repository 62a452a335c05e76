package envelope_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/envelope"
)

var (
	passphrase = []byte("papa amarilla de Oruro")
	other      = []byte("quinua real del salar")
	// cheap keeps the tests fast; the vector below runs the real costs.
	cheap   = envelope.Params{MemoryKiB: envelope.MinMemoryKiB, Time: 1, Threads: 1}
	created = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
)

func create(t testing.TB, c envelope.FileConfig) (string, *envelope.File) {
	t.Helper()
	if c.Params == (envelope.Params{}) {
		c.Params = cheap
	}
	path := filepath.Join(t.TempDir(), "suti.key")
	f, err := envelope.CreateFile(path, passphrase, c)
	if err != nil {
		t.Fatal(err)
	}
	return path, f
}

func TestFileRoundTrip(t *testing.T) {
	t.Parallel()
	path, f := create(t, envelope.FileConfig{Created: created})
	got, err := envelope.OpenFile(path, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	if !got.KEK().Equal(f.KEK()) || !got.NodeKey().Equal(f.NodeKey()) || got.NodeID != f.NodeID ||
		got.SerialPrefix != f.SerialPrefix || got.Header != f.Header {
		t.Error("the opened file differs from the created one")
	}
	if got.SerialPrefix < 1 || got.SerialPrefix > 0x7f || !got.Header.Created.Equal(created) || got.Header.Purpose != "node" {
		t.Errorf("prefix %#x, header %+v", got.SerialPrefix, got.Header)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("mode: got %v, %v, want 0600", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) != 0 {
		t.Errorf("temporary files left: %v", left)
	}
	h, err := envelope.ReadHeader(path)
	if err != nil || h != f.Header {
		t.Errorf("ReadHeader: got %+v, %v", h, err)
	}
	if s := fmt.Sprintf("%v %+v %#v", f, f, struct{ f *envelope.File }{f}); strings.Contains(s, f.NodeID) {
		t.Errorf("a file prints as %q", s)
	}
}

func TestSecondNodeSharesTheKEKOnly(t *testing.T) {
	t.Parallel()
	_, first := create(t, envelope.FileConfig{SerialPrefix: 0x01})
	path, second := create(t, envelope.FileConfig{KEKs: first.KEKs(), SerialPrefix: 0x7f})
	if !second.KEK().Equal(first.KEK()) {
		t.Error("the KEK is not the same")
	}
	if second.NodeID == first.NodeID || second.NodeKey().Equal(first.NodeKey()) || second.SerialPrefix != 0x7f {
		t.Error("the identity is the same")
	}
	second.Wipe()
	if first.KEK().IsZero() {
		t.Error("wiping one file reached the key of another")
	}
	if again, err := envelope.OpenFile(path, passphrase); err != nil || !again.KEK().Equal(first.KEK()) {
		t.Errorf("reopen: %v", err)
	}
}

func TestOpenFileRefuses(t *testing.T) {
	t.Parallel()
	path, _ := create(t, envelope.FileConfig{})
	if _, err := envelope.OpenFile(path, other); !errors.Is(err, envelope.ErrPassphrase) {
		t.Errorf("wrong passphrase: got %v", err)
	}
	if _, err := envelope.OpenFile(path, append(bytes.Clone(passphrase), '\n')); !errors.Is(err, envelope.ErrPassphrase) {
		t.Errorf("passphrase with a line end: got %v", err)
	}
	if _, err := envelope.OpenFile(path, bytes.Repeat(passphrase, 100)); !errors.Is(err, envelope.ErrPassphrase) {
		t.Errorf("overlong passphrase: got %v", err)
	}
	if _, err := envelope.OpenFileFor(path, passphrase, "signer-core"); !errors.Is(err, envelope.ErrPurpose) {
		t.Errorf("other purpose: got %v", err)
	}
	if _, err := envelope.OpenFile(path+".not", passphrase); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: got %v", err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := envelope.OpenFile(path, passphrase); !errors.Is(err, envelope.ErrMode) {
			t.Errorf("mode %o: got %v, want ErrMode", mode, err)
		}
		if _, err := envelope.ReadHeader(path); !errors.Is(err, envelope.ErrMode) {
			t.Errorf("mode %o: header: got %v, want ErrMode", mode, err)
		}
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := envelope.OpenFile(path, passphrase); err != nil {
		t.Errorf("mode 0400: got %v", err)
	}
}

// TestOpenFileDoesNotBlock: a named pipe would hold a start for ever.
func TestOpenFileDoesNotBlock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Skipf("no named pipes here: %v", err)
	}
	for _, p := range []string{pipe, dir} {
		if _, err := envelope.OpenFile(p, passphrase); !errors.Is(err, envelope.ErrMode) {
			t.Errorf("%s: got %v, want ErrMode", filepath.Base(p), err)
		}
	}
}

func TestCreateFileRefuses(t *testing.T) {
	t.Parallel()
	path, _ := create(t, envelope.FileConfig{})
	before, _ := os.ReadFile(path)
	if _, err := envelope.CreateFile(path, passphrase, envelope.FileConfig{Params: cheap}); !errors.Is(err, envelope.ErrExists) {
		t.Errorf("existing: got %v", err)
	}
	link := filepath.Join(t.TempDir(), "dangling")
	if err := os.Symlink(path+".nowhere", link); err != nil {
		t.Fatal(err)
	}
	if _, err := envelope.CreateFile(link, passphrase, envelope.FileConfig{Params: cheap}); !errors.Is(err, envelope.ErrExists) {
		t.Errorf("dangling link: got %v", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, before) {
		t.Error("the existing file was changed")
	}
	fresh := filepath.Join(t.TempDir(), "k")
	k := envelope.NewKey()
	for name, c := range map[string]struct {
		pass []byte
		cfg  envelope.FileConfig
		want error
	}{
		"no passphrase":    {nil, envelope.FileConfig{}, envelope.ErrWeakPassphrase},
		"short passphrase": {[]byte("elevenbytes"), envelope.FileConfig{}, envelope.ErrWeakPassphrase},
		"long passphrase":  {make([]byte, 1025), envelope.FileConfig{}, envelope.ErrWeakPassphrase},
		"memory low":       {passphrase, envelope.FileConfig{Params: envelope.Params{MemoryKiB: 8191}}, envelope.ErrParameters},
		"memory high":      {passphrase, envelope.FileConfig{Params: envelope.Params{MemoryKiB: 1<<20 + 1}}, envelope.ErrParameters},
		"time high":        {passphrase, envelope.FileConfig{Params: envelope.Params{Time: 17}}, envelope.ErrParameters},
		"threads high":     {passphrase, envelope.FileConfig{Params: envelope.Params{Threads: 5}}, envelope.ErrParameters},
		"prefix high":      {passphrase, envelope.FileConfig{SerialPrefix: 0x80}, envelope.ErrFormat},
		"purpose":          {passphrase, envelope.FileConfig{Purpose: "a\nb"}, envelope.ErrFormat},
		"year":             {passphrase, envelope.FileConfig{Created: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, envelope.ErrFormat},
		"zero KEK":         {passphrase, envelope.FileConfig{KEKs: []envelope.Key{{}}}, envelope.ErrNoKey},
		"same KEK twice":   {passphrase, envelope.FileConfig{KEKs: []envelope.Key{k, k}}, envelope.ErrKEKs},
		"five KEKs":        {passphrase, envelope.FileConfig{KEKs: []envelope.Key{key(t, 1), key(t, 2), key(t, 3), key(t, 4), key(t, 5)}}, envelope.ErrKEKs},
	} {
		if _, err := envelope.CreateFile(fresh, c.pass, c.cfg); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, err := os.Lstat(fresh); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a refused creation left a file")
	}
}

// TestCreateFileHasOneWinner: of two that create the same file, one does.
func TestCreateFileHasOneWinner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k")
	var wg sync.WaitGroup
	var won atomic.Int32
	var winner atomic.Pointer[envelope.File]
	for range 6 {
		wg.Go(func() {
			f, err := envelope.CreateFile(path, passphrase, envelope.FileConfig{Params: cheap})
			if err == nil {
				won.Add(1)
				winner.Store(f)
			} else if !errors.Is(err, envelope.ErrExists) {
				t.Errorf("loser: %v", err)
			}
		})
	}
	wg.Wait()
	f, err := envelope.OpenFile(path, passphrase)
	if won.Load() != 1 || err != nil || !f.KEK().Equal(winner.Load().KEK()) {
		t.Errorf("%d winners, open: %v", won.Load(), err)
	}
}

func TestChangePassphrase(t *testing.T) {
	t.Parallel()
	path, f := create(t, envelope.FileConfig{Created: created})
	before, _ := os.ReadFile(path)
	for name, err := range map[string]error{
		"wrong old": envelope.ChangePassphrase(path, other, other, "node"),
		"weak new":  envelope.ChangePassphrase(path, passphrase, []byte("short"), "node"),
		"purpose":   envelope.ChangePassphrase(path, passphrase, other, "elsewhere"),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, before) {
		t.Fatal("a refused change changed the file")
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := envelope.ChangePassphrase(link, passphrase, other, "node"); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Lstat(link); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link was replaced, not the file: %v", err)
	}
	if _, err := envelope.OpenFile(path, passphrase); !errors.Is(err, envelope.ErrPassphrase) {
		t.Errorf("old passphrase: got %v", err)
	}
	got, err := envelope.OpenFile(path, other)
	if err != nil || !got.KEK().Equal(f.KEK()) || got.NodeID != f.NodeID || !got.Header.Created.Equal(created) {
		t.Errorf("new passphrase: %v", err)
	}
	if fi, _ := os.Stat(path); fi.Mode() != 0o600 {
		t.Errorf("mode: %v", fi.Mode())
	}
}

// TestRewriteIsExclusive: with the lock held, nobody else may change the file.
func TestRewriteIsExclusive(t *testing.T) {
	t.Parallel()
	path, _ := create(t, envelope.FileConfig{})
	h, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := syscall.Flock(int(h.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := envelope.AddKEK(path, passphrase, "node", envelope.NewKey()); !errors.Is(err, envelope.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	h.Close()
	// Whatever order concurrent additions take, none that reported success is lost.
	var wg sync.WaitGroup
	var mu sync.Mutex
	var added []envelope.Key
	for range 3 {
		wg.Go(func() {
			k := envelope.NewKey()
			err := envelope.AddKEK(path, passphrase, "node", k)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				added = append(added, k)
			} else if !errors.Is(err, envelope.ErrBusy) {
				t.Errorf("AddKEK: %v", err)
			}
		})
	}
	wg.Wait()
	f, err := envelope.OpenFile(path, passphrase)
	if err != nil || len(f.KEKs()) != 1+len(added) {
		t.Fatalf("got %d keys, %v, want %d", len(f.KEKs()), err, 1+len(added))
	}
	for _, k := range added {
		if !slices.ContainsFunc(f.KEKs(), k.Equal) {
			t.Error("an added key is lost")
		}
	}
}

func TestKEKsOfAFile(t *testing.T) {
	t.Parallel()
	path, f := create(t, envelope.FileConfig{})
	first, second := f.KEK(), envelope.NewKey()
	open := func() []string {
		t.Helper()
		f, err := envelope.OpenFile(path, passphrase)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, k := range f.KEKs() {
			out = append(out, k.Fingerprint())
		}
		return out
	}
	one, two := first.Fingerprint(), second.Fingerprint()
	steps := []struct {
		name string
		err  error
		do   func() error
		want []string
	}{
		{"add", nil, func() error { return envelope.AddKEK(path, passphrase, "node", second) }, []string{one, two}},
		{"add again", envelope.ErrKEKs, func() error { return envelope.AddKEK(path, passphrase, "node", second) }, []string{one, two}},
		{"promote", nil, func() error { return envelope.PromoteKEK(path, passphrase, "node", two) }, []string{two, one}},
		{"promote unknown", envelope.ErrKEKs, func() error { return envelope.PromoteKEK(path, passphrase, "node", "00") }, []string{two, one}},
		{"drop", nil, func() error { return envelope.DropKEK(path, passphrase, "node", one) }, []string{two}},
		{"drop the last", envelope.ErrKEKs, func() error { return envelope.DropKEK(path, passphrase, "node", two) }, []string{two}},
	}
	for _, s := range steps {
		if err := s.do(); !errors.Is(err, s.err) {
			t.Errorf("%s: got %v, want %v", s.name, err, s.err)
		}
		if got := open(); !slices.Equal(got, s.want) {
			t.Errorf("%s: got %v, want %v", s.name, got, s.want)
		}
	}
	if second.IsZero() {
		t.Error("the caller's key was wiped")
	}
}
