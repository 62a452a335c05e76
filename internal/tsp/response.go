package tsp

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"oruro.gob.bo/suti/internal/cms"
)

// Bounds of PKIFreeText.
const (
	maxTexts   = 8
	maxTextLen = 1024
)

// Grant returns a response of status granted around a token.
func Grant(token []byte) ([]byte, error) {
	if err := cms.DERCheck(token, MaxResponse, cms.MaxDepth); err != nil {
		return nil, fmt.Errorf("%w: token: %w", ErrParams, err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(Granted)) })
		b.AddBytes(token)
	})
	return b.Bytes()
}

// Reject returns a response of status rejection. It goes out under HTTP status
// 200. text is for people, in UTF-8, cut to 1,024 octets; empty leaves it out.
func Reject(fail FailInfo, text string) []byte {
	if len(text) > maxTextLen {
		text = text[:maxTextLen]
	}
	text = string(bytes.ToValidUTF8([]byte(text), nil))
	// Named-bit lists have no trailing zero bits (X.690 §11.2.2).
	bits := make([]byte, int(fail)/8+2)
	bits[0] = 7 - byte(fail)%8
	bits[len(bits)-1] = 0x80 >> (fail % 8)
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1Int64(int64(Rejection))
			if text != "" {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
				})
			}
			b.AddASN1(cbasn1.BIT_STRING, func(b *cryptobyte.Builder) { b.AddBytes(bits) })
		})
	})
	return b.BytesOrPanic()
}

// RejectError is [Reject] with the failInfo of a [*RequestError]; any other
// error is systemFailure. The error's text does not go out.
func RejectError(err error, text string) []byte {
	var re *RequestError
	if errors.As(err, &re) {
		return Reject(re.Fail, text)
	}
	return Reject(SystemFailure, text)
}

// Response is TimeStampResp (RFC 3161 §2.4.2).
type Response struct {
	Status Status
	Fail   []FailInfo
	Text   []string
	// Token is the DER of the TimeStampToken, nil unless granted. It is unverified.
	Token []byte
}

// Err returns a [*StatusError] unless the token was granted.
func (r *Response) Err() error {
	if r.Status == Granted || r.Status == GrantedWithMods {
		return nil
	}
	return &StatusError{Status: r.Status, Fail: r.Fail, Text: r.Text}
}

// ParseResponse reads a response of at most [MaxResponse] octets, in DER or, as
// some services answer, in BER, which is converted. A granted response has a
// token and any other has none, else it is [ErrMalformed].
func ParseResponse(b []byte) (*Response, error) {
	if len(b) > MaxResponse {
		return nil, fmt.Errorf("%w: %d octets", ErrTooLarge, len(b))
	}
	der := bytes.Clone(b)
	if err := cms.DERCheck(der, MaxResponse, cms.MaxDepth); errors.Is(err, cms.ErrNotDER) {
		if der, err = cms.NormalizeBER(b, MaxResponse, cms.MaxDepth); err != nil {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	in := cryptobyte.String(der)
	var body, info cryptobyte.String
	var status int
	if !in.ReadASN1(&body, cbasn1.SEQUENCE) || !in.Empty() || !body.ReadASN1(&info, cbasn1.SEQUENCE) ||
		!info.ReadASN1Integer(&status) || status < 0 || status > int(RevocationNotification) {
		return nil, malformed("TimeStampResp")
	}
	r := &Response{Status: Status(status)}
	if err := r.readStatus(&info); err != nil {
		return nil, err
	}
	if !body.Empty() {
		var token cryptobyte.String
		if !body.ReadASN1Element(&token, cbasn1.SEQUENCE) || !body.Empty() {
			return nil, malformed("timeStampToken")
		}
		r.Token = token
	}
	if (r.Token != nil) != (r.Err() == nil) {
		return nil, malformed("status and token disagree")
	}
	return r, nil
}

// readStatus reads statusString and failInfo.
func (r *Response) readStatus(s *cryptobyte.String) error {
	var texts, bits cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&texts, nil, cbasn1.SEQUENCE) {
		return malformed("statusString")
	}
	for !texts.Empty() {
		var t cryptobyte.String
		if len(r.Text) == maxTexts || !texts.ReadASN1(&t, cbasn1.UTF8String) || len(t) > maxTextLen {
			return malformed("statusString")
		}
		r.Text = append(r.Text, string(bytes.ToValidUTF8(t, nil)))
	}
	if !s.ReadOptionalASN1(&bits, &present, cbasn1.BIT_STRING) || !s.Empty() {
		return malformed("failInfo")
	}
	if !present {
		return nil
	}
	if len(bits) < 1 || len(bits) > 9 {
		return malformed("failInfo")
	}
	for i, c := range bits[1:] {
		for k := range 8 {
			if c&(0x80>>k) != 0 {
				r.Fail = append(r.Fail, FailInfo(8*i+k))
			}
		}
	}
	return nil
}
