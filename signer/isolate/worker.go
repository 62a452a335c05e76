package isolate

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"oruro.gob.bo/suti/signer/pades"
)

// Exit codes of the child. 2 is the Go runtime's, of a panic.
const (
	exitAsked  = 64 // was asked wrongly
	exitMemory = 65
	exitCPU    = 66
	exitReport = 67 // the answer would be too long
	exitBounds = 68 // could not bound itself, and read nothing
	exitParent = 69 // the parent is gone
)

const (
	// fileDescriptor is that of the file.
	fileDescriptor = 3
	// maxStack bounds one goroutine's stack: the parsers do not recurse deeply.
	maxStack = 64 << 20
	// look is how often the child looks at what it uses.
	look = 2 * time.Millisecond
)

// bounds are the limits that the child puts on itself, from its arguments.
type bounds struct {
	memory int64         // bytes, resident
	cpu    time.Duration // user and system
}

func (b bounds) args() []string {
	return []string{fmt.Sprintf("-memory=%d", b.memory), fmt.Sprintf("-cpu=%v", b.cpu)}
}

func parseBounds(args []string) (b bounds, err error) {
	f := flag.NewFlagSet("verify-worker", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Int64Var(&b.memory, "memory", 0, "")
	f.DurationVar(&b.cpu, "cpu", 0, "")
	if err := f.Parse(args); err != nil {
		return b, err
	}
	if b.memory <= 0 || b.cpu <= 0 || f.NArg() > 0 {
		return b, errors.New("is started by the server, never by hand")
	}
	return b, nil
}

// Work is the child: it bounds itself as args say, judges the file that is its
// descriptor 3 as standard input asks, writes one answer to standard output and
// returns the exit code. It belongs at the very beginning of a program, and the
// program has to end with it.
func Work(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	b, err := parseBounds(args)
	if err != nil {
		fmt.Fprintln(stderr, "verify-worker:", err)
		return exitAsked
	}
	check, err := confine(b)
	if err != nil {
		fmt.Fprintln(stderr, "verify-worker: bounds:", err)
		return exitBounds
	}
	code, err := answerOne(stdin, stdout, os.NewFile(fileDescriptor, "file"), check)
	if err != nil {
		fmt.Fprintln(stderr, "verify-worker:", err)
	}
	return code
}

// confine puts the bounds on this process, for good, and watches over them. It
// returns the watch's look at what is used: the process ends if that is too much.
func confine(b bounds) (check func(), err error) {
	debug.SetMaxStack(maxStack)
	u, err := newUsage()
	if err != nil {
		return nil, err
	}
	if err := setLimits(b); err != nil {
		return nil, err
	}
	check = func() {
		memory, cpu, err := u.read()
		switch {
		case err != nil:
			os.Exit(exitBounds)
		case memory > b.memory:
			os.Exit(exitMemory)
		case cpu > b.cpu:
			os.Exit(exitCPU)
		}
	}
	check()
	go func() {
		for range time.Tick(look) {
			check()
		}
	}()
	return check, nil
}

func answerOne(in io.Reader, out io.Writer, file *os.File, check func()) (code int, err error) {
	r := bufio.NewReader(in)
	var q request
	if err := readRequest(r, &q); err != nil {
		return exitAsked, fmt.Errorf("request: %w", err)
	}
	go func() { // whoever asked is gone when this ends
		_, _ = r.ReadByte()
		os.Exit(exitParent)
	}()
	b, err := encode(judge(q, file))
	if err != nil {
		return exitAsked, fmt.Errorf("answer: %w", err)
	}
	check()
	if len(b) > q.Report {
		return exitReport, nil
	}
	if _, err := out.Write(b); err != nil {
		return exitParent, err
	}
	return 0, nil
}

// readRequest reads one line of JSON.
func readRequest(r *bufio.Reader, q *request) error {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
		if len(line) > maxRequest {
			return errors.New("too long")
		}
	}
	return json.Unmarshal(line, q)
}

func judge(q request, file io.ReaderAt) (*pades.Report, error) {
	o := pades.VerifyOptions{At: q.At}
	var err error
	if o.Roots, err = pool(q.Roots); err != nil {
		return nil, err
	}
	if o.TimestampRoots, err = pool(q.TimestampRoots); err != nil {
		return nil, err
	}
	return pades.Verify(context.Background(), file, q.Size, o)
}
