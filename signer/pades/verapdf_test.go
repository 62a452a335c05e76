package pades_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/internal/evidence/evidencetest"
	"oruro.gob.bo/suti/signer/pades"
	"oruro.gob.bo/suti/signer/pdffont"
)

// veraPDF validates files against a flavour of PDF/A or PDF/UA: set
// SUTI_TEST_VERAPDF to its archive of Java classes. It returns the rules that
// each file breaks, none for a file that passes.
func veraPDF(t testing.TB, flavour string, files map[string][]byte) map[string]string {
	t.Helper()
	jar := os.Getenv("SUTI_TEST_VERAPDF")
	if jar == "" {
		t.Skip("SUTI_TEST_VERAPDF does not name the program veraPDF")
	}
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name+".pdf"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// It exits with 1 where a file does not pass.
	cmd := exec.Command("java", "-cp", jar, "org.verapdf.apps.GreenfieldCliWrapper", "--format", "text", "--verbose", "--loglevel", "0", "-f", flavour, dir)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err := cmd.Run()
	broken := map[string]string{}
	seen, now := 0, ""
	for line := range strings.Lines(out.String()) {
		line = strings.TrimSpace(line)
		verdict, rest, _ := strings.Cut(line, " ")
		path, _, found := strings.Cut(rest, ".pdf")
		switch {
		case found && (verdict == "PASS" || verdict == "FAIL"):
			seen++
			if now = ""; verdict == "FAIL" {
				now = filepath.Base(path)
				broken[now] = "fails:"
			}
		case now != "":
			broken[now] += " " + line
		}
	}
	if seen != len(files) {
		t.Fatalf("veraPDF judged %d of %d files: %v\n%s%s", seen, len(files), err, out.String(), stderr.String())
	}
	return broken
}

// archival is a document that passes a flavour, with text in an embedded font.
func archival(t testing.TB, flavour string) []byte {
	t.Helper()
	face, err := pdffont.Regular()
	if err != nil {
		t.Fatal(err)
	}
	text, err := face.Encode("Resolución uno")
	if err != nil {
		t.Fatal(err)
	}
	objs, err := face.Objects()
	if err != nil {
		t.Fatal(err)
	}
	const firstFont, metadata, root, parents, element = 20, 6, 10, 11, 12
	schema, tagged := "", flavour == "ua1"
	switch {
	case tagged:
		schema = `xmlns:pdfuaid="http://www.aiim.org/pdfua/ns/id/" pdfuaid:part="1"`
	case flavour == "4":
		schema = `xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/" pdfaid:part="4" pdfaid:rev="2020"`
	default:
		schema = fmt.Sprintf(`xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/" pdfaid:part="%s" pdfaid:conformance="%s"`, flavour[:1], strings.ToUpper(flavour[1:]))
	}
	xmp := `<?xpacket begin="` + "\ufeff" + `" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">` +
		`<rdf:Description rdf:about="" ` + schema + ` xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title><rdf:Alt><rdf:li xml:lang="x-default">Resolución</rdf:li></rdf:Alt></dc:title></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>`
	content := "BT /F0 18 Tf /CS0 cs 0 sc 72 700 Td " + text + " Tj ET"
	catalog, page := "", ""
	if tagged {
		content = "/P <</MCID 0>> BDC " + content + " EMC"
		catalog = fmt.Sprintf("/Lang(es-BO)/MarkInfo<</Marked true>>/ViewerPreferences<</DisplayDocTitle true>>/StructTreeRoot %d 0 R", root)
		page = "/StructParents 0"
	}
	f := costest.File{Version: map[string]string{"1b": "1.4", "4": "2.0"}[flavour], Objs: []costest.Obj{
		{Num: 1, Body: fmt.Sprintf("<</Type/Catalog/Pages 2 0 R/Metadata %d 0 R%s>>", metadata, catalog)},
		{Num: 2, Body: "<</Type/Pages/Kids[3 0 R]/Count 1/MediaBox[0 0 595 842]>>"},
		{Num: 3, Body: fmt.Sprintf("<</Type/Page/Parent 2 0 R/Contents 4 0 R/Resources<</Font<</F0 %d 0 R>>/ColorSpace<</CS0[/CalGray<</WhitePoint[0.9505 1 1.089]>>]>>>>%s>>", firstFont, page)},
		{Num: 4, Body: "<<>>", Data: []byte(content)},
		{Num: metadata, Body: "<</Type/Metadata/Subtype/XML>>", Data: []byte(xmp)},
	}, Trailer: "/Root 1 0 R/ID[<00112233445566778899AABBCCDDEEFF><00112233445566778899AABBCCDDEEFF>]"}
	if tagged {
		f.Objs = append(f.Objs,
			costest.Obj{Num: root, Body: fmt.Sprintf("<</Type/StructTreeRoot/K[%d 0 R]/ParentTree %d 0 R/ParentTreeNextKey 1>>", element, parents)},
			costest.Obj{Num: parents, Body: fmt.Sprintf("<</Nums[0[%d 0 R]]>>", element)},
			costest.Obj{Num: element, Body: fmt.Sprintf("<</Type/StructElem/S/P/P %d 0 R/Pg 3 0 R/K 0>>", root)})
	}
	if flavour != "1b" && !tagged {
		f.Shape = costest.Stream
	}
	for i, o := range objs {
		dict := o.Dict
		for k, target := range o.Uses {
			dict = strings.ReplaceAll(dict, "{"+k+"}", fmt.Sprintf("%d 0 R", firstFont+target))
		}
		f.Objs = append(f.Objs, costest.Obj{Num: firstFont + i, Body: dict, Data: o.Data})
	}
	return f.Bytes()
}

// A file that passes PDF/A or PDF/UA passes after it is signed, at every level;
// PDF/UA where the signature is invisible.
func TestSigningKeepsPDFAndUA(t *testing.T) {
	t.Parallel()
	for _, flavour := range []string{"1b", "2b", "2u", "3b", "4", "ua1"} {
		t.Run(flavour, func(t *testing.T) {
			base := archival(t, flavour)
			files := map[string][]byte{"unsigned": base}
			l := newLab(t, time.Time{})
			who := l.Signer(t, "Ana Núñez")
			seal := &pades.Seal{Name: "Ana Núñez", Post: "Directora", Date: now, Tier: "Firma electrónica", URL: "https://example.org/v/A"}
			for name, o := range map[string]pades.Options{
				"invisible": {}, "visible": {Seal: seal}, "certified": {Certify: pades.FormsAndSigning}, "closed": {Certify: pades.NoChanges},
				"locked": {Lock: &pades.Lock{Action: pades.LockAll}},
			} {
				if flavour != "ua1" || o.Seal == nil {
					files[name] = signedBy(t, l, who, base, o)
				}
			}
			for level, name := range map[pades.Level]string{pades.LevelBT: "bt", pades.LevelBLT: "blt", pades.LevelBLTA: "blta"} {
				files[name] = l.sign(base, who, level)
			}
			if flavour != "ua1" {
				files["visible-blta"] = l.extend(files["visible"], l.options(pades.LevelBLTA))
				a, err := pades.AddFields(context.Background(), bytes.NewReader(base), int64(len(base)),
					[]pades.NewField{{Name: "uno", Placement: &pades.Placement{}}, {Name: "dos", Placement: &pades.Placement{Slot: 1}}}, pades.Limits{})
				if err != nil {
					t.Fatal(err)
				}
				files["fields"] = append(bytes.Clone(base), a.Tail()...)
				files["field-signed"] = signedBy(t, l, who, files["fields"], pades.Options{Field: "dos", Seal: seal})
			}
			for name, why := range veraPDF(t, flavour, files) {
				t.Errorf("%s: %s", name, why)
			}
		})
	}
}

func signedBy(t testing.TB, l *lab, who *evidencetest.Node, base []byte, o pades.Options) []byte {
	t.Helper()
	o.SigningTime = l.Now()
	s, err := pades.Sign(context.Background(), bytes.NewReader(base), int64(len(base)), who.Key, who.Chain(), l, o)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := s.WriteTo(context.Background(), &out, bytes.NewReader(base)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
