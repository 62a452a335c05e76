package pades_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/tsp"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

func prepare(t *testing.T, base []byte, o pades.Options) *pades.Session {
	t.Helper()
	o.SigningTime = now
	s, err := pades.Prepare(context.Background(), bytes.NewReader(base), int64(len(base)), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// value signs what a session asks for.
func value(t *testing.T, s *pades.Session, who signer) pades.Signature {
	t.Helper()
	tbs, err := s.SignedAttributes(who.chain, pades.AttributeOptions{Commitment: cms.OIDProofOfApproval})
	if err != nil {
		t.Fatal(err)
	}
	v, err := who.key.Sign(rand.Reader, tbs.Input, tbs.Opts)
	if err != nil {
		t.Fatal(err)
	}
	return pades.Signature{Value: v, Attributes: tbs.Attributes, Chain: who.chain}
}

// A session survives a restart between each of the steps: the certificate is
// made only after it was stored.
func TestSessionIsStoredBetweenTheSteps(t *testing.T) {
	t.Parallel()
	base := costest.Sample(costest.Options{Shape: costest.Stream, Form: true})
	s := prepare(t, base, pades.Options{Level: pades.LevelBT})
	stored, err := s.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	if len(stored) > 20_000 {
		t.Errorf("session of %d bytes", len(stored))
	}
	if s.BaseSHA256() != sha256.Sum256(base) {
		t.Error("digest of the file is wrong")
	}
	var again pades.Session
	if err := again.UnmarshalBinary(stored); err != nil {
		t.Fatal(err)
	}
	who := authority(t).signer(t, "Ana", nil)
	sig := value(t, &again, who)
	var third pades.Session
	if err := third.UnmarshalBinary(stored); err != nil {
		t.Fatal(err)
	}
	h, d := pades.TimestampInput(sig.Value)
	if sig.Token, err = authority(t).stamper(now).Timestamp(context.Background(), h, d); err != nil {
		t.Fatal(err)
	}
	signed, err := third.Embed(context.Background(), sig)
	if err != nil {
		t.Fatal(err)
	}
	if signed.Requested != pades.LevelBT || signed.Achieved != pades.LevelBT || signed.Size() != int64(len(base)+len(signed.Tail())) {
		t.Errorf("%v of %v, %d bytes", signed.Achieved, signed.Requested, signed.Size())
	}
	out := signedBytes(base, signed.Tail())
	checkWithTools(t, "stored", out, 1)
	hash, digest := s.Digest()
	r := s.ByteRange()
	sum := sha256.Sum256(append(bytes.Clone(out[:r[1]]), out[r[2]:]...))
	if hash != crypto.SHA256 || !bytes.Equal(digest, sum[:]) {
		t.Error("digest of the byte range is wrong")
	}
}

func TestDamagedSessionsAreRefused(t *testing.T) {
	t.Parallel()
	stored, err := prepare(t, costest.Sample(costest.Options{}), pades.Options{}).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing":       nil,
		"other version": bytes.Replace(stored, []byte("session-1"), []byte("session-2"), 1),
		"cut":           stored[:len(stored)-1],
		"longer":        append(bytes.Clone(stored), 'x'),
		"moved hole":    bytes.Replace(stored, []byte(`"byte_range":[0,`), []byte(`"byte_range":[1,`), 1),
		"other hash":    bytes.Replace(stored, []byte(`"SHA-256"`), []byte(`"SHA-1"`), 1),
	} {
		var s pades.Session
		if err := s.UnmarshalBinary(b); !errors.Is(err, pades.ErrSession) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestNothingIsWrittenThatDoesNotVerify(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	base := costest.Sample(costest.Options{})
	s := prepare(t, base, pades.Options{})
	ana, beto := ca.signer(t, "Ana", nil), ca.signer(t, "Beto", nil)
	good := value(t, s, ana)
	other := value(t, prepare(t, costest.Sample(costest.Options{Text: "Otro"}), pades.Options{}), ana)
	for name, sig := range map[string]pades.Signature{
		"key of another person":        {Value: value(t, s, beto).Value, Attributes: good.Attributes, Chain: ana.chain},
		"certificate of another":       {Value: good.Value, Attributes: good.Attributes, Chain: beto.chain},
		"one bit":                      {Value: flip(good.Value), Attributes: good.Attributes, Chain: ana.chain},
		"empty value":                  {Attributes: good.Attributes, Chain: ana.chain},
		"attributes of another file":   other,
		"no attributes":                {Value: good.Value, Chain: ana.chain},
		"no certificate":               {Value: good.Value, Attributes: good.Attributes},
		"certificate of the authority": {Value: good.Value, Attributes: good.Attributes, Chain: []*x509.Certificate{ca.inter}},
	} {
		if out, err := s.Embed(context.Background(), sig); err == nil || out != nil {
			t.Errorf("%s: was written", name)
		}
	}
	if _, err := s.Embed(context.Background(), good); err != nil {
		t.Errorf("the right one: %v", err)
	}
}

func flip(b []byte) []byte {
	out := bytes.Clone(b)
	out[len(out)-1] ^= 1
	return out
}

func TestLevelIsNeverLoweredInSilence(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	s := prepare(t, costest.Sample(costest.Options{}), pades.Options{Level: pades.LevelBT})
	sig := value(t, s, ca.signer(t, "Ana", nil))
	if _, err := s.Embed(context.Background(), sig); !errors.Is(err, pades.ErrNoTimestamp) {
		t.Errorf("no token: got %v", err)
	}
	sig.AllowLower = true
	out, err := s.Embed(context.Background(), sig)
	if err != nil || out.Requested != pades.LevelBT || out.Achieved != pades.LevelBB {
		t.Errorf("lower allowed: %+v, %v", out, err)
	}
}

func TestTokenMustBeOverThisSignature(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	s := prepare(t, costest.Sample(costest.Options{}), pades.Options{Level: pades.LevelBT})
	sig := value(t, s, ca.signer(t, "Ana", nil))
	h, right := pades.TimestampInput(sig.Value)
	token := func(digest []byte, change func(*stamper)) []byte {
		st := ca.stamper(now)
		change(st)
		b, err := st.Timestamp(context.Background(), h, digest)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	_, wrong := pades.TimestampInput(flip(sig.Value))
	good := token(right, func(*stamper) {})
	for name, b := range map[string][]byte{
		"over something else": token(wrong, func(*stamper) {}),
		"a bare time":         []byte("20261124140000Z"),
		"broken signature":    flip(good),
		"other time":          token(right, func(s *stamper) { s.alter = func(i *tsp.TSTInfo) { i.Imprint.Digest = wrong } }),
	} {
		sig.Token = b
		if _, err := s.Embed(context.Background(), sig); !errors.Is(err, pades.ErrTimestamp) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	sig.Token = good
	if _, err := s.Embed(context.Background(), sig); err != nil {
		t.Errorf("the right one: %v", err)
	}
}

func TestReserveTooSmallSaysWhatIsNeeded(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	who := ca.signer(t, "Ana", nil, func(c *x509.Certificate) {
		c.Subject.Organization = []string{string(bytes.Repeat([]byte("x"), 60)), string(bytes.Repeat([]byte("y"), 60))}
	})
	base := costest.Sample(costest.Options{})
	s := prepare(t, base, pades.Options{Reserve: pades.Reserve{Exact: 1024}})
	_, err := s.SignedAttributes(who.chain, pades.AttributeOptions{Commitment: cms.OIDProofOfApproval})
	var need *pades.ReserveError
	if !errors.Is(err, pades.ErrReserve) || !errors.As(err, &need) || need.Have != 1024 {
		t.Fatalf("got %v", err)
	}
	s = prepare(t, base, pades.Options{Reserve: pades.Reserve{Exact: need.Need}})
	sig := value(t, s, who)
	if _, err = s.Embed(context.Background(), sig); err != nil {
		t.Errorf("with what was asked for: %v", err)
	}
	// A token that was not counted on.
	h, d := pades.TimestampInput(sig.Value)
	if sig.Token, err = ca.stamper(now).Timestamp(context.Background(), h, d); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Embed(context.Background(), sig); !errors.Is(err, pades.ErrReserve) {
		t.Errorf("token: got %v", err)
	}
}

func TestCertificateMustBeForSigningAndOfTheTime(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	s := prepare(t, costest.Sample(costest.Options{}), pades.Options{})
	for name, change := range map[string]func(*x509.Certificate){
		"expired":     func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) },
		"not yet":     func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) },
		"server":      func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
		"encipher":    func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment },
		"time-stamps": func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping} },
		"authority":   func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true },
	} {
		who := ca.signer(t, "Ana", nil, change)
		if _, err := s.SignedAttributes(who.chain, pades.AttributeOptions{}); !errors.Is(err, pades.ErrCertificate) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	p384 := ca.signer(t, "Ana", otherKeys(t)["P-384"])
	if _, err := s.SignedAttributes(p384.chain, pades.AttributeOptions{}); !errors.Is(err, pades.ErrCertificate) {
		t.Errorf("key with another digest: got %v", err)
	}
}

func TestWriteToNoticesAnotherFile(t *testing.T) {
	t.Parallel()
	base := costest.Sample(costest.Options{})
	s := prepare(t, base, pades.Options{})
	signed, err := s.Embed(context.Background(), value(t, s, authority(t).signer(t, "Ana", nil)))
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(base, []byte("Hola"), []byte("Hoja"), 1)
	var out bytes.Buffer
	if _, err := signed.WriteTo(context.Background(), &out, bytes.NewReader(changed)); !errors.Is(err, pades.ErrBase) || out.Len() > len(base) {
		t.Errorf("got %v after %d bytes", err, out.Len())
	}
	if _, err := signed.WriteTo(context.Background(), &out, bytes.NewReader(base[:100])); !errors.Is(err, pades.ErrBase) {
		t.Errorf("short: got %v", err)
	}
}

func TestPreflight(t *testing.T) {
	t.Parallel()
	o := costest.Options{Shape: costest.Stream, Form: true, CatalogExtra: "/OpenAction<</S/JavaScript/JS(app.alert\\(1\\))>>/Dangling 99 0 R/Names<</EmbeddedFiles<</Names[(a)<</EF<<>>>>]>>>>"}
	base := costest.Sample(o)
	rep, err := pades.Preflight(context.Background(), bytes.NewReader(base), int64(len(base)), pades.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if rep.SHA256 != fmt.Sprintf("%x", sha256.Sum256(base)) || rep.Pages != 2 || rep.Kind != "stream" || rep.Revisions != 1 || len(rep.Fields) != 1 {
		t.Errorf("report %+v", rep)
	}
	got := map[string]int{}
	for _, f := range rep.Findings {
		got[f.Code] = f.Count
	}
	for code, want := range map[string]int{pades.FindJavaScript: 1, pades.FindEmbedded: 1, pades.FindDangling: 1, pades.FindFont: 1} {
		if got[code] != want {
			t.Errorf("%s: %d, want %d", code, got[code], want)
		}
	}
	// With the report, signing makes no second pass and still keeps clear of object 99.
	with := prepare(t, base, pades.Options{Preflight: rep})
	without := prepare(t, base, pades.Options{})
	_, d1 := with.Digest()
	_, d2 := without.Digest()
	if !bytes.Equal(d1, d2) {
		t.Error("the report changes what is signed")
	}
	if len(rep.Dangling) != 1 || rep.Dangling[0] != 99 {
		t.Errorf("dangling %v", rep.Dangling)
	}
	signed := sign(t, base, authority(t).signer(t, "Ana", nil), pades.Options{Certify: pades.NoChanges})
	_, err = pades.Preflight(context.Background(), bytes.NewReader(signed), int64(len(signed)), pades.Limits{})
	wantRefusal(t, "certified", err, pades.CodeCertified)
}

func TestPreflightTellsOfFieldsOverOthers(t *testing.T) {
	t.Parallel()
	field := func(num int, rect, extra string) costest.Obj {
		return costest.Obj{Num: num, Body: fmt.Sprintf("<</FT/Tx/T(f%d)/Subtype/Widget/P 3 0 R/Rect[%s]%s>>", num, rect, extra)}
	}
	for name, c := range map[string]struct {
		objs              []costest.Obj
		overlap, covering int
	}{
		"apart":               {[]costest.Obj{field(40, "0 0 100 20", ""), field(41, "200 0 300 20", "")}, 0, 0},
		"side by side":        {[]costest.Obj{field(40, "0 0 100 20", ""), field(41, "99 0 200 20", "")}, 0, 0},
		"one in another":      {[]costest.Obj{field(40, "0 0 300 100", ""), field(41, "10 10 60 30", "")}, 1, 0},
		"corners exchanged":   {[]costest.Obj{field(40, "300 100 0 0", ""), field(41, "60 30 10 10", "")}, 1, 0},
		"the other is hidden": {[]costest.Obj{field(40, "0 0 300 100", ""), field(41, "10 10 60 30", "/F 2")}, 0, 0},
		"over the page":       {[]costest.Obj{field(40, "0 0 595 842", "")}, 0, 1},
		"over page and field": {[]costest.Obj{field(40, "0 0 595 842", ""), field(41, "10 10 60 30", "")}, 1, 1},
		"of no size":          {[]costest.Obj{field(40, "0 0 0 0", ""), field(41, "x", "")}, 0, 0},
	} {
		kids := ""
		for _, o := range c.objs {
			kids += fmt.Sprintf("%d 0 R ", o.Num)
		}
		base := costest.Sample(costest.Options{CatalogExtra: "/AcroForm<</Fields[" + kids + "]>>", Extra: c.objs})
		if name == "of no size" {
			base = bytes.Replace(base, []byte("[x]"), []byte("[0]"), 1)
		}
		rep, err := pades.Preflight(context.Background(), bytes.NewReader(base), int64(len(base)), pades.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int{}
		for _, f := range rep.Findings {
			got[f.Code] = f.Count
		}
		if got[pades.FindOverlap] != c.overlap || got[pades.FindCovering] != c.covering {
			t.Errorf("%s: %d overlap, %d cover the page; want %d, %d", name, got[pades.FindOverlap], got[pades.FindCovering], c.overlap, c.covering)
		}
	}
}
