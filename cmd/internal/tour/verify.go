package tour

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/bundle"
	"oruro.gob.bo/suti/signer/pades"
)

func (t *Tour) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, r := range t.demo.App.CA.Roots() {
		pool.AddCert(r)
	}
	return pool
}

// judge verifies a PDF by our own verifier, as anyone would who has our root.
func (t *Tour) judge(ctx context.Context, pdf []byte) (*pades.Report, error) {
	return pades.Verify(ctx, bytes.NewReader(pdf), int64(len(pdf)), pades.VerifyOptions{Roots: t.roots(), TimestampRoots: t.roots(), At: t.cfg.Now()})
}

// verify is the fourth part: what came out, judged by ourselves and by others.
func (t *Tour) verify(ctx context.Context) {
	var report *pades.SignatureReport
	t.step("nuestro verificador", func() (string, error) {
		r, err := t.judge(ctx, t.signing.signed)
		if err != nil {
			return "", err
		}
		report = &r.Signatures[len(r.Signatures)-1]
		if report.Verdict != pades.Valid || report.Level != pades.LevelBT || !report.CoversFile || !report.Trusted {
			return "", fmt.Errorf("%s %s %s: %s", report.Verdict, report.Indication, report.SubIndication, report.Detail)
		}
		return fmt.Sprintf("%s, %s, nivel %s", report.Verdict, report.Indication, report.Level), nil
	})
	t.step("pdfsig (poppler)", func() (string, error) { return t.foreign(ctx, "pdfsig", []string{"-nocert"}, "Signature is Valid") })
	t.step("mutool (mupdf)", func() (string, error) { return t.foreign(ctx, "mutool", []string{"sign", "-v"}, "unchanged") })
	t.step("qpdf", func() (string, error) {
		return t.foreign(ctx, "qpdf", []string{"--check"}, "No syntax or stream encoding errors")
	})
	t.step("cadena del certificado por crypto/x509", func() (string, error) { return t.checkChain(report) })
	t.step("estado del certificado por OCSP", func() (string, error) { return t.checkStatus(ctx, report, "good") })
	t.step("sello de tiempo", func() (string, error) {
		if len(report.Timestamps) != 1 || report.ProvenTime.IsZero() {
			return "", errors.New("no proven time-stamp")
		}
		return report.ProvenTime.UTC().Format("2006-01-02T15:04:05.000Z"), nil
	})
	t.step("evidencia completa, sin conexión", func() (string, error) { return t.checkEvidence(ctx) })
	t.step("la página pública reconoce el archivo", func() (string, error) {
		b := newBrowser(nil, t.demo.Transport())
		return "es el documento registrado", t.ask(ctx, b, t.signing.signed, "Es el documento registrado")
	})
}

// foreign runs another's tool on the signed file and wants a phrase in its answer.
func (t *Tour) foreign(ctx context.Context, tool string, args []string, want string) (string, error) {
	path, err := exec.LookPath(tool)
	if err != nil {
		return "no está instalado, no se usó", nil
	}
	out, err := exec.CommandContext(ctx, path, append(args, filepath.Join(t.cfg.Out, "firmado.pdf"))...).CombinedOutput()
	if !strings.Contains(string(out), want) {
		return "", fmt.Errorf("%s says: %s (%v)", tool, bytes.TrimSpace(out), err)
	}
	return want, nil
}

func (t *Tour) checkChain(r *pades.SignatureReport) (string, error) {
	leaf, pool, err := certificates(r)
	if err != nil {
		return "", err
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: t.roots(), Intermediates: pool, CurrentTime: r.ProvenTime, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	for _, c := range chains[0] {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			return "", err
		}
	}
	return leaf.Subject.CommonName, t.save("cadena.pem", out.Bytes())
}

// checkEvidence verifies the bundle offline, the log's proof included.
func (t *Tour) checkEvidence(ctx context.Context) (string, error) {
	genesis, err := t.demo.App.Enrolment.Genesis(ctx)
	if err != nil {
		return "", err
	}
	r, err := bundle.Verify(t.signing.evidence, bundle.Trust{Genesis: genesis, Now: t.cfg.Now(), Roots: t.roots(), TSARoots: t.roots(), LogKey: t.demo.App.Seq.VerifierKey()})
	if err != nil {
		return "", err
	}
	if err := r.Err(); err != nil {
		return "", err
	}
	b, err := bundle.Decode(t.signing.evidence)
	if err != nil {
		return "", err
	}
	if err := t.save("prueba.txt", b.Log.Receipt); err != nil {
		return "", err
	}
	note, err := t.fetch(ctx, t.demo.File.Issuer+"/log/checkpoint")
	if err != nil {
		return "", err
	}
	if _, err := logverify.VerifyCheckpoint(note, t.demo.App.Seq.VerifierKey()); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s, %d comprobaciones, prueba de inclusión en el registro público", r.Verdict, len(r.Checks)), nil
}

// ask uploads a file to the public verification page and wants a phrase on the answer.
func (t *Tour) ask(ctx context.Context, b *browser, pdf []byte, want string) error {
	if err := b.get(ctx, t.demo.File.Issuer+"/verificar"); err != nil {
		return err
	}
	for _, f := range b.page.forms() {
		if !strings.HasSuffix(f.action, "/verificar") {
			continue
		}
		if err := b.upload(ctx, f, "file", "firmado.pdf", bytes.NewReader(pdf)); err != nil {
			return err
		}
		if !b.page.has(want) {
			return fmt.Errorf("want %q: %s", want, b.page.summary())
		}
		return nil
	}
	return errors.New("no form for a file: " + b.page.summary())
}
