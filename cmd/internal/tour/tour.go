package tour

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"oruro.gob.bo/suti/cmd/internal/demo"
)

// Config says what to tour.
type Config struct {
	// PDF is the file to be signed; the built-in resolution if empty.
	PDF string
	// Out receives the artefacts; it is made if absent.
	Out string
	// DatabaseURL and RedisURL replace the embedded defaults. The database must be empty.
	DatabaseURL, RedisURL string
	// Keep is the folder of the instance; a temporary one, removed after, if empty.
	Keep string
	// FirstPort is tried first; see demo.Config.
	FirstPort int
	// TLS takes it over https; see demo.Config.
	TLS bool
	// VerifyCommand judges the files of strangers; see app.Config.
	VerifyCommand []string
	// Round, from 0 to 99, tells several tours of one instance apart.
	Round int
	// Started, if set, is called when the system runs, and After with each step
	// when it is done, so that a test knows what was acknowledged before a crash.
	Started func() error
	After   func(Step)
	Stdout  io.Writer
	Logger  *slog.Logger
	Now     func() time.Time
}

// Step is one step as it went.
type Step struct {
	Part, Name, Detail string
	Took               time.Duration
	Err                error
}

// Tour is a tour under way.
type Tour struct {
	cfg   Config
	demo  *demo.Instance
	steps []Step
	part  string

	pdf       []byte // what is to be signed
	artefacts map[string]string
	citizen   *browser
	newcomer  string // full name of the person enrolled
	official  *browser
	subjects  [2]string
	signing   signing
}

// ErrFailed reports a tour of which a step did not hold.
var ErrFailed = errors.New("tour: a step did not hold")

// Run takes the tour and prints a table of its steps. It returns ErrFailed if a
// step did not hold, and another error if it could not begin.
func Run(ctx context.Context, c Config) ([]Step, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.FirstPort == 0 {
		c.FirstPort = 18600
	}
	if c.Stdout == nil {
		c.Stdout = io.Discard
	}
	t := &Tour{cfg: c, artefacts: map[string]string{}}
	if err := t.prepare(); err != nil {
		return nil, err
	}
	dir := c.Keep
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "suti-tour-"); err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
	}
	store, err := askCache(ctx, c.RedisURL)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	t.demo, err = demo.Start(ctx, demo.Config{Dir: dir, DatabaseURL: c.DatabaseURL, RedisURL: c.RedisURL, FirstPort: c.FirstPort, TLS: c.TLS, VerifyCommand: c.VerifyCommand, Logger: c.Logger, Now: c.Now})
	if err != nil {
		return nil, startFault(err)
	}
	engine, err := engineName(ctx, t.demo.App.DB)
	if err != nil {
		return nil, errors.Join(err, t.demo.Close())
	}
	t.steps = append(t.steps, Step{Part: "0 Sistema", Name: "base de datos y caché", Detail: engine + "; " + store})
	t.steps = append(t.steps, Step{Part: "0 Sistema", Name: "arranca, se funda y atiende", Took: time.Since(begin)})
	if c.Started != nil {
		err = c.Started()
	}
	if err == nil {
		t.run(ctx)
	}
	if err := errors.Join(err, t.demo.Close()); err != nil {
		t.steps = append(t.steps, Step{Part: "6 Fin", Name: "se detiene", Err: err})
	}
	t.print()
	if t.failed() {
		return t.steps, ErrFailed
	}
	return t.steps, nil
}

func (t *Tour) prepare() error {
	if err := os.MkdirAll(t.cfg.Out, 0o755); err != nil {
		return err
	}
	if t.cfg.PDF == "" {
		t.pdf = builtInPDF()
		return nil
	}
	raw, err := os.ReadFile(t.cfg.PDF)
	if err != nil {
		return fmt.Errorf("read the PDF to be signed: %w", err)
	}
	t.pdf = raw
	return nil
}

// run takes the parts in order; one whose predecessor failed is not tried.
func (t *Tour) run(ctx context.Context) {
	for _, p := range []struct {
		name string
		fn   func(context.Context)
	}{
		{"1 Personas", t.people}, {"2 Ingreso", t.logins}, {"3 Firma", t.sign}, {"4 Verificación", t.verify}, {"5 Engaños", t.attacks},
	} {
		if t.failed() {
			return
		}
		t.part = p.name
		p.fn(ctx)
	}
}

// failed reports whether a step did not hold.
func (t *Tour) failed() bool {
	return slices.ContainsFunc(t.steps, func(s Step) bool { return s.Err != nil })
}

// step runs one step unless an earlier one failed. detail is
// what the table shows beside it.
func (t *Tour) step(name string, fn func() (detail string, err error)) {
	if t.failed() {
		return
	}
	begin := time.Now()
	detail, err := fn()
	s := Step{Part: t.part, Name: name, Detail: detail, Took: time.Since(begin), Err: err}
	t.steps = append(t.steps, s)
	if t.cfg.After != nil {
		t.cfg.After(s)
	}
}

// print writes the table.
func (t *Tour) print() {
	w, last := t.cfg.Stdout, ""
	for _, s := range t.steps {
		if s.Part != last {
			fmt.Fprintf(w, "\n%s\n", s.Part)
			last = s.Part
		}
		mark := "ok "
		if s.Err != nil {
			mark = "NO "
		}
		fmt.Fprintf(w, "  %s %8.1f ms  %s", mark, float64(s.Took.Microseconds())/1000, s.Name)
		if s.Detail != "" {
			fmt.Fprintf(w, ": %s", s.Detail)
		}
		fmt.Fprintln(w)
		if s.Err != nil {
			fmt.Fprintf(w, "      %v\n", s.Err)
		}
	}
	if len(t.artefacts) > 0 {
		fmt.Fprintf(w, "\nArtefactos en %s\n", t.cfg.Out)
	}
}

// save leaves an artefact in the output folder.
func (t *Tour) save(name string, content []byte) error {
	sum := sha256.Sum256(content)
	t.artefacts[name] = hex.EncodeToString(sum[:])
	return os.WriteFile(filepath.Join(t.cfg.Out, name), content, 0o644)
}

// open returns a browser in the hand of one of the cast.
func (t *Tour) open(word string) (*browser, error) {
	key, err := t.demo.Key(word)
	if err != nil {
		return nil, err
	}
	return newBrowser(key, t.demo.Transport()), nil
}

// http calls what the tour reads as a program.
func (t *Tour) http() *http.Client { return &http.Client{Transport: t.demo.Transport()} }
