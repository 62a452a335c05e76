package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"oruro.gob.bo/suti/internal/audit/logverify"
)

// witnessState is what a witness keeps: the last checkpoint it accepted, as
// signed, and the right edge of the tree, from which the tree can be grown on.
type witnessState struct {
	Format     string        `json:"format"`
	Key        string        `json:"vkey"`
	Checkpoint string        `json:"checkpoint"`
	Edge       []witnessTile `json:"edge"`
	// Ended are the last checkpoints seen of the logs that this one continues.
	Ended []string `json:"ended,omitempty"`
}

type witnessTile struct {
	Level  int              `json:"level"`
	Hashes []logverify.Hash `json:"hashes"`
}

// kept is a witness's state in memory.
type kept struct {
	key   string // of the log followed last
	note  []byte // its last checkpoint; nil before the first
	cp    logverify.Checkpoint
	tree  *logverify.Builder
	ended []string
}

// loadWitness reads the state, or starts from the empty tree. The state may be
// of a later log of the line that vkey names.
func loadWitness(path, vkey string) (*kept, error) {
	raw, err := readBounded(path, maxWitnessState)
	if errors.Is(err, fs.ErrNotExist) {
		k := &kept{key: vkey}
		k.tree, err = logverify.NewBuilder(0, nil)
		return k, err
	}
	if err != nil {
		return nil, err
	}
	var s witnessState
	if err := json.Unmarshal(raw, &s); err != nil || s.Format != witnessFormat {
		return nil, errors.New("not a witness's state")
	}
	if logverify.LineKey(vkey, []byte(s.Checkpoint)) != s.Key {
		return nil, errors.New("it is the state of a log with another key")
	}
	k := &kept{key: s.Key, note: []byte(s.Checkpoint), ended: s.Ended}
	if k.cp, err = logverify.VerifyCheckpoint(k.note, s.Key); err != nil {
		return nil, err
	}
	edge := map[int][]logverify.Hash{}
	for _, t := range s.Edge {
		edge[t.Level] = t.Hashes
	}
	if k.tree, err = logverify.NewBuilder(k.cp.Size, edge); err != nil {
		return nil, err
	}
	if k.tree.Root() != k.cp.Root {
		return nil, errors.New("its edge does not lead to its checkpoint: the file was changed")
	}
	return k, nil
}

func (k *kept) save(path string) error {
	s := witnessState{Format: witnessFormat, Key: k.key, Checkpoint: string(k.note), Edge: []witnessTile{}, Ended: k.ended}
	tiles, hashes := k.tree.Edge()
	for i, t := range tiles {
		s.Edge = append(s.Edge, witnessTile{Level: t.Level, Hashes: hashes[i]})
	}
	return writeWhole(path, 0o644, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", " ")
		return e.Encode(s)
	})
}

// maxEnded bounds how many logs of a line a witness follows.
const maxEnded = 1000

// follow decides what a checkpoint of another origin of the same line means:
// next is the state in which the new log's leaves are to be read.
func (k *kept) follow(shown logverify.Checkpoint, note []byte) (next *kept, err error) {
	_, was := logverify.BaseOrigin(k.cp.Origin)
	if _, is := logverify.BaseOrigin(shown.Origin); is <= was {
		return nil, &forkError{k.note, note, fmt.Sprintf("it had gone on as %s and shows %s", k.cp.Origin, shown.Origin)}
	}
	if len(k.ended) >= maxEnded {
		return nil, failedf("begin with another --state", "the log was continued more than %d times", maxEnded)
	}
	next = &kept{key: logverify.LineKey(k.key, note), ended: append(k.ended[:len(k.ended):len(k.ended)], string(k.note))}
	next.tree, err = logverify.NewBuilder(0, nil)
	return next, err
}

// continues checks what the first leaf of a log says of the one followed before.
func (k *kept) continues(leaf logverify.Leaf, note []byte) (logverify.Continuation, error) {
	c, ok := logverify.ParseContinuation(leaf.Public)
	switch {
	case leaf.Class != logverify.ClassLog || !ok:
		return c, &forkError{k.note, note, "the new log does not say what it continues"}
	case c.Origin != k.cp.Origin:
		return c, &forkError{k.note, note, fmt.Sprintf("the new log continues %s, and %s was followed here", c.Origin, k.cp.Origin)}
	case c.Size < k.cp.Size:
		return c, &forkError{k.note, note, fmt.Sprintf("%s had %d leaves, and the new log says that it ended at %d", c.Origin, k.cp.Size, c.Size)}
	case c.Size == k.cp.Size && c.Root != k.cp.Root:
		return c, &forkError{k.note, note, fmt.Sprintf("two roots for %d leaves of %s", c.Size, c.Origin)}
	}
	return c, nil
}
