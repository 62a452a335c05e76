package pades

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// RepairOptions says how a file is to be repaired.
type RepairOptions struct {
	// Password opens an encrypted file.
	Password string
	// Limits bounds what is read; the zero value means the defaults.
	Limits Limits
}

// Repaired is a file made from one that [Preflight] refuses as damaged. It is
// another document: a person must look at it before it is signed.
type Repaired struct {
	RepairReport
	file *cos.Repaired
}

// RepairReport says how a repaired file differs from the damaged one. Its JSON
// form is stable.
type RepairReport struct {
	// Refused is why the damaged file was refused.
	Refused Code   `json:"refused"`
	Detail  string `json:"detail"`
	// Fixes are what was done, and how often; see the Fix codes.
	Fixes   []Finding `json:"fixes"`
	Objects int       `json:"objects"`
	Pages   int       `json:"pages"`
	// BeforeSize and BeforeSHA256 are of the damaged file, AfterSize and
	// AfterSHA256 of the repaired one.
	BeforeSize   int64  `json:"before_size"`
	BeforeSHA256 string `json:"before_sha256"`
	AfterSize    int64  `json:"after_size"`
	AfterSHA256  string `json:"after_sha256"`
}

// Codes of [RepairReport].Fixes.
const (
	FixHeader       = cos.FixHeader
	FixXref         = cos.FixXref
	FixTrailer      = cos.FixTrailer
	FixStreamLength = cos.FixStreamLength
	FixStreamStart  = cos.FixStreamStart
	FixEndobj       = cos.FixEndobj
	FixSuperseded   = cos.FixSuperseded
	FixComment      = cos.FixComment
	FixLinearized   = cos.FixLinearized
)

// ErrNothingToRepair reports a file that can be signed as it is.
var ErrNothingToRepair = errors.New("pades: nothing to repair")

// Repair makes a file that can be signed from one whose header is not at its
// beginning or whose cross-reference is wrong. It is never done in passing:
// neither [Sign] nor [Verify] repairs. What comes out passes [Preflight].
//
// Errors: [ErrNothingToRepair]; [*RefusedError], with [CodeSigned] if the file
// holds a signature, which a repair would break; ctx's; those of base.
func Repair(ctx context.Context, base io.ReaderAt, size int64, o RepairOptions) (*Repaired, error) {
	_, err := PreflightPassword(ctx, base, size, o.Password, o.Limits)
	var refused *RefusedError
	switch {
	case err == nil:
		return nil, ErrNothingToRepair
	case !errors.As(err, &refused) || refused.Code != CodeHeader && refused.Code != CodeDamaged:
		return nil, err
	}
	file, err := cos.Repair(ctx, base, size, o.Password, o.Limits)
	if errors.Is(err, cos.ErrSigned) {
		return nil, &RefusedError{Code: CodeSigned, Detail: err.Error(), Err: err}
	}
	if err != nil {
		return nil, refusal(err)
	}
	after, err := PreflightPassword(ctx, file, file.Size(), o.Password, o.Limits)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	if err := digestFile(ctx, base, size, sum); err != nil {
		return nil, err
	}
	return &Repaired{file: file, RepairReport: RepairReport{
		Refused: refused.Code, Detail: refused.Detail, Fixes: sortedFindings(file.Fixes), Objects: file.Objects, Pages: after.Pages,
		BeforeSize: size, BeforeSHA256: hex.EncodeToString(sum.Sum(nil)), AfterSize: file.Size(), AfterSHA256: after.SHA256,
	}}, nil
}

// WriteTo writes the repaired file.
func (r *Repaired) WriteTo(ctx context.Context, w io.Writer) (int64, error) {
	return copyBase(ctx, w, r.file, r.file.Size())
}
