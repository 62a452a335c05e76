package main

import (
	"os"
	"runtime"

	"oruro.gob.bo/suti/signer/isolate"
)

// workerWord, as the first word, makes this program judge one file of a stranger
// and end (design D15). It is no command: the server alone starts it, and nothing
// else of this program runs then.
const workerWord = "verify-worker"

// asWorker does a worker's work if that is what this process was started for.
func asWorker(args []string) (code int, ok bool) {
	if len(args) < 2 || args[1] != workerWord {
		return 0, false
	}
	return isolate.Work(args[2:], os.Stdin, os.Stdout, os.Stderr), true
}

// workerCommand starts this very program as a worker. On Linux that is the file
// that runs, even if another has taken its name since, as when it is upgraded.
func workerCommand() ([]string, error) {
	if runtime.GOOS == "linux" {
		return []string{"/proc/self/exe", workerWord}, nil
	}
	self, err := os.Executable()
	return []string{self, workerWord}, err
}
