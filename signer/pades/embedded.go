package pades

import (
	"context"
	"crypto/x509"
	"errors"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// Bounds of what is taken: items of one list of the document security store,
// and bytes of all its lists.
const (
	maxStoreItems = 1024
	maxStoreBytes = 64 << 20
)

// stored counts what the document security store of a file has been found to hold.
type stored struct {
	items map[string]int // of each list
	bytes int
}

// gather reads the evidence in the file and in its signatures.
func (v *verifier) gather(ctx context.Context) error {
	for _, c := range v.sigs {
		if c.sd == nil || c.Revision < 0 {
			continue
		}
		// What stands in the hole of a signature is covered from the next revision on.
		v.Store.AddSignedData(c.sd, c.Revision+1)
	}
	return v.readStore(ctx)
}

// readStore reads the document security store. What of it does not read is
// passed over with a warning: it is not needed for the signature to be whole.
func (v *verifier) readStore(ctx context.Context) error {
	cat, err := v.f.Catalog()
	if err != nil {
		return err
	}
	dss, err := v.f.Resolve(cat.Value.Get("DSS"))
	if err != nil || dss.IsNull() {
		return err
	}
	revs, err := v.f.Revisions()
	if err != nil {
		return err
	}
	r := storeReader{v: v, revs: revs}
	for _, list := range []struct {
		key  string
		take func(der []byte, revision int) error
	}{
		{"Certs", func(der []byte, _ int) error {
			c, err := x509.ParseCertificate(der)
			if err == nil {
				v.Store.AddCertificate(c)
			}
			return err
		}},
		{"OCSPs", func(der []byte, rev int) error { v.Store.AddOCSP(der, rev); return nil }},
		{"CRLs", func(der []byte, rev int) error { v.Store.AddCRL(der, rev); return nil }},
	} {
		if err := r.list(ctx, dss, list.key, list.take); err != nil {
			return err
		}
	}
	if r.bad > 0 {
		v.Warn(WarnEvidence, "%d items of the document security store cannot be used", r.bad)
	}
	return nil
}

type storeReader struct {
	v    *verifier
	revs []cos.Revision
	bad  int
}

func (r *storeReader) list(ctx context.Context, dss cos.Value, key string, take func([]byte, int) error) error {
	arr, err := r.v.f.Resolve(dss.Get(key))
	if err != nil {
		return err
	}
	have := &r.v.stored
	if have.items == nil {
		have.items = map[string]int{}
	}
	for _, e := range arr.Elems() {
		if err := ctx.Err(); err != nil {
			return err
		}
		have.items[key]++
		if have.items[key] > maxStoreItems || have.bytes >= maxStoreBytes {
			r.bad++
			continue
		}
		o, err := r.v.f.ResolveObject(e)
		if err != nil {
			return err
		}
		if o.Stream == nil || o.Ref.Num == 0 {
			r.bad++
			continue
		}
		der, err := r.v.f.Decode(o)
		if err != nil {
			var c *cos.Error
			if !errors.As(err, &c) {
				return err
			}
			r.bad++
			continue
		}
		have.bytes += len(der)
		if take(der, r.revision(o)) != nil {
			r.bad++
		}
	}
	return nil
}

// revision returns the revision that an object was written in, from 0.
func (r *storeReader) revision(o *cos.Object) int {
	for i, rev := range r.revs {
		if o.Header >= rev.Start && o.Header < rev.End {
			return i
		}
	}
	return len(r.revs)
}
