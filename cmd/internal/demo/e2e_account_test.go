package demo_test

import (
	"strings"

	"oruro.gob.bo/suti/internal/web/webtest"
)

// account visits the citizen's own pages, and those that anybody may see.
func (w *walk) account(b *webtest.Tab) {
	b.Go(w.issuer("/"))
	b.Look("inicio-dentro")
	for _, p := range []struct{ path, name, heading, text string }{
		{"/cuenta", "cuenta", "Mi cuenta", "Ana María Mamani Quispe"},
		{"/cuenta/sesiones", "sesiones", "Sesiones", "Ahora, en este equipo"},
		{"/cuenta/actividad", "actividad", "Actividad", "Se entró en Becas municipales"},
		{"/cuenta/llaves", "llaves", "Mis llaves", "Llave de la demostración"},
		{"/cuenta/bloquear", "bloquear", "Bloquear mi identidad", "nadie puede entrar ni firmar"},
		{"/cuenta/permisos", "permisos", "Permisos", "Trámites de la Gobernación"},
		{"/transparencia", "transparencia", "Transparencia", "Punto de control"},
		{"/demo/correo", "correo", "Correos de la demostración", ""},
		{"/demo/sms", "sms", "SMS de la demostración", ""},
	} {
		b.Go(w.issuer(p.path))
		b.Expect(p.heading)
		b.Shows(p.text)
		b.Look(p.name)
	}
	w.keys(b)
	w.withdraw(b)
}

// keys renames the citizen's passkey and begins to add another.
func (w *walk) keys(b *webtest.Tab) {
	b.Go(w.issuer("/cuenta/llaves"))
	b.Press(`main section a[href^="/cuenta/llaves/"]`)
	b.Expect("Cambiar una llave")
	b.Look("una-llave")
	b.Fill("#nombre", "Llave de la demostración, renombrada")
	b.Press(`form[action*="/nombre/"] button`)
	b.Expect("Mis llaves")
	b.Shows("Llave de la demostración, renombrada")
	b.Go(w.issuer("/cuenta/llaves/nueva"))
	b.Expect("Agregar otra llave")
	b.Wait(key)
	b.Look("llave-nueva")
}

// correct corrects one thing of what the person said before she makes her passkey.
func (w *walk) correct(b *webtest.Tab) {
	b.Expect("Revise sus datos")
	b.Shows("Ñusta Isabel", "Huanca", "01/02/1990", "nusta@demo.example", "No lo dio")
	b.Look("registro-resumen")
	b.Press(`main a[href="/registro/corregir/2"]`)
	b.Expect("¿Cómo se llama?")
	b.Look("registro-corregir")
	b.Fill("#segundo_apellido", "7")
	b.Press(submit)
	b.Wait(".faults")
	b.Look("registro-corregir-falta", "422")
	b.Fill("#segundo_apellido", "Choque")
	b.Press(submit)
	b.Expect("Revise sus datos")
	b.Shows("Huanca Choque")
}

// askRemoval begins to remove the only passkey of the new person, who has no code
// card, up to the act that she would sign.
func (w *walk) askRemoval(b *webtest.Tab) {
	b.Go(w.issuer("/cuenta/llaves"))
	b.Press(`main section a[href^="/cuenta/llaves/"]`)
	b.Press(`main a[href^="/cuenta/llaves/quitar/"]`)
	b.Expect("¿Quitar esta llave?")
	b.Shows("Es su única forma de entrar", "ventanilla", "Agregar antes otra llave")
	b.Look("quitar-ultima")
	b.Press(`main form button`)
	b.Wait(".faults")
	b.Look("quitar-ultima-falta", "422")
	b.Press("#entiendo")
	b.Press(`main form button`)
	b.Expect("Firmar")
	b.Wait(key)
	b.Shows("quita su última llave", "Mi celular")
	b.Look("quitar-firmar")
}

// remove signs the act that removes the passkey.
func (w *walk) remove(b *webtest.Tab) {
	b.Press(key)
	b.Expect("Llave quitada")
	b.Look("quitada")
}

// english shows the pages in English, by the switch on each page.
func (w *walk) english(b *webtest.Tab) {
	b.Go(w.issuer("/cuenta"))
	b.Press(`.langs button[value=en]`)
	b.Wait(`html[lang=en] .langs button[value=en][aria-current]`)
	for _, p := range []struct{ path, heading string }{
		{"/", ""}, {"/cuenta", "My account"}, {"/cuenta/llaves", "My passkeys"}, {"/cuenta/registro", "My registration"}, {"/cuenta/bloquear", "Block my identity"},
		{"/cuenta/sesiones", ""}, {"/cuenta/permisos", ""}, {"/cuenta/actividad", ""}, {"/firmas", ""}, {"/verificar", ""}, {"/transparencia", ""},
		{"/registro", "Create your digital identity"}, {"/registro/confirmar", "Confirm your enrolment"},
	} {
		b.Go(w.issuer(p.path))
		b.Wait(`html[lang=en] h1`)
		b.Expect(p.heading)
		b.Look("en" + strings.ReplaceAll(p.path, "/", "-"))
	}
	b.Press(`.langs button[value=es]`)
	b.Wait(`html[lang=es] h1`)
}

// withdraw takes a permission back: the application must ask again.
func (w *walk) withdraw(b *webtest.Tab) {
	b.Go(w.issuer("/cuenta/permisos"))
	b.Press(`form:has(input[value=becas]) button`)
	b.Wait(".note.ok")
	b.Shows("Permiso retirado")
	b.Look("permiso-retirado")
	if err := w.demo.App.Settle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	b.Go(w.demo.Bases[1] + "/mis-becas")
	b.Wait(accept)
	if at := b.Location(); !strings.HasPrefix(at, w.issuer("/entrar/")) {
		w.t.Errorf("the permission is asked for at %s", at)
	}
	b.Press(accept)
	b.Expect("Mis becas")
}
