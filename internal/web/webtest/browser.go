package webtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Variables of the environment.
const (
	// EnvAxe is the path of axe.min.js of the package axe-core (MPL-2.0), which is
	// fetched for tests and is no part of this repository.
	EnvAxe = "SUTI_TEST_AXE"
	// EnvChromium is the browser, if it is not found by its usual names.
	EnvChromium = "SUTI_TEST_CHROMIUM"
	// EnvRequire set to 1 makes a missing tool fail the test instead of skipping it.
	EnvRequire = "SUTI_TEST_REQUIRE"
)

// deadline bounds one visit of a page.
const deadline = 60 * time.Second

// Chrome is a running headless browser with a profile of its own.
type Chrome struct {
	ctx context.Context
	axe string // source of axe-core; empty until it is needed
}

// missing skips the test, or fails it where every tool is required.
func missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv(EnvRequire) == "1" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// BrowserOption changes how a browser is started.
type BrowserOption func(t testing.TB) chromedp.ExecAllocatorOption

// Trust imports a root, a PEM file, as a person would: into the certificate
// store of the account, which the browser finds by the home folder.
func Trust(root string) BrowserOption {
	return func(t testing.TB) chromedp.ExecAllocatorOption {
		t.Helper()
		if _, err := exec.LookPath("certutil"); err != nil {
			missing(t, "no certutil: install libnss3-tools")
		}
		home := t.TempDir()
		store := filepath.Join(home, ".pki", "nssdb")
		if err := os.MkdirAll(store, 0o700); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"-N", "--empty-password"}, {"-A", "-n", "root", "-t", "C,,", "-i", root}} {
			if out, err := exec.CommandContext(t.Context(), "certutil", append(args, "-d", "sql:"+store)...).CombinedOutput(); err != nil {
				t.Fatalf("certutil: %v: %s", err, out)
			}
		}
		return chromedp.Env("HOME=" + home)
	}
}

// Browser starts a browser that ends with the test.
func Browser(t testing.TB, more ...BrowserOption) *Chrome {
	t.Helper()
	path := os.Getenv(EnvChromium)
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path == "" {
			path, _ = exec.LookPath(name)
		}
	}
	if path == "" {
		missing(t, "no browser: install chromium or set "+EnvChromium)
	}
	profile, err := os.MkdirTemp("", "suti-browser-")
	if err != nil {
		t.Fatal(err)
	}
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck, chromedp.UserDataDir(profile),
		chromedp.WSURLReadTimeout(deadline),
	}
	for _, flag := range []string{"disable-quic", "disable-background-networking", "disable-component-update",
		"disable-sync", "disable-extensions", "disable-dev-shm-usage", "hide-scrollbars", "mute-audio"} {
		opts = append(opts, chromedp.Flag(flag, true))
	}
	for _, o := range more {
		opts = append(opts, o(t))
	}
	alloc, endAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, end := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		end()
		endAlloc()
		_ = os.RemoveAll(profile) // a late child may still write; the folder is temporary
	})
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("start browser: %v", err)
	}
	return &Chrome{ctx: ctx}
}

// Context returns the context of the browser's first tab, for chromedp.Run.
func (c *Chrome) Context() context.Context { return c.ctx }

// ViewOption changes how a page is looked at.
type ViewOption func(*view)

type view struct {
	lang     string
	dark     bool
	noScript bool
	print    bool
	both     bool
}

// Dark asks for the dark colours.
func Dark() ViewOption { return func(v *view) { v.dark = true } }

// AndDark makes [Tab.Look] examine each page a second time, in the dark colours.
func AndDark() ViewOption { return func(v *view) { v.both = true } }

// NoScript switches the page's own scripts off.
func NoScript() ViewOption { return func(v *view) { v.noScript = true } }

// Lang asks for the page in these languages, as in Accept-Language; "es-BO,es" otherwise.
func Lang(accept string) ViewOption { return func(v *view) { v.lang = accept } }

// Print shows the page as it prints.
func Print() ViewOption { return func(v *view) { v.print = true } }

// visit opens url in a new tab of that width, runs actions and returns what the
// browser complained about: policy violations, failed loads, script errors.
func (c *Chrome) visit(t testing.TB, url string, width int, opts []ViewOption, actions ...chromedp.Action) []string {
	t.Helper()
	v := view{lang: "es-BO,es"}
	for _, o := range opts {
		o(&v)
	}
	tab, end := chromedp.NewContext(c.ctx)
	defer end()
	ctx, cancel := context.WithTimeout(tab, deadline)
	defer cancel()
	heard := listen(ctx)
	all := append(v.emulate(width), chromedp.Navigate(url))
	if err := chromedp.Run(ctx, append(all, actions...)...); err != nil {
		t.Fatalf("%s at %d px: %v", url, width, err)
	}
	return heard.take()
}

// emulate makes a tab the kind of device that the view asks for.
func (v view) emulate(width int) []chromedp.Action {
	return []chromedp.Action{
		log.Enable(),
		network.SetExtraHTTPHeaders(network.Headers{"Accept-Language": v.lang}),
		emulation.SetDeviceMetricsOverride(int64(width), 900, 1, width < 600),
		v.media(),
		emulation.SetScriptExecutionDisabled(v.noScript),
	}
}

// media sets the medium and its colours.
func (v view) media() chromedp.Action {
	scheme, medium := "light", ""
	if v.dark {
		scheme = "dark"
	}
	if v.print {
		medium = "print"
	}
	return emulation.SetEmulatedMedia().WithMedia(medium).WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}})
}

// complaints are what a tab complained about.
type complaints struct {
	mu   sync.Mutex
	list []string
}

// listen collects the complaints of a tab.
func listen(ctx context.Context) *complaints {
	c := &complaints{}
	chromedp.ListenTarget(ctx, func(ev any) {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch ev := ev.(type) {
		case *log.EventEntryAdded:
			if ev.Entry.Level == log.LevelError {
				c.list = append(c.list, string(ev.Entry.Source)+": "+ev.Entry.Text)
			}
		case *runtime.EventExceptionThrown:
			c.list = append(c.list, ev.ExceptionDetails.Error())
		}
	})
	return c
}

// take returns what was collected and begins anew.
func (c *complaints) take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.list
	c.list = nil
	return out
}

// shoot takes a picture of the whole page as PNG.
func shoot(png *[]byte) chromedp.Action {
	return chromedp.ActionFunc(func(ctx context.Context) (err error) {
		*png, err = page.CaptureScreenshot().WithCaptureBeyondViewport(true).Do(ctx)
		return err
	})
}

// Screenshot returns the whole page as PNG.
func (c *Chrome) Screenshot(t testing.TB, url string, width int, opts ...ViewOption) []byte {
	t.Helper()
	var png []byte
	c.visit(t, url, width, opts, shoot(&png))
	return png
}

// Violation is one fault of accessibility.
type Violation struct {
	Rule, Impact, Help string
	Nodes              []string // the elements concerned
}

// Axe opens url at a width in CSS pixels and fails the test for every violation of
// WCAG 2.2 A and AA and of axe's best practices, for text under 7:1, for a page
// wider than the window, for controls under 44 px, and for every complaint of the
// browser, violations of the Content-Security-Policy among them.
func (c *Chrome) Axe(t testing.TB, url string, width int, opts ...ViewOption) {
	t.Helper()
	for _, v := range c.Check(t, url, width, opts...) {
		t.Errorf("%s at %d px: %s (%s): %s\n\t%s", url, width, v.Rule, v.Impact, v.Help, strings.Join(v.Nodes, "\n\t"))
	}
}

// Check is Axe without judgement.
func (c *Chrome) Check(t testing.TB, url string, width int, opts ...ViewOption) []Violation {
	t.Helper()
	x := c.examination(t)
	heard := c.visit(t, url, width, opts, x.actions()...)
	return x.result(t, heard)
}

// examination is one look of axe and of our own rules at a page.
type examination struct {
	axe, found, own string
	colours         bool // only the rules of contrast, which is quicker
}

// examination reads axe-core, or ends the test without it.
func (c *Chrome) examination(t testing.TB) *examination {
	t.Helper()
	if c.axe == "" {
		path := os.Getenv(EnvAxe)
		if path == "" {
			missing(t, EnvAxe+" is not set: the path of axe.min.js of axe-core")
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c.axe = string(b)
	}
	return &examination{axe: c.axe}
}

// actions examine the page that a tab shows.
func (x *examination) actions() []chromedp.Action {
	await := func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
	run := axeRun
	if x.colours {
		run = axeColours
	}
	return []chromedp.Action{
		emulation.SetScriptExecutionDisabled(false), // for axe; the page has loaded
		chromedp.Evaluate(x.axe, nil, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithReturnByValue(false) }),
		chromedp.Evaluate(run, &x.found, await),
		chromedp.Evaluate(ownRules, &x.own),
	}
}

// result returns every fault, the browser's complaints among them.
func (x *examination) result(t testing.TB, heard []string) []Violation {
	t.Helper()
	var all, mine []Violation
	if err := json.Unmarshal([]byte(x.found), &all); err != nil {
		t.Fatalf("axe: %v", err)
	}
	if err := json.Unmarshal([]byte(x.own), &mine); err != nil {
		t.Fatalf("own rules: %v", err)
	}
	all = append(all, mine...)
	for _, text := range heard {
		all = append(all, Violation{Rule: "browser", Impact: "serious", Help: fmt.Sprintf("complains: %s", text)})
	}
	return all
}

const axeRun = `axe.run(document, {
  runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  rules: {'color-contrast-enhanced': {enabled: true}, 'target-size': {enabled: true}},
})` + axeResult

const axeColours = `axe.run(document, {runOnly: {type: 'rule', values: ['color-contrast', 'color-contrast-enhanced', 'link-in-text-block']}})` + axeResult

const axeResult = `.then(r => JSON.stringify(r.violations.map(v => ({
  Rule: v.id, Impact: v.impact || '', Help: v.help, Nodes: v.nodes.slice(0, 8).map(n => n.html),
}))))`

// ownRules checks reflow (1.4.10) and the size of controls. Links within a
// sentence are exempt, as in 2.5.8.
const ownRules = `(() => {
  const out = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) out.push({Rule: 'reflow', Impact: 'serious',
    Help: 'page is ' + root.scrollWidth + ' px wide in a window of ' + root.clientWidth, Nodes:
    [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > root.clientWidth + 1).slice(0, 5).map(e => e.outerHTML.slice(0, 120))});
  const small = [...document.querySelectorAll('button, input:not([type=hidden]), select, textarea, summary, a[href]')].filter(e => {
    const s = getComputedStyle(e), b = e.getBoundingClientRect();
    if (s.display === 'inline' || b.width === 0 || e.classList.contains('skip')) return false;
    return b.height < 43.5;
  });
  if (small.length) out.push({Rule: 'target-44', Impact: 'moderate', Help: 'controls under 44 px high',
    Nodes: small.slice(0, 8).map(e => Math.round(e.getBoundingClientRect().height) + ' px: ' + e.outerHTML.slice(0, 120))});
  return JSON.stringify(out);
})()`
