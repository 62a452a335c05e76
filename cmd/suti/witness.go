package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/internal/audit/logverify"
)

// witnessFormat names the form of a witness's state file.
const witnessFormat = "suti/witness/v1"

// maxWitnessState bounds a state file in bytes.
const maxWitnessState = 4 << 20

// errFork reports a log that shows different histories, or a shorter one than before.
var errFork = errors.New("the log does not extend what it showed before")

type witnessFlags struct {
	vkey, state string
	interval    time.Duration
	once, json  bool
}

func (c *cli) newLogWitnessCommand() *cobra.Command {
	var f witnessFlags
	cmd := &cobra.Command{
		Use:   "witness --vkey KEY --state FILE URL|DIR",
		Short: "Follow a log and notice if it ever rewrites itself",
		Long: "Follow a log: at each step read the new leaves, grow the tree with them and compare its root with the new\n" +
			"checkpoint. The last checkpoint is kept in FILE. Whoever runs this elsewhere than the log's operator makes it\n" +
			"impossible to hide or back-date an entry unnoticed.\n\n" +
			"If the log is continued under a new origin, as after a restore, the witness checks what the new log says of the\n" +
			"old one, follows it under the same key, and says so.\n\n" +
			"If the log shows a shorter or another history, both checkpoints are kept in FILE.conflict as evidence.\n\n" +
			"Exit codes: 0 stopped, or --once done; 1 the log contradicts itself; 2 used wrongly; 3 it could not be read.",
		Example: "  suti log witness --vkey \"$(cat log.vkey)\" --state witness.json https://id.example/log\n" +
			"  suti log witness --vkey \"$(cat log.vkey)\" --state witness.json --once log/",
		Args: operands(1, 1, "an address or a folder"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "vkey", "state"); err != nil {
				return err
			}
			return c.witness(cmd.Context(), f, args[0])
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.vkey, "vkey", "", "the log's verifier key (C2SP signed-note)")
	fl.StringVar(&f.state, "state", "", "file that keeps the last checkpoint; made if absent")
	fl.DurationVar(&f.interval, "interval", 10*time.Second, "time between steps")
	fl.BoolVar(&f.once, "once", false, "make one step and stop")
	fl.BoolVar(&f.json, "json", false, "write a line of JSON for each step")
	return cmd
}

func (c *cli) witness(ctx context.Context, f witnessFlags, where string) error {
	if _, err := logverify.CheckVerifierKey(f.vkey); err != nil {
		return usagef("it looks like NAME+8 hexadecimal digits+base64", "--vkey: %w", err)
	}
	if f.interval < time.Second {
		return usagef("use at least 1s", "--interval %v is too short", f.interval)
	}
	src, err := logSource(where)
	if err != nil {
		return err
	}
	for {
		err := c.witnessStep(ctx, f, src)
		var fork *forkError
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &fork):
			return c.keepConflict(f, fork)
		case err != nil && f.once:
			return err
		case err != nil && !logUnreadable(err):
			return err
		case err != nil:
			c.warnf("the log could not be read, trying again: %v", err)
		}
		if f.once {
			return nil
		}
		timer := time.NewTimer(f.interval)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// forkError holds two signed checkpoints that cannot both be of an honest log.
type forkError struct {
	kept, shown []byte
	why         string
}

func (e *forkError) Error() string { return fmt.Sprintf("%v: %s", errFork, e.why) }

func (e *forkError) Unwrap() error { return errFork }

// witnessStep makes one step: from the state on file to the log's checkpoint.
func (c *cli) witnessStep(ctx context.Context, f witnessFlags, src logverify.Source) error {
	have, err := loadWitness(f.state, f.vkey)
	if err != nil {
		return refusedf("if it is another log's, give another --state", "%s: %w", f.state, err)
	}
	note, err := src.Fetch(ctx, logverify.CheckpointPath, logverify.MaxCheckpoint)
	if err != nil {
		return &exitError{code: exitRefused, err: &logverify.LogError{Path: logverify.CheckpointPath, Index: -1, Err: err}}
	}
	shown, err := logverify.VerifyCheckpoint(note, logverify.LineKey(have.key, note))
	if err != nil {
		return failedf("", "the log's checkpoint: %w", err)
	}
	next, first := have, (*leafCheck)(nil)
	switch {
	case have.note == nil:
		have.key = logverify.LineKey(have.key, note)
	case shown.Origin != have.cp.Origin:
		if next, err = have.follow(shown, note); err != nil {
			return err
		}
		first = &leafCheck{was: have, note: note}
	}
	before := next.tree.Tree()
	switch {
	case shown.Size < before.Size:
		return &forkError{have.note, note, fmt.Sprintf("it had %d leaves and shows %d", before.Size, shown.Size)}
	case shown.Size == before.Size && shown.Root != before.Root:
		return &forkError{have.note, note, fmt.Sprintf("two roots for %d leaves", shown.Size)}
	}
	prog := c.progress("log", shown.Size-before.Size, f.json)
	defer prog.end()
	if err := grow(ctx, src, next.tree, shown.Size, first, prog); err != nil {
		return err
	}
	if next.tree.Root() != shown.Root {
		return &forkError{have.note, note, fmt.Sprintf("its leaves after %d do not lead to the root that it signed for %d", before.Size, shown.Size)}
	}
	next.note, next.cp = note, shown
	if err := next.save(f.state); err != nil {
		return failedf("", "keep the checkpoint: %w", err)
	}
	return c.tellWitness(f, before, shown, first)
}

// leafCheck judges the first leaf of a log that continues the one followed.
type leafCheck struct {
	was  *kept
	note []byte
	says logverify.Continuation
}

// grow appends the leaves that the log has beyond the builder's.
func grow(ctx context.Context, src logverify.Source, b *logverify.Builder, size int64, first *leafCheck, prog *progress) error {
	for b.Size() < size {
		n := b.Size() / logverify.TileWidth
		t := logverify.Tile{Entries: true, N: n, Width: logverify.WidthAt(0, n, size)}
		raw, err := src.Fetch(ctx, t.Path(), logverify.MaxBundle)
		if err != nil {
			return &exitError{code: exitRefused, err: &logverify.LogError{Path: t.Path(), Index: -1, Err: err}}
		}
		leaves, err := logverify.ParseBundle(raw, t.Width)
		if err != nil {
			return failedf("", "the log does not verify: %w", &logverify.LogError{Path: t.Path(), Index: -1, Err: err})
		}
		for _, leaf := range leaves[b.Size()-n*logverify.TileWidth:] {
			parsed, err := logverify.ParseLeaf(leaf)
			if err != nil {
				return failedf("", "the log does not verify: %w", &logverify.LogError{Path: t.Path(), Index: b.Size(), Err: err})
			}
			if first != nil && b.Size() == 0 {
				if first.says, err = first.was.continues(parsed, first.note); err != nil {
					return err
				}
			}
			if err := b.Append(logverify.LeafHash(leaf)); err != nil {
				return err
			}
			prog.add(1)
		}
	}
	return nil
}

func (c *cli) tellWitness(f witnessFlags, before logverify.Tree, shown logverify.Checkpoint, first *leafCheck) error {
	if f.json {
		line := map[string]any{
			"time": c.now().UTC().Format(time.RFC3339), "origin": shown.Origin, "size": shown.Size, "root": shown.Root, "new": shown.Size - before.Size,
		}
		if first != nil {
			line["continues"], line["ended_at"], line["seen"] = first.says.Origin, first.says.Size, first.was.cp.Size
		}
		return json.NewEncoder(c.stdout).Encode(line)
	}
	if first != nil {
		c.printf("%s %s ended at %d leaves, of which %d were seen here, and goes on as %s: ask its operator why\n",
			c.now().UTC().Format(time.RFC3339), first.says.Origin, first.says.Size, first.was.cp.Size, shown.Origin)
	}
	if shown.Size > before.Size || f.once {
		c.printf("%s %s: %d leaves (%d new), root %s\n", c.now().UTC().Format(time.RFC3339), shown.Origin, shown.Size, shown.Size-before.Size, shown.Root)
	}
	return nil
}

// keepConflict writes both checkpoints beside the state, and ends.
func (c *cli) keepConflict(f witnessFlags, fork *forkError) error {
	path := f.state + ".conflict"
	err := writeWhole(path, 0o644, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s\n\nkept:\n%s\nshown at %s:\n%s", fork, fork.kept, c.now().UTC().Format(time.RFC3339), fork.shown)
		return err
	})
	if err != nil {
		c.warnf("the evidence could not be kept: %v", err)
	}
	return failedf("both checkpoints are kept in "+path+"; publish them, and ask the log's operator", "%w", fork)
}
