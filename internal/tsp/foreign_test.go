package tsp

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	foreign "github.com/digitorus/timestamp"

	"oruro.gob.bo/suti/internal/cms"
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
		t.Skip("openssl is not installed: no foreign time-stamping to compare with")
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func must(t *testing.T, dir string, args ...string) {
	t.Helper()
	if out, err := openssl(t, dir, args...); err != nil {
		t.Fatalf("openssl %v: %v: %s", args, err, out)
	}
}

func put(t *testing.T, dir, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func take(t *testing.T, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func putUnit(t *testing.T, dir string, u *unit) {
	t.Helper()
	put(t, dir, "tsu.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: u.cert.Raw}))
	put(t, dir, "root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: u.root.Raw}))
	k, err := x509.MarshalPKCS8PrivateKey(u.key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}))
	put(t, dir, "doc", document)
}

// TestOpenSSLClientOfOurAuthority: openssl asks, we answer, openssl verifies.
func TestOpenSSLClientOfOurAuthority(t *testing.T) {
	t.Parallel()
	for name, u := range map[string]*unit{"p256": p256Unit(t, nil), "p384": p384Unit(t), "rsa": rsaUnit(t)} {
		for _, args := range [][]string{
			{"-sha256", "-cert"}, {"-sha384", "-cert"}, {"-sha512", "-cert", "-no_nonce"},
			{"-sha256", "-cert", "-tspolicy", policyOID.String()}, {"-sha256"},
		} {
			t.Run(name+strings.Join(args, " "), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				putUnit(t, dir, u)
				must(t, dir, append([]string{"ts", "-query", "-data", "doc", "-out", "q"}, args...)...)
				req, err := ParseRequest(take(t, dir, "q"))
				if err != nil {
					t.Fatal(err)
				}
				if err := req.Check([]crypto.Hash{req.Imprint.Hash}, []asn1.ObjectIdentifier{policyOID}); err != nil {
					t.Fatal(err)
				}
				info := goodInfo()
				info.Imprint, info.Nonce, info.TSA = req.Imprint, req.Nonce, DirectoryName(u.cert.RawSubject)
				info.GenTime = time.Now() // openssl verifies paths at its own clock
				token := u.stamp(t, info, cms.AssembleOptions{OmitCertificates: !req.CertReq})
				resp, err := Grant(token)
				if err != nil {
					t.Fatal(err)
				}
				put(t, dir, "r", resp)
				put(t, dir, "token", token)
				verify := []string{"ts", "-verify", "-CAfile", "root.pem"}
				if !req.CertReq {
					verify = append(verify, "-untrusted", "tsu.pem")
				}
				must(t, dir, append(verify, "-queryfile", "q", "-in", "r")...)
				must(t, dir, append(verify, "-data", "doc", "-in", "token", "-token_in")...)
				put(t, dir, "other", []byte("otro"))
				if out, err := openssl(t, dir, append(verify, "-data", "other", "-in", "r")...); err == nil {
					t.Errorf("other document verified: %s", out)
				}
			})
		}
	}
}

// TestOpenSSLReadsOurRejection shows that the status and failure arrive.
func TestOpenSSLReadsOurRejection(t *testing.T) {
	t.Parallel()
	for fail, want := range map[FailInfo]string{
		TimeNotAvailable: "the TSA's time source is not available",
		BadAlg:           "unrecognized or unsupported algorithm identifier",
		SystemFailure:    "the request cannot be handled due to system failure",
	} {
		dir := t.TempDir()
		put(t, dir, "r", Reject(fail, "sin hora fiable"))
		out, err := openssl(t, dir, "ts", "-reply", "-in", "r", "-text")
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, s := range []string{"Rejected.", "sin hora fiable", want} {
			if !strings.Contains(out, s) {
				t.Errorf("%v: openssl does not show %q in %s", fail, s, out)
			}
		}
	}
}

const tsaConfig = `
[ tsa ]
default_tsa = t
[ t ]
serial = serial
signer_cert = tsu.pem
signer_key = key.pem
certs = root.pem
signer_digest = sha256
default_policy = 1.3.6.1.4.1.32473.1.2
digests = sha256, sha384, sha512
accuracy = secs:1, millisecs:500, microsecs:100
ordering = yes
tsa_name = yes
ess_cert_id_chain = yes
clock_precision_digits = 3
ess_cert_id_alg = %ALG%
`

// TestOurClientOfOpenSSLAuthority: we ask, openssl answers, we verify.
func TestOurClientOfOpenSSLAuthority(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"sha1", "sha256", "sha512"} {
		for name, u := range map[string]*unit{"p256": p256Unit(t, nil), "rsa": rsaUnit(t)} {
			t.Run(name+" "+alg, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				putUnit(t, dir, u)
				put(t, dir, "cnf", []byte(strings.ReplaceAll(tsaConfig, "%ALG%", alg)))
				put(t, dir, "serial", []byte("01\n"))
				r := &Request{Imprint: imprintOf(crypto.SHA384, document), Nonce: big.NewInt(987654321), CertReq: true}
				q, err := r.Marshal()
				if err != nil {
					t.Fatal(err)
				}
				put(t, dir, "q", q)
				start := time.Now().Add(-time.Second)
				must(t, dir, "ts", "-reply", "-config", "cnf", "-section", "t", "-queryfile", "q", "-out", "r")
				resp, err := ParseResponse(take(t, dir, "r"))
				if err != nil {
					t.Fatal(err)
				}
				tok, err := ParseToken(resp.Token)
				if err != nil {
					t.Fatal(err)
				}
				o := VerifyOptions{Imprint: r.Imprint, Nonce: r.Nonce, Roots: u.roots(), Now: time.Now(), NotBefore: start, MaxAhead: time.Second}
				v, err := tok.Verify(o)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := v.Info.Accuracy, 1500*time.Millisecond+100*time.Microsecond; got != want {
					t.Errorf("accuracy = %v, want %v", got, want)
				}
				if !v.Info.Ordering || v.Info.TSA == nil || !v.Info.Policy.Equal(policyOID) {
					t.Errorf("info = %+v", v.Info)
				}
				if v1 := len(tok.SignedData.Signer.ESSv1) > 0; v1 != (alg == "sha1") {
					t.Errorf("signing-certificate of version 1: %v", v1)
				}
				o.Nonce = big.NewInt(5)
				if _, err := tok.Verify(o); !errors.Is(err, ErrNonce) {
					t.Errorf("other nonce: %v, want ErrNonce", err)
				}
			})
		}
	}
}

func p384Unit(tb testing.TB) *unit {
	tb.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return newUnit(tb, k, nil)
}

// TestForeignParserAgrees lets another Go library read what we write, and the reverse.
func TestForeignParserAgrees(t *testing.T) {
	t.Parallel()
	u := p256Unit(t, nil)
	info := goodInfo()
	token := u.stamp(t, info, cms.AssembleOptions{})
	resp, err := Grant(token)
	if err != nil {
		t.Fatal(err)
	}
	got, err := foreign.ParseResponse(resp)
	if err != nil {
		t.Fatal(err)
	}
	if got.HashAlgorithm != crypto.SHA256 || !bytes.Equal(got.HashedMessage, info.Imprint.Digest) || !got.Time.Equal(info.GenTime) ||
		got.Accuracy != info.Accuracy || got.SerialNumber.Cmp(info.Serial) != 0 || !got.Policy.Equal(info.Policy) || got.Nonce.Cmp(info.Nonce) != 0 {
		t.Errorf("another library reads %+v, want %+v", got, info)
	}
	q, err := foreign.CreateRequest(bytes.NewReader(document), &foreign.RequestOptions{Hash: crypto.SHA512, Certificates: true, Nonce: big.NewInt(7)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseRequest(q)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Imprint.Equal(imprintOf(crypto.SHA512, document)) || !r.CertReq || r.Nonce.Int64() != 7 {
		t.Errorf("we read %+v", r)
	}
	ours, err := (&Request{Imprint: imprintOf(crypto.SHA256, document), Nonce: big.NewInt(9), CertReq: true, Policy: policyOID}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	fr, err := foreign.ParseRequest(ours)
	if err != nil {
		t.Fatal(err)
	}
	if fr.Nonce.Int64() != 9 || !fr.Certificates || !fr.TSAPolicyOID.Equal(policyOID) {
		t.Errorf("another library reads %+v", fr)
	}
}
