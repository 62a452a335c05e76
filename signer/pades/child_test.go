package pades_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/isolate"
	"oruro.gob.bo/suti/signer/pades"
)

// TestMain makes this program the child of signer/isolate.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "verify-worker" {
		os.Exit(isolate.Work(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestChildSaysTheSame: what a child process says of a file is, to the last
// field and certificate, what is said in this one: over every attack on a signed
// file, and files with many kinds of signatures.
func TestChildSaysTheSame(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	at := now.Add(time.Hour)
	v, err := isolate.New(isolate.Config{
		Command: []string{self, "verify-worker"}, Now: func() time.Time { return at },
		Roots:          func() []*x509.Certificate { return []*x509.Certificate{ca.root} },
		TimestampRoots: func() []*x509.Certificate { return []*x509.Certificate{ca.tsaRoot} },
	})
	if err != nil {
		t.Fatal(err)
	}
	judged := 0
	for name, b := range manyFiles(t) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		got, gotErr := v.Verify(t.Context(), f, int64(len(b)))
		want, wantErr := pades.Verify(t.Context(), bytes.NewReader(b), int64(len(b)), pades.VerifyOptions{Roots: ca.roots(), TimestampRoots: ca.tsaRoots(), At: at})
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if (gotErr == nil) != (wantErr == nil) || gotErr != nil && gotErr.Error() != wantErr.Error() {
			t.Errorf("%s: got error %v, want %v", name, gotErr, wantErr)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: the child says otherwise (-want +got):\n%s", name, diff)
		}
		a, err1 := json.Marshal(got)
		c, err2 := json.Marshal(want)
		if !bytes.Equal(a, c) || err1 != nil || err2 != nil {
			t.Errorf("%s: the JSON differs:\n%s\n%s", name, a, c)
		}
		if got != nil && len(got.Signatures) > 0 {
			judged++
		}
	}
	if judged < 60 {
		t.Errorf("only %d files with signatures", judged)
	}
}

// manyFiles are every attack on a file of one kind, and files that are not attacked.
func manyFiles(t *testing.T) map[string][]byte {
	ca := authority(t)
	who := ca.signer(t, "Ana Núñez <&>", nil)
	out := map[string][]byte{"unsigned": costest.Sample(costest.Options{}), "no PDF": []byte("no es PDF")}
	for _, group := range []map[string]attack{savingAttacks(), contentAttacks(), formAttacks(), dictionaryAttacks(), shadowAttacks(), structureAttacks(), permissionAttacks(), evidenceChanges()} {
		for name, a := range group {
			o := costest.Options{Form: true}
			if len(a.shapes) > 0 {
				o.Shape = a.shapes[0]
			}
			if a.base != nil {
				a.base(&o)
			}
			w := &world{t: t, shape: o.Shape, base: costest.Sample(o), who: who}
			w.file = sign(t, w.base, who, a.options)
			out[name] = a.make(w)
		}
	}
	one := sign(t, costest.Sample(costest.Options{Form: true}), who, pades.Options{Level: pades.LevelBT, Name: "Ana \u202eñ", Reason: "Sí, \"apruebo\"\n", Location: "Oruro"})
	out["timestamped"] = one
	out["twice"] = sign(t, one, ca.signer(t, "Beto", nil), pades.Options{})
	out["certified"] = sign(t, costest.Sample(costest.Options{}), who, pades.Options{Certify: pades.FormsAndSigning})
	for name, key := range otherKeys(t) {
		out["key "+name] = sign(t, costest.Sample(costest.Options{}), ca.signer(t, name, key), pades.Options{Level: pades.LevelBT})
	}
	out["stranger"] = sign(t, costest.Sample(costest.Options{}), newPKI(t).signer(t, "Nadie", nil), pades.Options{})
	return out
}
