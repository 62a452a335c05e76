package cos

// Catalog returns the document catalog.
func (f *File) Catalog() (*Object, error) {
	r, ok := f.Trailer().Get("Root").Ref()
	if !ok {
		return nil, damaged(CodeTrailer, -1, "no /Root reference")
	}
	o, err := f.Get(r)
	if err != nil {
		return nil, err
	}
	if o.Value.Kind() != Dict || o.Stream != nil {
		return nil, damaged(CodeTrailer, o.Offset, "/Root is no dictionary")
	}
	return o, nil
}

// Page is a page with the attributes it inherits (§7.7.3.4).
type Page struct {
	*Object
	Number    int // from 0
	Inherited map[string]Value
}

// Attribute returns an inheritable attribute: the page's own, else the nearest
// ancestor's.
func (p *Page) Attribute(key string) Value {
	if v := p.Value.Get(key); !v.IsNull() {
		return v
	}
	return p.Inherited[key]
}

type pageNode struct {
	obj       *Object
	inherited map[string]Value
	depth     int
}

// Page returns page n from 0; -1 is the last one, -2 the one before. Subtrees
// before the page are passed over by their /Count.
func (f *File) Page(n int) (*Page, error) {
	root, count, err := f.pageRoot()
	if err != nil {
		return nil, err
	}
	target := int64(n)
	if n < 0 {
		target += count
	}
	if target < 0 || target >= count {
		return nil, damaged(CodePages, -1, "page %d of %d", n, count)
	}
	node, left := pageNode{obj: root}, target
	visited := map[uint32]bool{root.Ref.Num: true}
	for {
		kids, err := f.Resolve(node.obj.Value.Get("Kids"))
		if err != nil {
			return nil, err
		}
		if kids.Kind() != Array {
			return nil, damaged(CodePages, node.obj.Offset, "page tree node without /Kids")
		}
		next, rest, err := f.descend(node, kids, left)
		if err != nil {
			return nil, err
		}
		if visited[next.obj.Ref.Num] {
			return nil, refuse(ErrAmbiguous, CodePages, next.obj.Offset, "page tree loop")
		}
		visited[next.obj.Ref.Num] = true
		if isLeaf(next.obj.Value) {
			return &Page{Object: next.obj, Number: int(target), Inherited: next.inherited}, nil
		}
		if next.depth > f.lim.PageDepth {
			return nil, refuse(ErrLimit, CodePages, next.obj.Offset, "page tree deeper than %d", f.lim.PageDepth)
		}
		node, left = next, rest
	}
}

// PageCount returns the number of pages that the page tree announces.
func (f *File) PageCount() (int, error) {
	_, n, err := f.pageRoot()
	return int(n), err
}

func (f *File) pageRoot() (*Object, int64, error) {
	cat, err := f.Catalog()
	if err != nil {
		return nil, 0, err
	}
	root, err := f.ResolveObject(cat.Value.Get("Pages"))
	if err != nil {
		return nil, 0, err
	}
	count, ok := root.Value.Get("Count").Int()
	if root.Value.Kind() != Dict || !ok || count < 0 || count > int64(f.lim.ObjectNumber) {
		return nil, 0, damaged(CodePages, root.Offset, "no page tree")
	}
	return root, count, nil
}

func isLeaf(v Value) bool {
	if t := v.Get("Type").Name(); t != "" {
		return t == "Page"
	}
	return v.Get("Kids").IsNull()
}

// descend finds the kid of node that holds page left and how many pages of
// that kid are before it.
func (f *File) descend(node pageNode, kids Value, left int64) (pageNode, int64, error) {
	flat := false
	if c, ok := node.obj.Value.Get("Count").Int(); ok && c == int64(kids.Len()) && left < c {
		flat = true // every kid is a page, unless a node among them is empty
	}
	if flat {
		kid, err := f.kid(node, kids.Elem(int(left)))
		if err != nil {
			return pageNode{}, 0, err
		}
		if isLeaf(kid.obj.Value) {
			return kid, 0, nil
		}
	}
	for i, k := range kids.Elems() {
		if i >= f.lim.Pages {
			break
		}
		kid, err := f.kid(node, k)
		if err != nil {
			return pageNode{}, 0, err
		}
		n := int64(1)
		if !isLeaf(kid.obj.Value) {
			c, ok := kid.obj.Value.Get("Count").Int()
			if !ok || c < 0 {
				return pageNode{}, 0, damaged(CodePages, kid.obj.Offset, "page tree node without /Count")
			}
			n = c
		}
		if left < n {
			return kid, left, nil
		}
		left -= n
	}
	return pageNode{}, 0, damaged(CodePages, node.obj.Offset, "page tree has fewer pages than /Count says")
}

func (f *File) kid(parent pageNode, v Value) (pageNode, error) {
	r, ok := v.Ref()
	if !ok {
		return pageNode{}, damaged(CodePages, parent.obj.Offset, "kid that is no reference")
	}
	o, err := f.Get(r)
	if err != nil {
		return pageNode{}, err
	}
	if o.Value.Kind() != Dict || o.Stream != nil {
		return pageNode{}, damaged(CodePages, o.Offset, "kid that is no dictionary")
	}
	inherited := parent.inherited
	for _, key := range []string{"Resources", "MediaBox", "CropBox", "Rotate"} {
		if v := parent.obj.Value.Get(key); !v.IsNull() {
			copied := map[string]Value{}
			for k, w := range inherited {
				copied[k] = w
			}
			copied[key] = v
			inherited = copied
		}
	}
	return pageNode{obj: o, inherited: inherited, depth: parent.depth + 1}, nil
}
