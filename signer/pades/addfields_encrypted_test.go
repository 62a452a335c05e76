package pades_test

import (
	"bytes"
	"context"
	"testing"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// Fields are put into encrypted files of every kind that need a password, and
// signed there; permissions are obeyed.
func TestAddFieldsToEncryptedFiles(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	add := func(b []byte, password string) (*pades.Addition, error) {
		return pades.AddFieldsPassword(context.Background(), bytes.NewReader(b), int64(len(b)), password,
			[]pades.NewField{{Name: "Alcaldia", Tooltip: "Firma del alcalde (uno)", Placement: &pades.Placement{Page: -1}}}, pades.Limits{})
	}
	for kind, args := range encryptions() {
		base := encryptFile(t, costest.Sample(costest.Options{Form: true}), "llave", "dueno", args)
		_, err := add(base, "")
		wantRefusal(t, kind+" without a password", err, pades.CodeEncrypted)
		_, err = add(base, "otra")
		wantRefusal(t, kind+" with another", err, pades.CodePassword)
		for _, password := range []string{"llave", "dueno"} {
			a, err := add(base, password)
			if err != nil {
				t.Errorf("%s: %v", kind, err)
				continue
			}
			b := append(bytes.Clone(base), a.Tail()...)
			p := writeFile(t, "fields.pdf", b)
			if out, err := run(t, "qpdf", "--check", "--password=llave", p); err != nil {
				t.Errorf("%s: qpdf: %v\n%s", kind, err, out)
			}
			out, err := run(t, "qpdf", "--password=llave", "--json", "--json-key=acroform", p)
			if err != nil || !bytes.Contains([]byte(out), []byte("Firma del alcalde (uno)")) {
				t.Errorf("%s: the field's name is not read back: %v", kind, err)
			}
			b = sign(t, b, who, pades.Options{Field: "Alcaldia", Password: password, Seal: &pades.Seal{Name: "Ana"}})
			wantVerdicts(t, kind, verifyPassword(t, b, "llave"), pades.Valid)
		}
	}
	closed := encryptFile(t, costest.Sample(costest.Options{Form: true}), "llave", "dueno", []string{"256", "--modify=none", "--annotate=n"})
	_, err := add(closed, "llave")
	wantRefusal(t, "a user without permission", err, pades.CodePermissions)
	if _, err := add(closed, "dueno"); err != nil {
		t.Errorf("the owner: %v", err)
	}
}
