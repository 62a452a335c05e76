package webtest

import (
	"context"
	"encoding/base64"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Tab is a tab that stays open, with cookies of its own: one person at one
// device, who goes from page to page.
type Tab struct {
	t       testing.TB
	c       *Chrome
	view    view
	width   int
	ctx     context.Context
	heard   *complaints
	profile cdp.BrowserContextID
	key     webauthn.AuthenticatorID // empty: none
}

// Open opens an empty tab of that width, in CSS pixels, which ends with the test.
func (c *Chrome) Open(t testing.TB, width int, opts ...ViewOption) *Tab {
	t.Helper()
	b := &Tab{t: t, c: c, view: view{lang: "es-BO,es"}, width: width}
	for _, o := range opts {
		o(&b.view)
	}
	var id target.ID
	if err := chromedp.Run(c.ctx, chromedp.ActionFunc(func(ctx context.Context) (err error) {
		ctx = cdp.WithExecutor(ctx, chromedp.FromContext(ctx).Browser)
		if b.profile, err = target.CreateBrowserContext().Do(ctx); err != nil {
			return err
		}
		// A profile of its own needs a window of its own.
		id, err = target.CreateTarget("about:blank").WithBrowserContextID(b.profile).WithNewWindow(true).Do(ctx)
		return err
	})); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	ctx, end := chromedp.NewContext(c.ctx, chromedp.WithTargetID(id))
	t.Cleanup(end)
	b.ctx = ctx
	if err := chromedp.Run(ctx, b.view.emulate(width)...); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	b.heard = listen(ctx)
	return b
}

// Do runs actions. One that fails, or does not end, ends the test and leaves a
// picture of the page among the artifacts.
func (b *Tab) Do(actions ...chromedp.Action) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, deadline/3)
	defer cancel()
	err := chromedp.Run(ctx, actions...)
	if err == nil {
		return
	}
	late, end := context.WithTimeout(b.ctx, deadline/6)
	defer end()
	var at, text string
	var png []byte
	_ = chromedp.Run(late, chromedp.Location(&at), shoot(&png)) // for whoever looks into it
	_ = chromedp.Run(late, chromedp.Evaluate(`document.body ? document.body.innerText : ''`, &text))
	_ = os.WriteFile(filepath.Join(b.t.ArtifactDir(), "detenido.png"), png, 0o600)
	b.t.Fatalf("%v at %s, which shows:\n%s\nthe browser says: %s", err, at, text, strings.Join(b.heard.take(), "; "))
}

// Go opens an address.
func (b *Tab) Go(url string) {
	b.t.Helper()
	b.Do(chromedp.Navigate(url))
}

// Expect waits until a heading of the first rank contains a text.
func (b *Tab) Expect(heading string) {
	b.t.Helper()
	b.Do(chromedp.WaitVisible(`//h1[contains(normalize-space(.), "`+heading+`")]`, chromedp.BySearch))
}

// Wait waits until what a selector of CSS finds can be seen.
func (b *Tab) Wait(sel string) {
	b.t.Helper()
	b.Do(chromedp.WaitVisible(sel, chromedp.ByQuery))
}

// Press clicks what a selector finds, as soon as it can be seen.
func (b *Tab) Press(sel string) {
	b.t.Helper()
	b.Do(chromedp.Click(sel, chromedp.ByQuery, chromedp.NodeVisible))
}

// Fill puts a text into a field in place of what it holds.
func (b *Tab) Fill(sel, text string) {
	b.t.Helper()
	b.Wait(sel)
	b.Do(chromedp.Focus(sel, chromedp.ByQuery), chromedp.Evaluate(`document.activeElement.select()`, nil), input.InsertText(text))
}

// Attribute returns an attribute of an element.
func (b *Tab) Attribute(sel, name string) string {
	b.t.Helper()
	var out string
	b.Do(chromedp.AttributeValue(sel, name, &out, nil, chromedp.ByQuery))
	return out
}

// Text returns what an element shows.
func (b *Tab) Text(sel string) string {
	b.t.Helper()
	var out string
	b.Do(chromedp.Text(sel, &out, chromedp.ByQuery))
	return strings.Join(strings.Fields(out), " ")
}

// Shows fails the test unless the page's main part contains every text.
func (b *Tab) Shows(texts ...string) {
	b.t.Helper()
	got := b.Text("main")
	for _, want := range texts {
		if !strings.Contains(got, want) {
			b.t.Errorf("the page does not say %q, but: %s", want, got)
		}
	}
}

// Location returns the address of the page.
func (b *Tab) Location() string {
	b.t.Helper()
	var out string
	b.Do(chromedp.Location(&out))
	return out
}

// Look examines the page as [Chrome.Axe] does, in the state in which it is, and
// with -artifacts leaves a picture of it. A complaint of the browser that
// contains one of the texts given is expected.
func (b *Tab) Look(name string, expected ...string) {
	b.t.Helper()
	b.look(name, expected, false)
	if b.view.both {
		b.LookAs(name+"-oscuro", Dark())
	}
}

// LookAs examines the colours of the page that is open in another medium or
// scheme, and its own rules, and leaves a picture as [Tab.Look] does.
func (b *Tab) LookAs(name string, opts ...ViewOption) {
	b.t.Helper()
	other := b.view
	for _, o := range opts {
		o(&other)
	}
	b.Do(other.media())
	b.look(name, nil, true)
	b.Do(b.view.media())
}

func (b *Tab) look(name string, expected []string, colours bool) {
	b.t.Helper()
	x := b.c.examination(b.t)
	x.colours = colours
	b.Do(chromedp.WaitReady("main", chromedp.ByQuery), chromedp.ActionFunc(func(ctx context.Context) error {
		return emulation.SetScriptExecutionDisabled(false).Do(ctx) // the page has been read without it
	}), chromedp.Evaluate(loaded, nil, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	b.Do(append(x.actions(), emulation.SetScriptExecutionDisabled(b.view.noScript))...)
	var heard []string
	for _, text := range b.heard.take() {
		if !contains(expected, text) {
			heard = append(heard, text)
		}
	}
	for _, v := range x.result(b.t, heard) {
		b.t.Errorf("%s at %d px: %s (%s): %s\n\t%s", name, b.width, v.Rule, v.Impact, v.Help, strings.Join(v.Nodes, "\n\t"))
	}
	if f := flag.Lookup("test.artifacts"); f == nil || f.Value.String() != "true" {
		return
	}
	var png []byte
	b.Do(shoot(&png))
	if err := os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), png, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

const loaded = `document.readyState === 'complete' || new Promise(done => addEventListener('load', () => done(true)))`

func contains(parts []string, text string) bool {
	for _, p := range parts {
		if strings.Contains(text, p) {
			return true
		}
	}
	return false
}

// Passkey is a passkey to be put on a device.
type Passkey struct {
	ID, UserHandle []byte
	RPID           string
	PKCS8          []byte // private key, on P-256 or Ed25519
	Counter        uint32 // the next assertion has one more
}

// Device gives the tab a platform authenticator in place of the one it has.
// Its owner unlocks it, or, with locked, does not.
func (b *Tab) Device(locked bool, keys ...Passkey) {
	b.t.Helper()
	b.Do(chromedp.ActionFunc(func(ctx context.Context) (err error) {
		if b.key == "" {
			err = webauthn.Enable().Do(ctx)
		} else {
			err = webauthn.RemoveVirtualAuthenticator(b.key).Do(ctx)
		}
		if err != nil {
			return err
		}
		b.key, err = webauthn.AddVirtualAuthenticator(&webauthn.VirtualAuthenticatorOptions{
			Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true,
			HasUserVerification: true, IsUserVerified: !locked, AutomaticPresenceSimulation: true,
		}).Do(ctx)
		return err
	}))
	for _, k := range keys {
		b.Do(webauthn.AddCredential(b.key, &webauthn.Credential{
			CredentialID: base64.StdEncoding.EncodeToString(k.ID), IsResidentCredential: true, RpID: k.RPID,
			PrivateKey: base64.StdEncoding.EncodeToString(k.PKCS8), UserHandle: base64.StdEncoding.EncodeToString(k.UserHandle), SignCount: int64(k.Counter),
		}))
	}
}

// Download presses what a selector finds and returns the file that comes of it.
func (b *Tab) Download(sel string) string {
	b.t.Helper()
	dir := b.t.TempDir()
	done := make(chan string, 1)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	chromedp.ListenTarget(ctx, func(ev any) {
		if ev, ok := ev.(*browser.EventDownloadProgress); ok && ev.State == browser.DownloadProgressStateCompleted {
			select {
			case done <- ev.GUID:
			default:
			}
		}
	})
	var name string
	b.Do(
		browser.SetDownloadBehavior(browser.SetDownloadBehaviorBehaviorAllowAndName).WithDownloadPath(dir).WithEventsEnabled(true).
			WithBrowserContextID(b.profile),
		chromedp.Click(sel, chromedp.ByQuery, chromedp.NodeVisible),
		chromedp.ActionFunc(func(ctx context.Context) error {
			select {
			case name = <-done:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}),
	)
	return filepath.Join(dir, name)
}
