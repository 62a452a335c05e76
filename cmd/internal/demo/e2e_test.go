package demo_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"oruro.gob.bo/suti/cmd/internal/demo"
	"oruro.gob.bo/suti/internal/softauthn"
	"oruro.gob.bo/suti/internal/web/webtest"
)

// walk is one walk through the demo, by hand, at one width.
type walk struct {
	t     *testing.T
	demo  *demo.Instance
	b     *webtest.Chrome
	width int
	round int          // of the walks through the same demo
	desk  *webtest.Tab // where the registrar is signed in
	chief *webtest.Tab // where the supervisor is
	dark  bool         // pages are examined in the dark colours, too
}

// TestE2E goes through the demo as people do: a browser on a telephone, then
// one on a desk, each page examined in each state that is met. With -artifacts
// it leaves pictures.
func TestE2E(t *testing.T) {
	t.Parallel()
	d := walked(t, demo.Config{FirstPort: 19700})
	b := webtest.Browser(t)
	for round, width := range []int{360, 1280} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			w := &walk{t: t, demo: d, b: b, width: width, round: round, dark: width > 1000}
			person, code := w.register()
			w.attend(person, code)
			w.askRemoval(person)
			w.block(person)
			w.handOut()
			citizen := w.enter()
			official := w.sign(w.ask(citizen))
			file, codePage := w.collect(citizen)
			w.verify(file, codePage)
			other := w.askAgain(citizen)
			w.otherViews(other, file)
			w.decline(official, other, citizen)
			w.account(citizen)
			w.everywhere(citizen)
			w.english(citizen)
			w.leave(citizen)
			w.withoutScript()
			w.onePhone()
		})
	}
}

// TestE2EOverTLS goes the same way over https, in a browser into which the root
// was imported. A browser without it sees nothing.
func TestE2EOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := walked(t, demo.Config{Dir: dir, FirstPort: 19750, TLS: true})
	w := &walk{t: t, demo: d, b: webtest.Browser(t, webtest.Trust(filepath.Join(dir, demo.TLSRootName))), width: 1280}
	person, code := w.register()
	w.attend(person, code)
	w.askRemoval(person)
	w.remove(person)
	citizen := w.enter()
	w.sign(w.ask(citizen))
	w.verify(w.collect(citizen))
	w.leave(citizen)
	w.withoutScript()

	ctx, end := chromedp.NewContext(webtest.Browser(t).Context())
	defer end()
	if err := chromedp.Run(ctx, chromedp.Navigate(d.File.Issuer)); err == nil || !strings.Contains(err.Error(), "ERR_CERT_AUTHORITY_INVALID") {
		t.Errorf("without the root: got %v, want ERR_CERT_AUTHORITY_INVALID", err)
	}
}

// walked starts a demo that ends with the test.
func walked(t *testing.T, c demo.Config) *demo.Instance {
	t.Helper()
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	c.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	d, err := demo.Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// tab opens a tab with nobody's cookies.
func (w *walk) tab(opts ...webtest.ViewOption) *webtest.Tab {
	if w.dark {
		opts = append(opts, webtest.AndDark())
	}
	return w.b.Open(w.t, w.width, opts...)
}

// issuer returns an address of the service.
func (w *walk) issuer(path string) string { return w.demo.File.Issuer + path }

const (
	submit = `main form:not([data-llave]) button.btn` // of the page's one plain form
	key    = `form[data-llave] button`
	alert  = `form[data-llave] [role=alert]`
	accept = `button[name=decision][value=accept]`
)

// register makes a person known, who has a telephone with a screen lock, and
// returns the code of the ticket.
func (w *walk) register() (b *webtest.Tab, code string) {
	b = w.tab()
	b.Device(false)
	b.Go(w.issuer("/"))
	b.Look("inicio")
	b.Go(w.issuer("/registro"))
	b.Expect("Cree su identidad digital")
	b.Look("registro-1")
	b.Press(submit)
	b.Wait(".faults")
	b.Look("registro-1-falta", "422")
	b.Press(`input[name=tipo][value=CI]`)
	b.Fill("#numero", fmt.Sprintf("876543%d", w.round))
	b.Press(submit)
	b.Expect("¿Cómo se llama?")
	b.Look("registro-2")
	b.Fill("#nombres", "Ñusta Isabel")
	b.Fill("#primer_apellido", "Huanca")
	b.Press(submit)
	b.Expect("¿Cuándo nació?")
	b.Look("registro-3")
	b.Fill("#nacimiento", "1/2/1990")
	b.Press(submit)
	b.Expect("¿Cómo le avisamos?")
	b.Look("registro-4")
	b.Fill("#correo", "nusta@demo.example")
	b.Press(submit)
	w.correct(b)
	b.Press(`main a[href="/registro/llave"]`)
	b.Expect("Su llave de acceso")
	b.Wait(key)
	b.Look("registro-llave")
	b.Fill("#etiqueta", "Mi celular")
	b.Press(key)
	b.Expect("Listo")
	if code = b.Text(".ticket strong"); len(code) != 9 {
		w.t.Errorf("ticket: %q", code)
	}
	b.Look("registro-listo")
	return b, code
}

// passkey reads a person's passkey file. Counters grow from walk to walk, as
// they do on a device that keeps them.
func (w *walk) passkey(word string) webtest.Passkey {
	person, _ := w.demo.Person(word)
	raw, err := os.ReadFile(person.PasskeyFile)
	if err != nil {
		w.t.Fatal(err)
	}
	var file struct {
		Credentials []struct {
			ID     string        `json:"credential_id"`
			RPID   string        `json:"rp_id"`
			Handle string        `json:"user_handle"`
			Alg    softauthn.Alg `json:"alg"`
			Secret string        `json:"private_key"`
		} `json:"credentials"`
	}
	if err := json.Unmarshal(raw, &file); err != nil || len(file.Credentials) != 1 {
		w.t.Fatalf("passkey file of %s: %v, %d credentials", word, err, len(file.Credentials))
	}
	c := file.Credentials[0]
	var secret any = ed25519.NewKeyFromSeed(w.bytes(c.Secret))
	if c.Alg == softauthn.ES256 {
		if secret, err = ecdsa.ParseRawPrivateKey(elliptic.P256(), w.bytes(c.Secret)); err != nil {
			w.t.Fatal(err)
		}
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		w.t.Fatal(err)
	}
	return webtest.Passkey{ID: w.bytes(c.ID), UserHandle: w.bytes(c.Handle), RPID: c.RPID, PKCS8: pkcs8, Counter: uint32(100 * w.round)}
}

func (w *walk) bytes(text string) []byte {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// card enters with password and code card, wrongly first, on the page that
// offers it. Cells are used up from the last.
func (w *walk) card(b *webtest.Tab, word string) {
	person, _ := w.demo.Person(word)
	b.Fill("#username", person.Login)
	b.Press(`form[action$="/celda"] button`)
	b.Expect("Entrar con clave y tarjeta")
	b.Wait("#code")
	b.Look("tarjeta")
	for _, right := range []bool{false, true} {
		b.Wait("#code")
		cell := b.Attribute("#code", "data-cell")
		code := person.CodeCard[cell]
		if code == "" {
			w.t.Fatalf("no cell %q among %s", cell, strings.Join(slices.Sorted(maps.Keys(person.CodeCard))[:3], " "))
		}
		if !right {
			code = "000000"
		}
		b.Fill("#password", person.Password)
		b.Fill("#code", code)
		b.Press(submit)
		if !right {
			b.Wait(".faults")
			b.Look("tarjeta-falta", "422")
		}
	}
}
