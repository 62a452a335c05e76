package pades_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

func verifyWith(t *testing.T, b []byte, o pades.VerifyOptions) pades.SignatureReport {
	t.Helper()
	r, err := pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Signatures) == 0 {
		t.Fatal("no signatures")
	}
	return r.Signatures[0]
}

// trust is what the tests usually verify with.
func trust(t testing.TB, at time.Time) pades.VerifyOptions {
	ca := authority(t)
	return pades.VerifyOptions{Roots: ca.roots(), TimestampRoots: ca.tsaRoots(), At: at}
}

func TestTimeAndTrust(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	base := costest.Sample(costest.Options{})
	ana := ca.signer(t, "Ana", nil)
	brief := ca.signer(t, "Ana", nil, func(c *x509.Certificate) { c.NotAfter = now.Add(time.Hour) })
	foreign := newPKI(t)
	bb, bt := sign(t, base, brief, pades.Options{}), sign(t, base, brief, pades.Options{Level: pades.LevelBT})
	noRoots, noStamps := trust(t, now), trust(t, now.Add(48*time.Hour))
	noRoots.Roots = nil
	noStamps.TimestampRoots = nil
	strangers := trust(t, now)
	strangers.Roots = foreign.roots()
	for name, c := range map[string]struct {
		file    []byte
		o       pades.VerifyOptions
		verdict pades.Verdict
		sub     string
		level   pades.Level
	}{
		"while valid":                    {bb, trust(t, now.Add(time.Minute)), pades.Valid, "", pades.LevelBB},
		"expired without time-stamp":     {bb, trust(t, now.Add(48*time.Hour)), pades.Indeterminate, pades.SubOutOfBounds, pades.LevelBB},
		"expired with time-stamp":        {bt, trust(t, now.Add(48*time.Hour)), pades.Valid, "", pades.LevelBT},
		"time-stamp of nobody trusted":   {bt, noStamps, pades.Indeterminate, pades.SubOutOfBounds, pades.LevelBB},
		"before the certificate":         {bb, trust(t, now.Add(-48*time.Hour)), pades.Invalid, pades.SubNotYetValid, pades.LevelBB},
		"no roots":                       {bb, noRoots, pades.Indeterminate, pades.SubNoChain, pades.LevelBB},
		"other roots":                    {bb, strangers, pades.Indeterminate, pades.SubNoChain, pades.LevelBB},
		"authority's time-stamp expired": {bt, trust(t, now.Add(400*24*time.Hour)), pades.Indeterminate, pades.SubOutOfBounds, pades.LevelBB},
	} {
		s := verifyWith(t, c.file, c.o)
		if s.Verdict != c.verdict || s.SubIndication != c.sub || s.Level != c.level {
			t.Errorf("%s: %s %s %q (%s), want %s %s %q", name, s.Verdict, s.SubIndication, s.Level, s.Detail, c.verdict, c.sub, c.level)
		}
	}
	// A time-stamping unit made at home revives nothing.
	home := newPKI(t)
	st := home.stamper(now)
	signed, err := pades.Sign(context.Background(), bytes.NewReader(base), int64(len(base)), brief.key, brief.chain, st, pades.Options{SigningTime: now, Level: pades.LevelBT})
	if err != nil {
		t.Fatal(err)
	}
	if s := verifyWith(t, signedBytes(base, signed.Tail()), trust(t, now.Add(48*time.Hour))); s.Verdict != pades.Indeterminate || !s.ProvenTime.IsZero() || s.Timestamps[0].Trusted {
		t.Errorf("home-made time-stamp: %s, proven %v", s.Verdict, s.ProvenTime)
	}
	// A time-stamp from the future proves nothing.
	st = ca.stamper(now.Add(24 * time.Hour))
	signed, err = pades.Sign(context.Background(), bytes.NewReader(base), int64(len(base)), ana.key, ana.chain, st, pades.Options{SigningTime: now, Level: pades.LevelBT})
	if err != nil {
		t.Fatal(err)
	}
	if s := verifyWith(t, signedBytes(base, signed.Tail()), trust(t, now)); s.Level != pades.LevelBB || !s.ProvenTime.IsZero() {
		t.Errorf("time-stamp of tomorrow: level %q, proven %v", s.Level, s.ProvenTime)
	}
}

func TestVerifyEveryKey(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	for name, key := range otherKeys(t) {
		b := sign(t, costest.Sample(costest.Options{}), ca.signer(t, "Ana", key), pades.Options{Level: pades.LevelBT})
		if s := verifyWith(t, b, trust(t, now)); s.Verdict != pades.Valid || s.Level != pades.LevelBT {
			t.Errorf("%s: %s %s", name, s.Verdict, s.Detail)
		}
	}
}

// states answers by common name.
type states map[string]pades.RevocationStatus

func (s states) Status(_ context.Context, c, _ *x509.Certificate, _ time.Time) (pades.RevocationStatus, error) {
	st, ok := s[c.Subject.CommonName]
	if !ok {
		return pades.RevocationStatus{State: pades.RevocationGood}, nil
	}
	if st.State == pades.RevocationUnknown {
		return st, errors.New("no answer")
	}
	return st, nil
}

func TestRevocation(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	base := costest.Sample(costest.Options{})
	bb, bt := sign(t, base, who, pades.Options{}), sign(t, base, who, pades.Options{Level: pades.LevelBT})
	at := now.Add(48 * time.Hour)
	revoked := func(when time.Time) pades.RevocationStatus {
		return pades.RevocationStatus{State: pades.Revoked, RevokedAt: when}
	}
	for name, c := range map[string]struct {
		file    []byte
		states  states
		verdict pades.Verdict
		sub     string
		state   string
	}{
		"good":                           {bb, states{}, pades.Valid, "", "good"},
		"not known":                      {bb, states{"Ana": {}}, pades.Indeterminate, pades.SubTryLater, "unknown"},
		"revoked, nothing proven":        {bb, states{"Ana": revoked(now.Add(time.Hour))}, pades.Indeterminate, pades.SubRevokedNoPOE, "revoked"},
		"revoked after the proven time":  {bt, states{"Ana": revoked(now.Add(time.Hour))}, pades.Valid, "", "good"},
		"revoked before the proven time": {bt, states{"Ana": revoked(now.Add(-time.Hour))}, pades.Invalid, pades.SubRevoked, "revoked"},
		"authority revoked":              {bb, states{"Emisora de prueba": revoked(now.Add(-time.Hour))}, pades.Indeterminate, pades.SubRevokedCANoPOE, "revoked"},
	} {
		o := trust(t, at)
		o.Revocation = c.states
		s := verifyWith(t, c.file, o)
		if s.Verdict != c.verdict || s.SubIndication != c.sub || s.Revocation != c.state {
			t.Errorf("%s: %s %s %s (%s), want %s %s %s", name, s.Verdict, s.SubIndication, s.Revocation, s.Detail, c.verdict, c.sub, c.state)
		}
	}
}

func TestCertificateOfAnotherPurposeIsNotAccepted(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	who := ca.signer(t, "servidor", nil, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} })
	good := sign(t, costest.Sample(costest.Options{}), ca.signer(t, "Ana", nil), pades.Options{Reserve: pades.Reserve{Exact: 4000}})
	s := verifyWith(t, craft(t, good, who, nil), trust(t, now))
	if s.Verdict != pades.Indeterminate || s.SubIndication != pades.SubChainConstr {
		t.Errorf("got %s %s", s.Verdict, s.SubIndication)
	}
}

func TestVerifyNeedsATime(t *testing.T) {
	t.Parallel()
	b := costest.Sample(costest.Options{})
	if _, err := pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), pades.VerifyOptions{}); !errors.Is(err, pades.ErrOptions) {
		t.Errorf("got %v", err)
	}
	r, err := pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), trust(t, now))
	if err != nil || len(r.Signatures) != 0 || r.Revisions != 1 {
		t.Errorf("unsigned file: %+v, %v", r, err)
	}
}
