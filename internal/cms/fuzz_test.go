package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"testing"

	"go.mozilla.org/pkcs7"
)

func seedCMS(f *testing.F) {
	for _, kind := range []string{"p256", "rsa", "ed25519"} {
		der := newForgery(f, kind).bytes(f)
		f.Add(der)
		f.Add(toIndefinite(f, der, 4))
		f.Add(toIndefinite(f, der, MaxDepth))
	}
	tok := signDetached(f, who(f, "p256"), Params{Content: []byte("x"), ContentType: OIDTSTInfo}, AssembleOptions{})
	f.Add(tok)
	stamped, err := AddSignatureTimestamp(newForgery(f, "p256").bytes(f), tok)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stamped)
	for _, tt := range malformedCases {
		if tt.key == "" && len(tt.name) < 40 {
			g := newForgery(f, "p256")
			tt.make(f, g, g.signers[0])
			f.Add(g.bytes(f))
		}
	}
}

// FuzzParseCMS: no panic; what Parse takes, ParseBER takes with the same result;
// an unsigned attribute can be added to it and changes no signed byte; what
// verifies here, crypto/x509 also takes for signed by that certificate.
func FuzzParseCMS(f *testing.F) {
	seedCMS(f)
	digests := map[crypto.Hash][]byte{}
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		digests[h] = digestOf(h, document)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.Clone(b)
		sd, err := Parse(b)
		ber, berErr := ParseBER(b)
		if !bytes.Equal(in, b) {
			t.Fatal("input changed")
		}
		if err == nil && (berErr != nil || ber.WasBER || !bytes.Equal(ber.Raw, sd.Raw)) {
			t.Fatalf("ParseBER differs: %v", berErr)
		}
		if berErr != nil {
			if sentinelsIn(berErr) != 1 {
				t.Fatalf("%v wraps %d sentinels", berErr, sentinelsIn(berErr))
			}
			return
		}
		for _, p := range []Profile{ProfileCAdES, ProfilePAdES, ProfileTimestamp, ProfileLegacy} {
			cert, err := ber.Verify(VerifyOptions{Digest: digests[ber.Signer.DigestAlgorithm], Profile: p})
			if err == nil {
				confirm(t, ber, cert, digests)
			}
			if err != nil && sentinelsIn(err) != 1 {
				t.Fatalf("%v wraps %d sentinels", err, sentinelsIn(err))
			}
		}
		out, err := AddSignatureTimestamp(ber.Raw, []byte{5, 0})
		if err != nil {
			if ber.WasBER || errors.Is(err, ErrTooMany) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrParams) {
				return // unsorted attributes of BER, or one too many
			}
			t.Fatalf("adding an attribute: %v", err)
		}
		again, err := Parse(out)
		if err != nil {
			t.Fatalf("after adding an attribute: %v", err)
		}
		if !bytes.Equal(again.Signer.RawSignedAttrs, ber.Signer.RawSignedAttrs) || !bytes.Equal(again.Signer.Signature, ber.Signer.Signature) {
			t.Fatal("adding an attribute changed signed bytes")
		}
	})
}

// confirm checks a positive verdict by other means.
func confirm(t *testing.T, sd *SignedData, cert *x509.Certificate, digests map[crypto.Hash][]byte) {
	t.Helper()
	want := digests[sd.Signer.DigestAlgorithm]
	if sd.Content != nil {
		want = digestOf(sd.Signer.DigestAlgorithm, sd.Content)
	}
	if !bytes.Contains(sd.Signer.RawSignedAttrs, want) {
		t.Fatal("verified, and the digest is not among the signed attributes")
	}
	alg := map[Algorithm]x509.SignatureAlgorithm{
		ECDSAWithSHA256: x509.ECDSAWithSHA256, ECDSAWithSHA384: x509.ECDSAWithSHA384, ECDSAWithSHA512: x509.ECDSAWithSHA512,
		RSAWithSHA256: x509.SHA256WithRSA, RSAWithSHA384: x509.SHA384WithRSA, RSAWithSHA512: x509.SHA512WithRSA,
		RSAPSSWithSHA256: x509.SHA256WithRSAPSS, RSAPSSWithSHA384: x509.SHA384WithRSAPSS, RSAPSSWithSHA512: x509.SHA512WithRSAPSS,
		Ed25519: x509.PureEd25519,
	}[sd.Signer.SignatureAlgorithm]
	err := cert.CheckSignature(alg, sd.Signer.RawSignedAttrs, sd.Signer.Signature)
	if err != nil && sd.Signer.unsorted != nil {
		err = cert.CheckSignature(alg, sd.Signer.unsorted, sd.Signer.Signature)
	}
	if err != nil {
		t.Fatalf("verified, but crypto/x509 says %v", err)
	}
}

// FuzzBER: no panic; the normal form is DER, a fixed point, bounded, and DER
// input comes out unchanged.
func FuzzBER(f *testing.F) {
	seedCMS(f)
	f.Add([]byte{0x24, 0x80, 4, 1, 1, 0x24, 0x80, 4, 1, 2, 0, 0, 0, 0})
	f.Add([]byte{0x30, 0x80, 0xbf, 0x81, 0x48, 0x80, 5, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1 << 16
		derErr := DERCheck(b, limit, MaxDepth)
		out, err := NormalizeBER(b, limit, MaxDepth)
		if derErr == nil && (err != nil || !bytes.Equal(out, b)) {
			t.Fatalf("DER changed: %v", err)
		}
		if trimmed, err := TrimZeroPadding(b); err == nil && len(trimmed) > len(b) {
			t.Fatal("trimmed is longer")
		}
		if derErr == nil {
			// What passes here, an independent DER reader can take apart.
			var v asn1.RawValue
			if rest, err := asn1.Unmarshal(b, &v); err == nil && len(rest) != 0 {
				t.Fatalf("another reader leaves %d octets", len(rest))
			}
		}
		if err != nil {
			return
		}
		if len(out) > limit {
			t.Fatalf("output of %d octets", len(out))
		}
		if err := DERCheck(out, limit, MaxDepth); err != nil {
			t.Fatalf("normal form is not DER: %v", err)
		}
		again, err := NormalizeBER(out, limit, MaxDepth)
		if err != nil || !bytes.Equal(again, out) {
			t.Fatalf("not a fixed point: %v", err)
		}
	})
}

// TestForeignParserTakesTheSeeds is the control of FuzzParseCMS: the forgeries
// that verify are real CMS to another reader, too.
func TestForeignParserTakesTheSeeds(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"p256", "p384", "rsa"} {
		p, err := pkcs7.Parse(newForgery(t, kind).bytes(t))
		if err != nil {
			t.Fatal(err)
		}
		p.Content = document
		if err := p.Verify(); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// FuzzParseSigners: no panic; one signer is read as Parse reads it; what is
// added to and joined reads again, with every signer as it was.
func FuzzParseSigners(f *testing.F) {
	seedCMS(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := ParseSigners(b, false)
		one, oneErr := Parse(b)
		if (oneErr == nil) != (err == nil && len(all) == 1) || oneErr == nil && !bytes.Equal(one.Signer.Signature, all[0].Signer.Signature) {
			t.Fatalf("Parse: %v; ParseSigners: %d signers, %v", oneErr, len(all), err)
		}
		if err != nil {
			return
		}
		for _, edit := range []func() ([]byte, error){
			func() ([]byte, error) { return AddEvidence(b, Evidence{CRLs: [][]byte{{0x30, 0x00}}}) },
			func() ([]byte, error) { return JoinSigners(b, b) },
		} {
			out, err := edit()
			if err != nil {
				continue // one too many
			}
			again, err := ParseSigners(out, false)
			if err != nil {
				t.Fatal(err)
			}
			for _, sd := range all {
				if !slices.ContainsFunc(again, func(x *SignedData) bool {
					return bytes.Equal(x.Signer.Signature, sd.Signer.Signature) && bytes.Equal(x.Signer.RawSignedAttrs, sd.Signer.RawSignedAttrs)
				}) {
					t.Fatal("a signer is lost")
				}
			}
		}
	})
}
