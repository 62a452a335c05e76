package pades_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/pades"
)

// signerParts are the elements of a SignerInfo, in DER.
type signerParts struct {
	version, sid, digest []byte
	attrs                [][]byte // signed
	algorithm            []byte
	value                []byte // without its OCTET STRING
	unsigned             []byte
}

// rebuildSigner changes the SignerInfo of a signature.
func rebuildSigner(t testing.TB, der []byte, change func(*signerParts)) []byte {
	t.Helper()
	return rebuild(t, der, func(certs, signers cryptobyte.String) ([]byte, []byte) {
		var in, version, sid, digest, attrs, alg, value cryptobyte.String
		zero := asn1.Tag(0).ContextSpecific().Constructed()
		ok := signers.ReadASN1(&in, asn1.SEQUENCE) && in.ReadASN1Element(&version, asn1.INTEGER) && in.ReadASN1Element(&sid, asn1.SEQUENCE) &&
			in.ReadASN1Element(&digest, asn1.SEQUENCE) && in.ReadASN1(&attrs, zero) && in.ReadASN1Element(&alg, asn1.SEQUENCE) && in.ReadASN1(&value, asn1.OCTET_STRING)
		if !ok {
			t.Fatal("signer is not as expected")
		}
		p := &signerParts{version: version, sid: sid, digest: digest, algorithm: alg, value: value, unsigned: in}
		for !attrs.Empty() {
			var a cryptobyte.String
			if !attrs.ReadASN1Element(&a, asn1.SEQUENCE) {
				t.Fatal("attributes are not as expected")
			}
			p.attrs = append(p.attrs, a)
		}
		change(p)
		var b cryptobyte.Builder
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, x := range [][]byte{p.version, p.sid, p.digest} {
				b.AddBytes(x)
			}
			b.AddASN1(zero, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(p.attrs, nil)) })
			b.AddBytes(p.algorithm)
			b.AddASN1(asn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddBytes(p.value) })
			b.AddBytes(p.unsigned)
		})
		return certs, b.BytesOrPanic()
	})
}

// sign signs the attributes anew, with SHA-256.
func (p *signerParts) sign(t testing.TB, key crypto.Signer) {
	slices.SortFunc(p.attrs, bytes.Compare)
	var b cryptobyte.Builder
	b.AddASN1(asn1.SET, func(b *cryptobyte.Builder) { b.AddBytes(bytes.Join(p.attrs, nil)) })
	sum := sha256.Sum256(b.BytesOrPanic())
	v, err := key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	p.value = v
}

// drop takes out the attributes that hold an object identifier.
func (p *signerParts) drop(oid []byte) {
	p.attrs = slices.DeleteFunc(p.attrs, func(a []byte) bool { return bytes.Contains(a, oid) })
}

// The object identifiers of attributes and algorithms, in DER.
var (
	derESS      = fromHex("060b2a864886f70d010910022f") // signing-certificate-v2
	derDigest   = fromHex("06092a864886f70d010904")     // message-digest
	derSHA256   = fromHex("0609608648016503040201")
	derSHA512   = fromHex("0609608648016503040203")
	derECDSA256 = fromHex("06082a8648ce3d040302")
	derECDSA512 = fromHex("06082a8648ce3d040304")
)

func fromHex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// attrsOf returns the signed attributes that a certificate would bring.
func attrsOf(t testing.TB, c *x509.Certificate, digest []byte) [][]byte {
	p, err := cms.PrepareSignedAttrs(cms.Params{Certificate: c, Digest: digest})
	if err != nil {
		t.Fatal(err)
	}
	set := cryptobyte.String(p.SignedAttrs())
	var in cryptobyte.String
	if !set.ReadASN1(&in, asn1.SET) {
		t.Fatal("not a set")
	}
	var out [][]byte
	for !in.Empty() {
		var a cryptobyte.String
		if !in.ReadASN1Element(&a, asn1.SEQUENCE) {
			t.Fatal("not a sequence")
		}
		out = append(out, a)
	}
	return out
}

// withToken adds a time-stamp token to a signature that has room for it.
func (w *world) withToken(token []byte) []byte {
	der, err := cms.AddSignatureTimestamp(w.der(), token)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.putDER(der)
}

// tokenOver returns a token over a value.
func tokenOver(t testing.TB, st *stamper, value []byte) []byte {
	h, d := pades.TimestampInput(value)
	b, err := st.Timestamp(context.Background(), h, d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (w *world) value() []byte {
	sd, err := cms.Parse(w.der())
	if err != nil {
		w.t.Fatal(err)
	}
	return sd.Signer.Signature
}

// proven says whether a report believes that the first signature was proven to
// exist at some time.
func proven(r *pades.Report) bool {
	s := r.Signatures[0]
	return !s.ProvenTime.IsZero() || s.Level > pades.LevelBB
}

// cmsAttacks change the signature value's surroundings: the time-stamp token,
// the algorithms and the certificates.
func cmsAttacks(t testing.TB) map[string]attack {
	room := pades.Options{Reserve: pades.Reserve{Certificates: 3000, Token: 6000}}
	ca := authority(t)
	m := map[string]attack{}
	forged := func(name string, want []pades.Verdict, change func(*world, *signerParts)) {
		m[name] = attack{want: want, options: room, make: func(w *world) []byte {
			return w.putDER(rebuildSigner(w.t, w.der(), func(p *signerParts) { change(w, p) }))
		}}
	}
	// Algorithms.
	forged("signature algorithm said to be of another digest", invalid, func(_ *world, p *signerParts) {
		p.algorithm = bytes.Replace(p.algorithm, derECDSA256, derECDSA512, 1)
	})
	forged("digest said to be another", invalid, func(_ *world, p *signerParts) {
		p.digest = bytes.Replace(p.digest, derSHA256, derSHA512, 1)
	})
	forged("digest and algorithm said to be others", invalid, func(_ *world, p *signerParts) {
		p.digest = bytes.Replace(p.digest, derSHA256, derSHA512, 1)
		p.algorithm = bytes.Replace(p.algorithm, derECDSA256, derECDSA512, 1)
	})
	forged("digest said to be MD5", untold, func(_ *world, p *signerParts) { p.digest = fromHex("300c06082a864886f70d02050500") })
	forged("digest said to be SHA-1", untold, func(_ *world, p *signerParts) { p.digest = fromHex("300906052b0e03021a0500") })
	forged("ECDSA said to be RSA", invalid, func(_ *world, p *signerParts) { p.algorithm = fromHex("300d06092a864886f70d01010b0500") })
	forged("ECDSA said to be Ed25519", invalid, func(_ *world, p *signerParts) { p.algorithm = fromHex("300506032b6570") })
	forged("algorithm that is not known", untold, func(_ *world, p *signerParts) { p.algorithm = fromHex("300506032b6571") })
	forged("value of 0 and 0", invalid, func(_ *world, p *signerParts) { p.value = fromHex("3006020100020100") })
	forged("value with bytes behind it", invalid, func(_ *world, p *signerParts) { p.value = append(bytes.Clone(p.value), 0) })
	forged("value of nothing", invalid, func(_ *world, p *signerParts) { p.value = nil })
	// Signed attributes.
	forged("attribute of the digest taken out", untold, func(w *world, p *signerParts) { p.drop(derDigest); p.sign(w.t, w.who.key) })
	forged("no attribute of the certificate", untold, func(w *world, p *signerParts) { p.drop(derESS); p.sign(w.t, w.who.key) })
	forged("attribute of another certificate", untold, func(w *world, p *signerParts) {
		other := attrsOf(w.t, ca.signer(w.t, "Ana", w.who.key).chain[0], make([]byte, 32))
		p.drop(derESS)
		for _, a := range other {
			if bytes.Contains(a, derESS) {
				p.attrs = append(p.attrs, a)
			}
		}
		p.sign(w.t, w.who.key)
	})
	forged("attribute of the certificate twice", invalid, func(w *world, p *signerParts) {
		p.attrs = append(p.attrs, p.attrs[slices.IndexFunc(p.attrs, func(a []byte) bool { return bytes.Contains(a, derESS) })])
		p.sign(w.t, w.who.key)
	})
	forged("attribute of another document", invalid, func(w *world, p *signerParts) {
		p.attrs = attrsOf(w.t, w.who.chain[0], make([]byte, 32))
		p.sign(w.t, w.who.key)
	})
	forged("attributes changed", invalid, func(w *world, p *signerParts) {
		p.attrs = attrsOf(w.t, w.who.chain[0], make([]byte, 32))
	})
	// Certificates and keys.
	m["signed by a key of nobody known, under the same name"] = attack{want: untold, options: room, make: func(w *world) []byte {
		return craft(w.t, w.file, newPKI(w.t).signer(w.t, "Ana", nil), nil)
	}}
	m["signed by another key, certificate of the person"] = attack{want: invalid, options: room, make: func(w *world) []byte {
		return w.putDER(rebuildSigner(w.t, w.der(), func(p *signerParts) { p.sign(w.t, ecKey(w.t)) }))
	}}
	m["certificate of a web server"] = attack{want: untold, options: room, make: func(w *world) []byte {
		return craft(w.t, w.file, ca.signer(w.t, "servidor", nil, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), nil)
	}}
	m["certificate issued by a person"] = attack{want: untold, options: room, make: func(w *world) []byte {
		key := ecKey(w.t)
		leaf := ca.issue(w.t, template("Alcalde"), w.who.chain[0], key.Public(), w.who.key)
		return craft(w.t, w.file, signer{key, append([]*x509.Certificate{leaf}, w.who.chain...)}, nil)
	}}
	m["certificate that has expired"] = attack{want: untold, options: room, make: func(w *world) []byte {
		return craft(w.t, w.file, ca.signer(w.t, "Ana", nil, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Hour) }), nil)
	}}
	m["certificate that is not valid yet"] = attack{want: invalid, options: room, make: func(w *world) []byte {
		return craft(w.t, w.file, ca.signer(w.t, "Ana", nil, func(c *x509.Certificate) { c.NotBefore = now.Add(24 * time.Hour) }), nil)
	}}
	tokenAttacks(t, m, room)
	return m
}

// tokenAttacks put in time-stamps that do not prove what they seem to.
func tokenAttacks(t testing.TB, m map[string]attack, room pades.Options) {
	ca := authority(t)
	valid := []pades.Verdict{pades.Valid}
	brief := ca.signer(t, "Ana", nil, func(c *x509.Certificate) { c.NotAfter = now.Add(time.Minute) })
	token := func(name string, want []pades.Verdict, who *signer, make func(*world) []byte) {
		m[name] = attack{want: want, who: who, options: room, believes: proven, make: func(w *world) []byte { return w.withToken(make(w)) }}
	}
	other := func(w *world, st *stamper) []byte { return tokenOver(w.t, st, []byte("otro valor")) }
	token("token of another signature", valid, nil, func(w *world) []byte { return other(w, ca.stamper(now)) })
	token("token of another signature on an expired one", untold, &brief, func(w *world) []byte { return other(w, ca.stamper(now)) })
	token("token made at home", valid, nil, func(w *world) []byte { return tokenOver(w.t, newPKI(w.t).stamper(now), w.value()) })
	token("token made at home on an expired one", untold, &brief, func(w *world) []byte { return tokenOver(w.t, newPKI(w.t).stamper(now), w.value()) })
	token("token of tomorrow", valid, nil, func(w *world) []byte { return tokenOver(w.t, ca.stamper(now.Add(48*time.Hour)), w.value()) })
	token("token over the document instead", valid, nil, func(w *world) []byte {
		sd, err := cms.Parse(w.der())
		if err != nil {
			w.t.Fatal(err)
		}
		b, err := ca.stamper(now).Timestamp(context.Background(), crypto.SHA256, sd.Signer.MessageDigest)
		if err != nil {
			w.t.Fatal(err)
		}
		return b
	})
	token("token signed by a person", valid, nil, func(w *world) []byte {
		st := ca.stamper(now)
		st.cert, st.key = w.who.chain[0], w.who.key
		h, d := pades.TimestampInput(w.value())
		b, err := st.Timestamp(context.Background(), h, d)
		if err != nil {
			return other(w, ca.stamper(now))
		}
		return b
	})
	m["document time-stamp over other bytes"] = attack{want: []pades.Verdict{pades.ModifiedForbidden, pades.Invalid}, make: func(w *world) []byte {
		b := stampDocument(w.t, w.file, w.shape, ca.stamper(now))
		b[bytes.LastIndex(b, []byte("PPKLite"))] = 'X'
		return b
	}}
	m["document time-stamp made at home, on an expired signature"] = attack{want: []pades.Verdict{pades.Indeterminate, pades.Indeterminate}, who: &brief, make: func(w *world) []byte {
		return stampDocument(w.t, w.file, w.shape, newPKI(w.t).stamper(now))
	}}
	m["signature where a document time-stamp belongs"] = attack{want: []pades.Verdict{pades.ModifiedForbidden, pades.Invalid}, make: func(w *world) []byte {
		b := stampDocument(w.t, w.file, w.shape, ca.stamper(now))
		at := bytes.LastIndex(b, []byte("/Contents <")) + len("/Contents <")
		for i := at; b[i] != '>'; i++ {
			b[i] = '0'
		}
		hex.Encode(b[at:], w.der())
		return b
	}}
}
