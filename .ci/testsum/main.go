// Command testsum reads `go test -json` and prints each failure with its
// output, each package's result, the skipped tests with their reasons, and a
// closing line of counts. It exits 1 if anything failed or nothing ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

func main() {
	var passed, failed, skipped int
	output := map[string][]string{}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 64<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Println(in.Text()) // a build error or a crash writes plain lines
			continue
		}
		key := e.Package + " " + e.Test
		switch e.Action {
		case "output", "build-output":
			if e.Action == "build-output" {
				fmt.Print(e.Output)
			}
			output[key] = append(output[key], e.Output)
		case "pass", "fail", "skip":
			if e.Test == "" {
				fmt.Printf("%-5s %s %.1fs\n", e.Action, e.Package, e.Elapsed)
				if e.Action == "fail" {
					failed++ // the package itself, so that a crash outside a test counts
					fmt.Print(strings.Join(output[key], ""))
				}
				continue
			}
			switch e.Action {
			case "pass":
				passed++
			case "skip":
				skipped++
				fmt.Printf("skipped %s %s: %s\n", e.Package, e.Test, reason(output[key]))
			case "fail":
				failed++
				fmt.Printf("--- FAIL %s %s\n%s", e.Package, e.Test, strings.Join(output[key], ""))
			}
			delete(output, key)
		}
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	if failed > 0 || passed == 0 || in.Err() != nil {
		os.Exit(1)
	}
}

// reason returns what the test said when it skipped itself.
func reason(lines []string) string {
	for _, l := range lines {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "===") && !strings.HasPrefix(l, "---") {
			return l
		}
	}
	return "no reason given"
}
