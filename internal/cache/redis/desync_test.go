package redis_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/cache/redis"
)

// scripted is a server that answers each command as told, in the wire format
// RESP2, whatever the command was: a server whose answers are out of order.
type scripted struct {
	ln     net.Listener
	answer func(args []string) string
	wg     sync.WaitGroup
}

func newScripted(t *testing.T, answer func(args []string) string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &scripted{ln: ln, answer: answer}
	s.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() { _ = ln.Close() })
	return "redis://" + ln.Addr().String()
}

func (s *scripted) serve(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	for {
		args, err := command(r)
		if err != nil {
			return
		}
		reply := "-ERR unknown command\r\n"
		if cmd := strings.ToUpper(args[0]); cmd != "HELLO" && cmd != "CLIENT" {
			reply = s.answer(args)
		}
		if _, err := io.WriteString(c, reply); err != nil {
			return
		}
	}
}

// command reads one array of bulk strings.
func command(r *bufio.Reader) ([]string, error) {
	n, err := header(r, '*')
	if err != nil {
		return nil, err
	}
	args := make([]string, n)
	for i := range args {
		size, err := header(r, '$')
		if err != nil {
			return nil, err
		}
		b := make([]byte, size+2)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, err
		}
		args[i] = string(b[:size])
	}
	return args, nil
}

func header(r *bufio.Reader, kind byte) (int, error) {
	line, err := r.ReadString('\n')
	if err != nil || line[0] != kind {
		return 0, errors.Join(err, errors.New("protocol"))
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

func bulk(s string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(s), s) }

// Each operation must refuse the answer to an earlier question.
func TestAnswerToAnotherQuestionIsRefused(t *testing.T) {
	t.Parallel()
	const win = ":1\r\n"
	for name, reply := range map[string]func(args []string) string{
		"earlier draw":    func([]string) string { return "*2\r\n" + bulk("AAAAAAAAAAAAAAAAAAAAAAAAAA") + win },
		"bare yes":        func([]string) string { return win },
		"OK":              func([]string) string { return "+OK\r\n" },
		"nothing":         func([]string) string { return "*0\r\n" },
		"null":            func([]string) string { return "*-1\r\n" },
		"draw only":       func(a []string) string { return "*1\r\n" + bulk(draw(a)) },
		"another kind":    func(a []string) string { return "*2\r\n" + bulk(draw(a)) + "*0\r\n" },
		"too many":        func(a []string) string { return "*3\r\n" + bulk(draw(a)) + win + win },
		"value elsewhere": func(a []string) string { return "*2\r\n" + bulk(draw(a)) + bulk("\x01\x00\x01xdatos") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := open(t, redis.Config{URL: newScripted(t, reply), Timeout: 2 * time.Second})
			if ok, err := r.SetNX(t.Context(), "k", nil, time.Minute); ok || !errors.Is(err, cache.ErrUnavailable) {
				t.Errorf("SetNX: got %v, %v; want ErrUnavailable", ok, err)
			}
			if n, err := r.Incr(t.Context(), "k", time.Minute); n != 0 || !errors.Is(err, cache.ErrUnavailable) {
				t.Errorf("Incr: got %d, %v; want ErrUnavailable", n, err)
			}
			if d, err := r.Take(t.Context(), "k", cache.Rate{Count: 5, Per: time.Minute}, 1); d.Allowed || !errors.Is(err, cache.ErrUnavailable) {
				t.Errorf("Take: got %+v, %v; want ErrUnavailable", d, err)
			}
			if v, ok, err := r.GetDel(t.Context(), "k"); ok {
				t.Errorf("GetDel: got %q, %v; want no value", v, err)
			}
			if v, ok, err := r.Get(t.Context(), "k"); ok {
				t.Errorf("Get: got %q, %v; want no value", v, err)
			}
			if err := r.Set(t.Context(), "k", nil, time.Minute); !errors.Is(err, cache.ErrUnavailable) {
				t.Errorf("Set: got %v, want ErrUnavailable", err)
			}
		})
	}
}

// draw returns ARGV[1] of an EVALSHA: command, digest, number of keys, key, draw.
func draw(args []string) string {
	if len(args) < 5 {
		return ""
	}
	return args[4]
}
