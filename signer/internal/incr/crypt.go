package incr

import "oruro.gob.bo/suti/signer/internal/cos"

// encrypted returns text, the one value of r or a part of it, as it is to stand
// in the file: with its strings encrypted if the file is encrypted. A fault is
// kept for Finish.
func (u *Update) encrypted(r cos.Ref, text []byte) []byte {
	c := u.f.Crypt()
	if c == nil {
		return text
	}
	out, err := c.EncryptText(r, text)
	if err != nil && u.err == nil {
		u.err = err
	}
	return out
}

// unpacked returns an object of an object stream as it is to stand on its own.
// Its strings are not encrypted in the object stream, only with it.
func (u *Update) unpacked(o *cos.Object) ([]byte, cos.Value, error) {
	if u.f.Crypt() == nil || o.Container == 0 {
		return o.Raw, o.Value, nil
	}
	raw, err := u.f.Crypt().EncryptText(o.Ref, o.Raw)
	if err != nil {
		return nil, cos.Value{}, err
	}
	v, _, err := cos.ParseValue(raw, cos.Limits{})
	return raw, v, err
}
