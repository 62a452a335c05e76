package cos_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
)

func fieldsOf(t *testing.T, objs ...costest.Obj) ([]string, error) {
	t.Helper()
	objs = append(objs,
		costest.Obj{Num: 1, Body: "<</Type/Catalog/Pages 2 0 R/AcroForm<</Fields[10 0 R 11 0 R]>>>>"},
		costest.Obj{Num: 2, Body: "<</Type/Pages/Kids[]/Count 0>>"})
	f := open(t, costest.File{Objs: objs, Trailer: "/Root 1 0 R"}.Bytes())
	var out []string
	err := f.Fields(func(fl *cos.Field) bool {
		v, _ := fl.Value.Text()
		out = append(out, fl.Name+" "+fl.Type+" "+v+" "+string(rune('0'+len(fl.Widgets))))
		return true
	})
	return out, err
}

func TestFieldsInheritAndAreNamed(t *testing.T) {
	t.Parallel()
	got, err := fieldsOf(t,
		costest.Obj{Num: 10, Body: "<</T(a)/FT/Tx/V(x)/Kids[12 0 R 13 0 R]>>"},
		costest.Obj{Num: 11, Body: "<</T<FEFF00F1>/FT/Btn/Kids[14 0 R 15 0 R]>>"},
		costest.Obj{Num: 12, Body: "<</T(b)/V(y)>>"},
		costest.Obj{Num: 13, Body: "<</T(c)/FT/Sig>>"},
		costest.Obj{Num: 14, Body: "<</Subtype/Widget>>"},
		costest.Obj{Num: 15, Body: "<</Subtype/Widget>>"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.b Tx y 1", "a.c Sig x 1", "ñ Btn  2"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFieldLoopsAreRefused(t *testing.T) {
	t.Parallel()
	_, err := fieldsOf(t,
		costest.Obj{Num: 10, Body: "<</T(a)/Kids[11 0 R]>>"},
		costest.Obj{Num: 11, Body: "<</T(b)/Kids[10 0 R]>>"})
	if !errors.Is(err, cos.ErrAmbiguous) {
		t.Errorf("got %v, want ErrAmbiguous", err)
	}
}

func TestTextStrings(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"abc\xf3":              "abcó",
		"\xfe\xff\x00\xf1\x00": "ñ",
		"\xef\xbb\xbf\xc3\xb1": "ñ",
		"\x92\x85\xa0":         "™–€",
	} {
		if got := cos.TextString(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	for _, s := range []string{"", "abc (x) \\", "Resolución Nº 7", "Ñuñu \U0001f58b"} {
		v := parse(t, cos.EncodeText(s))
		if raw, ok := v.Text(); !ok || cos.TextString(raw) != s {
			t.Errorf("%q: came back as %q", s, cos.TextString(raw))
		}
	}
}
