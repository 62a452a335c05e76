package envelope

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"
)

// PurposeNode is the purpose of the key file of an ordinary node.
const PurposeNode = "node"

// Bounds of passphrases in bytes, and of the KEKs in one file.
const (
	MinPassphrase = 12
	MaxPassphrase = 1024
	MaxKEKs       = 4
)

// Serial prefixes of nodes: the first byte of every serial number they make.
// 0x00 and 0x80 upwards would change the length or sign of a DER INTEGER.
const (
	MinSerialPrefix = 0x01
	MaxSerialPrefix = 0x7f
)

// Errors of key files, beside those of header.go and store.go.
var (
	// ErrPassphrase: the passphrase is wrong, or the file was changed; which
	// of these cannot be told.
	ErrPassphrase = errors.New("envelope: wrong passphrase, or the key file was changed")
	// ErrWeakPassphrase: shorter than [MinPassphrase] or longer than [MaxPassphrase].
	ErrWeakPassphrase = errors.New("envelope: passphrase too short or too long")
	// ErrPurpose: the file is for something else.
	ErrPurpose = errors.New("envelope: key file is for another purpose")
	// ErrKEKs: no KEK would be left, too many, one twice, or one that is not there.
	ErrKEKs = errors.New("envelope: impossible change of the KEKs in a key file")
)

// FileConfig says what [CreateFile] writes. The zero value makes a first node.
type FileConfig struct {
	Purpose      string    // default [PurposeNode]
	Params       Params    // default 64 MiB, 3 passes, 4 lanes
	Created      time.Time // default now
	KEKs         []Key     // default one fresh key; a second node of the same database takes those of the first
	SerialPrefix byte      // default drawn at random from 01 to 7f
}

// File is an opened key file. It holds secrets and prints as "[redacted]".
type File struct {
	Header       Header
	NodeID       string // "nod_" and 26 Crockford base32 symbols of 128 random bits
	SerialPrefix byte   // [MinSerialPrefix] to [MaxSerialPrefix]

	node Key // Ed25519 seed
	keks []Key
}

// KEK returns the current key encryption key: the first of [File.KEKs].
func (f *File) KEK() Key { return f.keks[0] }

// KEKs returns all key encryption keys, the current one first. More than one
// is there only while a re-wrap is prepared or not yet finished.
func (f *File) KEKs() []Key { return slices.Clone(f.keks) }

// NodeKey returns the node's Ed25519 key. The caller MUST NOT print it.
func (f *File) NodeKey() ed25519.PrivateKey {
	seed := f.node.Reveal()
	defer clear(seed)
	return ed25519.NewKeyFromSeed(seed)
}

// Wipe overwrites every secret of f; no copy of its keys works afterwards.
func (f *File) Wipe() {
	f.node.Wipe()
	for _, k := range f.keks {
		k.Wipe()
	}
}

// Format implements [fmt.Formatter] for every verb and flag.
func (*File) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// LogValue implements [slog.LogValuer].
func (*File) LogValue() slog.Value { return slog.StringValue(redacted) }

func newFile(c FileConfig) (*File, error) {
	f := &File{
		Header: Header{Purpose: c.Purpose, Created: c.Created.UTC().Truncate(time.Second), Params: c.Params.withDefaults()},
		NodeID: newNodeID(), SerialPrefix: c.SerialPrefix, node: NewKey(),
	}
	for _, k := range c.KEKs {
		f.keks = append(f.keks, k.clone()) // f.Wipe spares the caller's
	}
	if f.Header.Purpose == "" {
		f.Header.Purpose = PurposeNode
	}
	if c.Created.IsZero() {
		f.Header.Created = time.Now().UTC().Truncate(time.Second)
	}
	if f.SerialPrefix == 0 {
		f.SerialPrefix = randomPrefix()
	}
	if len(f.keks) == 0 {
		f.keks = []Key{NewKey()}
	}
	return f, f.check()
}

func (f *File) check() error {
	if err := checkPurpose(f.Header.Purpose); err != nil {
		return err
	}
	if err := f.Header.Params.check(); err != nil {
		return err
	}
	if y := f.Header.Created.Year(); y < 1 || y > 9999 {
		return fmt.Errorf("%w: year %d", ErrFormat, y)
	}
	if f.SerialPrefix < MinSerialPrefix || f.SerialPrefix > MaxSerialPrefix {
		return fmt.Errorf("%w: serial prefix %#02x is not in 01 to 7f", ErrFormat, f.SerialPrefix)
	}
	if len(f.keks) < 1 || len(f.keks) > MaxKEKs {
		return fmt.Errorf("%w: %d of at most %d", ErrKEKs, len(f.keks), MaxKEKs)
	}
	for i, k := range f.keks {
		if k.IsZero() {
			return ErrNoKey
		}
		if slices.ContainsFunc(f.keks[:i], k.Equal) {
			return fmt.Errorf("%w: one of them twice", ErrKEKs)
		}
	}
	return nil
}

// addKEK makes k the last key.
func (f *File) addKEK(k Key) error {
	f.keks = append(slices.Clone(f.keks), k.clone())
	return f.check()
}

// dropKEK removes the key with that fingerprint.
func (f *File) dropKEK(fingerprint string) error {
	i := f.find(fingerprint)
	if i < 0 {
		return fmt.Errorf("%w: no such fingerprint", ErrKEKs)
	}
	f.keks = slices.Delete(slices.Clone(f.keks), i, i+1)
	return f.check()
}

// promoteKEK makes the key with that fingerprint the current one.
func (f *File) promoteKEK(fingerprint string) error {
	i := f.find(fingerprint)
	if i < 0 {
		return fmt.Errorf("%w: no such fingerprint", ErrKEKs)
	}
	k := f.keks[i]
	f.keks = slices.Insert(slices.Delete(slices.Clone(f.keks), i, i+1), 0, k)
	return f.check()
}

func (f *File) find(fingerprint string) int {
	return slices.IndexFunc(f.keks, func(k Key) bool { return k.Fingerprint() == fingerprint })
}

// The payload of the box: version (1) ‖ serial prefix (1) ‖ node id (30) ‖
// Ed25519 seed (32) ‖ number of KEKs (1) ‖ that many KEKs (32 each).
const (
	payloadVersion = 1
	nodeIDPrefix   = "nod_"
	nodeIDSize     = len(nodeIDPrefix) + 26
	payloadHead    = 1 + 1 + nodeIDSize + KeySize + 1
)

func (f *File) payload() []byte {
	out := make([]byte, 0, payloadHead+len(f.keks)*KeySize)
	out = append(out, payloadVersion, f.SerialPrefix)
	out = append(out, f.NodeID...)
	out = append(out, f.node.bytes()[:]...)
	out = append(out, byte(len(f.keks)))
	for _, k := range f.keks {
		out = append(out, k.bytes()[:]...)
	}
	return out
}

func parsePayload(h Header, b []byte) (*File, error) {
	if len(b) < 1 || b[0] != payloadVersion {
		return nil, fmt.Errorf("%w: of the payload", ErrVersion)
	}
	if len(b) < payloadHead || len(b) != payloadHead+int(b[payloadHead-1])*KeySize {
		return nil, fmt.Errorf("%w: payload of %d bytes", ErrFormat, len(b))
	}
	f := &File{Header: h, SerialPrefix: b[1], NodeID: string(b[2 : 2+nodeIDSize])}
	var err error
	if f.node, err = KeyFromBytes(b[2+nodeIDSize : payloadHead-1]); err != nil {
		return nil, err
	}
	for keks := b[payloadHead:]; len(keks) > 0; keks = keks[KeySize:] {
		k, err := KeyFromBytes(keks[:KeySize])
		if err != nil {
			return nil, err
		}
		f.keks = append(f.keks, k)
	}
	if !bytes.HasPrefix(b[2:], []byte(nodeIDPrefix)) {
		return nil, fmt.Errorf("%w: node id", ErrFormat)
	}
	return f, f.check()
}

// seal returns the bytes of the file with a fresh salt.
func (f *File) seal(passphrase []byte) []byte {
	_, _ = rand.Read(f.Header.salt[:])
	var nonce [nonceSize]byte
	_, _ = rand.Read(nonce[:])
	return f.sealWith(passphrase, nonce)
}

func (f *File) sealWith(passphrase []byte, nonce [nonceSize]byte) []byte {
	k := f.Header.stretch(passphrase)
	defer k.Wipe()
	plain := f.payload()
	defer clear(plain)
	return encodeFile(f.Header, sealWith(k, nonce, plain, f.Header.encode()))
}

// unseal opens the bytes of a file. Wanted is the purpose asked for.
func unseal(b, passphrase []byte, wanted string) (*File, error) {
	h, box, err := parseFile(b)
	if err != nil {
		return nil, err
	}
	if h.Purpose != wanted {
		return nil, fmt.Errorf("%w: %q, not %q", ErrPurpose, h.Purpose, wanted)
	}
	k := h.stretch(passphrase)
	defer k.Wipe()
	plain, err := Open(k, box, h.encode())
	if errors.Is(err, ErrTampered) {
		return nil, ErrPassphrase
	}
	if err != nil {
		return nil, err
	}
	defer clear(plain)
	return parsePayload(h, plain)
}

func checkPassphrase(p []byte) error {
	if len(p) < MinPassphrase || len(p) > MaxPassphrase {
		return fmt.Errorf("%w: %d bytes, want %d to %d", ErrWeakPassphrase, len(p), MinPassphrase, MaxPassphrase)
	}
	return nil
}

func newNodeID() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	e := base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)
	return nodeIDPrefix + e.EncodeToString(b[:])
}

func randomPrefix() byte {
	for {
		var b [1]byte
		_, _ = rand.Read(b[:])
		if p := b[0] & MaxSerialPrefix; p >= MinSerialPrefix {
			return p
		}
	}
}
