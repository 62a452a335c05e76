package cos

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/rc4"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"slices"
	"strings"
)

// passwordPad fills up passwords (§7.6.4.3.2).
const passwordPad = "\x28\xbf\x4e\x5e\x4e\x75\x8a\x41\x64\x00\x4e\x56\xff\xfa\x01\x08\x2e\x2e\x00\xb6\xd0\x68\x3e\x80\x2f\x0c\xa9\xfe\x64\x53\x69\x7a"

// maxHashRounds bounds algorithm 2.B, which ends by chance: after 64 rounds
// and, with overwhelming likelihood, some ten more.
const maxHashRounds = 1024

// passwords finds the key of a file from a password (§7.6.4).
type passwords struct {
	dict   Value
	id     string
	crypt  *Crypt
	offset int64
	o, u   string
}

// unlock tries a password as the owner's and as the user's. The empty
// password, which stands for none being given, is only the user's: that it
// opens a file gives nobody the owner's rights.
func (p *passwords) unlock(password string) error {
	if len(password) > 1024 {
		return refuse(ErrLimit, CodePassword, p.offset, "password of more than 1024 bytes")
	}
	p.o, _ = p.dict.Get("O").Text()
	p.u, _ = p.dict.Get("U").Text()
	found := false
	var err error
	if p.crypt.version == 5 {
		found, err = p.unlockV5(password)
	} else {
		found, err = p.unlockOld(password)
	}
	switch {
	case err != nil:
		return err
	case !found && password == "":
		return refuse(ErrEncrypted, CodeEncrypt, p.offset, "needs a password")
	case !found:
		return refuse(ErrEncrypted, CodePassword, p.offset, "does not open with this password")
	}
	return nil
}

func (p *passwords) unlockOld(password string) (bool, error) {
	if len(p.o) < 32 || len(p.u) < 32 {
		return false, damaged(CodeEncrypt, p.offset, "/O or /U is too short")
	}
	p.o, p.u = p.o[:32], p.u[:32]
	tries := []string{password}
	if latin, ok := pdfDoc(password); ok && latin != password {
		tries = []string{latin, password}
	}
	for _, pw := range tries {
		if pw != "" {
			if key, ok := p.userKey(p.ownersUser(pw)); ok {
				p.crypt.key, p.crypt.owner = key, true
				return true, nil
			}
		}
		if key, ok := p.userKey(pad(pw)); ok {
			p.crypt.key = key
			return true, nil
		}
	}
	return false, nil
}

func pad(pw string) string { return (pw + passwordPad)[:32] }

// pdfDoc encodes a password in PDFDocEncoding, if it has only characters that
// it shares with Latin-1.
func pdfDoc(s string) (string, bool) {
	var b strings.Builder
	for _, r := range s {
		if r > 0xff || r >= 0x80 && r <= 0xa0 || r == 0xad {
			return "", false
		}
		b.WriteByte(byte(r))
	}
	return b.String(), true
}

// userKey computes the key from a padded user password (algorithm 2) and
// checks it against /U (algorithms 4 to 6).
func (p *passwords) userKey(padded string) ([]byte, bool) {
	n := len(p.crypt.key)
	var perm [4]byte
	binary.LittleEndian.PutUint32(perm[:], p.crypt.permissions)
	parts := [][]byte{[]byte(padded), []byte(p.o), perm[:], []byte(p.id)}
	if p.crypt.revision >= 4 && !p.crypt.encryptMetadata {
		parts = append(parts, []byte{0xff, 0xff, 0xff, 0xff})
	}
	key := md5Sum(parts...)
	if p.crypt.revision >= 3 {
		for range 50 {
			key = md5Sum(key[:n])
		}
	}
	key = key[:n]
	if p.crypt.revision == 2 {
		return key, equal(rc4Crypt(key, []byte(passwordPad)), []byte(p.u))
	}
	u := rc4Crypt(key, md5Sum([]byte(passwordPad), []byte(p.id)))
	for i := 1; i < 20; i++ {
		u = rc4Crypt(xored(key, byte(i)), u)
	}
	return key, equal(u, []byte(p.u[:16]))
}

// ownersUser decrypts the padded user password in /O (algorithm 7).
func (p *passwords) ownersUser(pw string) string {
	n := len(p.crypt.key)
	key := md5Sum([]byte(pad(pw)))
	out := []byte(p.o)
	if p.crypt.revision == 2 {
		return string(rc4Crypt(key[:n], out))
	}
	for range 50 {
		key = md5Sum(key[:n])
	}
	for i := 19; i >= 0; i-- {
		out = rc4Crypt(xored(key[:n], byte(i)), out)
	}
	return string(out)
}

// unlockV5 finds the key of AES-256 (algorithms 2.A and 13).
func (p *passwords) unlockV5(password string) (bool, error) {
	oe, _ := p.dict.Get("OE").Text()
	ue, _ := p.dict.Get("UE").Text()
	perms, _ := p.dict.Get("Perms").Text()
	if len(p.o) < 48 || len(p.u) < 48 || len(oe) < 32 || len(ue) < 32 || len(perms) < 16 {
		return false, damaged(CodeEncrypt, p.offset, "/O, /U, /OE, /UE or /Perms is too short")
	}
	o, u := p.o[:48], p.u[:48]
	pw := []byte(password)[:min(len(password), 127)]
	for _, t := range []struct {
		entry, salt, wrapped string
		owner                bool
	}{{o, u, oe, true}, {u, "", ue, false}} {
		if t.owner && password == "" {
			continue
		}
		sum, err := p.hash(pw, t.entry[32:40], t.salt)
		if err != nil {
			return false, err
		}
		if !equal(sum, []byte(t.entry[:32])) {
			continue
		}
		wrap, err := p.hash(pw, t.entry[40:48], t.salt)
		if err != nil {
			return false, err
		}
		p.crypt.key, p.crypt.owner = cbc(wrap, make([]byte, 16), []byte(t.wrapped[:32])), t.owner
		return true, p.checkPerms([]byte(perms[:16]))
	}
	return false, nil
}

// checkPerms compares the encrypted copy of the permissions with the plain one
// (algorithm 13): a difference means that somebody has changed them.
func (p *passwords) checkPerms(perms []byte) error {
	block, err := aes.NewCipher(p.crypt.key)
	if err != nil {
		return damaged(CodeEncrypt, p.offset, "file key: %v", err)
	}
	out := make([]byte, 16)
	block.Decrypt(out, perms)
	meta := byte('F')
	if p.crypt.encryptMetadata {
		meta = 'T'
	}
	if string(out[9:12]) != "adb" || binary.LittleEndian.Uint32(out) != p.crypt.permissions || out[8] != meta {
		return refuse(ErrAmbiguous, CodeEncrypt, p.offset, "permissions differ from their encrypted copy")
	}
	return nil
}

// hash is algorithm 2.B, or SHA-256 for revision 5.
func (p *passwords) hash(pw []byte, salt, udata string) ([]byte, error) {
	first := sha256.Sum256(slices.Concat(pw, []byte(salt), []byte(udata)))
	k := first[:]
	if p.crypt.revision == 5 {
		return k, nil
	}
	for i := 0; i < maxHashRounds; i++ {
		one := slices.Concat(pw, k, []byte(udata))
		e := bytes.Repeat(one, 64)
		block, err := aes.NewCipher(k[:16])
		if err != nil {
			return nil, damaged(CodeEncrypt, p.offset, "password hash: %v", err)
		}
		cipher.NewCBCEncrypter(block, k[16:32]).CryptBlocks(e, e)
		mod := 0
		for _, c := range e[:16] {
			mod += int(c)
		}
		switch mod % 3 {
		case 0:
			s := sha256.Sum256(e)
			k = s[:]
		case 1:
			s := sha512.Sum384(e)
			k = s[:]
		default:
			s := sha512.Sum512(e)
			k = s[:]
		}
		if i >= 63 && int(e[len(e)-1]) <= i-31 {
			return k[:32], nil
		}
	}
	return nil, refuse(ErrLimit, CodeEncrypt, p.offset, "password hash does not end")
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

func md5Sum(parts ...[]byte) []byte {
	h := md5.New()
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	return h.Sum(nil)
}

func xored(key []byte, with byte) []byte {
	out := bytes.Clone(key)
	for i := range out {
		out[i] ^= with
	}
	return out
}

// rc4Crypt en- or decrypts; the key has 5 to 16 bytes.
func rc4Crypt(key, data []byte) []byte {
	out := make([]byte, len(data))
	c, err := rc4.NewCipher(key)
	if err != nil {
		return out // not reached: keys have 5 to 16 bytes
	}
	c.XORKeyStream(out, data)
	return out
}

// cbc decrypts whole blocks with AES.
func cbc(key, iv, data []byte) []byte {
	out := make([]byte, len(data))
	block, err := aes.NewCipher(key)
	if err != nil {
		return out // not reached: keys have 16 or 32 bytes
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(out, data)
	return out
}
