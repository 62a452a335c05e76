package cms

import (
	"bytes"
	"crypto"
	"testing"
)

// element is one node of a DER tree.
type element struct {
	head     byte
	body     []byte // of primitives
	children []*element
}

func parseTree(tb testing.TB, b []byte) []*element {
	tb.Helper()
	var out []*element
	for len(b) > 0 {
		h, err := readHeader(b)
		if err != nil {
			tb.Fatal(err)
		}
		body := b[h.hdr : h.hdr+h.body]
		e := &element{head: b[0], body: body}
		if h.constructed {
			e.children = parseTree(tb, body)
		}
		out = append(out, e)
		b = b[h.hdr+h.body:]
	}
	return out
}

func (e *element) bytes() []byte {
	body := e.body
	if e.head&constructedBit != 0 {
		body = nil
		for _, c := range e.children {
			body = append(body, c.bytes()...)
		}
	}
	h := header{class: e.head & classMask, number: uint32(e.head & 0x1f)}
	return append(appendHeader(nil, h, e.head&constructedBit != 0, len(body)), body...)
}

// each calls f with every parent and the index of each of its children.
func (e *element) each(f func(parent *element, i int)) {
	for i := 0; i < len(e.children); i++ {
		f(e, i)
		if i < len(e.children) {
			e.children[i].each(f)
		}
	}
}

// mustNotFool parses and verifies a changed signature; where it still verifies,
// what was signed, the value and the certificate must be the original's.
func mustNotFool(t *testing.T, what string, changed []byte, original *SignedData) (verified bool) {
	t.Helper()
	sd, err := ParseBER(changed)
	if err == nil {
		cert, verr := sd.Verify(VerifyOptions{Digest: digestOf(crypto.SHA256, document), Profile: ProfilePAdES})
		if err = verr; err == nil {
			want, _ := original.SignerCertificate()
			if !cert.Equal(want) || !bytes.Equal(sd.Signer.RawSignedAttrs, original.Signer.RawSignedAttrs) ||
				!bytes.Equal(sd.Signer.Signature, original.Signer.Signature) {
				t.Errorf("%s: verifies, and is another signature", what)
			}
			return true
		}
	}
	if n := sentinelsIn(err); n != 1 {
		t.Errorf("%s: %v wraps %d sentinels", what, err, n)
	}
	return false
}

func mutationSubject(t *testing.T) ([]byte, *SignedData) {
	t.Helper()
	id := who(t, "p256")
	der := signDetached(t, id, Params{IssuerSerial: true, Commitment: OIDProofOfApproval}, AssembleOptions{})
	der, err := AddSignatureTimestamp(der, []byte{0x30, 3, 2, 1, 1})
	if err != nil {
		t.Fatal(err)
	}
	sd, err := Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	return der, sd
}

// TestEveryElementChanged drops, doubles and replaces each element of a
// signature in turn, with the lengths around it put right.
func TestEveryElementChanged(t *testing.T) {
	t.Parallel()
	der, original := mutationSubject(t)
	tree := parseTree(t, der)[0]
	if !bytes.Equal(tree.bytes(), der) {
		t.Fatal("the tree does not encode to what it came from")
	}
	verified, total := 0, 0
	tree.each(func(p *element, i int) {
		saved := p.children
		old := saved[i]
		with := func(what string, repl ...*element) {
			p.children = append(append(append([]*element(nil), saved[:i]...), repl...), saved[i+1:]...)
			total++
			if mustNotFool(t, what, tree.bytes(), original) {
				verified++
			}
			p.children = saved
		}
		with("dropped")
		with("doubled", old, old)
		with("NULL", &element{head: tagNull})
		with("empty", &element{head: old.head})
		with("other tag", &element{head: old.head ^ 0x01, body: old.body, children: old.children})
		with("other class", &element{head: old.head ^ 0x80, body: old.body, children: old.children})
		with("preceded by another", &element{head: tagInteger, body: []byte{1}}, old)
		with("nested", &element{head: old.head | constructedBit, children: []*element{old}})
	})
	// What may change: the time-stamp, a doubled certificate or digest
	// algorithm, and strings that are nested, which is how BER splits them.
	if verified == 0 || verified > 33 {
		t.Errorf("%d of %d changes still verify", verified, total)
	}
}

// TestEveryBitFlipped flips each bit, and cuts at each octet.
func TestEveryBitFlipped(t *testing.T) {
	t.Parallel()
	der, original := mutationSubject(t)
	verified := 0
	for i := range der {
		for bit := range 8 {
			b := bytes.Clone(der)
			b[i] ^= 1 << bit
			if mustNotFool(t, "flipped", b, original) {
				verified++
			}
		}
		if mustNotFool(t, "cut", der[:i], original) {
			t.Errorf("cut at %d of %d octets, it verifies", i, len(der))
		}
	}
	if verified > 8*160 {
		t.Errorf("%d bits do not matter: more than the unsigned parts have", verified)
	}
}
