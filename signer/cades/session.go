package cades

import (
	"bytes"
	"crypto"
	"encoding/json"
	"fmt"
	"time"
)

// Session is a prepared signature. It is immutable, holds no secret, and can
// be stored with [Session.MarshalBinary] and used again after a restart, in
// another process, without the content.
type Session struct {
	size        int64
	sha256      [32]byte
	hash        crypto.Hash
	digest      []byte
	mediaType   string
	requested   Level
	signingTime time.Time
	existing    []byte
}

// Size returns the size of the content in bytes.
func (s *Session) Size() int64 { return s.size }

// SHA256 returns the SHA-256 of the content.
func (s *Session) SHA256() [32]byte { return s.sha256 }

// Digest returns the digest of the content, and how it was made. This is what
// the signer consents to.
func (s *Session) Digest() (crypto.Hash, []byte) { return s.hash, bytes.Clone(s.digest) }

// MediaType returns the media type that is signed with the content.
func (s *Session) MediaType() string { return s.mediaType }

// Level returns the level that was asked for.
func (s *Session) Level() Level { return s.requested }

// SigningTime returns the time claimed, in UTC.
func (s *Session) SigningTime() time.Time { return s.signingTime }

// sessionMagic begins stored sessions; its last digit is the version.
const sessionMagic = "suti-cades-session-1\n"

// maxSession bounds what UnmarshalBinary reads, in bytes.
const maxSession = 4 << 20

type storedSession struct {
	Size        int64     `json:"size"`
	SHA256      []byte    `json:"sha256"`
	Hash        string    `json:"hash"`
	Digest      []byte    `json:"digest"`
	MediaType   string    `json:"media_type"`
	Level       Level     `json:"level"`
	SigningTime time.Time `json:"signing_time"`
	Existing    []byte    `json:"existing,omitempty"`
}

// MarshalBinary implements encoding.BinaryMarshaler.
func (s *Session) MarshalBinary() ([]byte, error) {
	b, err := json.Marshal(storedSession{
		Size: s.size, SHA256: s.sha256[:], Hash: s.hash.String(), Digest: s.digest, MediaType: s.mediaType,
		Level: s.requested, SigningTime: s.signingTime, Existing: s.existing,
	})
	if err != nil {
		return nil, err
	}
	return append([]byte(sessionMagic), b...), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. It returns
// [ErrSession] for anything that MarshalBinary of this version cannot have written.
func (s *Session) UnmarshalBinary(b []byte) error {
	rest, ok := bytes.CutPrefix(b, []byte(sessionMagic))
	if !ok || len(b) > maxSession {
		return ErrSession
	}
	var st storedSession
	if err := json.Unmarshal(rest, &st); err != nil {
		return fmt.Errorf("%w: %w", ErrSession, err)
	}
	out := Session{
		size: st.Size, digest: st.Digest, mediaType: st.MediaType, requested: st.Level, signingTime: st.SigningTime, existing: st.Existing,
	}
	for _, h := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
		if h.String() == st.Hash {
			out.hash = h
		}
	}
	if out.hash == 0 || len(st.SHA256) != 32 || len(out.digest) != out.hash.Size() || out.size < 0 ||
		out.hash == crypto.SHA256 && !bytes.Equal(st.SHA256, out.digest) ||
		out.mediaType == "" || out.requested == LevelNone || out.signingTime.IsZero() {
		return ErrSession
	}
	if len(out.existing) > 0 {
		if _, err := parse(out.existing); err != nil {
			return fmt.Errorf("%w: %w", ErrSession, err)
		}
	}
	out.sha256 = [32]byte(st.SHA256)
	*s = out
	return nil
}
