package cos_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
)

// encryptions are the kinds that qpdf writes, with what [cos.Crypt.Method] calls them.
var encryptions = map[string]struct {
	args   []string
	method string
}{
	"RC4-40":             {[]string{"40", "--"}, "RC4-40"},
	"RC4-128":            {[]string{"128", "--use-aes=n", "--"}, "RC4-128"},
	"RC4-128 V4":         {[]string{"128", "--use-aes=n", "--force-V4", "--"}, "RC4-128"},
	"AES-128":            {[]string{"128", "--use-aes=y", "--"}, "AES-128"},
	"AES-128 clear meta": {[]string{"128", "--use-aes=y", "--cleartext-metadata", "--"}, "AES-128"},
	"AES-256 R5":         {[]string{"256", "--force-R5", "--"}, "AES-256"},
	"AES-256":            {[]string{"256", "--"}, "AES-256"},
	"AES-256 clear meta": {[]string{"256", "--cleartext-metadata", "--"}, "AES-256"},
}

// encryptWith has qpdf encrypt a file.
func encryptWith(t testing.TB, b []byte, user, owner string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("qpdf"); err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatal("qpdf is not installed")
		}
		t.Skip("qpdf is not installed")
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.pdf"), filepath.Join(dir, "out.pdf")
	if err := os.WriteFile(in, b, 0o600); err != nil {
		t.Fatal(err)
	}
	objstm := args[len(args)-1]
	args = slices.Concat([]string{"--allow-weak-crypto", "--encrypt", user, owner}, args[:len(args)-1], []string{objstm, in, out})
	if msg, err := exec.Command("qpdf", args...).CombinedOutput(); err != nil {
		t.Fatalf("qpdf %v: %v\n%s", args, err, msg)
	}
	enc, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return enc
}

func openPassword(b []byte, password string) (*cos.File, error) {
	return cos.OpenPassword(bytes.NewReader(b), int64(len(b)), password, cos.Limits{})
}

// readsPlain checks that strings, content and metadata of [costest.Sample] are
// read as they were before encryption.
func readsPlain(t *testing.T, name string, f *cos.File) {
	t.Helper()
	info, err := f.Resolve(f.Trailer().Get("Info"))
	if err != nil {
		t.Fatal(name, err)
	}
	if got, _ := info.Get("Title").Text(); got != "Resoluci\xf3n (uno)" {
		t.Errorf("%s: title %q", name, got)
	}
	page, err := f.Page(0)
	if err != nil {
		t.Fatal(name, err)
	}
	content, err := f.ResolveObject(page.Value.Get("Contents"))
	if err != nil {
		t.Fatal(name, err)
	}
	if got, err := f.Decode(content); err != nil || !bytes.Contains(got, []byte("(Hola) Tj")) {
		t.Errorf("%s: content %q, %v", name, got, err)
	}
	cat, err := f.Catalog()
	if err != nil {
		t.Fatal(name, err)
	}
	if got, _ := cat.Value.Get("Lang").Text(); got != "es-BO" {
		t.Errorf("%s: language %q", name, got)
	}
	meta, err := f.ResolveObject(cat.Value.Get("Metadata"))
	if err != nil {
		t.Fatal(name, err)
	}
	if got, err := f.Decode(meta); err != nil || !bytes.Contains(got, []byte("xmpmeta")) {
		t.Errorf("%s: metadata %q, %v", name, got, err)
	}
}

// Files that qpdf encrypts in every way open with either password, and with
// the empty one where that is the user's; they open with no other.
func TestEncryptedFilesOpen(t *testing.T) {
	t.Parallel()
	base := costest.Sample(costest.Options{Form: true})
	for kind, e := range encryptions {
		for _, objstm := range []string{"--object-streams=disable", "--object-streams=generate"} {
			name := kind + " " + objstm
			b := encryptWith(t, base, "usuario", "dueño", append(e.args, objstm)...)
			for pw, owner := range map[string]bool{"usuario": false, "dueño": true} {
				if strings.HasPrefix(kind, "AES-256") || pw == "usuario" {
					f, err := openPassword(b, pw)
					if err != nil {
						t.Errorf("%s: password %q: %v", name, pw, err)
						continue
					}
					if c := f.Crypt(); c.Owner() != owner || c.Method() != e.method {
						t.Errorf("%s: owner %v, method %s", name, c.Owner(), c.Method())
					}
					readsPlain(t, name, f)
				}
			}
			for pw, want := range map[string]cos.Code{"": cos.CodeEncrypt, "otra": cos.CodePassword} {
				var refused *cos.Error
				if _, err := openPassword(b, pw); !errors.As(err, &refused) || refused.Code != want || !errors.Is(err, cos.ErrEncrypted) {
					t.Errorf("%s: password %q: got %v, want code %s", name, pw, err, want)
				}
			}
			b = encryptWith(t, base, "", "secreta", append(e.args, objstm)...)
			for _, pw := range []string{"", "secreta"} {
				f, err := openPassword(b, pw)
				if err != nil || f.Crypt().Owner() != (pw != "") {
					t.Fatalf("%s: password %q: %v", name, pw, err)
				}
				readsPlain(t, name, f)
			}
		}
	}
}

// A file whose owner has the empty password too does not give everybody the
// owner's rights.
func TestEmptyPasswordIsTheUsers(t *testing.T) {
	t.Parallel()
	b := encryptWith(t, costest.Sample(costest.Options{}), "", "", "128", "--use-aes=y", "--modify=none", "--", "--object-streams=disable")
	f, err := openPassword(b, "")
	if err != nil {
		t.Fatal(err)
	}
	if c := f.Crypt(); c.Owner() || c.MayModify() || c.MayAddFields() || c.MayFillIn() {
		t.Errorf("got %+v, want nothing permitted", c)
	}
}

// Strings written for an object are read back from it.
func TestEncryptText(t *testing.T) {
	t.Parallel()
	base := costest.Sample(costest.Options{})
	for kind, e := range encryptions {
		b := encryptWith(t, base, "", "x", append(e.args, "--object-streams=disable")...)
		f, err := openPassword(b, "")
		if err != nil {
			t.Fatal(err)
		}
		r := cos.Ref{Num: f.NextNumber()}
		const text = "<</A (uno \\) dos) /B [<61> () <</C (tres)>>] % (no string)\n/D /N /S <</Type /Sig /ByteRange [] /Contents <00> /M (m)>>>>"
		enc, err := f.Crypt().EncryptText(r, []byte(text))
		if err != nil {
			t.Fatal(kind, err)
		}
		if bytes.Contains(enc, []byte("tres")) || !bytes.Contains(enc, []byte("/Contents <00>")) {
			t.Errorf("%s: wrote %s", kind, enc)
		}
		out := costest.Append(b, costest.Table, []costest.Obj{{Num: int(r.Num), Body: string(enc), Plain: true}}, trailerOf(f))
		g, err := openPassword(out, "")
		if err != nil {
			t.Fatal(kind, err)
		}
		o, err := g.Get(r)
		if err != nil {
			t.Fatal(kind, err)
		}
		want, _, _ := cos.ParseValue([]byte(text), cos.Limits{})
		if !cos.Equal(o.Value, want) {
			t.Errorf("%s: read %s back otherwise", kind, enc)
		}
	}
}

// trailerOf returns Root, Info, ID and Encrypt as the file writes them.
func trailerOf(f *cos.File) string {
	t := f.TrailerObject()
	out := ""
	for _, key := range []string{"Root", "Info", "ID", "Encrypt"} {
		s, e := t.Value.Get(key).Span()
		out += " /" + key + " " + string(t.Raw[s:e])
	}
	return out
}

// What two readers could decrypt in two ways is refused.
func TestAmbiguousEncryption(t *testing.T) {
	t.Parallel()
	b := encryptWith(t, costest.Sample(costest.Options{}), "", "x", "256", "--", "--object-streams=disable")
	f, err := openPassword(b, "")
	if err != nil {
		t.Fatal(err)
	}
	num, _ := f.Trailer().Get("Encrypt").Ref()
	enc, err := f.Get(num)
	if err != nil {
		t.Fatal(err)
	}
	without := strings.SplitAfter(trailerOf(f), "]")[0]
	for name, c := range map[string]struct {
		file []byte
		want error
	}{
		"update without /Encrypt":       {costest.Append(b, costest.Table, []costest.Obj{{Num: 90, Body: "<<>>"}}, without), cos.ErrAmbiguous},
		"update of the dictionary":      {costest.Append(b, costest.Table, []costest.Obj{{Num: int(num.Num), Body: string(enc.Raw)}}, trailerOf(f)), cos.ErrAmbiguous},
		"permissions changed":           {bytes.Replace(b, []byte("/P -4"), []byte("/P -8"), 1), cos.ErrAmbiguous},
		"handler that is not known":     {bytes.Replace(b, []byte("/Filter /Standard"), []byte("/Filter /StandarX"), 1), cos.ErrEncrypted},
		"revision that is not known":    {bytes.Replace(b, []byte("/R 6"), []byte("/R 9"), 1), cos.ErrUnsupported},
		"crypt filter that is missing":  {bytes.Replace(b, []byte("/StmF /StdCF"), []byte("/StmF /StdXX"), 1), cos.ErrUnsupported},
		"method that is not known":      {bytes.Replace(b, []byte("/CFM /AESV3"), []byte("/CFM /AESV9"), 1), cos.ErrUnsupported},
		"method of another version":     {bytes.Replace(b, []byte("/CFM /AESV3"), []byte("/CFM /AESV2"), 1), cos.ErrUnsupported},
		"metadata declared otherwise":   {costest.Append(b, costest.Table, nil, strings.Replace(trailerOf(f), num.String(), strings.Replace(string(enc.Raw), "/Length 256", "/EncryptMetadata false", 1), 1)), cos.ErrAmbiguous},
		"key written twice":             {bytes.Replace(b, []byte("/Length 256"), []byte("/R 6 /V 5   "), 1), cos.ErrAmbiguous},
		"entry with a wrong length":     {bytes.Replace(b, []byte("/Perms <"), []byte("/PermX <"), 1), cos.ErrDamaged},
		"permissions that are no value": {bytes.Replace(b, []byte("/P -4"), []byte("/X -4"), 1), cos.ErrDamaged},
	} {
		if bytes.Equal(c.file, b) {
			t.Errorf("%s: nothing changed", name)
			continue
		}
		if _, err := openPassword(c.file, ""); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// FuzzEncrypted changes encrypted files. Whatever happens, it is an answer of
// ours, and cheap.
func FuzzEncrypted(f *testing.F) {
	base := costest.Sample(costest.Options{Form: true})
	for _, e := range encryptions {
		for _, objstm := range []string{"--object-streams=disable", "--object-streams=generate"} {
			f.Add(encryptWith(f, base, "", "x", append(e.args, objstm)...), "")
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, password string) {
		file, err := openPassword(b, password)
		if err == nil {
			err = file.Objects(func(num uint32, e cos.Entry) error {
				o, err := file.Get(cos.Ref{Num: num, Gen: e.Gen})
				if err == nil && o.Stream != nil {
					_, err = file.Decode(o)
					if errors.Is(err, cos.ErrUnsupported) {
						err = nil
					}
				}
				return err
			})
		}
		var refused *cos.Error
		if err != nil && !errors.As(err, &refused) {
			t.Errorf("got %v, want a *cos.Error", err)
		}
	})
}
