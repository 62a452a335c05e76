package demo

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"oruro.gob.bo/suti/internal/keystore"
)

// lockName is the file whose lock makes a folder one process's.
const lockName = "demo.lock"

// lock makes the folder this process's until the file is closed, which the end
// of the process does too.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("another demo runs in %s: stop it, or use another --data folder: %w", dir, err), f.Close())
	}
	return f, nil
}

// half are the files of a founding, as patterns below the folder. Nothing else
// is ever removed.
func half() []string {
	return []string{
		"suti.db", "suti.db-wal", "suti.db-shm", "suti.key", ".suti.key.tmp-*", "suti.passphrase", "log.highwater", ".log.highwater-*",
		FileName, ".tmp-*", filepath.Join("llaves", "*.json"), filepath.Join("llaves", ".passkeys-*"),
	}
}

// beginAnew removes what a founding left that did not come to its end. A demo is
// served, and said to be seeded, only after that end: what goes here was never
// in anybody's hands. The ports and the scheme, which are in the state file, and
// the root for https stay.
//
// Without a state file there is nothing to tell an unfinished database from a
// finished one, and a database given from outside is not ours to empty: both
// are refused if they hold something.
func (i *Instance) beginAnew(outside bool) error {
	known, err := exists(i.statePath())
	if err != nil {
		return err
	}
	stored, err := exists(filepath.Join(i.dir, "suti.db"))
	if err != nil {
		return err
	}
	key, err := exists(filepath.Join(i.dir, "suti.key"))
	switch {
	case err != nil:
		return err
	case !known && stored:
		return fmt.Errorf("%s holds a database and no %s: move it away, or use another --data folder", i.dir, filepath.Base(i.statePath()))
	case outside && key:
		return fmt.Errorf("the founding in %s was interrupted: empty the database given, and delete the folder, to begin anew", i.dir)
	}
	i.File = File{}
	i.st = state{Ports: i.st.Ports, TLS: i.st.TLS, People: map[string]string{}, Keys: map[string]string{}}
	for _, pattern := range half() {
		found, err := filepath.Glob(filepath.Join(escaped(i.dir), pattern))
		if err != nil {
			return err
		}
		for _, path := range found {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("begin anew: %w", err)
			}
		}
	}
	return nil
}

// ErrUsed reports a database given from outside that is another deployment's.
var ErrUsed = errors.New("the database is not empty, and what it holds is not this folder's own")

// usedFault tells a database of another deployment from other reasons not to open one.
func usedFault(c Config, err error) error {
	if c.DatabaseURL != "" && errors.Is(err, keystore.ErrKEKMissing) {
		return fmt.Errorf("%w: %w", ErrUsed, err)
	}
	return err
}

// escaped makes a path match only itself in filepath.Glob.
func escaped(path string) string {
	var out []rune
	for _, r := range path {
		switch r {
		case '*', '?', '[', '\\':
			out = append(out, '\\')
		}
		out = append(out, r)
	}
	return string(out)
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
