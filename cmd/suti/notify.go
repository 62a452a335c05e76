package main

import (
	"context"
	"net"
	"strconv"
	"time"
)

// notifier tells systemd about the process (sd_notify(3)). Outside systemd it
// does nothing.
type notifier struct {
	addr  string
	every time.Duration // of the watchdog, 0 for none
}

func newNotifier(getenv func(string) string) *notifier {
	n := &notifier{addr: getenv("NOTIFY_SOCKET")}
	if us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
		n.every = time.Duration(us) * time.Microsecond / 2
	}
	return n
}

// sendLimit bounds how long a listener whose queue is full holds the server up.
const sendLimit = time.Second

// send sends one state. systemd not listening is no fault of the server.
func (n *notifier) send(state string) {
	if n.addr == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.addr, Net: "unixgram"})
	if err != nil {
		return
	}
	if conn.SetWriteDeadline(time.Now().Add(sendLimit)) == nil {
		_, _ = conn.Write([]byte(state))
	}
	_ = conn.Close()
}

// watchdog says that the process is well, as long as it is, until ctx ends.
func (n *notifier) watchdog(ctx context.Context, well func(context.Context) bool) {
	if n.addr == "" || n.every == 0 {
		return
	}
	t := time.NewTicker(n.every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if well(ctx) {
				n.send("WATCHDOG=1")
			}
		}
	}
}
