package jades

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"oruro.gob.bo/suti/signer/internal/judge"
)

// VerifyOptions says what to verify against. At is required; without Roots no
// signature is trusted: there is no system default.
type VerifyOptions struct {
	// Roots are the trust anchors of signers.
	Roots *x509.CertPool
	// Intermediates are further certificates to build paths with, and to find
	// the signer's among.
	Intermediates []*x509.Certificate
	// At is the time of verification.
	At time.Time
	// Revocation tells the state of certificates. If nil, it is not checked,
	// and the report says so.
	Revocation judge.Revocation
	// Constraints are held beside the rules of the verifier, those of package
	// pades; nil means its default ones. Their anchors are not taken from them.
	Constraints *judge.Constraints
}

// Verdict is the answer about a signature. The values are stable, and are
// those of package pades.
type Verdict = judge.Verdict

// Verdicts, from best to worst.
const (
	Valid         = judge.Valid
	Indeterminate = judge.Indeterminate
	Invalid       = judge.Invalid
)

// Codes of [Warning] beside those of package pades. The values are stable.
const (
	WarnNotBaseline = "not-jades"  // it lacks what the baseline asks for
	WarnIgnored     = "not-judged" // header parameters that are not judged
)

// Warning is something that people should know of but that decides nothing.
type Warning = judge.Warning

// Certificate is a summary of a certificate.
type Certificate = judge.Certificate

// Report is what [Verify] says about a signature. Its JSON form is stable:
// fields may be added, none change.
type Report struct {
	// Size and SHA256 (hexadecimal) are of the content.
	Size   int64     `json:"size"`
	SHA256 string    `json:"sha256"`
	At     time.Time `json:"at"` // the time of verification
	// Payload is the embedded content; nil of a detached signature. It is what
	// the signature covers only if the verdict says so.
	Payload []byte `json:"-"`
	// Detached says that the content stands elsewhere; Name is what the signer
	// calls it.
	Detached      bool    `json:"detached"`
	Name          string  `json:"name,omitempty"`
	Verdict       Verdict `json:"verdict"`
	Indication    string  `json:"indication"` // of EN 319 102-1 §5.1.3, as the sub-indication
	SubIndication string  `json:"sub_indication,omitempty"`
	// Detail says why, for developers, in English.
	Detail string `json:"detail,omitempty"`
	// Level is the JAdES level that was proven.
	Level Level `json:"level"`
	// MediaType is what the signer declares the content to be.
	MediaType string `json:"media_type,omitempty"`
	Algorithm string `json:"algorithm"`
	// Signer is the certificate that the signature names, and Chain its path;
	// Trusted says that the path leads to a root given.
	Signer  *Certificate  `json:"signer,omitempty"`
	Chain   []Certificate `json:"chain,omitempty"`
	Trusted bool          `json:"trusted"`
	// ClaimedTime is the signer's own; nothing in the compact form can prove one.
	ClaimedTime time.Time `json:"claimed_time,omitzero"`
	// Revocation is "good", "revoked", "unknown" or "not-checked".
	Revocation string    `json:"revocation,omitempty"`
	Warnings   []Warning `json:"warnings,omitempty"`
}

// LooksLike reports whether the beginning of a file may be that of a compact
// signature: base64url of an object.
func LooksLike(head []byte) bool {
	n := 0
	for n < len(head) && n < 64 && (head[n] == '-' || head[n] == '_' || head[n] >= '0' && head[n] <= '9' || head[n]|0x20 >= 'a' && head[n]|0x20 <= 'z') {
		n++
	}
	b, err := base64.RawURLEncoding.DecodeString(string(head[:n/4*4]))
	return err == nil && len(b) >= 8 && bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte(`{`))
}

// Verify reports on a compact signature of at most [MaxCompact] bytes. content
// is the detached content, which is read once, as it comes; it must be nil for
// a signature that holds its own.
//
// It returns a [*RefusedError] if nothing can be said about the signature.
// Other errors are ctx's, [ErrOptions] and those of content. Faults of the
// signature are in the report.
func Verify(ctx context.Context, compact []byte, content io.Reader, o VerifyOptions) (*Report, error) {
	if o.At.IsZero() {
		return nil, fmt.Errorf("%w: no time of verification", ErrOptions)
	}
	in, err := read(compact)
	if err != nil {
		return nil, err
	}
	if err := in.takeContent(ctx, content); err != nil {
		return nil, err
	}
	h := in.header
	r := &Report{
		Size: in.size, SHA256: hex.EncodeToString(in.sha256), At: o.At, Payload: in.payload, Detached: in.detached,
		MediaType: h.mediaType, Algorithm: h.alg.name,
	}
	if h.sigD != nil {
		r.Name = h.sigD.Pars[0]
	}
	c := &judge.Case{}
	if c.ClaimedTime = h.iat; c.ClaimedTime.IsZero() {
		c.ClaimedTime = h.sigT
	}
	if err := in.judge(ctx, c, o); err != nil {
		return nil, err
	}
	f := c.Finding
	r.Verdict, r.Indication, r.SubIndication, r.Detail, r.Level = c.Verdict(), f.Indication, f.SubIndication, f.Detail, Level(f.Level)
	r.Signer, r.Chain, r.Trusted, r.ClaimedTime, r.Revocation, r.Warnings = f.Signer, f.Path, f.Trusted, f.ClaimedTime, f.Revocation, f.Warnings
	return r, nil
}

// input is a compact signature as read.
type input struct {
	header   *header
	raw      [3][]byte // the parts as written
	value    []byte
	payload  []byte
	detached bool
	size     int64
	sha256   []byte
	digest   []byte // what the value is over
	hashV    []byte // of the detached content, as sigD has it
}

// read takes a compact signature apart; a line break at its end is no part of it.
func read(compact []byte) (*input, error) {
	if len(compact) > MaxCompact {
		return nil, refuse(CodeLimit, nil, "%d bytes", len(compact))
	}
	compact = bytes.TrimSuffix(bytes.TrimSuffix(compact, []byte("\n")), []byte("\r"))
	parts := bytes.Split(compact, []byte("."))
	if len(parts) != 3 {
		return nil, refuse(CodeMalformed, nil, "%d parts, want 3", len(parts))
	}
	in := &input{raw: [3][]byte(parts), detached: len(parts[1]) == 0}
	if len(parts[0]) > maxHeader*4/3 {
		return nil, refuse(CodeLimit, nil, "header of %d bytes", len(parts[0]))
	}
	head, err := fromBase64URL(parts[0])
	if err != nil {
		return nil, refuse(CodeMalformed, err, "header: %v", err)
	}
	if in.header, err = readHeader(head); err != nil {
		return nil, err
	}
	if in.value, err = fromBase64URL(parts[2]); err != nil || len(in.value) == 0 {
		return nil, refuse(CodeMalformed, err, "signature value")
	}
	if in.detached {
		return in, nil
	}
	if in.header.sigD != nil {
		return nil, refuse(CodeMalformed, nil, "sigD and a payload")
	}
	if in.header.unencoded {
		for _, x := range parts[1] { // RFC 7797 §5.2
			if x < ' ' || x > '~' {
				return nil, refuse(CodeMalformed, nil, "unencoded payload with other than visible ASCII characters")
			}
		}
		in.payload = parts[1]
	} else if in.payload, err = fromBase64URL(parts[1]); err != nil {
		return nil, refuse(CodeMalformed, err, "payload: %v", err)
	}
	return in, nil
}

// digests are those of sigD and x5t#o by their names there.
var digests = map[string]crypto.Hash{"S256": crypto.SHA256, "S384": crypto.SHA384, "S512": crypto.SHA512}

// takeContent digests what is signed.
func (in *input) takeContent(ctx context.Context, content io.Reader) error {
	a, h := in.header.alg, in.header
	if !in.detached {
		if content != nil {
			return refuse(CodeAttached, nil, "the signature holds its content")
		}
		sum := sha256.Sum256(in.payload)
		in.sha256, in.size = sum[:], int64(len(in.payload))
		in.digest = a.digest(slices.Concat(in.raw[0], []byte("."), in.raw[1]))
		return nil
	}
	if content == nil {
		return refuse(CodeDetached, nil, "the content stands elsewhere")
	}
	sum := sha256.New()
	to := []io.Writer{sum}
	head := slices.Concat(in.raw[0], []byte("."))
	var direct io.Writer // where the content is itself part of what is signed
	var finish func() error
	switch {
	case h.sigD != nil:
		in.digest = a.digest(head)
		d := digests[h.sigD.HashM].New()
		direct, finish = d, func() error { in.hashV = d.Sum(nil); return nil }
	case a.hash == 0:
		b := bytes.NewBuffer(head)
		direct, finish = &bounded{b, MaxPayload * 4 / 3}, func() error { in.digest = b.Bytes(); return nil }
	default:
		d := a.hash.New()
		_, _ = d.Write(head)
		direct, finish = d, func() error { in.digest = d.Sum(nil); return nil }
	}
	closing := func() error { return nil }
	if !h.unencoded {
		e := base64.NewEncoder(base64.RawURLEncoding, direct)
		direct, closing = e, e.Close
	}
	n, err := io.CopyBuffer(io.MultiWriter(append(to, direct)...), &stoppable{ctx, content}, make([]byte, 256<<10))
	if err = errors.Join(err, closing(), finish()); err != nil {
		if errors.Is(err, errLarge) {
			return refuse(CodeLimit, err, "detached content signed by EdDSA without sigD")
		}
		return fmt.Errorf("jades: read content: %w", err)
	}
	in.size, in.sha256 = n, sum.Sum(nil)
	return nil
}

var errLarge = errors.New("too large")

// bounded writes into a buffer up to a size.
type bounded struct {
	b   *bytes.Buffer
	max int
}

// Write implements io.Writer.
func (w *bounded) Write(p []byte) (int, error) {
	if w.b.Len()+len(p) > w.max {
		return 0, errLarge
	}
	return w.b.Write(p)
}

// judge decides. The error is ctx's.
func (in *input) judge(ctx context.Context, c *judge.Case, o VerifyOptions) error {
	h := in.header
	if h.sigD != nil {
		want, err := fromBase64URL([]byte(h.sigD.HashV[0]))
		if err != nil || !bytes.Equal(want, in.hashV) {
			c.Fail(judge.TotalFailed, judge.SubHash, "the digest of the content is not the one signed")
			return nil
		}
	}
	cert := h.signer(o.Intermediates)
	if cert == nil {
		c.Fail(judge.IndIndeterm, judge.SubNoSigner, "no certificate is the one that the header names")
		return nil
	}
	switch err := h.alg.verify(cert.PublicKey, in.digest, in.value); {
	case errors.Is(err, errWeak):
		c.Fail(judge.IndIndeterm, judge.SubCryptoConstr, "%v", err)
		return nil
	case err != nil:
		c.Fail(judge.TotalFailed, judge.SubCrypto, "%s: %v", h.alg.name, err)
		return nil
	}
	if !in.detached && isJSON(h.mediaType) {
		if err := unambiguous(in.payload, maxPayloadDepth); err != nil {
			c.Fail(judge.IndIndeterm, judge.SubConstraints, "payload: %v", err)
		}
	}
	level := h.baseline(c)
	j := judge.New(judge.Options{Roots: o.Roots, Intermediates: o.Intermediates, At: o.At, Revocation: o.Revocation, Constraints: o.Constraints})
	for _, x := range h.chain {
		j.Store.AddCertificate(x)
	}
	if err := j.Signature(ctx, c, judge.Signed{Certificate: cert, Certificates: h.chain, Value: in.value, Level: level, Algorithm: h.alg.constraint}); err != nil {
		return err
	}
	c.Pass()
	c.Warnings = append(c.Warnings, j.Warnings...)
	return nil
}

// signer returns the certificate that the header names, by x5t#S256, by x5t#o
// and by the first place of x5c (RFC 7515 §4.1.6): all that are there must agree.
func (h *header) signer(known []*x509.Certificate) *x509.Certificate {
	candidates := known
	if len(h.chain) > 0 {
		candidates = h.chain[:1]
	} else if h.thumb == nil && h.other == nil {
		return nil
	}
	for _, c := range candidates {
		if h.names(c) {
			return c
		}
	}
	return nil
}

func (h *header) names(c *x509.Certificate) bool {
	sum := sha256.Sum256(c.Raw)
	if h.thumb != nil && !bytes.Equal(sum[:], h.thumb) {
		return false
	}
	if h.other == nil {
		return true
	}
	d := h.otherHash.New()
	_, _ = d.Write(c.Raw)
	return bytes.Equal(d.Sum(nil), h.other)
}

// sinceIat is from when on the time must be iat (TS 119 182-1 V1.2.1 §6.3, requirement a).
var sinceIat = time.Date(2025, 5, 15, 0, 0, 0, 0, time.UTC)

// baseline returns the level that the form of a signature has, and warns of
// what it lacks (TS 119 182-1 §6.3).
func (h *header) baseline(c *judge.Case) judge.Level {
	level := judge.LevelBB
	lacks := func(what string) {
		level = judge.LevelNone
		c.Warn(WarnNotBaseline, "%s", what)
	}
	switch {
	case h.iat.IsZero() && h.sigT.IsZero():
		lacks("no claimed signing time")
	case !h.iat.IsZero() && !h.sigT.IsZero():
		lacks("two claimed signing times")
	case h.iat.IsZero() && !h.sigT.Before(sinceIat):
		lacks("sigT in place of iat after 2025-05-15")
	}
	if (h.thumb == nil) == (h.other == nil) {
		lacks("not exactly one of x5t#S256 and x5t#o")
	}
	if len(h.ignored) > 0 {
		c.Warn(WarnIgnored, "header parameters %q", h.ignored)
	}
	return level
}
