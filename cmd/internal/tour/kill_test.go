package tour

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"oruro.gob.bo/suti/cmd/internal/demo"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/signer/pades"
)

// Environment of the process that is killed.
const (
	envFolder   = "SUTI_TOUR_CHILD"
	envDatabase = "SUTI_TOUR_DATABASE"
	envCache    = "SUTI_TOUR_CACHE"
	envPort     = "SUTI_TOUR_PORT"
)

// TestChild is the process that the tests here kill. By itself it does nothing.
func TestChild(t *testing.T) {
	dir := os.Getenv(envFolder)
	if dir == "" {
		t.Skip("only as a child of the tests that kill it")
	}
	port, err := strconv.Atoi(os.Getenv(envPort))
	if err != nil {
		t.Fatal(err)
	}
	c := Config{FirstPort: port, Keep: dir, Out: filepath.Join(dir, "out"), DatabaseURL: os.Getenv(envDatabase), RedisURL: os.Getenv(envCache), Started: func() error {
		fmt.Println("ready")
		return failpoint.ArmFromEnv(os.Getenv)
	}, After: func(s Step) {
		if s.Err == nil {
			fmt.Println("held " + s.Name)
		}
	}}
	if _, err := Run(context.Background(), c); err != nil {
		t.Fatal(err)
	}
}

// ports is the first of the ports of the processes that are killed. Each has its
// own, so that no other takes them while it is dead.
const ports = 20000

// place is where a tour keeps its things and listens; url and cache are empty
// for the embedded ones.
type place struct {
	dir, url, cache string
	port            int
}

// child runs a tour in a process of its own, which is killed at a failpoint or
// after so many lines. It returns what held and whether the process was killed.
func child(t *testing.T, p place, armed string, kill int) (held []string, killed bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), envFolder+"="+p.dir, envDatabase+"="+p.url, envCache+"="+p.cache, failpoint.EnvVar+"="+armed, envPort+"="+strconv.Itoa(p.port))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var rest strings.Builder
	lines := bufio.NewScanner(out)
	for n := 0; lines.Scan(); {
		name, ok := strings.CutPrefix(lines.Text(), "held ")
		if !ok {
			rest.WriteString(lines.Text() + "\n")
			continue
		}
		held = append(held, name)
		if n++; n == kill {
			time.AfterFunc(rand.N(20*time.Millisecond), func() { _ = cmd.Process.Kill() }) // somewhere in the next step
		}
	}
	_, _ = io.Copy(io.Discard, out)
	err = cmd.Wait()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if killed = ok && status.Signaled() && status.Signal() == syscall.SIGKILL; err != nil && !killed {
		t.Fatalf("the tour ended by itself: %v\n%s", err, rest.String())
	}
	return held, killed
}

// after opens what a killed process left, an hour later, and checks that all
// that was acknowledged is there, once, and that nothing hangs.
func after(t *testing.T, p place, held []string) {
	t.Helper()
	ctx := t.Context()
	later := func() time.Time { return time.Now().Add(time.Hour) }
	tour := &Tour{cfg: Config{Now: later}, pdf: builtInPDF()}
	var err error
	if tour.demo, err = demo.Start(ctx, demo.Config{Dir: p.dir, DatabaseURL: p.url, RedisURL: p.cache, Now: later}); err != nil {
		t.Fatalf("start again: %v", err)
	}
	defer func() {
		if err := tour.demo.Close(); err != nil {
			t.Error(err)
		}
	}()
	app := tour.demo.App
	for range 3 { // recovery, and what follows from it
		if err := app.Recover(ctx); err != nil {
			t.Fatalf("recover: %v", err)
		}
		if err := app.Settle(ctx); err != nil {
			t.Fatalf("settle: %v", err)
		}
	}
	var open int
	if err := app.DB.QueryRow(ctx, "SELECT COUNT(id) FROM audit_open").Scan(&open); err != nil || open != 0 {
		t.Errorf("%d open intents after recovery, %v", open, err)
	}
	if r, err := app.Audit.Check(ctx, audit.CheckOptions{}); err != nil || !r.OK() {
		t.Errorf("record: %+v, %v", r, err)
	}
	if n, faults, err := app.CA.Inspect(ctx); err != nil || n == 0 || len(faults) > 0 {
		t.Errorf("%d certificates, faults %v, %v", n, faults, err)
	}
	did := func(step string) bool { return slices.Contains(held, step) }
	if did("la ciudadana es N2") {
		if _, err := tour.checkEnrolled(ctx); err != nil {
			t.Errorf("she was enrolled: %v", err)
		}
	}
	tour.checkSigned(t, did)
}

// checkSigned asks for the same request again, which must be the same one.
func (t *Tour) checkSigned(tb *testing.T, did func(string) bool) {
	ctx := tb.Context()
	if !did("la aplicación A pide la firma por el SDK") {
		return
	}
	var err error
	if t.signing.sdk, err = t.service(ctx); err != nil {
		tb.Fatal(err)
	}
	if t.signing.request, err = t.request(ctx, "recorrido-1", "Resolución del recorrido", t.pdf); err != nil {
		tb.Fatalf("the request was acknowledged: %v", err)
	}
	if t.signing.request, err = t.signing.sdk.Status(ctx, t.signing.request.ID); err != nil {
		tb.Fatal(err)
	}
	approved := did("aprueba con su llave de acceso y el núcleo firma")
	if t.signing.request.State != "completed" {
		if approved {
			tb.Errorf("the request was signed and is %s", t.signing.request.State)
		}
		return
	}
	t.cfg.Out = tb.TempDir()
	if t.artefacts = map[string]string{}; t.signing.request.AchievedLevel != "B-T" {
		tb.Errorf("level %s", t.signing.request.AchievedLevel)
	}
	if _, err := t.collect(ctx); err != nil {
		tb.Fatalf("what was signed: %v", err)
	}
	if r, err := t.judge(ctx, t.signing.signed); err != nil || len(r.Signatures) != 1 || r.Signatures[0].Verdict != pades.Valid {
		tb.Errorf("signed file: %+v, %v", r, err)
	}
	_, person := t.demo.Person("secretario")
	certs, err := t.demo.App.CA.OfPerson(ctx, identity.PersonID(person))
	if err != nil || len(certs) != 1 {
		tb.Errorf("%d certificates, want one (%v)", len(certs), err)
	}
	if _, err := t.checkEvidence(ctx); err != nil {
		tb.Errorf("evidence: %v", err)
	}
}

// notOnTheWay are the failpoints that a tour does not pass; the tests of their
// packages stop there.
func notOnTheWay() []string {
	return []string{failpoint.EnrolSuspendAfter, failpoint.EnrolAppointEndAfter, failpoint.RevokeTokenCommitted, failpoint.BlobPutAfterChunk,
		failpoint.CRLBeforePublish, failpoint.CRLAfterPublish}
}

// TestKillAtEveryFailpoint kills the whole process at each durable step of the
// tour and starts it again.
func TestKillAtEveryFailpoint(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes")
	}
	for _, engine := range []db.Engine{db.SQLite, db.Postgres} {
		for i, name := range failpoint.Names() {
			t.Run(fmt.Sprint(engine, "/", name), func(t *testing.T) {
				t.Parallel()
				p := place{dir: t.TempDir(), port: ports + 10*(100*int(engine)+i)}
				if engine == db.Postgres {
					p.url = dbtest.URL(t, engine)
				}
				held, killed := child(t, p, name+"=kill", 0)
				if want := !slices.Contains(notOnTheWay(), name); killed != want {
					t.Fatalf("killed %v, want %v", killed, want)
				}
				after(t, p, held)
			})
		}
	}
}

// TestKillAtRandom kills the process at moments that nobody chose, on the
// embedded database and on servers.
func TestKillAtRandom(t *testing.T) {
	t.Parallel()
	for _, engine := range []db.Engine{db.SQLite, db.Postgres} {
		for i := range 5 {
			t.Run(fmt.Sprint(engine, "/", i), func(t *testing.T) {
				t.Parallel()
				p := place{dir: t.TempDir(), port: ports + 10*(300+10*int(engine)+i)}
				if engine == db.Postgres {
					p.url, p.cache = dbtest.URL(t, engine), redisDatabase(t, 1+i)
				}
				held, killed := child(t, p, "", 1+rand.N(22))
				t.Logf("killed %v after %d steps", killed, len(held))
				after(t, p, held)
			})
		}
	}
}

// redisDatabase is one of the numbered databases of the test server.
func redisDatabase(t *testing.T, n int) string {
	t.Helper()
	u, err := url.Parse(os.Getenv("SUTI_TEST_REDIS"))
	if err != nil || u.Host == "" {
		dbtest.Missing(t, "SUTI_TEST_REDIS is not set")
	}
	u.Path = "/" + strconv.Itoa(n)
	return u.String()
}
