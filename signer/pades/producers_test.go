package pades_test

import (
	"bytes"
	"context"
	"crypto"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// Files that other programs write are signed twice, look the same afterwards,
// and satisfy five other readers.
func TestFilesOfOtherProducers(t *testing.T) {
	t.Parallel()
	who, other := authority(t).signer(t, "Ana", nil), authority(t).signer(t, "Beto", nil)
	seal := &pades.Seal{Name: "Ana Núñez", Tier: "Firma electrónica", URL: "https://example.org/v/A"}
	in := writeFile(t, "in.pdf", costest.Sample(costest.Options{Form: true}))
	page := writeFile(t, "page.html", []byte("<h1>Resolución</h1><p style='page-break-after:always'>uno<p>dos"))
	for name, args := range map[string][]string{
		"linearized":            {"qpdf", "--linearize", in, "OUT"},
		"object streams":        {"qpdf", "--object-streams=generate", in, "OUT"},
		"linearized and packed": {"qpdf", "--linearize", "--object-streams=generate", in, "OUT"},
		"mutool":                {"mutool", "clean", "-gggz", in, "OUT"},
		"cairo":                 {"pdftocairo", "-pdf", in, "OUT"},
		"chromium":              {"chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", "--print-to-pdf=OUT", "file://" + page},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "out.pdf")
			for i := range args {
				args[i] = string(bytes.Replace([]byte(args[i]), []byte("OUT"), []byte(out), 1))
			}
			if msg, err := run(t, args[0], args[1:]...); err != nil {
				t.Fatalf("%v\n%s", err, msg)
			}
			base, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			one := sign(t, base, who, pades.Options{Level: pades.LevelBT})
			two := sign(t, one, other, pades.Options{Seal: seal, Placement: pades.Placement{Page: -1}})
			checkWithTools(t, name, one, 1)
			checkWithTools(t, name, two, 2)
			agree(t, name, two, 2)
			wantVerdicts(t, name, verify(t, two), pades.ValidExtended, pades.Valid)
			if !bytes.Equal(pixels(t, base, "1"), pixels(t, two, "1")) {
				t.Error("page 1 looks different")
			}
		})
	}
}

// stampDocument adds a document time-stamp to a file.
func stampDocument(t testing.TB, b []byte, shape costest.Shape, st *stamper) []byte {
	t.Helper()
	return stampNamed(&world{t: t, shape: shape, file: b}, st, "Sello")
}

func stampNamed(w *world, st *stamper, name string) []byte {
	t := w.t
	n := w.next()
	const room = 6000
	catalog := w.swap(w.body(costest.Catalog), "] /DR", fmt.Sprintf(" %d 0 R] /DR", n))
	out := w.update(costest.Obj{Num: costest.Catalog, Body: catalog},
		costest.Obj{Num: n, Body: fmt.Sprintf("<</FT/Sig/T(%s)/Type/Annot/Subtype/Widget/Rect[0 0 0 0]/F 132/V %d 0 R>>", name, n+1)},
		costest.Obj{Num: n + 1, Plain: true, Body: fmt.Sprintf("<</Type/DocTimeStamp/Filter/Adobe.PPKLite/SubFilter/ETSI.RFC3161/ByteRange [%60s]/Contents <%0*d>>>", "", 2*room, 0)})
	at := bytes.LastIndex(out, []byte("/Contents <")) + len("/Contents ")
	end := at + 2*room + 2
	br := bytes.LastIndex(out, []byte("/ByteRange ["))
	copy(out[br+len("/ByteRange ["):], fmt.Sprintf("0 %d %d %d", at, end, len(out)-end))
	h := crypto.SHA256.New()
	h.Write(out[:at])
	h.Write(out[end:])
	token, err := st.Timestamp(context.Background(), crypto.SHA256, h.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	hex.Encode(out[at+1:], token)
	return out
}

func TestDocumentTimestamps(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	for _, shape := range costest.Shapes() {
		for _, certify := range []pades.Permission{pades.Uncertified, pades.NoChanges} {
			who := ca.signer(t, "Ana", nil)
			b := sign(t, costest.Sample(costest.Options{Shape: shape, Form: true}), who, pades.Options{Certify: certify})
			stamped := stampDocument(t, b, shape, ca.stamper(now.Add(time.Hour)))
			r, err := pades.Verify(context.Background(), bytes.NewReader(stamped), int64(len(stamped)), trust(t, now.Add(2*time.Hour)))
			if err != nil {
				t.Fatal(err)
			}
			wantVerdicts(t, shape.String(), r, pades.ValidExtended, pades.Valid)
			if s := r.Signatures[0]; s.Level != pades.LevelBT || !s.ProvenTime.Equal(now.Add(time.Hour)) {
				t.Errorf("%v: level %q, proven %v", shape, s.Level, s.ProvenTime)
			}
			if s := r.Signatures[1]; s.Kind != "document-timestamp" || !s.ProvenTime.Equal(now.Add(time.Hour)) {
				t.Errorf("%v: %+v", shape, s)
			}
			// The same of an authority that is not trusted proves nothing, but harms nothing.
			stamped = stampDocument(t, b, shape, newPKI(t).stamper(now.Add(time.Hour)))
			r = verify(t, stamped)
			wantVerdicts(t, shape.String(), r, pades.ValidExtended, pades.Indeterminate)
			// One over other bytes is a change like any other.
			at := bytes.LastIndex(stamped, []byte("PPKLite"))
			stamped[at] = 'X'
			wantVerdicts(t, shape.String(), verify(t, stamped), pades.ModifiedForbidden, pades.Invalid)
		}
	}
}

// FuzzUpdate appends updates that are well-formed to a signed file. Whatever
// is not reported must leave what the pages show as it was signed.
func FuzzUpdate(f *testing.F) {
	who := authority(f).signer(f, "Ana", nil)
	var files [][]byte
	for _, shape := range costest.Shapes() {
		files = append(files, sign(f, costest.Sample(costest.Options{Shape: shape, Form: true}), who, pades.Options{Reserve: pades.Reserve{Exact: 3000}}))
	}
	f.Add(uint8(0), uint16(costest.Content1), "<<>>", []byte(evil), uint16(0), "")
	f.Add(uint8(1), uint16(costest.TextA), "<</FT/Tx/T(a)/V(x)>>", []byte(nil), uint16(90), "<<>>")
	f.Add(uint8(2), uint16(costest.Info), "<</ModDate(D:2027)>>", []byte(nil), uint16(91), "<</Type/Page>>")
	f.Add(uint8(0), uint16(costest.Page1), "<</Type/Page/Annots[9 0 R 99 0 R]/Parent 2 0 R/Contents 6 0 R>>", []byte(nil), uint16(99), "<</Subtype/Widget/FT/Sig/T(q)/Rect[0 0 9 9]>>")
	f.Fuzz(func(t *testing.T, which uint8, num uint16, body string, data []byte, num2 uint16, body2 string) {
		shape := costest.Shapes()[int(which)%len(files)]
		file := files[int(which)%len(files)]
		objs := []costest.Obj{{Num: int(num)%200 + 1, Body: body, Data: data}}
		if body2 != "" && num2 != num {
			objs = append(objs, costest.Obj{Num: int(num2)%200 + 1, Body: body2})
		}
		if len(objs) == 2 && objs[0].Num == objs[1].Num {
			return
		}
		b := costest.Append(file, shape, objs, costest.TrailerEntries(file))
		r, err := pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), trust(t, now))
		if err != nil || len(r.Signatures) == 0 {
			return
		}
		switch r.Signatures[0].Verdict {
		case pades.Valid, pades.ValidExtended, pades.ModifiedAllowed:
			if was, is := shown(t, file), shown(t, b); was != is {
				t.Errorf("%s, but the pages change from\n%s\nto\n%s", r.Signatures[0].Verdict, was, is)
			}
		}
	})
}
