package pades

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// Session is a prepared signature. It is immutable, holds no secret, and can
// be stored with [Session.MarshalBinary] (some kilobytes; the hole is not
// stored) and used again after a restart, in another process.
type Session struct {
	baseSize    int64
	baseSHA256  [32]byte
	baseState   []byte // SHA-256 after the base, so that it is not read again; may be nil
	before      []byte // the update up to the hole
	after       []byte // and behind it
	byteRange   [4]int64
	hash        crypto.Hash
	digest      []byte
	field       string
	requested   Level
	reserve     int
	signingTime time.Time
	taken       map[uint32]bool // numbers that new objects keep clear of; nil after storage
	schemes     []Scheme        // that were passed; nil after storage
	file        *cos.File       // as it was prepared; nil after storage
}

// BaseSHA256 returns the SHA-256 of the file that was prepared.
func (s *Session) BaseSHA256() [32]byte { return s.baseSHA256 }

// BaseSize returns the size of that file in bytes.
func (s *Session) BaseSize() int64 { return s.baseSize }

// ByteRange returns offset and length, twice, of what the signature covers.
func (s *Session) ByteRange() [4]int64 { return s.byteRange }

// Digest returns the digest of the byte range, and how it was made. This is
// what the signer consents to.
func (s *Session) Digest() (crypto.Hash, []byte) { return s.hash, bytes.Clone(s.digest) }

// Field returns the name of the signature field.
func (s *Session) Field() string { return s.field }

// Level returns the level that was asked for.
func (s *Session) Level() Level { return s.requested }

// Reserve returns the space for the CMS in bytes.
func (s *Session) Reserve() int { return s.reserve }

// SigningTime returns the time written into /M.
func (s *Session) SigningTime() time.Time { return s.signingTime }

// sessionMagic begins stored sessions; its last digit is the version.
const sessionMagic = "suti-pades-session-1\n"

// maxSession bounds what UnmarshalBinary reads, in bytes.
const maxSession = 32 << 20

type storedSession struct {
	BaseSize    int64     `json:"base_size"`
	BaseSHA256  []byte    `json:"base_sha256"`
	BaseState   []byte    `json:"base_state,omitempty"` // of SHA-256, after the base
	Before      int       `json:"before"`
	After       int       `json:"after"`
	ByteRange   [4]int64  `json:"byte_range"`
	Hash        string    `json:"hash"`
	Digest      []byte    `json:"digest"`
	Field       string    `json:"field"`
	Level       Level     `json:"level"`
	Reserve     int       `json:"reserve"`
	SigningTime time.Time `json:"signing_time"`
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (s *Session) MarshalBinary() ([]byte, error) {
	head, err := json.Marshal(storedSession{
		BaseSize: s.baseSize, BaseSHA256: s.baseSHA256[:], BaseState: s.baseState, Before: len(s.before), After: len(s.after),
		ByteRange: s.byteRange, Hash: s.hash.String(), Digest: s.digest, Field: s.field, Level: s.requested,
		Reserve: s.reserve, SigningTime: s.signingTime,
	})
	if err != nil {
		return nil, err
	}
	size := binary.BigEndian.AppendUint32(nil, uint32(len(head)))
	return slices.Concat([]byte(sessionMagic), size, head, s.before, s.after), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. It returns
// [ErrSession] for anything that MarshalBinary of this version cannot have written.
func (s *Session) UnmarshalBinary(b []byte) error {
	rest, ok := bytes.CutPrefix(b, []byte(sessionMagic))
	if !ok || len(rest) < 4 || len(b) > maxSession {
		return ErrSession
	}
	n := binary.BigEndian.Uint32(rest)
	rest = rest[4:]
	if uint64(n) > uint64(len(rest)) {
		return ErrSession
	}
	var st storedSession
	if err := json.Unmarshal(rest[:n], &st); err != nil {
		return fmt.Errorf("%w: %w", ErrSession, err)
	}
	rest = rest[n:]
	if st.Before < 0 || st.After < 0 || len(st.BaseSHA256) != 32 || st.Before > len(rest) || st.After != len(rest)-st.Before {
		return ErrSession
	}
	out := Session{
		baseSize: st.BaseSize, before: bytes.Clone(rest[:st.Before]), after: bytes.Clone(rest[st.Before:]),
		byteRange: st.ByteRange, digest: st.Digest, field: st.Field, requested: st.Level, reserve: st.Reserve,
		signingTime: st.SigningTime, baseState: st.BaseState,
	}
	copy(out.baseSHA256[:], st.BaseSHA256)
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		if h.String() == st.Hash {
			out.hash = h
		}
	}
	if !out.consistent() {
		return ErrSession
	}
	*s = out
	return nil
}

// consistent reports whether the numbers of a session agree with each other.
func (s *Session) consistent() bool {
	hole := s.baseSize + int64(len(s.before))
	holeEnd := hole + int64(2*s.reserve) + 2
	if s.baseState != nil {
		state, err := resumeSHA256(s.baseState)
		if err != nil || !bytes.Equal(state.Sum(nil), s.baseSHA256[:]) {
			return false
		}
	}
	return s.hash != 0 && len(s.digest) == s.hash.Size() && s.baseSize > 0 && s.requested != LevelNone &&
		s.reserve >= minimalReserve && s.reserve <= maxReserve &&
		s.byteRange == [4]int64{0, hole, holeEnd, int64(len(s.after))}
}
