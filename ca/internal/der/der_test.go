package der_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"oruro.gob.bo/suti/ca/internal/der"
	"oruro.gob.bo/suti/ca/profile"
)

// noon is the present with a fraction: openssl ocsp judges validity by the wall clock.
var noon = time.Now().UTC().Truncate(time.Second).Add(999)

type ca struct {
	key    crypto.Signer
	alg    profile.SignatureAlgorithm
	cert   *x509.Certificate
	hasher der.Hasher
}

func keys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	p256, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, err2 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, err3 := ed25519.GenerateKey(rand.Reader)
	r, err4 := rsa.GenerateKey(rand.Reader, 2048)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"P-256": p256, "P-384": p384, "Ed25519": ed, "RSA": r}
}

// newCA is a self-signed authority made by the standard library.
func newCA(t testing.TB, key crypto.Signer) ca {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Autoridad de prueba"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature, NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(5, 0, 0)}
	return ca{key: key, cert: create(t, tmpl, tmpl, key.Public(), key), alg: algorithm(t, key), hasher: hasher(t, key.Public(), nil)}.complete(t)
}

func (c ca) complete(t testing.TB) ca {
	t.Helper()
	h, err := der.NewHasher(c.cert.RawSubject, c.cert.RawSubjectPublicKeyInfo)
	if err != nil {
		t.Fatal(err)
	}
	c.hasher = h
	return c
}

func hasher(t testing.TB, pub crypto.PublicKey, name []byte) der.Hasher {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	h, err := der.NewHasher(name, spki)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func algorithm(t testing.TB, key crypto.Signer) profile.SignatureAlgorithm {
	t.Helper()
	alg, err := profile.AlgorithmOf(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return alg
}

func create(t testing.TB, tmpl, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	b, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// issue makes a leaf or a delegated responder of c.
func (c ca) issue(t testing.TB, serial *big.Int, pub crypto.PublicKey, eku ...x509.ExtKeyUsage) *x509.Certificate {
	t.Helper()
	tmpl := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "Hoja"}, ExtKeyUsage: eku, KeyUsage: x509.KeyUsageDigitalSignature,
		NotBefore: noon.Add(-time.Hour), NotAfter: noon.AddDate(1, 0, 0)}
	return create(t, tmpl, c.cert, pub, c.key)
}

func writePEM(t testing.TB, dir, name string, c *x509.Certificate) string {
	t.Helper()
	return writeFile(t, dir, name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
}

func writeFile(t testing.TB, dir, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tool finds a foreign program; where SUTI_TEST_REQUIRE=1 its absence fails the test.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		if os.Getenv("SUTI_TEST_REQUIRE") == "1" {
			t.Fatalf("%s is not installed", name)
		}
		t.Skipf("%s is not installed", name)
	}
	return path
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", filepath.Base(name), strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestOCSPWithOpenSSL(t *testing.T) {
	t.Parallel()
	openssl := tool(t, "openssl")
	for name, key := range keys(t) {
		for _, hash := range []string{"sha1", "sha256"} {
			t.Run(name+" "+hash, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				c := newCA(t, key)
				responder := c.issue(t, big.NewInt(7), key.Public(), x509.ExtKeyUsageOCSPSigning)
				high := new(big.Int).SetBytes(append([]byte{0x7f, 0xff}, make([]byte, 15)...))
				good, bad := c.issue(t, high, key.Public()), c.issue(t, big.NewInt(0x80), key.Public())
				caFile := writePEM(t, dir, "ca.pem", c.cert)
				goodFile, badFile := writePEM(t, dir, "good.pem", good), writePEM(t, dir, "bad.pem", bad)
				reqFile := filepath.Join(dir, "req.der")
				ask := []string{"ocsp", "-" + hash, "-issuer", caFile, "-cert", goodFile, "-" + hash, "-cert", badFile, "-nonce"}
				run(t, openssl, append(ask, "-reqout", reqFile)...)
				raw, err := os.ReadFile(reqFile)
				if err != nil {
					t.Fatal(err)
				}
				req, err := der.ParseOCSPRequest(raw)
				if err != nil {
					t.Fatal(err)
				}
				if len(req.IDs) != 2 || len(req.Nonce) < 16 || !bytes.Equal(req.IDs[0].Serial, high.Bytes()) || !bytes.Equal(req.IDs[1].Serial, []byte{0x80}) {
					t.Fatalf("parsed %d ids, nonce of %d, serials %x %x", len(req.IDs), len(req.Nonce), req.IDs[0].Serial, req.IDs[1].Serial)
				}
				for _, id := range req.IDs {
					if own := c.hasher.CertID(id.Hash, id.Serial); !bytes.Equal(own.Raw, id.Raw) {
						t.Errorf("CertID: got %x, openssl has %x", own.Raw, id.Raw)
					}
				}
				resp := der.OCSPResponse{KeyHash: hasher(t, key.Public(), nil).KeyHash(), ProducedAt: noon, Nonce: req.Nonce, Certificate: responder.Raw,
					Singles: []der.Single{
						{ID: req.IDs[0].Raw, Status: der.Good, ThisUpdate: noon, NextUpdate: noon.AddDate(0, 0, 1), Cutoff: noon.Add(-time.Hour)},
						{ID: req.IDs[1].Raw, Status: der.Revoked, RevokedAt: noon.Add(-time.Minute), Reason: der.ReasonKeyCompromise, ThisUpdate: noon, NextUpdate: noon.AddDate(0, 0, 1)},
					}}
				out, err := resp.Sign(c.alg, key)
				if err != nil {
					t.Fatal(err)
				}
				respFile := writeFile(t, dir, "resp.der", out)
				got := run(t, openssl, "ocsp", "-no_nonce", "-reqin", reqFile, "-respin", respFile, "-CAfile", caFile, "-issuer", caFile,
					"-"+hash, "-cert", goodFile, "-"+hash, "-cert", badFile, "-text")
				for _, want := range []string{"Response verify OK", "good.pem: good", "bad.pem: revoked", "Reason: keyCompromise", "Responder Id: ", "Archive Cutoff", "Produced At: " + noon.Format("Jan _2 15:04:05 2006") + " GMT"} {
					if !strings.Contains(got, want) {
						t.Errorf("openssl does not say %q:\n%s", want, got)
					}
				}
				if strings.Contains(got, "WARNING") {
					t.Errorf("openssl warns:\n%s", got)
				}
			})
		}
	}
}

// The standard extension library agrees on status, times and signature.
func TestOCSPWithXCrypto(t *testing.T) {
	t.Parallel()
	for name, key := range keys(t) {
		if name == "Ed25519" {
			continue // not known to that library
		}
		c := newCA(t, key)
		leaf := c.issue(t, big.NewInt(99), key.Public())
		responder := c.issue(t, big.NewInt(7), key.Public(), x509.ExtKeyUsageOCSPSigning)
		raw, err := ocsp.CreateRequest(leaf, c.cert, nil)
		if err != nil {
			t.Fatal(err)
		}
		req, err := der.ParseOCSPRequest(raw)
		if err != nil {
			t.Fatal(err)
		}
		if req.NonceSent || req.Nonce != nil {
			t.Errorf("%s: a nonce that was not sent", name)
		}
		out, err := der.OCSPResponse{KeyHash: c.hasher.KeyHash(), ProducedAt: noon, Certificate: responder.Raw, Singles: []der.Single{
			{ID: req.IDs[0].Raw, Status: der.Revoked, RevokedAt: noon, ThisUpdate: noon, NextUpdate: noon.Add(time.Hour)}}}.Sign(c.alg, key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ocsp.ParseResponseForCert(out, leaf, c.cert)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sec := noon.Truncate(time.Second)
		if got.Status != ocsp.Revoked || !got.RevokedAt.Equal(sec) || !got.ThisUpdate.Equal(sec) || !got.NextUpdate.Equal(sec.Add(time.Hour)) || got.RevocationReason != 0 {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

func TestOCSPErrors(t *testing.T) {
	t.Parallel()
	for e, want := range map[der.OCSPError]ocsp.ResponseStatus{der.OCSPMalformed: ocsp.Malformed, der.OCSPUnauthorized: ocsp.Unauthorized,
		der.OCSPInternalError: ocsp.InternalError, der.OCSPTryLater: ocsp.TryLater} {
		_, err := ocsp.ParseResponse(e.Encode(), nil)
		var re ocsp.ResponseError
		if !errors.As(err, &re) || re.Status != want {
			t.Errorf("%d: got %v, want %v", e, err, want)
		}
	}
}

// request builds an OCSP request from parts, to break them one at a time.
func request(t testing.TB, ids int, nonce []byte, serial string) []byte {
	t.Helper()
	tlv := func(tag byte, parts ...[]byte) []byte {
		body := bytes.Join(parts, nil)
		switch n := len(body); {
		case n < 128:
			return append([]byte{tag, byte(n)}, body...)
		case n < 256:
			return append([]byte{tag, 0x81, byte(n)}, body...)
		default:
			return append([]byte{tag, 0x82, byte(n >> 8), byte(n)}, body...)
		}
	}
	sn, err := hex.DecodeString(serial)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(nil)
	alg := tlv(0x30, []byte{0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01})
	one := tlv(0x30, tlv(0x30, alg, tlv(0x04, sum[:]), tlv(0x04, sum[:]), tlv(0x02, sn)))
	tbs := [][]byte{tlv(0x30, bytes.Repeat(one, ids))}
	if nonce != nil {
		oid := []byte{0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02}
		tbs = append(tbs, tlv(0xa2, tlv(0x30, tlv(0x30, oid, tlv(0x04, tlv(0x04, nonce))))))
	}
	return tlv(0x30, tlv(0x30, tbs...))
}

func TestOCSPRequestBounds(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		in    []byte
		nonce int
		ok    bool
	}{
		{"one", request(t, 1, nil, "01"), 0, true},
		{"sixteen", request(t, 16, nil, "01"), 0, true},
		{"seventeen", request(t, 17, nil, "01"), 0, false},
		{"none", request(t, 0, nil, "01"), 0, false},
		{"nonce 16", request(t, 1, make([]byte, 16), "01"), 16, true},
		{"nonce 128", request(t, 1, make([]byte, 128), "01"), 128, true},
		{"nonce 129 is not echoed", request(t, 1, make([]byte, 129), "01"), 0, true},
		{"empty nonce", request(t, 1, []byte{}, "01"), 0, false},
		{"zero serial", request(t, 1, nil, "00"), 0, false},
		{"negative serial", request(t, 1, nil, "ff"), 0, false},
		{"padded serial", request(t, 1, nil, "0001"), 0, false},
		{"serial of 20 octets", request(t, 1, nil, "00"+strings.Repeat("ff", 20)), 0, true},
		{"serial of 21 octets", request(t, 1, nil, strings.Repeat("7f", 21)), 0, false},
		{"no serial", request(t, 1, nil, ""), 0, false},
		{"trailing octet", append(request(t, 1, nil, "01"), 0), 0, false},
		{"empty", nil, 0, false},
		{"too long", make([]byte, der.MaxOCSPRequest+1), 0, false},
	} {
		req, err := der.ParseOCSPRequest(tc.in)
		if (err == nil) != tc.ok || err != nil && !errors.Is(err, der.ErrMalformed) || len(req.Nonce) != tc.nonce {
			t.Errorf("%s: got %v, nonce of %d", tc.name, err, len(req.Nonce))
		}
	}
}

func TestCRLWithForeignReaders(t *testing.T) {
	t.Parallel()
	openssl := tool(t, "openssl")
	for name, key := range keys(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCA(t, key)
			var entries []byte
			serials := [][]byte{{0x01}, {0x80}, append([]byte{0x7f}, make([]byte, 16)...), {0x05}}
			for i, s := range serials {
				e, err := der.Entry(s, noon.Add(-time.Hour), []der.Reason{0, der.ReasonKeyCompromise, der.ReasonPrivilegeWithdrawn, 0}[i], []time.Time{{}, noon.Add(-2 * time.Hour), {}, noon.Add(-3 * time.Hour)}[i])
				if err != nil {
					t.Fatal(err)
				}
				entries = append(entries, e...)
			}
			list := der.CRL{Issuer: c.cert.RawSubject, KeyID: c.cert.SubjectKeyId, Number: 128, ThisUpdate: noon, NextUpdate: noon.AddDate(0, 0, 7), ExpiredSince: noon.Add(-time.Hour), Entries: entries}
			out, err := list.Sign(c.alg, key)
			if err != nil {
				t.Fatal(err)
			}
			got, err := x509.ParseRevocationList(out)
			if err != nil {
				t.Fatal(err)
			}
			if err := got.CheckSignatureFrom(c.cert); err != nil {
				t.Error(err)
			}
			if got.Number.Int64() != 128 || !bytes.Equal(got.AuthorityKeyId, c.cert.SubjectKeyId) || !got.NextUpdate.Equal(noon.AddDate(0, 0, 7).Truncate(time.Second)) {
				t.Errorf("got number %v, key id %x, next %v", got.Number, got.AuthorityKeyId, got.NextUpdate)
			}
			if len(got.RevokedCertificateEntries) != 4 {
				t.Fatalf("got %d entries", len(got.RevokedCertificateEntries))
			}
			for i, e := range got.RevokedCertificateEntries {
				if !bytes.Equal(e.SerialNumber.Bytes(), serials[i]) || !e.RevocationTime.Equal(noon.Add(-time.Hour).Truncate(time.Second)) {
					t.Errorf("entry %d: %x at %v", i, e.SerialNumber, e.RevocationTime)
				}
			}
			if got.RevokedCertificateEntries[1].ReasonCode != 1 || got.RevokedCertificateEntries[2].ReasonCode != 9 {
				t.Errorf("reasons %d %d", got.RevokedCertificateEntries[1].ReasonCode, got.RevokedCertificateEntries[2].ReasonCode)
			}
			h, err := der.ParseCRL(out)
			if err != nil || h.Number != 128 || h.Entries != 4 || h.Partitioned || !bytes.Equal(h.Issuer, c.cert.RawSubject) || c.alg.Verify(key.Public(), h.TBS, h.Signature) != nil {
				t.Errorf("own reader: %v %+v", err, h.Number)
			}
			dir := t.TempDir()
			text := run(t, openssl, "crl", "-inform", "DER", "-in", writeFile(t, dir, "a.crl", out), "-CAfile", writePEM(t, dir, "ca.pem", c.cert), "-text", "-noout")
			for _, want := range []string{"verify OK", "X509v3 CRL Number", "Key Compromise", "Privilege Withdrawn", "2.5.29.60"} {
				if !strings.Contains(text, want) {
					t.Errorf("openssl does not say %q:\n%s", want, text)
				}
			}
		})
	}
}

func TestEmptyCRLHasNoEntryField(t *testing.T) {
	t.Parallel()
	c := newCA(t, keys(t)["P-256"])
	list := der.CRL{Issuer: c.cert.RawSubject, KeyID: c.cert.SubjectKeyId, Number: 1, ThisUpdate: noon, NextUpdate: noon.Add(time.Hour)}
	out, err := list.Sign(c.alg, c.key)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := x509.ParseRevocationList(out); err != nil || len(got.RevokedCertificateEntries) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	list.Number = 0
	if _, err := list.Sign(c.alg, c.key); !errors.Is(err, der.ErrMalformed) {
		t.Errorf("number 0: got %v", err)
	}
}

func FuzzParseOCSPRequest(f *testing.F) {
	f.Add(request(f, 1, nil, "01"))
	f.Add(request(f, 3, make([]byte, 32), "7f00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		req, err := der.ParseOCSPRequest(in)
		if err != nil {
			if !errors.Is(err, der.ErrMalformed) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		if len(req.IDs) == 0 || len(req.IDs) > der.MaxCertIDs || len(req.Nonce) > der.MaxNonce {
			t.Errorf("bounds: %d ids, nonce %d", len(req.IDs), len(req.Nonce))
		}
		for _, id := range req.IDs {
			if len(id.Serial) == 0 || len(id.Serial) > 20 || id.Serial[0] == 0 {
				t.Errorf("serial %x", id.Serial)
			}
		}
	})
}

func FuzzParseCRL(f *testing.F) {
	c := newCA(f, keys(f)["P-256"])
	e, err := der.Entry([]byte{1}, noon, der.ReasonSuperseded, time.Time{})
	if err != nil {
		f.Fatal(err)
	}
	out, err := der.CRL{Issuer: c.cert.RawSubject, KeyID: c.cert.SubjectKeyId, Number: 7, ThisUpdate: noon, NextUpdate: noon.Add(time.Hour), Entries: e}.Sign(c.alg, c.key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(out)
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := der.ParseCRL(in)
		if err != nil {
			if !errors.Is(err, der.ErrMalformed) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		if h.Number < 1 || h.KeyID == nil || len(h.TBS) > len(in) {
			t.Errorf("head %+v", h)
		}
	})
}

// A million entries are a copy and one signature.
func BenchmarkCRLMillion(b *testing.B) {
	c := newCA(b, keys(b)["P-384"])
	var entries []byte
	serial := append([]byte{1}, make([]byte, 16)...)
	for i := range 1_000_000 {
		serial[13], serial[14], serial[15] = byte(i>>16), byte(i>>8), byte(i)
		e, err := der.Entry(serial, noon, der.ReasonSuperseded, time.Time{})
		if err != nil {
			b.Fatal(err)
		}
		entries = append(entries, e...)
	}
	b.ReportAllocs()
	for b.Loop() {
		list := der.CRL{Issuer: c.cert.RawSubject, KeyID: c.cert.SubjectKeyId, Number: 1, ThisUpdate: noon, NextUpdate: noon.Add(time.Hour), Entries: entries}
		if _, err := list.Sign(c.alg, c.key); err != nil {
			b.Fatal(err)
		}
	}
}
