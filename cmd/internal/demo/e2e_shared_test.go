package demo_test

import (
	"context"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"oruro.gob.bo/suti/internal/web/webtest"
)

// block has the new person stop the own identity, from the account with two
// taps: from then on nothing opens it.
func (w *walk) block(b *webtest.Tab) {
	b.Go(w.issuer("/cuenta"))
	b.Expect("Mi cuenta")
	b.Press(`main a[href="/cuenta/bloquear"]`)
	b.Press(`form[action="/cuenta/bloquear"] button`)
	b.Wait(`main a.btn.second`)
	b.Shows("Su identidad está bloqueada")
	b.Look("bloqueada", "403") // the application's refusal before
	b.Go(w.issuer("/cuenta"))
	b.Expect("Entrar")
	b.Wait(key)
	b.Press(key)
	b.Wait(alert)
	b.Look("bloqueada-entrar", "status of 4")
	if err := w.demo.App.Settle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	b.Go(w.demo.Bases[0] + "/mis-tramites") // where the person had entered
	b.Expect("Entrar en Trámites")
}

// everywhere ends the citizen's sessions on all other devices from one of them.
func (w *walk) everywhere(b *webtest.Tab) {
	var others []*webtest.Tab
	for i := range 2 {
		o := w.tab()
		passkey := w.passkey("ciudadana")
		passkey.Counter += uint32(40 + 10*i)
		o.Device(false, passkey)
		o.Go(w.issuer("/cuenta"))
		o.Wait(key)
		o.Press(key)
		o.Expect("Mi cuenta")
		others = append(others, o)
	}
	b.Go(w.issuer("/cuenta/sesiones"))
	b.Expect("Sesiones")
	b.Shows("Ahora, en este equipo", "Todas las demás")
	b.Look("sesiones-varias")
	b.Press(`form[action="/cuenta/sesiones/cerrar-otras"] button`)
	b.Wait(".note.ok")
	b.Look("sesiones-cerradas")
	for _, o := range others {
		o.Go(w.issuer("/cuenta"))
		o.Expect("Entrar")
	}
	b.Go(w.issuer("/cuenta"))
	b.Expect("Mi cuenta")
}

// onePhone is two people who share one telephone (design D27): every entry names
// who it is, and neither reaches what the other left open.
func (w *walk) onePhone() {
	const ana, carlos = "Ana María", "Carlos Condori"
	b := w.tab()
	b.Go(w.demo.Bases[1] + "/mis-becas")
	b.Expect("Entrar en Becas")
	w.card(b, "ciudadana") // the device counts as shared unless she says otherwise
	w.named(b, ana)
	b.Press(accept)
	b.Expect("Mis becas")
	w.only(b, ana, carlos)

	b.Go(w.demo.Bases[0] + "/certificado") // Ana put the telephone down; Carlos takes it up
	w.named(b, ana)
	b.Look("compartido-no-soy-yo")
	b.Press(`form[action$="/no-soy-yo"] button`)
	b.Expect("Entrar en Trámites")
	passkey := w.passkey("secretario")
	passkey.Counter += 90
	b.Device(false, passkey)
	b.Press("#shared")
	b.Press(key)
	w.named(b, carlos)
	b.Press(accept)
	b.Expect("Certificado de residencia")
	w.only(b, carlos, ana)
	if err := w.demo.App.Settle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	b.Go(w.demo.Bases[1] + "/mis-becas") // Ana's entry there ended with her session
	w.named(b, carlos)
	b.Press(accept)
	b.Expect("Mis becas")
	w.only(b, carlos, ana)
	b.Go(w.issuer("/cuenta"))
	b.Shows("Este equipo lo usan otras personas")
	w.only(b, carlos, ana)
	for _, address := range history(b) { // nor does anything in the browser's history lead to her
		b.Go(address)
		w.only(b, "", ana)
	}
	b.Look("compartido-historia", "409") // entries that are over say so

	b.Go(w.issuer("/firmas")) // and Ana, when it is hers again
	b.Press(`.who a[href="/cuenta/otra-persona"]`)
	b.Expect("¿No es usted?")
	b.Press(`main form button`)
	b.Expect("Entrar")
	w.card(b, "ciudadana")
	b.Expect("Mi cuenta")
	w.only(b, ana, carlos)
}

// history returns the addresses that a tab has shown, the newest first.
func history(b *webtest.Tab) (addresses []string) {
	b.Do(chromedp.ActionFunc(func(ctx context.Context) error {
		_, entries, err := page.GetNavigationHistory().Do(ctx)
		for _, e := range slices.Backward(entries) {
			if strings.HasPrefix(e.URL, "http") {
				addresses = append(addresses, e.URL)
			}
		}
		return err
	}))
	return addresses
}

// named waits for the question whether it is this person who enters.
func (w *walk) named(b *webtest.Tab, name string) {
	b.Wait(accept)
	b.Shows("Usted entra como "+name, "No soy yo")
}

// only fails the test unless the page names one person and not the other.
func (w *walk) only(b *webtest.Tab, name, not string) {
	w.t.Helper()
	if text := b.Text("body"); !strings.Contains(text, name) || strings.Contains(text, not) {
		w.t.Errorf("%s names %s, want %s:\n%s", b.Location(), not, name, text)
	}
}
