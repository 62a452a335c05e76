package cos

// objectStream is a decoded object stream (§7.5.7).
type objectStream struct {
	data    []byte
	numbers []uint32
	offsets []int // in data
}

// keepDecoded is how many bytes of decoded object streams a File keeps.
const keepDecoded = 16 << 20

// compressed returns an object that lies in an object stream.
func (f *File) compressed(r Ref, e Entry) (*Object, error) {
	s, err := f.objectStream(e.Container)
	if err != nil {
		return nil, err
	}
	if e.Index >= len(s.numbers) || s.numbers[e.Index] != r.Num {
		return nil, damaged(CodeObjStm, -1, "object %d is not where the cross-reference says in stream %d", r.Num, e.Container)
	}
	at := s.offsets[e.Index]
	end := min(len(s.data), at+f.lim.ObjectSize)
	raw, v, _, err := f.parseText(s.data[at:end], -1, true)
	if err != nil {
		return nil, err
	}
	return &Object{Ref: r, Value: v, Raw: raw, Offset: -1, Container: e.Container}, nil
}

// objectStream returns the decoded stream with that number.
func (f *File) objectStream(num uint32) (*objectStream, error) {
	if s := f.objstms[num]; s != nil {
		return s, nil
	}
	if f.loading {
		return nil, refuse(ErrAmbiguous, CodeObjStm, -1, "object streams that need each other")
	}
	f.loading = true
	defer func() { f.loading = false }()
	o, err := f.containerObject(num)
	if err != nil {
		return nil, err
	}
	if err := f.checkExtends(o); err != nil {
		return nil, err
	}
	s, err := f.parseObjectStream(o)
	if err != nil {
		return nil, err
	}
	f.keep(num, s)
	return s, nil
}

func (f *File) containerObject(num uint32) (*Object, error) {
	e, err := f.Lookup(num)
	if err != nil {
		return nil, err
	}
	if e.Kind != InUse {
		return nil, damaged(CodeObjStm, -1, "object stream %d is not an object of its own", num)
	}
	o, err := f.inUse(Ref{Num: num, Gen: e.Gen}, e)
	if err != nil {
		return nil, err
	}
	if o.Stream == nil || o.Value.Get("Type").Name() != "ObjStm" {
		return nil, damaged(CodeObjStm, e.Offset, "object %d is no object stream", num)
	}
	return o, nil
}

// checkExtends follows /Extends, which changes nothing for the look-up of
// objects but must not loop.
func (f *File) checkExtends(o *Object) error {
	seen := map[uint32]bool{o.Ref.Num: true}
	for {
		v := o.Value.Get("Extends")
		if v.IsNull() {
			return nil
		}
		r, ok := v.Ref()
		if !ok {
			return damaged(CodeObjStm, o.Offset, "/Extends is no reference")
		}
		if seen[r.Num] {
			return refuse(ErrAmbiguous, CodeObjStm, o.Offset, "/Extends loop")
		}
		if seen[r.Num] = true; len(seen) > f.lim.Extends+1 {
			return refuse(ErrLimit, CodeObjStm, o.Offset, "more than %d /Extends", f.lim.Extends)
		}
		next, err := f.containerObject(r.Num)
		if err != nil {
			return err
		}
		o = next
	}
}

func (f *File) parseObjectStream(o *Object) (*objectStream, error) {
	n, ok1 := o.Value.Get("N").Int()
	first, ok2 := o.Value.Get("First").Int()
	if !ok1 || !ok2 || n < 0 || first < 0 {
		return nil, damaged(CodeObjStm, o.Offset, "/N or /First is no count")
	}
	data, err := f.decode(o, f.lim.Inflate)
	if err != nil {
		return nil, err
	}
	if first > int64(len(data)) || n > int64(len(data))/2 {
		return nil, damaged(CodeObjStm, o.Offset, "/N or /First is greater than the stream")
	}
	s := &objectStream{data: data, numbers: make([]uint32, 0, n), offsets: make([]int, 0, n)}
	l := lexer{text: data[:first], base: -1, final: true}
	for range n {
		num, err := l.next()
		if err != nil {
			return nil, err
		}
		off, err := l.next()
		if err != nil {
			return nil, err
		}
		if num.kind != tokInteger || off.kind != tokInteger || num.num < 0 || num.num > int64(f.lim.ObjectNumber) ||
			off.num < 0 || off.num > int64(len(data))-first {
			return nil, damaged(CodeObjStm, o.Offset, "malformed index of an object stream")
		}
		s.numbers = append(s.numbers, uint32(num.num))
		s.offsets = append(s.offsets, int(first+off.num))
	}
	return s, nil
}

// keep remembers a decoded stream and drops the oldest ones above keepDecoded.
func (f *File) keep(num uint32, s *objectStream) {
	f.objstms[num] = s
	f.objOrder = append(f.objOrder, num)
	total := 0
	for i := len(f.objOrder) - 1; i >= 0; i-- {
		total += len(f.objstms[f.objOrder[i]].data)
		if total > keepDecoded && i < len(f.objOrder)-1 {
			for _, old := range f.objOrder[:i+1] {
				delete(f.objstms, old)
			}
			f.objOrder = f.objOrder[i+1:]
			return
		}
	}
}
