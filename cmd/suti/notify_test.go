package main

import (
	"net"
	"path/filepath"
	"testing"
)

// A listener that reads nothing more must not keep the server from ending: its
// queue takes a few messages, and each further one is given up.
func TestNotifyingNobodyWhoReadsComesToAnEnd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "n")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := &notifier{addr: path}
	for range 15 { // the kernel's queue holds some ten
		n.send("WATCHDOG=1")
	}
}
