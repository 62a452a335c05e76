package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progressEvery is the least time between two lines of progress: short on a
// terminal, where the line is overwritten.
const (
	progressOnTTY  = 200 * time.Millisecond
	progressInLogs = 5 * time.Second
)

// progress tells on stderr how far long work is. The first telling comes after
// the interval, so that short work says nothing.
type progress struct {
	to     io.Writer // nil tells nothing
	what   string
	total  int64
	now    func() time.Time
	every  time.Duration
	tty    bool
	mu     sync.Mutex // guards the fields below
	done   int64
	last   time.Time
	copied bool // something was written to a terminal
}

// progress starts telling about work of total units; quiet tells nothing.
func (c *cli) progress(what string, total int64, quiet bool) *progress {
	p := &progress{what: what, total: total, now: c.now, last: c.now(), every: progressInLogs}
	if !quiet {
		p.to = c.stderr
	}
	if f, ok := c.stderr.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode()&os.ModeCharDevice != 0 {
			p.tty, p.every = true, progressOnTTY
		}
	}
	return p
}

// add says that n more units are done.
func (p *progress) add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
	p.tell()
}

// set says how many units are done, of how many.
func (p *progress) set(done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done, p.total = done, total
	p.tell()
}

func (p *progress) tell() {
	now := p.now()
	if p.to == nil || now.Sub(p.last) < p.every {
		return
	}
	p.last = now
	text := fmt.Sprintf("%s: %d", p.what, p.done)
	if p.total > 0 {
		text = fmt.Sprintf("%s: %d %%", p.what, min(100, 100*p.done/p.total))
	}
	if p.tty {
		p.copied = true
		fmt.Fprintf(p.to, "\r%s\x1b[K", text)
		return
	}
	fmt.Fprintln(p.to, text)
}

// end clears the line of a terminal.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.copied {
		fmt.Fprint(p.to, "\r\x1b[K")
		p.copied = false
	}
}

// watchedReader counts what is read from a file.
type watchedReader struct {
	r io.ReaderAt
	p *progress
}

// ReadAt implements io.ReaderAt.
func (w watchedReader) ReadAt(b []byte, off int64) (int, error) {
	n, err := w.r.ReadAt(b, off)
	w.p.add(int64(n))
	return n, err
}
