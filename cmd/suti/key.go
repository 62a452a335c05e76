package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/cmd/internal/config"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/keystore"
)

func (c *cli) newKeyCommand() *cobra.Command {
	cmd := group("key", "The key file of a node and the keys in its database",
		"The key file opens everything else. Keep a copy of it, and its passphrase apart from both: without them the\nkeys in the database can never be used again.",
		"  suti key init --config suti.toml\n  suti key list --config suti.toml")
	cmd.AddCommand(c.newKeyInitCommand(), c.newKeyListCommand(), c.newKeyPassphraseCommand(), c.newKeyRewrapCommand())
	return cmd
}

type keyInitFlags struct {
	config         configFlags
	from, fromPass string
}

func (c *cli) newKeyInitCommand() *cobra.Command {
	var f keyInitFlags
	cmd := &cobra.Command{
		Use: "init", Short: "Make the key file of this node",
		Long: "Make the key file of this node in its data folder, sealed under the passphrase of passphrase_file. It is never\n" +
			"overwritten. A further node of the same database takes over the keys of the first one's file, and gets an\n" +
			"identity of its own.",
		Example: "  suti key init --config suti.toml\n" +
			"  suti key init --config suti.toml --same-keys-as node-1.key --its-passphrase-file node-1.passphrase",
		Args: operands(0, 0, ""),
		RunE: func(*cobra.Command, []string) error { return c.keyInit(f) },
	}
	f.config.add(cmd)
	cmd.Flags().StringVar(&f.from, "same-keys-as", "", "key file of another node of the same database")
	cmd.Flags().StringVar(&f.fromPass, "its-passphrase-file", "", "file with its passphrase")
	return cmd
}

func (c *cli) keyInit(f keyInitFlags) error {
	cfg, err := c.load(f.config)
	if err != nil {
		return err
	}
	pass, err := cfg.Passphrase()
	if err != nil {
		return usagef("write one into a file of mode 0600, for example with: head -c 32 /dev/urandom | base64 > passphrase", "%w", err)
	}
	defer clear(pass)
	fc := envelope.FileConfig{Created: c.now()}
	if f.from != "" {
		if fc.KEKs, err = otherKEKs(f.from, f.fromPass); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return failedf("", "make the data folder: %w", err)
	}
	file, err := envelope.CreateFile(cfg.KeyPath(), pass, fc)
	switch {
	case errors.Is(err, envelope.ErrExists):
		return refusedf("it is never overwritten; suti key passphrase changes its passphrase", "%s exists already", cfg.KeyPath())
	case errors.Is(err, envelope.ErrWeakPassphrase):
		return usagef("use at least 12 bytes; a random one is best", "%w", err)
	case err != nil:
		return failedf("", "make the key file: %w", err)
	}
	defer file.Wipe()
	c.printf("Made %s for node %s.\nKeep a copy of it elsewhere, and its passphrase apart from both.\n", cfg.KeyPath(), file.NodeID)
	return nil
}

func otherKEKs(path, passPath string) ([]envelope.Key, error) {
	if passPath == "" {
		return nil, usagef("add --its-passphrase-file FILE", "--same-keys-as needs the passphrase of that file")
	}
	pass, err := config.ReadSecret(passPath, false)
	if err != nil {
		return nil, usagef("", "--its-passphrase-file: %w", err)
	}
	defer clear(pass)
	other, err := envelope.OpenFile(path, pass)
	if err != nil {
		return nil, keyFileFault(path, err)
	}
	return other.KEKs(), nil
}

type keyListFlags struct {
	config  configFlags
	purpose string
	json    bool
}

// keyLine is one key as "suti key list --json" tells it.
type keyLine struct {
	ID       string    `json:"id"`
	Purpose  string    `json:"purpose"`
	Owner    string    `json:"owner,omitempty"`
	Alg      string    `json:"alg"`
	State    string    `json:"state"`
	SPKI     string    `json:"spki_sha256"`
	Created  time.Time `json:"created"`
	RetireAt time.Time `json:"retire_at,omitzero"`
}

// servicePurposes are the purposes of the service's own keys. Those of people
// are listed only where asked for.
var servicePurposes = []string{"ca.root", "ca.issuing", "ocsp", "tsa", "idp.sign", "log"}

func (c *cli) newKeyListCommand() *cobra.Command {
	var f keyListFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the service's keys in the database",
		Long:    "List the public parts of the service's keys: authorities, status answers, time-stamps, tokens, log. No secret is shown.",
		Example: "  suti key list --config suti.toml\n  suti key list --config suti.toml --purpose idp.sign --json",
		Args:    operands(0, 0, ""),
		RunE:    func(cmd *cobra.Command, _ []string) error { return c.keyList(cmd.Context(), f) },
	}
	f.config.add(cmd)
	cmd.Flags().StringVar(&f.purpose, "purpose", "", "list this purpose only, for example idp.sign or person")
	cmd.Flags().BoolVar(&f.json, "json", false, "write JSON")
	return cmd
}

func (c *cli) keyList(ctx context.Context, f keyListFlags) error {
	cfg, err := c.load(f.config)
	if err != nil {
		return err
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
	purposes := servicePurposes
	if f.purpose != "" {
		purposes = []string{f.purpose}
	}
	lines := []keyLine{}
	for _, p := range purposes {
		infos, err := store.List(ctx, p)
		if err != nil {
			return failedf("", "list keys: %w", err)
		}
		for _, i := range infos {
			lines = append(lines, newKeyLine(i))
		}
	}
	if f.json {
		return c.json(lines)
	}
	w := tabwriter.NewWriter(c.stdout, 0, 4, 2, ' ', 0)
	p := &printer{w: w}
	p.cells("ID", "PURPOSE", "ALG", "STATE", "CREATED")
	for _, l := range lines {
		p.cells(l.ID, l.Purpose, l.Alg, l.State, l.Created.Format(time.RFC3339))
	}
	return errors.Join(p.err, w.Flush())
}

func newKeyLine(i keystore.Info) keyLine {
	return keyLine{
		ID: i.ID, Purpose: i.Purpose, Owner: i.Owner, Alg: string(i.Alg), State: string(i.State), SPKI: hexOf(i.SPKIHash[:]), Created: i.Created, RetireAt: i.RetireAt,
	}
}

func (c *cli) newKeyPassphraseCommand() *cobra.Command {
	var f configFlags
	var fresh string
	cmd := &cobra.Command{
		Use: "passphrase", Short: "Change the passphrase of the key file",
		Long: "Change the passphrase of this node's key file, atomically. The old one comes from passphrase_file; put the new\n" +
			"one there afterwards. Copies of the key file keep the passphrase that they had.",
		Example: "  suti key passphrase --config suti.toml --new-passphrase-file new.passphrase",
		Args:    operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "new-passphrase-file"); err != nil {
				return err
			}
			return c.keyPassphrase(f, fresh)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&fresh, "new-passphrase-file", "", "file with the new passphrase")
	return cmd
}

func (c *cli) keyPassphrase(f configFlags, freshPath string) error {
	cfg, err := c.load(f)
	if err != nil {
		return err
	}
	old, err := cfg.Passphrase()
	if err != nil {
		return usagef("", "%w", err)
	}
	defer clear(old)
	fresh, err := config.ReadSecret(freshPath, false)
	if err != nil {
		return usagef("", "--new-passphrase-file: %w", err)
	}
	defer clear(fresh)
	if bytes.Equal(old, fresh) {
		return usagef("", "the new passphrase is the old one")
	}
	err = envelope.ChangePassphrase(cfg.KeyPath(), old, fresh, envelope.PurposeNode)
	if errors.Is(err, envelope.ErrWeakPassphrase) {
		return usagef("use at least 12 bytes; a random one is best", "%w", err)
	}
	if err != nil {
		return keyFileFault(cfg.KeyPath(), err)
	}
	_, err = io.WriteString(c.stdout, "Changed. Now put the new passphrase where passphrase_file points, and start the server anew.\n")
	return err
}
