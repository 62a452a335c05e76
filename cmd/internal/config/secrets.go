package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxSecret bounds a file that holds a secret, in bytes.
const maxSecret = 4 << 10

// credentialPrefix names a systemd credential instead of a path.
const credentialPrefix = "credential:"

// Errors of reading secrets.
var (
	// ErrLoose: others can read the file.
	ErrLoose = errors.New("config: others can read the file")
	// ErrNoPassphrase: no file with the passphrase is named.
	ErrNoPassphrase = errors.New("config: no passphrase")
)

// Secret reads a file that holds one secret, without its line end. The file
// must be a regular one that only its owner can read (ErrLoose); a name
// credential:NAME is a systemd credential, whose folder systemd protects.
func (c *Config) Secret(path string) ([]byte, error) {
	name, isCredential := strings.CutPrefix(path, credentialPrefix)
	if isCredential {
		if c.credentials == "" || name == "" || name != filepath.Base(name) {
			return nil, fmt.Errorf("%s: systemd passed no such credential; see LoadCredential= of the unit", path)
		}
		path = filepath.Join(c.credentials, name)
	}
	return ReadSecret(path, isCredential)
}

// ReadSecret is Secret for a path. anyMode leaves out the check of the mode.
func ReadSecret(path string, anyMode bool) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if !anyMode && st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: %s has mode %04o; chmod 600 %s", ErrLoose, path, st.Mode().Perm(), path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, err
	}
	b = bytes.TrimRight(b, "\r\n")
	if len(b) == 0 || len(b) > maxSecret {
		return nil, fmt.Errorf("%s holds no secret of 1 to %d bytes", path, maxSecret)
	}
	return b, nil
}

// Passphrase reads the passphrase of the key file.
func (c *Config) Passphrase() ([]byte, error) {
	if c.PassphraseFile == "" {
		return nil, fmt.Errorf("%w: set passphrase_file, SUTI_PASSPHRASE_FILE or a systemd credential", ErrNoPassphrase)
	}
	return c.Secret(c.PassphraseFile)
}

// Database returns the address of the database, from its file if it is in one.
func (c *Config) Database() (string, error) { return c.addressOf(c.DatabaseURL, c.DatabaseURLFile) }

// Redis returns the address of the cache, or "" for one in this process.
func (c *Config) Redis() (string, error) { return c.addressOf(c.RedisURL, c.RedisURLFile) }

func (c *Config) addressOf(inline, file string) (string, error) {
	if file == "" {
		return inline, nil
	}
	b, err := c.Secret(file)
	return string(b), err
}

// KeyPath is the path of the key file.
func (c *Config) KeyPath() string { return filepath.Join(c.DataDir, KeyFile) }

// HighWaterPath is the path of the node's high-water file.
func (c *Config) HighWaterPath() string { return filepath.Join(c.DataDir, HighWaterFile) }
