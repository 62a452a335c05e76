package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"math/big"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

func digestAlgDER(tb testing.TB, h crypto.Hash) []byte {
	return build(tb, func(b *cryptobyte.Builder) { AddDigestAlgorithm(b, h) })
}

func sigAlgDER(tb testing.TB, a Algorithm) []byte {
	return build(tb, func(b *cryptobyte.Builder) { addSignatureAlgorithm(b, a.scheme()) })
}

// malformedCases are faults and the one cause that must be given for each.
var malformedCases = []struct {
	name string
	key  string
	make func(tb testing.TB, f *forgery, s *forgedSigner)
	want error
	attr asn1.ObjectIdentifier // where want is an attribute's
}{
	{name: "two signers", make: func(tb testing.TB, f *forgery, s *forgedSigner) { f.signers = append(f.signers, s) }, want: ErrSeveralSigners},
	{name: "no signer", make: func(tb testing.TB, f *forgery, s *forgedSigner) { f.signers = nil }, want: ErrNoSigner},
	{name: "enveloped data", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		f.outer = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	}, want: ErrContentInfo},
	{name: "version 2", make: func(tb testing.TB, f *forgery, s *forgedSigner) { f.version = 2 }, want: ErrVersion},
	{name: "signer version 3 with issuer and serial", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.version = 3 }, want: ErrVersion},
	{name: "trailing octets outside", make: func(tb testing.TB, f *forgery, s *forgedSigner) { f.afterEnvelope = []byte{5, 0} }, want: ErrTrailingData},
	{name: "a further field inside", make: func(tb testing.TB, f *forgery, s *forgedSigner) { f.afterSigners = []byte{5, 0} }, want: ErrMalformed},
	{name: "a further field in the signer", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.unsigned = []byte{5, 0} }, want: ErrMalformed},

	{name: "no signed attributes", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.attrs = nil }, want: ErrSignedAttrsMissing},
	{name: "no content-type", make: func(tb testing.TB, f *forgery, s *forgedSigner) { delete(s.attrs, "content-type") }, want: ErrAttributeMissing, attr: OIDContentType},
	{name: "no message-digest", make: func(tb testing.TB, f *forgery, s *forgedSigner) { delete(s.attrs, "message-digest") }, want: ErrAttributeMissing, attr: OIDMessageDigest},
	{name: "no signing-certificate", make: func(tb testing.TB, f *forgery, s *forgedSigner) { delete(s.attrs, "ess") }, want: ErrAttributeMissing, attr: OIDSigningCertificateV2},
	{name: "message-digest twice", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.attrs["again"] = attribute(tb, OIDMessageDigest, octets(tb, make([]byte, 32)))
	}, want: ErrAttributeDuplicate, attr: OIDMessageDigest},
	{name: "signing-certificate twice", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.attrs["again"] = s.attrs["ess"] }, want: ErrAttributeDuplicate, attr: OIDSigningCertificateV2},
	{name: "message-digest of two values", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		d := digestOf(crypto.SHA256, document)
		s.attrs["message-digest"] = attribute(tb, OIDMessageDigest, octets(tb, d), octets(tb, d))
	}, want: ErrAttributeMalformed, attr: OIDMessageDigest},
	{name: "message-digest that is a bit string", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.attrs["message-digest"] = attribute(tb, OIDMessageDigest, append([]byte{3, 33, 0}, make([]byte, 32)...))
	}, want: ErrAttributeMalformed, attr: OIDMessageDigest},
	{name: "message-digest of no value", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.attrs["message-digest"] = attribute(tb, OIDMessageDigest)
	}, want: ErrAttributeMalformed, attr: OIDMessageDigest},
	{name: "message-digest cut", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.attrs["message-digest"] = attribute(tb, OIDMessageDigest, octets(tb, digestOf(crypto.SHA256, document)[:16]))
	}, want: ErrAlgorithmMismatch},
	{name: "attributes out of order", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.order = func(l [][]byte) [][]byte { l = slices.Clone(sortedDER(l)); slices.Reverse(l); return l }
	}, want: ErrAttributeOrder},
	{name: "signed attribute not understood", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.attrs["x"] = attribute(tb, asn1.ObjectIdentifier{1, 2, 3, 4}, []byte{5, 0})
	}, want: ErrAttributeUnknown, attr: asn1.ObjectIdentifier{1, 2, 3, 4}},
	{name: "content-type attribute of another type", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.attrs["content-type"] = attribute(tb, OIDContentType, oidDER(tb, OIDTSTInfo))
	}, want: ErrContentType},
	{name: "65 signed attributes", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		for i := range 65 {
			s.attrs[string(rune('A'+i))] = attribute(tb, asn1.ObjectIdentifier{1, 2, 3, i}, []byte{5, 0})
		}
	}, want: ErrTooMany},

	{name: "certificate of another", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.attrs["ess"] = essOf(tb, who(tb, "p384").cert.Raw)
	}, want: ErrESSMismatch},
	{name: "certificate of another in the first place", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.attrs["ess"] = essOf(tb, s.id.root.Raw, s.id.cert.Raw)
	}, want: ErrESSMismatch},
	{name: "issuerSerial of another", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		sum := digestOf(crypto.SHA256, s.id.cert.Raw)
		name := wrap(tb, cbasn1.Tag(4).ContextSpecific().Constructed(), s.id.cert.RawSubject)
		is := seq(tb, seq(tb, name), build(tb, func(b *cryptobyte.Builder) { b.AddASN1BigInt(s.id.cert.SerialNumber) }))
		s.attrs["ess"] = attribute(tb, OIDSigningCertificateV2, seq(tb, seq(tb, seq(tb, octets(tb, sum), is))))
	}, want: ErrESSMismatch},
	{name: "SHA-1 signing-certificate alone", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		sum := digestOf(crypto.SHA1, s.id.cert.Raw)
		s.attrs["ess"] = attribute(tb, OIDSigningCertificate, seq(tb, seq(tb, seq(tb, octets(tb, sum)))))
	}, want: ErrAttributeMissing, attr: OIDSigningCertificateV2},
	{name: "SHA-1 signing-certificate of another beside the right one", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		sum := digestOf(crypto.SHA1, s.id.root.Raw)
		s.attrs["v1"] = attribute(tb, OIDSigningCertificate, seq(tb, seq(tb, seq(tb, octets(tb, sum)))))
	}, want: ErrESSMismatch},
	{name: "signing-certificate empty", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.attrs["ess"] = attribute(tb, OIDSigningCertificateV2, seq(tb, seq(tb)))
	}, want: ErrAttributeMalformed, attr: OIDSigningCertificateV2},
	{name: "signing-certificate hash cut", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.attrs["ess"] = attribute(tb, OIDSigningCertificateV2, seq(tb, seq(tb, seq(tb, octets(tb, make([]byte, 31))))))
	}, want: ErrAttributeMalformed, attr: OIDSigningCertificateV2},
	{name: "signing-certificate by SHA-1 in version 2", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.attrs["ess"] = attribute(tb, OIDSigningCertificateV2, seq(tb, seq(tb, seq(tb, seq(tb, oidDER(tb, oidSHA1)), octets(tb, make([]byte, 20))))))
	}, want: ErrWeakAlgorithm},

	{name: "no certificates", make: func(tb testing.TB, f *forgery, s *forgedSigner) { f.certs = nil }, want: ErrSignerCertificate},
	{name: "certificates of others", make: func(tb testing.TB, f *forgery, s *forgedSigner) { f.certs = [][]byte{s.id.root.Raw} }, want: ErrSignerCertificate},
	{name: "certificate unreadable", make: func(tb testing.TB, f *forgery, s *forgedSigner) { f.certs = [][]byte{{0x30, 0}} }, want: ErrCertificate},
	{name: "obsolete certificate choice", make: func(tb testing.TB, f *forgery, s *forgedSigner) { f.certs = append(f.certs, []byte{0xa0, 0}) }, want: ErrUnknownElement},
	{name: "65 certificates", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		f.certs = slices.Repeat([][]byte{s.id.cert.Raw}, MaxCertificates+1)
	}, want: ErrTooMany},
	{name: "unknown revocation value", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		f.revocation = [][]byte{wrap(tb, tag1, oidDER(tb, OIDData), []byte{5, 0})}
	}, want: ErrUnknownElement},
	{name: "another serial number", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.sid = issuerSerial(tb, s.id.cert.RawIssuer, big.NewInt(7))
	}, want: ErrSignerCertificate},
	{name: "another key identifier", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.version, s.sid = 3, wrap(tb, cbasn1.Tag(0).ContextSpecific(), []byte{9, 9})
	}, want: ErrSignerCertificate},

	{name: "digest missing from digestAlgorithms", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		f.digestAlgs = [][]byte{digestAlgDER(tb, crypto.SHA512)}
	}, want: ErrAlgorithmMismatch},
	{name: "signature by a longer digest than declared", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.sigAlg = sigAlgDER(tb, ECDSAWithSHA384) }, want: ErrAlgorithmMismatch},
	{name: "RSA declared with an EC key", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.sigAlg = sigAlgDER(tb, RSAWithSHA256) }, want: ErrAlgorithmMismatch},
	{name: "ECDSA declared with an RSA key", key: "rsa", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.sigAlg = sigAlgDER(tb, ECDSAWithSHA256) }, want: ErrAlgorithmMismatch},
	{name: "PSS declared over a PKCS #1 value", key: "rsa", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.sigAlg = sigAlgDER(tb, RSAPSSWithSHA256) }, want: ErrSignature},
	{name: "Ed25519 with SHA-256", key: "ed25519", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.digestAlg = digestAlgDER(tb, crypto.SHA256)
		f.digestAlgs = [][]byte{s.digestAlg}
	}, want: ErrAlgorithmMismatch},
	{name: "SHA-1 digest", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.digestAlg = seq(tb, oidDER(tb, oidSHA1)) }, want: ErrWeakAlgorithm},
	{name: "SHA-1 signature", key: "rsa", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.sigAlg = seq(tb, oidDER(tb, oidSHA1WithRSA), []byte{5, 0})
	}, want: ErrWeakAlgorithm},
	{name: "unknown digest", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.digestAlg = seq(tb, oidDER(tb, OIDData)) }, want: ErrAlgorithm},
	{name: "unknown signature algorithm", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.sigAlg = seq(tb, oidDER(tb, OIDData)) }, want: ErrAlgorithm},
	{name: "ECDSA with parameters", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.sigAlg = seq(tb, oidDER(tb, oidECDSASHA256), []byte{5, 0})
	}, want: ErrAlgorithmParameters},
	{name: "digest with parameters", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.digestAlg = seq(tb, oidDER(tb, oidSHA256), []byte{4, 0})
	}, want: ErrAlgorithmParameters},
	{name: "PSS with default parameters, that is SHA-1", key: "rsa", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.sigAlg = seq(tb, oidDER(tb, oidRSAPSS), seq(tb))
	}, want: ErrAlgorithmParameters},
	{name: "PSS without parameters", key: "rsa", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.sigAlg = seq(tb, oidDER(tb, oidRSAPSS))
	}, want: ErrAlgorithmParameters},
	{name: "PSS without salt", key: "rsa", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.sigAlg = pssAlg(tb, oidSHA256, oidSHA256, 0)
	}, want: ErrAlgorithmParameters},
	{name: "PSS with a mask by SHA-1", key: "rsa", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.sigAlg = pssAlg(tb, oidSHA256, oidSHA1, 32)
	}, want: ErrWeakAlgorithm},
	{name: "PSS with a mask by another digest", key: "rsa", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.sigAlg = pssAlg(tb, oidSHA256, oidSHA512, 32)
	}, want: ErrAlgorithmMismatch},
	{name: "algorithm-protection of another digest", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		sig := sigAlgDER(tb, ECDSAWithSHA256)
		sig[0] = byte(tag1)
		s.attrs["ap"] = attribute(tb, OIDAlgorithmProtection, seq(tb, digestAlgDER(tb, crypto.SHA512), sig))
	}, want: ErrAlgorithmMismatch},
	{name: "algorithm-protection malformed", make: func(tb testing.TB, f *forgery, s *forgedSigner) {
		s.attrs["ap"] = attribute(tb, OIDAlgorithmProtection, seq(tb))
	}, want: ErrAttributeMalformed, attr: OIDAlgorithmProtection},

	{name: "attached content", make: func(tb testing.TB, f *forgery, s *forgedSigner) { f.content = document }, want: ErrContentPresent},
	{name: "signature of 2049 unsigned octets short", key: "rsa", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.sig = make([]byte, 255) }, want: ErrSignatureMalformed},
	{name: "RSA signature of zeros", key: "rsa", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.sig = make([]byte, 256) }, want: ErrSignature},
	{name: "RSA signature of ones", key: "rsa", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.sig = bytes.Repeat([]byte{0xff}, 256) }, want: ErrSignature},
	{name: "Ed25519 signature short", key: "ed25519", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.sig = make([]byte, 63) }, want: ErrSignatureMalformed},
	{name: "Ed25519 signature of zeros", key: "ed25519", make: func(tb testing.TB, f *forgery, s *forgedSigner) { s.sig = make([]byte, 64) }, want: ErrSignature},
}

func pssAlg(tb testing.TB, hash, mask asn1.ObjectIdentifier, salt int64) []byte {
	explicit := func(n uint8, b []byte) []byte { return wrap(tb, cbasn1.Tag(n).ContextSpecific().Constructed(), b) }
	return seq(tb, oidDER(tb, oidRSAPSS), seq(tb, explicit(0, seq(tb, oidDER(tb, hash))),
		explicit(1, seq(tb, oidDER(tb, oidMGF1), seq(tb, oidDER(tb, mask)))), explicit(2, integer(tb, salt))))
}

func TestMalformedCMS(t *testing.T) {
	t.Parallel()
	for _, tt := range malformedCases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key := tt.key
			if key == "" {
				key = "p256"
			}
			f := newForgery(t, key)
			if err := f.check(t, ProfilePAdES); err != nil {
				t.Fatalf("before the fault: %v", err)
			}
			tt.make(t, f, f.signers[0])
			err := f.check(t, ProfilePAdES)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			var ae *AttributeError
			if tt.attr != nil && (!errors.As(err, &ae) || !ae.Type.Equal(tt.attr)) {
				t.Errorf("got %v, want attribute %v named", err, tt.attr)
			}
			if n := sentinelsIn(err); n != 1 {
				t.Errorf("%v wraps %d sentinels, want 1", err, n)
			}
		})
	}
}

// sentinelsIn counts the package's sentinels that err wraps.
func sentinelsIn(err error) int {
	n := 0
	for _, s := range []error{
		ErrTooLarge, ErrTooDeep, ErrTooMany, ErrTruncated, ErrNotDER, ErrNotBER, ErrTrailingData, ErrMalformed,
		ErrContentInfo, ErrVersion, ErrUnknownElement, ErrNoSigner, ErrSeveralSigners, ErrSignedAttrsMissing,
		ErrAttributeOrder, ErrAttributeMissing, ErrAttributeDuplicate, ErrAttributeMalformed, ErrAttributeForbidden,
		ErrAttributeUnknown, ErrAlgorithm, ErrWeakAlgorithm, ErrAlgorithmParameters, ErrAlgorithmMismatch,
		ErrContentType, ErrContentMissing, ErrContentPresent, ErrDigestLength, ErrMessageDigest, ErrCertificate,
		ErrSignerCertificate, ErrSignerAmbiguous, ErrESSMismatch, ErrSignatureMalformed, ErrSignature, ErrParams,
	} {
		if errors.Is(err, s) {
			n++
		}
	}
	return n
}

func TestECDSAValueRange(t *testing.T) {
	t.Parallel()
	f := newForgery(t, "p256")
	s := f.signers[0]
	n := s.id.cert.PublicKey.(*ecdsa.PublicKey).Params().N
	one, zero := big.NewInt(1), new(big.Int)
	value := func(r, v *big.Int) []byte {
		return build(t, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1BigInt(r); b.AddASN1BigInt(v) })
		})
	}
	raw := bytes.Repeat([]byte{1}, 64)
	for name, tt := range map[string]struct {
		sig  []byte
		want error
	}{
		"0, 0":                  {value(zero, zero), ErrSignatureMalformed},
		"0, 1":                  {value(zero, one), ErrSignatureMalformed},
		"1, 0":                  {value(one, zero), ErrSignatureMalformed},
		"n, n":                  {value(n, n), ErrSignatureMalformed},
		"n, 1":                  {value(n, one), ErrSignatureMalformed},
		"-1, 1":                 {value(big.NewInt(-1), one), ErrSignatureMalformed},
		"n+1, 1":                {value(new(big.Int).Add(n, one), one), ErrSignatureMalformed},
		"2^4096, 1":             {value(new(big.Int).Lsh(one, 4096), one), ErrSignatureMalformed},
		"1, 1":                  {value(one, one), ErrSignature},
		"n-1, n-1":              {value(new(big.Int).Sub(n, one), new(big.Int).Sub(n, one)), ErrSignature},
		"raw r and s":           {raw, ErrSignatureMalformed},
		"empty":                 {[]byte{}, ErrSignatureMalformed},
		"empty sequence":        {[]byte{0x30, 0}, ErrSignatureMalformed},
		"trailing octet":        {append(value(one, one), 0), ErrSignatureMalformed},
		"third integer":         {[]byte{0x30, 9, 2, 1, 1, 2, 1, 1, 2, 1, 1}, ErrSignatureMalformed},
		"integer not minimal":   {[]byte{0x30, 7, 2, 2, 0, 1, 2, 1, 1}, ErrSignatureMalformed},
		"length not minimal":    {[]byte{0x30, 0x81, 6, 2, 1, 1, 2, 1, 1}, ErrSignatureMalformed},
		"indefinite length":     {[]byte{0x30, 0x80, 2, 1, 1, 2, 1, 1, 0, 0}, ErrSignatureMalformed},
		"length beyond the end": {[]byte{0x30, 7, 2, 1, 1, 2, 1, 1}, ErrSignatureMalformed},
	} {
		s.sig = tt.sig
		if err := f.check(t, ProfilePAdES); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", name, err, tt.want)
		}
	}
}

func TestEd25519MalleableValueIsRefused(t *testing.T) {
	t.Parallel()
	f := newForgery(t, "ed25519")
	sd, err := Parse(f.bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	sig := bytes.Clone(sd.Signer.Signature)
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	le := slices.Clone(sig[32:])
	slices.Reverse(le)
	s := new(big.Int).SetBytes(le)
	out := s.Add(s, order).FillBytes(make([]byte, 32))
	slices.Reverse(out)
	copy(sig[32:], out)
	f.signers[0].sig = sig
	if err := f.check(t, ProfileCAdES); !errors.Is(err, ErrSignature) {
		t.Errorf("S plus the group order: %v, want ErrSignature", err)
	}
	if !ed25519.Verify(f.signers[0].id.cert.PublicKey.(ed25519.PublicKey), sd.Signer.RawSignedAttrs, sd.Signer.Signature) {
		t.Error("the value it was made from does not verify")
	}
}

func TestAcceptedVariants(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		key     string
		profile Profile
		make    func(f *forgery, s *forgedSigner)
	}{
		"rsaEncryption names the key only": {"rsa", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			s.sigAlg = seq(t, oidDER(t, oidRSA), []byte{5, 0})
		}},
		"digest with NULL": {"p256", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			s.digestAlg = seq(t, oidDER(t, oidSHA256), []byte{5, 0})
		}},
		"key identifier": {"p256", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			s.version, s.sid = 3, wrap(t, cbasn1.Tag(0).ContextSpecific(), s.id.cert.SubjectKeyId)
		}},
		"default hash spelt out": {"p256", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			sum := digestOf(crypto.SHA256, s.id.cert.Raw)
			s.attrs["ess"] = attribute(t, OIDSigningCertificateV2, seq(t, seq(t, seq(t, digestAlgDER(t, crypto.SHA256), octets(t, sum)))))
		}},
		"certificate by SHA-512": {"p256", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			sum := digestOf(crypto.SHA512, s.id.cert.Raw)
			s.attrs["ess"] = attribute(t, OIDSigningCertificateV2, seq(t, seq(t, seq(t, digestAlgDER(t, crypto.SHA512), octets(t, sum)))))
		}},
		"the issuer named after the signer": {"p256", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			s.attrs["ess"] = essOf(t, s.id.cert.Raw, s.id.root.Raw)
		}},
		"both generations of the attribute": {"p256", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			sum := digestOf(crypto.SHA1, s.id.cert.Raw)
			s.attrs["v1"] = attribute(t, OIDSigningCertificate, seq(t, seq(t, seq(t, octets(t, sum)))))
		}},
		"algorithm-protection that holds": {"p256", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			sig := sigAlgDER(t, ECDSAWithSHA256)
			sig[0] = byte(tag1)
			s.attrs["ap"] = attribute(t, OIDAlgorithmProtection, seq(t, s.digestAlg, sig))
		}},
		"CRLs and OCSP responses": {"p256", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			f.version = 5
			f.revocation = [][]byte{seq(t), wrap(t, tag1, oidDER(t, oidOCSPResponse), seq(t)), wrap(t, tag1, oidDER(t, oidOCSPBasic), seq(t))}
		}},
		"an unreadable certificate of somebody else": {"p256", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			f.certs = append(f.certs, []byte{0x30, 0})
		}},
		"attribute certificates beside the others": {"p256", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			f.certs = append(f.certs, []byte{0xa1, 0}, []byte{0xa2, 0})
		}},
		"unsigned attributes, but none": {"p256", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			s.unsigned = []byte{0xa1, 0}
		}},
		"two commitments": {"p256", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			s.attrs["ct"] = attribute(t, OIDCommitmentType, seq(t, oidDER(t, OIDProofOfApproval)), seq(t, oidDER(t, OIDProofOfOrigin)))
		}},
		"the same certificate twice": {"p256", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			f.certs = append(f.certs, f.certs[0])
		}},
		"a declared digest that is weak and not used": {"p256", ProfilePAdES, func(f *forgery, s *forgedSigner) {
			f.digestAlgs = append(f.digestAlgs, seq(t, oidDER(t, oidSHA1)))
		}},
		"unknown signed attribute, legacy": {"p256", ProfileLegacy, func(f *forgery, s *forgedSigner) {
			delete(s.attrs, "ess")
			s.attrs["x"] = attribute(t, asn1.ObjectIdentifier{1, 2, 3, 4}, []byte{5, 0})
		}},
	} {
		f := newForgery(t, tt.key)
		tt.make(f, f.signers[0])
		if err := f.check(t, tt.profile); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAttributesOutOfOrder: some signers write the attributes in their own
// order; some even sign them so. Both are read from foreign signers only.
func TestAttributesOutOfOrder(t *testing.T) {
	t.Parallel()
	digest := digestOf(crypto.SHA256, document)
	reversed := func(l [][]byte) [][]byte { l = slices.Clone(sortedDER(l)); slices.Reverse(l); return l }
	f := newForgery(t, "p256")
	s := f.signers[0]
	sd, err := Parse(f.bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	s.order, s.sig = reversed, sd.Signer.Signature
	if _, err := Parse(f.bytes(t)); !errors.Is(err, ErrAttributeOrder) {
		t.Errorf("strict reader: %v, want ErrAttributeOrder", err)
	}
	if sd, err = ParseBER(f.bytes(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := sd.Verify(VerifyOptions{Digest: digest, Profile: ProfilePAdES}); err != nil || !sd.WasBER {
		t.Errorf("signed in order: %v", err)
	}
	if _, err := AddSignatureTimestamp(f.bytes(t), []byte{5, 0}); !errors.Is(err, ErrAttributeOrder) {
		t.Errorf("extending it: %v, want ErrAttributeOrder", err)
	}
	s.sig = nil
	if sd, err = ParseBER(f.bytes(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := sd.Verify(VerifyOptions{Digest: digest, Profile: ProfilePAdES}); err != nil {
		t.Errorf("signed out of order: %v", err)
	}
	s.sig = value(t, 1, 1)
	if sd, err = ParseBER(f.bytes(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := sd.Verify(VerifyOptions{Digest: digest, Profile: ProfilePAdES}); !errors.Is(err, ErrSignature) {
		t.Errorf("not signed: %v, want ErrSignature", err)
	}
}

// value is an ECDSA-Sig-Value.
func value(tb testing.TB, r, s int64) []byte {
	tb.Helper()
	return seq(tb, integer(tb, r), integer(tb, s))
}

// TestUnusualRSAExponent: keys exist whose exponent the verifier does not take.
// That is not a wrong signature, and must not be called one.
func TestUnusualRSAExponent(t *testing.T) {
	t.Parallel()
	k := who(t, "rsa").cert.PublicKey.(*rsa.PublicKey)
	for _, e := range []int{0, 1, 2, 65536, 1<<31 + 3} {
		for _, a := range []Algorithm{RSAWithSHA256, RSAPSSWithSHA512} {
			err := a.verify(&rsa.PublicKey{N: k.N, E: e}, document, make([]byte, 256), 64)
			if !errors.Is(err, ErrAlgorithm) {
				t.Errorf("%v, exponent %d: %v, want ErrAlgorithm", a, e, err)
			}
		}
	}
	even := new(big.Int).Add(k.N, big.NewInt(1))
	if err := RSAWithSHA256.verify(&rsa.PublicKey{N: even, E: 65537}, document, make([]byte, 256), 0); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("even modulus: %v, want ErrAlgorithm", err)
	}
}

func TestTimestampProfileTakesTheOlderAttribute(t *testing.T) {
	t.Parallel()
	f := newForgery(t, "p256")
	s := f.signers[0]
	f.version, f.contentType, f.content = 3, OIDTSTInfo, []byte("TSTInfo")
	s.attrs["content-type"] = attribute(t, OIDContentType, oidDER(t, OIDTSTInfo))
	s.attrs["message-digest"] = attribute(t, OIDMessageDigest, octets(t, digestOf(crypto.SHA256, f.content)))
	sum := digestOf(crypto.SHA1, s.id.cert.Raw)
	s.attrs["ess"] = attribute(t, OIDSigningCertificate, seq(t, seq(t, seq(t, octets(t, sum)))))
	sd, err := Parse(f.bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sd.Verify(VerifyOptions{Profile: ProfileTimestamp}); err != nil {
		t.Error(err)
	}
	if _, err := sd.Verify(VerifyOptions{}); !errors.Is(err, ErrAttributeMissing) {
		t.Errorf("strict profile: %v, want ErrAttributeMissing", err)
	}
	sum[0] ^= 1
	s.attrs["ess"] = attribute(t, OIDSigningCertificate, seq(t, seq(t, seq(t, octets(t, sum)))))
	if sd, err = Parse(f.bytes(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := sd.Verify(VerifyOptions{Profile: ProfileTimestamp}); !errors.Is(err, ErrESSMismatch) {
		t.Errorf("other certificate: %v, want ErrESSMismatch", err)
	}
}

// TestTwoCertificatesOfOneSerial has two certificates of the same issuer name
// and serial number inside: only the signed hash may choose between them.
func TestTwoCertificatesOfOneSerial(t *testing.T) {
	t.Parallel()
	a, err := newIdentity("p256", 900)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newIdentity("p256", 900)
	if err != nil {
		t.Fatal(err)
	}
	der := signDetached(t, a, Params{}, AssembleOptions{Certificates: []*x509.Certificate{b.cert}})
	sd, err := Parse(der)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := sd.Verify(VerifyOptions{Digest: digestOf(crypto.SHA256, document)})
	if err != nil || !cert.Equal(a.cert) {
		t.Errorf("the hash did not choose the signer's certificate: %v", err)
	}
	f := newForgery(t, "p256")
	s := f.signers[0]
	s.id, s.sid = a, issuerSerial(t, a.cert.RawIssuer, a.cert.SerialNumber)
	f.certs = [][]byte{b.cert.Raw, a.cert.Raw}
	delete(s.attrs, "ess")
	if err := f.check(t, ProfileLegacy); !errors.Is(err, ErrSignerAmbiguous) {
		t.Errorf("nothing signed chooses: %v, want ErrSignerAmbiguous", err)
	}
}

// TestBombsAreRefusedCheaply feeds shapes that make readers allocate without
// bound or overflow their stack. Not parallel: it measures the heap.
func TestBombsAreRefusedCheaply(t *testing.T) {
	nest := func(open, closing []byte, n int) []byte {
		return append(bytes.Repeat(open, n), bytes.Repeat(closing, n)...)
	}
	definite := []byte{5, 0}
	for range 40 {
		definite = wrap(t, cbasn1.SEQUENCE, definite)
	}
	many := wrap(t, cbasn1.SET, bytes.Repeat([]byte{5, 0}, 250_000))
	f := newForgery(t, "p256")
	whole := f.bytes(t)
	for name, tt := range map[string]struct {
		in   []byte
		want error
	}{
		"5 kB of nested indefinite lengths":           {nest([]byte{0x30, 0x80}, []byte{0, 0}, 1280), ErrTooDeep},
		"5 kB of nested indefinite lengths, open":     {bytes.Repeat([]byte{0x30, 0x80}, 2560), ErrTooDeep},
		"1 MiB of nested indefinite lengths":          {bytes.Repeat([]byte{0x30, 0x80}, MaxSize/2), ErrTooDeep},
		"nested constructed octet strings":            {nest([]byte{0x24, 0x80}, []byte{0, 0}, 1280), ErrTooDeep},
		"40 definite levels":                          {definite, ErrTooDeep},
		"length of 4 GiB":                             {[]byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 5, 0}, ErrTruncated},
		"length of 2^64":                              {append([]byte{0x30, 0x88}, bytes.Repeat([]byte{0xff}, 8)...), ErrTruncated},
		"length of 126 octets":                        {append([]byte{0x30, 0xfe}, bytes.Repeat([]byte{0xff}, 126)...), ErrTruncated},
		"tag number without end":                      {append([]byte{0x3f}, bytes.Repeat([]byte{0xff}, 4000)...), ErrTooLarge},
		"a quarter of a million elements":             {many, ErrMalformed},
		"one octet over the limit":                    {make([]byte, MaxSize+1), ErrTooLarge},
		"five hundred signatures one after the other": {bytes.Repeat(whole, 500), ErrTrailingData},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParseBER(tt.in)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > 4*MaxSize {
			t.Errorf("%s: %d octets allocated", name, got)
		}
	}
}
