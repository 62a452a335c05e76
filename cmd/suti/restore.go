package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/cmd/internal/config"
)

type restoreFlags struct {
	config    configFlags
	key, json bool
	// unverified takes a backup whose seal cannot be checked.
	unverified bool
}

// restoreResult is what "suti restore --json" tells.
type restoreResult struct {
	Database string    `json:"database"` // path
	KeyFile  string    `json:"key_file,omitempty"`
	Created  time.Time `json:"created"` // of the backup
	LogSize  int64     `json:"log_size"`
	Warnings []string  `json:"warnings"`
}

func (c *cli) newRestoreCommand() *cobra.Command {
	var f restoreFlags
	cmd := &cobra.Command{
		Use: "restore DIR", Short: "Put a backup where the configuration says the database is",
		Long: "Check a backup against its manifest, and the manifest against its seal, copy the database beside its place, open\n" +
			"the copy, and only then give it its name. The seal shows alterations by anybody who does not have the key file. A database or key file that is there is never overwritten.\n\n" +
			"A backup is an older state: what was erased since is back, and the transparency log is behind what was\n" +
			"published. The command tells what to do about both.\n\n" +
			"Exit codes: 0 done, 1 failed, 2 used or configured wrongly, 3 refused: the backup is damaged, or something is there.",
		Example: "  suti restore --config suti.toml backup-1\n  suti restore --config suti.toml --with-key-file backup-1",
		Args:    operands(1, 1, "the folder of the backup"),
		RunE:    func(cmd *cobra.Command, args []string) error { return c.restore(cmd.Context(), f, args[0]) },
	}
	f.config.add(cmd)
	cmd.Flags().BoolVar(&f.key, "with-key-file", false, "restore the key file too")
	cmd.Flags().BoolVar(&f.unverified, "unverified", false, "restore although nothing shows whether the backup was altered")
	cmd.Flags().BoolVar(&f.json, "json", false, "write JSON")
	return cmd
}

func (c *cli) restore(ctx context.Context, f restoreFlags, dir string) error {
	cfg, err := c.load(f.config)
	if err != nil {
		return err
	}
	url, err := cfg.Database()
	if err != nil {
		return usagef("", "database.url_file: %w", err)
	}
	target, ok := sqlitePath(url)
	if !ok {
		return refusedf("PostgreSQL is restored by its own tools: pgbackrest restore, or pg_restore", "the configured database is not a file")
	}
	m, raw, err := readManifest(dir)
	if err != nil {
		return refusedf("", "%w", err)
	}
	if err := c.checkSeal(cfg, dir, raw); err != nil && !(f.unverified && !errors.Is(err, errAltered)) {
		next := "use another backup, or the key file that belongs to it"
		if !errors.Is(err, errAltered) {
			next = "put the key file in its place first; --unverified restores what cannot be checked"
		}
		return refusedf(next, "%w", err)
	}
	if m.PublicURL != cfg.PublicURL {
		return refusedf("passkeys and certificates belong to one address for good", "the backup is of %s, and this configuration of %s", printable(m.PublicURL), cfg.PublicURL)
	}
	for _, path := range []string{target, target + "-wal", target + "-shm"} {
		if _, err := os.Lstat(path); err == nil {
			return refusedf("move it away, and keep it: it may hold what the backup does not", "%s is there", path)
		}
	}
	res := restoreResult{Database: target, Created: m.Created, LogSize: m.Log.Size, Warnings: []string{}}
	if f.key {
		if err := c.restoreKey(ctx, cfg, dir, m); err != nil {
			return err
		}
		res.KeyFile = cfg.KeyPath()
	}
	if err := c.restoreDatabase(ctx, m, dir, target); err != nil {
		return err
	}
	res.Warnings = restoreWarnings(cfg, m)
	return c.tellRestored(f.json, res)
}

// restoreDatabase copies the database beside its place, opens it there and
// gives it its name.
func (c *cli) restoreDatabase(ctx context.Context, m *manifest, dir, target string) (err error) {
	file, ok := m.file(config.DatabaseFile)
	if !ok {
		return refusedf("", "the manifest names no %s", config.DatabaseFile)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return failedf("", "%w", err)
	}
	part := target + ".restoring"
	if _, err := os.Lstat(part); err == nil {
		return refusedf("an earlier restore was cut short; remove it and try again", "%s is there", part)
	}
	if err := copyFile(ctx, filepath.Join(dir, config.DatabaseFile), part, file.SHA256); err != nil {
		return refusedf("use another backup", "the backup cannot be used: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(part) // the first error is the one to tell
		}
	}()
	got, err := c.examineCopy(ctx, part)
	if err != nil {
		return refusedf("use another backup, or the program that made it", "the restored database does not open: %w", err)
	}
	if got != m.Log {
		return refusedf("use another backup", "the log in the backup is not the one of its manifest")
	}
	if err := os.Rename(part, target); err != nil {
		return failedf("", "name the database: %w", err)
	}
	if err := syncDir(filepath.Dir(target)); err != nil {
		return failedf("", "flush the folder: %w", err)
	}
	return nil
}

func (c *cli) restoreKey(ctx context.Context, cfg *config.Config, dir string, m *manifest) error {
	file, ok := m.file(config.KeyFile)
	if !ok {
		return refusedf("leave out --with-key-file, and restore the key file from where it is kept", "the backup holds no key file")
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return failedf("", "%w", err)
	}
	err := copyFile(ctx, filepath.Join(dir, config.KeyFile), cfg.KeyPath(), file.SHA256)
	if errors.Is(err, fs.ErrExist) {
		return refusedf("leave out --with-key-file if it is this database's", "%s is there", cfg.KeyPath())
	}
	if err != nil {
		return refusedf("", "restore the key file: %w", err)
	}
	return syncDir(cfg.DataDir)
}

// restoreWarnings are what no program can put right by itself.
func restoreWarnings(cfg *config.Config, m *manifest) []string {
	out := []string{
		fmt.Sprintf("What people had erased after %s is back. Erase it again before the server is opened to the public; whoever keeps the record of erasures knows which.", m.Created.Format(time.RFC3339)),
		fmt.Sprintf("The transparency log stands at %d entries. If more was published, the server will refuse to sign that log again: it is continued under a new origin by: suti log reopen.", m.Log.Size),
		"Revocations, suspensions and ended appointments made after the backup are gone: repeat them before the server is opened to the public.",
	}
	if _, err := os.Stat(cfg.HighWaterPath()); errors.Is(err, fs.ErrNotExist) {
		out = append(out, "This machine has no "+config.HighWaterFile+": it cannot notice by itself that more was published. Copy it from the old machine if it is left.")
	}
	if _, err := os.Stat(cfg.KeyPath()); errors.Is(err, fs.ErrNotExist) {
		out = append(out, "The key file "+cfg.KeyPath()+" is missing: restore it before the server is started.")
	}
	return out
}

func (c *cli) tellRestored(asJSON bool, r restoreResult) error {
	if asJSON {
		return c.json(r)
	}
	c.printf("Restored %s from the backup of %s, checked by opening it.\n", r.Database, r.Created.Format(time.RFC3339))
	for _, w := range r.Warnings {
		c.printf("- %s\n", w)
	}
	c.printf("Next: suti doctor --config FILE --log\n")
	return nil
}
