package pades_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// encryptions are the kinds of encryption that qpdf writes.
func encryptions() map[string][]string {
	return map[string][]string{
		"RC4-40":             {"40"},
		"RC4-128":            {"128", "--use-aes=n"},
		"RC4-128 V4":         {"128", "--use-aes=n", "--force-V4"},
		"AES-128":            {"128", "--use-aes=y"},
		"AES-128 clear meta": {"128", "--use-aes=y", "--cleartext-metadata"},
		"AES-256 R5":         {"256", "--force-R5"},
		"AES-256":            {"256"},
		"AES-256 clear meta": {"256", "--cleartext-metadata"},
	}
}

// encryptFile has qpdf encrypt a file; after are options behind the encryption's.
func encryptFile(t testing.TB, b []byte, user, owner string, args []string, after ...string) []byte {
	t.Helper()
	in, out := writeFile(t, "in.pdf", b), filepath.Join(t.TempDir(), "out.pdf")
	all := slices.Concat([]string{"--allow-weak-crypto", "--encrypt", user, owner}, args, []string{"--"}, after, []string{in, out})
	if msg, err := run(t, "qpdf", all...); err != nil {
		t.Fatalf("qpdf %v: %v\n%s", all, err, msg)
	}
	enc, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return enc
}

func verifyPassword(t testing.TB, b []byte, password string) *pades.Report {
	t.Helper()
	o := trust(t, now)
	o.Password = password
	r, err := pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Encrypted files of every kind are signed twice, visibly too, and satisfy
// other readers; what is written into the signature is read back by them.
func TestEncryptedFilesAreSigned(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	ana, beto := ca.signer(t, "Ana", nil), ca.signer(t, "Beto", nil)
	seal := &pades.Seal{Name: "Beto", Tier: "Firma electrónica", URL: "https://example.org/v/A"}
	for kind, args := range encryptions() {
		for _, objstm := range []string{"disable", "generate"} {
			t.Run(kind+" object streams "+objstm, func(t *testing.T) {
				t.Parallel()
				base := encryptFile(t, costest.Sample(costest.Options{Form: true}), "", "dueño", args, "--object-streams="+objstm)
				one := sign(t, base, ana, pades.Options{Name: "Ana Núñez", Reason: "Aprobación (uno)", Field: "Firma"})
				two := sign(t, one, beto, pades.Options{Level: pades.LevelBT, Name: "Beto", Seal: seal, Placement: pades.Placement{Page: -1}})
				checkWithTools(t, kind, one, 1)
				checkWithTools(t, kind, two, 2)
				r := verify(t, two)
				wantVerdicts(t, kind, r, pades.ValidExtended, pades.Valid)
				if s := r.Signatures[0]; s.Name != "Ana Núñez" || s.Reason != "Aprobación (uno)" || !s.ClaimedTime.Equal(now) {
					t.Errorf("read back: %q %q %v", s.Name, s.Reason, s.ClaimedTime)
				}
				if !bytes.Equal(pixels(t, base, "1"), pixels(t, two, "1")) {
					t.Error("page 1 looks different")
				}
				if bytes.Contains(two[len(base):], []byte("Ana")) {
					t.Error("a name is written in the clear")
				}
				wantDecrypted(t, two)
			})
		}
	}
}

// wantDecrypted has qpdf decrypt a file and looks for strings and streams of
// the sample and of its signatures.
func wantDecrypted(t *testing.T, b []byte) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "plain.pdf")
	if msg, err := run(t, "qpdf", "--decrypt", "--qdf", "--object-streams=disable", writeFile(t, "in.pdf", b), out); err != nil {
		t.Fatalf("qpdf: %v\n%s", err, msg)
	}
	plain, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"(es-BO)", "(Hola) Tj", "(uno)", "(https://example.org/)", "/T (Firma)", "/T (Firma1)", "/Helv 0 Tf 0 g", "xmpmeta"} {
		if !bytes.Contains(plain, []byte(want)) {
			t.Errorf("decrypted by qpdf, the file has no %s", want)
		}
	}
}

// A password opens what the empty one does not, for signing, for verifying and
// for looking.
func TestPasswords(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	for kind, args := range encryptions() {
		base := encryptFile(t, costest.Sample(costest.Options{}), "usuario", "secreta", args)
		for pw, want := range map[string]pades.Code{"": pades.CodeEncrypted, "otra": pades.CodePassword} {
			_, err := pades.Prepare(t.Context(), bytes.NewReader(base), int64(len(base)), pades.Options{SigningTime: now, Password: pw})
			wantRefusal(t, kind, err, want)
			_, err = pades.PreflightPassword(t.Context(), bytes.NewReader(base), int64(len(base)), pw, pades.Limits{})
			wantRefusal(t, kind, err, want)
			_, err = pades.Verify(t.Context(), bytes.NewReader(base), int64(len(base)), pades.VerifyOptions{At: now, Password: pw})
			wantRefusal(t, kind, err, want)
		}
		signed := base
		for i, pw := range []string{"usuario", "secreta"} {
			rep, err := pades.PreflightPassword(t.Context(), bytes.NewReader(signed), int64(len(signed)), pw, pades.Limits{})
			if err != nil || rep.Encryption == nil || rep.Encryption.Owner != (pw == "secreta") || !strings.HasPrefix(kind, rep.Encryption.Method) {
				t.Errorf("%s: %+v, %v", kind, rep.Encryption, err)
			}
			signed = sign(t, signed, who, pades.Options{Password: pw, Name: "Ana"})
			if got := len(verifyPassword(t, signed, pw).Signatures); got != i+1 {
				t.Errorf("%s: %d signatures", kind, got)
			}
		}
		wantVerdicts(t, kind, verifyPassword(t, signed, "usuario"), pades.ValidExtended, pades.Valid)
		if out, err := run(t, "qpdf", "--password=usuario", "--check", writeFile(t, "signed.pdf", signed)); err != nil {
			t.Errorf("%s: qpdf: %v\n%s", kind, err, out)
		}
	}
}

// What the permissions of a file forbid is refused, unless its owner opens it.
func TestPermissionsAreObeyed(t *testing.T) {
	t.Parallel()
	base := costest.Sample(costest.Options{Form: true})
	for name, c := range map[string]struct {
		args             []string
		fill, add, certs bool
	}{
		"all":              {[]string{"256"}, true, true, true},
		"none":             {[]string{"256", "--modify=none"}, false, false, false},
		"assembly":         {[]string{"256", "--modify=assembly"}, false, false, false},
		"forms":            {[]string{"256", "--modify=form"}, true, false, false},
		"annotations":      {[]string{"256", "--modify=annotate"}, true, false, false},
		"no annotations":   {[]string{"128", "--use-aes=y", "--annotate=n", "--form=n"}, false, false, true},
		"40 bits, nothing": {[]string{"40", "--modify=n", "--annotate=n"}, false, false, false},
		"40 bits, no mark": {[]string{"40", "--annotate=n"}, false, false, true},
	} {
		b := encryptFile(t, base, "", "secreta", c.args)
		for what, a := range map[string]struct {
			o  pades.Options
			ok bool
		}{
			"existing field": {pades.Options{Field: "Firma"}, c.fill},
			"new field":      {pades.Options{}, c.add},
			"certification":  {pades.Options{Field: "Firma", Certify: pades.FormsAndSigning}, c.fill && c.certs},
		} {
			a.o.SigningTime = now
			_, err := pades.Prepare(t.Context(), bytes.NewReader(b), int64(len(b)), a.o)
			if a.ok && err != nil {
				t.Errorf("%s, %s: %v", name, what, err)
			} else if !a.ok {
				wantRefusal(t, name+", "+what, err, pades.CodePermissions)
			}
			a.o.Password = "secreta"
			if _, err := pades.Prepare(t.Context(), bytes.NewReader(b), int64(len(b)), a.o); err != nil {
				t.Errorf("%s, %s, by the owner: %v", name, what, err)
			}
		}
		_, err := pades.Preflight(t.Context(), bytes.NewReader(b), int64(len(b)), pades.Limits{})
		if c.fill != (err == nil) {
			t.Errorf("%s: preflight says %v", name, err)
		}
	}
}

// Changes after signing are seen in encrypted files as in others.
func TestEncryptedFilesAreCompared(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	for kind, args := range encryptions() {
		base := encryptFile(t, costest.Sample(costest.Options{Form: true}), "", "secreta", args, "--object-streams=disable")
		signed := sign(t, base, who, pades.Options{})
		f, err := cos.Open(bytes.NewReader(signed), int64(len(signed)), cos.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		page, err := f.Page(0)
		if err != nil {
			t.Fatal(err)
		}
		content, _ := page.Value.Get("Contents").Ref()
		data, err := f.Crypt().EncryptStream(content, []byte(evil))
		if err != nil {
			t.Fatal(err)
		}
		trailer := f.TrailerObject()
		entries := ""
		for _, key := range []string{"Root", "Info", "ID", "Encrypt"} {
			s, e := trailer.Value.Get(key).Span()
			entries += " /" + key + " " + string(trailer.Raw[s:e])
		}
		changed := costest.Append(signed, costest.Table, []costest.Obj{{Num: int(content.Num), Body: "<<>>", Data: data}}, entries)
		wantVerdicts(t, kind, verify(t, changed), pades.ModifiedForbidden)
		touched := bytes.Clone(signed)
		at := bytes.LastIndex(touched, []byte("/M <")) + len("/M <")
		touched[at] ^= 1
		r, err := pades.Verify(context.Background(), bytes.NewReader(touched), int64(len(touched)), trust(t, now.Add(time.Hour)))
		if err == nil {
			wantVerdicts(t, kind, r, pades.Invalid)
		}
	}
}

// Evidence and document time-stamps are added to encrypted files too.
func TestEncryptedFilesAreExtended(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"RC4-128", "AES-128", "AES-256"} {
		for _, objstm := range []string{"disable", "generate"} {
			l := newLab(t, now)
			base := encryptFile(t, costest.Sample(costest.Options{Form: true}), "", "dueño", encryptions()[kind], "--object-streams="+objstm)
			lta := l.sign(base, l.Signer(t, "Ana"), pades.LevelBLTA)
			l.judges(kind, lta, 1, 1)
			l.want(kind, l.verifyAt(lta, now.Add(time.Hour)), pades.ValidExtended, "", pades.LevelBLTA)
			renewed := l.extend(lta, l.options(pades.LevelBLTA))
			l.want(kind, l.verifyAt(renewed, now.Add(time.Hour)), pades.ValidExtended, "", pades.LevelBLTA)
		}
	}
	l := newLab(t, now)
	bound := encryptFile(t, costest.Sample(costest.Options{Form: true}), "", "dueño", []string{"256", "--modify=form"})
	x := l.options(pades.LevelBLTA)
	who := l.Signer(t, "Ana")
	_, err := pades.Sign(t.Context(), bytes.NewReader(bound), int64(len(bound)), who.Key, who.Chain(), l, pades.Options{Level: pades.LevelBLTA, SigningTime: now, Field: "Firma", Extend: &x})
	wantRefusal(t, "permissions", err, pades.CodePermissions)
}
