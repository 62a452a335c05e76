package pades_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// rebuild rewrites the SET at the end of a SignedData (its signerInfos) or its
// certificates.
func rebuild(t testing.TB, der []byte, change func(certs, signers cryptobyte.String) (newCerts, newSigners []byte)) []byte {
	t.Helper()
	in := cryptobyte.String(der)
	var ci, explicit, sd, version, digests, content, certs, signers cryptobyte.String
	var oid []byte
	ok := in.ReadASN1(&ci, asn1.SEQUENCE) && ci.ReadASN1Element((*cryptobyte.String)(&oid), asn1.OBJECT_IDENTIFIER) &&
		ci.ReadASN1(&explicit, asn1.Tag(0).ContextSpecific().Constructed()) && explicit.ReadASN1(&sd, asn1.SEQUENCE) &&
		sd.ReadASN1Element(&version, asn1.INTEGER) && sd.ReadASN1Element(&digests, asn1.SET) && sd.ReadASN1Element(&content, asn1.SEQUENCE) &&
		sd.ReadASN1(&certs, asn1.Tag(0).ContextSpecific().Constructed()) && sd.ReadASN1(&signers, asn1.SET)
	if !ok {
		t.Fatal("signature is not as expected")
	}
	c, s := change(certs, signers)
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(oid)
		b.AddASN1(asn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) {
			b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddBytes(version)
				b.AddBytes(digests)
				b.AddBytes(content)
				b.AddASN1(asn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(c) })
				b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(s) })
			})
		})
	})
	out, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func doubleSigner(t testing.TB, der []byte) []byte {
	return rebuild(t, der, func(certs, signers cryptobyte.String) ([]byte, []byte) {
		return certs, append(bytes.Clone(signers), signers...)
	})
}

func swapCertificate(t testing.TB, der []byte, old, now *x509.Certificate) []byte {
	return rebuild(t, der, func(certs, signers cryptobyte.String) ([]byte, []byte) {
		return bytes.Replace(certs, old.Raw, now.Raw, 1), signers
	})
}

// resign changes the newest revision of a file and signs it again in place, as
// an attacker with a key of his own can.
func resign(w *world, b []byte, old, now string) []byte {
	at := bytes.LastIndex(b, []byte(old))
	if at < 0 {
		w.t.Fatalf("no %q", old)
	}
	grow := len(now) - len(old)
	out := append(append(bytes.Clone(b[:at]), now...), b[at+len(old):]...)
	// Offsets of the update behind the change move: write it all anew.
	return relocate(w, out, at, grow)
}

// relocate corrects the cross-reference table of the newest revision for bytes
// put in at a place, then the byte range, and signs.
func relocate(w *world, b []byte, at, grow int) []byte {
	move := func(n int) int {
		if n > at {
			return n + grow
		}
		return n
	}
	if w.shape == costest.Stream {
		return relocateStream(w, b, at, grow)
	}
	x := bytes.LastIndex(b, []byte("\nxref\n")) + 1
	var out []byte
	out = append(out, b[:x]...)
	for _, line := range strings.SplitAfter(string(b[x:]), "\n") {
		var off, gen int
		switch {
		case strings.HasSuffix(line, " n \n"):
			_, _ = fmt.Sscanf(line, "%d %d", &off, &gen)
			line = fmt.Sprintf("%010d %05d n \n", move(off), gen)
		case strings.TrimSpace(line) == fmt.Sprint(x-grow):
			line = fmt.Sprintf("%d\n", x)
		}
		out = append(out, line...)
	}
	return craft(w.t, out, w.who, nil)
}

func relocateStream(w *world, b []byte, at, grow int) []byte {
	x := bytes.LastIndex(b, []byte("obj\n<</Type /XRef"))
	for b[x-1] != '\n' {
		x--
	}
	data := bytes.Index(b[x:], []byte("stream\n")) + x + 7
	end := bytes.Index(b[data:], []byte("\nendstream")) + data
	var width int
	_, _ = fmt.Sscanf(string(b[bytes.Index(b[x:], []byte("/W [1 "))+x:]), "/W [1 %d", &width)
	for i := data; i < end; i += width + 3 {
		n := 0
		for k := range width {
			n = n<<8 | int(b[i+1+k])
		}
		if n > at {
			n += grow
		}
		for k := range width {
			b[i+1+k] = byte(n >> (8 * (width - 1 - k)))
		}
	}
	s := bytes.LastIndex(b, []byte("startxref"))
	return craft(w.t, fmt.Appendf(bytes.Clone(b[:s]), "startxref\n%d\n%%%%EOF\n", x), w.who, nil)
}

// craft signs the last signature dictionary of a file over the byte range that
// choose returns, or over the right one, whatever that is worth.
func craft(t testing.TB, b []byte, who signer, choose func(hole, holeEnd, size int) []int) []byte {
	t.Helper()
	out := bytes.Clone(b)
	at := bytes.LastIndex(out, []byte("/Contents <")) + len("/Contents ")
	end := at + bytes.IndexByte(out[at:], '>') + 1
	r := []int{0, at, end, len(out) - end}
	if choose != nil {
		r = choose(at, end, len(out))
	}
	br := bytes.LastIndex(out, []byte("/ByteRange [")) + len("/ByteRange ")
	close := br + bytes.IndexByte(out[br:], ']')
	text := strings.Trim(fmt.Sprint(r), "[]")
	copy(out[br:close], fmt.Sprintf("[%-*s", close-br-1, text))
	h := sha256.New()
	for i := 0; i+1 < len(r); i += 2 {
		if r[i] >= 0 && r[i+1] >= 0 && r[i]+r[i+1] <= len(out) {
			h.Write(out[r[i] : r[i]+r[i+1]])
		}
	}
	p, err := cms.PrepareSignedAttrs(cms.Params{Certificate: who.chain[0], Digest: h.Sum(nil)})
	if err != nil {
		t.Fatal(err)
	}
	v, err := p.Sign(rand.Reader, who.key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := p.Assemble(v, cms.AssembleOptions{Certificates: who.chain})
	if err != nil {
		t.Fatal(err)
	}
	for i := at + 1; i < end-1; i++ {
		out[i] = '0'
	}
	hex.Encode(out[at+1:end-1], der)
	return out
}

// Byte ranges that are signed correctly but do not cover the file as they must.
func TestByteRangesThatAreNotTheWholeFile(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	for _, shape := range costest.Shapes() {
		base := sign(t, costest.Sample(costest.Options{Shape: shape}), who, pades.Options{Reserve: pades.Reserve{Exact: 4000}})
		wantVerdicts(t, "right", verify(t, craft(t, base, who, nil)), pades.Valid)
		for name, choose := range map[string]func(hole, end, size int) []int{
			"end not covered":          func(h, e, n int) []int { return []int{0, h, e, n - e - 20} },
			"first byte not covered":   func(h, e, n int) []int { return []int{1, h - 1, e, n - e} },
			"hole larger, before":      func(h, e, n int) []int { return []int{0, h - 11, e, n - e} },
			"hole larger, behind":      func(h, e, n int) []int { return []int{0, h, e + 30, n - e - 30} },
			"hole smaller, before":     func(h, e, n int) []int { return []int{0, h + 1, e, n - e} },
			"hole smaller, behind":     func(h, e, n int) []int { return []int{0, h, e - 1, n - e + 1} },
			"parts that overlap":       func(h, e, n int) []int { return []int{0, h, h - 100, n - h + 100} },
			"one part":                 func(h, e, n int) []int { return []int{0, h} },
			"three parts":              func(h, e, n int) []int { return []int{0, h, e, 10, e + 10, n - e - 10} },
			"parts in the other order": func(h, e, n int) []int { return []int{e, n - e, 0, h} },
			"beyond the file":          func(h, e, n int) []int { return []int{0, h, e, n} },
			"nothing":                  func(h, e, n int) []int { return []int{0, 0, 0, 0} },
			"negative":                 func(h, e, n int) []int { return []int{0, h, e, -1} },
		} {
			r := verify(t, craft(t, base, who, choose))
			wantVerdicts(t, shape.String()+" "+name, r, pades.Invalid)
			if r.Signatures[0].SubIndication != pades.SubFormat || r.Signatures[0].SignedBytes != 0 {
				t.Errorf("%s: %s, %d bytes", name, r.Signatures[0].SubIndication, r.Signatures[0].SignedBytes)
			}
		}
	}
}

// A document made so that a search for zeros or for a placeholder would put
// the signature into the wrong place.
func TestRunsOfZerosDoNotCatchTheSignature(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	zeros := strings.Repeat("0", 60_000)
	for _, shape := range costest.Shapes() {
		base := costest.Sample(costest.Options{Shape: shape, CatalogExtra: "/Z 40 0 R", Extra: []costest.Obj{
			{Num: 40, Body: "<<>>", Data: []byte("/Contents <" + zeros + "> /ByteRange [" + strings.Repeat(" ", 62) + "]")},
			{Num: 41, Body: "(/ByteRange [" + strings.Repeat(" ", 62) + "]/Contents <" + zeros + ">)"},
		}})
		one := sign(t, base, who, pades.Options{Reserve: pades.Reserve{Exact: 20_000}})
		two := sign(t, one, who, pades.Options{Reserve: pades.Reserve{Exact: 4000}, Reason: "/Contents <00> /ByteRange [ ]"})
		if !bytes.HasPrefix(two, one) || !bytes.HasPrefix(one, base) {
			t.Errorf("%v: something before the signature changed", shape)
		}
		wantVerdicts(t, shape.String(), verify(t, two), pades.ValidExtended, pades.Valid)
		checkWithTools(t, shape.String(), two, 2)
	}
}

func FuzzVerify(f *testing.F) {
	ca := authority(f)
	who := ca.signer(f, "Ana", nil)
	for _, s := range costest.Shapes() {
		b := sign(f, costest.Sample(costest.Options{Shape: s, Form: true}), who, pades.Options{Reserve: pades.Reserve{Exact: 3000}})
		f.Add(b)
		f.Add(sign(f, b, who, pades.Options{Field: "Firma", Reserve: pades.Reserve{Exact: 3000}}))
	}
	o := pades.VerifyOptions{Roots: ca.roots(), TimestampRoots: ca.tsaRoots(), At: now}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		r, err := pades.Verify(context.Background(), bytes.NewReader(b), int64(len(b)), o)
		if err != nil {
			return
		}
		for i, s := range r.Signatures {
			if n, ok := pades.SignedVersion(r, i); ok && n > int64(len(b)) {
				t.Fatalf("signature %d covers %d of %d bytes", i, n, len(b))
			}
			if s.Verdict == "" || s.Indication == "" {
				t.Fatalf("signature %d has no verdict", i)
			}
		}
	})
}
