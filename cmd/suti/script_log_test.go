package main

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"oruro.gob.bo/suti/internal/audit/logverify"
)

const testOrigin = "suti.example/log"

// testLogKey is fixed, so that a log can be extended and forked.
var testLogKey = ed25519.NewKeyFromSeed([]byte("the seed of the scripts' log key"))

func scriptLog(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(writeLog(ts.MkAbs(args[0]), must(strconv.Atoi(args[1])), ""))
	ts.Setenv("VKEY", must(logverify.VerifierKey(testOrigin, testLogKey.Public().(ed25519.PublicKey))))
}

func scriptForkLog(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.RemoveAll(ts.MkAbs(args[0])))
	ts.Check(writeLog(ts.MkAbs(args[0]), must(strconv.Atoi(args[1])), "another history"))
}

// writeLog writes a log as published: bundles, tiles, checkpoint.
func writeLog(dir string, n int, salt string) error {
	put := func(t logverify.Tile, b []byte) error {
		path := filepath.Join(dir, filepath.FromSlash(t.Path()))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.WriteFile(path, b, 0o644)
	}
	builder, err := logverify.NewBuilder(0, nil)
	if err != nil {
		return err
	}
	builder.Emit = func(t logverify.Tile, hs []logverify.Hash) error { return put(t, logverify.TileData(hs)) }
	var bundle []byte
	for i := range n {
		leaf, err := logverify.Leaf{
			Class: logverify.ClassSignature, Time: time.Unix(1_770_000_000+int64(i), 0),
			Commitment: logverify.LeafHash([]byte(salt + strconv.Itoa(i))),
		}.Marshal()
		if err != nil {
			return err
		}
		bundle = logverify.AppendBundle(bundle, leaf)
		if err := builder.Append(logverify.LeafHash(leaf)); err != nil {
			return err
		}
		if width := i%logverify.TileWidth + 1; width == logverify.TileWidth || i == n-1 {
			if err := put(logverify.Tile{Entries: true, N: int64(i / logverify.TileWidth), Width: width}, bundle); err != nil {
				return err
			}
			if width == logverify.TileWidth {
				bundle = nil
			}
		}
	}
	tiles, hashes := builder.Edge()
	for i, t := range tiles {
		if err := put(t, logverify.TileData(hashes[i])); err != nil {
			return err
		}
	}
	note, err := logverify.SignCheckpoint(logverify.Checkpoint{Origin: testOrigin, Tree: builder.Tree()}, testLogKey)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, logverify.CheckpointPath), note, 0o644)
}

func scriptServeLog(ts *testscript.TestScript, _ bool, args []string) {
	srv := httptest.NewServer(http.FileServerFS(os.DirFS(ts.MkAbs(args[0]))))
	ts.Defer(srv.Close)
	ts.Setenv("LOG", srv.URL)
}

func scriptFlip(ts *testscript.TestScript, _ bool, args []string) {
	b := []byte(ts.ReadFile(args[0]))
	at := must(strconv.Atoi(args[1]))
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

func scriptAppend(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ts.ReadFile(args[0])+args[1]+"\n"), 0o644))
}

// scriptIsJSON compares a member of the JSON in a file (or stdout) with a text.
func scriptIsJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: isjson FILE PATH VALUE")
	}
	got := jsonMember(ts, args[0], args[1])
	if (got == args[2]) == neg {
		ts.Fatalf("%s is %q, not %q", args[1], got, args[2])
	}
}

// scriptSetJSON sets a variable to a member of the JSON in a file.
func scriptSetJSON(ts *testscript.TestScript, _ bool, args []string) {
	ts.Setenv(args[0], jsonMember(ts, args[1], args[2]))
}

// jsonMember returns a member as text; a list gives its length.
func jsonMember(ts *testscript.TestScript, file, path string) string {
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(file)), &v))
	for _, step := range strings.Split(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			v = at[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(at) {
				ts.Fatalf("%s: no element %s", path, step)
			}
			v = at[i]
		default:
			v = nil
		}
	}
	if list, ok := v.([]any); ok {
		return fmt.Sprintf("%d elements", len(list))
	}
	return fmt.Sprint(v)
}

// scriptExits runs suti and compares its exit code; "any" takes every one.
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	var path string
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(dir, "suti")); err == nil {
			path = filepath.Join(dir, "suti")
			break
		}
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), ts.Stdout(), ts.Stderr()
	cmd.Env = os.Environ()
	for _, name := range []string{"PATH", "HOME", "SUTI_CONFIG", "SUTI_LISTEN_PUBLIC", "SUTI_LISTEN_PRIVATE", "SUTI_DATABASE_URL_FILE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	if got := strconv.Itoa(cmd.ProcessState.ExitCode()); got != args[0] && args[0] != "any" {
		ts.Fatalf("exit code %s, want %s", got, args[0])
	}
}
