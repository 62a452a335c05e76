// Command suti is the whole of Suti in one binary: the server, the tools of
// its operators, and the local tools that sign and verify PDF files.
//
// Exit codes are part of its interface: 0 done, 1 failed, 2 used or configured
// wrongly, 3 refused for a stated reason; "suti verify" has its own, see its
// help. Commands that read have --json. Messages for operators are in English;
// reports for the people whose documents are judged are in Spanish.
//
// A file holds one subcommand. The commands contain no rules of the service:
// they read arguments, call a package, and tell what it answered.
package main

import (
	"context"
	"os"
)

func main() {
	if code, ok := asWorker(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv))
}
