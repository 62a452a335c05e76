package pades_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/internal/evidence/evidencetest"
	"oruro.gob.bo/suti/signer/pades"
	"oruro.gob.bo/suti/signer/pades/online"
)

// lab is a world with a network, for levels above B-T.
type lab struct {
	*evidencetest.Lab
	t testing.TB
}

func newLab(t testing.TB, at time.Time) *lab { return &lab{evidencetest.New(t, at), t} }

func (l *lab) Timestamp(_ context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	return l.Lab.Timestamp(h, digest)
}

func (l *lab) source() *online.Source {
	l.t.Helper()
	s, err := online.New(online.Config{AllowPrivate: true, Now: l.Now})
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

func (l *lab) options(level pades.Level) pades.ExtendOptions {
	return pades.ExtendOptions{
		Level: level, Roots: evidencetest.Pool(l.Root), TimestampRoots: evidencetest.Pool(l.TSARoot),
		Evidence: l.source(), Timestamper: l, Now: l.Now,
	}
}

func (l *lab) trySign(base []byte, who *evidencetest.Node, level pades.Level) ([]byte, *pades.Signed, error) {
	x := l.options(level)
	s, err := pades.Sign(context.Background(), bytes.NewReader(base), int64(len(base)), who.Key, who.Chain(), l, pades.Options{Level: level, SigningTime: l.Now(), Extend: &x})
	if err != nil {
		return nil, nil, err
	}
	var out bytes.Buffer
	if _, err := s.WriteTo(context.Background(), &out, bytes.NewReader(base)); err != nil {
		return nil, nil, err
	}
	return out.Bytes(), s, nil
}

func (l *lab) sign(base []byte, who *evidencetest.Node, level pades.Level) []byte {
	l.t.Helper()
	b, s, err := l.trySign(base, who, level)
	if err != nil {
		l.t.Fatal(err)
	}
	if s.Requested != level || s.Achieved != level {
		l.t.Fatalf("requested %v, achieved %v, want %v", s.Requested, s.Achieved, level)
	}
	return b
}

func (l *lab) extend(b []byte, o pades.ExtendOptions) []byte {
	l.t.Helper()
	x, err := pades.Extend(context.Background(), bytes.NewReader(b), int64(len(b)), o)
	if err != nil {
		l.t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := x.WriteTo(context.Background(), &out, bytes.NewReader(b)); err != nil {
		l.t.Fatal(err)
	}
	if int64(out.Len()) != x.Size() || !bytes.Equal(out.Bytes()[:len(b)], b) {
		l.t.Fatalf("the file changed, or its size is not %d", x.Size())
	}
	return out.Bytes()
}

func (l *lab) verifyAt(b []byte, at time.Time) *pades.Report {
	l.t.Helper()
	r, err := pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), pades.VerifyOptions{
		Roots: evidencetest.Pool(l.Root), TimestampRoots: evidencetest.Pool(l.TSARoot), At: at,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// want checks verdict and level of the first signature.
func (l *lab) want(name string, r *pades.Report, verdict pades.Verdict, sub string, level pades.Level) {
	l.t.Helper()
	if len(r.Signatures) == 0 {
		l.t.Fatalf("%s: no signature", name)
	}
	if s := r.Signatures[0]; s.Verdict != verdict || s.SubIndication != sub || s.Level != level {
		j, _ := json.MarshalIndent(r, "", " ")
		l.t.Errorf("%s: %s %s %v, want %s %s %v\n%s", name, s.Verdict, s.SubIndication, s.Level, verdict, sub, level, j)
	}
}

func (l *lab) judges(name string, b []byte, signatures, stamps int) {
	l.t.Helper()
	p := writeFile(l.t, "x.pdf", b)
	if out, err := run(l.t, "qpdf", "--check", p); err != nil {
		l.t.Errorf("%s: qpdf: %v\n%s", name, err, out)
	}
	out, _ := run(l.t, "pdfsig", "-nocert", p)
	if got := strings.Count(out, "Signature is Valid."); got != signatures+stamps && got != signatures {
		l.t.Errorf("%s: pdfsig finds %d valid signatures, want %d and %d\n%s", name, got, signatures, stamps, out)
	}
	if strings.Contains(out, "Digest Mismatch") || strings.Contains(out, "Signature is Invalid") {
		l.t.Errorf("%s: pdfsig: %s", name, out)
	}
	if out, _ = run(l.t, "mutool", "sign", "-v", p); strings.Contains(out, "modified") && !strings.Contains(out, "unchanged") {
		l.t.Errorf("%s: mutool: %s", name, out)
	}
	l.openSSL(name, b, stamps)
}

// openSSL has openssl verify each document time-stamp over its byte range.
func (l *lab) openSSL(name string, b []byte, stamps int) {
	l.t.Helper()
	n := 0
	root := writePEM(l.t, l.TSARoot.Cert)
	for _, s := range l.verifyAt(b, l.Now()).Signatures {
		if s.Kind != "document-timestamp" {
			continue
		}
		n++
		r := s.ByteRange
		data := append(bytes.Clone(b[:r[1]]), b[r[2]:r[2]+r[3]]...)
		token := unhex(l.t, b[r[1]+1:r[2]-1])
		d, tok := writeFile(l.t, "data", data), writeFile(l.t, "token", token)
		requireTool(l.t, "openssl")
		out, err := exec.Command("openssl", "ts", "-verify", "-data", d, "-in", tok, "-token_in", "-CAfile", root, "-attime", timestamp(l.Now())).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "Verification: OK") {
			l.t.Errorf("%s: openssl ts: %v\n%s", name, err, out)
		}
	}
	if n != stamps {
		l.t.Errorf("%s: %d document time-stamps, want %d", name, n, stamps)
	}
}

func TestLevelsOnEveryShape(t *testing.T) {
	t.Parallel()
	for _, shape := range costest.Shapes() {
		for i, o := range []costest.Options{{Shape: shape}, {Shape: shape, Form: true, IndirectForm: true, IndirectAnnots: true}} {
			l := newLab(t, now)
			who := l.Signer(t, "Ana Núñez")
			name := shape.String() + string(rune('0'+i))
			base := costest.Sample(o)
			lt := l.sign(base, who, pades.LevelBLT)
			l.judges(name+" LT", lt, 1, 0)
			r := l.verifyAt(lt, now.Add(time.Hour))
			l.want(name+" LT", r, pades.ValidExtended, "", pades.LevelBLT)
			if s := r.Signatures[0]; s.Revocation != "good" || len(s.Warnings) > 0 {
				t.Errorf("%s: revocation %q, warnings %v", name, s.Revocation, s.Warnings)
			}
			lta := l.sign(base, who, pades.LevelBLTA)
			l.judges(name+" LTA", lta, 1, 1)
			l.want(name+" LTA", l.verifyAt(lta, now.Add(time.Hour)), pades.ValidExtended, "", pades.LevelBLTA)
			if !bytes.Equal(pixels(t, base, "1"), pixels(t, lta, "1")) {
				t.Errorf("%s: page 1 looks different", name)
			}
		}
	}
}

// From every level to every higher one, then renewed for thirty years.
func TestExtendAndRenew(t *testing.T) {
	t.Parallel()
	for _, shape := range costest.Shapes() {
		for _, from := range []pades.Level{pades.LevelBB, pades.LevelBT, pades.LevelBLT} {
			for to := max(from+1, pades.LevelBT); to <= pades.LevelBLTA; to++ {
				l := newLab(t, now)
				name := shape.String() + " " + from.String() + " to " + to.String()
				who := l.Signer(t, "Ana", func(c *x509.Certificate) { c.NotAfter = now.AddDate(1, 0, 0) })
				b := l.sign(costest.Sample(costest.Options{Shape: shape, Form: true}), who, from)
				l.SetTime(now.AddDate(0, 0, 3))
				b = l.extend(b, l.options(to))
				want := pades.ValidExtended
				l.want(name, l.verifyAt(b, l.Now().Add(time.Hour)), want, "", to)
				if shape == costest.Table || to == pades.LevelBLTA {
					l.judges(name, b, 1, strings.Count(string(b), "/DocTimeStamp"))
				}
				if to == pades.LevelBLTA && from == pades.LevelBT {
					l.renew(name, b)
				}
			}
		}
	}
}

// renew renews a file every four years with new units; the old ones expire.
func (l *lab) renew(name string, b []byte) {
	l.t.Helper()
	for year := 4; year <= 8; year += 4 {
		l.SetTime(now.AddDate(year, 0, 0))
		l.NewTSA(l.t)
		b = l.extend(b, l.options(pades.LevelBLTA))
		r := l.verifyAt(b, l.Now().Add(time.Hour))
		l.want(name+" renewed", r, pades.ValidExtended, "", pades.LevelBLTA)
		for i, s := range r.Signatures {
			if s.Indication != pades.TotalPassed {
				l.t.Errorf("%s, year %d: signature %d is %s %s %s", name, year, i, s.Indication, s.SubIndication, s.Detail)
			}
		}
	}
	// Long after the person's certificate, and after what revocation said was current.
	r := l.verifyAt(b, now.AddDate(9, 0, 0))
	l.want(name+" in nine years", r, pades.ValidExtended, "", pades.LevelBLTA)
	if s := r.Signatures[0]; s.Revocation != "good" {
		l.t.Errorf("%s: revocation %q", name, s.Revocation)
	}
}

func TestLongTermNeedsNoNetworkLater(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	who := l.Signer(t, "Ana", func(c *x509.Certificate) { c.NotAfter = now.AddDate(0, 0, 10) })
	base := costest.Sample(costest.Options{})
	bt, lta := l.sign(base, who, pades.LevelBT), l.sign(base, who, pades.LevelBLTA)
	l.Revoke(who.Cert, now.Add(time.Hour))
	for _, path := range []string{"/ocsp", "/crl/root", "/crl/inter", "/crl/tsaroot"} {
		l.Down(path, true)
	}
	at := now.AddDate(0, 1, 0)
	l.want("LTA", l.verifyAt(lta, at), pades.ValidExtended, "", pades.LevelBLTA)
	l.want("B-T", l.verifyAt(bt, at), pades.Valid, "", pades.LevelBT)
	// The caller who asks learns of the revocation, and the proof holds against it.
	l.SetTime(at)
	o := pades.VerifyOptions{Roots: evidencetest.Pool(l.Root), TimestampRoots: evidencetest.Pool(l.TSARoot), At: at, Revocation: l.source()}
	l.Down("/ocsp", false)
	for _, p := range []string{"/crl/root", "/crl/tsaroot"} {
		l.Down(p, false)
	}
	r, err := pades.Verify(context.Background(), bytes.NewReader(lta), int64(len(lta)), o)
	if err != nil {
		t.Fatal(err)
	}
	l.want("LTA, asking", r, pades.ValidExtended, "", pades.LevelBLTA)
}

func TestRevocationInTheFileCounts(t *testing.T) {
	t.Parallel()
	base := costest.Sample(costest.Options{})
	// Revoked after the time-stamp: the evidence says so, and the proof holds.
	l := newLab(t, now)
	who := l.Signer(t, "Ana")
	bt := l.sign(base, who, pades.LevelBT)
	bb := l.sign(base, who, pades.LevelBB)
	l.Revoke(who.Cert, now.Add(time.Hour))
	l.SetTime(now.Add(2 * time.Hour))
	after := l.extend(bt, l.options(pades.LevelBLTA))
	l.want("revoked later", l.verifyAt(after, now.AddDate(0, 0, 1)), pades.ValidExtended, "", pades.LevelBLTA)
	// Without a time-stamp before the revocation nothing helps.
	_, err := pades.Extend(context.Background(), bytes.NewReader(bb), int64(len(bb)), l.options(pades.LevelBLTA))
	wantEvidence(t, "revoked before any proof", err, pades.RevokedFirst, who.Cert)
	// Signing with a revoked certificate is refused, with the certificate's name.
	_, _, err = l.trySign(base, who, pades.LevelBLT)
	wantEvidence(t, "revoked signer", err, pades.RevokedFirst, who.Cert)
}

func wantEvidence(t testing.TB, name string, err error, reason string, cert *x509.Certificate) {
	t.Helper()
	var e *pades.EvidenceError
	if !errors.As(err, &e) || e.Reason != reason || !errors.Is(err, pades.ErrEvidence) {
		t.Errorf("%s: got %v, want %s", name, err, reason)
		return
	}
	if cert != nil && (e.Certificate == nil || !e.Certificate.Equal(cert)) {
		t.Errorf("%s: about %v, want %v", name, e.Certificate, cert.Subject)
	}
}

func TestLevelsAreNeverLowered(t *testing.T) {
	t.Parallel()
	base := costest.Sample(costest.Options{})
	l := newLab(t, now)
	who := l.Signer(t, "Ana")
	mute := l.Signer(t, "Muda", func(c *x509.Certificate) { c.OCSPServer, c.CRLDistributionPoints = nil, nil })
	for _, level := range []pades.Level{pades.LevelBLT, pades.LevelBLTA} {
		_, _, err := l.trySign(base, mute, level)
		wantEvidence(t, "no address", err, pades.NoAddress, mute.Cert)
		l.Down("/ocsp", true)
		l.Down("/crl/inter", true)
		_, _, err = l.trySign(base, who, level)
		wantEvidence(t, "responder and list down", err, pades.Unreachable, who.Cert)
		l.Down("/crl/inter", false)
		if b := l.sign(base, who, level); b == nil || l.Asked("/crl/inter") == 0 {
			t.Error("the list was not used in place of the responder")
		}
		l.Down("/ocsp", false)
		l.Down("/crl/root", true)
		_, _, err = l.trySign(base, who, level)
		wantEvidence(t, "about the intermediate", err, pades.Unreachable, l.Inter.Cert)
		l.Down("/crl/root", false)
		l.Down("/crl/tsaroot", true)
		_, _, err = l.trySign(base, who, level)
		wantEvidence(t, "about the time-stamping unit", err, pades.Unreachable, l.TSA.Cert)
		l.Down("/crl/tsaroot", false)
	}
	strict, err := online.New(online.Config{Now: l.Now})
	if err != nil {
		t.Fatal(err)
	}
	b := l.sign(base, who, pades.LevelBT)
	o := l.options(pades.LevelBLT)
	o.Evidence = strict
	_, err = pades.Extend(context.Background(), bytes.NewReader(b), int64(len(b)), o)
	wantEvidence(t, "private address", err, pades.Refused, nil)
	o = l.options(pades.LevelBLTA)
	o.Timestamper = nil
	_, err = pades.Extend(context.Background(), bytes.NewReader(b), int64(len(b)), o)
	wantEvidence(t, "no authority", err, pades.NoTimestamps, nil)
	o = l.options(pades.LevelBLT)
	o.Roots = evidencetest.Pool(l.TSARoot)
	_, err = pades.Extend(context.Background(), bytes.NewReader(b), int64(len(b)), o)
	wantEvidence(t, "other roots", err, pades.NoPath, who.Cert)
	lt := l.extend(b, l.options(pades.LevelBLT))
	_, err = pades.Extend(context.Background(), bytes.NewReader(lt), int64(len(lt)), l.options(pades.LevelBLT))
	wantRefusal(t, "again", err, pades.CodeReached)
	_, err = pades.Extend(context.Background(), bytes.NewReader(base), int64(len(base)), l.options(pades.LevelBLT))
	wantRefusal(t, "unsigned", err, pades.CodeNotSigned)
	lt[bytes.Index(lt, []byte("Type /Sig"))+6] ^= 1
	if _, err = pades.Extend(context.Background(), bytes.NewReader(lt), int64(len(lt)), l.options(pades.LevelBLTA)); err == nil {
		t.Error("a broken signature was extended")
	}
}

// Lists issued before the signature are still current; whoever wants fresher
// ones can say so.
func TestFreshness(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	l.AgeLists(5 * time.Hour)
	who := l.Signer(t, "Ana", func(c *x509.Certificate) { c.OCSPServer = nil })
	b := l.sign(costest.Sample(costest.Options{}), who, pades.LevelBT)
	o := l.options(pades.LevelBLTA)
	o.RequireFresh = true
	_, err := pades.Extend(context.Background(), bytes.NewReader(b), int64(len(b)), o)
	wantEvidence(t, "stale lists", err, pades.NotFresh, nil)
	b = l.extend(b, l.options(pades.LevelBLTA))
	r := l.verifyAt(b, now.AddDate(1, 0, 0))
	l.want("stale lists", r, pades.ValidExtended, "", pades.LevelBLTA)
	told := false
	for _, w := range r.Signatures[0].Warnings {
		told = told || w.Code == pades.WarnStale
	}
	if !told {
		t.Errorf("warnings %v", r.Signatures[0].Warnings)
	}
}

// The base is read once, but for single objects: the state of the digest goes
// from step to step, and through storage.
func TestBaseIsReadOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	who := l.Signer(t, "Ana")
	big := costest.Sample(costest.Options{Extra: []costest.Obj{{Num: 40, Body: "<<>>", Data: bytes.Repeat([]byte("0123456789abcdef"), 1<<17)}}})
	x := l.options(pades.LevelBLTA)
	r := &countingReader{r: bytes.NewReader(big)}
	if _, err := pades.Sign(context.Background(), r, int64(len(big)), who.Key, who.Chain(), l, pades.Options{Level: pades.LevelBLTA, SigningTime: now, Extend: &x}); err != nil {
		t.Fatal(err)
	}
	signing := r.n
	r.n = 0
	if _, err := pades.Sign(context.Background(), r, int64(len(big)), who.Key, who.Chain(), l, pades.Options{SigningTime: now}); err != nil {
		t.Fatal(err)
	}
	if more := signing - r.n; more > int64(len(big))/4 {
		t.Errorf("B-LTA reads %d bytes more than B-B, of %d", more, len(big))
	}
}

// Evidence and document time-stamps are no change to what a certification or a
// lock forbids.
func TestExtendCertifiedAndLocked(t *testing.T) {
	t.Parallel()
	for _, shape := range costest.Shapes() {
		for name, o := range map[string]pades.Options{
			"no changes":   {Certify: pades.NoChanges},
			"forms":        {Certify: pades.FormsAndSigning},
			"all locked":   {Lock: &pades.Lock{Action: pades.LockAll}},
			"another kept": {Lock: &pades.Lock{Action: pades.LockExclude, Fields: []string{"Otro"}}},
		} {
			l := newLab(t, now)
			who := l.Signer(t, "Ana")
			base := costest.Sample(costest.Options{Shape: shape, Form: true})
			x := l.options(pades.LevelBLTA)
			o.Level, o.SigningTime, o.Extend = pades.LevelBLTA, now, &x
			s, err := pades.Sign(context.Background(), bytes.NewReader(base), int64(len(base)), who.Key, who.Chain(), l, o)
			if err != nil {
				t.Errorf("%v, %s: %v", shape, name, err)
				continue
			}
			b := signedBytes(base, s.Tail())
			l.want(name, l.verifyAt(b, now.Add(time.Hour)), pades.ValidExtended, "", pades.LevelBLTA)
			l.NewTSA(t)
			b = l.extend(b, l.options(pades.LevelBLTA))
			l.want(name+" renewed", l.verifyAt(b, now.Add(time.Hour)), pades.ValidExtended, "", pades.LevelBLTA)
			l.judges(name, b, 1, 2)
		}
	}
}

// Several people sign, one file; each keeps what the others have brought.
func TestExtendSeveralSigners(t *testing.T) {
	t.Parallel()
	for _, shape := range costest.Shapes() {
		l := newLab(t, now)
		b := costest.Sample(costest.Options{Shape: shape, Form: true})
		for i, level := range []pades.Level{pades.LevelBLTA, pades.LevelBB, pades.LevelBT, pades.LevelBLT} {
			l.SetTime(now.AddDate(0, 0, i))
			b = l.sign(b, l.Signer(t, "Persona"), level)
		}
		l.SetTime(now.AddDate(0, 0, 9))
		b = l.extend(b, l.options(pades.LevelBLTA))
		r := l.verifyAt(b, now.AddDate(0, 1, 0))
		n := 0
		for _, s := range r.Signatures {
			if s.Kind == "document-timestamp" {
				continue
			}
			n++
			if s.Verdict != pades.ValidExtended || s.Level != pades.LevelBLTA || s.Revocation != "good" {
				t.Errorf("%v: signature %d: %s %v %q %s", shape, n, s.Verdict, s.Level, s.Revocation, s.Detail)
			}
		}
		if n != 4 {
			t.Errorf("%v: %d signatures", shape, n)
		}
		l.judges(shape.String(), b, 4, len(r.Signatures)-4)
	}
}

func BenchmarkSignLongTerm(b *testing.B) {
	l := newLab(b, now)
	who := l.Signer(b, "Ana")
	base := costest.Sample(costest.Options{Extra: []costest.Obj{{Num: 40, Body: "<<>>", Data: make([]byte, 20<<10)}}})
	for _, level := range []pades.Level{pades.LevelBB, pades.LevelBT, pades.LevelBLT, pades.LevelBLTA} {
		b.Run(level.String(), func(b *testing.B) {
			b.ReportAllocs()
			x := l.options(level) // evidence is fetched once and kept
			for b.Loop() {
				if _, err := pades.Sign(context.Background(), bytes.NewReader(base), int64(len(base)), who.Key, who.Chain(), l, pades.Options{Level: level, SigningTime: now, Extend: &x}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
