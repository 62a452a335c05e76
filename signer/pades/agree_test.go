package pades_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/digitorus/pdf"
	pdfsigner "github.com/digitorus/pdfsign/sign"
	"github.com/pdfcpu/pdfcpu/pkg/api"
	"github.com/pdfcpu/pdfcpu/pkg/pdfcpu/model"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// agree holds pdfsign to our verdicts: it must find valid what we do. The file
// has n signatures, each of another person, and was not altered.
func agree(t *testing.T, name string, file []byte, n int) {
	t.Helper()
	r := verify(t, file)
	var want []expected
	for i, s := range r.Signatures {
		if s.Signer == nil || s.Verdict != pades.Valid && s.Verdict != pades.ValidExtended {
			t.Fatalf("%s: signature %d: %s: %s", name, i, s.Verdict, s.Detail)
		}
		c, err := x509.ParseCertificate(s.Signer.Raw)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, expected{who: signer{chain: []*x509.Certificate{c}}, stamped: s.Level == pades.LevelBT})
	}
	if len(want) != n {
		t.Errorf("%s: %d signatures, want %d", name, len(want), n)
	}
	askPDFSign(t, name, file, want...)
}

func TestPDFSignAgreesOnEveryKindOfFile(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	seal := &pades.Seal{Name: "Ana Núñez", Tier: "Firma electrónica"}
	for _, shape := range costest.Shapes() {
		for i, o := range []costest.Options{
			{}, {Form: true}, {Form: true, IndirectForm: true}, {Form: true, IndirectForm: true, IndirectAnnots: true}, {IndirectAnnots: true},
			{Form: true, CatalogExtra: "/StructTreeRoot<<>>/MarkInfo<</Marked true>>"},
			{Extra: []costest.Obj{{Num: 40, Body: "<<>>", Data: bytes.Repeat([]byte("0"), 40<<10)}}},
			{Text: "/ByteRange [0 1 2 3] /Contents <00>"},
		} {
			o.Shape = shape
			for _, certify := range []pades.Permission{pades.Uncertified, pades.FormsAndSigning} {
				t.Run(fmt.Sprintf("%v %d %d", shape, i, certify), func(t *testing.T) {
					t.Parallel()
					f := costest.SampleFile(o)
					for i := range f.Objs {
						// pdfsign does not look into the hidden part of a hybrid file.
						f.Objs[i].Plain = f.Objs[i].Plain || shape == costest.Hybrid && (f.Objs[i].Num == costest.Catalog || f.Objs[i].Num == costest.AcroForm)
					}
					first := pades.Options{Certify: certify, Level: pades.LevelBT, Seal: seal, Reserve: pades.Reserve{Certificates: 9000}}
					b := sign(t, f.Bytes(), ca.signer(t, "Ana Núñez", nil), first)
					agree(t, "once", b, 1)
					b = sign(t, b, ca.signer(t, "Beto", nil), pades.Options{Name: "Beto (\\ é)", Reason: "Sí", Reserve: pades.Reserve{Certificates: 2000}})
					agree(t, "twice", b, 2)
					last := pades.Options{Level: pades.LevelBT}
					if o.Form {
						last.Field, last.Seal = "Firma", seal
					}
					agree(t, "three times", sign(t, b, ca.signer(t, "Carla", nil), last), 3)
				})
			}
		}
	}
}

// Keys other than P-256, a certification, and two others that read it.
func TestForeignVerifiersOnEveryKey(t *testing.T) {
	t.Parallel()
	ca := newOracle(t)
	base := oracleBases()["object stream"]
	for name, key := range otherKeys(t) {
		who := ca.signer(t, "Ana Núñez", key, ca.lists)
		for _, certify := range []pades.Permission{pades.Uncertified, pades.NoChanges} {
			b := sign(t, base, who, pades.Options{Field: "Firma", Level: pades.LevelBT, Certify: certify})
			want := expected{who: who, stamped: true}
			askPDFSign(t, name, b, want)
			askPDFCPU(t, name, b, want)
			r, err := api.ValidateSignaturesRaw(bytes.NewReader(b), true, pdfcpuConfig(model.ValidationRelaxed))
			if err != nil || len(r) != 1 || r[0].Certified() != (certify != pades.Uncertified) || r[0].Permissions() != int(certify) {
				t.Errorf("%s: pdfcpu: %v, %v, want certification %d", name, err, r, certify)
			}
		}
	}
}

// writeWithPDFSign has the other implementation sign.
func writeWithPDFSign(out io.Writer, base []byte, who signer) error {
	in := bytes.NewReader(base)
	r, err := pdf.NewReader(in, int64(len(base)))
	if err != nil {
		return err
	}
	return pdfsigner.Sign(in, out, r, int64(len(base)), pdfsigner.SignData{
		Signature: pdfsigner.SignDataSignature{
			CertType: pdfsigner.ApprovalSignature,
			Info:     pdfsigner.SignDataSignatureInfo{Name: "Ana", Date: now},
		},
		Signer: who.key, DigestAlgorithm: crypto.SHA256,
		Certificate: who.chain[0], CertificateChains: [][]*x509.Certificate{who.chain},
	})
}

// Files that pdfsign signed are understood, told from PAdES, and signed again.
func TestFilesSignedByPDFSign(t *testing.T) {
	t.Parallel()
	ca := newOracle(t)
	ana, beto := ca.signer(t, "Ana", nil, ca.lists), ca.signer(t, "Beto", nil, ca.lists)
	o := pades.VerifyOptions{Roots: ca.roots(), TimestampRoots: authority(t).tsaRoots(), At: time.Now().Add(time.Hour)} // pdfsign writes the time of the clock
	for name, base := range oracleBases() {
		if name == "hybrid" {
			continue // which pdfsign reads only in part
		}
		var out bytes.Buffer
		if err := writeWithPDFSign(&out, base, ana); err != nil {
			t.Fatal(err)
		}
		b := out.Bytes()
		r, err := pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), o)
		if err != nil {
			t.Fatal(err)
		}
		wantVerdicts(t, name, r, pades.Valid)
		if s := r.Signatures[0]; s.Level != pades.LevelNone || !slices.ContainsFunc(s.Warnings, func(w pades.Warning) bool { return w.Code == pades.WarnNotPAdES }) {
			t.Errorf("%s: level %q, warnings %v", name, s.Level, s.Warnings)
		}
		b = sign(t, b, beto, pades.Options{Level: pades.LevelBT})
		if r, err = pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), o); err != nil {
			t.Fatal(err)
		}
		wantVerdicts(t, name, r, pades.ValidExtended, pades.Valid)
		askPDFSign(t, name, b, expected{who: ana}, expected{who: beto, stamped: true})
	}
}
