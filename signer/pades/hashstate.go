package pades

import (
	"bytes"
	"context"
	"crypto"
	"encoding"
	"fmt"
	"hash"
	"io"
)

// saveSHA256 returns the state of a digest that is not finished, so that what
// follows the base can be digested without reading the base again.
func saveSHA256(h hash.Hash) ([]byte, error) {
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, fmt.Errorf("pades: state of digest cannot be saved")
	}
	return m.MarshalBinary()
}

// resumeSHA256 goes on from a state. The error is [ErrSession].
func resumeSHA256(state []byte) (hash.Hash, error) {
	h := crypto.SHA256.New()
	u, ok := h.(encoding.BinaryUnmarshaler)
	if !ok {
		return nil, fmt.Errorf("pades: state of digest cannot be read")
	}
	if err := u.UnmarshalBinary(state); err != nil {
		return nil, fmt.Errorf("%w: state of digest: %w", ErrSession, err)
	}
	return h, nil
}

func cloneSHA256(h hash.Hash) (hash.Hash, error) {
	state, err := saveSHA256(h)
	if err != nil {
		return nil, err
	}
	return resumeSHA256(state)
}

// state returns the digest of the base, from what is stored or by reading it.
func (s *Session) state(ctx context.Context, base io.ReaderAt) (hash.Hash, error) {
	if s.baseState != nil {
		return resumeSHA256(s.baseState)
	}
	h := crypto.SHA256.New()
	if err := digestFile(ctx, base, s.baseSize, h); err != nil {
		return nil, err
	}
	if !bytes.Equal(h.Sum(nil), s.baseSHA256[:]) {
		return nil, ErrBase
	}
	return h, nil
}
