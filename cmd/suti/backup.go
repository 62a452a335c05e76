package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/cmd/internal/app"
	"oruro.gob.bo/suti/cmd/internal/config"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/keystore"
)

// The form of a backup: a folder of these files, and the seal of the manifest.
const (
	backupFormat   = "suti/backup/v1"
	backupManifest = "manifest.json"
	maxManifest    = 1 << 20 // bytes
)

// manifest says what a backup holds. A file beside it, made with the deployment's
// own key, shows whether it was altered: see backupSeal.
type manifest struct {
	Format    string         `json:"format"`
	Created   time.Time      `json:"created"`
	Program   build          `json:"program"`
	Engine    string         `json:"engine"`
	PublicURL string         `json:"public_url"`
	Files     []manifestFile `json:"files"`
	// Log is the last published checkpoint in the copy; empty before the first.
	Log manifestLog `json:"log"`
}

type manifestFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

type manifestLog struct {
	Origin     string `json:"origin"`
	Size       int64  `json:"size"`
	Root       string `json:"root"`
	Checkpoint string `json:"checkpoint"` // as signed
}

type backupFlags struct {
	config    configFlags
	out       string
	key, json bool
}

func (c *cli) newBackupCommand() *cobra.Command {
	var f backupFlags
	cmd := &cobra.Command{
		Use: "backup", Short: "Copy the database consistently while the server runs",
		Long: "Copy the embedded database, consistently and while the server runs, into a new folder with a manifest. The copy\n" +
			"is opened and checked before the folder gets its name. It holds documents and personal data, sealed: without\n" +
			"the key file and its passphrase no private key and no sealed datum can be read from it. The manifest is sealed with\n" +
			"the deployment's key, so that a restore notices any alteration; the key file must open, or the server run here.\n\n" +
			"PostgreSQL is backed up by its own tools; the command then tells which, and looks whether they can do it.\n\n" +
			"Exit codes: 0 done, 1 failed, 2 used or configured wrongly, 3 not for this database.",
		Example: "  suti backup --config suti.toml --out backup-1\n  suti backup --config suti.toml --out backup-1 --with-key-file --json",
		Args:    operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "out"); err != nil {
				return err
			}
			return c.backup(cmd.Context(), f)
		},
	}
	f.config.add(cmd)
	cmd.Flags().StringVar(&f.out, "out", "", "folder to make")
	cmd.Flags().BoolVar(&f.key, "with-key-file", false, "copy the key file too; keep its passphrase elsewhere")
	cmd.Flags().BoolVar(&f.json, "json", false, "write the manifest")
	return cmd
}

func (c *cli) backup(ctx context.Context, f backupFlags) error {
	cfg, err := c.load(f.config)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(f.out); err == nil {
		return refusedf("name a folder that does not exist", "%s exists already", f.out)
	}
	d, err := c.openDB(ctx, cfg)
	if err != nil {
		return err
	}
	defer d.Close()
	if d.Engine() == db.Postgres {
		return c.postgresBackup(ctx, d)
	}
	part, err := os.MkdirTemp(filepath.Dir(f.out), "."+filepath.Base(f.out)+".*.part")
	if err != nil {
		return failedf("", "make a folder: %w", err)
	}
	defer os.RemoveAll(part) // nothing is left there after the rename
	m, err := c.fillBackup(ctx, cfg, d, part, f.key)
	if err != nil {
		return err
	}
	if err := os.Rename(part, f.out); err != nil {
		return failedf("", "name the backup: %w", err)
	}
	if err := syncDir(filepath.Dir(f.out)); err != nil {
		return failedf("", "flush the folder: %w", err)
	}
	if f.json {
		return c.json(m)
	}
	c.printf("Backup in %s, checked by opening it:\n", f.out)
	for _, file := range m.Files {
		c.printf("  %s, %d bytes, SHA-256 %s\n", file.Name, file.Size, file.SHA256)
	}
	c.printf("  log: %d entries\n", m.Log.Size)
	if !f.key {
		c.printf("The key file %s is not in it: keep a copy of that apart.\n", cfg.KeyPath())
	}
	return nil
}

// fillBackup writes the files of a backup and its manifest into a folder.
func (c *cli) fillBackup(ctx context.Context, cfg *config.Config, d *db.DB, dir string, withKey bool) (*manifest, error) {
	copyPath := filepath.Join(dir, config.DatabaseFile)
	if err := d.Backup(ctx, copyPath); err != nil {
		return nil, failedf("is there room on the disk?", "copy the database: %w", err)
	}
	m := &manifest{Format: backupFormat, Created: c.now().UTC(), Program: thisBuild(), Engine: d.Engine().String(), PublicURL: cfg.PublicURL}
	var err error
	if m.Log, err = c.examineCopy(ctx, copyPath); err != nil {
		return nil, failedf("nothing was kept", "the copy does not open: %w", err)
	}
	names := []string{config.DatabaseFile}
	if withKey {
		if _, err := envelope.ReadHeader(cfg.KeyPath()); err != nil {
			return nil, keyFileFault(cfg.KeyPath(), err)
		}
		if err := copyFile(ctx, cfg.KeyPath(), filepath.Join(dir, config.KeyFile), ""); err != nil {
			return nil, failedf("", "copy the key file: %w", err)
		}
		names = append(names, config.KeyFile)
	}
	for _, n := range names {
		file, err := describeFile(ctx, dir, n)
		if err != nil {
			return nil, failedf("", "read the copy: %w", err)
		}
		m.Files = append(m.Files, file)
	}
	raw, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	raw = append(raw, '\n')
	seal, err := c.sealManifest(ctx, cfg, raw)
	if err != nil {
		return nil, err
	}
	for name, content := range map[string][]byte{backupManifest: raw, backupSeal: []byte(seal)} {
		err := writeWhole(filepath.Join(dir, name), 0o600, func(w io.Writer) error {
			_, err := w.Write(content)
			return err
		})
		if err != nil {
			return nil, failedf("", "write the manifest: %w", err)
		}
	}
	return m, nil
}

// noDataKeys lets the log be read without any content.
type noDataKeys struct{}

func (noDataKeys) DataKey(context.Context, string) (envelope.Key, error) {
	return envelope.Key{}, errors.New("no keys here")
}

// examineCopy opens a copied database, checks its schema and returns where its
// log stands. An older schema is no fault: it is migrated at the next start.
func (c *cli) examineCopy(ctx context.Context, path string) (out manifestLog, err error) {
	d, err := db.Open(ctx, db.Config{URL: "sqlite:" + path, Now: c.now})
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := d.Check(ctx, app.Lines()...); errors.Is(err, db.ErrSchemaOld) {
		return out, nil
	} else if err != nil {
		return out, err
	}
	log, err := audit.New(audit.Config{DB: d, Keys: noDataKeys{}, Erased: keystore.ErrErased, Now: c.now})
	if err != nil {
		return out, err
	}
	note, cp, err := log.Latest(ctx)
	if errors.Is(err, audit.ErrPending) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	return manifestLog{Origin: cp.Origin, Size: cp.Size, Root: cp.Root.String(), Checkpoint: string(note)}, nil
}

func describeFile(ctx context.Context, dir, name string) (manifestFile, error) {
	f, size, err := openRegular(filepath.Join(dir, name))
	if err != nil {
		return manifestFile{}, err
	}
	defer f.Close()
	sum, err := hashFile(ctx, f, size)
	return manifestFile{Name: name, Size: size, SHA256: sum}, errors.Join(err, f.Sync())
}

// copyFile copies a file to a new one of mode 0600 and flushes it. If sum is
// not empty, it refuses a file with another SHA-256.
func copyFile(ctx context.Context, from, to, sum string) (err error) {
	src, size, err := openRegular(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(to))
		}
	}()
	if _, err := copyInto(ctx, dst, io.NewSectionReader(src, 0, size)); err != nil {
		return errors.Join(err, dst.Close())
	}
	if err := errors.Join(dst.Sync(), dst.Close()); err != nil {
		return err
	}
	if sum == "" {
		return nil
	}
	// What is on the disk now is what counts.
	got, err := describeFile(ctx, filepath.Dir(to), filepath.Base(to))
	if err == nil && got.SHA256 != sum {
		err = fmt.Errorf("%s has SHA-256 %s, and the manifest says %s", from, got.SHA256, sum)
	}
	return err
}

// postgresBackup tells how this PostgreSQL is backed up, and what stands in the way.
func (c *cli) postgresBackup(ctx context.Context, d *db.DB) error {
	var archive, level string
	if err := d.QueryRow(ctx, "SELECT current_setting('archive_mode'), current_setting('wal_level')").Scan(&archive, &level); err != nil {
		return failedf("", "ask the server: %w", err)
	}
	p := &printer{w: c.stdout}
	p.linef("PostgreSQL is backed up by its own tools.")
	p.linef("Continuous, to any moment (recommended):")
	p.linef("  pgbackrest --stanza=suti stanza-create")
	p.linef("  pgbackrest --stanza=suti --type=full backup")
	p.linef("  this server has archive_mode = %s and wal_level = %s%s", archive, level, archiveAdvice(archive, level))
	p.linef("A single consistent copy:")
	p.linef("  pg_dump --format=custom --serializable-deferrable --file=suti.dump --dbname=ADDRESS")
	p.linef("  pg_restore --exit-on-error --no-owner --dbname=NEW-ADDRESS suti.dump")
	p.linef("After a restore: suti doctor --config FILE --log")
	p.linef("Keep copies of every node's key file apart: %s in its data_dir.", config.KeyFile)
	if p.err != nil {
		return p.err
	}
	return told(exitRefused)
}

func archiveAdvice(archive, level string) string {
	if archive == "off" || level == "minimal" {
		return ": set archive_mode = on and wal_level = replica first"
	}
	return ", as it should"
}

// sqlitePath returns the path in a sqlite: address.
func sqlitePath(url string) (string, bool) {
	path, ok := strings.CutPrefix(url, "sqlite:")
	return path, ok && path != ""
}

// readManifest reads and checks the manifest of a backup; raw is as it stands there.
func readManifest(dir string) (m *manifest, raw []byte, err error) {
	raw, err = readBounded(filepath.Join(dir, backupManifest), maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%s holds no %s: it is no finished backup", dir, backupManifest)
	}
	if err != nil {
		return nil, nil, err
	}
	m = &manifest{}
	if err := json.Unmarshal(raw, m); err != nil {
		return nil, nil, fmt.Errorf("%s is malformed: %w", backupManifest, err)
	}
	if m.Format != backupFormat {
		return nil, nil, fmt.Errorf("the backup is of the form %q, and this program reads %s", printable(m.Format), backupFormat)
	}
	return m, raw, nil
}

// file returns the entry of a name.
func (m *manifest) file(name string) (manifestFile, bool) {
	for _, f := range m.Files {
		if f.Name == name {
			return f, true
		}
	}
	return manifestFile{}, false
}
