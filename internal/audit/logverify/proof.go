package logverify

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Limits of proofs. A tree of 2^48 leaves needs at most 48 hashes for an
// inclusion and 49 for a consistency proof.
const (
	MaxProofHashes = 63
	MaxExtra       = 64 << 10
	MaxProof       = MaxCheckpoint + 2*MaxExtra + 8<<10
)

const (
	proofTag    = "c2sp.org/tlog-proof@v1"
	extraPrefix = "extra "
	indexPrefix = "index "
)

// Errors of proofs.
var (
	// ErrProof reports bytes that are not a proof.
	ErrProof = errors.New("logverify: malformed proof")
	// ErrNotIncluded reports a proof that does not lead from the leaf to the checkpoint.
	ErrNotIncluded = errors.New("logverify: the proof does not show this leaf in this tree")
	// ErrInconsistent reports two checkpoints of which the later is not shown to extend the earlier.
	ErrInconsistent = errors.New("logverify: the later tree is not shown to extend the earlier one")
)

// Proof shows that a leaf stands at an index of the tree of a checkpoint. Its
// text form is C2SP tlog-proof@v1 and needs nothing else than the leaf and
// the log's verifier key.
type Proof struct {
	// Extra is opaque data for the application; nothing authenticates it.
	Extra []byte
	// Index is the leaf's place, from 0.
	Index int64
	// Hashes is the audit path of RFC 6962 §2.1.1, from the leaf's sibling up.
	Hashes []Hash
	// Checkpoint is the signed note, verbatim.
	Checkpoint []byte
}

// MarshalText returns the text of p, or [ErrProof] if it could not be read back.
func (p Proof) MarshalText() ([]byte, error) {
	if p.Index < 0 || p.Index >= MaxSize || len(p.Hashes) > MaxProofHashes || len(p.Extra) > MaxExtra ||
		len(p.Checkpoint) == 0 || len(p.Checkpoint) > MaxCheckpoint {
		return nil, fmt.Errorf("%w: index %d, %d hashes, %d bytes of checkpoint", ErrProof, p.Index, len(p.Hashes), len(p.Checkpoint))
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, proofTag)
	if len(p.Extra) > 0 {
		fmt.Fprintf(&b, "%s%s\n", extraPrefix, base64.StdEncoding.EncodeToString(p.Extra))
	}
	fmt.Fprintf(&b, "%s%d\n", indexPrefix, p.Index)
	for _, h := range p.Hashes {
		fmt.Fprintln(&b, h)
	}
	b.WriteByte('\n')
	b.Write(p.Checkpoint)
	return b.Bytes(), nil
}

// ParseProof reads a C2SP tlog-proof@v1. It checks the form only: the result
// is a claim until [VerifyInclusion] has accepted it.
func ParseProof(text []byte) (Proof, error) {
	if len(text) > MaxProof {
		return Proof{}, fmt.Errorf("%w: %d bytes, limit %d", ErrProof, len(text), MaxProof)
	}
	head, checkpoint, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok || len(checkpoint) == 0 || len(checkpoint) > MaxCheckpoint {
		return Proof{}, fmt.Errorf("%w: no checkpoint after an empty line", ErrProof)
	}
	p := Proof{Checkpoint: bytes.Clone(checkpoint)}
	lines := strings.Split(string(head), "\n")
	if lines[0] != proofTag {
		return Proof{}, fmt.Errorf("%w: want first line %q", ErrProof, proofTag)
	}
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], extraPrefix) {
		extra, err := parseExtra(lines[0][len(extraPrefix):])
		if err != nil {
			return Proof{}, err
		}
		p.Extra, lines = extra, lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], indexPrefix) {
		return Proof{}, fmt.Errorf("%w: no index line", ErrProof)
	}
	index, err := parseDecimal(lines[0][len(indexPrefix):], MaxSize-1)
	if err != nil {
		return Proof{}, fmt.Errorf("%w: index: %w", ErrProof, err)
	}
	p.Index, lines = index, lines[1:]
	if len(lines) > MaxProofHashes {
		return Proof{}, fmt.Errorf("%w: %d hashes, limit %d", ErrProof, len(lines), MaxProofHashes)
	}
	for i, line := range lines {
		h, err := ParseHash(line)
		if err != nil {
			return Proof{}, fmt.Errorf("%w: hash %d: %w", ErrProof, i, err)
		}
		p.Hashes = append(p.Hashes, h)
	}
	return p, nil
}

func parseExtra(s string) ([]byte, error) {
	if len(s) == 0 || len(s) > base64.StdEncoding.EncodedLen(MaxExtra) || strings.Contains(s, "\r") {
		return nil, fmt.Errorf("%w: extra data of %d characters", ErrProof, len(s))
	}
	extra, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("%w: extra data is not standard base64", ErrProof)
	}
	return extra, nil
}

// VerifyInclusion checks that p shows the leaf bytes in a tree whose
// checkpoint was signed by vkey, and returns that checkpoint. It returns
// [ErrNotIncluded], or an error of [VerifyCheckpoint].
func VerifyInclusion(p Proof, leaf []byte, vkey string) (Checkpoint, error) {
	c, err := VerifyCheckpoint(p.Checkpoint, vkey)
	if err != nil {
		return Checkpoint{}, err
	}
	if len(p.Hashes) > MaxProofHashes || len(leaf) > MaxLeaf {
		return Checkpoint{}, fmt.Errorf("%w: %d hashes, leaf of %d bytes", ErrProof, len(p.Hashes), len(leaf))
	}
	if err := tlog.CheckRecord(hashesOut(p.Hashes), c.Size, tlog.Hash(c.Root), p.Index, tlog.RecordHash(leaf)); err != nil {
		return Checkpoint{}, ErrNotIncluded
	}
	return c, nil
}

// VerifyConsistency checks that both checkpoints were signed by vkey and that
// the proof (RFC 6962 §2.1.2) shows the later tree to extend the earlier one.
// The proof is empty where the sizes are equal or the earlier tree is empty.
func VerifyConsistency(earlier, later []byte, proof []Hash, vkey string) error {
	a, err := VerifyCheckpoint(earlier, vkey)
	if err != nil {
		return fmt.Errorf("earlier checkpoint: %w", err)
	}
	b, err := VerifyCheckpoint(later, vkey)
	if err != nil {
		return fmt.Errorf("later checkpoint: %w", err)
	}
	return CheckConsistency(a.Tree, b.Tree, proof)
}

// CheckConsistency checks a consistency proof between two tree heads. It
// returns [ErrInconsistent], also when the earlier tree is the larger one.
func CheckConsistency(earlier, later Tree, proof []Hash) error {
	if len(proof) > MaxProofHashes {
		return fmt.Errorf("%w: %d hashes", ErrProof, len(proof))
	}
	switch {
	case earlier.Size < 0 || earlier.Size > later.Size || later.Size > MaxSize:
		return fmt.Errorf("%w: size %d, later %d", ErrInconsistent, earlier.Size, later.Size)
	case earlier.Size == 0:
		if len(proof) != 0 || earlier.Root != EmptyRoot() || later.Size == 0 && later.Root != earlier.Root {
			return ErrInconsistent
		}
		return nil
	}
	err := tlog.CheckTree(hashesOut(proof), later.Size, tlog.Hash(later.Root), earlier.Size, tlog.Hash(earlier.Root))
	if err != nil {
		return ErrInconsistent
	}
	return nil
}

func hashesOut(hs []Hash) []tlog.Hash {
	out := make([]tlog.Hash, len(hs))
	for i, h := range hs {
		out[i] = tlog.Hash(h)
	}
	return out
}
