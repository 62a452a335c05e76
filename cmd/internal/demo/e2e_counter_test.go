package demo_test

import (
	"strings"

	"github.com/chromedp/chromedp"

	"oruro.gob.bo/suti/internal/web/webtest"
)

// attend takes the new person through the counter: the registrar compares the
// document and signs, the person confirms on the own telephone, the supervisor
// approves, and only then does the identity suffice where a proven one is asked for.
func (w *walk) attend(person *webtest.Tab, code string) {
	desk := w.tab()
	desk.Device(false, w.passkey("registradora"))
	desk.Go(w.issuer("/ventanilla"))
	desk.Wait(key)
	desk.Press(key)
	desk.Expect("Ventanilla")
	w.atDesk(desk, "ventanilla")
	desk.Fill("#codigo", strings.ToLower(code)) // as people type it
	desk.Press(`form[action="/ventanilla/abrir"] button`)
	desk.Expect("Verificar documento")
	desk.Shows("Ñusta Isabel", "Huanca", "1990")
	w.atDesk(desk, "ticket")
	desk.Do(chromedp.Evaluate(`document.querySelectorAll('[name=verificado]').forEach(e => e.click())`, nil))
	desk.Press(`[name=nivel][value=N2]`)
	desk.Press(`form[action$="/verificar"] button`)
	desk.Expect("Firmar")
	desk.Wait(key)
	w.atDesk(desk, "acta")
	desk.Press(key)
	desk.Wait(".note")
	desk.Shows("Falta otra firma")
	w.atDesk(desk, "acta-a-medias")

	person.Press(`a[href="/registro/confirmar"]`)
	person.Expect("Confirme su registro")
	person.Fill("#codigo", code)
	person.Press(submit)
	person.Wait(key)
	person.Look("confirmar")
	person.Press(key)
	person.Wait(".note.ok")
	person.Look("confirmado")

	person.Go(w.demo.Bases[0] + "/certificado")
	person.Wait(key)
	person.Press(key)
	person.Expect("Su identidad aún no alcanza")
	person.Look("no-alcanza")
	person.Press(`button[name=decision]`)
	person.Expect("Falta comprobar su identidad")
	w.approve()
	person.Go(w.demo.Bases[0] + "/certificado")
	person.Wait(accept)
	person.Press(accept)
	person.Expect("Certificado de residencia")
	person.Shows("Ñusta Isabel", "N2: identidad comprobada en ventanilla")
}

// approve has the supervisor approve what the registrar did.
func (w *walk) approve() {
	b := w.tab()
	b.Device(false, w.passkey("supervisor"))
	b.Go(w.issuer("/ventanilla/aprobar"))
	b.Wait(key)
	b.Press(key)
	b.Expect("Por aprobar")
	w.atDesk(b, "por-aprobar")
	b.Press(`main a[href^="/ventanilla/aprobar/"]`)
	b.Expect("Aprobar un acto")
	b.Shows("Ñusta Isabel", "Rosa Choque Vargas")
	w.atDesk(b, "aprobar")
	b.Press(submit)
	b.Expect("Firmar")
	b.Wait(key)
	w.atDesk(b, "aprobar-firmar")
	b.Press(key)
	b.Wait(".note.ok")
	b.Shows("Firmado")
	w.atDesk(b, "aprobado")
}

// atDesk examines a page of staff, which is worked with on a desk.
func (w *walk) atDesk(b *webtest.Tab, name string) {
	if w.width > 1000 {
		b.Look(name)
	}
}
