// Package keystoretest is the conformance suite of keystore.Signers: what
// holds for keys in sealed rows holds for keys in a module behind PKCS#11 too.
// Only tests import it.
package keystoretest

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"
	_ "crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/keystore"
)

// Backend is one implementation under test. Each function MUST be durable
// when it returns, and MUST be visible to Signers within the staleness that
// the implementation documents; Settle waits for that (with a fake clock).
type Backend struct {
	Signers keystore.Signers
	// Algs are the algorithms that the implementation offers.
	Algs []keystore.Alg
	// Provision makes a key that is in use and returns its id and public key.
	Provision func(t testing.TB, purpose string, alg keystore.Alg) (id string, public crypto.PublicKey)
	// Retire and Destroy end the use of a key.
	Retire, Destroy func(t testing.TB, id string)
	Settle          func()
}

// Run runs the suite. Its subtests share b and do not run in parallel.
func Run(t *testing.T, b Backend) {
	for _, alg := range b.Algs {
		t.Run(string(alg), func(t *testing.T) {
			id, pub := b.Provision(t, "test.sign", alg)
			s, err := b.Signers.Signer(t.Context(), id, "test.sign")
			if err != nil {
				t.Fatal(err)
			}
			if !samePublic(s.Public(), pub) {
				t.Fatal("the signer has another public key than was provisioned")
			}
			checkType(t, alg, pub)
			checkSignatures(t, alg, s)
			checkRefusals(t, alg, s)
			checkCertificate(t, alg, s)
			checkConcurrent(t, alg, s)
		})
	}
	t.Run("identity and state", func(t *testing.T) { checkStates(t, b) })
}

func samePublic(a, b crypto.PublicKey) bool {
	x, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && x.Equal(b)
}

func checkType(t *testing.T, alg keystore.Alg, pub crypto.PublicKey) {
	t.Helper()
	ok := false
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		ok = alg == keystore.ES256 && pub.Curve == elliptic.P256() || alg == keystore.ES384 && pub.Curve == elliptic.P384()
	case ed25519.PublicKey:
		ok = alg == keystore.EdDSA
	case *rsa.PublicKey:
		ok = (alg == keystore.RS256 && pub.N.BitLen() == 2048 || (alg == keystore.RSA3072 || alg == keystore.PS256) && pub.N.BitLen() == 3072) && pub.E == 65537
	}
	if !ok {
		t.Errorf("%s has a public key of type %T", alg, pub)
	}
}

// permitted lists the hashes that an algorithm signs; none for EdDSA.
func permitted(alg keystore.Alg) []crypto.Hash {
	switch alg {
	case keystore.EdDSA:
		return []crypto.Hash{0}
	case keystore.ES384:
		return []crypto.Hash{crypto.SHA384, crypto.SHA512}
	case keystore.PS256:
		return []crypto.Hash{crypto.SHA256}
	}
	return []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}
}

// options are how a key of the algorithm signs a digest of h.
func options(alg keystore.Alg, h crypto.Hash) crypto.SignerOpts {
	if alg == keystore.PS256 {
		return &rsa.PSSOptions{Hash: h, SaltLength: rsa.PSSSaltLengthEqualsHash}
	}
	return h
}

func digest(h crypto.Hash, msg []byte) []byte {
	if h == 0 {
		return msg
	}
	d := h.New()
	d.Write(msg)
	return d.Sum(nil)
}

func checkSignatures(t *testing.T, alg keystore.Alg, s crypto.Signer) {
	t.Helper()
	msg := []byte("Resolución Administrativa Departamental 117/2026")
	for _, h := range permitted(alg) {
		for _, random := range []bool{true, false} {
			source := rand.Reader
			if !random {
				source = nil // deterministic where the implementation can
			}
			sig, err := s.Sign(source, digest(h, msg), options(alg, h))
			if err != nil {
				t.Errorf("hash %d: %v", h, err)
				continue
			}
			if !Verify(t, s.Public(), options(alg, h), msg, sig) {
				t.Errorf("hash %d: openssl does not accept the signature", h)
			}
			if Verify(t, s.Public(), options(alg, h), append(msg, '.'), sig) {
				t.Errorf("hash %d: openssl accepts another message", h)
			}
		}
	}
}

// Verify asks the openssl command whether sig signs msg.
func Verify(t *testing.T, pub crypto.PublicKey, opts crypto.SignerOpts, msg, sig []byte) bool {
	t.Helper()
	h := opts.HashFunc()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatal("openssl is required")
		}
		t.Skip("no openssl command")
	}
	dir := t.TempDir()
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"pub": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "msg": msg, "sig": sig,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"dgst", "-" + strings.ToLower(strings.ReplaceAll(h.String(), "-", "")), "-verify", "pub", "-signature", "sig", "msg"}
	if _, pss := opts.(*rsa.PSSOptions); pss {
		args = append([]string{args[0], "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"}, args[1:]...)
	}
	if h == 0 {
		args = []string{"pkeyutl", "-verify", "-pubin", "-inkey", "pub", "-rawin", "-in", "msg", "-sigfile", "sig"}
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("openssl: %v: %s", err, out)
	}
	return err == nil
}

func checkRefusals(t *testing.T, alg keystore.Alg, s crypto.Signer) {
	t.Helper()
	refuse := func(name string, d []byte, opts crypto.SignerOpts) {
		t.Helper()
		if sig, err := s.Sign(rand.Reader, d, opts); !errors.Is(err, keystore.ErrDigest) || sig != nil {
			t.Errorf("%s: got %d bytes, %v, want ErrDigest", name, len(sig), err)
		}
	}
	refuse("no options", make([]byte, 32), nil)
	refuse("SHA-1", make([]byte, 20), crypto.SHA1)
	refuse("MD5", make([]byte, 16), crypto.MD5)
	refuse("SHA-224", make([]byte, 28), crypto.SHA224)
	if alg == keystore.EdDSA {
		refuse("prehashed", make([]byte, 64), crypto.SHA512)
		refuse("Ed25519ph", make([]byte, 64), &ed25519.Options{Hash: crypto.SHA512})
		refuse("Ed25519ctx", make([]byte, 64), &ed25519.Options{Context: "x"})
		return
	}
	for _, n := range []int{0, 31, 33, 47, 49, 63, 65} {
		for _, h := range permitted(alg) {
			refuse("length", make([]byte, n), options(alg, h))
		}
	}
	refuse("no hash", make([]byte, 32), crypto.Hash(0))
	refuse("PSS", make([]byte, 48), &rsa.PSSOptions{Hash: crypto.SHA384, SaltLength: rsa.PSSSaltLengthEqualsHash})
	if alg == keystore.PS256 {
		refuse("PKCS #1 v1.5", make([]byte, 32), crypto.SHA256)
		refuse("a salt of 20 bytes", make([]byte, 32), &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: 20})
		refuse("a salt of any length", make([]byte, 32), &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthAuto})
	} else {
		refuse("PSS with SHA-256", make([]byte, 32), &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: rsa.PSSSaltLengthEqualsHash})
	}
	if alg == keystore.ES384 {
		refuse("SHA-256 with P-384", make([]byte, 32), crypto.SHA256)
	}
}

func checkCertificate(t *testing.T, alg keystore.Alg, s crypto.Signer) {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "prueba"},
		NotBefore: time.Unix(1_700_000_000, 0), NotAfter: time.Unix(1_900_000_000, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if alg == keystore.PS256 {
		c.SignatureAlgorithm = x509.SHA256WithRSAPSS
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, s.Public(), s)
	if err != nil {
		t.Errorf("certificate: %v", err)
		return
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil || parsed.CheckSignatureFrom(parsed) != nil {
		t.Errorf("certificate: %v, or its signature does not verify", err)
	}
}

func checkConcurrent(t *testing.T, alg keystore.Alg, s crypto.Signer) {
	t.Helper()
	h := permitted(alg)[0]
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			msg := bytes.Repeat([]byte{byte(i)}, 50)
			for range 4 {
				sig, err := s.Sign(rand.Reader, digest(h, msg), options(alg, h))
				if err != nil || !stdVerify(s.Public(), options(alg, h), msg, sig) {
					t.Errorf("goroutine %d: %v, or a wrong signature", i, err)
				}
			}
		})
	}
	wg.Wait()
}

func stdVerify(pub crypto.PublicKey, opts crypto.SignerOpts, msg, sig []byte) bool {
	h := opts.HashFunc()
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, digest(h, msg), sig)
	case ed25519.PublicKey:
		return ed25519.Verify(pub, msg, sig)
	case *rsa.PublicKey:
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			return rsa.VerifyPSS(pub, h, digest(h, msg), sig, pss) == nil
		}
		return rsa.VerifyPKCS1v15(pub, h, digest(h, msg), sig) == nil
	}
	return false
}

func checkStates(t *testing.T, b Backend) {
	t.Helper()
	alg := b.Algs[0]
	h := permitted(alg)[0]
	d := digest(h, []byte("x"))
	open := func(id, purpose string) error {
		_, err := b.Signers.Signer(t.Context(), id, purpose)
		return err
	}
	id, _ := b.Provision(t, "test.one", alg)
	for _, purpose := range []string{"", "test.two", "test.one.x", "TEST.ONE"} {
		if err := open(id, purpose); !errors.Is(err, keystore.ErrPurpose) {
			t.Errorf("purpose %q: got %v, want ErrPurpose", purpose, err)
		}
	}
	for _, unknown := range []string{"", "prv_00000000000000000000000000", id + "0", "' OR 1=1 --"} {
		if err := open(unknown, "test.one"); !errors.Is(err, keystore.ErrNotFound) {
			t.Errorf("id %q: got %v, want ErrNotFound", unknown, err)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Signers.Signer(gone, id, "test.one"); err == nil {
		t.Error("a cancelled request got a signer")
	}
	for name, end := range map[string]struct {
		do   func(testing.TB, string)
		want error
	}{"retired": {b.Retire, keystore.ErrNotActive}, "destroyed": {b.Destroy, keystore.ErrDestroyed}} {
		id, _ := b.Provision(t, "test.one", alg)
		kept, err := b.Signers.Signer(t.Context(), id, "test.one")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := kept.Sign(rand.Reader, d, h); err != nil {
			t.Errorf("%s: before: %v", name, err)
		}
		end.do(t, id)
		if err := open(id, "test.one"); !errors.Is(err, end.want) {
			t.Errorf("%s: open: got %v, want %v", name, err, end.want)
		}
		b.Settle()
		if sig, err := kept.Sign(rand.Reader, d, h); !errors.Is(err, end.want) || sig != nil {
			t.Errorf("%s: kept signer: got %d bytes, %v, want %v", name, len(sig), err, end.want)
		}
		if err := open(id, "test.two"); !errors.Is(err, keystore.ErrPurpose) && !errors.Is(err, end.want) {
			t.Errorf("%s: other purpose: got %v", name, err)
		}
	}
}
