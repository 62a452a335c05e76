package cos

// cache remembers objects by their offset. Bytes at an offset are the same in
// every revision, so revisions share it; streams are left out, since their
// length may be an object of its own, which a later revision may replace.
type cache struct {
	objs  map[int64]*Object
	bytes int
}

// keepObjects is how many bytes of objects are remembered.
const keepObjects = 1 << 20

func newCache() *cache { return &cache{objs: map[int64]*Object{}} }

// get returns the object at off, if it ends within size.
func (c *cache) get(off, size int64) *Object {
	if o := c.objs[off]; o != nil && o.End <= size {
		return o
	}
	return nil
}

func (c *cache) put(off int64, o *Object) {
	if o.Stream != nil || len(o.Raw) > keepObjects/8 {
		return
	}
	if c.bytes += len(o.Raw); c.bytes > keepObjects {
		clear(c.objs)
		c.bytes = len(o.Raw)
	}
	c.objs[off] = o
}
