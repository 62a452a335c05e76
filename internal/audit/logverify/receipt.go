package logverify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Receipt shows one entry of the log: the leaf, its body, and the leaf's place
// under a signed checkpoint. Its text form is a C2SP tlog-proof@v1 whose extra
// data carries the leaf and the body's opening as JSON, so that a verifier
// needs the log's key and nothing else.
type Receipt struct {
	Leaf []byte
	Body BodyOpening
	// Proof's Extra is unused here: the text form fills it.
	Proof Proof
}

// receiptExtra is the JSON in the extra line.
type receiptExtra struct {
	Format string      `json:"format"`
	Leaf   []byte      `json:"leaf"`
	Body   BodyOpening `json:"body"`
}

const receiptFormat = "suti/receipt/v1"

// MarshalText returns the text of r, or [ErrProof] if it could not be read back.
func (r Receipt) MarshalText() ([]byte, error) {
	extra, err := json.Marshal(receiptExtra{receiptFormat, r.Leaf, r.Body})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	p := r.Proof
	p.Extra = extra
	return p.MarshalText()
}

// ParseReceipt reads the text of a receipt, which has exactly one form: that of
// [Receipt.MarshalText]. It checks the form only: see [VerifyReceipt].
func ParseReceipt(text []byte) (Receipt, error) {
	p, err := ParseProof(text)
	if err != nil {
		return Receipt{}, err
	}
	var e receiptExtra
	d := json.NewDecoder(bytes.NewReader(p.Extra))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return Receipt{}, fmt.Errorf("%w: extra data is not that of a receipt", ErrProof)
	}
	if _, err := d.Token(); err != io.EOF || e.Format != receiptFormat {
		return Receipt{}, fmt.Errorf("%w: extra data is not that of a receipt", ErrProof)
	}
	p.Extra = nil
	r := Receipt{Leaf: e.Leaf, Body: e.Body, Proof: p}
	if again, err := r.MarshalText(); err != nil || !bytes.Equal(again, text) {
		return Receipt{}, fmt.Errorf("%w: receipt is not in canonical form", ErrProof)
	}
	return r, nil
}

// VerifyReceipt checks that vkey signed a tree with r's leaf at its index, and
// that the leaf commits to r's body. It returns the leaf and the checkpoint.
// What the body means is for the caller, who MUST compare it with the thing
// at hand, for instance with the SHA-256 of a certificate.
func VerifyReceipt(r Receipt, vkey string) (Leaf, Checkpoint, error) {
	cp, err := VerifyInclusion(r.Proof, r.Leaf, vkey)
	if err != nil {
		return Leaf{}, Checkpoint{}, err
	}
	if err := VerifyBody(r.Leaf, r.Body); err != nil {
		return Leaf{}, Checkpoint{}, err
	}
	leaf, err := ParseLeaf(r.Leaf)
	return leaf, cp, err
}
