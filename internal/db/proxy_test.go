package db_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// fault is what the proxy does to the next commit that passes it.
type fault int

const (
	none       fault = iota
	cutBefore        // the connection ends before the commit reaches the server
	cutAfter         // the server commits; its answer is lost
	holdMark         // the client loses the connection; batch record and COMMIT arrive later
	holdCommit       // as holdMark, but the server has carried out the batch record
	warn             // the server commits, with a warning
)

// proxy stands between the database handle and PostgreSQL, understands enough
// of the protocol to find a commit, and breaks one when told to.
type proxy struct {
	t      *testing.T
	l      net.Listener
	server string

	mu    sync.Mutex
	armed fault

	struck  chan struct{} // closed when the armed fault has happened
	release chan bool     // holdMark, holdCommit: deliver (true) or drop (false) what is held
	late    chan string   // … what became of it
	settled chan struct{} // … the server has answered it
}

func newProxy(t *testing.T, raw string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, l: l, server: u.Host, struck: make(chan struct{}), release: make(chan bool, 1), late: make(chan string, 1), settled: make(chan struct{}, 1)}
	u.Host = l.Addr().String()
	q := u.Query()
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	go p.accept()
	t.Cleanup(func() { _ = l.Close() })
	return p, u.String()
}

func (p *proxy) arm(f fault) { p.mu.Lock(); defer p.mu.Unlock(); p.armed = f }

// take returns the armed fault, once, if it strikes at this place.
func (p *proxy) take(at ...fault) fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range at {
		if p.armed == f {
			p.armed = none
			return f
		}
	}
	return none
}

func (p *proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		go p.serve(c)
	}
}

// link is one proxied connection.
type link struct {
	p              *proxy
	client, server net.Conn
	stmts          map[string]string

	mu     sync.Mutex
	answer fault // what to do with the server's next answer
}

func (p *proxy) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	k := &link{p: p, client: client, server: server, stmts: map[string]string{}}
	go k.fromServer()
	k.fromClient()
}

func readFrame(r io.Reader) ([]byte, error) {
	head := make([]byte, 5)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n < 4 || n > 1<<24 {
		return nil, errors.New("bad frame")
	}
	f := append(head, make([]byte, n-4)...)
	_, err := io.ReadFull(r, f[5:])
	return f, err
}

func (k *link) fromClient() {
	start := make([]byte, 4)
	if _, err := io.ReadFull(k.client, start); err != nil {
		return
	}
	body := make([]byte, binary.BigEndian.Uint32(start)-4)
	if _, err := io.ReadFull(k.client, body); err != nil {
		return
	}
	_, _ = k.server.Write(append(start, body...))
	for {
		f, err := readFrame(k.client)
		if err != nil {
			return
		}
		if !k.forward(f) {
			return
		}
	}
}

// forward passes a client's message on, or does what is armed. It reports
// whether the connection lives on.
func (k *link) forward(f []byte) bool {
	switch f[0] {
	case 'P': // Parse: name, query
		parts := bytes.SplitN(f[5:], []byte{0}, 3)
		k.stmts[string(parts[0])] = string(parts[1])
	case 'B': // Bind: portal, statement
		parts := bytes.SplitN(f[5:], []byte{0}, 3)
		q := k.stmts[string(parts[1])]
		switch {
		case strings.HasPrefix(q, "INSERT INTO db_commit") && strings.Contains(q, "CASE"):
			switch k.p.take(cutBefore, cutAfter, holdMark, warn) {
			case cutBefore:
				close(k.p.struck)
				return false
			case holdMark:
				k.hold(f)
				return false
			case cutAfter:
				k.setAnswer(cutAfter)
			case warn:
				k.setAnswer(warn)
			}
		case q == "COMMIT":
			if k.p.take(holdCommit) == holdCommit {
				k.setAnswer(holdCommit)
				_, _ = k.server.Write([]byte{'H', 0, 0, 0, 4}) // Flush: answer what you have so far
				<-k.p.settled
				k.hold(f)
				return false
			}
		}
	}
	_, err := k.server.Write(f)
	return err == nil
}

func (k *link) setAnswer(f fault) { k.mu.Lock(); defer k.mu.Unlock(); k.answer = f }

func (k *link) takeAnswer() fault { k.mu.Lock(); defer k.mu.Unlock(); return k.answer }

// hold takes the rest of the client's pipeline, drops the client, and later
// delivers the rest to the server.
func (k *link) hold(first []byte) {
	held := [][]byte{first}
	for held[len(held)-1][0] != 'S' { // Sync ends the pipeline
		f, err := readFrame(k.client)
		if err != nil {
			return
		}
		held = append(held, f)
	}
	k.setAnswer(holdMark)
	_ = k.client.Close()
	close(k.p.struck)
	if !<-k.p.release {
		k.p.late <- "dropped"
		return
	}
	for _, f := range held {
		_, _ = k.server.Write(f)
	}
	<-k.p.settled
	k.p.late <- "delivered"
}

func (k *link) fromServer() {
	defer func() { _ = k.client.Close() }()
	for {
		f, err := readFrame(k.server)
		if err != nil {
			return
		}
		switch k.takeAnswer() {
		case cutAfter: // swallow everything; go when the server is idle again
			if f[0] == 'Z' && f[5] == 'I' {
				_ = k.client.Close()
				_ = k.server.Close()
				close(k.p.struck)
				return
			}
			continue
		case holdCommit:
			if f[0] == 'C' { // CommandComplete of the batch record
				k.p.settled <- struct{}{}
			}
			continue
		case holdMark:
			if f[0] == 'Z' {
				k.p.settled <- struct{}{}
				k.setAnswer(none)
			}
			continue
		case warn:
			if f[0] == 'Z' {
				notice := []byte("SWARNING\x00VWARNING\x00C01000\x00Mwait for standby cancelled\x00\x00")
				n := append([]byte{'N'}, binary.BigEndian.AppendUint32(nil, uint32(len(notice)+4))...)
				_, _ = k.client.Write(append(n, notice...))
				k.setAnswer(none)
				close(k.p.struck)
			}
		}
		if _, err := k.client.Write(f); err != nil {
			return
		}
	}
}
