package demo_test

import (
	"strings"

	"github.com/chromedp/chromedp"

	"oruro.gob.bo/suti/internal/web/webtest"
)

// otherViews looks at the pages that most people meet in dark colours and in
// English: logging in, consent, signing, verification.
func (w *walk) otherViews(request, file string) {
	_, id := w.demo.Person("ciudadana")
	if err := w.demo.App.IDP.RevokeConsent(w.t.Context(), id, "becas"); err != nil { // so that it is asked again
		w.t.Fatal(err)
	}
	b := w.tab(webtest.Dark(), webtest.Lang("en"))
	passkey := w.passkey("ciudadana")
	passkey.Counter += 20
	b.Device(false, passkey)
	b.Go(w.demo.Bases[1] + "/mis-becas")
	b.Expect("Enter Becas")
	b.Look("en-entrar")
	b.Go(b.Location() + "/tarjeta")
	b.Wait("#username")
	b.Look("en-tarjeta")
	b.Press(".back a")
	b.Press(key)
	b.Wait(accept)
	b.Shows("You enter as Ana María")
	b.Look("en-consentimiento")
	b.Press(accept)
	b.Expect("Mis becas")
	b.Go(w.issuer("/"))
	b.Shows("You are signed in as Ana María")
	b.Look("en-inicio")

	official := w.tab(webtest.Dark(), webtest.Lang("en"))
	passkey = w.passkey("secretario")
	passkey.Counter += 80
	official.Device(false, passkey)
	official.Go(request)
	official.Expect("Sign in")
	official.Shows("A document awaits your signature")
	official.Look("en-firmar-entrar")
	official.Press(key)
	official.Expect("Review and sign")
	official.Wait(key)
	official.Look("en-firmar")

	b.Go(w.issuer("/verificar"))
	b.Expect("Verify a document")
	b.Look("en-verificar")
	w.upload(b, file)
	b.Expect("Result")
	b.Look("en-verificado")
}

// upload sends a file to be verified.
func (w *walk) upload(b *webtest.Tab, file string) {
	b.Do(chromedp.SetUploadFiles("#file", []string{file}, chromedp.ByQuery),
		chromedp.Evaluate(`document.querySelector('main form').requestSubmit()`, nil)) // on paper there is no button
}

// onPaper looks at the result of a verification as it prints: all that was found
// and nothing to press.
func (w *walk) onPaper(file string) {
	b := w.tab(webtest.Print())
	b.Go(w.issuer("/verificar"))
	b.Wait("#file")
	w.upload(b, file)
	b.Expect("Resultado de la verificación")
	b.Shows("Es el documento registrado", "Firma válida", "Carlos Condori", w.title(), "Huella en palabras", "no es la firma digital")
	if text := b.Text("body"); strings.Contains(text, "Verificar otro documento") || strings.Contains(text, "English") || strings.Contains(text, "Volver") || !strings.Contains(text, "SIN VALIDEZ LEGAL") {
		w.t.Errorf("the printed result holds what belongs to the screen, or lacks what belongs on it:\n%s", text)
	}
	b.Look("papel-verificado")
}

// askAgain makes a second request, and returns the address to send to the official.
func (w *walk) askAgain(b *webtest.Tab) string {
	b.Go(w.demo.Bases[0] + "/firmas/nueva")
	b.Fill("#titulo", w.title()+", segunda")
	b.Press(submit)
	b.Expect("Pedido de firma")
	return b.Attribute(`main a.btn.second`, "href")
}

// decline has the official refuse a document, at first without a reason.
func (w *walk) decline(official *webtest.Tab, address string, citizen *webtest.Tab) {
	official.Go(address)
	official.Expect("Revise y firme")
	official.Press(`details:has(#reason) summary`)
	official.Press(`form[action$="/rechazar"] button`)
	official.Wait(".faults")
	official.Wait("#reason") // its part of the page is open
	official.Look("rechazar-falta", "400")
	official.Fill("#reason", "Falta el anexo técnico.")
	official.Press(`form[action$="/rechazar"] button`)
	official.Expect("Pedido rechazado")
	official.Shows("Falta el anexo técnico.")
	official.Look("rechazado")
	official.Go(w.issuer("/firmas"))
	official.Shows("No firmó")
	citizen.Press(`main a.btn:not(.second)`)
	citizen.Wait(`main h1`)
	citizen.Shows("Falta el anexo técnico.")
	citizen.Look("pedido-rechazado")
}
