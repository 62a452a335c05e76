package cos

import "errors"

// frame is an array or a dictionary that is being read.
type frame struct {
	dict  bool
	start int // offset of the opening bracket
	mark  int // length of the value stack when it opened
}

// parser reads one value with an explicit stack.
type parser struct {
	lex    lexer
	lim    *Limits
	frames []frame
	stack  []Value
	nodes  int
}

// ParseValue reads the one direct object at the beginning of text, which is
// complete. It returns the offset after it. Spans are offsets in text.
func ParseValue(text []byte, lim Limits) (Value, int, error) {
	lim = lim.withDefaults()
	if len(text) > lim.ObjectSize {
		return Value{}, 0, refuse(ErrLimit, CodeObject, -1, "object of %d bytes", len(text))
	}
	return parseValue(text, true, -1, &lim)
}

// parseValue is ParseValue for text that may go on (then errShort is possible)
// and that stands at base in the file.
func parseValue(text []byte, final bool, base int64, lim *Limits) (Value, int, error) {
	p := parser{lex: lexer{text: text, final: final, base: base}, lim: lim}
	for {
		t, err := p.lex.next()
		if err != nil {
			return Value{}, 0, err
		}
		done, err := p.feed(t)
		if err != nil {
			return Value{}, 0, err
		}
		if !done {
			continue
		}
		if v, end, ok, err := p.maybeRef(); err != nil || ok {
			return v, end, err
		}
		return p.stack[0], int(p.stack[0].end), nil
	}
}

// maybeRef looks, after a top-level integer, for "G R" behind it.
func (p *parser) maybeRef() (Value, int, bool, error) {
	v := p.stack[0]
	if v.kind != Integer {
		return Value{}, 0, false, nil
	}
	gen, err := p.lex.next()
	if errors.Is(err, errShort) {
		return Value{}, 0, false, err
	}
	if err != nil || gen.kind != tokInteger {
		return Value{}, 0, false, nil
	}
	r, err := p.lex.next()
	if errors.Is(err, errShort) {
		return Value{}, 0, false, err
	}
	if err != nil || r.kind != tokKeyword || r.str != "R" {
		return Value{}, 0, false, nil
	}
	p.stack = append(p.stack, Value{kind: Integer, num: gen.num})
	if err := p.reference(r); err != nil {
		return Value{}, 0, false, err
	}
	return p.stack[0], r.end, true, nil
}

// feed takes one token and reports whether the top-level value is complete.
func (p *parser) feed(t token) (bool, error) {
	v := Value{start: uint32(t.start), end: uint32(t.end), num: t.num, str: t.str}
	switch t.kind {
	case tokEOF:
		return false, p.lex.short(t.start, "an object")
	case tokArrayOpen, tokDictOpen:
		if len(p.frames) >= p.lim.Nesting {
			return false, refuse(ErrLimit, CodeSyntax, p.lex.at(t.start), "nesting deeper than %d", p.lim.Nesting)
		}
		p.frames = append(p.frames, frame{dict: t.kind == tokDictOpen, start: t.start, mark: len(p.stack)})
		return false, nil
	case tokArrayClose, tokDictClose:
		return p.close(t)
	case tokKeyword:
		return p.keyword(t, v)
	case tokInteger:
		v.kind = Integer
	case tokReal:
		v.kind = Real
	case tokString:
		v.kind = String
	case tokName:
		v.kind = Name
	}
	return p.push(v)
}

func (p *parser) push(v Value) (bool, error) {
	if p.nodes++; p.nodes > p.lim.Nodes {
		return false, refuse(ErrLimit, CodeSyntax, p.lex.at(int(v.start)), "more than %d values in one object", p.lim.Nodes)
	}
	p.stack = append(p.stack, v)
	return len(p.frames) == 0, nil
}

func (p *parser) keyword(t token, v Value) (bool, error) {
	switch t.str {
	case "R":
		return false, p.reference(t)
	case "true", "false":
		v.kind, v.str = Boolean, ""
		if t.str == "true" {
			v.num = 1
		}
		return p.push(v)
	case "null":
		v.str = ""
		return p.push(v)
	default:
		return false, p.lex.fault(t.start, "unknown word")
	}
}

// reference replaces the two integers before an R.
func (p *parser) reference(t token) error {
	mark := 0
	if len(p.frames) > 0 {
		mark = p.frames[len(p.frames)-1].mark
	}
	n := len(p.stack)
	if n-mark < 2 || p.stack[n-1].kind != Integer || p.stack[n-2].kind != Integer {
		return p.lex.fault(t.start, "R without two integers")
	}
	num, gen := p.stack[n-2].num, p.stack[n-1].num
	if num < 0 || gen < 0 || gen > 65535 {
		return p.lex.fault(t.start, "reference out of range")
	}
	if num > int64(p.lim.ObjectNumber) {
		// A reference to an object that cannot exist is a reference to null
		// (§7.3.10); it is kept as a reference to a number no file can define.
		num = int64(^uint32(0))
	}
	p.stack[n-2] = Value{kind: Reference, start: p.stack[n-2].start, end: uint32(t.end), num: num<<16 | gen}
	p.stack = p.stack[:n-1]
	return nil
}

func (p *parser) close(t token) (bool, error) {
	if len(p.frames) == 0 || p.frames[len(p.frames)-1].dict != (t.kind == tokDictClose) {
		return false, p.lex.fault(t.start, "unbalanced bracket")
	}
	f := p.frames[len(p.frames)-1]
	p.frames = p.frames[:len(p.frames)-1]
	kids := append([]Value(nil), p.stack[f.mark:]...)
	p.stack = p.stack[:f.mark]
	v := Value{kind: Array, start: uint32(f.start), end: uint32(t.end), kids: kids}
	if f.dict {
		v.kind = Dict
		if len(kids)%2 != 0 {
			return false, p.lex.fault(f.start, "dictionary with a key without value")
		}
		for i := 0; i < len(kids); i += 2 {
			if kids[i].kind != Name {
				return false, p.lex.fault(f.start+0, "dictionary key is a %v", kids[i].kind)
			}
		}
	}
	return p.push(v)
}
