package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// notifySockets holds the notification socket of each running script, by its folder.
var notifySockets sync.Map

// scriptNotify makes the socket on which servers say that they are ready.
func scriptNotify(ts *testscript.TestScript, _ bool, _ []string) {
	path := ts.MkAbs("notify.sock")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	ts.Check(err)
	ts.Defer(func() { _ = conn.Close() })
	notifySockets.Store(ts.Getenv("WORK"), conn)
	ts.Setenv("NOTIFY_SOCKET", path)
}

// scriptNotified waits until a server has said so.
func scriptNotified(ts *testscript.TestScript, _ bool, args []string) {
	v, ok := notifySockets.Load(ts.Getenv("WORK"))
	if !ok {
		ts.Fatalf("no notification socket: use notify first")
	}
	conn := v.(*net.UnixConn)
	ts.Check(conn.SetReadDeadline(time.Now().Add(60 * time.Second)))
	buf := make([]byte, 512)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			ts.Fatalf("%s was not said: %v", args[0], err)
		}
		if strings.TrimSpace(string(buf[:n])) == args[0] {
			return
		}
	}
}

// scriptPorts sets two addresses that were free a moment ago.
func scriptPorts(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer l.Close()
		ts.Setenv(name, l.Addr().String())
	}
}

// scriptTimestamps makes entries, by asking for time-stamps.
func scriptTimestamps(ts *testscript.TestScript, _ bool, args []string) {
	var got stamped
	for i := range must(strconv.Atoi(args[1])) {
		ts.Check(got.stamp(http.DefaultClient, strings.TrimSuffix(strings.TrimPrefix(args[0], "http://"), "/pki/tsa"), int64(i)))
	}
}

// scriptGet writes the body of an address to stdout.
func scriptGet(ts *testscript.TestScript, _ bool, args []string) {
	req, err := http.NewRequest(http.MethodGet, args[0], nil)
	ts.Check(err)
	if len(args) > 1 {
		req.Host = args[1]
	}
	res, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer res.Body.Close()
	_, err = io.Copy(ts.Stdout(), io.LimitReader(res.Body, 4<<20))
	ts.Check(err)
}

// scriptStat compares the mode of a file.
func scriptStat(ts *testscript.TestScript, _ bool, args []string) {
	st, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := "0" + strconv.FormatUint(uint64(st.Mode().Perm()), 8); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// visitors holds the browsers of each script's people, by its folder and their name.
var visitors sync.Map

// scriptRegister registers people, T1 to T5, at the server of $PUBLIC.
func scriptRegister(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		v := newVisitor("http://localhost:8080", ts.Getenv("PUBLIC"))
		n, err := strconv.Atoi(strings.TrimLeft(name, "T"))
		ts.Check(err)
		code, err := v.register(invented[n-1])
		ts.Check(err)
		visitors.Store(ts.Getenv("WORK")+"/"+name, v)
		ts.Setenv(name, code)
	}
}

// scriptFounders signs the founding that waits at the server whose data is in data.
func scriptFounders(ts *testscript.TestScript, _ bool, args []string) {
	var st genesisStatus
	deadline := time.Now().Add(60 * time.Second)
	for st.State != genesisWaiting {
		if time.Now().After(deadline) {
			ts.Fatalf("no founding waits for signatures")
		}
		body, err := sendAdmin(context.Background(), ts.MkAbs("data/admin.sock"), http.MethodPost, adminGenesisStatus, []byte("{}"))
		ts.Check(err)
		ts.Check(json.Unmarshal(body, &st))
	}
	for _, name := range args {
		v, ok := visitors.Load(ts.Getenv("WORK") + "/" + name)
		if !ok {
			ts.Fatalf("%s is not registered", name)
		}
		ts.Check(v.(*visitor).found(st.Page, ts.Getenv(name)))
	}
}
