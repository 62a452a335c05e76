package cos

import (
	"fmt"
	"math"
	"strconv"
)

// Kind is the type of a [Value].
type Kind uint8

// Kinds of values. Null is the zero Kind: an absent value is null (§7.3.9).
const (
	Null Kind = iota
	Boolean
	Integer
	Real
	String
	Name
	Array
	Dict
	Reference
)

// String returns the word of ISO 32000 for the kind.
func (k Kind) String() string {
	names := [...]string{"null", "boolean", "integer", "real", "string", "name", "array", "dictionary", "reference"}
	if int(k) < len(names) {
		return names[k]
	}
	return "kind " + strconv.Itoa(int(k))
}

// Ref names an indirect object.
type Ref struct {
	Num uint32
	Gen uint16
}

// String returns the form in which a reference is written in a file.
func (r Ref) String() string { return fmt.Sprintf("%d %d R", r.Num, r.Gen) }

// Value is one direct object. Its span is in bytes from the beginning of the
// text it was parsed from. Values share memory and must not be changed.
type Value struct {
	kind       Kind
	start, end uint32
	num        int64   // Boolean, Integer; Reference: Num<<16 | Gen
	str        string  // String and Name decoded; Real as written
	kids       []Value // Array: elements; Dict: key, value, key, value …
}

// Kind returns the type of v.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether v is null or absent.
func (v Value) IsNull() bool { return v.kind == Null }

// Span returns where v is written: [start, end) in the parsed text.
func (v Value) Span() (start, end int) { return int(v.start), int(v.end) }

// Bool returns the value of a boolean.
func (v Value) Bool() (b, ok bool) { return v.num != 0, v.kind == Boolean }

// Int returns the value of an integer.
func (v Value) Int() (int64, bool) { return v.num, v.kind == Integer }

// Number returns the value of an integer or a real. It is always finite.
func (v Value) Number() (float64, bool) {
	switch v.kind {
	case Integer:
		return float64(v.num), true
	case Real:
		f, err := strconv.ParseFloat(v.str, 64)
		return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
	default:
		return 0, false
	}
}

// Name returns a name without the slash, with #xx resolved; "" if v is none.
func (v Value) Name() string {
	if v.kind == Name {
		return v.str
	}
	return ""
}

// Text returns the bytes of a string, decoded from its literal or hexadecimal form.
func (v Value) Text() (string, bool) { return v.str, v.kind == String }

// Ref returns the reference that v is.
func (v Value) Ref() (Ref, bool) {
	return Ref{Num: uint32(v.num >> 16), Gen: uint16(v.num & 0xffff)}, v.kind == Reference
}

// Len returns the number of elements of an array or of entries of a dictionary.
func (v Value) Len() int {
	switch v.kind {
	case Array:
		return len(v.kids)
	case Dict:
		return len(v.kids) / 2
	default:
		return 0
	}
}

// Elem returns element i of an array; i must be in range.
func (v Value) Elem(i int) Value { return v.kids[i] }

// Elems returns the elements of an array, nil for anything else. The slice is shared.
func (v Value) Elems() []Value {
	if v.kind == Array {
		return v.kids
	}
	return nil
}

// Entry returns key and value i of a dictionary in the order written.
func (v Value) Entry(i int) (key, val Value) { return v.kids[2*i], v.kids[2*i+1] }

// Get returns the value of a key of a dictionary; null if there is none or v
// is no dictionary. If the key is written twice it returns the first; callers
// that must not be misled call [Value.Duplicate] before.
func (v Value) Get(key string) Value {
	if v.kind == Dict {
		for i := 0; i < len(v.kids); i += 2 {
			if v.kids[i].str == key {
				return v.kids[i+1]
			}
		}
	}
	return Value{}
}

// Has reports whether a dictionary writes the key, even with the value null.
func (v Value) Has(key string) bool {
	if v.kind == Dict {
		for i := 0; i < len(v.kids); i += 2 {
			if v.kids[i].str == key {
				return true
			}
		}
	}
	return false
}

// Duplicate returns a key that one dictionary within v writes twice, at any
// depth. Readers disagree about which one counts.
func (v Value) Duplicate() (key string, found bool) {
	for todo := []Value{v}; len(todo) > 0; {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if d.kind == Dict {
			if k, dup := d.ownDuplicate(); dup {
				return k, true
			}
		}
		for _, k := range d.kids {
			if len(k.kids) > 0 {
				todo = append(todo, k)
			}
		}
	}
	return "", false
}

func (v Value) ownDuplicate() (string, bool) {
	n := len(v.kids) / 2
	if n <= 16 {
		for i := 1; i < n; i++ {
			for j := range i {
				if v.kids[2*i].str == v.kids[2*j].str {
					return v.kids[2*i].str, true
				}
			}
		}
		return "", false
	}
	seen := make(map[string]bool, n)
	for i := range n {
		k := v.kids[2*i].str
		if seen[k] {
			return k, true
		}
		seen[k] = true
	}
	return "", false
}

// Refs calls fn for every reference within v, at any depth, until fn returns false.
func (v Value) Refs(fn func(Ref) bool) {
	v.Visit(func(d Value) bool {
		r, ok := d.Ref()
		return !ok || fn(r)
	})
}

// Visit calls fn for v and every reference, array and dictionary within it, in
// no certain order, until fn returns false. It does not follow references.
func (v Value) Visit(fn func(Value) bool) {
	if len(v.kids) == 0 {
		fn(v)
		return
	}
	for todo := []Value{v}; len(todo) > 0; {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !fn(d) {
			return
		}
		for _, k := range d.kids {
			if k.kind == Reference || len(k.kids) > 0 {
				todo = append(todo, k)
			}
		}
	}
}

// Equal reports whether a and b are the same value, however they are written:
// numbers by value, dictionaries without regard to order, references by number.
// It does not follow references.
func Equal(a, b Value) bool {
	type pair struct{ a, b Value }
	for todo := []pair{{a, b}}; len(todo) > 0; {
		p := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if !sameHead(p.a, p.b) {
			return false
		}
		switch p.a.kind {
		case Array:
			for i := range p.a.kids {
				todo = append(todo, pair{p.a.kids[i], p.b.kids[i]})
			}
		case Dict:
			if _, dup := p.a.ownDuplicate(); dup {
				return false
			}
			for i := 0; i < len(p.a.kids); i += 2 {
				if !p.b.Has(p.a.kids[i].str) {
					return false
				}
				todo = append(todo, pair{p.a.kids[i+1], p.b.Get(p.a.kids[i].str)})
			}
		}
	}
	return true
}

func sameHead(a, b Value) bool {
	x, isNum := a.Number()
	y, isNum2 := b.Number()
	if isNum && isNum2 {
		return x == y
	}
	if a.kind != b.kind || len(a.kids) != len(b.kids) {
		return false
	}
	return a.num == b.num && a.str == b.str
}
