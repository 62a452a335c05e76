package pades_test

import (
	"bytes"
	"errors"
	"testing"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

func repaired(t *testing.T, b []byte, o pades.RepairOptions) (*pades.Repaired, []byte, error) {
	t.Helper()
	r, err := pades.Repair(t.Context(), bytes.NewReader(b), int64(len(b)), o)
	if err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	if _, err := r.WriteTo(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	return r, out.Bytes(), nil
}

// A repaired file is sound to other readers, looks as the sound one did, and can
// be signed; the report names both files.
func TestRepairedFilesAreSigned(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	for _, shape := range costest.Shapes() {
		sound := costest.Sample(costest.Options{Shape: shape, Form: true})
		for _, encrypted := range []bool{false, true} {
			if encrypted {
				sound = encryptFile(t, sound, "", "secreta", []string{"256"})
			}
			broken := append([]byte("basura\n"), sound...)
			_, err := pades.Preflight(t.Context(), bytes.NewReader(broken), int64(len(broken)), pades.Limits{})
			wantRefusal(t, "before", err, pades.CodeHeader)
			_, err = pades.Verify(t.Context(), bytes.NewReader(broken), int64(len(broken)), trust(t, now))
			wantRefusal(t, "verify", err, pades.CodeHeader)
			r, fixed, err := repaired(t, broken, pades.RepairOptions{})
			if err != nil {
				t.Fatal(shape, err)
			}
			if r.Refused != pades.CodeHeader || r.Pages != 2 || r.AfterSize != int64(len(fixed)) || r.BeforeSHA256 == r.AfterSHA256 || r.BeforeSize != int64(len(broken)) {
				t.Errorf("%v: %+v", shape, r.RepairReport)
			}
			if out, err := run(t, "qpdf", "--check", writeFile(t, "fixed.pdf", fixed)); err != nil {
				t.Errorf("%v: qpdf: %v\n%s", shape, err, out)
			}
			signed := sign(t, fixed, who, pades.Options{Field: "Firma"})
			checkWithTools(t, shape.String(), signed, 1)
			if !bytes.Equal(pixels(t, sound, "1"), pixels(t, signed, "1")) {
				t.Errorf("%v: page 1 looks different", shape)
			}
			again := append([]byte("basura\n"), signed...)
			_, _, err = repaired(t, again, pades.RepairOptions{})
			wantRefusal(t, "signed", err, pades.CodeSigned)
		}
		if _, _, err := repaired(t, sound, pades.RepairOptions{}); !errors.Is(err, pades.ErrNothingToRepair) {
			t.Errorf("%v: got %v, want ErrNothingToRepair", shape, err)
		}
	}
}

// Only what a reader would have to repair is repaired, not what is refused for
// another reason.
func TestRepairIsNoWayAroundRefusals(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	plain := costest.Sample(costest.Options{})
	for name, c := range map[string]struct {
		b    []byte
		want pades.Code
	}{
		"certified":           {sign(t, plain, who, pades.Options{Certify: pades.NoChanges}), pades.CodeCertified},
		"ambiguous":           {costest.Append(plain, costest.Table, nil, costest.TrailerEntries(plain)+"/Encrypt<<>>"), pades.CodeAmbiguous},
		"encrypted":           {encryptFile(t, plain, "usuario", "secreta", []string{"256"}), pades.CodeEncrypted},
		"permissions":         {encryptFile(t, plain, "", "secreta", []string{"256", "--modify=none"}), pades.CodePermissions},
		"damaged, then XFA":   {append([]byte{' '}, costest.Sample(costest.Options{CatalogExtra: "/NeedsRendering true/AcroForm<</Fields[3 0 R]/XFA[]>>"})...), pades.CodeXFA},
		"damaged, encrypted":  {append([]byte{' '}, encryptFile(t, plain, "usuario", "secreta", []string{"256"})...), pades.CodeEncrypted},
		"damaged, forbidding": {append([]byte{' '}, encryptFile(t, plain, "", "secreta", []string{"256", "--modify=none"})...), pades.CodePermissions},
	} {
		_, _, err := repaired(t, c.b, pades.RepairOptions{})
		wantRefusal(t, name, err, c.want)
	}
}
