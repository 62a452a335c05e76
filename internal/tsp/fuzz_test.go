package tsp

import (
	"bytes"
	"crypto"
	"errors"
	"math/big"
	"testing"

	"oruro.gob.bo/suti/internal/cms"
)

// FuzzParseTSPRequest: no panic; every refusal carries a failInfo; what is read
// is written again with the same meaning.
func FuzzParseTSPRequest(f *testing.F) {
	for _, r := range []*Request{
		{Imprint: imprintOf(crypto.SHA256, document)},
		{Imprint: imprintOf(crypto.SHA512, document), Policy: policyOID, Nonce: big.NewInt(-77), CertReq: true},
	} {
		der, err := r.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRequest(b)
		if err != nil {
			var re *RequestError
			if !errors.As(err, &re) {
				t.Fatalf("%v is no RequestError", err)
			}
			return
		}
		der, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseRequest(der)
		if err != nil || !again.Imprint.Equal(r.Imprint) || !again.Policy.Equal(r.Policy) || again.CertReq != r.CertReq ||
			(again.Nonce == nil) != (r.Nonce == nil) || r.Nonce != nil && r.Nonce.Cmp(again.Nonce) != 0 {
			t.Fatalf("%+v becomes %+v, %v", r, again, err)
		}
	})
}

// FuzzParseTSPResponse: no panic; a token exists exactly where it was granted;
// a TSTInfo that is read is written again with the same meaning.
func FuzzParseTSPResponse(f *testing.F) {
	u := p256Unit(f, nil)
	info := goodInfo()
	info.TSA, info.Ordering = DirectoryName(u.cert.RawSubject), true
	granted, err := Grant(u.stamp(f, info, cms.AssembleOptions{}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(granted)
	f.Add(Reject(BadAlg, "no"))
	f.Add(Reject(SystemFailure, ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.Clone(b)
		r, err := ParseResponse(b)
		if !bytes.Equal(in, b) {
			t.Fatal("input changed")
		}
		if err != nil {
			return
		}
		if (r.Token != nil) != (r.Err() == nil) {
			t.Fatal("status and token disagree")
		}
		if r.Token == nil {
			return
		}
		tok, err := ParseToken(r.Token)
		if err != nil {
			return
		}
		if tok.Info.Serial.Sign() == 0 || tok.Info.Serial.BitLen() > maxSerialBits || tok.Info.GenTime.Year() < 1970 {
			return // borne on reading, not written
		}
		der, err := tok.Info.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseTSTInfo(der)
		if err != nil || again.Serial.Cmp(tok.Info.Serial) != 0 || again.Accuracy != tok.Info.Accuracy || !again.Imprint.Equal(tok.Info.Imprint) {
			t.Fatalf("%+v becomes %+v, %v", tok.Info, again, err)
		}
	})
}
