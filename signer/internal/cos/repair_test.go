package cos_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"testing"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
)

func repair(b []byte, password string) (*cos.Repaired, []byte, error) {
	r, err := cos.Repair(context.Background(), bytes.NewReader(b), int64(len(b)), password, cos.Limits{})
	if err != nil {
		return nil, nil, err
	}
	out, err := io.ReadAll(io.NewSectionReader(r, 0, r.Size()))
	return r, out, err
}

// breakages damage a file so that it does not read strictly.
var breakages = map[string]struct {
	do  func([]byte) []byte
	fix string
}{
	"bytes before the header": {func(b []byte) []byte { return append([]byte("HTTP/1.1 200 OK\r\n\r\n"), b...) }, cos.FixHeader},
	"startxref that points elsewhere": {func(b []byte) []byte {
		return regexp.MustCompile(`startxref\n\d+`).ReplaceAll(b, []byte("startxref\n7"))
	}, cos.FixXref},
	"no startxref": {func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("startxref"), []byte("startYref")) }, cos.FixXref},
	"offsets that are wrong": {func(b []byte) []byte {
		return bytes.Replace(b, []byte("%PDF-1.7\n"), []byte("%PDF-1.7\n%   \n"), 1)
	}, cos.FixXref},
	"cut after the last object": {func(b []byte) []byte { return b[:bytes.LastIndex(b, []byte("startxref"))] }, cos.FixXref},
	"length that is wrong": {func(b []byte) []byte {
		return regexp.MustCompile(`/Length \d+`).ReplaceAllFunc(b, func(m []byte) []byte { return append(bytes.Clone(m), '9') })
	}, cos.FixStreamLength},
	"no endobj": {func(b []byte) []byte {
		return append([]byte("x"), bytes.Replace(b, []byte("\nendobj\n"), []byte("\n"), 1)...)
	}, cos.FixEndobj},
}

// Damaged files of every shape are made to read strictly, and hold what they held.
func TestRepair(t *testing.T) {
	t.Parallel()
	for _, shape := range costest.Shapes() {
		sound := costest.Sample(costest.Options{Shape: shape, Form: true})
		for name, c := range breakages {
			name := shape.String() + ", " + name
			broken := c.do(bytes.Clone(sound))
			if err := touch(broken, cos.Limits{}); err == nil {
				t.Errorf("%s: reads", name)
				continue
			}
			r, out, err := repair(broken, "")
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if r.Fixes[c.fix] == 0 {
				t.Errorf("%s: fixes %v", name, r.Fixes)
			}
			sameObjects(t, name, sound, out)
		}
	}
}

// sameObjects compares every object of two files.
func sameObjects(t *testing.T, name string, a, b []byte) {
	t.Helper()
	if err := touch(b, cos.Limits{}); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	f, err := openPassword(a, "")
	if err != nil {
		t.Fatal(err)
	}
	g, err := openPassword(b, "")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	err = f.Objects(func(num uint32, e cos.Entry) error {
		o, err := f.Get(cos.Ref{Num: num, Gen: e.Gen})
		if err != nil || o.Stream != nil && o.Value.Get("Type").Name() == "XRef" {
			return err
		}
		n++
		p, err := g.Get(cos.Ref{Num: num, Gen: e.Gen})
		if err != nil {
			return err
		}
		if o.Stream == nil {
			if !cos.Equal(o.Value, p.Value) {
				t.Errorf("%s: object %d differs", name, num)
			}
			return nil
		}
		x, err1 := f.Decode(o)
		y, err2 := g.Decode(p)
		if err1 != nil || err2 != nil || !bytes.Equal(x, y) {
			t.Errorf("%s: stream %d differs: %v, %v", name, num, err1, err2)
		}
		return nil
	})
	if err != nil || n < 10 {
		t.Errorf("%s: %d objects, %v", name, n, err)
	}
}

// Of an object that is defined twice the last counts, whatever it lies in.
func TestRepairTakesTheNewest(t *testing.T) {
	t.Parallel()
	for _, first := range costest.Shapes() {
		for _, second := range costest.Shapes() {
			b := costest.Sample(costest.Options{Shape: first, Form: true})
			b = costest.Append(b, second, []costest.Obj{{Num: costest.Info, Body: "<</Title(Nueva)>>"}, {Num: 90, Body: "<</A (b)>>"}}, costest.TrailerEntries(b))
			r, out, err := repair(append([]byte{'\n'}, b...), "")
			if err != nil {
				t.Fatal(first, second, err)
			}
			if r.Fixes[cos.FixSuperseded] == 0 {
				t.Errorf("%v, %v: %v", first, second, r.Fixes)
			}
			if bytes.Contains(out, []byte("uno\\)")) {
				t.Errorf("%v, %v: the older definition is still there", first, second)
			}
			f, err := openPassword(out, "")
			if err != nil {
				t.Fatal(err)
			}
			info, err := f.Resolve(f.Trailer().Get("Info"))
			if got, _ := info.Get("Title").Text(); err != nil || got != "Nueva" {
				t.Errorf("%v, %v: title %q, %v", first, second, got, err)
			}
		}
	}
}

// Encrypted files are repaired as they are, and only with their password.
func TestRepairOfEncryptedFiles(t *testing.T) {
	t.Parallel()
	sound := costest.Sample(costest.Options{Form: true})
	for kind, e := range encryptions {
		for _, objstm := range []string{"--object-streams=disable", "--object-streams=generate"} {
			b := append([]byte("x"), encryptWith(t, sound, "", "secreta", append(e.args, objstm)...)...)
			_, out, err := repair(b, "")
			if err != nil {
				t.Errorf("%s %s: %v", kind, objstm, err)
				continue
			}
			f, err := openPassword(out, "")
			if err != nil {
				t.Fatal(kind, err)
			}
			readsPlain(t, kind, f)
			b = append([]byte("x"), encryptWith(t, sound, "usuario", "secreta", append(e.args, objstm)...)...)
			if _, _, err := repair(b, ""); !errors.Is(err, cos.ErrEncrypted) {
				t.Errorf("%s %s without password: %v", kind, objstm, err)
			}
		}
	}
}

// What cannot be repaired without guessing is refused.
func TestRepairRefuses(t *testing.T) {
	t.Parallel()
	sample := string(costest.Sample(costest.Options{}))
	file := func(objs string) []byte {
		return []byte("x%PDF-1.7\n1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n2 0 obj <</Type/Pages/Count 1/Kids[3 0 R]>> endobj\n3 0 obj <</Type/Page/Parent 2 0 R>> endobj\n" + objs)
	}
	if _, _, err := repair(file(""), ""); err != nil {
		t.Errorf("without a trailer: %v", err)
	}
	packed := costest.Sample(costest.Options{Shape: costest.Stream, Extra: []costest.Obj{{Num: 40, Body: "<</Type/Sig/Byte#52ange[0 1 2 3]/Contents<00>>>"}}})
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"signature":                       {file("4 0 obj <</Type/Sig/ByteRange[0 1 2 3]/Contents<00>>> endobj\n"), cos.ErrSigned},
		"signature in other words":        {file("4 0 obj <</Type/Sig/Byte#52ange[0 1 2 3]/Contents<00>>> endobj\n"), cos.ErrSigned},
		"signature in an object stream":   {append([]byte("x"), packed...), cos.ErrSigned},
		"signature that is superseded":    {file("4 0 obj <</ByteRange[0 1 2 3]/Contents<00>>> endobj\n4 0 obj null endobj\n"), cos.ErrSigned},
		"two catalogs":                    {file("4 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n"), cos.ErrAmbiguous},
		"object that does not read":       {file("4 0 obj <</A --1>> endobj\n"), cos.ErrDamaged},
		"object with a key twice":         {file("4 0 obj <</A 1/A 2>> endobj\n"), cos.ErrAmbiguous},
		"object that does not end":        {file("4 0 obj <</A 1"), cos.ErrDamaged},
		"stream that does not end":        {file("4 0 obj <</Length 9>>\nstream\nabc"), cos.ErrDamaged},
		"stream of an array":              {file("4 0 obj []\nstream\nabc\nendstream endobj"), cos.ErrDamaged},
		"object number out of range":      {file("9999999 0 obj 1 endobj\n"), cos.ErrLimit},
		"nothing":                         {[]byte("%PDF-1.7\n"), cos.ErrDamaged},
		"no PDF":                          {[]byte("hola"), cos.ErrHeader},
		"header too late":                 {append(bytes.Repeat([]byte{'x'}, 1100), sample...), cos.ErrHeader},
		"certificates":                    {file("trailer<</Root 1 0 R/Encrypt<</Filter/Adobe.PubSec>>>>"), cos.ErrEncrypted},
		"one trailer encrypted":           {file("trailer<</Root 1 0 R>> trailer<</Root 1 0 R/Encrypt<</Filter/Standard>>>>"), cos.ErrAmbiguous},
		"encryption defined twice":        {file("8 0 obj <<>> endobj 8 0 obj <<>> endobj trailer<</Root 1 0 R/Encrypt 8 0 R>>"), cos.ErrAmbiguous},
		"object stream that is not sound": {file("4 0 obj <</Type/ObjStm/N 9/First 5>>\nstream\nabc\nendstream endobj\n"), cos.ErrDamaged},
	} {
		if _, _, err := repair(c.b, ""); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	many := cos.Limits{RepairObjects: 2}
	if _, err := cos.Repair(t.Context(), bytes.NewReader(file("")), int64(len(file(""))), "", many); !errors.Is(err, cos.ErrLimit) {
		t.Errorf("too many objects: %v", err)
	}
	if _, err := cos.Repair(t.Context(), bytes.NewReader(file("")), int64(len(file(""))), "", cos.Limits{RepairSize: 10}); !errors.Is(err, cos.ErrLimit) {
		t.Errorf("too large: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := cos.Repair(ctx, bytes.NewReader(file("")), int64(len(file(""))), "", cos.Limits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// What looks like an object within a stream or a comment is none.
func TestRepairReadsNoStreams(t *testing.T) {
	t.Parallel()
	inner := fmt.Sprintf("x%s", costest.Sample(costest.Options{Text: "otro"}))
	b := costest.Sample(costest.Options{Extra: []costest.Obj{{Num: 50, Body: "<<>>", Data: []byte(inner)}}})
	b = append([]byte("y"), bytes.Replace(b, []byte("%PDF-1.7\n"), []byte("%PDF-1.7\n% 6 0 obj null endobj\n"), 1)...)
	r, out, err := repair(b, "")
	if err != nil || r.Fixes[cos.FixSuperseded] != 0 || r.Fixes[cos.FixComment] != 1 {
		t.Fatalf("%v, %+v", err, r)
	}
	f, err := openPassword(out, "")
	if err != nil {
		t.Fatal(err)
	}
	o, err := f.Get(cos.Ref{Num: costest.Content1})
	if err != nil {
		t.Fatal(err)
	}
	if data, err := f.Decode(o); err != nil || !bytes.Contains(data, []byte("(Hola)")) {
		t.Errorf("content %q, %v", data, err)
	}
}

// FuzzRepair repairs anything. What comes out reads strictly.
func FuzzRepair(f *testing.F) {
	for _, shape := range costest.Shapes() {
		sound := costest.Sample(costest.Options{Shape: shape, Form: true})
		for _, c := range breakages {
			f.Add(c.do(bytes.Clone(sound)))
		}
	}
	for _, b := range costest.Hostile() {
		if len(b) < 1<<16 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, out, err := repair(b, "")
		var refused *cos.Error
		switch {
		case err != nil && !errors.As(err, &refused) && !errors.Is(err, cos.ErrSigned):
			t.Errorf("got %v, want a *cos.Error", err)
		case err == nil:
			g, err := openPassword(out, "")
			if err == nil {
				_, err = g.Revisions()
			}
			if err != nil {
				t.Errorf("the result does not read: %v", err)
			}
		}
	})
}
