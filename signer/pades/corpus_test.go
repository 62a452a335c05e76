package pades_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/signer/pades"
)

// Environment of [TestCorpus]. SUTI_CORPUS is a folder with PDF files;
// SUTI_CORPUS_OUT a folder for the table and the damaged files; with
// SUTI_CORPUS_QUICK=1 the files are signed and read again, but no other
// program looks at them. A file passwords.txt in the folder, one a line, opens
// what needs a password. What is refused as damaged is repaired, as its own
// step, and signed then: that is counted apart.
const (
	envCorpus      = "SUTI_CORPUS"
	envCorpusOut   = "SUTI_CORPUS_OUT"
	envCorpusQuick = "SUTI_CORPUS_QUICK"
	envCorpusIn    = "SUTI_CORPUS_CHILD_IN" // set for the child process
	envCorpusPass  = "SUTI_CORPUS_CHILD_PASSWORDS"
)

// corpusTime is how long one file may take to be signed.
const corpusTime = 10 * time.Second

// corpusResult is what became of one file.
type corpusResult struct {
	Name    string   `json:"name"`
	Outcome string   `json:"outcome"` // signed, repaired (and signed then), refused, crashed, hung
	Reason  string   `json:"reason,omitempty"`
	Detail  string   `json:"detail,omitempty"`
	Damage  []string `json:"damage,omitempty"`
	Earlier int      `json:"earlier,omitempty"` // valid signatures before
	Fixes   string   `json:"fixes,omitempty"`
	Pass    string   `json:"pass,omitempty"`
}

// TestCorpus signs every PDF file of a folder and has other programs look at
// what came out. Any damage, crash or hang fails; refusals are counted.
func TestCorpus(t *testing.T) {
	dir := os.Getenv(envCorpus)
	if dir == "" {
		t.Skipf("%s names no folder", envCorpus)
	}
	files := corpusFiles(t, dir)
	results := make([]corpusResult, len(files))
	var wg sync.WaitGroup
	next := make(chan int)
	for range 2 {
		wg.Go(func() {
			for i := range next {
				results[i] = corpusFile(t, dir, files[i])
			}
		})
	}
	for i := range files {
		next <- i
	}
	close(next)
	wg.Wait()
	tellCorpus(t, results)
}

func corpusFiles(t *testing.T, dir string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.EqualFold(filepath.Ext(p), ".pdf") {
			files = append(files, p)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in the corpus: %v", err)
	}
	return files
}

// corpusFile signs a file in a child process and looks at the result.
func corpusFile(t *testing.T, dir, path string) corpusResult {
	name, _ := filepath.Rel(dir, path)
	tmp, err := os.MkdirTemp("", "suti-corpus")
	if err != nil {
		return corpusResult{Name: name, Outcome: "crashed", Reason: err.Error()}
	}
	defer os.RemoveAll(tmp)
	out := filepath.Join(tmp, "out.pdf")
	ctx, cancel := context.WithTimeout(context.Background(), corpusTime)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return corpusResult{Name: name, Outcome: "crashed", Reason: err.Error()}
	}
	cmd := exec.CommandContext(ctx, self, "-test.run=^TestCorpusChild$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), envCorpusIn+"="+path, "GOMEMLIMIT=256MiB", envCorpusPass+"="+filepath.Join(dir, "passwords.txt"))
	cmd.Dir = tmp
	msg, runErr := cmd.CombinedOutput()
	r := corpusResult{Name: name}
	b, err := os.ReadFile(filepath.Join(tmp, "result.json"))
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		r.Outcome = "hung"
	case err != nil || json.Unmarshal(b, &r) != nil:
		r.Outcome, r.Detail = "crashed", fmt.Sprintf("%v: %.400s", runErr, msg)
	}
	r.Name = name
	if (r.Outcome == "signed" || r.Outcome == "repaired") && os.Getenv(envCorpusQuick) == "" {
		var more []string
		r.Earlier, more = corpusDamage(path, out, r)
		r.Damage = append(r.Damage, more...)
	}
	if keep := os.Getenv(envCorpusOut); keep != "" && len(r.Damage) > 0 {
		b, _ := os.ReadFile(out)
		if err := os.WriteFile(filepath.Join(keep, strings.ReplaceAll(name, "/", "_")), b, 0o600); err != nil {
			t.Error(err)
		}
	}
	return r
}

// TestCorpusChild is the child process of [TestCorpus].
func TestCorpusChild(t *testing.T) {
	path := os.Getenv(envCorpusIn)
	if path == "" {
		t.Skip("not a child process")
	}
	r := corpusSign(t, path)
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("result.json", b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// corpusSign signs a file as it is, or else with a password, or else repaired.
func corpusSign(t *testing.T, path string) corpusResult {
	base, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	words := []string{""}
	if b, err := os.ReadFile(os.Getenv(envCorpusPass)); err == nil {
		words = append(words, strings.Fields(string(b))...)
	}
	r := corpusTry(t, base, "")
	for _, pw := range words[1:] {
		if r.Reason != string(pades.CodeEncrypted) && r.Reason != string(pades.CodePassword) && r.Reason != string(pades.CodePermissions) {
			break
		}
		if next := corpusTry(t, base, pw); next.Reason != string(pades.CodePassword) {
			r = next
			r.Pass = pw
		}
	}
	for _, pw := range words {
		if r.Reason != string(pades.CodeDamaged) && r.Reason != string(pades.CodeHeader) {
			break
		}
		var fixed bytes.Buffer
		rep, err := pades.Repair(t.Context(), bytes.NewReader(base), int64(len(base)), pades.RepairOptions{Password: pw})
		if err != nil {
			r.Detail += "; repair: " + err.Error()
			var refused *pades.RefusedError
			if !errors.As(err, &refused) {
				return corpusResult{Outcome: "crashed", Reason: "untyped error of repair", Detail: err.Error()}
			}
			continue
		}
		if _, err := rep.WriteTo(t.Context(), &fixed); err != nil {
			t.Fatal(err)
		}
		if next := corpusTry(t, fixed.Bytes(), pw); next.Outcome == "signed" {
			r = next
			r.Outcome, r.Fixes, r.Pass = "repaired", fmt.Sprint(rep.Fixes), pw
		}
	}
	return r
}

func corpusTry(t *testing.T, base []byte, password string) corpusResult {
	who := authority(t).signer(t, "Ana", nil)
	var refused *pades.RefusedError
	s, err := pades.Sign(t.Context(), bytes.NewReader(base), int64(len(base)), who.key, who.chain, nil, pades.Options{SigningTime: now, Password: password})
	if errors.As(err, &refused) {
		return corpusResult{Outcome: "refused", Reason: string(refused.Code), Detail: refused.Detail}
	}
	if err != nil {
		return corpusResult{Outcome: "crashed", Reason: "untyped error", Detail: err.Error()}
	}
	var out bytes.Buffer
	if _, err := s.WriteTo(t.Context(), &out, bytes.NewReader(base)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("out.pdf", out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	r := corpusResult{Outcome: "signed"}
	rep, err := pades.Verify(t.Context(), bytes.NewReader(out.Bytes()), int64(out.Len()), corpusTrust(t, password))
	switch {
	case err != nil:
		r.Damage = append(r.Damage, "own verifier: "+err.Error())
	case rep.Signatures[len(rep.Signatures)-1].Verdict != pades.Valid:
		r.Damage = append(r.Damage, fmt.Sprintf("own verifier: %s", rep.Signatures[len(rep.Signatures)-1].Verdict))
	}
	return r
}

func corpusTrust(t *testing.T, password string) pades.VerifyOptions {
	o := trust(t, now)
	o.Password = password
	return o
}

// tool runs another program with a time limit and returns its exit code, -1 if
// it did not end by itself, and its output with the file's name taken out.
func tool(path, name string, args ...string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, append(args, path)...)
	b, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), strings.ReplaceAll(string(b), path, "FILE")
}

// corpusDamage compares a file with its signed form by other programs. What was
// repaired must be sound afterwards; what was not must be no worse than before.
func corpusDamage(in, out string, r corpusResult) (earlier int, damage []string) {
	bad := func(format string, args ...any) { damage = append(damage, fmt.Sprintf(format, args...)) }
	before, msgBefore := tool(in, "qpdf", "--password="+r.Pass, "--check")
	after, msgAfter := tool(out, "qpdf", "--password="+r.Pass, "--check")
	if after > before || newWarnings(msgBefore, msgAfter) {
		bad("qpdf: %d became %d: %.300s", before, after, msgAfter)
	}
	code, sigsBefore := tool(in, "pdfsig", "-nocert", "-upw", r.Pass, "-opw", r.Pass)
	codeAfter, sigsAfter := tool(out, "pdfsig", "-nocert", "-upw", r.Pass, "-opw", r.Pass)
	was, is := sigStates(sigsBefore), sigStates(sigsAfter)
	for _, s := range was {
		if s == "Signature is Valid." {
			earlier++
		}
	}
	if codeAfter != 0 || !slices.Equal(is, append(was, "Signature is Valid.")) {
		bad("pdfsig: %d %v became %d %v", code, was, codeAfter, is)
	}
	before, pageBefore := drawn(in, r.Pass)
	after, pageAfter := drawn(out, r.Pass)
	if before == 0 && (after != 0 || !bytes.Equal(pageBefore, pageAfter)) {
		bad("page 1 looks different: %d became %d", before, after)
	}
	if a, b := formFields(in, r.Pass), formFields(out, r.Pass); !slices.Equal(a, b) {
		bad("form fields: %.300v became %.300v", a, b)
	}
	// pdfinfo tells nothing of some files that had to be repaired.
	if a, b := infoLines(in, r.Pass), infoLines(out, r.Pass); a != b && (a != "" || r.Outcome != "repaired") {
		bad("information: %s became %s", a, b)
	}
	return earlier, damage
}

var numbers = regexp.MustCompile(`\d+`)

// newWarnings reports whether a text holds a warning of a kind that an earlier
// one does not. Places in the file do not count.
func newWarnings(before, after string) bool {
	known := map[string]bool{}
	for _, l := range strings.Split(before, "\n") {
		known[numbers.ReplaceAllString(l, "N")] = true
	}
	for _, l := range strings.Split(after, "\n") {
		if strings.Contains(l, "WARNING") && !known[numbers.ReplaceAllString(l, "N")] {
			return true
		}
	}
	return false
}

func sigStates(out string) []string {
	var all []string
	for _, l := range strings.Split(out, "\n") {
		if _, state, ok := strings.Cut(l, "Signature Validation: "); ok {
			all = append(all, state)
		}
	}
	return all
}

func drawn(path, password string) (int, []byte) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "mutool", "draw", "-q", "-r", "20", "-c", "gray", "-F", "pgm", "-p", password, path, "1")
	b, _ := cmd.Output()
	return cmd.ProcessState.ExitCode(), b
}

// formFields returns names, types and values of the form's fields but for the
// one that was added.
func formFields(path, password string) []string {
	_, text := tool(path, "qpdf", "--password="+password, "--json=1", "--json-key=acroform")
	var doc struct {
		Acroform struct {
			Fields []struct {
				FullName  string `json:"fullname"`
				FieldType string `json:"fieldtype"`
				Value     any    `json:"value"`
				Object    string `json:"object"`
			} `json:"fields"`
		} `json:"acroform"`
	}
	if i := strings.Index(text, "{"); i >= 0 {
		_ = json.NewDecoder(strings.NewReader(text[i:])).Decode(&doc)
	}
	var out []string
	for _, f := range doc.Acroform.Fields {
		if f.FieldType == "/Sig" && strings.HasPrefix(f.FullName, "Firma") {
			continue
		}
		out = append(out, fmt.Sprintf("%s %s %s %v", f.Object, f.FullName, f.FieldType, f.Value))
	}
	slices.Sort(out)
	return out
}

func infoLines(path, password string) string {
	_, text := tool(path, "pdfinfo", "-upw", password, "-opw", password)
	var out []string
	for _, l := range strings.Split(text, "\n") {
		for _, key := range []string{"Title:", "Subject:", "Keywords:", "Author:", "Creator:", "Producer:", "CreationDate:", "ModDate:", "Pages:", "Page size:", "Encrypted:"} {
			if strings.HasPrefix(l, key) {
				out = append(out, l)
			}
		}
	}
	return strings.Join(out, "|")
}

// tellCorpus prints counts by outcome and reason, and fails for damage.
func tellCorpus(t *testing.T, results []corpusResult) {
	counts := map[string]int{}
	earlier, damaged := 0, 0
	for _, r := range results {
		counts[strings.TrimSpace(r.Outcome+" "+r.Reason)]++
		earlier += r.Earlier
		if len(r.Damage) > 0 {
			damaged++
			t.Errorf("damaged: %s: %s", r.Name, strings.Join(r.Damage, "; "))
		}
		if r.Outcome == "crashed" || r.Outcome == "hung" {
			t.Errorf("%s: %s: %s %s", r.Outcome, r.Name, r.Reason, r.Detail)
		}
	}
	var lines []string
	for k, n := range counts {
		lines = append(lines, fmt.Sprintf("%6d  %5.1f %%  %s", n, 100*float64(n)/float64(len(results)), k))
	}
	slices.Sort(lines)
	slices.Reverse(lines)
	fmt.Printf("%d files\n%s\n%d damaged, %d earlier valid signatures\n", len(results), strings.Join(lines, "\n"), damaged, earlier)
	if dir := os.Getenv(envCorpusOut); dir != "" {
		var b bytes.Buffer
		for _, r := range results {
			line, _ := json.Marshal(r)
			b.Write(append(line, '\n'))
		}
		if err := os.WriteFile(filepath.Join(dir, "corpus.jsonl"), b.Bytes(), 0o600); err != nil {
			t.Error(err)
		}
	}
}
