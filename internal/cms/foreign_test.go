package cms

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.mozilla.org/pkcs7"
)

// openssl runs the command in dir, or skips (fails under SUTI_TEST_REQUIRE=1)
// where it is not installed.
func openssl(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatal("openssl is required and not installed")
		}
		t.Skip("openssl is not installed: no foreign CMS to compare with")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func put(t *testing.T, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// putIdentity writes signer.pem, key.pem and root.pem.
func putIdentity(t *testing.T, dir string, id *identity) {
	t.Helper()
	put(t, dir, "signer.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: id.cert.Raw}))
	put(t, dir, "root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: id.root.Raw}))
	k, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}))
	put(t, dir, "doc", document)
}

func TestOpenSSLVerifiesWhatWeSign(t *testing.T) {
	t.Parallel()
	for _, tt := range everyAlgorithm {
		if tt.alg == Ed25519 {
			continue // the command's CMS gives Ed25519 a digest and fails; see TestOpenSSLVerifiesEd25519Value
		}
		t.Run(tt.alg.String(), func(t *testing.T) {
			t.Parallel()
			dir, id := t.TempDir(), who(t, tt.key)
			putIdentity(t, dir, id)
			der := signDetached(t, id, Params{Algorithm: tt.alg, IssuerSerial: true, Commitment: OIDProofOfApproval},
				AssembleOptions{Certificates: []*x509.Certificate{id.root}})
			put(t, dir, "sig.der", der)
			verify := []string{"cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", "sig.der",
				"-CAfile", "root.pem", "-purpose", "any", "-no_check_time", "-out", os.DevNull}
			if out, err := openssl(t, dir, append(verify, "-content", "doc")...); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			put(t, dir, "other", []byte("otro"))
			if out, err := openssl(t, dir, append(verify, "-content", "other")...); err == nil {
				t.Errorf("other content verified: %s", out)
			}
		})
	}
}

// TestOpenSSLVerifiesEd25519Value checks the value over the signed attributes
// alone, with the key taken from the certificate by openssl itself.
func TestOpenSSLVerifiesEd25519Value(t *testing.T) {
	t.Parallel()
	dir, id := t.TempDir(), who(t, "ed25519")
	putIdentity(t, dir, id)
	sd, err := Parse(signDetached(t, id, Params{}, AssembleOptions{}))
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "attrs", sd.Signer.RawSignedAttrs)
	put(t, dir, "value", sd.Signer.Signature)
	pub, err := openssl(t, dir, "x509", "-in", "signer.pem", "-noout", "-pubkey")
	if err != nil {
		t.Fatalf("%v: %s", err, pub)
	}
	put(t, dir, "pub.pem", []byte(pub))
	verify := []string{"pkeyutl", "-verify", "-pubin", "-inkey", "pub.pem", "-rawin", "-sigfile", "value", "-in"}
	if out, err := openssl(t, dir, append(verify, "attrs")...); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := openssl(t, dir, append(verify, "doc")...); err == nil {
		t.Errorf("verified over another message: %s", out)
	}
}

func TestWeVerifyWhatOpenSSLSigns(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, key string
		alg       Algorithm
		args      []string
	}{
		{"ecdsa", "p256", ECDSAWithSHA256, []string{"-md", "sha256"}},
		{"ecdsa p384", "p384", ECDSAWithSHA384, []string{"-md", "sha384"}},
		{"ecdsa p521 sha512", "p521", ECDSAWithSHA512, []string{"-md", "sha512"}},
		{"rsa", "rsa", RSAWithSHA256, []string{"-md", "sha256"}},
		{"rsa pss", "rsa", RSAPSSWithSHA256, []string{"-md", "sha256", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:-1"}},
		{"rsa pss, longest salt", "rsa", RSAPSSWithSHA384, []string{"-md", "sha384", "-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:-2"}},
		{"subject key identifier", "p256", ECDSAWithSHA256, []string{"-md", "sha256", "-keyid"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, id := t.TempDir(), who(t, tt.key)
			putIdentity(t, dir, id)
			args := []string{"cms", "-sign", "-cades", "-binary", "-in", "doc", "-signer", "signer.pem",
				"-inkey", "key.pem", "-outform", "DER", "-out", "sig.der"}
			if out, err := openssl(t, dir, append(args, tt.args...)...); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			b, err := os.ReadFile(filepath.Join(dir, "sig.der"))
			if err != nil {
				t.Fatal(err)
			}
			sd, err := ParseBER(b)
			if err != nil {
				t.Fatal(err)
			}
			if got := sd.Signer.SignatureAlgorithm; got != tt.alg {
				t.Errorf("algorithm = %v, want %v", got, tt.alg)
			}
			if strings.Contains(tt.name, "key identifier") && (sd.Signer.SubjectKeyID == nil || sd.Signer.Version != 3) {
				t.Errorf("signer identifier is not a key identifier: %+v", sd.Signer)
			}
			cert, err := sd.Verify(VerifyOptions{Digest: digestOf(tt.alg.Hash(), document)})
			if err != nil {
				t.Fatal(err)
			}
			if !cert.Equal(id.cert) {
				t.Error("another certificate")
			}
			if _, err := sd.Verify(VerifyOptions{Digest: digestOf(tt.alg.Hash(), document), Profile: ProfilePAdES}); !errors.Is(err, ErrAttributeForbidden) {
				t.Errorf("signing-time under PAdES: %v, want ErrAttributeForbidden", err)
			}
		})
	}
}

// TestOpenSSLAttachedBER reads a streamed signature with its content inside:
// indefinite lengths and a constructed OCTET STRING.
func TestOpenSSLAttachedBER(t *testing.T) {
	t.Parallel()
	dir, id := t.TempDir(), who(t, "p256")
	putIdentity(t, dir, id)
	big := bytes.Repeat(document, 400)
	put(t, dir, "doc", big)
	out, err := openssl(t, dir, "cms", "-sign", "-cades", "-binary", "-nodetach", "-stream", "-md", "sha256", "-in", "doc",
		"-signer", "signer.pem", "-inkey", "key.pem", "-outform", "DER", "-out", "sig.der")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "sig.der"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(b); !errors.Is(err, ErrNotDER) {
		t.Errorf("strict reader: %v, want ErrNotDER", err)
	}
	sd, err := ParseBER(b)
	if err != nil {
		t.Fatal(err)
	}
	if !sd.WasBER || !bytes.Equal(sd.Content, big) {
		t.Errorf("WasBER = %v, content of %d octets, want %d", sd.WasBER, len(sd.Content), len(big))
	}
	if _, err := sd.Verify(VerifyOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := AddSignatureTimestamp(b, []byte{5, 0}); !errors.Is(err, ErrNotDER) {
		t.Errorf("extending BER: %v, want ErrNotDER", err)
	}
	if _, err := AddSignatureTimestamp(sd.Raw, []byte{5, 0}); err != nil {
		t.Errorf("extending after conversion: %v", err)
	}
}

// TestPKCS7LibraryAgrees compares with an independent parser, in both directions.
func TestPKCS7LibraryAgrees(t *testing.T) {
	t.Parallel()
	for _, tt := range everyAlgorithm {
		t.Run(tt.alg.String(), func(t *testing.T) {
			t.Parallel()
			id := who(t, tt.key)
			p, err := pkcs7.Parse(signDetached(t, id, Params{Algorithm: tt.alg}, AssembleOptions{Certificates: []*x509.Certificate{id.root}}))
			if err != nil {
				t.Fatal(err)
			}
			if got := len(p.Certificates); got != 2 {
				t.Errorf("certificates = %d, want 2", got)
			}
			if got := p.GetOnlySigner(); got == nil || !got.Equal(id.cert) {
				t.Error("another signer")
			}
			if tt.alg >= RSAPSSWithSHA256 {
				return // the other library verifies neither PSS nor Ed25519
			}
			p.Content = document
			if err := p.Verify(); err != nil {
				t.Error(err)
			}
			p.Content = []byte("otro")
			if err := p.Verify(); err == nil {
				t.Error("other content verified")
			}
		})
	}
}

// TestLegacyPDFSignature reads what older PDF signers write: signing-time, and
// no signing-certificate.
func TestLegacyPDFSignature(t *testing.T) {
	t.Parallel()
	id := who(t, "rsa")
	s, err := pkcs7.NewSignedData(document)
	if err != nil {
		t.Fatal(err)
	}
	s.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := s.AddSigner(id.cert, id.key.(*rsa.PrivateKey), pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	s.Detach()
	b, err := s.Finish()
	if err != nil {
		t.Fatal(err)
	}
	sd, err := ParseBER(b)
	if err != nil {
		t.Fatal(err)
	}
	digest := digestOf(sd.Signer.DigestAlgorithm, document)
	if _, err := sd.Verify(VerifyOptions{Digest: digest, Profile: ProfileLegacy}); err != nil {
		t.Error(err)
	}
	if _, err := sd.Verify(VerifyOptions{Digest: digest}); !errors.Is(err, ErrAttributeMissing) {
		t.Errorf("strict profile: %v, want ErrAttributeMissing", err)
	}
}
