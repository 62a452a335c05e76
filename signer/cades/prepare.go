package cades

import (
	"bytes"
	"context"
	"crypto"
	_ "crypto/sha256" // digests of content
	_ "crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"

	"oruro.gob.bo/suti/internal/cms"
)

// Prepare digests the content, once and as it comes, and fixes everything that
// is to be signed but the certificate. Signatures in Options.Existing must hold
// over the same content.
//
// Errors: [*RefusedError]; [ErrOptions]; ctx's; those of content.
func Prepare(ctx context.Context, content io.Reader, o Options) (*Session, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if _, err := cms.MimeType(o.MediaType); err != nil {
		return nil, fmt.Errorf("%w: media type: %w", ErrOptions, err)
	}
	var others []*cms.SignedData
	if o.Existing != nil {
		var err error
		if others, err = parse(o.Existing); err != nil {
			return nil, err
		}
		if others[0].WasBER {
			return nil, &RefusedError{Code: CodeNotDER, Detail: "adding a signer would write other people's signatures anew"}
		}
	}
	sums, size, err := digest(ctx, content, append(hashesOf(others), o.Hash)...)
	if err != nil {
		return nil, err
	}
	for i, sd := range others {
		if _, err := verifyValue(sd, sums, nil); errors.Is(err, cms.ErrMessageDigest) {
			return nil, &RefusedError{Code: CodeContent, Detail: fmt.Sprintf("signature %d is over another file", i+1), Err: err}
		} else if err != nil {
			return nil, &RefusedError{Code: CodeBroken, Detail: fmt.Sprintf("signature %d: %v", i+1, err), Err: err}
		}
	}
	return &Session{
		size: size, sha256: [32]byte(sums[crypto.SHA256]), hash: o.Hash, digest: sums[o.Hash], mediaType: o.MediaType,
		requested: o.Level, signingTime: o.SigningTime.UTC().Truncate(1e9), existing: bytes.Clone(o.Existing),
	}, nil
}

// hashesOf returns the digest algorithms of signers.
func hashesOf(sds []*cms.SignedData) []crypto.Hash {
	var out []crypto.Hash
	for _, sd := range sds {
		out = append(out, sd.Signer.DigestAlgorithm)
	}
	return out
}

// digest reads content to its end and returns its digests by SHA-256 and
// others, and its size.
func digest(ctx context.Context, content io.Reader, others ...crypto.Hash) (map[crypto.Hash][]byte, int64, error) {
	states := map[crypto.Hash]hash.Hash{crypto.SHA256: crypto.SHA256.New()}
	for _, h := range others {
		if states[h] == nil && h.Available() {
			states[h] = h.New()
		}
	}
	var to []io.Writer
	for _, s := range states {
		to = append(to, s)
	}
	n, err := io.CopyBuffer(io.MultiWriter(to...), &stoppable{ctx, content}, make([]byte, 256<<10))
	if err != nil {
		return nil, 0, fmt.Errorf("cades: read content: %w", err)
	}
	sums := map[crypto.Hash][]byte{}
	for h, s := range states {
		sums[h] = s.Sum(nil)
	}
	return sums, n, nil
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

// parse reads a signature file of one or more signers, detached.
func parse(der []byte) ([]*cms.SignedData, error) {
	all, err := cms.ParseSigners(der, true)
	if err != nil {
		code := CodeMalformed
		switch {
		case errors.Is(err, cms.ErrTooLarge), errors.Is(err, cms.ErrTooDeep), errors.Is(err, cms.ErrTooMany):
			code = CodeLimit
		case errors.Is(err, cms.ErrAlgorithm), errors.Is(err, cms.ErrWeakAlgorithm), errors.Is(err, cms.ErrUnknownElement), errors.Is(err, cms.ErrVersion):
			code = CodeUnsupported
		}
		return nil, &RefusedError{Code: code, Detail: err.Error(), Err: err}
	}
	if all[0].Content != nil {
		return nil, &RefusedError{Code: CodeAttached, Detail: "the signature holds its content; only detached ones are read"}
	}
	return all, nil
}
