package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/cmd/internal/app"
	"oruro.gob.bo/suti/cmd/internal/config"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/cache/redis"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/signer/core"
)

// finding is one thing that doctor looked at.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"` // ok, warning, fault, skipped
	Detail string `json:"detail"`
	Next   string `json:"next,omitempty"`
}

const (
	statusOK      = "ok"
	statusWarning = "warning"
	statusFault   = "fault"
	statusSkipped = "skipped"
)

// Bounds of doctor.
const (
	expirySoon   = 30 * 24 * time.Hour
	clockAhead   = 2 * time.Minute // how far the database's clock may differ
	diskWarning  = 10              // percent free
	diskFault    = 3
	diskLeast    = 200 << 20 // bytes free
	doctorWithin = 30 * time.Second
)

// doctor gathers findings about one installation.
type doctor struct {
	c        *cli
	cfg      *config.Config
	findings []finding
}

func (c *cli) newDoctorCommand() *cobra.Command {
	var f configFlags
	var asJSON, whole bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong, or soon will be",
		Long: "Look at configuration, clock, key file, database, schema, key store, log, cache, certificates and disk. Nothing\n" +
			"is changed. It may run beside the server.\n\n" +
			"Exit codes: 0 no fault (there may be warnings), 1 a fault, 2 the configuration cannot be read.",
		Example: "  suti doctor --config suti.toml\n  suti doctor --config suti.toml --log --json",
		Args:    operands(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.load(f)
			if err != nil {
				return err
			}
			d := &doctor{c: c, cfg: cfg}
			d.examine(cmd.Context(), whole)
			return d.tell(asJSON)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "write JSON")
	cmd.Flags().BoolVar(&whole, "log", false, "also check every entry of the audit record against the log, which takes a while")
	return cmd
}

func (d *doctor) add(check, status, next, format string, args ...any) {
	d.findings = append(d.findings, finding{Check: check, Status: status, Detail: fmt.Sprintf(format, args...), Next: next})
}

// fault adds an error as it is told elsewhere, split into what and next.
func (d *doctor) fault(check string, err error) {
	var e *exitError
	if errors.As(err, &e) {
		d.add(check, statusFault, e.next, "%v", e.err)
		return
	}
	d.add(check, statusFault, "", "%v", err)
}

func (d *doctor) tell(asJSON bool) error {
	worst := exitOK
	for _, f := range d.findings {
		if f.Status == statusFault {
			worst = exitFailed
		}
	}
	if asJSON {
		if err := d.c.json(map[string]any{"ok": worst == exitOK, "findings": d.findings}); err != nil {
			return err
		}
		return told(worst)
	}
	w := tabwriter.NewWriter(d.c.stdout, 0, 4, 2, ' ', 0)
	p := &printer{w: w}
	for _, f := range d.findings {
		p.cells(f.Status, f.Check, f.Detail)
		if f.Next != "" {
			p.cells("", "", "-> "+f.Next)
		}
	}
	if err := errors.Join(p.err, w.Flush()); err != nil {
		return err
	}
	return told(worst)
}

// examine looks at everything; what cannot be reached is skipped, and said so.
func (d *doctor) examine(ctx context.Context, whole bool) {
	if !whole {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, doctorWithin)
		defer cancel()
	}
	d.add("configuration", statusOK, "", "in order")
	if !d.cfg.InsecureOnlineRoot {
		d.add("root", statusOK, "", "the root key is not made online")
	} else {
		d.add("root", statusWarning, "whoever takes over this node can make authorities; see docs/operations/install.md", "the root key is kept online")
	}
	d.dataFolder()
	d.tlsFiles()
	d.mtls()
	d.cache(ctx)
	d.senders(ctx)
	d.database(ctx, whole)
	d.running(ctx)
}

func (d *doctor) dataFolder() {
	st, err := os.Stat(d.cfg.DataDir)
	if err != nil {
		d.add("data folder", statusFault, "mkdir -m 700 "+d.cfg.DataDir, "%v", err)
		return
	}
	if st.Mode().Perm()&0o077 != 0 {
		d.add("data folder", statusFault, "chmod 700 "+d.cfg.DataDir, "%s has mode %04o: others can look into it", d.cfg.DataDir, st.Mode().Perm())
	} else {
		d.add("data folder", statusOK, "", "%s", d.cfg.DataDir)
	}
	d.disk()
	d.keyFile()
}

func (d *doctor) disk() {
	var st syscall.Statfs_t
	if err := syscall.Statfs(d.cfg.DataDir, &st); err != nil || st.Blocks == 0 {
		d.add("disk", statusSkipped, "", "its size is not known")
		return
	}
	free := int64(st.Bavail) * st.Bsize
	percent := 100 * st.Bavail / st.Blocks
	switch {
	case percent < diskFault || free < diskLeast:
		d.add("disk", statusFault, "make room: with a full disk nothing can be signed or logged", "%d %% free (%d MB)", percent, free>>20)
	case percent < diskWarning:
		d.add("disk", statusWarning, "make room soon", "%d %% free (%d MB)", percent, free>>20)
	default:
		d.add("disk", statusOK, "", "%d %% free (%d MB)", percent, free>>20)
	}
}

func (d *doctor) keyFile() {
	path := d.cfg.KeyPath()
	h, err := envelope.ReadHeader(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.add("key file", statusFault, "make it once with: suti key init", "%s is missing", path)
	case errors.Is(err, envelope.ErrMode):
		d.add("key file", statusFault, "chmod 600 "+path, "%s can be read by others", path)
	case err != nil:
		d.add("key file", statusFault, "restore it from a copy", "%v", err)
	default:
		d.add("key file", statusOK, "", "%s of %s", path, h.Created.Format(time.DateOnly))
	}
}

func (d *doctor) tlsFiles() {
	if d.cfg.Listen.TLSCertFile == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(d.cfg.Listen.TLSCertFile, d.cfg.Listen.TLSKeyFile)
	if err != nil {
		d.add("tls", statusFault, "", "%v", err)
		return
	}
	if loose := looseMode(d.cfg.Listen.TLSKeyFile); loose != "" {
		d.add("tls", statusFault, "", "%s", loose)
	}
	d.expiry("tls certificate", pair.Leaf.NotAfter, d.c.now(), expirySoon)
}

func (d *doctor) expiry(name string, end, now time.Time, soon time.Duration) {
	left := end.Sub(now)
	switch {
	case left <= 0:
		d.add(name, statusFault, "replace it", "expired on %s", end.Format(time.DateOnly))
	case left < soon:
		d.add(name, statusWarning, "replace it in time", "expires on %s", end.Format(time.DateOnly))
	default:
		d.add(name, statusOK, "", "until %s", end.Format(time.DateOnly))
	}
}

func (d *doctor) cache(ctx context.Context) {
	url, err := d.cfg.Redis()
	if err != nil {
		d.add("cache", statusFault, "", "%v", err)
		return
	}
	if url == "" {
		d.add("cache", statusOK, "", "in process")
		return
	}
	r, err := redis.New(redis.Config{URL: url})
	if err != nil {
		d.add("cache", statusFault, "check cache.redis_url", "%v", err)
		return
	}
	defer r.Close()
	if _, _, err := r.Get(ctx, "doctor"); err != nil {
		d.add("cache", statusFault, "check cache.redis_url and that the server runs; logins go on meanwhile, more slowly", "%v", err)
		return
	}
	d.add("cache", statusOK, "", "Redis answers")
}

func (d *doctor) database(ctx context.Context, whole bool) {
	store, err := d.c.openDB(ctx, d.cfg)
	if err != nil {
		d.fault("database", err)
		return
	}
	defer store.Close()
	d.durability(ctx, store)
	if err := store.Check(ctx, app.Lines()...); err != nil {
		d.fault("schema", schemaFault(err))
		d.add("key store", statusSkipped, "", "until the schema is this program's")
		return
	}
	d.add("schema", statusOK, "", "is this program's")
	keys, file, err := d.c.openKeys(ctx, d.cfg, store)
	if err != nil {
		d.fault("key store", err)
		return
	}
	defer file.Wipe()
	d.add("key store", statusOK, "", "opens with this node's key file")
	d.genesis(ctx, store)
	d.record(ctx, store, keys, whole)
}

// genesis compares the founding act that the signing core trusts with the
// configured one.
func (d *doctor) genesis(ctx context.Context, store *db.DB) {
	got, err := core.PinnedIn(ctx, store)
	switch {
	case core.CodeOf(err) == core.CodeNoGenesis:
		d.add("genesis", statusWarning, "found the deployment with: suti person genesis; until then nobody can sign", "is not pinned")
	case err != nil:
		d.add("genesis", statusFault, "", "%v", err)
	case d.cfg.GenesisHash == "":
		d.add("genesis", statusWarning, "set genesis_hash, so that a database with other founders is noticed", "%s is pinned in the database only", got)
	case d.cfg.GenesisHash != got.String():
		d.add("genesis", statusFault, "this database was founded by others than the configuration says: do not serve it", "%s is pinned, and not genesis_hash", got)
	default:
		d.add("genesis", statusOK, "", "%s", got)
	}
}

func (d *doctor) durability(ctx context.Context, store *db.DB) {
	dur, err := store.Durability(ctx)
	if err != nil {
		d.add("database", statusFault, "", "%v", err)
		return
	}
	status, next := statusOK, ""
	switch {
	case !dur.Fsync || !dur.FullPageWrites:
		status, next = statusFault, "set fsync = on and full_page_writes = on: without them a power cut loses what was acknowledged"
	case store.Engine() == db.Postgres && dur.SynchronousCommit == "off":
		status, next = statusFault, "set synchronous_commit = on"
	case store.Engine() == db.Postgres && dur.SyncStandbys == 0:
		status, next = statusWarning, "add a synchronous standby: losing this one server loses acknowledged work"
	}
	d.add("database", status, next, "%s %s, fsync %t, synchronous_commit %s, synchronous standbys %d", store.Engine(), dur.Version, dur.Fsync, dur.SynchronousCommit, dur.SyncStandbys)
	d.clock(ctx, store)
}

// clock compares this machine's clock with the database server's, and with the
// newest entry of the record.
func (d *doctor) clock(ctx context.Context, store *db.DB) {
	if store.Engine() != db.Postgres {
		return
	}
	var us int64
	if err := store.QueryRow(ctx, "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)").Scan(&us); err != nil {
		d.add("clock", statusSkipped, "", "the database does not tell the time: %v", err)
		return
	}
	off := d.c.now().Sub(db.Time(us)).Round(time.Millisecond)
	if off.Abs() > clockAhead {
		d.add("clock", statusFault, "synchronise both clocks (chrony): time-stamps and expiry depend on them", "differs from the database server's by %v", off)
		return
	}
	d.add("clock", statusOK, "", "differs from the database server's by %v", off)
}

// running asks the server of this machine, if there is one, for what only it
// knows: whether it is ready, and until when its authorities last.
func (d *doctor) running(ctx context.Context) {
	body, err := callAdmin(ctx, d.cfg.Listen.AdminSocket, http.MethodGet, adminStatus)
	if err != nil {
		d.add("server", statusSkipped, "", "does not run here, or not as this user; authorities were not looked at")
		return
	}
	var s serverStatus
	if err := json.Unmarshal(body, &s); err != nil {
		d.add("server", statusFault, "", "its answer is malformed: %v", err)
		return
	}
	if s.Readiness.Ready {
		d.add("server", statusOK, "", "ready, since %s", s.Started.Format(time.RFC3339))
	} else {
		d.add("server", statusFault, "its log says more", "not ready: %v", s.Readiness.Checks)
	}
	for _, a := range s.Authorities {
		// An authority is replaced at half of its life: a year before its end
		// none should be in use.
		d.expiry("authority "+a.Name, a.NotAfter, d.c.now(), 365*24*time.Hour)
	}
}

// record looks at the audit record and the log.
func (d *doctor) record(ctx context.Context, store *db.DB, keys *keystore.Store, whole bool) {
	log, err := audit.New(audit.Config{DB: store, Keys: keys, Erased: keystore.ErrErased, Now: d.c.now})
	if err != nil {
		d.add("log", statusFault, "", "%v", err)
		return
	}
	_, cp, err := log.Latest(ctx)
	switch {
	case errors.Is(err, audit.ErrPending):
		d.add("log", statusSkipped, "", "nothing is published yet")
	case err != nil:
		d.add("log", statusFault, "", "%v", err)
	default:
		d.add("log", statusOK, "", "%s, %d entries", cp.Origin, cp.Size)
		if _, err := os.Stat(d.cfg.HighWaterPath()); errors.Is(err, fs.ErrNotExist) {
			d.add("high-water mark", statusWarning, "it is written when this node leads the log; without it a restored older database goes unnoticed here", "%s is missing", filepath.Base(d.cfg.HighWaterPath()))
		}
	}
	d.restored(ctx, log)
	if !whole {
		return
	}
	prog := d.c.progress("audit record", 0, false)
	rep, err := log.Check(ctx, audit.CheckOptions{HighWater: d.cfg.HighWaterPath(), Progress: func(done int64) { prog.set(done, 0) }})
	prog.end()
	switch {
	case err != nil:
		d.add("audit record", statusFault, "", "%v", err)
	case rep.OK():
		d.add("audit record", statusOK, "", "%d entries in the log, %d waiting, %d erased, %d checkpoints", rep.Placed, rep.Pending, rep.Erased, rep.Checkpoints)
	default:
		for _, f := range rep.Findings {
			d.add("audit record", statusFault, "keep this database as it is and ask who changed it", "%s", f)
		}
	}
}
