package pades

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"strings"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/incr"
)

// esic is the developer extension that a document security store and document
// time-stamps are in PDF 1.7 (EN 319 142-1 §5.4.1); PDF 2.0 has them itself.
const esic = "<</BaseVersion /1.7 /ExtensionLevel 5>>"

// declareESIC adds the developer extension to the catalog unless there is one
// or the file is of PDF 2.0.
func declareESIC(u *incr.Update) error {
	cat, err := u.Catalog()
	if err != nil {
		return err
	}
	v, err := u.At(cat)
	if err != nil {
		return err
	}
	if max(u.File().HeaderVersion(), v.Get("Version").Name()) >= "2" {
		return nil
	}
	at, ext, err := u.Follow(cat, "Extensions")
	switch {
	case err != nil:
		return err
	case ext.IsNull():
		return u.Set(cat, "Extensions", []byte("<</ESIC "+esic+">>"))
	case ext.Kind() == cos.Dict && !ext.Has("ESIC"):
		return u.Set(at, "ESIC", []byte(esic))
	}
	return nil
}

// store adds evidence to the document security store (ISO 32000-2 §12.8.4.3),
// which it makes if there is none.
func store(u *incr.Update, certs, ocsps, crls [][]byte) error {
	cat, err := u.Catalog()
	if err != nil {
		return err
	}
	dss, v, err := u.Follow(cat, "DSS")
	if err != nil {
		return err
	}
	if v.IsNull() {
		r, err := u.Alloc()
		if err != nil {
			return err
		}
		u.Put(r, []byte("<</Type /DSS>>"))
		if err := u.Set(cat, "DSS", []byte(r.String())); err != nil {
			return err
		}
		dss = incr.Place{Ref: r}
	} else if v.Kind() != cos.Dict {
		return &incr.FormError{Detail: "/DSS is a " + v.Kind().String()}
	}
	for _, list := range []struct {
		key  string
		ders [][]byte
	}{{"Certs", certs}, {"OCSPs", ocsps}, {"CRLs", crls}} {
		if err := storeList(u, dss, list.key, list.ders); err != nil {
			return err
		}
	}
	return declareESIC(u)
}

func storeList(u *incr.Update, dss incr.Place, key string, ders [][]byte) error {
	if len(ders) == 0 {
		return nil
	}
	var refs []string
	for _, der := range ders {
		r, err := u.Alloc()
		if err != nil {
			return err
		}
		putDER(u, r, der)
		refs = append(refs, r.String())
	}
	at, v, err := u.Follow(dss, key)
	switch {
	case err != nil:
		return err
	case v.Kind() == cos.Array:
		return u.Append(at, []byte(strings.Join(refs, " ")))
	case v.IsNull():
		return u.Set(dss, key, []byte("["+strings.Join(refs, " ")+"]"))
	default:
		return &incr.FormError{Detail: fmt.Sprintf("/%s of the document security store is a %v", key, v.Kind())}
	}
}

// compressFrom is from which size on a list is compressed; small ones do not gain.
const compressFrom = 16 << 10

func putDER(u *incr.Update, r cos.Ref, der []byte) {
	if len(der) >= compressFrom {
		var b bytes.Buffer
		w := zlib.NewWriter(&b)
		_, err := w.Write(der)
		if err == nil && w.Close() == nil && b.Len() < len(der)*9/10 {
			u.PutStream(r, "<</Filter /FlateDecode>>", b.Bytes())
			return
		}
	}
	u.PutStream(r, "<<>>", der)
}
