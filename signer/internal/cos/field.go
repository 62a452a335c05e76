package cos

// Field is a terminal field of the interactive form (§12.7.4): one with a
// value of its own.
type Field struct {
	// Object is the field's dictionary; its Ref is zero if it is written
	// directly in its parent.
	Object *Object
	// Name is the fully qualified name: partial names joined with ".".
	Name string
	// Type, Value and Flags are /FT, /V and /Ff, the field's own or inherited.
	Type  string
	Value Value
	Flags int64
	// Widgets are its widget annotations; a field merged with its only widget
	// is its own.
	Widgets []*Object
}

// maxFields is how many nodes of the field tree are visited.
const maxFields = 100_000

type fieldNode struct {
	v     Value
	name  string
	typ   string
	value Value
	flags int64
	depth int
}

// keepFields is how many fields of a revision are remembered.
const keepFields = 1000

// Fields calls fn for every terminal field in the order of the form until fn
// returns false. A node that is met twice is refused. Fields are shared between
// calls and must not be changed.
func (f *File) Fields(fn func(*Field) bool) error {
	if f.fields != nil {
		for _, field := range f.fields {
			if !fn(field) {
				return nil
			}
		}
		return nil
	}
	all, ended := []*Field{}, false
	err := f.readFields(func(field *Field) bool {
		if len(all) <= keepFields {
			all = append(all, field)
		}
		ended = !fn(field)
		return !ended
	})
	if err == nil && !ended && len(all) <= keepFields {
		f.fields = all
	}
	return err
}

func (f *File) readFields(fn func(*Field) bool) error {
	cat, err := f.Catalog()
	if err != nil {
		return err
	}
	form, err := f.Resolve(cat.Value.Get("AcroForm"))
	if err != nil {
		return err
	}
	list, err := f.Resolve(form.Get("Fields"))
	if err != nil {
		return err
	}
	todo := fieldNodes(list, fieldNode{}, nil)
	seen := map[uint32]bool{}
	for n := 0; len(todo) > 0; n++ {
		if n >= maxFields {
			return refuse(ErrLimit, CodeObject, -1, "more than %d fields", maxFields)
		}
		node := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		field, kids, err := f.fieldNode(&node, seen)
		if err != nil {
			return err
		}
		if field != nil && !fn(field) {
			return nil
		}
		todo = fieldNodes(kids, node, todo)
	}
	return nil
}

// fieldNodes puts the elements of list on the stack, last first.
func fieldNodes(list Value, parent fieldNode, todo []fieldNode) []fieldNode {
	parent.depth++
	for i := list.Len() - 1; i >= 0; i-- {
		if list.Kind() == Array {
			parent.v = list.Elem(i)
			todo = append(todo, parent)
		}
	}
	return todo
}

// fieldNode reads a node. It returns a terminal field, or the kids to go on with.
func (f *File) fieldNode(node *fieldNode, seen map[uint32]bool) (*Field, Value, error) {
	o, err := f.ResolveObject(node.v)
	if err != nil {
		return nil, Value{}, err
	}
	if o.Ref.Num != 0 {
		if seen[o.Ref.Num] {
			return nil, Value{}, refuse(ErrAmbiguous, CodeObject, o.Offset, "field that is met twice")
		}
		seen[o.Ref.Num] = true
	}
	if o.Value.IsNull() {
		return nil, Value{}, nil // a deleted field
	}
	if o.Value.Kind() != Dict || o.Stream != nil {
		return nil, Value{}, damaged(CodeObject, o.Offset, "field that is no dictionary")
	}
	if node.depth > f.lim.Nesting {
		return nil, Value{}, refuse(ErrLimit, CodeObject, o.Offset, "fields nested deeper than %d", f.lim.Nesting)
	}
	if err := f.inheritField(node, o.Value); err != nil {
		return nil, Value{}, err
	}
	kids, err := f.Resolve(o.Value.Get("Kids"))
	if err != nil {
		return nil, Value{}, err
	}
	field := &Field{Object: o, Name: node.name, Type: node.typ, Value: node.value, Flags: node.flags}
	if kids.Len() == 0 {
		field.Widgets = []*Object{o}
		return field, Value{}, nil
	}
	return f.widgets(field, kids, seen)
}

// widgets takes the kids of a field as its widgets, unless one has a name:
// then they are fields.
func (f *File) widgets(field *Field, kids Value, seen map[uint32]bool) (*Field, Value, error) {
	for i := range kids.Len() {
		if kids.Kind() != Array {
			break
		}
		k, err := f.ResolveObject(kids.Elem(i))
		if err != nil {
			return nil, Value{}, err
		}
		if k.Value.Has("T") || k.Value.Has("Kids") {
			return nil, kids, nil
		}
		if k.Value.Kind() == Dict {
			field.Widgets = append(field.Widgets, k)
		}
	}
	for _, w := range field.Widgets {
		if w.Ref.Num != 0 && seen[w.Ref.Num] {
			return nil, Value{}, refuse(ErrAmbiguous, CodeObject, w.Offset, "widget that is met twice")
		}
		seen[w.Ref.Num] = true
	}
	return field, Value{}, nil
}

func (f *File) inheritField(node *fieldNode, d Value) error {
	t, err := f.Resolve(d.Get("T"))
	if err != nil {
		return err
	}
	if s, ok := t.Text(); ok {
		if node.depth > 1 && node.name != "" {
			node.name += "."
		}
		node.name += TextString(s)
	}
	ft, err := f.Resolve(d.Get("FT"))
	if err != nil {
		return err
	}
	if ft.Name() != "" {
		node.typ = ft.Name()
	}
	if d.Has("V") {
		node.value = d.Get("V")
	}
	ff, err := f.Resolve(d.Get("Ff"))
	if err != nil {
		return err
	}
	if n, ok := ff.Int(); ok {
		node.flags = n
	}
	return nil
}
