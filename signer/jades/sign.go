package jades

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"oruro.gob.bo/suti/signer/internal/judge"
)

// Session is a prepared signature. It is immutable, holds no secret, and can
// be stored with [Session.MarshalBinary] and used again after a restart, in
// another process.
type Session struct {
	s storedSession
}

// storedSession is a session in JSON, behind sessionMagic.
type storedSession struct {
	Size      int64     `json:"size"`
	SHA256    []byte    `json:"sha256"`
	MediaType string    `json:"media_type"`
	Name      string    `json:"name,omitempty"`
	Time      time.Time `json:"time"`
	Payload   []byte    `json:"payload,omitempty"` // embedded
}

// sessionMagic begins stored sessions; its last digit is the version.
const sessionMagic = "suti-jades-session-1\n"

// Prepare reads the content, once: a detached one is digested as it comes, an
// embedded one kept.
//
// Errors: [*RefusedError] for embedded content that is too large or ambiguous
// JSON; [ErrOptions]; ctx's; those of content.
func Prepare(ctx context.Context, content io.Reader, o Options) (*Session, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	st := storedSession{MediaType: o.MediaType, Name: o.Name, Time: o.SigningTime.UTC().Truncate(time.Second)}
	sum := sha256.New()
	content = &stoppable{ctx, content}
	if o.Name != "" {
		n, err := io.CopyBuffer(sum, content, make([]byte, 256<<10))
		if err != nil {
			return nil, fmt.Errorf("jades: read content: %w", err)
		}
		st.Size = n
	} else {
		payload, err := io.ReadAll(io.LimitReader(content, MaxPayload+1))
		if err != nil {
			return nil, fmt.Errorf("jades: read content: %w", err)
		}
		if len(payload) == 0 {
			return nil, refuse(CodeMalformed, nil, "no content")
		}
		if len(payload) > MaxPayload {
			return nil, refuse(CodeLimit, nil, "more than %d bytes; sign it detached", MaxPayload)
		}
		if isJSON(o.MediaType) {
			if err := unambiguous(payload, maxPayloadDepth); err != nil {
				return nil, refuse(CodeAmbiguous, err, "%v", err)
			}
		}
		_, _ = sum.Write(payload)
		st.Payload, st.Size = payload, int64(len(payload))
	}
	st.SHA256 = sum.Sum(nil)
	return &Session{st}, nil
}

// stoppable is a reader that obeys a context.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}

// Size returns the size of the content in bytes.
func (s *Session) Size() int64 { return s.s.Size }

// SHA256 returns the SHA-256 of the content. This is what the signer consents to.
func (s *Session) SHA256() [32]byte { return [32]byte(s.s.SHA256) }

// MarshalBinary implements encoding.BinaryMarshaler.
func (s *Session) MarshalBinary() ([]byte, error) {
	b, err := json.Marshal(s.s)
	return append([]byte(sessionMagic), b...), err
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. It returns
// [ErrSession] for anything that MarshalBinary of this version cannot have written.
func (s *Session) UnmarshalBinary(b []byte) error {
	rest, ok := bytes.CutPrefix(b, []byte(sessionMagic))
	if !ok || len(b) > 2*MaxPayload {
		return ErrSession
	}
	var st storedSession
	if err := json.Unmarshal(rest, &st); err != nil {
		return fmt.Errorf("%w: %w", ErrSession, err)
	}
	o := Options{SigningTime: st.Time, MediaType: st.MediaType, Name: st.Name}
	sum := sha256.Sum256(st.Payload)
	if o.check() != nil || st.MediaType == "" || len(st.SHA256) != sha256.Size || st.Size < 0 || (st.Name == "") != (len(st.Payload) > 0) ||
		len(st.Payload) > 0 && (int64(len(st.Payload)) != st.Size || !bytes.Equal(sum[:], st.SHA256)) {
		return ErrSession
	}
	s.s = st
	return nil
}

// ToBeSigned is what the signer's key has to sign.
type ToBeSigned struct {
	// Header is the protected header. It goes into [Signature].
	Header []byte
	// Input and Opts are the arguments of crypto.Signer.Sign.
	Input []byte
	Opts  crypto.SignerOpts
}

// SigningInput builds the protected header for the certificate chain[0],
// followed by its path without the anchor, and an algorithm ("" for the key's
// own). Equal arguments give equal bytes. Errors: [ErrCertificate], [ErrOptions].
func (s *Session) SigningInput(chain []*x509.Certificate, algorithm string) (*ToBeSigned, error) {
	if len(chain) == 0 || len(chain) > maxChain || chain[0] == nil {
		return nil, fmt.Errorf("%w: %d given", ErrCertificate, len(chain))
	}
	c := chain[0]
	if why := judge.Unfit(c); why != "" {
		return nil, fmt.Errorf("%w: %s", ErrCertificate, why)
	}
	if s.s.Time.Before(c.NotBefore) || s.s.Time.After(c.NotAfter) {
		return nil, fmt.Errorf("%w: not valid at the signing time", ErrCertificate)
	}
	a, err := algorithmFor(c.PublicKey, algorithm)
	if err != nil {
		return nil, err
	}
	thumb := sha256.Sum256(c.Raw)
	h := written{Alg: a.name, Iat: s.s.Time.Unix(), X5t: string(toBase64URL(thumb[:]))}
	for _, x := range chain {
		h.X5c = append(h.X5c, x.Raw)
	}
	if s.s.Name == "" {
		h.Cty = shortMediaType(s.s.MediaType)
	} else {
		h.SigD = &detachment{
			MID: byURIHash, Pars: []string{s.s.Name}, HashM: "S256", HashV: []string{string(toBase64URL(s.s.SHA256))},
			Ctys: []string{shortMediaType(s.s.MediaType)},
		}
		h.B64, h.Crit = new(bool), []string{"b64", "sigD"}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(h); err != nil {
		return nil, fmt.Errorf("jades: header: %w", err)
	}
	header := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if len(header) > maxHeader {
		return nil, fmt.Errorf("%w: a path of %d bytes", ErrCertificate, len(header))
	}
	return &ToBeSigned{Header: header, Input: a.digest(s.message(header)), Opts: a.opts()}, nil
}

// message is the JWS signing input (RFC 7515 §5.1): the payload of a detached
// signature by ObjectIdByURIHash is empty.
func (s *Session) message(header []byte) []byte {
	return slices.Concat(toBase64URL(header), []byte{'.'}, toBase64URL(s.s.Payload))
}

// Signature is what [Session.Embed] takes.
type Signature struct {
	// Value is what the key gave for [ToBeSigned].Input.
	Value []byte
	// Header is [ToBeSigned].Header.
	Header []byte
	// Chain is the signer's certificate and its path.
	Chain []*x509.Certificate
}

// Signed is a finished signature.
type Signed struct {
	Achieved Level
	// Compact is the signature in the compact serialization of JWS.
	Compact []byte
	// SHA256 is that of the content.
	SHA256 [32]byte
}

// Embed checks the signature value against the certificate, as a verifier
// would, and only then encodes the signature.
//
// Errors: [ErrCertificate], [ErrSession], [ErrSignature].
func (s *Session) Embed(ctx context.Context, sig Signature) (*Signed, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h, err := readHeader(sig.Header)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSession, err)
	}
	tbs, err := s.SigningInput(sig.Chain, h.alg.name)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(tbs.Header, sig.Header) {
		return nil, fmt.Errorf("%w: the header is not the session's", ErrSession)
	}
	value, err := h.alg.fromSigner(sig.Value)
	if err == nil {
		err = h.alg.verify(sig.Chain[0].PublicKey, tbs.Input, value)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	return &Signed{Achieved: LevelBB, SHA256: s.SHA256(), Compact: slices.Concat(s.message(tbs.Header), []byte{'.'}, toBase64URL(value))}, nil
}

// Sign signs content with a key at hand: Prepare, sign, Embed.
func Sign(ctx context.Context, content io.Reader, key crypto.Signer, chain []*x509.Certificate, o Options) (*Signed, error) {
	s, err := Prepare(ctx, content, o)
	if err != nil {
		return nil, err
	}
	tbs, err := s.SigningInput(chain, o.Algorithm)
	if err != nil {
		return nil, err
	}
	value, err := key.Sign(rand.Reader, tbs.Input, tbs.Opts)
	if err != nil {
		return nil, errors.Join(errors.New("jades: private key"), err)
	}
	return s.Embed(ctx, Signature{Value: value, Header: tbs.Header, Chain: chain})
}
