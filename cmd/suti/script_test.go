package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes "exec suti" in the scripts run this very program.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"suti": func() {
			os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
		},
	})
}

// TestScripts runs testdata/*.txtar. Beside the commands of testscript there are:
//
//	pki                  writes root.pem, chain.pem, key.pem, tsa-root.pem, other.pem, rsa/ and ed25519 keys
//	pdf FILE [PAGES]     writes an ordinary PDF file
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
//	get URL              writes what is served there to stdout
//	stat MODE FILE       compares the mode of a file
//	isjson FILE PATH VALUE   compares a member of a JSON file: signatures.0.verdict
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: setupScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"pki": scriptPKI, "pdf": scriptPDF, "flip": scriptFlip, "append": scriptAppend, "tsa": scriptTSA,
			"log": scriptLog, "forklog": scriptForkLog, "servelog": scriptServeLog, "isjson": scriptIsJSON, "exits": scriptExits,
			"notify": scriptNotify, "notified": scriptNotified, "ports": scriptPorts, "get": scriptGet, "stat": scriptStat,
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
