package keystore_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os/exec"
	"slices"
	"testing"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/keystore"
)

// openssl runs the command and returns its output.
func openssl(t testing.TB, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		dbtest.Missing(t, "no openssl command")
	}
	out, err := exec.Command(path, args...).Output()
	if err != nil {
		t.Fatalf("openssl %v: %v", args, err)
	}
	return out
}

var rsa3072 = []keystore.Alg{keystore.RSA3072, keystore.PS256}

// TestImportFromOpenSSL imports foreign keys of every algorithm and signs with them.
func TestImportFromOpenSSL(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, _ envelope.Key) {
		for alg, args := range map[keystore.Alg][]string{
			keystore.ES256:   {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"},
			keystore.ES384:   {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"},
			keystore.EdDSA:   {"genpkey", "-algorithm", "ed25519"},
			keystore.RS256:   {"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
			keystore.RSA3072: {"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"},
			keystore.PS256:   {"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:3072"},
		} {
			text := openssl(t, args...)
			p, err := s.ImportPEM(keystore.Spec{Purpose: "tsa", Alg: alg, Activate: true}, text)
			if err != nil {
				t.Errorf("%s: %v", alg, err)
				continue
			}
			write(t, d, func(tx *db.Tx) error { return s.Put(tx, p) })
			g, err := s.Signer(t.Context(), p.ID(), "tsa")
			if err != nil {
				t.Errorf("%s: %v", alg, err)
				continue
			}
			der, err := x509.MarshalPKIXPublicKey(g.Public())
			if err != nil || !bytes.Equal(der, p.SPKI()) {
				t.Errorf("%s: other public key, or %v", alg, err)
			}
			for _, other := range keystore.Algs() {
				if alg != other && slices.Contains(rsa3072, alg) && slices.Contains(rsa3072, other) {
					continue // one kind of key; whoever imports it chooses its one padding
				}
				if _, err := s.ImportPEM(keystore.Spec{Purpose: "tsa", Alg: other}, text); (err == nil) != (other == alg) {
					t.Errorf("%s as %s: %v", alg, other, err)
				}
			}
		}
	})
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, db.SQLite, lines)
	s := node(t, d, newClock(), envelope.NewKey())
	good := openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
	block, _ := pem.Decode(good)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weakDER, err := x509.MarshalPKCS8PrivateKey(weak)
	if err != nil {
		t.Fatal(err)
	}
	odd := openssl(t, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:3")
	multi := openssl(t, "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_primes:3")
	for name, c := range map[string]struct {
		alg  keystore.Alg
		text []byte
	}{
		"empty":       {keystore.ES256, nil},
		"no PEM":      {keystore.ES256, []byte("hello")},
		"DER":         {keystore.ES256, block.Bytes},
		"two blocks":  {keystore.ES256, append(bytes.Clone(good), good...)},
		"too long":    {keystore.ES256, append(bytes.Clone(good), make([]byte, 16<<10)...)},
		"encrypted":   {keystore.ES256, openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes-256-cbc", "-pass", "pass:x")},
		"SEC 1":       {keystore.ES256, openssl(t, "ecparam", "-name", "prime256v1", "-genkey", "-noout")},
		"cut":         {keystore.ES256, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: block.Bytes[:len(block.Bytes)-1]})},
		"public":      {keystore.ES256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: block.Bytes})},
		"P-521":       {keystore.ES256, openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521")},
		"secp256k1":   {keystore.ES256, openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1")},
		"X25519":      {keystore.EdDSA, openssl(t, "genpkey", "-algorithm", "X25519")},
		"RSA-1024":    {keystore.RS256, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: weakDER})},
		"exponent 3":  {keystore.RS256, odd},
		"multi-prime": {keystore.RS256, multi},
	} {
		p, err := s.ImportPEM(keystore.Spec{Purpose: "tsa", Alg: c.alg}, c.text)
		if !errors.Is(err, keystore.ErrImport) || p != nil {
			t.Errorf("%s: got %v, want ErrImport", name, err)
		}
	}
	if _, err := s.ImportPEM(keystore.Spec{}, good); !errors.Is(err, keystore.ErrSpec) {
		t.Errorf("no spec: got %v", err)
	}
}

// TestOneKeyOnePurpose: the same key is refused a second time, for whatever
// purpose or owner, on either engine, even after it was destroyed, and under contention.
func TestOneKeyOnePurpose(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, d *db.DB, c *clock, s *keystore.Store, kek envelope.Key) {
		text := openssl(t, "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
		purposes := []string{"tsa", "ocsp", "idp.sign", "log"}
		won := make([]string, len(purposes))
		dbtest.Contend(t, len(purposes), func(i int) {
			p, err := s.ImportPEM(keystore.Spec{Purpose: purposes[i], Alg: keystore.ES256, Activate: true}, text)
			if err != nil {
				t.Error(err)
				return
			}
			err = d.Write(t.Context(), func(tx *db.Tx) error { return s.Put(tx, p) })
			if err == nil {
				won[i] = p.ID()
			} else if !errors.Is(err, keystore.ErrKeyReused) {
				t.Errorf("%s: %v", purposes[i], err)
			}
		})
		var id string
		for _, w := range won {
			if id != "" && w != "" {
				t.Error("two purposes got the key")
			}
			id += w
		}
		write(t, d, func(tx *db.Tx) error { return s.Destroy(tx, id) })
		p, err := s.ImportPEM(keystore.Spec{Purpose: "person", Alg: keystore.ES256}, text)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return s.Put(tx, p) }); !errors.Is(err, keystore.ErrKeyReused) {
			t.Errorf("after its destruction: got %v, want ErrKeyReused", err)
		}
	})
}

// TestPendingSigns: a key signs for its own certificate before it is stored.
func TestPendingSigns(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, db.SQLite, lines)
	s := node(t, d, newClock(), envelope.NewKey())
	p, err := s.Generate(keystore.Spec{Purpose: "ca.root", Alg: keystore.ES256})
	if err != nil {
		t.Fatal(err)
	}
	if err := sign(p.Signer()); err != nil {
		t.Error(err)
	}
	if i, err := s.Info(t.Context(), p.ID()); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("before Put: %+v, %v", i, err)
	}
	write(t, d, func(tx *db.Tx) error { return s.Put(tx, p) })
	i, err := s.Info(t.Context(), p.ID())
	if err != nil || i.State != keystore.Waiting || i.SPKIHash != sha256.Sum256(p.SPKI()) {
		t.Errorf("after Put: %+v, %v", i, err)
	}
}

func FuzzImportPEM(f *testing.F) {
	d := dbtest.Open(f, db.SQLite, lines)
	s := node(f, d, newClock(), envelope.NewKey())
	for _, args := range [][]string{
		{"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"}, {"genpkey", "-algorithm", "ed25519"},
	} {
		f.Add(openssl(f, args...))
	}
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, alg := range []keystore.Alg{keystore.ES256, keystore.EdDSA} {
			p, err := s.ImportPEM(keystore.Spec{Purpose: "tsa", Alg: alg}, text)
			if err != nil && !errors.Is(err, keystore.ErrImport) {
				t.Errorf("untyped error: %v", err)
			}
			if err == nil && p.ID() == "" {
				t.Error("no id")
			}
		}
	})
}
