package demo_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/chromedp/chromedp"

	"oruro.gob.bo/suti/cmd/internal/sample"
	"oruro.gob.bo/suti/internal/web/webtest"
)

// subject is where the applications show by what they know the person.
const subject = `//dt[starts-with(., "Su identificador")]/following-sibling::dd`

func (w *walk) subject(b *webtest.Tab) string {
	var out string
	b.Do(chromedp.Text(subject, &out, chromedp.BySearch))
	return out
}

// enter logs the citizen in at both applications: once with a passkey, after
// a failure to unlock the device, and once by consent alone.
func (w *walk) enter() *webtest.Tab {
	_, id := w.demo.Person("ciudadana")
	given, err := w.demo.App.IDP.Consents(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range given { // so that each walk is asked
		if err := w.demo.App.IDP.RevokeConsent(w.t.Context(), id, c.Client); err != nil {
			w.t.Fatal(err)
		}
	}
	b := w.tab()
	passkey := w.passkey("ciudadana")
	b.Device(true, passkey)
	b.Go(w.demo.Bases[0])
	b.Look("tramites")
	b.Press(`main a.btn`)
	b.Expect("Entrar en Trámites")
	b.Wait(key)
	b.Look("entrar")
	b.Press(key)
	b.Wait(alert)
	b.Shows("No se completó.")
	b.Look("entrar-cancelado")
	b.Press(`button[name=decision][value=cancel]`)
	b.Expect("Usted no entró")
	b.Look("no-entro", "403")
	b.Go(w.demo.Bases[0] + "/mis-tramites")
	b.Wait(key)
	b.Device(false, passkey)
	b.Press(key)
	b.Wait(accept)
	b.Shows("Usted entra como Ana María", "recibirá estos datos")
	b.Look("consentimiento")
	b.Press(accept)
	b.Expect("Mis trámites")
	b.Shows("Ana María")
	b.Look("mis-tramites")
	first := w.subject(b)

	b.Go(w.demo.Bases[1])
	b.Look("becas")
	b.Press(`main a.btn`)
	b.Wait(accept)
	if at := b.Location(); !strings.HasPrefix(at, w.issuer("/entrar/")) {
		w.t.Errorf("consent is asked at %s", at)
	}
	b.Look("consentimiento-becas")
	b.Press(accept)
	b.Expect("Mis becas")
	b.Look("mis-becas")
	if second := w.subject(b); first == "" || second == "" || first == second {
		w.t.Errorf("both applications know the person as %q and %q", first, second)
	}
	return b
}

// ask has the citizen ask the official for a signature, and returns the
// address to send to him.
func (w *walk) ask(b *webtest.Tab) string {
	b.Go(w.demo.Bases[0] + "/certificado")
	b.Look("certificado")
	b.Go(w.demo.Bases[0] + "/firmas")
	b.Look("pedidos")
	b.Press(`main a.btn`)
	b.Expect("Pedir firma")
	b.Look("pedir")
	b.Fill("#titulo", " ")
	b.Press(submit)
	b.Wait(".faults")
	b.Look("pedir-falta", "422")
	b.Fill("#titulo", w.title())
	b.Press(submit)
	b.Expect("Pedido de firma")
	b.Shows("Falta la firma", w.title())
	b.Look("pedido-pendiente")
	return b.Attribute(`main a.btn.second`, "href")
}

func (w *walk) title() string { return fmt.Sprintf("Resolución administrativa %d/2026", w.round+1) }

// sign has the official sign, who refuses to unlock the device first, and
// returns the tab.
func (w *walk) sign(address string) *webtest.Tab {
	b := w.tab()
	passkey := w.passkey("secretario")
	b.Device(false, passkey)
	b.Go(address)
	b.Expect("Entrar")
	b.Shows("Un documento espera su firma")
	if text := b.Text("body"); strings.Contains(text, w.title()) || strings.Contains(text, "Trámites") {
		w.t.Errorf("the login page tells strangers about the request:\n%s", text)
	}
	b.Look("firmar-entrar")
	b.Press(key)
	b.Expect("Revise y firme")
	b.Shows(w.title(), "Carlos Condori", "Secretario Departamental de Planificación", "Demostración: sin validez legal")
	b.Wait(key)
	b.Look("firmar")
	b.Press(`summary`)
	b.Do(chromedp.Evaluate(`document.querySelectorAll('details').forEach(d => d.open = true)`, nil))
	b.Look("firmar-abierto")
	b.Go(w.issuer("/firmas"))
	b.Expect("Mis firmas")
	b.Look("por-firmar")
	b.Press(fmt.Sprintf(`a[href="%s"]`, strings.TrimPrefix(address, w.demo.File.Issuer)))
	b.Expect("Revise y firme")
	passkey.Counter += 50
	b.Device(true, passkey)
	b.Press(key)
	b.Wait(alert)
	b.Look("firmar-cancelado")
	b.Device(false, passkey)
	b.Press(key)
	b.Expect("Documento firmado")
	b.Look("firmado")
	b.Press(`main a.btn[rel=noreferrer]`)
	b.Expect("Gracias")
	b.Look("gracias")
	b.Go(w.issuer("/firmas"))
	b.Expect("Mis firmas")
	b.Shows("Lo que usted ya decidió", w.title(), "Firmó")
	b.Look("por-firmar-nada")
	return b
}

// collect has the citizen download what was signed.
func (w *walk) collect(b *webtest.Tab) (file, codePage string) {
	b.Press(`a[href^="/firmas/"]:not([href="/firmas"]):not([href="/firmas/nueva"])`)
	b.Wait(`a[href$="/firmado.pdf"]`)
	b.Shows("Firmado", "PAdES B-T")
	b.Look("pedido-firmado")
	codePage = b.Attribute(`a[href*="/verificar"]`, "href")
	file = b.Download(`a[href$="/firmado.pdf"]`)
	if raw, err := os.ReadFile(file); err != nil || !bytes.HasPrefix(raw, []byte("%PDF-")) {
		w.t.Fatalf("downloaded: %v, %d bytes", err, len(raw))
	}
	return file, codePage
}

// verify has anybody check the file, a changed one, and the printed code.
func (w *walk) verify(file, codePage string) {
	raw, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	dir := w.t.TempDir()
	signed, changed, unknown := filepath.Join(dir, "firmado.pdf"), filepath.Join(dir, "cambiado.pdf"), filepath.Join(dir, "otro.pdf")
	at := bytes.Index(raw, []byte("/MediaBox")) // a byte of the page that was signed
	if at < 0 {
		w.t.Fatal("the file has no page")
	}
	other := bytes.Clone(raw)
	other[at+len("/MediaBox [0 0 ")] ^= 1
	for path, content := range map[string][]byte{signed: raw, changed: other, unknown: sample.PDF()} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	code := codePage[strings.LastIndexByte(codePage, '/')+1:]
	b := w.tab()
	b.Go(w.issuer("/verificar"))
	b.Expect("Verificar un documento")
	b.Look("verificar")
	b.Press(submit)
	b.Wait(".faults")
	b.Look("verificar-falta", "422")
	for _, c := range []struct{ file, code, name, title string }{
		{signed, "", "verificado", "Es el documento registrado"},
		{changed, code, "verificado-cambiado", "No es el documento registrado"},
		{unknown, "", "verificado-ajeno", "Este archivo no está registrado aquí"},
		{unknown, "ZZZZ-ZZZZ-ZZZZ-ZZZZ", "verificado-codigo-falso", "Ese código no está registrado"},
	} {
		b.Go(w.issuer("/verificar"))
		b.Do(chromedp.SetUploadFiles("#file", []string{c.file}, chromedp.ByQuery))
		if c.code != "" {
			b.Fill("#code", c.code)
		}
		b.Press(submit)
		b.Expect("Resultado de la verificación")
		b.Shows(c.title)
		b.Look(c.name)
		b.LookAs(c.name+"-en-papel", webtest.Print())
	}
	b.Go(codePage)
	b.Shows("Compare con lo que tiene", w.title(), "Carlos Condori")
	b.Look("codigo")
	w.onPaper(signed)
}

// leave logs the citizen out once; nothing survives at either application.
func (w *walk) leave(b *webtest.Tab) {
	b.Go(w.demo.Bases[0] + "/mis-tramites")
	b.Expect("Mis trámites")
	b.Press(`form[action="/auth/salir"] button`)
	b.Do(chromedp.WaitNotPresent(`form[action="/auth/salir"] button`, chromedp.ByQuery))
	b.Wait("h1")
	b.Look("salida")
	if err := w.demo.App.Settle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	for n, path := range []string{"/mis-tramites", "/mis-becas"} {
		b.Go(w.demo.Bases[n] + path)
		b.Expect("Entrar en")
		if at := b.Location(); !strings.HasPrefix(at, w.issuer("/entrar/")) {
			w.t.Errorf("after leaving, %s shows %s", path, at)
		}
	}
}

// withoutScript: a browser that runs no script enters with password and card,
// and says what a passkey would need.
func (w *walk) withoutScript() {
	b := w.tab(webtest.NoScript())
	b.Go(w.demo.Bases[0] + "/certificado")
	b.Expect("Entrar en Trámites")
	b.Shows("Este navegador no permite usar la llave de acceso. Puede entrar con clave y tarjeta de códigos.")
	b.Look("sin-script-entrar")
	w.card(b, "secretario")
	b.Wait(accept) // on a shared device every entry names the person
	b.Shows("Usted entra como Carlos Condori")
	b.Look("sin-script-consentimiento")
	b.Press(accept)
	b.Expect("Certificado de residencia")
	b.Shows("N2: identidad comprobada en ventanilla")
	b.Go(w.demo.Bases[0] + "/firmas/nueva")
	b.Fill("#titulo", w.title()+", sin script")
	b.Press(submit)
	b.Expect("Pedido de firma")
	b.Press(`main a.btn.second`)
	b.Expect("Revise y firme")
	b.Shows("Para firmar aquí, el navegador debe permitir la llave de acceso.")
	b.Look("sin-script-firmar")
}
