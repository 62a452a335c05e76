package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"oruro.gob.bo/suti/cmd/internal/config"
	"oruro.gob.bo/suti/internal/envelope"
)

// backupSeal is the file beside the manifest that shows that who made it had
// this database's key encryption key: an empty envelope bound to the SHA-256 of
// the manifest, in base64.
const backupSeal = "manifest.seal"

// maxSeal bounds it, in bytes.
const maxSeal = 1 << 10

// manifestKey is derived from the KEK and used for nothing else.
func manifestKey(kek envelope.Key) envelope.Key {
	return envelope.Derive(kek, "suti/backup/manifest/v1")
}

func sealOf(kek envelope.Key, sum []byte) string {
	return base64.StdEncoding.EncodeToString(envelope.Seal(manifestKey(kek), nil, envelope.Bind([]byte(backupFormat), sum)))
}

// sealManifest seals a manifest with the key file or, where the passphrase is
// given to the server only, by asking the server that runs here.
func (c *cli) sealManifest(ctx context.Context, cfg *config.Config, manifest []byte) (string, error) {
	sum := sha256.Sum256(manifest)
	file, err := c.openKeyFile(cfg)
	if err == nil {
		defer file.Wipe()
		return sealOf(file.KEK(), sum[:]), nil
	}
	body, askErr := callAdmin(ctx, cfg.Listen.AdminSocket, http.MethodPost, adminSeal+"?"+url.Values{"sha256": {hex.EncodeToString(sum[:])}}.Encode())
	if askErr != nil {
		return "", err
	}
	var got struct {
		Seal string `json:"seal"`
	}
	if err := json.Unmarshal(body, &got); err != nil {
		return "", failedf("", "the answer is not a server's: %w", err)
	}
	return got.Seal, nil
}

// errAltered reports a backup that is not as it was made.
var errAltered = errors.New("the backup was altered, or it is of another deployment")

// checkSeal verifies a manifest with a key file: this machine's, or the one in
// the backup, which only the right passphrase opens.
func (c *cli) checkSeal(cfg *config.Config, dir string, manifest []byte) error {
	text, err := readBounded(filepath.Join(dir, backupSeal), maxSeal)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the backup has no %s", backupSeal)
	}
	if err != nil {
		return err
	}
	seal, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("%w: %s is malformed", errAltered, backupSeal)
	}
	path := cfg.KeyPath()
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		path = filepath.Join(dir, config.KeyFile)
	}
	pass, err := cfg.Passphrase()
	if err != nil {
		return err
	}
	defer clear(pass)
	file, err := envelope.OpenFile(path, pass)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("neither this machine nor the backup has the key file that would show whether it was altered")
	}
	if err != nil {
		return fmt.Errorf("open the key file %s: %w", path, err)
	}
	defer file.Wipe()
	sum := sha256.Sum256(manifest)
	for _, kek := range file.KEKs() {
		if _, err := envelope.Open(manifestKey(kek), seal, envelope.Bind([]byte(backupFormat), sum[:])); err == nil {
			return nil
		}
	}
	return errAltered
}
