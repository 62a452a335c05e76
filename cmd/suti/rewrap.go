package main

import (
	"context"
	"net/http"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/keystore"
)

// rewrapBatch is how many rows one step moves.
const rewrapBatch = 200

func (c *cli) newKeyRewrapCommand() *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "rewrap", Short: "Replace the key that seals all other keys",
		Long: "Draw a new key encryption key, seal every key in the database under it, and remove the old one from the key\n" +
			"file. All servers on this database must be stopped. If it is cut short, run it again: it goes on where it was.\n\n" +
			"Afterwards copies of the old key file open nothing any more that is sealed from now on. On every other node of\n" +
			"the same database, move the key file away and make it anew with: suti key init --same-keys-as.",
		Example: "  suti key rewrap --config suti.toml",
		Args:    operands(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.rewrap(cmd.Context(), f) },
	}
	f.add(cmd)
	return cmd
}

func (c *cli) rewrap(ctx context.Context, f configFlags) error {
	cfg, err := c.load(f)
	if err != nil {
		return err
	}
	if _, err := callAdmin(ctx, cfg.Listen.AdminSocket, http.MethodGet, adminStatus); err == nil {
		return refusedf("stop it, and every other server on this database, first", "a server answers on %s", cfg.Listen.AdminSocket)
	}
	d, err := c.openDB(ctx, cfg)
	if err != nil {
		return err
	}
	defer d.Close()
	store, file, err := c.openKeys(ctx, cfg, d)
	if err != nil {
		return err
	}
	defer file.Wipe()
	pass, err := cfg.Passphrase()
	if err != nil {
		return usagef("", "%w", err)
	}
	defer clear(pass)
	fresh, err := freshKEK(ctx, store, file, cfg.KeyPath(), pass)
	if err != nil {
		return err
	}
	moved, err := c.moveRows(ctx, store, fresh)
	if err != nil {
		return failedf("run it again: it goes on where it was", "seal keys anew: %w", err)
	}
	if err := retireKEKs(ctx, store, cfg.KeyPath(), pass, fresh); err != nil {
		return failedf("run it again: it goes on where it was", "remove the old key: %w", err)
	}
	c.printf("Sealed %d keys under a new key, and removed the old one from %s.\nMake a new copy of that file now.\n", moved, cfg.KeyPath())
	return nil
}

// freshKEK returns the key to move to: the one of an earlier try, or a new one
// that is in the key file before anything is sealed under it.
func freshKEK(ctx context.Context, store *keystore.Store, file *envelope.File, path string, pass []byte) (envelope.Key, error) {
	generations, err := store.Generations(ctx)
	if err != nil {
		return envelope.Key{}, failedf("", "list the keys of the database: %w", err)
	}
	known := map[string]bool{}
	for _, g := range generations {
		known[g.Fingerprint] = true
	}
	for _, k := range file.KEKs() {
		if !known[k.Fingerprint()] {
			return k, nil // added, and not used yet
		}
		if len(generations) > 1 && k.Fingerprint() == generations[len(generations)-1].Fingerprint {
			return k, nil // in the middle of it
		}
	}
	k := envelope.NewKey()
	if err := envelope.AddKEK(path, pass, envelope.PurposeNode, k); err != nil {
		return envelope.Key{}, keyFileFault(path, err)
	}
	return k, nil
}

func (c *cli) moveRows(ctx context.Context, store *keystore.Store, fresh envelope.Key) (moved int, err error) {
	prog := c.progress("keys sealed anew", 0, false)
	defer prog.end()
	for {
		step, err := store.Rewrap(ctx, fresh, rewrapBatch)
		moved += step.Rewrapped
		if err != nil || step.Remaining == 0 {
			return moved, err
		}
		prog.set(int64(moved), int64(moved)+step.Remaining)
	}
}

// retireKEKs makes fresh the only key of the database and the file.
func retireKEKs(ctx context.Context, store *keystore.Store, path string, pass []byte, fresh envelope.Key) error {
	if err := envelope.PromoteKEK(path, pass, envelope.PurposeNode, fresh.Fingerprint()); err != nil {
		return err
	}
	generations, err := store.Generations(ctx)
	if err != nil {
		return err
	}
	for _, g := range generations {
		if g.Fingerprint == fresh.Fingerprint() {
			continue
		}
		if err := store.ReleaseKEK(ctx, g.Fingerprint); err != nil {
			return err
		}
	}
	file, err := envelope.OpenFile(path, pass)
	if err != nil {
		return err
	}
	defer file.Wipe()
	for _, k := range file.KEKs() {
		if k.Equal(fresh) {
			continue
		}
		if err := envelope.DropKEK(path, pass, envelope.PurposeNode, k.Fingerprint()); err != nil {
			return err
		}
	}
	return nil
}
