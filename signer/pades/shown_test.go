package pades_test

import (
	"bytes"
	"fmt"
	"io"
	"sort"
	"strings"
	"testing"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// shown describes all that can be reached from the page tree but for
// annotations, form fields and where a page stands in them.
func shown(t testing.TB, b []byte) string {
	t.Helper()
	f, err := cos.Open(bytes.NewReader(b), int64(len(b)), cos.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	cat, err := f.Catalog()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	seen := map[cos.Ref]bool{}
	todo := []cos.Value{cat.Value.Get("Pages")}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		v.Refs(func(r cos.Ref) bool {
			if seen[r] {
				return true
			}
			seen[r] = true
			o, err := f.Get(r)
			if err != nil {
				out = append(out, fmt.Sprintf("%v: %v", r, err))
				return true
			}
			text := describe(o.Value)
			if o.Stream != nil {
				data, _ := io.ReadAll(f.StreamReader(o))
				text += string(data)
			}
			out = append(out, r.String()+" "+text)
			for i := range o.Value.Len() {
				if o.Value.Kind() != cos.Dict {
					todo = append(todo, o.Value)
					break
				}
				if k, e := o.Value.Entry(i); k.Name() != "Annots" && k.Name() != "Tabs" {
					todo = append(todo, e)
				}
			}
			return true
		})
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

// describe writes a value without annotations and tab order, keys in order.
func describe(v cos.Value) string {
	switch v.Kind() {
	case cos.Dict:
		var parts []string
		for i := range v.Len() {
			if k, e := v.Entry(i); k.Name() != "Annots" && k.Name() != "Tabs" {
				parts = append(parts, "/"+k.Name()+" "+describe(e))
			}
		}
		sort.Strings(parts)
		return "<<" + strings.Join(parts, " ") + ">>"
	case cos.Array:
		var parts []string
		for _, e := range v.Elems() {
			parts = append(parts, describe(e))
		}
		return "[" + strings.Join(parts, " ") + "]"
	case cos.Reference:
		r, _ := v.Ref()
		return r.String()
	case cos.Integer, cos.Real:
		n, _ := v.Number()
		return fmt.Sprint(n)
	case cos.Boolean:
		b, _ := v.Bool()
		return fmt.Sprint(b)
	case cos.Null:
		return "null"
	default:
		s, _ := v.Text()
		return fmt.Sprintf("%v %q %q", v.Kind(), v.Name(), s)
	}
}
