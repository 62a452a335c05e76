package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"oruro.gob.bo/suti/internal/db/dbtest"
)

// TestMain makes "exec suti" in the scripts run this very program, and a server in
// a test start it as worker.
func TestMain(m *testing.M) {
	if code, ok := asWorker(os.Args); ok {
		os.Exit(code)
	}
	testscript.Main(m, map[string]func(){
		"suti": func() {
			os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
		},
	})
}

// TestScripts runs testdata/*.txtar. Beside the commands of testscript there are:
//
//	pki                  writes root.pem, chain.pem, key.pem, tsa-root.pem, other.pem, other keys; mute- is without an address of lists
//	pdf FILE [PAGES [ENTRIES]]   writes an ordinary PDF file, with more entries in its catalogue
//	ink FILE             covers the pages of such a file
//	flip FILE OFFSET     changes one byte; a negative offset counts from the end
//	append FILE TEXT     appends text to a file
//	tsa [bad]            serves a time-stamping authority and sets $TSA
//	log DIR N            writes a log with N leaves and sets $VKEY; again: extends it
//	forklog DIR N        writes another history under the same key
//	servelog DIR         serves the folder and sets $LOG
//	exits CODE ARGS      runs suti and compares its exit code
//	notify               makes $NOTIFY_SOCKET, on which servers say how they are
//	notified STATE       waits until one has said it
//	ports NAME…          sets each to a free loopback address
//	timestamps URL N     asks an authority for N time-stamps
//	get URL [HOST]       writes what is served there to stdout
//	stat MODE FILE       compares the mode of a file
//	isjson FILE PATH VALUE   compares a member of a JSON file: signatures.0.verdict
//	setjson NAME FILE PATH   sets a variable to a member of a JSON file
//	vector               writes bundle.json and bundle-root.pem, and sets $GENESIS and $AT
//	register NAME…       registers people with passkeys and sets each to the code of the ticket
//	founders NAME…       signs the founding that waits, as these people
//	postgres FILE        writes the address of a schema of its own; condition [postgres]
func TestScripts(t *testing.T) {
	t.Parallel()
	postgresURL := os.Getenv(dbtest.EnvPostgres)
	if postgresURL == "" && os.Getenv(dbtest.EnvRequire) == "1" {
		t.Errorf("%s is not set", dbtest.EnvPostgres)
	}
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: setupScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"pki": scriptPKI, "pdf": scriptPDF, "fields": scriptFields, "ink": scriptInk, "flip": scriptFlip, "append": scriptAppend, "tsa": scriptTSA,
			"log": scriptLog, "forklog": scriptForkLog, "servelog": scriptServeLog, "isjson": scriptIsJSON, "setjson": scriptSetJSON, "vector": scriptVector, "exits": scriptExits,
			"notify": scriptNotify, "notified": scriptNotified, "ports": scriptPorts,
			"postgres": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(newSchema(t, postgresURL)+"\n"), 0o600))
			},
			"get": scriptGet, "stat": scriptStat, "register": scriptRegister, "founders": scriptFounders, "timestamps": scriptTimestamps,
		},
		Condition: func(cond string) (bool, error) {
			if cond == "postgres" {
				return postgresURL != "", nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

func setupScript(env *testscript.Env) error {
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("TMPDIR", env.WorkDir)
	return os.MkdirAll(filepath.Join(env.WorkDir, "tmp"), 0o755)
}

// newSchema makes an empty schema, removed at the end of the test, and returns
// the address that leads to it.
func newSchema(t *testing.T, server string) string {
	admin, name := dbtest.Admin(t), "cli_"+strings.ToLower(rand.Text())
	if _, err := admin.Exec("CREATE SCHEMA " + name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec("DROP SCHEMA " + name + " CASCADE"); err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is not an address", dbtest.EnvPostgres)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}
