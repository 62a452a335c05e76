package pades

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// onePass reads a file from its beginning to its end for all who want its
// bytes: every byte is written once to each of them, in order. Meanwhile it is
// an io.ReaderAt of the same file, and what it holds at the time is not read
// again; so objects that are looked at in the order in which they stand
// ([onePass.walk]) come out of the same reading.
type onePass struct {
	ctx  context.Context // of the call that reads; a pass lives no longer
	r    io.ReaderAt
	size int64
	to   []io.Writer
	// held are the bytes of the file from start on; all before start+len(held)
	// have been written. buf is where it lies, of the pool.
	buf   *[]byte
	held  []byte
	start int64
	// limit is up to where ReadAt may read on: nothing before it is wanted again.
	limit int64
}

// lookAhead is how far, in bytes, reading goes ahead of an object that is looked at.
const lookAhead = 96 << 10

func newPass(ctx context.Context, r io.ReaderAt, size int64) *onePass {
	return &onePass{ctx: ctx, r: r, size: size, limit: -1}
}

// ReadAt implements io.ReaderAt.
func (p *onePass) ReadAt(b []byte, off int64) (int, error) {
	if off >= p.start && off <= p.limit {
		if err := p.cover(off, len(b)); err != nil {
			return 0, err
		}
	}
	if at := off - p.start; at >= 0 && at+int64(len(b)) <= int64(len(p.held)) {
		return copy(b, p.held[at:]), nil
	}
	return p.r.ReadAt(b, off)
}

// cover reads on until what is held reaches from off to n bytes behind it, or
// to the end of the file. What lies before off may no longer be held.
func (p *onePass) cover(off int64, n int) error {
	end := p.start + int64(len(p.held))
	if want := min(off+int64(n), p.size); end >= want {
		return nil
	}
	if p.buf == nil {
		p.buf = buffers.Get().(*[]byte)
	}
	for end < p.size && end < off+int64(n) {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		keep := 0
		if off < end {
			keep = copy(*p.buf, p.held[max(0, off-p.start):])
		}
		room := (*p.buf)[keep:]
		m, err := p.r.ReadAt(room[:min(int64(len(room)), p.size-end)], end)
		if m == 0 {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("pades: read file at %d: %w", end, err)
		}
		p.start, p.held = end-int64(keep), (*p.buf)[:keep+m]
		end += int64(m)
		for _, w := range p.to {
			if _, err := w.Write(room[:m]); err != nil {
				return fmt.Errorf("pades: write file at %d: %w", end-int64(m), err)
			}
		}
	}
	return nil
}

// finish reads the rest of the file. The pass is then only a reader of it.
func (p *onePass) finish() error {
	err := p.cover(p.size, 0)
	p.release()
	return err
}

// release gives the buffer back.
func (p *onePass) release() {
	if p.buf != nil {
		buffers.Put(p.buf)
		p.buf, p.held = nil, nil
	}
}

// view is a state of a file whose objects are looked at.
type view struct {
	f  *cos.File // over the pass
	fn func(*cos.Object) error
}

// visit is an object of a view, and where it or its object stream stands.
type visit struct {
	off  int64
	num  uint32
	gen  uint16
	view uint8
}

// walk calls the function of each view for every object that is in use there,
// in the order in which they stand in the file.
func (p *onePass) walk(views ...view) error {
	visits, err := visitsOf(views)
	if err != nil {
		return err
	}
	defer func() { p.limit = -1 }()
	return visitAll(p.ctx, visits, views, func(i int) error {
		if p.limit = p.size; i+1 < len(visits) {
			p.limit = visits[i+1].off
		}
		return p.cover(visits[i].off, lookAhead)
	})
}

// walk looks at every object of f that is in use, in a reading of its own that
// leaves out what streams hold.
func walk(ctx context.Context, f *cos.File, fn func(*cos.Object) error) error {
	views := []view{{f, fn}}
	visits, err := visitsOf(views)
	if err != nil {
		return err
	}
	return visitAll(ctx, visits, views, func(int) error { return nil })
}

func visitsOf(views []view) ([]visit, error) {
	n := uint32(0)
	for _, v := range views {
		n += min(v.f.NextNumber(), 1<<16)
	}
	visits := make([]visit, 0, n)
	for i, v := range views {
		streams := map[uint32]int64{} // where object streams are
		if err := v.f.Objects(func(num uint32, e cos.Entry) error {
			off := e.Offset
			if e.Kind == cos.Compressed {
				known := false
				if off, known = streams[e.Container]; !known {
					at, err := v.f.Lookup(e.Container)
					if err != nil {
						return err
					}
					off = at.Offset
					streams[e.Container] = off
				}
			}
			visits = append(visits, visit{off: off, num: num, gen: e.Gen, view: uint8(i)})
			return nil
		}); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(visits, func(a, b visit) int { return cmp.Compare(a.off, b.off) })
	return visits, nil
}

func visitAll(ctx context.Context, visits []visit, views []view, before func(i int) error) error {
	for i, x := range visits {
		if i%512 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if err := before(i); err != nil {
			return err
		}
		v := views[x.view]
		o, err := v.f.Get(cos.Ref{Num: x.num, Gen: x.gen})
		if err != nil {
			return err
		}
		if err := v.fn(o); err != nil {
			return err
		}
	}
	return nil
}
