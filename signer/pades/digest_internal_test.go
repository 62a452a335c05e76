package pades

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"hash"
	"math/rand/v2"
	"testing"
)

// countingHash counts what it and its clones are given.
type countingHash struct {
	hash.Cloner
	n *int64
}

func (h countingHash) Write(p []byte) (int, error) {
	*h.n += int64(len(p))
	return h.Cloner.Write(p)
}

func (h countingHash) Clone() (hash.Cloner, error) {
	c, err := h.Cloner.Clone()
	return countingHash{c, h.n}, err
}

// Fifty byte ranges of one file are digested without hashing it fifty times:
// the state before each hole is forked.
func TestByteRangesShareTheirBeginning(t *testing.T) {
	t.Parallel()
	file := make([]byte, 1<<20)
	_, _ = rand.NewChaCha8([32]byte{3}).Read(file)
	var jobs []*digestJob
	for i := range 50 {
		end := int64(len(file) - 10_000*(50-i-1)) // each with 10,000 bytes of its own
		jobs = append(jobs, &digestJob{h: crypto.SHA256, hole: end - 9000, holeEnd: end - 1000, end: end})
	}
	d := newDigester(jobs)
	hashed := int64(0)
	d.heads[crypto.SHA256] = countingHash{sha256.New().(hash.Cloner), &hashed}
	for rest := file; len(rest) > 0; {
		n := min(len(rest), 777)
		if _, err := d.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	for i, j := range jobs {
		want := sha256.Sum256(append(bytes.Clone(file[:j.hole]), file[j.holeEnd:j.end]...))
		if !bytes.Equal(j.sum, want[:]) {
			t.Errorf("byte range %d has another digest", i)
		}
	}
	if most := int64(len(file)) * 11 / 10; hashed > most {
		t.Errorf("%d bytes were hashed of a file of %d", hashed, len(file))
	}
}
