package pades_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// TestConstraintsDecide: each constraint refuses what does not fulfil it, with
// its own sub-indication, and nothing else.
func TestConstraintsDecide(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	past, future := now.Add(-time.Minute), now.Add(time.Minute)
	form := costest.Sample(costest.Options{Form: true})
	plain := sign(t, form, ca.signer(t, "Ana", nil), pades.Options{})
	stamped := sign(t, form, ca.signer(t, "Ana", nil), pades.Options{Level: pades.LevelBT})
	byRSA := sign(t, form, ca.signer(t, "Ana", long), pades.Options{Level: pades.LevelBT})
	w := &world{t: t, who: ca.signer(t, "Ana", nil), base: form, file: plain}
	filled := w.update(costest.Obj{Num: costest.TextA, Body: w.swap(w.body(costest.TextA), "(uno)", "(dos)")})
	until := func(c *pades.Constraints, name string, at *time.Time) {
		for i := range c.Algorithms.Signatures {
			if c.Algorithms.Signatures[i].Name == name {
				c.Algorithms.Signatures[i].Until = at
			}
		}
	}
	keys := func(k ...pades.AcceptedKey) func(*pades.Constraints) {
		return func(c *pades.Constraints) { c.Algorithms.Keys = k }
	}
	ec := pades.AcceptedKey{Kind: "ecdsa", Bits: 256}
	for name, c := range map[string]struct {
		file    []byte
		change  func(*pades.Constraints)
		verdict pades.Verdict
		sub     string
	}{
		"default":                 {plain, func(*pades.Constraints) {}, pades.Valid, ""},
		"default filled":          {filled, func(*pades.Constraints) {}, pades.ModifiedAllowed, ""},
		"changes indeterminate":   {filled, func(c *pades.Constraints) { c.Changes.Allowed = "indeterminate" }, pades.Indeterminate, pades.SubConstraints},
		"changes rejected":        {filled, func(c *pades.Constraints) { c.Changes.Allowed = "reject" }, pades.ModifiedForbidden, pades.SubConstraints},
		"no stamp":                {plain, func(c *pades.Constraints) { c.Signature.Timestamp = true }, pades.Indeterminate, pades.SubConstraints},
		"stamp":                   {stamped, func(c *pades.Constraints) { c.Signature.Timestamp = true }, pades.Valid, ""},
		"level too low":           {stamped, func(c *pades.Constraints) { c.Signature.Level = "B-LT" }, pades.Indeterminate, pades.SubConstraints},
		"level reached":           {stamped, func(c *pades.Constraints) { c.Signature.Level = "B-T" }, pades.Valid, ""},
		"revocation not known":    {stamped, func(c *pades.Constraints) { c.Revocation.Required = true }, pades.Indeterminate, pades.SubTryLater},
		"algorithm not accepted":  {plain, func(c *pades.Constraints) { c.Algorithms.Signatures = c.Algorithms.Signatures[1:] }, pades.Indeterminate, pades.SubCryptoConstr},
		"sunset before the stamp": {stamped, func(c *pades.Constraints) { until(c, "ecdsa-sha256", &past) }, pades.Indeterminate, pades.SubCryptoNoPOE},
		"sunset, and no stamp":    {plain, func(c *pades.Constraints) { until(c, "ecdsa-sha256", &future) }, pades.Indeterminate, pades.SubCryptoNoPOE},
		"short key":               {byRSA, keys(ec, pades.AcceptedKey{Kind: "rsa", Bits: 3072}), pades.Indeterminate, pades.SubCryptoConstr},
		"short key, once good":    {byRSA, keys(ec, pades.AcceptedKey{Kind: "rsa", Bits: 2048, Until: &past}, pades.AcceptedKey{Kind: "rsa", Bits: 3072}), pades.Indeterminate, pades.SubCryptoNoPOE},
		"key usage":               {plain, func(c *pades.Constraints) { c.Signer.KeyUsages = []string{"digitalSignature"} }, pades.Indeterminate, pades.SubChainConstr},
		"policy":                  {plain, func(c *pades.Constraints) { c.Signer.Policies = []string{"1.2.3"} }, pades.Indeterminate, pades.SubChainConstr},
	} {
		k := pades.DefaultConstraints()
		c.change(k)
		s := verifyUnder(t, c.file, k).Signatures[0]
		if s.Verdict != c.verdict || s.SubIndication != c.sub {
			t.Errorf("%s: %s %s (%s), want %s %s", name, s.Verdict, s.SubIndication, s.Detail, c.verdict, c.sub)
		}
	}
}

// A time-stamp whose algorithm had its sunset while the stamp itself is proven
// by nothing proves nothing.
func TestConstraintsOnTimestamps(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	b := sign(t, costest.Sample(costest.Options{}), ca.signer(t, "Ana", otherKeys(t)["P-384"]), pades.Options{Level: pades.LevelBT, Algorithm: "ecdsa-sha384"})
	k := pades.DefaultConstraints()
	k.Algorithms.Signatures = []pades.AcceptedAlgorithm{{Name: "ecdsa-sha384"}}
	s := verifyUnder(t, b, k).Signatures[0]
	if len(s.Timestamps) != 1 || s.Timestamps[0].Trusted || !s.ProvenTime.IsZero() || s.Verdict != pades.Indeterminate {
		t.Errorf("got %+v", s)
	}
}

// Freshness: what a list told is compared with the time proven, not with today.
func TestConstraintsOnFreshness(t *testing.T) {
	t.Parallel()
	l := newLab(t, now)
	l.AgeLists(5 * time.Hour)
	who := l.Signer(t, "Ana", func(c *x509.Certificate) { c.OCSPServer = nil })
	b := l.extend(l.sign(costest.Sample(costest.Options{}), who, pades.LevelBT), l.options(pades.LevelBLTA))
	for hours, want := range map[int]string{4: pades.SubTryLater, 6: "", 0: ""} {
		k := pades.DefaultConstraints()
		k.Revocation = pades.RevocationRules{Required: true, MaxAgeHours: hours}
		verdict := pades.ValidExtended
		if want != "" {
			verdict = pades.Indeterminate
		}
		r := l.verifyUnder(b, now.AddDate(1, 0, 0), k)
		l.want(fmt.Sprint(hours), r, verdict, want, pades.LevelBLTA)
		m := r.Signatures[0].Material
		if m == nil || len(m.Revocation) == 0 || len(m.Timestamps) != 1 || len(m.Timestamps[0].Token) == 0 || len(m.Digest) != 32 || len(m.Value) == 0 {
			t.Errorf("material %+v", m)
		}
	}
}

func verifyUnder(t testing.TB, b []byte, k *pades.Constraints) *pades.Report {
	t.Helper()
	ca := authority(t)
	r, err := pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), pades.VerifyOptions{
		Roots: ca.roots(), TimestampRoots: ca.tsaRoots(), At: now.Add(time.Hour), Constraints: k, Material: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (l *lab) verifyUnder(b []byte, at time.Time, k *pades.Constraints) *pades.Report {
	l.t.Helper()
	o := l.options(pades.LevelBB)
	r, err := pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), pades.VerifyOptions{
		Roots: o.Roots, TimestampRoots: o.TimestampRoots, At: at, Constraints: k, Material: true,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// TestConstraintsFile: the default is written and read back as it is, and what
// is not exactly such a file is refused.
func TestConstraintsFile(t *testing.T) {
	t.Parallel()
	d := pades.DefaultConstraints()
	at := now.UTC()
	d.Algorithms.Keys[2].Until = &at
	d.Anchors = append(d.Anchors, pades.ConstrainedAnchor{Name: "Raíz", Tier: "C", Uses: []string{"signatures"}, Certificate: authority(t).root.Raw})
	b, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	got, err := pades.ParseConstraints(b)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d, got, cmpopts.IgnoreUnexported(pades.ConstrainedAnchor{})); diff != "" {
		t.Error(diff)
	}
	if n := len(got.AnchorCertificates("signatures")) + 10*len(got.AnchorCertificates("timestamps")); n != 1 {
		t.Errorf("anchors: %d", n)
	}
	for name, swap := range map[string][2]string{
		"unknown member":     {`"name": "default",`, `"name": "default", "more": 1,`},
		"twice":              {`"name": "default",`, `"name": "default", "name": "x",`},
		"letter case":        {`"name": "default"`, `"Name": "default"`},
		"null":               {`"name": "default"`, `"name": null`},
		"missing":            {`"name": "default",`, ``},
		"kind":               {`verification-constraints`, `constraints`},
		"version":            {`"version": 1`, `"version": 2`},
		"version as text":    {`"version": 1`, `"version": "1"`},
		"list for text":      {`"name": "default"`, `"name": ["default"]`},
		"no list":            {`"policies": []`, `"policies": {}`},
		"level":              {`"level": ""`, `"level": "B"`},
		"algorithm":          {`ecdsa-sha256`, `ecdsa-sha1`},
		"key":                {`"ed25519",`, `"ed448",`},
		"usage":              {`"contentCommitment"`, `"keyCertSign"`},
		"policy":             {`"policies": []`, `"policies": ["1.2.x"]`},
		"changes":            {`"accept"`, `"ignore"`},
		"age without demand": {`"max_age_hours": 0`, `"max_age_hours": 5`},
		"negative age":       {`"max_age_hours": 0`, `"max_age_hours": -5`},
		"date":               {at.Format(time.RFC3339), `tomorrow`},
		"tier":               {`"tier": "C"`, `"tier": "B"`},
		"use":                {`"signatures"`, `"tls"`},
		"certificate":        {base64.StdEncoding.EncodeToString(authority(t).root.Raw), `AAAA`},
		"bidi name":          {`"name": "default"`, "\"name\": \"a\u202eb\""},
		"something behind":   {"\n}\n", "\n} {}"},
		"too deep":           {`"policies": []`, `"policies": ` + strings.Repeat("[", 50) + strings.Repeat("]", 50)},
		"too many":           {`"policies": []`, `"policies": [` + strings.Repeat(`"1.2",`, 300) + `"1.2"]`},
		"too long":           {`"name"`, strings.Repeat(" ", pades.MaxConstraints) + `"name"`},
	} {
		bad := strings.Replace(string(b), swap[0], swap[1], 1)
		if bad == string(b) {
			t.Errorf("%s: nothing to swap", name)
		}
		if _, err := pades.ParseConstraints([]byte(bad)); !errors.Is(err, pades.ErrConstraints) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for a := cms.Algorithm(1); a.Valid(); a++ {
		if !strings.Contains(string(b), `"`+a.String()+`"`) {
			t.Errorf("the default lacks %v", a)
		}
	}
}

func FuzzParseConstraints(f *testing.F) {
	b, err := pades.DefaultConstraints().JSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"suti":[[[[`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := pades.ParseConstraints(b)
		if err != nil {
			return
		}
		out, err := c.JSON()
		if err != nil {
			t.Fatal(err)
		}
		again, err := pades.ParseConstraints(out)
		if err != nil {
			t.Fatalf("what was read is not read again: %v\n%s", err, out)
		}
		if diff := cmp.Diff(c, again, cmpopts.IgnoreUnexported(pades.ConstrainedAnchor{}), cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

// The example in the documentation is a file that is read.
func TestConstraintsInTheDocumentation(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/verification-reports.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "```json\n")
	text, _, ok := strings.Cut(text, "```")
	if c, err := pades.ParseConstraints([]byte(text)); !ok || err != nil || c.Signature.Level != "B-LT" {
		t.Errorf("%v\n%s", err, text)
	}
}
