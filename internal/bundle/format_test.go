package bundle_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"crypto/x509"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/bundle"
)

var update = flag.Bool("update", false, "write the test vectors anew")

// TestMembersAreInCanonicalOrder compares the encoding with that of a map,
// whose members encoding/json sorts: RFC 8785 for the ASCII names used here.
func TestMembersAreInCanonicalOrder(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	raw := must(s.bundle(s.signing()).Encode())(t)
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var generic map[string]any
	if err := dec.Decode(&generic); err != nil {
		t.Fatal(err)
	}
	var sorted bytes.Buffer
	enc := json.NewEncoder(&sorted)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(generic); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(raw)+"\n", sorted.String()); d != "" {
		t.Errorf("the encoding is not sorted:\n%.1000s", d)
	}
}

func TestDecodeTakesOneFormOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := s.bundle(s.signing())
	good := string(must(b.Encode())(t))
	back := must(bundle.Decode([]byte(good)))(t)
	if again := must(back.Encode())(t); string(again) != good {
		t.Error("round trip changes the bundle")
	}
	replace := func(old, new string) string {
		out := strings.Replace(good, old, new, 1)
		if out == good {
			t.Fatalf("%q is not in the bundle", old)
		}
		return out
	}
	for name, raw := range map[string]string{
		"empty":              "",
		"null":               "null",
		"array":              "[]",
		"space in front":     " " + good,
		"line break at end":  good + "\n",
		"bytes after":        good + "{}",
		"space inside":       replace(`"class":`, `"class": `),
		"unknown member":     replace(`"class":`, `"clasp":"x","class":`),
		"member twice":       replace(`"class":"llave"`, `"class":"llave","class":"llave"`),
		"member missing":     replace(`"class":"llave",`, ``),
		"name of other case": replace(`"class":`, `"Class":`),
		"null list":          replace(`"pages":[`, `"pages":null,"x":[`),
		"other format":       replace(bundle.Format, "suti/bundle/v2"),
		"escaped letter":     replace(`"llave"`, `"ll\u0061ve"`),
		"number as text":     replace(`"signed_at":`, `"signed_at":0`),
		"not UTF-8":          replace(`"Firma 1"`, "\"Firma \xff\""),
	} {
		if _, err := bundle.Decode([]byte(raw)); !errors.Is(err, bundle.ErrFormat) {
			t.Errorf("%s: got %v, want ErrFormat", name, err)
		}
	}
	if _, err := bundle.Decode(make([]byte, bundle.MaxSize+1)); !errors.Is(err, bundle.ErrSize) {
		t.Errorf("oversized: got %v, want ErrSize", err)
	}
	loose := base64.StdEncoding.EncodeToString(b.Documents[0].Digest)
	bent := loose[:42] + string(loose[42]+1) + "="
	if _, err := bundle.Decode([]byte(strings.ReplaceAll(good, loose, bent))); !errors.Is(err, bundle.ErrFormat) {
		t.Errorf("loose bits in base64: got %v, want ErrFormat", err)
	}
}

func TestEncodeRefusesContradictions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, tc := range map[string]struct {
		change func(*bundle.Bundle)
		want   error
	}{
		"other format":             {func(b *bundle.Bundle) { b.Format = "x" }, bundle.ErrValue},
		"unknown class":            {func(b *bundle.Bundle) { b.Class = "papel" }, bundle.ErrValue},
		"no acts":                  {func(b *bundle.Bundle) { b.Acts = nil }, bundle.ErrValue},
		"too many acts":            {func(b *bundle.Bundle) { b.Acts = make([]bundle.Act, bundle.MaxActs+1) }, bundle.ErrValue},
		"empty act":                {func(b *bundle.Bundle) { b.Acts[0].Act = nil }, bundle.ErrSize},
		"no certificate":           {func(b *bundle.Bundle) { b.Certificates = nil }, bundle.ErrValue},
		"no time":                  {func(b *bundle.Bundle) { b.SignedAt = 0 }, bundle.ErrValue},
		"unknown log state":        {func(b *bundle.Bundle) { b.Log.State = "maybe" }, bundle.ErrValue},
		"proved without proof":     {func(b *bundle.Bundle) { b.Log.Receipt = nil }, bundle.ErrValue},
		"pending with proof":       {func(b *bundle.Bundle) { b.Log.State = bundle.LogPending }, bundle.ErrValue},
		"assertion in part":        {func(b *bundle.Bundle) { b.Assertion.Signature = nil }, bundle.ErrValue},
		"spoilt preimage":          {func(b *bundle.Bundle) { b.Preimage = b.Preimage[1:] }, bundle.ErrValue},
		"document left out":        {func(b *bundle.Bundle) { b.Documents = b.Documents[:1] }, bundle.ErrValue},
		"documents swapped":        {func(b *bundle.Bundle) { b.Documents[0], b.Documents[1] = b.Documents[1], b.Documents[0] }, bundle.ErrValue},
		"another file":             {func(b *bundle.Bundle) { b.Documents[0].SHA256 = b.Documents[1].SHA256 }, bundle.ErrValue},
		"another digest":           {func(b *bundle.Bundle) { b.Documents[0].Digest = b.Documents[1].Digest }, bundle.ErrValue},
		"another field":            {func(b *bundle.Bundle) { b.Documents[0].Name = "x" }, bundle.ErrValue},
		"short signature hash":     {func(b *bundle.Bundle) { b.Documents[0].SignatureSHA256 = []byte{1} }, bundle.ErrValue},
		"unknown level":            {func(b *bundle.Bundle) { b.Documents[0].Achieved = "B-X" }, bundle.ErrValue},
		"B-LT without time-stamp":  {func(b *bundle.Bundle) { b.Documents[0].Timestamp = nil }, bundle.ErrValue},
		"page that is not a hash":  {func(b *bundle.Bundle) { b.Documents[0].Pages = []bundle.Bytes{{1}} }, bundle.ErrSize},
		"huge certificate":         {func(b *bundle.Bundle) { b.Certificates[1] = make([]byte, 20<<10) }, bundle.ErrSize},
		"huge revocation response": {func(b *bundle.Bundle) { b.OCSP = make([]byte, 65<<10) }, bundle.ErrSize},
	} {
		b := s.bundle(s.signing())
		tc.change(b)
		if _, err := b.Encode(); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
	}
}

// vector is a stored bundle with the trust under which it is to be verified
// and the report that is expected.
type vector struct {
	Note     string         `json:"note"`
	Genesis  string         `json:"genesis"`
	Now      time.Time      `json:"now"`
	Roots    string         `json:"roots"`  // PEM, for signers and time-stamps
	Bundle   string         `json:"bundle"` // the canonical bytes, as text
	Expected *bundle.Report `json:"expected"`
}

func TestStoredVectors(t *testing.T) {
	t.Parallel()
	path := filepath.Join("testdata", "llave.json")
	if *update {
		writeVector(t, path)
	}
	raw := must(os.ReadFile(path))(t)
	var v vector
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(v.Roots))
	pool := x509.NewCertPool()
	pool.AddCert(must(x509.ParseCertificate(block.Bytes))(t))
	genesis := must(hexHash(v.Genesis))(t)
	r, err := bundle.Verify([]byte(v.Bundle), bundle.Trust{Genesis: genesis, Now: v.Now, Roots: pool, TSARoots: pool})
	if err != nil {
		t.Fatalf("the stored bundle is no longer accepted: %v", err)
	}
	got, want := must(json.Marshal(r))(t), must(json.Marshal(v.Expected))(t)
	if d := cmp.Diff(string(got), string(want)); d != "" {
		t.Errorf("report (-got +want):\n%s", d)
	}
	if r.Verdict != bundle.Valid {
		t.Errorf("got %s: %v", r.Verdict, r.Err())
	}
}

func hexHash(s string) (act.Hash, error) {
	var h act.Hash
	b := make([]byte, 32)
	for i := range b {
		for _, c := range []byte(s[2*i : 2*i+2]) {
			b[i] = b[i]<<4 | byte(strings.IndexByte("0123456789abcdef", c))
		}
	}
	copy(h[:], b)
	return h, nil
}

func writeVector(t *testing.T, path string) {
	t.Helper()
	s := newSite(t)
	raw := must(s.bundle(s.signing()).Encode())(t)
	r := must(bundle.Verify(raw, s.trust))(t)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(vector{
		Note:    "An evidence bundle of class llave with everything in it, docs/evidence-bundle.md.",
		Genesis: s.trust.Genesis.String(), Now: s.trust.Now,
		Roots:  string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.root.Raw})),
		Bundle: string(raw), Expected: r,
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func FuzzVerify(f *testing.F) {
	s := newSite(f)
	b := s.bundle(s.signing())
	good := must(b.Encode())(f)
	f.Add(good)
	b.Log = bundle.Log{State: bundle.LogPending}
	b.OCSP = nil
	f.Add(must(b.Encode())(f))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := bundle.Verify(raw, s.trust)
		if err != nil {
			if !errors.Is(err, bundle.ErrFormat) && !errors.Is(err, bundle.ErrValue) && !errors.Is(err, bundle.ErrSize) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		if r.Verdict == bundle.Valid && !bytes.Equal(raw, good) {
			// Levels and the presence of acts' receipts may change; what was approved may not.
			back := must(bundle.Decode(raw))(t)
			if !bytes.Equal(back.Preimage, b.Preimage) {
				t.Error("a forged bundle is valid")
			}
		}
	})
}

// FuzzParts spoils one byte of one part of a valid bundle.
func FuzzParts(f *testing.F) {
	s := newSite(f)
	good := must(s.bundle(s.signing()).Encode())(f)
	for part := range byte(12) {
		f.Add(part, uint16(20), byte(1))
	}
	f.Fuzz(func(t *testing.T, part byte, at uint16, x byte) {
		b := must(bundle.Decode(good))(t)
		parts := []*bundle.Bytes{
			&b.Acts[0].Act, &b.Acts[1].Act, &b.Acts[2].Act, &b.Assertion.AuthenticatorData, &b.Assertion.ClientDataJSON,
			&b.Assertion.COSEKey, &b.Assertion.Signature, &b.Preimage, &b.Log.Receipt, &b.Acts[1].Receipt,
			&b.Documents[0].SignatureSHA256, &b.Documents[0].Digest,
		}
		p := parts[int(part)%len(parts)]
		if x == 0 {
			return
		}
		(*p)[int(at)%len(*p)] ^= x
		raw, err := b.Encode()
		if err != nil {
			return
		}
		r, err := bundle.Verify(raw, s.trust)
		if err == nil && r.Verdict == bundle.Valid {
			t.Errorf("part %d, byte %d ^ %#x: still valid", int(part)%len(parts), int(at)%len(*p), x)
		}
	})
}
