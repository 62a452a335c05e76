package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/db"
)

// Errors of the high-water mark.
var (
	// ErrRolledBack reports a database that does not contain what this node
	// has signed: an older state was restored, or its tree was changed. The
	// concrete error is a *[RollbackError].
	ErrRolledBack = errors.New("audit: the database is behind the published log")
	// ErrHighWater reports a high-water file that cannot be read or written
	// durably. The sequencer then stops.
	ErrHighWater = errors.New("audit: high-water file")
)

// RollbackError says what was published and what the database has instead.
type RollbackError struct {
	// Published is the last checkpoint that this node signed.
	Published logverify.Checkpoint
	// Database is the current log's head in the database; its origin is empty if there is none.
	Database logverify.Checkpoint
	// Forked is set if the database's tree is as large as the published one and differs from it.
	Forked bool
}

// Error names both states and the next step.
func (e *RollbackError) Error() string {
	what := "is behind"
	if e.Forked {
		what = "differs from"
	}
	return fmt.Sprintf("audit: the database (log %q, size %d) %s the published log %q, size %d: restore the newer state, or reopen the log under a new origin",
		e.Database.Origin, e.Database.Size, what, e.Published.Origin, e.Published.Size)
}

// Unwrap returns [ErrRolledBack].
func (e *RollbackError) Unwrap() error { return ErrRolledBack }

const (
	highWaterTag = "suti/high-water/v1"
	maxHighWater = logverify.MaxCheckpoint + 1024
)

// highWater is the last checkpoint that this node signed. It lives in a file
// outside the database, so that a restored database cannot take it along.
type highWater struct {
	vkey string
	note []byte
	cp   logverify.Checkpoint
}

// readHighWater returns the mark, or nil if there is no file. The signature is
// checked, which notices a damaged file; who can write the file can also
// delete it, and only a witness would notice that.
func readHighWater(path string) (*highWater, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHighWater, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxHighWater+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHighWater, err)
	}
	h, err := parseHighWater(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrHighWater, err)
	}
	return h, nil
}

func parseHighWater(b []byte) (*highWater, error) {
	if len(b) > maxHighWater {
		return nil, errors.New("too long")
	}
	top, note, ok := bytes.Cut(b, []byte("\n\n"))
	tag, vkey, ok2 := strings.Cut(string(top), "\n")
	if !ok || !ok2 || tag != highWaterTag {
		return nil, fmt.Errorf("want first line %q, a verifier key and a checkpoint", highWaterTag)
	}
	cp, err := logverify.VerifyCheckpoint(note, vkey)
	if err != nil {
		return nil, err
	}
	return &highWater{vkey: vkey, note: note, cp: cp}, nil
}

// write replaces the file at path so that after its return the mark survives
// a power failure, and before it the former one does.
func (h *highWater) write(path string) error {
	text := fmt.Sprintf("%s\n%s\n\n%s", highWaterTag, h.vkey, h.note)
	if err := writeDurably(path, []byte(text), 0o600); err != nil {
		return fmt.Errorf("%w: %w", ErrHighWater, err)
	}
	return nil
}

// writeDurably writes a new file beside path, syncs it, renames it over path
// and syncs the folder. The file gets the given permissions.
func writeDurably(path string, data []byte, perm fs.FileMode) (err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return dir.Sync()
}

// checkHighWater returns a *[RollbackError] unless the database holds all that
// the mark says was signed: in a log of the same origin, whose tree extends
// the mark's, or in a log that continues that origin from there or later on.
func checkHighWater(q db.Querier, current head, mark *highWater) error {
	if mark == nil {
		return nil
	}
	refuse := &RollbackError{
		Published: mark.cp, Database: logverify.Checkpoint{Origin: current.Origin, Tree: current.Tree},
	}
	if mark.cp.Origin == current.Origin {
		return checkExtends(q, current, mark.cp.Tree, refuse)
	}
	logs, err := allHeads(q)
	if err != nil {
		return err
	}
	for _, h := range logs {
		if last, err := logverify.VerifyCheckpoint(h.Previous, mark.vkey); err == nil &&
			(last.Size > mark.cp.Size || last.Tree == mark.cp.Tree) {
			return nil
		}
	}
	for _, h := range logs {
		if h.Origin == mark.cp.Origin {
			return checkExtends(q, h, mark.cp.Tree, refuse)
		}
	}
	return refuse
}

// checkExtends refuses a head that does not extend the tree signed.
func checkExtends(q db.Querier, h head, signed logverify.Tree, refuse *RollbackError) error {
	if h.Tree.Size < signed.Size {
		return refuse
	}
	root := h.Tree.Root
	if h.Tree.Size > signed.Size {
		var err error
		if root, err = rootAt(q, h.Number, signed.Size); err != nil {
			return err
		}
	}
	if root != signed.Root {
		refuse.Forked = true
		return refuse
	}
	return nil
}
