package tsp

import (
	"bytes"
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/internal/cms"
)

var bigCmp = cmp.Comparer(func(a, b *big.Int) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Cmp(b) == 0
})

func TestRequestRoundTrip(t *testing.T) {
	t.Parallel()
	ext := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}
	for _, r := range []*Request{
		{Imprint: imprintOf(crypto.SHA256, document)},
		{Imprint: imprintOf(crypto.SHA384, document), CertReq: true},
		{Imprint: imprintOf(crypto.SHA512, document), Policy: policyOID, Nonce: big.NewInt(1 << 40), CertReq: true},
		{Imprint: imprintOf(crypto.SHA256, document), Nonce: big.NewInt(-5)},
		{Imprint: imprintOf(crypto.SHA256, document), Extensions: []pkix.Extension{ext}},
	} {
		der, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseRequest(der)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(r, got, bigCmp); d != "" {
			t.Error(d)
		}
	}
	for _, r := range []*Request{
		{Imprint: Imprint{Hash: crypto.SHA1, Digest: make([]byte, 20)}},
		{Imprint: Imprint{Hash: crypto.SHA256, Digest: make([]byte, 20)}},
		{Imprint: imprintOf(crypto.SHA256, nil), Nonce: new(big.Int).Lsh(big.NewInt(1), 600)},
	} {
		if _, err := r.Marshal(); !errors.Is(err, ErrParams) {
			t.Errorf("%+v: %v, want ErrParams", r, err)
		}
	}
}

func TestRequestFailures(t *testing.T) {
	t.Parallel()
	good, err := (&Request{Imprint: imprintOf(crypto.SHA256, document), CertReq: true}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	swap := func(old, new string) []byte { return bytes.Replace(good, []byte(old), []byte(new), 1) }
	sha256OID := "\x60\x86\x48\x01\x65\x03\x04\x02\x01"
	sha1 := append([]byte("\x30\x26\x02\x01\x01\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14"), make([]byte, 20)...)
	for name, tt := range map[string]struct {
		in   []byte
		fail FailInfo
		want error
	}{
		"empty":                {nil, BadDataFormat, cms.ErrTruncated},
		"text":                 {[]byte("GET / HTTP/1.1"), BadDataFormat, nil},
		"64 KiB and one":       {make([]byte, MaxRequest+1), BadDataFormat, ErrTooLarge},
		"cut":                  {good[:len(good)-1], BadDataFormat, cms.ErrTruncated},
		"trailing octet":       {append(bytes.Clone(good), 0), BadDataFormat, cms.ErrTrailingData},
		"version 2":            {swap("\x02\x01\x01", "\x02\x01\x02"), BadRequest, ErrVersion},
		"unknown digest":       {swap(sha256OID, "\x60\x86\x48\x01\x65\x03\x04\x02\x7f"), BadAlg, cms.ErrAlgorithm},
		"SHA-512, 32 octets":   {swap(sha256OID, "\x60\x86\x48\x01\x65\x03\x04\x02\x03"), BadDataFormat, ErrMalformed},
		"SHA-1":                {fix(sha1), BadAlg, cms.ErrWeakAlgorithm},
		"certReq not FF":       {swap("\x01\x01\xff", "\x01\x01\x01"), BadDataFormat, cms.ErrNotDER},
		"indefinite length":    {append([]byte{0x30, 0x80}, append(bytes.Clone(good[2:]), 0, 0)...), BadDataFormat, cms.ErrNotDER},
		"5 kB of nested bombs": {bytes.Repeat([]byte{0x30, 0x80}, 2500), BadDataFormat, cms.ErrNotDER},
	} {
		_, err := ParseRequest(tt.in)
		var re *RequestError
		if !errors.As(err, &re) || re.Fail != tt.fail || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v and %v", name, err, tt.fail, tt.want)
		}
	}
}

// fix writes the outermost length of a short sequence.
func fix(b []byte) []byte {
	b = bytes.Clone(b)
	b[1] = byte(len(b) - 2)
	b[6] = byte(len(b) - 7)
	return b
}

func TestRequestCheck(t *testing.T) {
	t.Parallel()
	hashes, policies := []crypto.Hash{crypto.SHA256, crypto.SHA512}, []asn1.ObjectIdentifier{policyOID}
	for name, tt := range map[string]struct {
		r    Request
		fail FailInfo
		ok   bool
	}{
		"no policy":              {Request{Imprint: imprintOf(crypto.SHA256, document)}, 0, true},
		"its policy":             {Request{Imprint: imprintOf(crypto.SHA512, document), Policy: policyOID}, 0, true},
		"digest not served":      {Request{Imprint: imprintOf(crypto.SHA384, document)}, BadAlg, false},
		"policy not served":      {Request{Imprint: imprintOf(crypto.SHA256, document), Policy: asn1.ObjectIdentifier{1, 2}}, UnacceptedPolicy, false},
		"extension not critical": {Request{Imprint: imprintOf(crypto.SHA256, document), Extensions: []pkix.Extension{{Id: policyOID}}}, UnacceptedExtension, false},
	} {
		err := tt.r.Check(hashes, policies)
		var re *RequestError
		if (err == nil) != tt.ok || err != nil && (!errors.As(err, &re) || re.Fail != tt.fail) {
			t.Errorf("%s: %v, want %v (%v)", name, err, tt.fail, tt.ok)
		}
	}
}

func TestRejections(t *testing.T) {
	t.Parallel()
	for _, f := range []FailInfo{BadAlg, BadRequest, BadDataFormat, TimeNotAvailable, UnacceptedPolicy, UnacceptedExtension, AddInfoNotAvailable, SystemFailure} {
		r, err := ParseResponse(Reject(f, "sin hora fiable"))
		if err != nil {
			t.Fatalf("%v: %v", f, err)
		}
		var se *StatusError
		if !errors.As(r.Err(), &se) {
			t.Fatalf("%v: no StatusError", f)
		}
		if d := cmp.Diff(se, &StatusError{Status: Rejection, Fail: []FailInfo{f}, Text: []string{"sin hora fiable"}}); d != "" {
			t.Error(d)
		}
	}
	r, err := ParseResponse(RejectError(&RequestError{Fail: BadAlg, Err: ErrParams}, ""))
	if err != nil || len(r.Fail) != 1 || r.Fail[0] != BadAlg || r.Text != nil {
		t.Errorf("RequestError: %+v, %v", r, err)
	}
	if r, err = ParseResponse(RejectError(errors.New("secreto"), "")); err != nil || r.Fail[0] != SystemFailure || r.Text != nil {
		t.Errorf("other error: %+v, %v", r, err)
	}
	if r, err = ParseResponse(Reject(BadAlg, strings.Repeat("ñ", 2000))); err != nil || len(r.Text[0]) > maxTextLen {
		t.Errorf("long text: %v", err)
	}
}

func TestResponses(t *testing.T) {
	t.Parallel()
	u := p256Unit(t, nil)
	token := u.stamp(t, goodInfo(), cms.AssembleOptions{})
	granted, err := Grant(token)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseResponse(granted)
	if err != nil || r.Err() != nil || !bytes.Equal(r.Token, token) {
		t.Fatalf("granted: %v", err)
	}
	if _, err := Grant([]byte{1, 2}); !errors.Is(err, ErrParams) {
		t.Errorf("granting rubbish: %v", err)
	}
	for name, tt := range map[string]struct {
		in   []byte
		want error
	}{
		"granted without a token":  {[]byte{0x30, 5, 0x30, 3, 2, 1, 0}, ErrMalformed},
		"rejected with a token":    {append([]byte{0x30, 7, 0x30, 3, 2, 1, 2}, 0x30, 0), ErrMalformed},
		"unknown status":           {[]byte{0x30, 5, 0x30, 3, 2, 1, 9}, ErrMalformed},
		"negative status":          {[]byte{0x30, 5, 0x30, 3, 2, 1, 0xff}, ErrMalformed},
		"web page":                 {[]byte("<html><body>502 Bad Gateway</body></html>"), nil},
		"too long":                 {make([]byte, MaxResponse+1), ErrTooLarge},
		"empty":                    {nil, cms.ErrTruncated},
		"bomb":                     {bytes.Repeat([]byte{0x30, 0x80}, 2500), cms.ErrTooDeep},
		"a third element":          {append([]byte{0x30, 9, 0x30, 3, 2, 1, 0, 0x30, 0}, 5, 0), ErrMalformed},
		"failInfo of a thousand":   {longFailInfo(), ErrMalformed},
		"token is not a sequence":  {[]byte{0x30, 7, 0x30, 3, 2, 1, 0, 5, 0}, ErrMalformed},
		"status text of other tag": {[]byte{0x30, 9, 0x30, 7, 2, 1, 2, 0x30, 2, 0x13, 0}, ErrMalformed},
	} {
		if _, err := ParseResponse(tt.in); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

func longFailInfo() []byte {
	bits := append([]byte{3, 101, 0}, bytes.Repeat([]byte{0x80}, 100)...)
	info := append([]byte{2, 1, 2}, bits...)
	return append([]byte{0x30, byte(len(info) + 2), 0x30, byte(len(info))}, info...)
}

func TestGenTimeText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, out string }{
		{"20260401120000Z", ""},
		{"20260401120000.1Z", ""},
		{"20260401120000.12Z", ""},
		{"20260401120000.123Z", ""},
		{"20260401120000.123456Z", "20260401120000.123Z"},
		{"20260401120000.000000001Z", "20260401120000Z"},
		{"20261231235959.999Z", ""},
	} {
		got, err := parseTime(tt.in)
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		want := tt.out
		if want == "" {
			want = tt.in
		}
		if out := string(formatTime(got)); out != want {
			t.Errorf("%s: written %s, want %s", tt.in, out, want)
		}
	}
	for _, bad := range []string{
		"", "Z", "20260401120000", "20260401120000+0000", "202604011200Z", "20260401120000.Z", "20260401120000.10Z",
		"20260401120000.0Z", "20260401120000,1Z", "20261301120000Z", "20260230120000Z", "20260401240000Z",
		"20260401120060Z", "2026040112000aZ", "20260401120000.1234567891Z", "-0260401120000Z", "20260401120000.-1Z", "20260401120000.1.1Z",
	} {
		if got, err := parseTime(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v, %v; want ErrMalformed", bad, got, err)
		}
	}
	la := time.FixedZone("BOT", -4*3600)
	if got := string(formatTime(time.Date(2026, 4, 1, 8, 0, 0, 5_999_999, la))); got != "20260401120000.005Z" {
		t.Errorf("local time: %s", got)
	}
}

func TestAccuracyAndSerialBounds(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{0, time.Microsecond, 999 * time.Microsecond, time.Millisecond, time.Second, 90*time.Second + 250*time.Millisecond + 7*time.Microsecond} {
		i := goodInfo()
		i.Accuracy = d
		der, err := i.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseTSTInfo(der)
		if err != nil || got.Accuracy != d {
			t.Errorf("accuracy %v: %v, %v", d, got, err)
		}
	}
	for name, change := range map[string]func(*TSTInfo){
		"no serial":         func(i *TSTInfo) { i.Serial = nil },
		"serial 0":          func(i *TSTInfo) { i.Serial = new(big.Int) },
		"serial negative":   func(i *TSTInfo) { i.Serial = big.NewInt(-1) },
		"serial 161 bits":   func(i *TSTInfo) { i.Serial = new(big.Int).Lsh(big.NewInt(1), 160) },
		"no policy":         func(i *TSTInfo) { i.Policy = nil },
		"no time":           func(i *TSTInfo) { i.GenTime = time.Time{} },
		"year 10000":        func(i *TSTInfo) { i.GenTime = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"negative accuracy": func(i *TSTInfo) { i.Accuracy = -1 },
		"SHA-1":             func(i *TSTInfo) { i.Imprint = Imprint{Hash: crypto.SHA1, Digest: make([]byte, 20)} },
	} {
		i := goodInfo()
		change(i)
		if _, err := i.Marshal(); !errors.Is(err, ErrParams) {
			t.Errorf("%s: %v, want ErrParams", name, err)
		}
	}
}

func TestTSTInfoExtensions(t *testing.T) {
	t.Parallel()
	i := goodInfo()
	i.Extensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Value: []byte{5, 0}}}
	der, err := i.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseTSTInfo(der)
	if err != nil || len(got.Extensions) != 1 {
		t.Fatalf("not critical: %v", err)
	}
	i.Extensions[0].Critical = true
	if der, err = i.Marshal(); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseTSTInfo(der); !errors.Is(err, ErrExtension) {
		t.Errorf("critical: %v, want ErrExtension", err)
	}
	i.Extensions = append(i.Extensions, i.Extensions[0])
	if der, err = i.Marshal(); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseTSTInfo(der); !errors.Is(err, ErrMalformed) {
		t.Errorf("repeated: %v, want ErrMalformed", err)
	}
}

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	for f := range FailInfo(32) {
		if s := f.String(); s == "" {
			t.Errorf("failInfo %d has no name", f)
		}
	}
	e := &StatusError{Status: Rejection, Fail: []FailInfo{BadAlg}, Text: []string{"a\nb"}}
	if got, want := e.Error(), `tsp: status 2 [badAlg] ["a\nb"]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := fmt.Sprint(&RequestError{Fail: BadAlg, Err: ErrParams}); got != "tsp: request: badAlg: tsp: parameters" {
		t.Error(got)
	}
}
