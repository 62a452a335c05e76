package assertion_test

import (
	"bytes"
	"testing"

	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/softauthn"
)

func FuzzParseKey(f *testing.F) {
	for _, alg := range []softauthn.Alg{softauthn.ES256, softauthn.EdDSA} {
		_, e := signed(f, alg, nil)
		f.Add(e.PublicKey)
	}
	f.Add(rsaCOSE(bytes.Repeat([]byte{0xff}, 256), []byte{1, 0, 1}))
	f.Fuzz(func(t *testing.T, raw []byte) {
		k, err := assertion.ParseKey(raw)
		if (err == nil) != (k != nil) {
			t.Fatalf("got %v, %v", k, err)
		}
	})
}

func FuzzParseAuthData(f *testing.F) {
	for _, v := range readW3C(f).Vectors {
		f.Add([]byte(v.Authentication.AuthenticatorData))
		if i := bytes.Index(v.Registration.AttestationObject, []byte("authData")); i > 0 {
			f.Add([]byte(v.Registration.AttestationObject[i+11:]))
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := assertion.ParseAuthData(raw)
		if err != nil {
			return
		}
		if d.Flags.Has(assertion.FlagBS) && !d.Flags.Has(assertion.FlagBE) {
			t.Error("BS without BE")
		}
		if d.Attested != nil {
			if k, err := assertion.ParseKey(d.Attested.COSE); err != nil || k.ID() != d.Attested.Key.ID() {
				t.Errorf("key in authenticator data does not stand alone: %v", err)
			}
		}
	})
}

func FuzzParseAttestationObject(f *testing.F) {
	for _, v := range readW3C(f).Vectors {
		f.Add([]byte(v.Registration.AttestationObject))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if a, err := assertion.ParseAttestationObject(raw); err == nil && a.AuthData.Attested == nil {
			t.Error("no attested data")
		}
	})
}

func FuzzParseClientData(f *testing.F) {
	for _, v := range readW3C(f).Vectors {
		f.Add([]byte(v.Authentication.ClientDataJSON))
	}
	f.Add([]byte(`{"type":"a","challenge":"b","origin":"c","x":[[{}]]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = assertion.ParseClientData(raw)
	})
}

func FuzzVerify(f *testing.F) {
	r, e := signed(f, softauthn.ES256, nil)
	f.Add(r.AuthenticatorData, r.ClientDataJSON, r.Signature)
	f.Fuzz(func(t *testing.T, auth, client, sig []byte) {
		got, err := assertion.Verify(assertion.Response{AuthenticatorData: auth, ClientDataJSON: client, Signature: sig}, e)
		if err == nil && !(bytes.Equal(auth, r.AuthenticatorData) && bytes.Equal(client, r.ClientDataJSON)) {
			t.Error("a forged assertion is accepted")
		}
		if got.OK() != (err == nil) {
			t.Error("the token does not agree with the error")
		}
	})
}

func BenchmarkVerifyES256(b *testing.B) {
	r, e := signed(b, softauthn.ES256, nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := assertion.Verify(r, e); err != nil {
			b.Fatal(err)
		}
	}
}
