package enrolment_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
	"oruro.gob.bo/suti/internal/web/webtest"
)

// signIn puts a member's session, or a registration's cookie, into the browser.
func (s *server) cookie(b *webtest.Chrome, name, value string) {
	s.t.Helper()
	err := chromedp.Run(b.Context(), chromedp.ActionFunc(func(ctx context.Context) error {
		return network.SetCookie(name, value).WithURL(s.base).WithPath("/").WithSecure(strings.HasPrefix(name, "__Host-")).Do(ctx)
	}))
	if err != nil {
		s.t.Fatal(err)
	}
}

// Every page, narrow and wide, is accessible and keeps to the policy. With
// -artifacts the test leaves pictures of them.
func TestScreens(t *testing.T) {
	t.Parallel()
	h := newHarness(t, dbtest.Open(t, db.SQLite, lines()))
	h.found()
	ins, post, clerk := h.office()
	s := h.serve(true)
	b := webtest.Browser(t)
	look := func(name, path string) {
		t.Helper()
		for _, width := range []int{360, 1280} {
			for _, v := range b.Check(t, s.base+path, width) {
				if v.Rule == "browser" && strings.Contains(v.Help, "responded with a status of 4") {
					continue // an error page on purpose
				}
				t.Errorf("%s at %d px: %s (%s): %s\n\t%s", name, width, v.Rule, v.Impact, v.Help, strings.Join(v.Nodes, "\n\t"))
			}
			png := b.Screenshot(t, s.base+path, width)
			if err := os.WriteFile(filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%d.png", name, width)), png, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	look("registro", "/registro")
	look("ayuda", "/registro/ayuda")
	look("confirmar", "/registro/confirmar")

	v := s.visitor(softauthn.New(softauthn.Config{}))
	v.lead("/registro", answers(1))
	u, _ := url.Parse(s.base)
	for _, c := range v.c.Jar.Cookies(u) {
		s.cookie(b, c.Name, c.Value)
	}
	look("registro-llave", "/registro/llave")
	v.mustKey("/registro/llave", true)
	look("listo", "/registro/listo")
	_, ready := v.get("/registro/listo")
	code := codePattern.FindStringSubmatch(ready)[1]

	s.cookie(b, "quien", string(h.registrar.id))
	r := s.as(h.registrar)
	ticket := r.lead("/ventanilla/abrir", url.Values{"codigo": {code}})
	look("ventanilla", "/ventanilla")
	look("ticket", ticket)
	draft := r.lead(ticket+"/verificar", url.Values{"verificado": enrolment.Fields(), "nivel": {"N2"}})
	look("firmar", draft)
	r.mustKey(draft, false)
	look("firmado-a-medias", draft)
	confirm := v.lead("/registro/confirmar", url.Values{"codigo": {code}})
	look("confirmar-acta", confirm)
	v.mustKey(confirm, false)
	look("firmado", draft)

	bare := s.visitor(nil)
	bare.lead("/registro", answers(2))
	_, ready = bare.get("/registro/listo")
	other := r.lead("/ventanilla/abrir", url.Values{"codigo": {codePattern.FindStringSubmatch(ready)[1]}})
	look("ticket-sin-llave", other)
	look("clave", other+"/tarjeta")
	r.lead(other+"/tarjeta", url.Values{"clave": {typed}})
	look("ticket-con-clave", other)
	carded := h.byCard(h.registrar, "carded")
	s.cookie(b, "quien", string(h.supervisor.id))
	look("tarjetas", "/ventanilla/tarjetas")
	look("tarjeta-por-imprimir", "/ventanilla/tarjetas/"+string(carded.id))
	if _, err := h.svc.PrintSheet(h.ctx(), h.supervisor.id, carded.id); err != nil {
		t.Fatal(err)
	}
	look("tarjeta-cerrada", "/ventanilla/tarjetas/"+string(carded.id))

	friends := []*member{h.enrol(identity.N2), h.enrol(identity.N2)}
	owner := h.enrol(identity.N2)
	h.trusts(owner, friends...)
	h.clock.Add(enrolment.TrustedSettle)
	if err := h.svc.NameTrusted(h.ctx(), owner.id, friends[0].doc, "mi hermana Rosa"); err != nil {
		t.Fatal(err)
	}
	s.cookie(b, "quien", string(h.registrar.id))
	look("persona-sin-documento", "/ventanilla/personas/"+string(owner.id))
	vouched, err := h.svc.OpenVouched(h.ctx(), h.registrar.id, owner.id)
	if err == nil {
		err = h.svc.Vouch(h.ctx(), friends[0].id, vouched.Code)
	}
	if err != nil {
		t.Fatal(err)
	}
	look("ticket-sin-documento", "/ventanilla/ticket/"+vouched.ID)
	s.cookie(b, "quien", string(owner.id))
	look("confianza", "/cuenta/confianza")
	look("confianza-nombrar", "/cuenta/confianza/nombrar")
	s.cookie(b, "quien", string(friends[0].id))
	look("confianza-de-otra", "/cuenta/confianza")
	look("confianza-responder", "/cuenta/confianza/responder")

	m := h.enrol(identity.N2)
	d, err := h.svc.Appoint(h.ctx(), clerk.id, enrolment.AppointmentRequest{Person: m.id, Post: post.ID, Kind: identity.Titular, LegalAct: "RAD 12/2026"})
	h.do(d, err, clerk)
	s.cookie(b, "quien", string(h.supervisor.id))
	look("por-aprobar", "/ventanilla/aprobar")
	look("aprobar", "/ventanilla/aprobar/"+string(d.ID))
	h.approve(d, h.supervisor)
	look("por-aprobar-menos", "/ventanilla/aprobar")
	look("sin-permiso", "/ventanilla/nombrar")
	s.cookie(b, "quien", string(clerk.id))
	look("nombrar", "/ventanilla/nombrar")
	look("cargos", "/ventanilla/cargos")
	held, err := h.svc.AppointmentsIn(h.ctx(), ins.ID)
	if err != nil || len(held) != 1 {
		t.Fatal(held, err)
	}
	look("cesar", "/ventanilla/cesar/"+string(held[0].ID))
	look("llaves", "/cuenta/llaves")
	mine, err := h.keys.Credentials(h.ctx(), clerk.id)
	if err != nil {
		t.Fatal(err)
	}
	look("una-llave", "/cuenta/llaves/"+string(mine[0].ID))
	look("llave-nueva", "/cuenta/llaves/nueva")
	look("bloquear", "/cuenta/bloquear")
}

// press clicks an element wherever it is, as soon as it is there.
func press(sel string) chromedp.Action {
	return chromedp.Tasks{chromedp.WaitVisible(sel), chromedp.Evaluate(fmt.Sprintf("document.querySelector(%q).click()", sel), nil,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithUserGesture(true) })}
}

// A real browser with a passkey of its own goes through the registration, script
// and all, and confirms what the counter drew up.
func TestRegistrationInABrowser(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(nil)
	_, port, _ := strings.Cut(srv.Listener.Addr().String(), ":")
	h := newHarnessAt(t, dbtest.Open(t, db.SQLite, lines()), "http://localhost:"+port)
	h.found()
	s := h.serveOn(srv, false)
	browser := webtest.Browser(t).Context()
	ctx, cancel := context.WithTimeout(browser, time.Minute)
	defer cancel()
	authenticator := webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: true, AutomaticPresenceSimulation: true,
	}
	var device webauthn.AuthenticatorID
	var title, code, alert string
	next := `form[action="/registro"] button`
	err := chromedp.Run(ctx,
		network.Enable(), network.SetExtraHTTPHeaders(network.Headers{"Accept-Language": "es-BO,es"}),
		webauthn.Enable(),
		chromedp.ActionFunc(func(ctx context.Context) (err error) {
			device, err = webauthn.AddVirtualAuthenticator(&authenticator).Do(ctx)
			return err
		}),
		chromedp.Navigate(s.base+"/registro"),
		press(`input[name=tipo][value=CI]`), chromedp.SendKeys("#numero", "7654321-1A"), press(next),
		chromedp.WaitVisible("#nombres"), chromedp.SendKeys("#nombres", "Ñusta"), chromedp.SendKeys("#primer_apellido", "Quispe"), press(next),
		chromedp.WaitVisible("#nacimiento"), chromedp.SendKeys("#nacimiento", "1/2/1990"), press(next),
		chromedp.WaitVisible("#correo"), press(next),
		press(`main a[href="/registro/llave"]`),
		// The person does not unlock the device: the page says what to do, where a screen reader hears it.
		chromedp.WaitVisible("form[data-llave] button"), chromedp.ActionFunc(func(ctx context.Context) error { return webauthn.SetUserVerified(device, false).Do(ctx) }),
		press("form[data-llave] button"), chromedp.WaitVisible("form[data-llave] [role=alert]"), chromedp.Text("form[data-llave] [role=alert]", &alert),
	)
	if err != nil {
		late, end := context.WithTimeout(browser, 5*time.Second)
		defer end()
		var png []byte
		_ = chromedp.Run(late, chromedp.CaptureScreenshot(&png)) // for whoever looks into it
		_ = os.WriteFile(filepath.Join(t.ArtifactDir(), "registro-detenido.png"), png, 0o600)
		t.Fatal(err)
	}
	if !strings.HasPrefix(alert, "No se completó.") {
		t.Errorf("alert: %q", alert)
	}
	err = chromedp.Run(ctx,
		chromedp.ActionFunc(func(ctx context.Context) error { // it stays locked after a failure
			return webauthn.RemoveVirtualAuthenticator(device).Do(ctx)
		}),
		chromedp.ActionFunc(func(ctx context.Context) (err error) {
			_, err = webauthn.AddVirtualAuthenticator(&authenticator).Do(ctx)
			return err
		}),
		chromedp.SendKeys("#etiqueta", "Mi celular"), press("form[data-llave] button"),
		chromedp.WaitVisible(".ticket"), chromedp.Text(".ticket strong", &code), chromedp.Title(&title),
	)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(title, "Listo") || len(code) != 9 {
		t.Errorf("title %q, code %q", title, code)
	}
	ticket, err := h.svc.TicketByCode(h.ctx(), code)
	if err != nil {
		t.Fatal(err)
	}
	have, err := h.keys.Credentials(h.ctx(), ticket.Person)
	if err != nil || len(have) != 1 || have[0].Label != "Mi celular" {
		t.Fatalf("passkeys: %+v, %v", have, err)
	}
	ticket.Code = code
	d, err := h.draw(h.registrar, ticket, 0)
	if err == nil {
		_, err = h.sign(d, h.registrar)
	}
	if err != nil {
		t.Fatal(err)
	}
	err = chromedp.Run(ctx,
		chromedp.Navigate(s.base+"/registro/confirmar"), chromedp.SendKeys("#codigo", code), press(`form[action="/registro/confirmar"] button`),
		chromedp.WaitVisible("form[data-llave] button"), press("form[data-llave] button"),
		chromedp.WaitVisible(".note.ok"), chromedp.Text(".note.ok", &alert),
	)
	if err != nil || !strings.HasPrefix(alert, "Firmado") {
		t.Fatalf("confirmed: %q, %v", alert, err)
	}
	h.approve(d, h.supervisor)
	h.check()
}
