package pades_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

func sign(t testing.TB, base []byte, who signer, o pades.Options) []byte {
	t.Helper()
	if o.SigningTime.IsZero() {
		o.SigningTime = now
	}
	s, err := pades.Sign(context.Background(), bytes.NewReader(base), int64(len(base)), who.key, who.chain, authority(t).stamper(now), o)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := s.WriteTo(context.Background(), &out, bytes.NewReader(base)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestSignEveryShape(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	ana, beto := ca.signer(t, "Ana Núñez", nil), ca.signer(t, "Beto Quispe", nil)
	for _, shape := range costest.Shapes() {
		for _, o := range []costest.Options{{Shape: shape}, {Shape: shape, Form: true}, {Shape: shape, Form: true, IndirectForm: true, IndirectAnnots: true}} {
			name := shape.String()
			base := costest.Sample(o)
			one := sign(t, base, ana, pades.Options{Name: "Ana Núñez", Reason: "Aprobación", Location: "Oruro"})
			if !bytes.HasPrefix(one, base) {
				t.Fatalf("%s: the file changed", name)
			}
			checkWithTools(t, name, one, 1)
			two := sign(t, one, beto, pades.Options{Level: pades.LevelBT})
			if !bytes.HasPrefix(two, one) {
				t.Fatalf("%s: the signed file changed", name)
			}
			checkWithTools(t, name+" twice", two, 2)
			if !bytes.Equal(pixels(t, base, "1"), pixels(t, two, "1")) {
				t.Errorf("%s: page 1 looks different", name)
			}
		}
	}
}

func TestEveryKeyIsVerifiedByOpenSSL(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	for name, key := range otherKeys(t) {
		who := ca.signer(t, "Carla", key)
		base := costest.Sample(costest.Options{})
		b := sign(t, base, who, pades.Options{Level: pades.LevelBT})
		var r [4]int
		at := bytes.LastIndex(b, []byte("/ByteRange ["))
		if _, err := fmt.Sscanf(string(b[at+len("/ByteRange ["):]), "%d %d %d %d", &r[0], &r[1], &r[2], &r[3]); err != nil {
			t.Fatal(err)
		}
		if r[0] != 0 || r[2]+r[3] != len(b) || b[r[1]] != '<' || b[r[2]-1] != '>' {
			t.Errorf("%s: byte range %v of %d bytes", name, r, len(b))
		}
		der, err := hex.DecodeString(string(b[r[1]+1 : r[2]-1]))
		if err != nil {
			t.Fatal(err)
		}
		if der, err = cms.TrimZeroPadding(der); err != nil {
			t.Fatal(err)
		}
		content := writeFile(t, "content", append(bytes.Clone(b[:r[1]]), b[r[2]:]...))
		out, err := run(t, "openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", writeFile(t, "sig.der", der),
			"-content", content, "-CAfile", writePEM(t, ca.root), "-purpose", "any", "-attime", fmt.Sprint(now.Unix()), "-out", filepath.Join(t.TempDir(), "out"))
		if err != nil && name != "Ed25519" { // which OpenSSL 3.0 does not verify in CMS
			t.Errorf("%s: openssl: %v\n%s", name, err, out)
		}
		sd, err := cms.Parse(der)
		if err != nil {
			t.Fatal(err)
		}
		if !sd.Signer.SigningTime.IsZero() || len(sd.TimestampTokens()) != 1 || len(sd.RawCertificates) != 2 {
			t.Errorf("%s: signing time %v, %d tokens, %d certificates", name, sd.Signer.SigningTime, len(sd.TimestampTokens()), len(sd.RawCertificates))
		}
		value := writeFile(t, "value", sd.Signer.Signature)
		out, err = run(t, "openssl", "ts", "-verify", "-token_in", "-in", writeFile(t, "token", sd.TimestampTokens()[0]), "-data", value,
			"-CAfile", writePEM(t, ca.tsaRoot), "-attime", fmt.Sprint(now.Unix()))
		if err != nil {
			t.Errorf("%s: openssl ts: %v\n%s", name, err, out)
		}
	}
}

func TestSignatureDictionaryIsPAdES(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	base := costest.Sample(costest.Options{Shape: costest.Stream})
	b := sign(t, base, who, pades.Options{Name: "José", Reason: "Aprobación (v2)", Location: "Oruro", ContactInfo: "x"})
	f, err := cos.Open(bytes.NewReader(b), int64(len(b)), cos.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	err = f.Fields(func(fl *cos.Field) bool {
		d, err := f.Resolve(fl.Value)
		if err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]string{"Name": "José", "Reason": "Aprobación (v2)", "Location": "Oruro", "M": "D:20261124100000-04'00'"} {
			if s, _ := d.Get(key).Text(); cos.TextString(s) != want {
				t.Errorf("/%s is %q, want %q", key, cos.TextString(s), want)
			}
		}
		if d.Get("SubFilter").Name() != "ETSI.CAdES.detached" || d.Has("Cert") || fl.Name != "Firma1" {
			t.Errorf("field %s: %v", fl.Name, d.Get("SubFilter").Name())
		}
		w := fl.Widgets[0].Value
		if flags, _ := w.Get("F").Int(); flags != 132 || !w.Has("TU") || !w.Has("AP") {
			t.Error("widget lacks flags, name or appearance")
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSealIsOnThePageAndNothingElseChanges(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	base := costest.Sample(costest.Options{Shape: costest.Stream})
	seal := &pades.Seal{Name: "Ana Núñez", Post: "Directora", Date: now, Tier: "Firma electrónica, certificado interno", URL: "https://example.org/v/ABC", Code: "ABC"}
	b := sign(t, base, who, pades.Options{Seal: seal, Placement: pades.Placement{Page: -1}})
	checkWithTools(t, "seal", b, 1)
	if !bytes.Equal(pixels(t, base, "1"), pixels(t, b, "1")) {
		t.Error("page 1 changed")
	}
	if bytes.Equal(pixels(t, base, "2"), pixels(t, b, "2")) {
		t.Error("page 2 has no seal")
	}
	out, err := run(t, "pdftotext", writeFile(t, "x.pdf", b), "-")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Ana Núñez", "certificado interno", "Código: ABC", "24/11/2026 10:00:00 -04:00"} {
		if !strings.Contains(out, want) {
			t.Errorf("text of page 2 lacks %q: %s", want, out)
		}
	}
	fonts, err := run(t, "pdffonts", "-f", "2", writeFile(t, "x.pdf", b))
	if err != nil || !strings.Contains(fonts, "+GoRegular") || strings.Contains(fonts, "GoRegular                         CID TrueType      Identity-H       no") {
		t.Errorf("fonts: %v\n%s", err, fonts)
	}
}

func TestSignIntoAnEmptyFieldOfTheDocument(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	for _, shape := range costest.Shapes() {
		base := costest.Sample(costest.Options{Shape: shape, Form: true, FieldExtra: "/Lock <</Type/SigFieldLock/Action/Include/Fields[(grupo)]>>"})
		seal := &pades.Seal{Name: "Ana Núñez", Tier: "Firma electrónica"}
		b := sign(t, base, who, pades.Options{Field: "Firma", Seal: seal})
		checkWithTools(t, shape.String(), b, 1)
		if !bytes.Contains(b, []byte("/TransformMethod /FieldMDP")) || bytes.Count(b, []byte("/FT /Sig")) > 2 {
			t.Errorf("%v: no FieldMDP, or a field too many", shape)
		}
		// The lock names the group; other fields stay open, the locked one is refused.
		_, err := pades.Prepare(context.Background(), bytes.NewReader(b), int64(len(b)), pades.Options{SigningTime: now, Field: "Firma"})
		wantRefusal(t, "signed field", err, pades.CodeFieldSigned)
	}
}

func wantRefusal(t *testing.T, name string, err error, code pades.Code) {
	t.Helper()
	var r *pades.RefusedError
	if !errors.As(err, &r) || r.Code != code {
		t.Errorf("%s: got %v, want refusal %q", name, err, code)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	plain := costest.Sample(costest.Options{Form: true})
	visible := pades.Options{Seal: &pades.Seal{Name: "A"}}
	for name, c := range map[string]struct {
		base []byte
		o    pades.Options
		want pades.Code
	}{
		"junk before the header":    {append([]byte("x"), plain...), pades.Options{}, pades.CodeHeader},
		"junk behind the end":       {append(bytes.Clone(plain), 'x'), pades.Options{}, pades.CodeDamaged},
		"encrypted":                 {costest.File{Objs: []costest.Obj{{Num: 1, Body: "<<>>"}}, Trailer: "/Root 1 0 R/Encrypt<</Filter/Adobe.PubSec>>"}.Bytes(), pades.Options{}, pades.CodeEncrypted},
		"certified, no changes":     {sign(t, plain, who, pades.Options{Certify: pades.NoChanges}), pades.Options{}, pades.CodeCertified},
		"certified, new visible":    {sign(t, plain, who, pades.Options{Certify: pades.FormsAndSigning}), visible, pades.CodeCertified},
		"certify a signed one":      {sign(t, plain, who, pades.Options{}), pades.Options{Certify: pades.FormsAndSigning}, pades.CodeCertified},
		"text field":                {plain, pades.Options{Field: "a"}, pades.CodeFieldType},
		"dotted new name":           {plain, pades.Options{Field: "x.y"}, pades.CodeFieldName},
		"page that is not there":    {plain, pades.Options{Seal: &pades.Seal{Name: "A"}, Placement: pades.Placement{Page: 7}}, pades.CodePage},
		"seal outside the page":     {plain, pades.Options{Seal: &pades.Seal{Name: "A"}, Placement: pades.Placement{Rect: &[4]float64{-50, 0, 50, 50}}}, pades.CodeSeal},
		"letters without a glyph":   {plain, pades.Options{Seal: &pades.Seal{Name: "名"}}, pades.CodeSeal},
		"dynamic XFA":               {costest.Sample(costest.Options{CatalogExtra: "/NeedsRendering true/AcroForm<</Fields[3 0 R]/XFA[]>>"}), pades.Options{}, pades.CodeXFA},
		"XFA without fields":        {costest.Sample(costest.Options{CatalogExtra: "/AcroForm<</Fields[]/XFA[]>>"}), pades.Options{}, pades.CodeXFA},
		"seed value":                {costest.Sample(costest.Options{Form: true, FieldExtra: "/SV<</Ff 2/SubFilter[/adbe.pkcs7.detached]>>"}), pades.Options{Field: "Firma"}, pades.CodeSeedValues},
		"seed value for revocation": {costest.Sample(costest.Options{Form: true, FieldExtra: "/SV<</Ff 32/AddRevInfo true>>"}), pades.Options{Field: "Firma"}, pades.CodeSeedValues},
		"catalog with a key twice":  {costest.Sample(costest.Options{CatalogExtra: "/Lang(x)"}), pades.Options{}, pades.CodeAmbiguous},
		"object that does not read": {costest.Sample(costest.Options{Extra: []costest.Obj{{Num: 30, Body: "<</A --1>>"}}}), pades.Options{}, pades.CodeDamaged},
	} {
		c.o.SigningTime = now
		_, err := pades.Prepare(context.Background(), bytes.NewReader(c.base), int64(len(c.base)), c.o)
		wantRefusal(t, name, err, c.want)
	}
}

func TestCertificationIsSeenAndObeyed(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	for _, shape := range costest.Shapes() {
		base := costest.Sample(costest.Options{Shape: shape, Form: true})
		b := sign(t, base, who, pades.Options{Certify: pades.FormsAndSigning})
		b = sign(t, b, who, pades.Options{})               // a new invisible field
		b = sign(t, b, who, pades.Options{Field: "Firma"}) // an empty field
		checkWithTools(t, shape.String(), b, 3)
	}
}
