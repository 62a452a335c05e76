package pades

import (
	"bytes"
	"crypto"
	"fmt"
	"hash"
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

// digester digests several byte ranges of a file that is written to it from
// its beginning. The parts behind the holes do not overlap, since each lies in a
// revision of its own, so the work is at most twice the file for each algorithm,
// however many there are: the states of what comes before a hole are forked.
type digester struct {
	jobs  []*digestJob
	heads map[crypto.Hash]hash.Hash // of the file from its beginning
	cuts  []int64                   // where jobs begin and end, from pos on
	pos   int64
}

func newDigester(jobs []*digestJob) *digester {
	d := &digester{jobs: jobs, heads: map[crypto.Hash]hash.Hash{}}
	for _, j := range jobs {
		d.heads[j.h] = j.h.New()
		d.cuts = append(d.cuts, j.hole, j.holeEnd, j.end)
	}
	slices.Sort(d.cuts)
	d.cuts = slices.Compact(d.cuts)
	return d
}

// Write implements io.Writer.
func (d *digester) Write(p []byte) (int, error) {
	n := len(p)
	for len(d.cuts) > 0 {
		part := p[:min(int64(len(p)), d.cuts[0]-d.pos)]
		d.feed(part)
		p = p[len(part):]
		if d.pos += int64(len(part)); d.pos < d.cuts[0] {
			return n, nil
		}
		if err := d.turn(); err != nil {
			return 0, err
		}
		d.cuts = d.cuts[1:]
	}
	d.pos += int64(len(p)) // nothing covers the rest
	return n, nil
}

// feed gives bytes that cross no cut to the states that cover them.
func (d *digester) feed(p []byte) {
	var done [3]crypto.Hash
	k := 0
	for _, j := range d.jobs {
		if d.pos < j.hole && !slices.Contains(done[:k], j.h) && k < len(done) {
			_, _ = d.heads[j.h].Write(p)
			done[k] = j.h
			k++
		}
		if d.pos >= j.holeEnd && d.pos < j.end {
			_, _ = j.state.Write(p)
		}
	}
}

// turn begins and ends jobs at a cut.
func (d *digester) turn() error {
	for _, j := range d.jobs {
		if d.pos == j.hole {
			c, ok := d.heads[j.h].(hash.Cloner)
			if !ok {
				return fmt.Errorf("pades: %v cannot be cloned", j.h)
			}
			state, err := c.Clone()
			if err != nil {
				return fmt.Errorf("pades: clone digest: %w", err)
			}
			j.state = state
		}
		if d.pos == j.end && j.state != nil {
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
	// The letter j is rare both in text and in data, unlike the space.
	for at := 0; ; {
		i := bytes.IndexByte(text[at:], 'j')
		if i < 0 {
			return
		}
		at += i + 1
		if at >= 4 && string(text[at-4:at]) == " obj" {
			s.found(text[:at-4], base)
		}
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
