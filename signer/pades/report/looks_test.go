package report_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"oruro.gob.bo/suti/internal/web/webtest"
	"oruro.gob.bo/suti/signer/pades/report"
)

// TestPageIsAccessible has axe examine a page of each tone, and a hostile one,
// at the width of a telephone and of a desk, by day, in the dark and for print.
func TestPageIsAccessible(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m := matrix(b)
	inputs := map[string]report.Input{"/long": hostileInputs(b)["one word"]}
	for _, name := range []string{"twice", "modified"} {
		inputs["/"+name] = b.input(m[name].file, m[name].options)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in, ok := inputs[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		page, err := report.Write(report.HTML, in)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", report.HTML.MediaType())
		_, _ = w.Write(page)
	}))
	t.Cleanup(srv.Close)
	browser := webtest.Browser(t)
	for path := range inputs {
		for _, width := range []int{360, 1280} {
			browser.Axe(t, srv.URL+path, width, webtest.AndDark())
			if dir := os.Getenv("SUTI_TEST_SCREENS"); dir != "" {
				name := fmt.Sprintf("%s-%d.png", path[1:], width)
				if err := os.WriteFile(filepath.Join(dir, name), browser.Screenshot(t, srv.URL+path, width), 0o600); err != nil {
					t.Error(err)
				}
			}
		}
		browser.Axe(t, srv.URL+path, 794, webtest.Print())
	}
}

// TestPaperIsPDFAAndUA has veraPDF judge the paper of every kind of result.
func TestPaperIsPDFAAndUA(t *testing.T) {
	t.Parallel()
	jar := os.Getenv("SUTI_TEST_VERAPDF")
	if jar == "" {
		t.Skip("SUTI_TEST_VERAPDF does not name the program veraPDF")
	}
	b := newBench(t)
	var files []string
	for _, x := range matrix(b) {
		files = append(files, keep(t, "report.pdf", write(t, report.PDF, b.input(x.file, x.options))))
	}
	for _, x := range hostileInputs(b) {
		files = append(files, keep(t, "hostile.pdf", write(t, report.PDF, x)))
	}
	for _, flavour := range []string{"2a", "ua1"} {
		out, err := exec.Command("java", append([]string{"-cp", jar, "org.verapdf.apps.GreenfieldCliWrapper", "--format", "text", "-v", "-f", flavour}, files...)...).CombinedOutput()
		if got := strings.Count(string(out), "PASS "); got != len(files) {
			t.Errorf("%s: %d of %d pass (%v)\n%s", flavour, got, len(files), err, out)
		}
	}
}
