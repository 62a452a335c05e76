package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/identity"
)

// Format is the value of the format member.
const Format = "suti/bundle/v1"

// Bounds of a bundle.
const (
	// MaxSize bounds an encoded bundle, in bytes.
	MaxSize = 16 << 20
	// MaxActs bounds the acts in it.
	MaxActs = 512
	// MaxPages bounds the page images of one document.
	MaxPages = 5000

	maxCertificates = 8
	maxCertificate  = 16 << 10
	maxOCSP         = 64 << 10
	maxTimestamp    = 64 << 10
	maxCMS          = 1 << 20
	maxReceipt      = 256 << 10
)

// Errors of the format.
var (
	// ErrSize reports a bundle above [MaxSize] or a part above its bound.
	ErrSize = errors.New("bundle: too large")
	// ErrFormat reports bytes that are not a bundle in canonical form.
	ErrFormat = errors.New("bundle: not in canonical form")
	// ErrValue reports members that are not allowed or contradict each other.
	ErrValue = errors.New("bundle: value not allowed")
)

// Levels of a signature in a document, after ETSI EN 319 142-1.
const (
	LevelBB   = "B-B"
	LevelBT   = "B-T"
	LevelBLT  = "B-LT"
	LevelBLTA = "B-LTA"
)

// States of the log proof.
const (
	LogPending = "pending" // the checkpoint was not there yet
	LogProved  = "proved"
)

// Bytes travels as base64 with padding (RFC 4648 §4); empty is "".
type Bytes []byte

// MarshalText returns b in base64.
func (b Bytes) MarshalText() ([]byte, error) { return base64.StdEncoding.AppendEncode(nil, b), nil }

// UnmarshalText reads base64; that it is the canonical form is checked by [Decode].
func (b *Bytes) UnmarshalText(t []byte) error {
	v, err := base64.StdEncoding.AppendDecode(nil, t)
	*b = v
	return err
}

// Bundle is the evidence of one activation. Members are declared in the order
// of their names, which is the order of the canonical form; all are always
// present, and what does not apply is empty.
type Bundle struct {
	// Acts are the signed acts on which the signer's authority rests, in the
	// order of the chain, genesis first.
	Acts []Act `json:"acts"`
	// Assertion is the signer's; all members are empty for class ventanilla.
	Assertion Assertion `json:"assertion"`
	// Certificates are DER, the signer's first, then its issuers.
	Certificates []Bytes `json:"certificates"`
	// Class says how the signature was activated.
	Class identity.EvidenceClass `json:"class"`
	// Documents are in the order of the activation.
	Documents []Document `json:"documents"`
	Format    string     `json:"format"`
	Log       Log        `json:"log"`
	// OCSP is the response on the signer's certificate, DER; or empty.
	OCSP Bytes `json:"ocsp"`
	// Preimage is that of the challenge (docs/signing.md).
	Preimage Bytes `json:"preimage"`
	// SignedAt is when the signing core used the key, in microseconds since the Unix epoch.
	SignedAt int64 `json:"signed_at"`
}

// Act is one signed act with its receipt from the transparency log.
type Act struct {
	Act     Bytes `json:"act"`     // suti/signed-act/v1
	Receipt Bytes `json:"receipt"` // text of a receipt (docs/log-format.md); or empty
}

// Assertion is the signer's raw WebAuthn assertion.
type Assertion struct {
	AuthenticatorData Bytes `json:"authenticator_data"`
	ClientDataJSON    Bytes `json:"client_data_json"`
	COSEKey           Bytes `json:"cose_key"`
	Signature         Bytes `json:"signature"`
}

// Document is one document or hash of the activation with what came of it.
type Document struct {
	// Achieved and Requested are levels: B-B, B-T, B-LT or B-LTA.
	Achieved string `json:"achieved"`
	// CMS is the signature as SignedData, DER; empty where only the document holds it.
	CMS Bytes `json:"cms"`
	// Digest is the one in the activation: of the ByteRange, or the application's hash.
	Digest Bytes `json:"digest"`
	// Name is the signature field, or the label of the hash.
	Name string `json:"name"`
	// Pages are the SHA-256 of the page images that were shown, in order.
	Pages     []Bytes `json:"pages"`
	Requested string  `json:"requested"`
	// SHA256 is of the file as shown; empty for the hash of an application.
	SHA256 Bytes `json:"sha256"`
	// SignatureSHA256 is of the signature value.
	SignatureSHA256 Bytes `json:"signature_sha256"`
	// Timestamp is the time-stamp token over the signature value, DER; or empty.
	Timestamp Bytes `json:"timestamp"`
}

// Log is the proof that the signatures stand in the transparency log.
type Log struct {
	Receipt Bytes  `json:"receipt"` // text of a receipt; empty while pending
	State   string `json:"state"`   // LogPending or LogProved
}

// Signed returns SignedAt as a time.
func (b *Bundle) Signed() time.Time { return time.UnixMicro(b.SignedAt).UTC() }

// LogBody returns the body of the entry that the transparency log holds about
// the signatures in b: what the signing core logs, and what Log.Receipt must
// show. Errors: those of [act.SignatureLeaf].
func (b *Bundle) LogBody() ([]byte, error) {
	if len(b.Certificates) == 0 {
		return nil, valueErr("certificates: none")
	}
	made := make([]act.MadeSignature, len(b.Documents))
	for i, d := range b.Documents {
		pages := make([]act.Hash, len(d.Pages))
		for j, p := range d.Pages {
			copy(pages[j][:], p)
		}
		made[i] = act.MadeSignature{Digest: d.Digest, Shown: act.Shown(pages)}
		copy(made[i].Signature[:], d.SignatureSHA256)
	}
	return act.SignatureLeaf(sha256.Sum256(b.Preimage), sha256.Sum256(b.Certificates[0]), b.Signed(), made)
}

// Encode returns the canonical bytes of the bundle. Errors: [ErrValue], [ErrSize].
func (b *Bundle) Encode() ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, err
	}
	return b.marshal()
}

func (b *Bundle) marshal() ([]byte, error) {
	full := *b
	full.Acts = orEmpty(b.Acts)
	full.Certificates = orEmpty(b.Certificates)
	full.Documents = make([]Document, len(b.Documents))
	for i, d := range b.Documents {
		d.Pages = orEmpty(d.Pages)
		full.Documents[i] = d
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(full); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrValue, err)
	}
	raw := bytes.TrimSuffix(out.Bytes(), []byte("\n"))
	if len(raw) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrSize, len(raw), MaxSize)
	}
	return raw, nil
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// Decode parses a bundle. It accepts exactly what [Bundle.Encode] returns and
// checks the form only. Errors: [ErrSize], [ErrFormat], [ErrValue].
func Decode(raw []byte) (*Bundle, error) {
	if len(raw) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrSize, len(raw), MaxSize)
	}
	b := &Bundle{}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if b.Format != Format {
		return nil, fmt.Errorf("%w: unknown format", ErrFormat)
	}
	// The comparison also refuses repeated, reordered or absent members, white
	// space, other spellings of a value, and bytes after the object.
	again, err := b.marshal()
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, raw) {
		return nil, fmt.Errorf("%w: another encoding of the same value", ErrFormat)
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	return b, nil
}

// check holds the rules that need no cryptography.
func (b *Bundle) check() error {
	switch {
	case b.Format != Format:
		return valueErr("format")
	case !b.Class.Valid():
		return valueErr("class")
	case len(b.Acts) == 0 || len(b.Acts) > MaxActs:
		return valueErr("acts: none or too many")
	case len(b.Certificates) == 0 || len(b.Certificates) > maxCertificates:
		return valueErr("certificates: none or too many")
	case b.SignedAt <= 0 || b.SignedAt >= 1<<53:
		return valueErr("signed_at")
	case b.Log.State != LogPending && b.Log.State != LogProved:
		return valueErr("log.state")
	case (b.Log.State == LogProved) != (len(b.Log.Receipt) > 0):
		return valueErr("log.receipt: does not go with log.state")
	}
	if err := b.checkAssertion(); err != nil {
		return err
	}
	if err := b.checkSizes(); err != nil {
		return err
	}
	activation, err := act.ParseActivation(b.Preimage)
	if err != nil {
		return fmt.Errorf("%w: preimage: %w", ErrValue, err)
	}
	return b.checkDocuments(activation)
}

func valueErr(what string) error { return fmt.Errorf("%w: %s", ErrValue, what) }

func (b *Bundle) checkAssertion() error {
	a := b.Assertion
	for _, part := range []Bytes{a.AuthenticatorData, a.ClientDataJSON, a.COSEKey, a.Signature} {
		if (len(part) > 0) != (b.Class == identity.Llave) {
			return valueErr("assertion: present exactly for class llave")
		}
	}
	return nil
}

func (b *Bundle) checkSizes() error {
	over := func(part Bytes, max int) bool { return len(part) > max }
	bad := over(b.OCSP, maxOCSP) || over(b.Log.Receipt, maxReceipt)
	for _, a := range b.Acts {
		bad = bad || len(a.Act) == 0 || over(a.Act, act.MaxSigned) || over(a.Receipt, maxReceipt)
	}
	for _, c := range b.Certificates {
		bad = bad || len(c) == 0 || over(c, maxCertificate)
	}
	for _, d := range b.Documents {
		bad = bad || over(d.CMS, maxCMS) || over(d.Timestamp, maxTimestamp) || len(d.Pages) > MaxPages
		for _, p := range d.Pages {
			bad = bad || len(p) != 32
		}
	}
	if bad {
		return fmt.Errorf("%w: a part is empty or above its bound", ErrSize)
	}
	return nil
}

// checkDocuments compares the documents with the activation, one by one.
func (b *Bundle) checkDocuments(activation act.Activation) error {
	var want []Document
	switch a := activation.(type) {
	case *act.Signing:
		for _, d := range a.Documents {
			want = append(want, Document{SHA256: d.SHA256[:], Digest: d.ByteRange, Name: d.Field})
		}
	case *act.HashSigning:
		for _, h := range a.Hashes {
			want = append(want, Document{Digest: h.Hash, Name: h.Label})
		}
	}
	if len(want) != len(b.Documents) {
		return valueErr("documents: not as many as in the preimage")
	}
	for i, d := range b.Documents {
		w := want[i]
		switch {
		case !bytes.Equal(d.SHA256, w.SHA256) || !bytes.Equal(d.Digest, w.Digest) || d.Name != w.Name:
			return valueErr(fmt.Sprintf("documents[%d]: not the one in the preimage", i))
		case len(d.SignatureSHA256) != 32:
			return valueErr(fmt.Sprintf("documents[%d].signature_sha256", i))
		case rank(d.Achieved) < 0 || rank(d.Requested) < 0:
			return valueErr(fmt.Sprintf("documents[%d]: unknown level", i))
		case rank(d.Achieved) > 0 && len(d.Timestamp) == 0:
			return valueErr(fmt.Sprintf("documents[%d]: %s without a time-stamp", i, d.Achieved))
		}
	}
	return nil
}

// rank orders levels; -1 for an unknown one.
func rank(level string) int {
	for i, l := range []string{LevelBB, LevelBT, LevelBLT, LevelBLTA} {
		if l == level {
			return i
		}
	}
	return -1
}
