package app

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/blob"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/cache/memory"
	"oruro.gob.bo/suti/internal/cache/redis"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/keystore"
)

// LogPurpose is the keystore purpose of the key that signs checkpoints.
const LogPurpose = "log"

// Names of files in the node's folder.
const (
	keyFile        = "suti.key"
	passphraseFile = "suti.passphrase"
	highWaterFile  = "log.highwater"
)

// Bones is what every context stands on.
type Bones struct {
	DB    *db.DB
	Node  *envelope.File
	Keys  *keystore.Store
	Audit *audit.Log
	Blobs *blob.Store
	Cache cache.Cache
	Seq   *audit.Sequencer
}

// Close releases what was opened. It is safe on a half-opened value.
func (b *Bones) Close() error {
	var errs []error
	if c, ok := b.Cache.(interface{ Close() error }); ok {
		errs = append(errs, c.Close())
	}
	if b.DB != nil {
		errs = append(errs, b.DB.Close())
	}
	if b.Node != nil {
		b.Node.Wipe()
	}
	return errors.Join(errs...)
}

// OpenBones opens key file, database (migrating it), keystore, log and cache.
func OpenBones(ctx context.Context, c *Config) (*Bones, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	b := &Bones{}
	err := b.open(ctx, c)
	if err == nil {
		b.Seq, err = openSequencer(ctx, c, b)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// open opens all but the log.

func (b *Bones) open(ctx context.Context, c *Config) (err error) {
	if b.Node, err = openNode(c); err != nil {
		return err
	}
	if b.DB, err = db.Open(ctx, db.Config{URL: c.DatabaseURL, Logger: c.Logger, Now: c.Now}); err != nil {
		next := "check the address and that the server runs"
		if errors.Is(err, db.ErrURL) {
			next = "correct the address"
		}
		return explain("open the database", next, err)
	}
	if err := b.DB.Migrate(ctx, Lines()...); err != nil {
		return explain("migrate the database", "if it says that the schema is newer, use the newer program", err)
	}
	keks := b.Node.KEKs()
	if b.Keys, err = keystore.Open(ctx, keystore.Config{DB: b.DB, KEK: keks[0], MoreKEKs: keks[1:], Now: c.Now}); err != nil {
		return explain("open the keystore", "the key file must be this database's own", err)
	}
	if b.Audit, err = audit.New(audit.Config{DB: b.DB, Keys: b.Keys, Erased: keystore.ErrErased, Now: c.Now}); err != nil {
		return err
	}
	if b.Blobs, err = blob.Open(blob.Config{DB: b.DB, Keys: b.Keys, Now: c.Now}); err != nil {
		return err
	}
	b.Cache, err = openCache(c)
	return err
}

// openNode opens the key file; a demo makes it, with a passphrase of its own
// beside it, mode 0600.
func openNode(c *Config) (*envelope.File, error) {
	path, pass := c.path(keyFile), c.Passphrase
	if c.Demo && len(pass) == 0 {
		var err error
		if pass, err = demoPassphrase(c.path(passphraseFile)); err != nil {
			return nil, err
		}
	}
	f, err := envelope.OpenFile(path, pass)
	if errors.Is(err, fs.ErrNotExist) && c.Demo {
		return envelope.CreateFile(path, pass, envelope.FileConfig{Created: c.Now()})
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, explain("open the key file", "make it once with: suti key init", err)
	}
	if err != nil {
		return nil, explain("open the key file "+path, "the passphrase comes from SUTI_PASSPHRASE_FILE", err)
	}
	return f, nil
}

func demoPassphrase(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err == nil {
		return raw, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	raw = []byte(rand.Text())
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(raw)
	return raw, errors.Join(err, f.Sync(), f.Close())
}

func openCache(c *Config) (cache.Cache, error) {
	if c.RedisURL == "" {
		return memory.New(memory.Config{Now: c.Now})
	}
	r, err := redis.New(redis.Config{URL: c.RedisURL, Logger: c.Logger})
	if err != nil {
		return nil, explain("open the cache", "check the address of Redis", err)
	}
	return r, nil
}

// openSequencer opens the log that the database says is the current one, and
// the first one on an empty database.
func openSequencer(ctx context.Context, c *Config, b *Bones) (*audit.Sequencer, error) {
	sc, err := sequencerConfig(ctx, c, b)
	if err != nil {
		return nil, err
	}
	return audit.NewSequencer(ctx, sc)
}

// sequencerConfig names the current log and its key, which it makes at first. A
// log that was continued has another origin than the configuration gives the
// first one. An origin of another line, as after a change of the public
// address, is left to the sequencer to refuse.
func sequencerConfig(ctx context.Context, c *Config, b *Bones) (audit.SequencerConfig, error) {
	sc := audit.SequencerConfig{Log: b.Audit, Origin: c.logOrigin(), HighWater: c.path(highWaterFile), Logger: c.Logger}
	logs, err := b.Audit.Logs(ctx)
	if err != nil {
		return sc, err
	}
	vkey := ""
	if len(logs) > 0 {
		last := logs[len(logs)-1]
		if base, _ := logverify.BaseOrigin(last.Origin); base == sc.Origin {
			sc.Origin, vkey = last.Origin, last.VKey
		}
	}
	sc.Signer, err = logSigner(ctx, b, sc.Origin, vkey)
	return sc, err
}

// logSigner returns the key that vkey names, else the first one made, which it
// makes if there is none.
func logSigner(ctx context.Context, b *Bones, origin, vkey string) (crypto.Signer, error) {
	active, err := b.Keys.Active(ctx, LogPurpose)
	if err != nil {
		return nil, err
	}
	if len(active) == 0 {
		p, err := b.Keys.Generate(keystore.Spec{Purpose: LogPurpose, Alg: keystore.EdDSA, Owner: keystore.SystemOwner + "log", Activate: true})
		if err != nil {
			return nil, err
		}
		if err := b.DB.Write(ctx, func(tx *db.Tx) error { return b.Keys.Put(tx, p) }); err != nil {
			return nil, err
		}
		if active, err = b.Keys.Active(ctx, LogPurpose); err != nil {
			return nil, err
		}
	}
	for i := len(active) - 1; i >= 0; i-- { // the first one made comes last
		signer, err := b.Keys.Signer(ctx, active[i].ID, LogPurpose)
		if err != nil {
			return nil, fmt.Errorf("log key: %w", err)
		}
		if vkey == "" {
			return signer, nil
		}
		pub, ok := signer.Public().(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("log key %s is %T", active[i].ID, signer.Public())
		}
		if mine, err := logverify.VerifierKey(origin, pub); err == nil && mine == vkey {
			return signer, nil
		}
	}
	return nil, fmt.Errorf("the key of the current log is not in the key store: %s", vkey)
}
