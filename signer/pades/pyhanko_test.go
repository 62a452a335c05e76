package pades_test

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// pyHanko returns the path of a foreign implementation that signs and
// verifies every level: set SUTI_TEST_PYHANKO to its executable.
func pyHanko(t testing.TB) string {
	t.Helper()
	p := os.Getenv("SUTI_TEST_PYHANKO")
	if p == "" {
		t.Skip("SUTI_TEST_PYHANKO does not name an executable of pyHanko")
	}
	return p
}

// adesVerify has pyHanko judge the first signature (EN 319 102-1).
func (l *lab) adesVerify(name string, b []byte) {
	l.t.Helper()
	out, err := exec.Command(pyHanko(l.t), "sign", "adesverify", "--no-strict-syntax", "--trust-replace",
		"--trust", writePEM(l.t, l.Root.Cert), "--trust", writePEM(l.t, l.TSARoot.Cert), writeFile(l.t, "x.pdf", b)).CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	if err != nil || !strings.Contains(last, ":INTACT:TRUSTED") || !strings.Contains(last, "TIMESTAMP_TOKEN<INTACT:TRUSTED>") ||
		strings.Contains(last, "EXTENDED") && !strings.Contains(last, "EXTENDED_WITH_LTA_UPDATES,ACCEPTABLE_MODIFICATIONS") {
		l.t.Errorf("%s: pyHanko: %v\n%s", name, err, out)
	}
}

func TestPyHankoAgreesOnLevels(t *testing.T) {
	t.Parallel()
	pyHanko(t)
	for _, shape := range costest.Shapes() {
		l := newLab(t, time.Time{})
		who := l.Signer(t, "Ana Núñez")
		for _, level := range []pades.Level{pades.LevelBT, pades.LevelBLT, pades.LevelBLTA} {
			b := l.sign(costest.Sample(costest.Options{Shape: shape, Form: true}), who, level)
			l.adesVerify(shape.String()+" "+level.String(), b)
			if level == pades.LevelBLTA {
				l.NewTSA(t)
				l.adesVerify(shape.String()+" renewed", l.extend(b, l.options(level)))
			}
		}
	}
}

// Files of every level that pyHanko writes have that level for us, and can be
// renewed by us to its satisfaction.
func TestLevelsWrittenByPyHanko(t *testing.T) {
	t.Parallel()
	tool := pyHanko(t)
	l := newLab(t, time.Time{})
	who := l.Signer(t, "Ana")
	der, err := x509.MarshalPKCS8PrivateKey(who.Key)
	if err != nil {
		t.Fatal(err)
	}
	key := writeFile(t, "key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	trust := []string{"--trust-replace", "--trust", writePEM(t, l.Root.Cert), "--trust", writePEM(t, l.TSARoot.Cert)}
	for _, shape := range []costest.Shape{costest.Table, costest.Stream} {
		f := costest.SampleFile(costest.Options{Shape: shape})
		for i := range f.Objs {
			if strings.Contains(string(f.Objs[i].Data), "xmpmeta") {
				f.Objs[i].Data = []byte(`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"/></x:xmpmeta>`)
			}
		}
		in := writeFile(t, "in.pdf", f.Bytes())
		for _, c := range []struct {
			level pades.Level
			flags []string
		}{
			{pades.LevelBT, nil},
			{pades.LevelBLT, []string{"--with-validation-info"}},
			{pades.LevelBLTA, []string{"--with-validation-info", "--use-pades-lta"}},
		} {
			name := shape.String() + " " + c.level.String()
			out := filepath.Join(t.TempDir(), "out.pdf")
			args := append([]string{"--verbose", "sign", "addsig", "--field", "Sig1", "--use-pades", "--timestamp-url", l.URL + "/tsa"}, append(c.flags, trust...)...)
			args = append(args, "pemder", "--key", key, "--cert", writePEM(t, who.Cert), "--chain", writePEM(t, l.Inter.Cert), "--no-pass", in, out)
			if msg, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, msg)
			}
			b, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			verdict := pades.ValidExtended
			if c.level == pades.LevelBT {
				verdict = pades.Valid
			}
			l.want(name, l.verifyAt(b, time.Now().Add(time.Minute)), verdict, "", c.level)
			b = l.extend(b, l.options(pades.LevelBLTA))
			l.want(name+" extended", l.verifyAt(b, time.Now().Add(time.Minute)), pades.ValidExtended, "", pades.LevelBLTA)
			l.adesVerify(name+" extended", b)
			if c.level != pades.LevelBLTA {
				continue
			}
			args = append([]string{"sign", "ltaupdate", "--timestamp-url", l.URL + "/tsa"}, append(trust, out)...)
			if msg, err := exec.Command(tool, args...).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", name, err, msg)
			}
			if b, err = os.ReadFile(out); err != nil {
				t.Fatal(err)
			}
			l.want(name+" renewed", l.verifyAt(b, time.Now().Add(time.Minute)), pades.ValidExtended, "", pades.LevelBLTA)
		}
	}
}
