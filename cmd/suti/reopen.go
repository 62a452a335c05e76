package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/cmd/internal/app"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/audit/logverify"
)

type reopenFlags struct {
	config   configFlags
	reason   string
	last     string
	markLost bool
	yes      bool
	json     bool
}

// reopenResult is what "suti log reopen --json" writes.
type reopenResult struct {
	Done      bool   `json:"done"`
	Published string `json:"published,omitempty"` // origin of the log that this node signed last
	Size      int64  `json:"published_size,omitempty"`
	Database  string `json:"database,omitempty"` // origin of the database's log
	Have      int64  `json:"database_size"`
	Lost      int64  `json:"lost"` // published entries that the database does not have
	Origin    string `json:"origin,omitempty"`
	Key       string `json:"vkey,omitempty"`
}

func (c *cli) newLogReopenCommand() *cobra.Command {
	var f reopenFlags
	cmd := &cobra.Command{
		Use: "reopen --config FILE --reason TEXT", Short: "Continue the log after an older database was restored",
		Long: "Continue the transparency log under a new origin, after a restore that lost what was published. The old log is\n" +
			"never signed again at a smaller size: the first leaf of the new one names, in clear, the last checkpoint that is\n" +
			"known to have been published, so that everybody sees that entries were lost. What the old log proved stays\n" +
			"proven. The signing key stays the same, and those who trust it follow by themselves.\n\n" +
			"Restore the newest state there is before you do this, and stop every server on this database. Without --yes it\n" +
			"only says what it would do. The reason is kept, sealed, with the entry.\n\n" +
			"Exit codes: 0 done, 1 failed, 2 used or configured wrongly, 3 refused, or --yes was missing.",
		Example: "  suti log reopen --config suti.toml --reason \"disk lost, backup of Monday\"\n" +
			"  suti log reopen --config suti.toml --reason \"disk lost, backup of Monday\" --last-published witness.json --yes",
		Args: operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "reason"); err != nil {
				return err
			}
			return c.reopen(cmd.Context(), f)
		},
	}
	f.config.add(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.reason, "reason", "", "why, for those who will read the record")
	fl.StringVar(&f.last, "last-published", "", "a newer checkpoint, or a witness's state file, kept elsewhere")
	fl.BoolVar(&f.markLost, "mark-lost", false, "this machine's high-water file is lost as well, and no checkpoint was kept elsewhere")
	fl.BoolVar(&f.yes, "yes", false, "do it")
	fl.BoolVar(&f.json, "json", false, "write JSON")
	return cmd
}

func (c *cli) reopen(ctx context.Context, f reopenFlags) error {
	cfg, err := c.load(f.config)
	if err != nil {
		return err
	}
	if len(f.reason) > audit.MaxText {
		return usagef("", "--reason has more than %d bytes", audit.MaxText)
	}
	o := audit.ContinueOptions{Actor: "operator", Reason: f.reason}
	if f.last != "" {
		if o.LastPublished, err = keptCheckpoint(f.last); err != nil {
			return usagef("it is a signed checkpoint, or the state file of suti log witness", "--last-published: %w", err)
		}
	}
	if _, err := callAdmin(ctx, cfg.Listen.AdminSocket, http.MethodGet, adminStatus); err == nil {
		return refusedf("stop it, and every other server on this database, first", "a server answers on %s", cfg.Listen.AdminSocket)
	}
	ac, err := c.appConfig(cfg)
	if err != nil {
		return err
	}
	defer clear(ac.Passphrase)
	seen, err := app.ReopenLog(ctx, ac, o, false)
	if err != nil {
		return reopenFault(err)
	}
	if seen.Behind == nil && f.last == "" && !f.markLost {
		return refusedf("if the server was restored on a machine without its log.highwater, name a checkpoint kept elsewhere with\n"+
			"--last-published, or say --mark-lost if there is none", "the database is not behind what this node published: there is nothing to continue")
	}
	out := reopenBefore(seen)
	if !f.yes {
		return c.reopenPreview(f.json, out)
	}
	done, err := app.ReopenLog(ctx, ac, o, true)
	if err != nil {
		return reopenFault(err)
	}
	now := done.After[len(done.After)-1]
	out.Done, out.Origin, out.Key, out.Lost = true, now.Origin, now.VKey, audit.Lost(done.After)
	if f.json {
		return c.json(out)
	}
	p := &printer{w: c.stdout}
	p.linef("The log goes on as %s.", out.Origin)
	p.linef("  it continues %s at size %d, of which the database has lost %d entries", now.Continues.Origin, now.Continues.Size, out.Lost)
	p.linef("  verifier key: %s", out.Key)
	p.linef("Publish the new key and the reason. Then start the servers, and repeat what was lost:")
	p.linef("  docs/operations/backup-and-restore.md")
	return p.err
}

func reopenBefore(s app.LogState) reopenResult {
	out := reopenResult{}
	if n := len(s.Before); n > 0 {
		out.Database, out.Have = s.Before[n-1].Origin, s.Before[n-1].Size
	}
	if s.Behind != nil {
		out.Published, out.Size = s.Behind.Published.Origin, s.Behind.Published.Size
	}
	return out
}

func (c *cli) reopenPreview(asJSON bool, r reopenResult) error {
	if asJSON {
		if err := c.json(r); err != nil {
			return err
		}
		return told(exitRefused)
	}
	if r.Published != "" {
		c.printf("Published by this node: %s, %d entries.\n", r.Published, r.Size)
	}
	c.printf("In the database:        %s, %d entries.\n", r.Database, r.Have)
	return refusedf("is there no newer backup? then say the same again with --yes", "nothing was changed")
}

func reopenFault(err error) error {
	switch {
	case errors.Is(err, audit.ErrNotLeader):
		return refusedf("stop every server on this database", "another server leads the log: %w", err)
	case errors.Is(err, audit.ErrNothingPublished), errors.Is(err, audit.ErrOrigin), errors.Is(err, logverify.ErrSignature):
		return refusedf("", "%w", err)
	}
	return failedf("", "reopen the log: %w", err)
}

// keptCheckpoint reads a signed checkpoint, or takes it from a witness's state.
func keptCheckpoint(path string) ([]byte, error) {
	raw, err := readBounded(path, maxWitnessState)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(string(raw), "{") {
		return raw, nil
	}
	var s witnessState
	if err := json.Unmarshal(raw, &s); err != nil || s.Format != witnessFormat {
		return nil, errors.New("not a witness's state")
	}
	return []byte(s.Checkpoint), nil
}
