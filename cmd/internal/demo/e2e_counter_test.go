package demo_test

import (
	"fmt"
	"strings"

	"github.com/chromedp/chromedp"

	"oruro.gob.bo/suti/internal/web/webtest"
)

// attend takes the new person through the counter: the registrar compares the
// document and signs, the person confirms on the own telephone, the supervisor
// approves, and only then does the identity suffice where a proven one is asked
// for. Before that the supervisor once rejects, and the registrar once withdraws.
func (w *walk) attend(person *webtest.Tab, code string) {
	w.desk = w.tab()
	desk := w.desk
	desk.Device(false, w.passkey("registradora"))
	desk.Go(w.issuer("/ventanilla"))
	desk.Wait(key)
	desk.Press(key)
	desk.Expect("Ventanilla")
	w.atDesk(desk, "ventanilla")
	w.draw(desk, person, code, true)

	person.Go(w.demo.Bases[0] + "/certificado")
	person.Wait(key)
	person.Press(key)
	person.Expect("Su identidad aún no alcanza")
	person.Look("no-alcanza")
	person.Press(`button[name=decision]`)
	person.Expect("Falta comprobar su identidad")
	person.Look("falta-comprobar", "403")

	chief := w.supervisor()
	w.chief = chief
	w.reject(chief, desk, person, code)
	w.draw(desk, person, code, false)
	w.takeBack(desk, person)
	w.draw(desk, person, code, false)
	w.approve(chief)
	person.Go(w.issuer("/cuenta/registro"))
	person.Shows("Su identidad está comprobada")
	person.Look("mi-registro-comprobado")
	person.Go(w.demo.Bases[0] + "/certificado")
	person.Wait(accept)
	person.Press(accept)
	person.Expect("Certificado de residencia")
	person.Shows("Ñusta Isabel", "N2: identidad comprobada en ventanilla")
}

// draw has the registrar draw up the act and both sign it.
func (w *walk) draw(desk, person *webtest.Tab, code string, look bool) {
	at := func(name string) {
		if look {
			w.atDesk(desk, name)
		}
	}
	desk.Go(w.issuer("/ventanilla"))
	desk.Fill("#codigo", strings.ToLower(code)) // as people type it
	desk.Press(`form[action="/ventanilla/abrir"] button`)
	desk.Expect("Verificar documento")
	desk.Shows("Ñusta Isabel", "Huanca Choque", "1990")
	at("ticket")
	desk.Do(chromedp.Evaluate(`document.querySelectorAll('[name=verificado]').forEach(e => e.click())`, nil))
	desk.Press(`[name=nivel][value=N2]`)
	desk.Press(`form[action$="/verificar"] button`)
	desk.Expect("Firmar")
	desk.Wait(key)
	desk.Shows("Falta todavía", "Su firma, con su llave de acceso", "Volver sin firmar")
	at("acta")
	desk.Press(key)
	desk.Wait(".note")
	desk.Shows("Falta otra firma", "La persona registrada", "otra persona lo debe aprobar")
	at("acta-a-medias")

	person.Go(w.issuer("/registro/confirmar"))
	person.Expect("Confirme su registro")
	person.Fill("#codigo", code)
	person.Press(submit)
	person.Wait(key)
	if look {
		person.Look("confirmar")
	}
	person.Press(key)
	person.Wait(".note.ok")
	if look {
		person.Look("confirmado")
	}
}

// supervisor opens the list of what waits, as the supervisor.
func (w *walk) supervisor() *webtest.Tab {
	b := w.tab()
	b.Device(false, w.passkey("supervisor"))
	b.Go(w.issuer("/ventanilla/aprobar"))
	b.Wait(key)
	b.Press(key)
	b.Expect("Por aprobar")
	w.atDesk(b, "por-aprobar")
	return b
}

// review opens the one act that waits.
func (w *walk) review(b *webtest.Tab) {
	b.Go(w.issuer("/ventanilla/aprobar"))
	b.Press(`main a[href^="/ventanilla/aprobar/"]`)
	b.Expect("Aprobar un acto")
	b.Shows("Ñusta Isabel", "Rosa Choque Vargas")
}

// reject has the supervisor reject the act, and looks at what everybody is told.
func (w *walk) reject(chief, desk, person *webtest.Tab, code string) {
	w.review(chief)
	chief.Press(`main a[href$="/rechazar"]`)
	chief.Expect("Rechazar")
	chief.Look("rechazar")
	chief.Press(submit)
	chief.Wait(".faults")
	chief.Look("rechazar-falta", "422")
	chief.Press(`[name=motivo][value=dato-no-coincide]`)
	chief.Fill("#nota", "El segundo apellido está incompleto. Traiga su certificado de nacimiento.")
	chief.Press(submit)
	chief.Expect("Rechazado")
	chief.Look("rechazado")
	desk.Go(w.issuer("/ventanilla"))
	desk.Shows("Lo que usted propuso", "Rechazado")
	w.atDesk(desk, "ventanilla-rechazado")
	desk.Press(`main a[href^="/ventanilla/propuesta/"]`)
	desk.Expect("Lo que usted propuso")
	desk.Shows("Un dato no coincide", "está incompleto", "vuelve a estar libre")
	desk.Look("propuesta-rechazada")
	person.Go(w.issuer("/registro/listo"))
	person.Shows("no fue aprobado", "está incompleto", code)
	person.Look("registro-rechazado")
	person.Go(w.issuer("/cuenta/registro"))
	person.Expect("Mi registro")
	person.Shows("no fue aprobado", "está incompleto")
	person.Look("mi-registro-rechazado")
	person.Go(w.issuer("/registro/confirmar"))
	person.Fill("#codigo", code)
	person.Press(submit)
	person.Expect("Mi registro")
	person.Shows("Un dato no coincide")
	person.Look("codigo-rechazado")
}

// takeBack has the registrar withdraw the act that waits.
func (w *walk) takeBack(desk, person *webtest.Tab) {
	person.Go(w.issuer("/cuenta/registro"))
	person.Shows("Falta una aprobación")
	person.Look("mi-registro-espera")
	desk.Go(w.issuer("/ventanilla"))
	desk.Press(`main a[href^="/ventanilla/propuesta/"]`)
	desk.Expect("Lo que usted propuso")
	desk.Shows("Espera aprobación")
	desk.Look("propuesta")
	desk.Press(`form[action$="/retirar"] button`)
	desk.Do(chromedp.WaitVisible(`//p[@class="note-title" and .="Retirado"]`, chromedp.BySearch))
	desk.Shows("Retirado", "vuelve a estar libre")
	desk.Look("propuesta-retirada")
}

// handOut gives a password and a code card to somebody without a passkey.
func (w *walk) handOut() {
	person := w.tab()
	person.Go(w.issuer("/registro"))
	person.Press(`input[name=tipo][value=CI]`)
	person.Fill("#numero", fmt.Sprintf("765432%d", w.round))
	person.Press(submit)
	person.Fill("#nombres", "Wara")
	person.Fill("#primer_apellido", "Flores")
	person.Press(submit)
	person.Fill("#nacimiento", "3/4/1951")
	person.Press(submit)
	person.Wait("#correo")
	person.Press(submit)
	person.Press(`main a[href="/registro/llave"]`)
	person.Press(`form[action="/registro/listo"] button`)
	person.Expect("Listo")
	person.Shows("corregir sus datos")
	person.Look("registro-listo-sin-llave")
	code := person.Text(".ticket strong")

	desk := w.desk
	desk.Go(w.issuer("/ventanilla"))
	desk.Fill("#codigo", code)
	desk.Press(`form[action="/ventanilla/abrir"] button`)
	desk.Expect("Verificar documento")
	desk.Shows("La persona no tiene llave de acceso")
	desk.Look("ticket-sin-llave")
	desk.Press(`main a[href$="/tarjeta"]`)
	desk.Wait("#clave")
	desk.Look("clave")
	desk.Fill("#clave", "corta")
	desk.Press(submit)
	desk.Wait(".faults")
	desk.Look("clave-falta", "422")
	desk.Fill("#clave", "una clave larga")
	desk.Press(submit)
	desk.Wait(`form[action$="/verificar"]`)
	desk.Shows("La persona ya escribió su clave", "Wara")
	desk.Look("ticket-con-clave")
	desk.Do(chromedp.Evaluate(`document.querySelectorAll('[name=verificado]').forEach(e => e.click())`, nil))
	desk.Press(`[name=nivel][value=N2]`)
	desk.Press(`form[action$="/verificar"] button`)
	desk.Expect("Firmar")
	desk.Wait(key)
	desk.Press(key)
	desk.Wait(".note.ok")

	// Another desk approves, prints the card, closed, and sees it opened.
	chief := w.chief
	chief.Go(w.issuer("/ventanilla/aprobar"))
	chief.Press(`main a[href^="/ventanilla/aprobar/"]`)
	chief.Expect("Aprobar un acto")
	chief.Shows("Clave y tarjeta de códigos")
	chief.Press(`main form:not([action$="/rechazar"]) button`)
	chief.Expect("Firmar")
	chief.Wait(key)
	chief.Press(key)
	chief.Wait(".note.ok")
	chief.Go(w.issuer("/ventanilla/tarjetas"))
	chief.Press(`main a[href^="/ventanilla/tarjetas/"]`)
	chief.Wait(`form[action$="/imprimir"]`)
	chief.Look("tarjeta-por-imprimir")
	chief.Press(`form[action$="/imprimir"] button`)
	chief.Expect("Tarjeta de códigos")
	chief.Wait(".cover")
	chief.Shows("con los códigos hacia adentro", "Wara Flores", "0037", "Recíbala solo si está cerrada")
	chief.Look("tarjeta-impresa")
	chief.LookAs("tarjeta-en-papel", webtest.Print())
	word := strings.TrimSpace(chief.Text(".card:not(.cover) > p:nth-of-type(2) b"))
	chief.Press(`main a.btn`)
	chief.Wait("#palabra")
	chief.Look("tarjeta-cerrada")
	chief.Fill("#palabra", word)
	chief.Press(`form[action$="/abrir"] button`)
	chief.Expect("La tarjeta está en uso")
	chief.Look("tarjeta-en-uso")
}

// approve has the supervisor approve what the registrar did.
func (w *walk) approve(b *webtest.Tab) {
	w.review(b)
	w.atDesk(b, "aprobar")
	b.Press(submit)
	b.Expect("Firmar")
	b.Wait(key)
	b.Shows("Usted firma", "Acto que aprueba", "Volver sin firmar")
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
