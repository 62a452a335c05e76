package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Errors of reading and writing key files.
var (
	// ErrMode: the group or others may read or write the file, or it is no
	// regular file. The remedy is chmod 600.
	ErrMode = errors.New("envelope: key file must be a regular file of mode 0600")
	// ErrExists: [CreateFile] found a file of that name.
	ErrExists = errors.New("envelope: key file exists already")
	// ErrBusy: another process is changing the same key file.
	ErrBusy = errors.New("envelope: key file is being changed by another process")
)

// CreateFile draws the node's identity (and a KEK, if c has none), seals them
// under the passphrase and writes them to path with mode 0600. It never
// overwrites ([ErrExists]); file and directory are synced before it returns,
// and a crash leaves either no file or the whole of it. The passphrase is
// taken byte for byte: callers cut the line end and should normalise to NFC.
func CreateFile(path string, passphrase []byte, c FileConfig) (*File, error) {
	if err := checkPassphrase(passphrase); err != nil {
		return nil, err
	}
	f, err := newFile(c)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(path); err == nil {
		return nil, ErrExists // before a costly Argon2id; link decides
	}
	tmp, err := writeTemp(path, f.seal(passphrase))
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(tmp) }()
	if err := os.Link(tmp, path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, ErrExists
		}
		return nil, fmt.Errorf("create key file: %w", err)
	}
	if err := syncDir(path); err != nil {
		return nil, err
	}
	return f, nil
}

// OpenFile opens the key file of a node; it is [OpenFileFor] with [PurposeNode].
func OpenFile(path string, passphrase []byte) (*File, error) {
	return OpenFileFor(path, passphrase, PurposeNode)
}

// OpenFileFor opens a key file for one purpose. It returns [ErrMode],
// [ErrFormat], [ErrParameters], [ErrPurpose], [ErrPassphrase], or an error of
// the file system, wrapped. It costs one Argon2id.
func OpenFileFor(path string, passphrase []byte, purpose string) (*File, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	if len(passphrase) > MaxPassphrase {
		return nil, ErrPassphrase
	}
	return unseal(b, passphrase, purpose)
}

// ReadHeader returns the header of a key file, which nothing has
// authenticated yet. It checks the mode as [OpenFile] does.
func ReadHeader(path string) (Header, error) {
	b, err := readFile(path)
	if err != nil {
		return Header{}, err
	}
	h, _, err := parseFile(b)
	return h, err
}

// ChangePassphrase replaces the passphrase of the file at path, atomically. The
// parameters stay; salt and nonce are new.
func ChangePassphrase(path string, old, fresh []byte, purpose string) error {
	return rewrite(path, old, fresh, purpose, func(*File) error { return nil })
}

// AddKEK adds k as last key of the file at path, atomically. The first step of
// a re-wrap is to do this on every node.
func AddKEK(path string, passphrase []byte, purpose string, k Key) error {
	return rewrite(path, passphrase, passphrase, purpose, func(f *File) error { return f.addKEK(k) })
}

// PromoteKEK makes the key with that fingerprint the current one of the file
// at path, atomically.
func PromoteKEK(path string, passphrase []byte, purpose, fingerprint string) error {
	return rewrite(path, passphrase, passphrase, purpose, func(f *File) error { return f.promoteKEK(fingerprint) })
}

// DropKEK removes the key with that fingerprint from the file at path,
// atomically. What is still sealed under it is lost: the keystore says when
// nothing is.
func DropKEK(path string, passphrase []byte, purpose, fingerprint string) error {
	return rewrite(path, passphrase, passphrase, purpose, func(f *File) error { return f.dropKEK(fingerprint) })
}

// rewrite changes a key file under an advisory lock on the file that is being
// replaced. A crash leaves the old or the new file.
func rewrite(path string, old, fresh []byte, purpose string, change func(*File) error) error {
	if err := checkPassphrase(fresh); err != nil {
		return err
	}
	path, err := filepath.EvalSymlinks(path) // replace the file, not a link to it
	if err != nil {
		return fmt.Errorf("open key file: %w", err)
	}
	h, err := openChecked(path)
	if err != nil {
		return err
	}
	defer func() { _ = h.Close() }()
	if err := lock(h, path); err != nil {
		return err
	}
	b, err := readAll(h)
	if err != nil {
		return err
	}
	f, err := unseal(b, old, purpose)
	if err != nil {
		return err
	}
	defer f.Wipe()
	if err := change(f); err != nil {
		return err
	}
	tmp, err := writeTemp(path, f.seal(fresh))
	if err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		_ = os.Remove(tmp)
		return fmt.Errorf("replace key file: %w", err)
	}
	return syncDir(path)
}

func lock(h *os.File, path string) error {
	err := syscall.Flock(int(h.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrBusy
	}
	if err != nil {
		return fmt.Errorf("lock key file: %w", err)
	}
	mine, err := h.Stat()
	if err != nil {
		return fmt.Errorf("stat key file: %w", err)
	}
	current, err := os.Stat(path)
	if err != nil || !os.SameFile(mine, current) {
		return ErrBusy // replaced between open and lock
	}
	return nil
}

func readFile(path string) ([]byte, error) {
	h, err := openChecked(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = h.Close() }()
	return readAll(h)
}

// openChecked checks the mode of the file it has opened, not of a name. It
// does not block on a named pipe.
func openChecked(path string) (*os.File, error) {
	h, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open key file: %w", err)
	}
	info, err := h.Stat()
	if err != nil {
		_ = h.Close()
		return nil, fmt.Errorf("stat key file: %w", err)
	}
	if m := info.Mode(); !m.IsRegular() || m.Perm()&0o077 != 0 {
		_ = h.Close()
		return nil, fmt.Errorf("%w: it is %v", ErrMode, m)
	}
	return h, nil
}

func readAll(h *os.File) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(h, maxFileSize+1))
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	return b, nil
}

// writeTemp writes b, synced, to a new file of mode 0600 beside path, reads it
// back and returns its name.
func writeTemp(path string, b []byte) (name string, err error) {
	h, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return "", fmt.Errorf("create key file: %w", err)
	}
	name = h.Name()
	defer func() {
		if cerr := h.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("close key file: %w", cerr)
		}
		if err != nil {
			_ = os.Remove(name)
		}
	}()
	if err := h.Chmod(0o600); err != nil {
		return name, fmt.Errorf("chmod key file: %w", err)
	}
	if _, err := h.Write(b); err != nil {
		return name, fmt.Errorf("write key file: %w", err)
	}
	if err := h.Sync(); err != nil {
		return name, fmt.Errorf("sync key file: %w", err)
	}
	back, err := os.ReadFile(name)
	if err != nil {
		return name, fmt.Errorf("read back key file: %w", err)
	}
	if !bytes.Equal(back, b) {
		return name, errors.New("envelope: key file reads back otherwise than written")
	}
	return name, nil
}

// syncDir makes the directory entry of path durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("open directory of key file: %w", err)
	}
	defer func() { _ = d.Close() }()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory of key file: %w", err)
	}
	return nil
}
