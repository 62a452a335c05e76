package pades_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// matrixKey is an algorithm of the matrix.
type matrixKey struct {
	name, algorithm string
	key             crypto.Signer
}

func matrixKeys(t testing.TB) []matrixKey {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other := otherKeys(t)
	return []matrixKey{
		{"P-256", "ecdsa-sha256", other["P-256"]}, {"P-384", "ecdsa-sha384", other["P-384"]},
		{"RSA", "rsa-sha256", other["RSA-2048"]}, {"RSA-PSS", "rsa-pss-sha256", r}, {"Ed25519", "ed25519", other["Ed25519"]},
	}
}

// matrixTools are the programs asked, each with the algorithms that it does not know. It
// returns how many signatures it finds valid.
var matrixTools = []struct {
	name    string
	unable  []string
	command string // that must be installed
	valid   func(t testing.TB, path string, file []byte, roots string) (int, string)
}{
	{"pdfsig", []string{"Ed25519"}, "pdfsig", askPDFSig},
	{"mutool", []string{"Ed25519", "RSA-PSS"}, "mutool", askMuTool},
	{"openssl", []string{"Ed25519"}, "openssl", askOpenSSL},
	{"pyhanko", nil, "", askPyHanko},
}

// TestInteropMatrix has four other programs verify what is signed: every level
// that needs no network × algorithm × kind of cross-reference × one to three
// signers. pyHanko takes part where SUTI_TEST_PYHANKO names its executable.
func TestInteropMatrix(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	roots := writePEM(t, ca.root, ca.tsaRoot)
	second, third := ca.signer(t, "Beto Quispe", nil), ca.signer(t, "Carla Mamani", nil)
	var mu sync.Mutex
	agreed := map[string]int{}
	t.Run("files", func(t *testing.T) {
		for _, k := range matrixKeys(t) {
			for _, shape := range costest.Shapes() {
				for _, level := range []pades.Level{pades.LevelBB, pades.LevelBT} {
					t.Run(fmt.Sprintf("%s %v %v", k.name, shape, level), func(t *testing.T) {
						t.Parallel()
						b := costest.Sample(costest.Options{Shape: shape, Form: true})
						for i, who := range []signer{ca.signer(t, "Ana Núñez", k.key), second, third} {
							o := pades.Options{Level: level}
							if i == 0 {
								o.Algorithm = k.algorithm
							}
							b = sign(t, b, who, o)
							for tool, n := range askAll(t, b, i+1, k.name, shape, roots) {
								mu.Lock()
								agreed[tool] += n
								mu.Unlock()
							}
						}
					})
				}
			}
		}
	})
	for tool, n := range agreed {
		t.Logf("%s agrees on %d signatures", tool, n)
	}
}

// askAll asks every tool about a file with n signatures, the first of which is
// by the algorithm named, and returns on how many each agrees with us.
func askAll(t *testing.T, b []byte, n int, algorithm string, shape costest.Shape, roots string) map[string]int {
	t.Helper()
	for i, s := range verify(t, b).Signatures {
		if !holds(s.Verdict) || s.Verdict == pades.ModifiedAllowed {
			t.Fatalf("signature %d is %s: %s", i, s.Verdict, s.Detail)
		}
	}
	p := writeFile(t, "signed.pdf", b)
	agreed := map[string]int{}
	for _, tool := range matrixTools {
		if tool.command == "" && os.Getenv("SUTI_TEST_PYHANKO") == "" {
			continue
		}
		if tool.command != "" {
			requireTool(t, tool.command)
		}
		want := n
		if slices.Contains(tool.unable, algorithm) {
			want--
		}
		if tool.name == "pyhanko" && shape == costest.Hybrid {
			continue // which it refuses to validate, whatever is in it
		}
		got, text := tool.valid(t, p, b, roots)
		if got != want {
			t.Errorf("%s finds %d of %d signatures valid, want %d\n%s", tool.name, got, n, want, text)
		}
		agreed[tool.name] += got
	}
	return agreed
}

func askPDFSig(t testing.TB, path string, _ []byte, _ string) (int, string) {
	out, _ := run(t, "pdfsig", "-nocert", path)
	return strings.Count(out, "Signature is Valid."), out
}

// askMuTool counts signatures whose digest fits; trust it knows from its own
// store only.
func askMuTool(t testing.TB, path string, _ []byte, _ string) (int, string) {
	out, _ := run(t, "mutool", "sign", "-v", path)
	return strings.Count(out, "since signing"), out
}

var byteRange = regexp.MustCompile(`/ByteRange \[(\d+) (\d+) (\d+) (\d+)`)

// askOpenSSL verifies the CMS of every signature over its byte range, with its
// path and its signing certificate attribute.
func askOpenSSL(t testing.TB, _ string, file []byte, roots string) (int, string) {
	good, text := 0, ""
	for _, m := range byteRange.FindAllSubmatch(file, -1) {
		var r [4]int
		for i := range r {
			_, _ = fmt.Sscan(string(m[i+1]), &r[i])
		}
		der := unhex(t, file[r[1]+1:r[2]-1])
		content := writeFile(t, "content", append(bytes.Clone(file[:r[1]]), file[r[2]:r[2]+r[3]]...))
		cmd := exec.Command("openssl", "cms", "-verify", "-cades", "-binary", "-inform", "DER", "-in", writeFile(t, "sig.der", der),
			"-content", content, "-CAfile", roots, "-purpose", "any", "-attime", fmt.Sprint(now.Unix()), "-out", filepath.Join(t.TempDir(), "out"))
		out, err := cmd.CombinedOutput()
		sd, perr := cms.Parse(der)
		if perr != nil {
			t.Fatal(perr)
		}
		for _, token := range sd.TimestampTokens() {
			v, terr := run(t, "openssl", "ts", "-verify", "-token_in", "-in", writeFile(t, "token", token), "-data", writeFile(t, "value", sd.Signer.Signature),
				"-CAfile", roots, "-attime", fmt.Sprint(now.Unix()))
			if terr != nil {
				t.Errorf("openssl ts: %v\n%s", terr, v)
			}
		}
		if err == nil {
			good++
		}
		text += string(out)
	}
	return good, text
}

// askPyHanko has it judge path, time-stamp and later changes too.
func askPyHanko(t testing.TB, path string, _ []byte, roots string) (int, string) {
	cmd := exec.Command(os.Getenv("SUTI_TEST_PYHANKO"), "sign", "validate", "--no-revocation-check", "--trust-replace", "--trust", roots,
		"--validation-time", now.Format("2006-01-02T15:04:05-07:00"), path)
	out, _ := cmd.CombinedOutput()
	text := string(out)
	stamps := strings.Count(text, "TIMESTAMP_TOKEN<")
	good := len(trustedByPyHanko.FindAllString(text, -1))
	if stamps != strings.Count(text, "TIMESTAMP_TOKEN<INTACT:TRUSTED>") || strings.Contains(text, "ILLEGAL") {
		t.Errorf("pyhanko: %s", text)
	}
	return good, text
}

var trustedByPyHanko = regexp.MustCompile(`(?m)^[^:]+:[0-9a-f]+:INTACT:TRUSTED`)
