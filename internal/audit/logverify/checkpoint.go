package logverify

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Limits of checkpoints.
const (
	// MaxSize bounds the size of a tree, so that every stored hash index fits 63 bits.
	MaxSize = 1 << 48
	// MaxCheckpoint bounds a checkpoint with its cosignatures, in bytes.
	MaxCheckpoint = 64 << 10
	// MaxOrigin bounds an origin, in bytes.
	MaxOrigin = 200
)

// Errors of checkpoints.
var (
	// ErrOrigin reports a string that cannot be the origin of a log.
	ErrOrigin = errors.New("logverify: malformed origin")
	// ErrCheckpoint reports bytes that are not a checkpoint of the form that Suti writes.
	ErrCheckpoint = errors.New("logverify: malformed checkpoint")
	// ErrSignature reports a checkpoint that the key given did not sign.
	ErrSignature = errors.New("logverify: the checkpoint is not signed by this key")
	// ErrVerifierKey reports a string that is not an Ed25519 verifier key of C2SP signed-note.
	ErrVerifierKey = errors.New("logverify: malformed verifier key")
)

// Tree is the head of a Merkle tree: how many leaves, and the root hash over them.
type Tree struct {
	Size int64
	Root Hash
}

// EmptyRoot is the root of the tree without leaves: SHA-256 of nothing (RFC 6962 §2.1).
func EmptyRoot() Hash {
	h, _ := tlog.TreeHash(0, nil) // for size 0 it reads nothing and cannot fail
	return Hash(h)
}

// Checkpoint is a tree head named by its log (C2SP tlog-checkpoint), without extension lines.
type Checkpoint struct {
	Origin string
	Tree
}

// CheckOrigin returns [ErrOrigin] unless s can name a log and its key: 1 to
// 200 bytes of UTF-8 without spaces, control characters and '+'.
func CheckOrigin(s string) error {
	bad := func(r rune) bool { return unicode.IsSpace(r) || isControl(r) || r == '+' }
	if s == "" || len(s) > MaxOrigin || !utf8.ValidString(s) || strings.ContainsFunc(s, bad) {
		return fmt.Errorf("%w: %d bytes", ErrOrigin, len(s))
	}
	return nil
}

// Text returns the signed text of c: origin, size and root, a line each.
func (c Checkpoint) Text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, c.Root)
}

// ParseCheckpointText reads what [Checkpoint.Text] writes and nothing else: a
// checkpoint with extension lines gives [ErrCheckpoint], since its meaning
// could not be checked. The caller MUST have verified the signature, or treat
// the value as a claim.
func ParseCheckpointText(text string) (Checkpoint, error) {
	if len(text) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: %d bytes", ErrCheckpoint, len(text))
	}
	f := strings.Split(text, "\n")
	if len(f) != 4 || f[3] != "" {
		return Checkpoint{}, fmt.Errorf("%w: want three lines", ErrCheckpoint)
	}
	if err := CheckOrigin(f[0]); err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	size, err := parseDecimal(f[1], MaxSize)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: size: %w", ErrCheckpoint, err)
	}
	root, err := ParseHash(f[2])
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: root: %w", ErrCheckpoint, err)
	}
	if size == 0 && root != EmptyRoot() {
		return Checkpoint{}, fmt.Errorf("%w: root of an empty tree", ErrCheckpoint)
	}
	return Checkpoint{Origin: f[0], Tree: Tree{Size: size, Root: root}}, nil
}

// VerifierKey returns the verifier key ("vkey") of an Ed25519 public key
// under the name origin: <name>+<key id>+<base64> (C2SP signed-note).
func VerifierKey(origin string, pub ed25519.PublicKey) (string, error) {
	if err := CheckOrigin(origin); err != nil {
		return "", err
	}
	vkey, err := note.NewEd25519VerifierKey(origin, pub)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrVerifierKey, err)
	}
	return vkey, nil
}

// parseVerifierKey returns the verifier of vkey, or [ErrVerifierKey].
func parseVerifierKey(vkey string) (note.Verifier, error) {
	if len(vkey) > MaxOrigin+128 {
		return nil, fmt.Errorf("%w: %d bytes", ErrVerifierKey, len(vkey))
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrVerifierKey, err)
	}
	if err := CheckOrigin(v.Name()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrVerifierKey, err)
	}
	return v, nil
}

// CheckVerifierKey returns the origin that vkey names, or [ErrVerifierKey].
func CheckVerifierKey(vkey string) (origin string, err error) {
	v, err := parseVerifierKey(vkey)
	if err != nil {
		return "", err
	}
	return v.Name(), nil
}

// SignCheckpoint returns the signed note of c. The signer's public key MUST be
// Ed25519. The signature is verified before it is returned, so that a key
// store that answers with another key is noticed here: [ErrSignature].
func SignCheckpoint(c Checkpoint, signer crypto.Signer) ([]byte, error) {
	pub, ok := signer.Public().(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: public key is %T, want Ed25519", ErrVerifierKey, signer.Public())
	}
	vkey, err := VerifierKey(c.Origin, pub)
	if err != nil {
		return nil, err
	}
	if _, err := ParseCheckpointText(c.Text()); err != nil {
		return nil, err
	}
	v, err := parseVerifierKey(vkey)
	if err != nil {
		return nil, err
	}
	signed, err := note.Sign(&note.Note{Text: c.Text()}, &noteSigner{v, signer})
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	if _, err := VerifyCheckpoint(signed, vkey); err != nil {
		return nil, err
	}
	return signed, nil
}

type noteSigner struct {
	note.Verifier
	key crypto.Signer
}

// Sign implements [note.Signer].
func (s *noteSigner) Sign(msg []byte) ([]byte, error) {
	return s.key.Sign(rand.Reader, msg, crypto.Hash(0))
}

// VerifyCheckpoint returns the checkpoint in a signed note if the key vkey
// signed it and its origin is the key's name. Signatures by other keys, for
// instance of witnesses, are ignored (C2SP signed-note). It returns
// [ErrVerifierKey], [ErrSignature] or [ErrCheckpoint].
func VerifyCheckpoint(signed []byte, vkey string) (Checkpoint, error) {
	v, err := parseVerifierKey(vkey)
	if err != nil {
		return Checkpoint{}, err
	}
	if len(signed) > MaxCheckpoint {
		return Checkpoint{}, fmt.Errorf("%w: %d bytes", ErrCheckpoint, len(signed))
	}
	n, err := note.Open(signed, note.VerifierList(v))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified), errors.As(err, &invalid):
		return Checkpoint{}, ErrSignature
	case err != nil:
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	c, err := ParseCheckpointText(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Origin != v.Name() {
		return Checkpoint{}, fmt.Errorf("%w: the origin is not the name of the key", ErrCheckpoint)
	}
	return c, nil
}
