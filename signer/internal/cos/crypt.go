package cos

import (
	"encoding/binary"
)

// cipherKind is how strings or streams are encrypted.
type cipherKind uint8

const (
	identity cipherKind = iota // not at all
	rc4V2                      // RC4 with a key per object
	aesV2                      // AES-128-CBC with a key per object
	aesV3                      // AES-256-CBC with the file's key
)

// Crypt is the open encryption of a file (§7.6): the standard security handler
// with its key. It is immutable.
type Crypt struct {
	key             []byte
	version         int // /V
	revision        int // /R
	permissions     uint32
	owner           bool
	strings         cipherKind
	streams         cipherKind
	filters         map[string]cipherKind
	encryptMetadata bool
	dict            uint32 // number of the encryption dictionary, 0 if it stands in the trailer
}

// Bits of user access permissions (table 22), by their position from 1.
const (
	bitModify   = 1 << 3 // 4: change the document otherwise than below
	bitAnnotate = 1 << 5 // 6: annotate, fill in; with bitModify, make fields
	bitFillIn   = 1 << 8 // 9: fill in and sign fields, even without bitAnnotate
)

// MayFillIn reports whether an existing form field may be filled in or signed.
func (c *Crypt) MayFillIn() bool {
	return c.owner || c.permissions&bitAnnotate != 0 || c.revision >= 3 && c.permissions&bitFillIn != 0
}

// MayAddFields reports whether a form field may be made.
func (c *Crypt) MayAddFields() bool {
	return c.owner || c.permissions&bitAnnotate != 0 && c.permissions&bitModify != 0
}

// MayModify reports whether the document may be changed.
func (c *Crypt) MayModify() bool { return c.owner || c.permissions&bitModify != 0 }

// Owner reports whether the file was opened with the owner's password: then
// everything is permitted.
func (c *Crypt) Owner() bool { return c.owner }

// Method names the encryption, such as "RC4-40", "AES-128" or "AES-256".
func (c *Crypt) Method() string {
	kind := c.streams
	if kind == identity {
		kind = c.strings
	}
	switch kind {
	case rc4V2:
		if len(c.key) == 5 {
			return "RC4-40"
		}
		return "RC4-128"
	case aesV2:
		return "AES-128"
	case aesV3:
		return "AES-256"
	default:
		return "none"
	}
}

// Crypt returns the encryption of the file, nil if it is not encrypted.
func (f *File) Crypt() *Crypt { return f.crypt }

// openCrypt reads the encryption dictionary and finds the key. Every section
// must name the same dictionary, and no update may bring another.
func (f *File) openCrypt(password string) error {
	newest := f.Trailer().Get("Encrypt")
	for _, s := range f.sections {
		if !Equal(s.trailer.Value.Get("Encrypt"), newest) {
			return refuse(ErrAmbiguous, CodeEncrypt, s.offset, "trailers disagree about /Encrypt")
		}
	}
	if newest.IsNull() {
		return nil
	}
	num, err := f.soleEncryptObject(newest)
	if err != nil {
		return err
	}
	o, err := f.ResolveObject(newest)
	if err != nil {
		return err
	}
	d := o.Value
	if d.Kind() != Dict || o.Stream != nil || o.Ref.Num != num {
		return damaged(CodeEncrypt, o.Offset, "/Encrypt is no dictionary")
	}
	if _, dup := d.Duplicate(); dup {
		return refuse(ErrAmbiguous, CodeEncrypt, o.Offset, "key written twice")
	}
	switch d.Get("Filter").Name() {
	case "Standard":
	case "Adobe.PubSec", "Adobe.PPKLite", "Entrust.PPKEF":
		return refuse(ErrEncrypted, CodeEncrypt, o.Offset, "encrypted for certificates, not with a password")
	default:
		return refuse(ErrEncrypted, CodeEncrypt, o.Offset, "security handler that is not the standard one")
	}
	c, err := readCrypt(d, o.Offset)
	if err != nil {
		return err
	}
	c.dict = num
	id := ""
	if ids := f.Trailer().Get("ID"); ids.Kind() == Array && ids.Len() > 0 {
		id, _ = ids.Elem(0).Text()
	}
	p := passwords{dict: d, id: id, crypt: c, offset: o.Offset}
	if err := p.unlock(password); err != nil {
		return err
	}
	f.crypt = c
	return nil
}

// soleEncryptObject returns the number of the encryption dictionary, 0 if it
// is direct. It refuses one that lies in an object stream or that an update
// defines again.
func (f *File) soleEncryptObject(v Value) (uint32, error) {
	r, ok := v.Ref()
	if !ok {
		return 0, nil
	}
	times := 0
	var where Entry
	for _, s := range f.sections {
		e, err := s.effective(r.Num)
		if err != nil {
			return 0, err
		}
		switch e.Kind {
		case InUse:
			if times == 0 || e != where {
				times++
			}
			where = e
		case Compressed:
			times = 2
		}
	}
	if times != 1 {
		return 0, refuse(ErrAmbiguous, CodeEncrypt, -1, "encryption dictionary is not one plain object")
	}
	return r.Num, nil
}

// readCrypt reads what the encryption dictionary says apart from passwords
// (tables 20 and 21).
func readCrypt(d Value, off int64) (*Crypt, error) {
	v, _ := d.Get("V").Int()
	r, _ := d.Get("R").Int()
	perm, ok := d.Get("P").Int()
	if !ok || perm < -1<<31 || perm >= 1<<32 {
		return nil, damaged(CodeEncrypt, off, "no permissions")
	}
	c := &Crypt{version: int(v), revision: int(r), permissions: uint32(perm), encryptMetadata: true, filters: map[string]cipherKind{}}
	if em := d.Get("EncryptMetadata"); !em.IsNull() && v >= 4 {
		if c.encryptMetadata, ok = em.Bool(); !ok {
			return nil, damaged(CodeEncrypt, off, "/EncryptMetadata is no boolean")
		}
	}
	bits := intOr(d, "Length", 40)
	switch {
	case v == 1 && (r == 2 || r == 3):
		c.key = make([]byte, 5)
	case v == 2 && (r == 2 || r == 3):
		if bits < 40 || bits > 128 || bits%8 != 0 {
			return nil, damaged(CodeEncrypt, off, "key of %d bits", bits)
		}
		c.key = make([]byte, bits/8)
	case v == 4 && r == 4:
		c.key = make([]byte, 16)
	case v == 5 && (r == 5 || r == 6):
		c.key = make([]byte, 32)
	default:
		return nil, refuse(ErrUnsupported, CodeEncrypt, off, "encryption of version %d, revision %d", v, r)
	}
	if v < 4 {
		c.strings, c.streams = rc4V2, rc4V2
		return c, nil
	}
	return c, c.readFilters(d, off)
}

// readFilters reads the crypt filters (§7.6.6).
func (c *Crypt) readFilters(d Value, off int64) error {
	c.filters["Identity"] = identity
	cf := d.Get("CF")
	for i := range cf.Len() {
		if cf.Kind() != Dict {
			return damaged(CodeEncrypt, off, "/CF is no dictionary")
		}
		name, def := cf.Entry(i)
		if def.Kind() != Dict {
			return damaged(CodeEncrypt, off, "crypt filter that is no dictionary")
		}
		if name.Name() == "Identity" {
			return refuse(ErrAmbiguous, CodeEncrypt, off, "crypt filter that redefines Identity")
		}
		kind := identity
		switch m := def.Get("CFM").Name(); {
		case m == "V2" && c.version == 4:
			kind = rc4V2
		case m == "AESV2" && c.version == 4:
			kind = aesV2
		case m == "AESV3" && c.version == 5:
			kind = aesV3
		case m == "None" || m == "":
			continue // the application decrypts: nothing we can use
		default:
			return refuse(ErrUnsupported, CodeEncrypt, off, "crypt filter method")
		}
		c.filters[name.Name()] = kind
	}
	for key, to := range map[string]*cipherKind{"StrF": &c.strings, "StmF": &c.streams} {
		name := "Identity"
		if v := d.Get(key); !v.IsNull() {
			name = v.Name()
		}
		kind, ok := c.filters[name]
		if !ok {
			return refuse(ErrUnsupported, CodeEncrypt, off, "crypt filter that is not defined")
		}
		*to = kind
	}
	return nil
}

// objectKey returns the key for an object (§7.6.3.2, algorithm 1).
func (c *Crypt) objectKey(r Ref, kind cipherKind) []byte {
	if kind == aesV3 {
		return c.key
	}
	var b [9]byte
	binary.LittleEndian.PutUint32(b[:4], r.Num)
	binary.LittleEndian.PutUint16(b[3:5], r.Gen)
	n := 5
	if kind == aesV2 {
		n = 5 + copy(b[5:], "sAlT")
	}
	sum := md5Sum(c.key, b[:n])
	return sum[:min(len(c.key)+5, 16)]
}
