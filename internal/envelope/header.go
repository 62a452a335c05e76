package envelope

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/argon2"
)

// A key file is five lines of ASCII, each ended by LF:
//
//	suti-keyfile 1
//	purpose node
//	created 2026-11-24T12:00:00Z
//	argon2id m=65536 t=3 p=4 salt=AAAAAAAAAAAAAAAAAAAAAA
//	box AQAB…
//
// There is exactly one spelling of each file: what does not encode back to the
// same bytes is refused. The bytes before "box " are the associated data of
// the box, so every parameter is authenticated once the passphrase is right;
// they are bounded before that, because they decide what a start costs.
const (
	fileMagic   = "suti-keyfile 1"
	maxFileSize = 4096
	saltSize    = 16
	maxPurpose  = 32
)

// Bounds of [Params], on writing as on reading.
const (
	MinMemoryKiB = 8 << 10 // 8 MiB
	MaxMemoryKiB = 1 << 20 // 1 GiB
	MaxTime      = 16
	MaxThreads   = 4
)

// Errors of key files.
var (
	// ErrFormat: not a key file, or not in its one permitted spelling.
	ErrFormat = errors.New("envelope: malformed key file")
	// ErrParameters: Argon2id parameters out of bounds.
	ErrParameters = errors.New("envelope: argon2id parameters out of bounds")
)

// Params are the costs of Argon2id (RFC 9106, version 0x13) that turn the
// passphrase into a key. A zero field takes the default.
type Params struct {
	MemoryKiB uint32 // default 65536 (64 MiB); [MinMemoryKiB] to [MaxMemoryKiB]
	Time      uint32 // passes, default 3; 1 to [MaxTime]
	Threads   uint8  // lanes, default 4; 1 to [MaxThreads]
}

func (p Params) withDefaults() Params {
	if p.MemoryKiB == 0 {
		p.MemoryKiB = 64 << 10
	}
	if p.Time == 0 {
		p.Time = 3
	}
	if p.Threads == 0 {
		p.Threads = 4
	}
	return p
}

func (p Params) check() error {
	if p.MemoryKiB < MinMemoryKiB || p.MemoryKiB > MaxMemoryKiB ||
		p.Time < 1 || p.Time > MaxTime || p.Threads < 1 || p.Threads > MaxThreads {
		return fmt.Errorf("%w: m=%d KiB t=%d p=%d", ErrParameters, p.MemoryKiB, p.Time, p.Threads)
	}
	return nil
}

// Header is the part of a key file that is readable without the passphrase. It
// is trustworthy only after [OpenFile] has succeeded.
type Header struct {
	Purpose string    // what the file is for, [PurposeNode] unless said otherwise
	Created time.Time // UTC, whole seconds
	Params  Params
	salt    [saltSize]byte
}

// encode returns the authenticated bytes: the four lines before "box ".
func (h Header) encode() []byte {
	return fmt.Appendf(nil, "%s\npurpose %s\ncreated %s\nargon2id m=%d t=%d p=%d salt=%s\n",
		fileMagic, h.Purpose, h.Created.UTC().Format(time.RFC3339),
		h.Params.MemoryKiB, h.Params.Time, h.Params.Threads,
		base64.RawStdEncoding.EncodeToString(h.salt[:]))
}

func encodeFile(h Header, box []byte) []byte {
	return fmt.Appendf(h.encode(), "box %s\n", base64.RawStdEncoding.EncodeToString(box))
}

// parseFile reads a whole key file without opening its box.
func parseFile(b []byte) (h Header, box []byte, err error) {
	if len(b) > maxFileSize {
		return h, nil, fmt.Errorf("%w: longer than %d bytes", ErrFormat, maxFileSize)
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) != 6 || lines[5] != "" || lines[0] != fileMagic {
		return h, nil, fmt.Errorf("%w: not five lines that begin with %q", ErrFormat, fileMagic)
	}
	var value [4]string
	for i, key := range []string{"purpose ", "created ", "argon2id ", "box "} {
		v, ok := strings.CutPrefix(lines[i+1], key)
		if !ok {
			return h, nil, fmt.Errorf("%w: line %d does not begin with %q", ErrFormat, i+2, key)
		}
		value[i] = v
	}
	h.Purpose = value[0]
	if err := checkPurpose(h.Purpose); err != nil {
		return h, nil, err
	}
	if h.Created, err = time.Parse(time.RFC3339, value[1]); err != nil {
		return h, nil, fmt.Errorf("%w: line 3 holds no time", ErrFormat)
	}
	h.Created = h.Created.UTC()
	if err := h.parseKDF(value[2]); err != nil {
		return h, nil, err
	}
	if box, err = base64.RawStdEncoding.Strict().DecodeString(value[3]); err != nil {
		return h, nil, fmt.Errorf("%w: line 5 is not base64", ErrFormat)
	}
	if !bytes.Equal(encodeFile(h, box), b) {
		return h, nil, fmt.Errorf("%w: not in canonical spelling", ErrFormat)
	}
	return h, box, h.Params.check()
}

func (h *Header) parseKDF(s string) error {
	bad := fmt.Errorf("%w: line 4 does not read m=… t=… p=… salt=…", ErrFormat)
	f := strings.Split(s, " ")
	if len(f) != 4 {
		return bad
	}
	var n [3]uint64
	for i, key := range []string{"m=", "t=", "p="} {
		v, ok := strings.CutPrefix(f[i], key)
		bits := 32
		if key == "p=" {
			bits = 8
		}
		x, err := strconv.ParseUint(v, 10, bits)
		if !ok || err != nil {
			return bad
		}
		n[i] = x
	}
	h.Params = Params{MemoryKiB: uint32(n[0]), Time: uint32(n[1]), Threads: uint8(n[2])}
	v, ok := strings.CutPrefix(f[3], "salt=")
	salt, err := base64.RawStdEncoding.Strict().DecodeString(v)
	if !ok || err != nil || len(salt) != saltSize {
		return bad
	}
	copy(h.salt[:], salt)
	return nil
}

func checkPurpose(s string) error {
	if len(s) < 1 || len(s) > maxPurpose {
		return fmt.Errorf("%w: purpose of %d bytes", ErrFormat, len(s))
	}
	for i := range len(s) {
		c := s[i]
		if c != '-' && c != '.' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return fmt.Errorf("%w: purpose holds other than a-z, 0-9, hyphen and dot", ErrFormat)
		}
	}
	return nil
}

// stretch runs Argon2id; it needs h.Params.MemoryKiB of memory once.
func (h Header) stretch(passphrase []byte) Key {
	out := argon2.IDKey(passphrase, h.salt[:], h.Params.Time, h.Params.MemoryKiB, h.Params.Threads, KeySize)
	defer clear(out)
	k, err := KeyFromBytes(out)
	if err != nil { // 256 zero bits out of Argon2id
		panic("envelope: " + err.Error())
	}
	return k
}
