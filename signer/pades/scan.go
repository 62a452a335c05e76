package pades

import (
	"context"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// walk reads every object of f that is in use.
func walk(ctx context.Context, f *cos.File, fn func(*cos.Object) error) error {
	n := 0
	return f.Objects(func(num uint32, e cos.Entry) error {
		if n++; n%512 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		o, err := f.Get(cos.Ref{Num: num, Gen: e.Gen})
		if err != nil {
			return err
		}
		return fn(o)
	})
}
