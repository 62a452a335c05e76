package cos

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"slices"
)

// decryptObject decrypts the strings of a plain object in place; its Raw stays
// as written. Not encrypted are the encryption dictionary, cross-reference
// streams and the /Contents of signatures (§7.6.2).
func (f *File) decryptObject(o *Object) error {
	c := f.crypt
	if c == nil || c.strings == identity || o.Ref.Num == c.dict || isXref(o) {
		return nil
	}
	var key []byte
	return eachString(&o.Value, func(v *Value) error {
		if key == nil {
			key = c.objectKey(o.Ref, c.strings)
		}
		plain, ok := decrypt(c.strings, key, []byte(v.str))
		if !ok {
			return damaged(CodeEncrypt, o.Offset+int64(v.start), "string that does not decrypt")
		}
		v.str = string(plain)
		return nil
	})
}

func isXref(o *Object) bool { return o.Stream != nil && o.Value.Get("Type").Name() == "XRef" }

// eachString calls fn for every string within v, at any depth, but for the
// /Contents of signature dictionaries. fn may change the string.
func eachString(v *Value, fn func(*Value) error) error {
	for todo := []*Value{v}; len(todo) > 0; {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if d.kind == String {
			if err := fn(d); err != nil {
				return err
			}
		}
		sig := isSignature(*d)
		for i := range d.kids {
			if k := &d.kids[i]; (k.kind == String || len(k.kids) > 0) && !(sig && i%2 == 1 && d.kids[i-1].str == "Contents") {
				todo = append(todo, k)
			}
		}
	}
	return nil
}

// isSignature reports whether v is a signature dictionary: one with a byte
// range and of no other type.
func isSignature(v Value) bool {
	if v.kind != Dict || v.Get("ByteRange").Kind() != Array {
		return false
	}
	switch t := v.Get("Type"); t.Name() {
	case "Sig", "DocTimeStamp":
		return true
	default:
		return t.IsNull()
	}
}

// decrypt decrypts data, which it may overwrite. ok is false if they are not
// of that kind. Empty data are left so: some writers do not encrypt them.
func decrypt(kind cipherKind, key, data []byte) (plain []byte, ok bool) {
	switch {
	case kind == identity || len(data) == 0:
		return data, true
	case kind == rc4V2:
		return rc4Crypt(key, data), true
	case len(data) < 2*aes.BlockSize || len(data)%aes.BlockSize != 0:
		return nil, false
	}
	plain = cbc(key, data[:aes.BlockSize], data[aes.BlockSize:])
	n := int(plain[len(plain)-1])
	if n < 1 || n > aes.BlockSize {
		return nil, false
	}
	return plain[:len(plain)-n], true
}

func encrypt(kind cipherKind, key, data []byte) ([]byte, error) {
	switch kind {
	case identity:
		return data, nil
	case rc4V2:
		return rc4Crypt(key, data), nil
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	n := aes.BlockSize - len(data)%aes.BlockSize
	out := slices.Concat(make([]byte, aes.BlockSize), data, bytes.Repeat([]byte{byte(n)}, n))
	if _, err := rand.Read(out[:aes.BlockSize]); err != nil {
		return nil, err
	}
	cipher.NewCBCEncrypter(block, out[:aes.BlockSize]).CryptBlocks(out[aes.BlockSize:], out[aes.BlockSize:])
	return out, nil
}

// EncryptText returns the text of one value, as it is to stand in the object
// r, with its strings encrypted and written in hexadecimal. /Contents of
// signatures stay as they are. What follows the value is kept.
func (c *Crypt) EncryptText(r Ref, text []byte) ([]byte, error) {
	if c.strings == identity {
		return text, nil
	}
	v, _, err := ParseValue(text, Limits{})
	if err != nil {
		return nil, err
	}
	var found []*Value
	_ = eachString(&v, func(s *Value) error {
		found = append(found, s)
		return nil
	})
	slices.SortFunc(found, func(a, b *Value) int { return int(a.start) - int(b.start) })
	key := c.objectKey(r, c.strings)
	var out bytes.Buffer
	at := 0
	for _, s := range found {
		enc, err := encrypt(c.strings, key, []byte(s.str))
		if err != nil {
			return nil, err
		}
		out.Write(text[at:s.start])
		out.WriteString("<" + hex.EncodeToString(enc) + ">")
		at = int(s.end)
	}
	out.Write(text[at:])
	return out.Bytes(), nil
}

// EncryptStream returns the data of a stream without a crypt filter of its
// own, as they are to stand in the object r.
func (c *Crypt) EncryptStream(r Ref, data []byte) ([]byte, error) {
	return encrypt(c.streams, c.objectKey(r, c.streams), data)
}

// streamCipher returns how the data of a stream are encrypted. named is the
// name that a /Crypt filter gives, "" if the stream has none.
func (f *File) streamCipher(o *Object, crypt bool, named string) (cipherKind, error) {
	c := f.crypt
	switch {
	case c == nil || isXref(o):
		if crypt && named != "Identity" {
			return 0, refuse(ErrUnsupported, CodeFilter, o.Offset, "crypt filter in a file that is not encrypted")
		}
		return identity, nil
	case crypt && c.version < 4:
		return 0, refuse(ErrUnsupported, CodeFilter, o.Offset, "crypt filter before version 4")
	case crypt:
		kind, ok := c.filters[named]
		if !ok {
			return 0, refuse(ErrUnsupported, CodeFilter, o.Offset, "crypt filter that is not defined")
		}
		return kind, nil
	case !c.encryptMetadata && o.Value.Get("Type").Name() == "Metadata":
		return identity, nil
	default:
		return c.streams, nil
	}
}
