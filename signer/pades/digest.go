package pades

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"hash"
	"io"
	"slices"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// digestJob is a byte range to be digested: all of [0, end) but [hole, holeEnd).
type digestJob struct {
	h                  crypto.Hash
	hole, holeEnd, end int64
	state              hash.Hash // from the hole on
	sum                []byte
}

// digestAll digests several byte ranges in one reading of the file. The parts
// behind the holes do not overlap, since each lies in a revision of its own,
// so the work is at most twice the file for each algorithm. Every byte up to
// the last end is also written to also.
func digestAll(ctx context.Context, r io.ReaderAt, jobs []*digestJob, also io.Writer) error {
	heads := map[crypto.Hash]hash.Hash{} // of the file from its beginning
	var cuts []int64
	for _, j := range jobs {
		heads[j.h] = j.h.New()
		cuts = append(cuts, j.hole, j.holeEnd, j.end)
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	b := buffers.Get().(*[]byte)
	defer buffers.Put(b)
	buf := *b
	pos := int64(0)
	for _, cut := range cuts {
		for pos < cut {
			if err := ctx.Err(); err != nil {
				return err
			}
			n, err := r.ReadAt(buf[:min(int64(len(buf)), cut-pos)], pos)
			if n == 0 {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return fmt.Errorf("pades: read file at %d: %w", pos, err)
			}
			feed(heads, jobs, buf[:n], pos)
			_, _ = also.Write(buf[:n])
			pos += int64(n)
		}
		if err := turn(heads, jobs, pos); err != nil {
			return err
		}
	}
	return nil
}

// feed gives bytes that cross no cut to the states that cover them.
func feed(heads map[crypto.Hash]hash.Hash, jobs []*digestJob, p []byte, pos int64) {
	need := map[crypto.Hash]bool{}
	for _, j := range jobs {
		if pos < j.hole {
			need[j.h] = true
		}
		if pos >= j.holeEnd && pos < j.end {
			_, _ = j.state.Write(p)
		}
	}
	for h := range need {
		_, _ = heads[h].Write(p)
	}
}

// turn begins and ends jobs at a cut.
func turn(heads map[crypto.Hash]hash.Hash, jobs []*digestJob, pos int64) error {
	for _, j := range jobs {
		if pos == j.hole {
			c, ok := heads[j.h].(hash.Cloner)
			if !ok {
				return fmt.Errorf("pades: %v cannot be cloned", j.h)
			}
			state, err := c.Clone()
			if err != nil {
				return fmt.Errorf("pades: clone digest: %w", err)
			}
			j.state = state
		}
		if pos == j.end && j.state != nil {
			j.sum = j.state.Sum(nil)
		}
	}
	return nil
}

// hiddenScan looks in the bytes of a file for "N G obj" that no
// cross-reference section of any revision names: content that a later update
// could bring to light, and that a repairing viewer may show.
type hiddenScan struct {
	f      *cos.File
	pos    int64 // of the next byte to be written
	carry  []byte
	hidden int
	last   int64
}

// objCarry is the longest "N G obj" looked for.
const objCarry = 32

func (s *hiddenScan) Write(p []byte) (int, error) {
	if len(s.carry) > 0 {
		joint := slices.Concat(s.carry, p[:min(len(p), objCarry)])
		s.scan(joint, s.pos-int64(len(s.carry)))
	}
	s.scan(p, s.pos)
	s.pos += int64(len(p))
	s.carry = append(s.carry, p[max(0, len(p)-objCarry):]...)
	s.carry = s.carry[max(0, len(s.carry)-objCarry):]
	return len(p), nil
}

func (s *hiddenScan) scan(text []byte, base int64) {
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(" obj"))
		if i < 0 {
			return
		}
		at += i + 4
		s.found(text[:at-4], base)
	}
}

// found looks at the text before " obj".
func (s *hiddenScan) found(before []byte, base int64) {
	i := len(before)
	digits := func() bool {
		end := i
		for i > 0 && end-i < 10 && before[i-1] >= '0' && before[i-1] <= '9' {
			i--
		}
		return i < end
	}
	if !digits() || i == 0 || before[i-1] != ' ' {
		return
	}
	i--
	end := i
	if !digits() {
		return
	}
	off := base + int64(i)
	if off <= s.last && s.last > 0 {
		return // seen in the carry
	}
	s.last = off
	num := int64(0)
	for _, c := range before[i:end] {
		num = num*10 + int64(c-'0')
	}
	if !s.f.Names(num, off) {
		s.hidden++
	}
}
