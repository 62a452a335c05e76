package tour

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"oruro.gob.bo/suti/cmd/internal/app"
	"oruro.gob.bo/suti/cmd/internal/demo"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/bundle"
)

// restorable is an instance whose database is put back to an earlier state.
type restorable struct {
	t      *testing.T
	dir    string
	issuer string
	gen    act.Hash
	roots  *x509.CertPool
	keys   []string // verifier keys of the log, the first one's first
}

const reopenPort = 24300

// open starts the instance, notes what it says of itself, and stops it.
func (r *restorable) open(look func(*demo.Instance)) {
	r.t.Helper()
	i, err := demo.Start(r.t.Context(), demo.Config{Dir: r.dir, FirstPort: reopenPort})
	if err != nil {
		r.t.Fatal(err)
	}
	r.issuer, r.roots = i.File.Issuer, x509.NewCertPool()
	if !r.roots.AppendCertsFromPEM([]byte(i.File.TrustRootPEM)) {
		r.t.Fatal("no roots")
	}
	if r.gen, err = i.App.Enrolment.Genesis(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.keys = append(r.keys, i.App.Seq.VerifierKey())
	if look != nil {
		look(i)
	}
	if err := i.Close(); err != nil {
		r.t.Fatal(err)
	}
}

// tour takes a tour but for its last part, which revokes the official's
// certificate, and returns the evidence of its signature.
func (r *restorable) tour(round int) []byte {
	r.t.Helper()
	ctx := r.t.Context()
	t := &Tour{cfg: Config{Out: r.t.TempDir(), Round: round, Now: time.Now}, pdf: builtInPDF(), artefacts: map[string]string{}}
	r.open(func(i *demo.Instance) {
		t.demo = i
		for _, part := range []func(context.Context){t.people, t.logins, t.sign, t.verify} {
			part(ctx)
		}
	})
	if t.failed() {
		r.t.Fatalf("tour %d: %+v", round, t.steps[len(t.steps)-1])
	}
	return t.signing.evidence
}

// copyDatabase is a backup or, the other way, a restore of a stopped instance.
func copyDatabase(t *testing.T, from, to string) {
	t.Helper()
	for _, side := range []string{"-wal", "-shm"} {
		if err := os.Remove(to + side); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(dst, src)
	if err := errors.Join(err, dst.Close()); err != nil {
		t.Fatal(err)
	}
}

// restore puts a backup in place: the instance refuses to start until the log
// has been continued.
func (r *restorable) restore(backup, wantOrigin string) {
	r.t.Helper()
	copyDatabase(r.t, backup, filepath.Join(r.dir, "suti.db"))
	if i, err := demo.Start(r.t.Context(), demo.Config{Dir: r.dir, FirstPort: reopenPort}); !errors.Is(err, audit.ErrRolledBack) {
		r.t.Fatalf("start on an older database: %v, %v", i, err)
	}
	s, err := app.ReopenLog(r.t.Context(), app.Config{DataDir: r.dir, PublicURL: r.issuer, Demo: true}, audit.ContinueOptions{Reason: "prueba"}, true)
	if err != nil {
		r.t.Fatal(err)
	}
	if got := s.After[len(s.After)-1].Origin; s.Behind == nil || got != wantOrigin || audit.Lost(s.After) == 0 {
		r.t.Errorf("continued as %s, behind %v, %d lost; want %s", got, s.Behind, audit.Lost(s.After), wantOrigin)
	}
}

// verify checks a bundle offline: by each key that the log ever had, and by the
// one that the founding act names.
func (r *restorable) verify(name string, raw []byte) {
	r.t.Helper()
	for _, key := range append([]string{""}, r.keys...) {
		rep, err := bundle.Verify(raw, bundle.Trust{Genesis: r.gen, Now: time.Now(), Roots: r.roots, TSARoots: r.roots, LogKey: key})
		if err == nil {
			err = rep.Err()
		}
		if err != nil || rep.Verdict != bundle.Valid {
			r.t.Errorf("evidence of %s, key %q: %v", name, key, err)
			continue
		}
		for _, c := range rep.Checks {
			if c.Name == bundle.CheckLog && c.Status != bundle.OK {
				r.t.Errorf("evidence of %s, key %q: log %s", name, key, c.Status)
			}
		}
	}
}

// serial returns the serial of the signer's certificate in a bundle.
func serial(t *testing.T, raw []byte) []byte {
	t.Helper()
	b, err := bundle.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(b.Certificates[0])
	if err != nil {
		t.Fatal(err)
	}
	return cert.SerialNumber.Bytes()
}

// TestRestoreAndGoOn loses work to two restores: the node notices, goes on under
// a new origin, signs there, and all evidence, of before, of what was lost and of
// after, verifies with any key of the log. Of a certificate that the database
// forgot, OCSP never says that it is good, and its serial does not come again.
func TestRestoreAndGoOn(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	r := &restorable{t: t, dir: t.TempDir()}
	base := filepath.Join(t.TempDir(), "founded.db")
	r.open(nil)
	copyDatabase(t, filepath.Join(r.dir, "suti.db"), base)
	origin := r.issuer[len("http://"):] + "/log"

	before := r.tour(0)
	toured := filepath.Join(filepath.Dir(base), "toured.db")
	copyDatabase(t, filepath.Join(r.dir, "suti.db"), toured)
	lost := r.tour(1)
	r.restore(toured, origin+"/2")
	after := r.tour(2)
	r.open(func(i *demo.Instance) {
		if _, err := i.App.CA.OCSP(t.Context(), serial(t, before)); err != nil {
			t.Errorf("a certificate that is known: %v", err)
		}
	})

	r.restore(base, origin+"/3")
	r.open(func(i *demo.Instance) {
		out, err := i.App.CA.OCSP(t.Context(), serial(t, before))
		if err == nil {
			if got, err := ocsp.ParseResponse(out, nil); err != nil || got.Status == ocsp.Good {
				t.Errorf("a certificate that was forgotten: %+v, %v", got, err)
			}
		}
	})
	anew := r.tour(3)
	r.open(nil)
	for name, raw := range map[string][]byte{"before": before, "what was lost": lost, "after": after, "after the second restore": anew} {
		r.verify(name, raw)
	}
	if string(serial(t, before)) == string(serial(t, anew)) {
		t.Error("a serial was given again")
	}
}
