package cos_test

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
)

// touch does with a file what signing and verifying do.
func touch(b []byte, lim cos.Limits) error {
	f, err := cos.Open(bytes.NewReader(b), int64(len(b)), lim)
	if err != nil {
		return err
	}
	if _, err := f.Revisions(); err != nil {
		return err
	}
	if _, err := f.Page(0); err != nil {
		return err
	}
	if _, err := f.Page(-1); err != nil {
		return err
	}
	return f.Objects(func(num uint32, e cos.Entry) error {
		o, err := f.Get(cos.Ref{Num: num, Gen: e.Gen})
		if err != nil {
			return err
		}
		o.Value.Duplicate()
		if o.Stream != nil && o.Value.Get("Type").Name() == "ObjStm" {
			_, err = f.Decode(o)
		}
		return err
	})
}

func TestHostileFilesAreRefusedCheaply(t *testing.T) {
	for name, b := range costest.Hostile() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		err := touch(b, cos.Limits{})
		spent := time.Since(start)
		runtime.ReadMemStats(&after)
		var refusal *cos.Error
		if !errors.As(err, &refusal) {
			t.Errorf("%s: got %v, want a *cos.Error", name, err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 400<<20 {
			t.Errorf("%s: allocated %d MB", name, used>>20)
		}
		if spent > 5*time.Second {
			t.Errorf("%s: took %v", name, spent)
		}
	}
}

func TestClassesOfRefusal(t *testing.T) {
	t.Parallel()
	files := costest.Hostile()
	for name, want := range map[string]error{
		"header late":                          cos.ErrHeader,
		"nothing":                              cos.ErrHeader,
		"encrypted":                            cos.ErrEncrypted,
		"bytes after the end":                  cos.ErrDamaged,
		"xref table listing a number twice":    cos.ErrAmbiguous,
		"xref stream listing a number twice":   cos.ErrAmbiguous,
		"/Prev to itself":                      cos.ErrAmbiguous,
		"page tree that holds itself":          cos.ErrAmbiguous,
		"object stream that extends itself":    cos.ErrAmbiguous,
		"nested arrays":                        cos.ErrLimit,
		"array of 4 million numbers":           cos.ErrLimit,
		"xref stream that inflates too much":   cos.ErrLimit,
		"object stream that inflates too much": cos.ErrLimit,
		"xref table starting at 3000000000":    cos.ErrLimit,
		"reference to itself":                  cos.ErrLimit,
	} {
		if err := touch(files[name], cos.Limits{}); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	base := costest.Sample(costest.Options{})
	for range 12 {
		base = costest.Append(base, costest.Table, nil, costest.TrailerEntries(base))
	}
	_, err := cos.Open(bytes.NewReader(base), int64(len(base)), cos.Limits{Revisions: 10})
	if !errors.Is(err, cos.ErrLimit) {
		t.Errorf("13 revisions of 10: got %v", err)
	}
	if _, err := cos.Open(bytes.NewReader(base), int64(len(base)), cos.Limits{FileSize: 100}); !errors.Is(err, cos.ErrLimit) {
		t.Errorf("file size: got %v", err)
	}
	chain := []costest.Obj{{Num: 1, Body: "<</Type/Catalog/Pages 2 0 R>>", Plain: true}}
	for i := range 12 {
		chain = append(chain, costest.Obj{Num: 10 + i, Body: fmt.Sprintf("<</Type/ObjStm/N 0/First 0/Extends %d 0 R>>", 11+i), Data: []byte{}})
	}
	chain = append(chain, costest.Obj{Num: 22, Body: "<</Type/ObjStm/N 0/First 0>>", Data: []byte{}})
	b := costest.File{Shape: costest.Stream, Objs: append(chain, costest.Obj{Num: 2, Body: "<</Type/Pages/Kids[]/Count 0>>"}), Trailer: "/Root 1 0 R"}.Bytes()
	b = bytes.Replace(b, []byte("/Type /ObjStm"), []byte("/Extends 10 0 R /Type /ObjStm"), 1)
	at := bytes.LastIndex(b, []byte("\n24 0 obj")) + 1 // the object stream grew before the cross-reference
	b = append(b[:bytes.LastIndex(b, []byte("startxref"))], fmt.Sprintf("startxref\n%d\n%%%%EOF\n", at)...)
	f := open(t, b)
	if _, err := f.Get(cos.Ref{Num: 2}); !errors.Is(err, cos.ErrLimit) {
		t.Errorf("chain of 13 /Extends: got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range costest.Shapes() {
		f.Add(costest.Sample(costest.Options{Shape: s, Form: true}))
	}
	for _, b := range costest.Hostile() {
		if len(b) < 4096 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<14 {
			return
		}
		var refused *cos.Error
		if err := touch(b, fuzzLimits); err != nil && !errors.As(err, &refused) {
			t.Fatalf("got %v, want a *cos.Error", err)
		}
	})
}

// FuzzXrefStream is [FuzzXrefTable] for cross-reference streams.
func FuzzXrefStream(f *testing.F) {
	f.Add("/W[1 2 1]/Size 4", []byte("aaaabbbbccccdddd"))
	f.Add("/W[1 2 1]/Size 4/Index[1 2 3 1]", []byte("aaaabbbbcccc"))
	f.Add("/W[1 2 1]/Size 1/Filter/FlateDecode/DecodeParms<</Predictor 12/Columns 4>>", costest.Deflate([]byte{2, 0, 0, 0, 0}))
	f.Fuzz(func(t *testing.T, dict string, data []byte) {
		if len(data) > 1<<12 || len(dict) > 1<<10 {
			return
		}
		lookups(t, costest.XrefFile(dict, data))
	})
}

func FuzzValue(f *testing.F) {
	f.Add([]byte("<</A [1 2 0 R (a\\)b\\053\\\n) <48 6> /N#41 -1.5 null true]>>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, end, err := cos.ParseValue(b, cos.Limits{})
		if err != nil {
			return
		}
		if !cos.Equal(v, v) {
			if _, dup := v.Duplicate(); !dup {
				t.Fatalf("value of %q is not equal to itself", b)
			}
		}
		start, stop := v.Span()
		if start < 0 || stop > end || start >= stop {
			t.Fatalf("span [%d,%d) of %q, end %d", start, stop, b, end)
		}
		again, _, err := cos.ParseValue(b[start:stop], cos.Limits{})
		if err != nil {
			t.Fatalf("span of %q does not parse: %v", b, err)
		}
		if _, dup := v.Duplicate(); !dup && !cos.Equal(v, again) {
			t.Fatalf("span of %q parses to another value", b)
		}
	})
}
