package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/safehttp"
)

// maxLogResource bounds one answer of a log, in bytes: an entry bundle is the largest.
const maxLogResource = 2 << 20

func (c *cli) newLogCommand() *cobra.Command {
	cmd := group("log", "Check the transparency log",
		"Check the transparency log without trusting who runs it. The log's verifier key MUST come from elsewhere\nthan the log: a publication, a receipt that you hold, another person.",
		"  suti log verify --vkey 'id.example/log+a1b2c3d4+AQ…' https://id.example/log")
	cmd.AddCommand(c.newLogVerifyCommand(), c.newLogWitnessCommand(), c.newLogReopenCommand())
	return cmd
}

type logVerifyFlags struct {
	vkey    string
	earlier []string
	json    bool
}

func (c *cli) newLogVerifyCommand() *cobra.Command {
	var f logVerifyFlags
	cmd := &cobra.Command{
		Use:   "verify --vkey KEY DIR|URL",
		Short: "Recompute a whole log from its leaves",
		Long: "Read a whole log, from an exported folder or over HTTP, and recompute it: the checkpoint's signature, every\n" +
			"leaf, every hash tile, the root, and that it extends each earlier checkpoint given.\n\n" +
			"Exit codes: 0 it holds, 1 it does not, 2 used wrongly, 3 it cannot be read.",
		Example: "  suti log verify --vkey \"$(cat log.vkey)\" log/\n" +
			"  suti log verify --vkey \"$(cat log.vkey)\" --earlier checkpoint-monday --json https://id.example/log",
		Args: operands(1, 1, "a folder or an address"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "vkey"); err != nil {
				return err
			}
			return c.logVerify(cmd.Context(), f, args[0])
		},
	}
	cmd.Flags().StringVar(&f.vkey, "vkey", "", "the log's verifier key (C2SP signed-note)")
	cmd.Flags().StringArrayVar(&f.earlier, "earlier", nil, "checkpoint kept from before, which the log must extend; may be repeated")
	cmd.Flags().BoolVar(&f.json, "json", false, "write JSON")
	return cmd
}

// logReport is what "suti log verify --json" writes.
type logReport struct {
	OK        bool                      `json:"ok"`
	Error     string                    `json:"error,omitempty"`
	Path      string                    `json:"path,omitempty"` // of the resource at fault
	Index     *int64                    `json:"index,omitempty"`
	Origin    string                    `json:"origin,omitempty"`
	Size      int64                     `json:"size"`
	Root      string                    `json:"root,omitempty"`
	Classes   map[logverify.Class]int64 `json:"classes,omitempty"`
	First     time.Time                 `json:"first,omitzero"`
	Last      time.Time                 `json:"last,omitzero"`
	Earlier   int                       `json:"earlier"`
	Continues string                    `json:"continues,omitempty"` // origin of the log that this one continues
}

func (c *cli) logVerify(ctx context.Context, f logVerifyFlags, where string) error {
	if _, err := logverify.CheckVerifierKey(f.vkey); err != nil {
		return usagef("it looks like NAME+8 hexadecimal digits+base64", "--vkey: %w", err)
	}
	src, err := logSource(where)
	if err != nil {
		return err
	}
	opts := logverify.LogOptions{Key: f.vkey}
	for _, path := range f.earlier {
		note, err := readBounded(path, logverify.MaxCheckpoint)
		if err != nil {
			return usagef("", "--earlier: %w", err)
		}
		opts.Earlier = append(opts.Earlier, note)
	}
	prog := c.progress("log", 0, f.json)
	opts.Progress = prog.set
	rep, err := logverify.VerifyLog(ctx, src, opts)
	prog.end()
	if err != nil {
		return c.logFault(f.json, continuedLog(ctx, src, f.vkey, where, err))
	}
	out := logReport{
		OK: true, Origin: rep.Checkpoint.Origin, Size: rep.Checkpoint.Size, Root: rep.Checkpoint.Root.String(),
		Classes: rep.Classes, First: rep.First, Last: rep.Last, Earlier: rep.Earlier,
	}
	if rep.Continues != nil {
		out.Continues = rep.Continues.Origin
	}
	if f.json {
		return c.json(out)
	}
	p := &printer{w: c.stdout}
	p.linef("%s: %d leaves recomputed, root %s", out.Origin, out.Size, out.Root)
	if out.Size > 0 {
		p.linef("  from %s to %s", out.First.UTC().Format(time.RFC3339), out.Last.UTC().Format(time.RFC3339))
	}
	if len(f.earlier) > 0 {
		p.linef("  extends %d earlier checkpoints", out.Earlier)
	}
	if out.Continues != "" {
		p.linef("  continues %s", out.Continues)
	}
	return p.err
}

// continuedLog says so if the log is there under another origin of its line.
func continuedLog(ctx context.Context, src logverify.Source, vkey, where string, err error) error {
	if !errors.Is(err, logverify.ErrSignature) {
		return err
	}
	note, fetchErr := src.Fetch(ctx, logverify.CheckpointPath, logverify.MaxCheckpoint)
	if fetchErr != nil {
		return err
	}
	key := logverify.LineKey(vkey, note)
	cp, verifyErr := logverify.VerifyCheckpoint(note, key)
	if verifyErr != nil || key == vkey {
		return err
	}
	name, _ := logverify.CheckVerifierKey(vkey) // it was checked before
	_, number := logverify.BaseOrigin(name)
	return fmt.Errorf("%w: what is there is %s, of the same key; verify it with --vkey '%s', and %s at %s/%d", err, cp.Origin, key, name, strings.TrimSuffix(where, "/"), number)
}

// logFault tells why a log does not hold, or cannot be read.
func (c *cli) logFault(asJSON bool, err error) error {
	if errors.Is(err, context.Canceled) {
		return failedf("", "stopped: %w", err)
	}
	code := exitFailed
	if logUnreadable(err) {
		code = exitRefused
	}
	if !asJSON {
		return &exitError{code: code, err: fmt.Errorf("the log does not verify: %w", err)}
	}
	out := logReport{Error: err.Error()}
	var le *logverify.LogError
	if errors.As(err, &le) {
		out.Path = le.Path
		if le.Index >= 0 {
			out.Index = &le.Index
		}
	}
	if err := c.json(out); err != nil {
		return err
	}
	return told(code)
}

// logUnreadable tells a log that could not be read from one that is wrong: a
// missing checkpoint says nothing about a log, a missing tile below one does.
func logUnreadable(err error) bool {
	var le *logverify.LogError
	if errors.As(err, &le) && le.Path == logverify.CheckpointPath && errors.Is(err, logverify.ErrNotFound) {
		return true
	}
	var pathErr *os.PathError
	var urlErr *url.Error
	var open *safehttp.OpenError
	return errors.As(err, &urlErr) || errors.As(err, &open) || errors.As(err, &pathErr) && !errors.Is(err, logverify.ErrNotFound)
}

// logSource opens a folder or an address. Whoever types the address vouches for
// its host.
func logSource(where string) (logverify.Source, error) {
	if !strings.Contains(where, "://") {
		st, err := os.Stat(where)
		if err != nil || !st.IsDir() {
			return nil, refusedf("give the folder of an exported log, or its address", "%s is no folder", where)
		}
		return logverify.FSSource(os.DirFS(where)), nil
	}
	u, err := url.Parse(where)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usagef("for example https://id.example/log", "%q is no address of a log", where)
	}
	client, err := safehttp.New(safehttp.Config{
		AllowHosts: []string{strings.ToLower(u.Hostname())}, InsecureAllowHTTP: u.Scheme == "http", Ports: []uint16{0},
		Timeout: 30 * time.Second, MaxResponse: maxLogResource,
	})
	if err != nil {
		return nil, usagef("", "%w", err)
	}
	src, err := logverify.HTTPSource(where, client.HTTP())
	if err != nil {
		return nil, usagef("for example https://id.example/log", "%w", err)
	}
	return src, nil
}
