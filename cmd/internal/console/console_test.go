package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/cmd/internal/console"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/internal/notify"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/internal/web/webtest"
)

func TestTexts(t *testing.T) {
	t.Parallel()
	if err := i18n.Lint(os.DirFS("."), console.Texts(), web.Texts()); err != nil {
		t.Error(err)
	}
}

func wants(t *testing.T, body string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(body, w) {
			t.Errorf("the page lacks %q:\n%s", w, body)
		}
	}
}

func TestAccountIsForThePersonSignedIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	form := []string{"Content-Type", "application/x-www-form-urlencoded", "Origin", w.base}
	for _, path := range []string{"/cuenta", "/cuenta/sesiones", "/cuenta/permisos", "/cuenta/actividad", "/cuenta/otra-persona"} {
		res, _ := w.do(http.MethodGet, path, "")
		if to := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || to != "/entrar?volver="+url.QueryEscape(path) {
			t.Errorf("%s without a session: %d %s", path, res.StatusCode, to)
		}
	}
	for _, path := range []string{"/cuenta/sesiones/cerrar", "/cuenta/sesiones/cerrar-otras", "/cuenta/sesiones/cerrar-equipo", "/cuenta/sesiones/salir-aplicacion", "/cuenta/sesiones/terminar-entrada", "/cuenta/permisos/retirar"} {
		if res, _ := w.do(http.MethodPost, path, "sesion=ses_a&aplicacion=tramites", form...); res.StatusCode != http.StatusSeeOther {
			t.Errorf("%s without a session: %d", path, res.StatusCode)
		}
	}
	w.enter(w.ana, "ses_a")
	for _, path := range []string{"/cuenta/sesiones/cerrar", "/cuenta/sesiones/cerrar-otras", "/cuenta/sesiones/cerrar-equipo", "/cuenta/sesiones/salir-aplicacion", "/cuenta/sesiones/terminar-entrada", "/cuenta/permisos/retirar", "/cuenta/salir"} {
		if res, _ := w.do(http.MethodPost, path, "sesion=ses_b", "Content-Type", form[1], "Origin", "https://evil.example"); res.StatusCode != http.StatusForbidden {
			t.Errorf("%s from another site: %d", path, res.StatusCode)
		}
	}
	if len(w.provider.calls) != 0 {
		t.Errorf("called %q", w.provider.calls)
	}
}

func TestData(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enter(w.ana, "ses_a")
	body := w.get("/cuenta")
	wants(t, body, "Ñusta Ana Mamani Quispe", "CI 1234567-1A", "2 de mayo de 1990", "ana@example.bo", "No lo tenemos", "N2: su documento", `action="/cuenta/salir"`, `href="/cuenta/otra-persona"`)
	if strings.Contains(body, "/ventanilla") || strings.Contains(body, "cargos") {
		t.Error("a citizen is shown what staff has")
	}
	w.enter(w.eva, "ses_e")
	body = w.get("/cuenta")
	wants(t, body, "Secretaria de Minería", "Interino, desde el 24 de noviembre de 2025", `href="/ventanilla"`)
	if strings.Contains(body, "Cargo terminado") {
		t.Error("an ended post is shown as present")
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enter(w.ana, "ses_a")
	body := w.get("/cuenta/sesiones")
	if here := strings.Index(body, "Firefox, Android"); here < 0 || here > strings.Index(body, "Chrome, Windows") {
		t.Error("this device does not come first")
	}
	wants(t, body, "Ahora, en este equipo", "Lo usan otras personas", "Cerrar todas las demás sesiones")
	if to := w.post("/cuenta/sesiones/cerrar", url.Values{"sesion": {"ses_b"}}); to != "/cuenta/sesiones?hecho=cerrar" {
		t.Errorf("own session: %s", to)
	}
	wants(t, w.get("/cuenta/sesiones?hecho=cerrar"), "Sesión cerrada")
	if to := w.post("/cuenta/sesiones/cerrar", url.Values{"sesion": {"ses_e"}}); to != "/cuenta/sesiones" {
		t.Errorf("another's session: %s", to)
	}
	w.post("/cuenta/sesiones/cerrar-otras", nil)
	if to := w.post("/cuenta/sesiones/cerrar", url.Values{"sesion": {"ses_a"}}); to != "/?hecho=salir" {
		t.Errorf("this one: %s", to)
	}
	want := []string{"end " + string(w.ana) + " ses_b", "end " + string(w.ana) + " ses_e", "end-others " + string(w.ana) + " ses_a", "sign-out"}
	if !slices.Equal(w.provider.calls, want) {
		t.Errorf("called %q, want %q", w.provider.calls, want)
	}
}

// Each level of what is open can be ended alone: device, session, application, entry.
func TestLevelsOfSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enter(w.ana, "ses_a")
	body := w.get("/cuenta/sesiones")
	wants(t, body, "Cerrar todo en este equipo", "Pide identificarse de nuevo", "Trámites en línea", "Gobierno Autónomo Municipal de Oruro", "nombre, fecha de nacimiento, correo. Puede renovarlo", "solo un identificador propio")
	if n := strings.Count(body, "Chrome, Windows</h2>"); n != 1 {
		t.Errorf("a device with two sessions is shown %d times", n)
	}
	for _, c := range []struct{ path, field, value, to string }{
		{"cerrar-equipo", "equipo", "dev_ses_b", "/cuenta/sesiones?hecho=equipo"}, {"cerrar-equipo", "equipo", "dev_ses_e", "/cuenta/sesiones"},
		{"salir-aplicacion", "aplicacion", "sid-tramites", "/cuenta/sesiones?hecho=aplicacion"}, {"salir-aplicacion", "aplicacion", "sid-x", "/cuenta/sesiones"},
		{"terminar-entrada", "entrada", "grt_1", "/cuenta/sesiones?hecho=entrada"}, {"terminar-entrada", "entrada", "grt_x", "/cuenta/sesiones"},
		{"cerrar-equipo", "equipo", "dev_ses_a", "/?hecho=salir"},
	} {
		if to := w.post("/cuenta/sesiones/"+c.path, url.Values{c.field: {c.value}}); to != c.to {
			t.Errorf("%s %s: %s, want %s", c.path, c.value, to, c.to)
		}
	}
	ana := string(w.ana)
	want := []string{"end-device " + ana + " dev_ses_b", "end-device " + ana + " dev_ses_e", "end-application " + ana + " sid-tramites", "end-application " + ana + " sid-x",
		"end-grant " + ana + " grt_1", "end-grant " + ana + " grt_x", "end-device " + ana + " dev_ses_a", "sign-out"}
	if !slices.Equal(w.provider.calls, want) {
		t.Errorf("called %q, want %q", w.provider.calls, want)
	}
	for what, text := range map[string]string{"equipo": "Equipo cerrado", "aplicacion": "Usted salió de la aplicación", "entrada": "Entrada terminada"} {
		wants(t, w.get("/cuenta/sesiones?hecho="+what), text)
	}
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enter(w.ana, "ses_a")
	wants(t, w.get("/cuenta/permisos"), "Becas municipales", "Gobierno Autónomo Municipal de Oruro", "nombre, fecha de nacimiento, documento de identidad, correo", "24 de noviembre de 2027")
	if to := w.post("/cuenta/permisos/retirar", url.Values{"aplicacion": {"tramites"}}); to != "/cuenta/permisos?hecho=retirar" {
		t.Errorf("withdrawn: %s", to)
	}
	if to := w.post("/cuenta/permisos/retirar", url.Values{"aplicacion": {"nada"}}); to != "/cuenta/permisos" {
		t.Errorf("unknown: %s", to)
	}
	if want := []string{"revoke " + string(w.ana) + " tramites", "revoke " + string(w.ana) + " nada"}; !slices.Equal(w.provider.calls, want) {
		t.Errorf("called %q, want %q", w.provider.calls, want)
	}
	w.enter(w.eva, "ses_e")
	wants(t, w.get("/cuenta/permisos"), "Ninguna aplicación")
}

func TestLeaving(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enter(w.ana, "ses_a")
	wants(t, w.get("/cuenta/otra-persona"), "Ñusta Ana Mamani Quispe. Si no es usted")
	if to := w.post("/cuenta/salir", url.Values{"otra": {"1"}}); to != "/entrar?volver=/cuenta" {
		t.Errorf("somebody else: %s", to)
	}
	if to := w.post("/cuenta/salir", nil); to != "/?hecho=salir" {
		t.Errorf("leaving: %s", to)
	}
	w.auth.p = nil
	if to := w.post("/cuenta/salir", nil); to != "/?hecho=salir" || len(w.provider.calls) != 3 {
		t.Errorf("after the session lapsed: %s, %q", to, w.provider.calls)
	}
	wants(t, w.get("/?hecho=salir"), "Usted salió")
}

// story records one of everything that has a sentence.
func (w *world) story() {
	ana, eva := string(w.ana), string(w.eva)
	intent := func(kind string) {
		w.append(audit.Entry{Kind: kind, Subject: w.ana, Actor: ana, Outcome: audit.OutcomeIntent})
	}
	w.append(audit.Entry{Kind: "enrolment.account.registered", Subject: w.ana, Actor: ana, Outcome: "registered"})
	w.append(audit.Entry{Kind: "enrolment.read.ticket", Subject: w.ana, Actor: eva, Institution: string(insA), Outcome: "ok", Purpose: "enrolment"})
	w.append(audit.Entry{Kind: "enrolment.passkey.registered", Subject: w.ana, Actor: ana, Outcome: "registered", Payload: map[string]any{"label": "Celular <b>"}})
	w.append(audit.Entry{Kind: "idp.authenticated", Subject: w.ana, Actor: ana, Outcome: "ok", Payload: map[string]any{"method": "llave", "device": "Firefox, Android"}})
	w.append(audit.Entry{Kind: "idp.authenticated", Subject: w.ana, Actor: ana, Outcome: "ok", Payload: map[string]any{"method": "clave-tarjeta", "device": "Chrome, Windows"}})
	w.append(audit.Entry{Kind: "idp.refused", Subject: w.ana, Actor: "service:idp", Outcome: "refused", Payload: map[string]any{"method": "clave-tarjeta", "device": "Chrome, Windows"}})
	w.append(audit.Entry{Kind: "idp.refused", Subject: w.ana, Actor: "service:idp", Outcome: "refused", Payload: map[string]any{"method": "llave", "device": "Firefox, Android"}})
	w.append(audit.Entry{Kind: "idp.login", Subject: w.ana, Actor: ana, Client: "tramites", Outcome: "granted", Payload: map[string]any{"scopes": []string{"openid", "profile"}}})
	w.append(audit.Entry{Kind: "idp.token.issued", Subject: w.ana, Actor: ana, Client: "tramites", Outcome: "issued", Payload: map[string]any{"grant": "authorization_code", "scopes": []string{"openid", "profile"}}})
	w.append(audit.Entry{Kind: "idp.userinfo.read", Subject: w.ana, Actor: "tramites", Client: "tramites", Institution: string(insA), Outcome: "released", Payload: map[string]any{"claims": []string{"birthdate", "family_name", "name", "sub", "raza"}}})
	w.append(audit.Entry{Kind: "idp.userinfo.read", Subject: w.ana, Actor: "borrada", Client: "borrada", Outcome: "released", Payload: map[string]any{"claims": []string{"sub"}}})
	w.append(audit.Entry{Kind: "idp.logout", Subject: w.ana, Actor: "service:idp", Outcome: "ended", Payload: []string{"another", "shape"}})
	w.append(audit.Entry{Kind: "idp.logout", Subject: w.ana, Actor: ana, Client: "tramites", Outcome: "ended", Payload: map[string]any{"why": "own-application"}})
	intent("signer.sign")
	w.append(audit.Entry{Kind: "signer.sign.something-new", Subject: w.ana, Actor: "service:signer-core", Outcome: "ok"})
	w.append(audit.Entry{Kind: "enrolment.account.suspended", Subject: w.eva, Actor: eva, Outcome: "suspendida"})
}

var rowRE = regexp.MustCompile(`(?s)<tr role="row"><td.*?</tr>`)

func TestActivity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.story()
	w.enter(w.ana, "ses_a")
	body := w.get("/cuenta/actividad")
	wants(t, body,
		"Se abrió su cuenta.", "Se abrió su solicitud en una ventanilla y se vieron sus datos.", "Eva Choque, Gobierno Autónomo Departamental de Oruro",
		"Se agregó la llave de acceso «Celular &lt;b&gt;».", "Se entró con su llave de acceso en Firefox, Android.", "Se entró con su clave y su tarjeta en Chrome, Windows.",
		"Alguien intentó entrar como usted con clave y tarjeta, en Chrome, Windows, y no pudo.", "Alguien intentó entrar como usted con una llave de acceso, en Firefox, Android, y no pudo.", "No sabemos quién",
		"Se entró en Trámites en línea.", "Trámites en línea recibió permiso para leer: nombre, fecha de nacimiento.", "Trámites en línea leyó sus datos: nombre, fecha de nacimiento, raza.",
		"borrada leyó sus datos: solo un identificador", "Se salió de Trámites en línea, desde Mi cuenta.", "Se cerró su sesión.", "El servicio, de manera automática", "Se autorizó con su llave la firma de un documento.",
		"todavía no sabe explicar (signer.sign.something-new)")
	rows := rowRE.FindAllString(body, -1)
	if len(rows) != 15 || strings.Count(body, `<a href="/cuenta/bloquear">No fui yo</a>`) != 15 || strings.Contains(body, "bloqueó") {
		t.Errorf("%d rows:\n%s", len(rows), body)
	}
	if !strings.Contains(rows[0], "something-new") || !strings.Contains(rows[14], "Se abrió su cuenta.") {
		t.Errorf("order: %s … %s", rows[0], rows[14])
	}
	// The look is recorded, and not shown.
	body = w.get("/cuenta/actividad")
	if n := len(rowRE.FindAllString(body, -1)); n != 15 {
		t.Errorf("%d rows at the second look", n)
	}
	views, _, err := w.log.BySubject(t.Context(), w.ana, "", 200)
	if err != nil || len(views) != 17 || views[0].Kind != "audit.read.mine" || views[1].Kind != "audit.read.mine" {
		t.Errorf("%d records, %v", len(views), err)
	}
	// Somebody else's look at the same records is shown.
	w.append(audit.Entry{Kind: "audit.read.mine", Subject: w.ana, Actor: string(w.eva), Outcome: "ok"})
	if n := len(rowRE.FindAllString(w.get("/cuenta/actividad"), -1)); n != 16 {
		t.Errorf("%d rows after another's look", n)
	}
	// So is what an operator read, with the purpose that was stated.
	for _, purpose := range []string{"founding", "oficio 12/2026 <b>"} {
		w.append(audit.Entry{Kind: "enrolment.read.operator", Subject: w.ana, Actor: "operator:0", Outcome: "ok", Payload: map[string]any{"purpose": purpose}})
	}
	wants(t, w.get("/cuenta/actividad"),
		"Se leyeron su nombre y su documento para la fundación del servicio.", "Motivo: oficio 12/2026 &lt;b&gt;.", "Quien opera el servidor")
}

func TestActivityAfterErasure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.story()
	if err := w.d.Write(t.Context(), func(tx *db.Tx) error { return w.keys.DestroyDataKey(tx, string(w.ana)) }); err != nil {
		t.Fatal(err)
	}
	w.enter(w.ana, "ses_a")
	// Nothing about an erased person can be recorded, so nothing is shown.
	if res, _ := w.do(http.MethodGet, "/cuenta/actividad", ""); res.StatusCode != http.StatusInternalServerError {
		t.Errorf("got %d", res.StatusCode)
	}
}

var olderRE = regexp.MustCompile(`href="(/cuenta/actividad\?desde=[^"]+)"`)

func TestActivityPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 70 {
		w.append(audit.Entry{Kind: "enrolment.passkey.registered", Subject: w.ana, Actor: string(w.ana), Outcome: "registered", Payload: map[string]any{"label": fmt.Sprintf("llave-%02d", i)}})
	}
	w.enter(w.ana, "ses_a")
	seen := map[string]int{}
	labels := regexp.MustCompile(`llave-\d\d`)
	path, pages := "/cuenta/actividad", 0
	for path != "" {
		body := w.get(path)
		for _, l := range labels.FindAllString(body, -1) {
			seen[l]++
		}
		if pages++; pages > 10 {
			t.Fatal("paging does not end")
		}
		path = ""
		if m := olderRE.FindStringSubmatch(body); m != nil {
			path = m[1]
			w.enter(w.eva, "ses_e")
			if res, _ := w.do(http.MethodGet, path, ""); res.StatusCode != http.StatusBadRequest {
				t.Errorf("another person's cursor: %d", res.StatusCode)
			}
			w.enter(w.ana, "ses_a")
		}
	}
	if len(seen) != 70 || pages != 3 {
		t.Errorf("%d of 70 records on %d pages", len(seen), pages)
	}
	for l, n := range seen {
		if n != 1 {
			t.Errorf("%s was shown %d times", l, n)
		}
	}
}

func TestTransparency(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wants(t, w.get("/transparencia"), "todavía no tiene su primer punto de control")
	w.story()
	w.sequence()
	note, cp, err := w.log.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body := w.get("/transparencia")
	wants(t, body, "localhost/log", fmt.Sprintf("<dd>%d</dd>", cp.Size), `href="/log/checkpoint"`, "suti log verify --vkey")
	plain := strings.NewReplacer("<br>", "\n", "&#43;", "+", "&#34;", `"`).Replace(body)
	if !strings.Contains(plain, strings.TrimSpace(string(note))) {
		t.Errorf("the checkpoint is not shown as it is:\n%s\n%s", note, body)
	}
}

func TestMailbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	wants(t, w.get("/demo/correo"), "Todavía no hay mensajes")
	for _, m := range []notify.Message{
		{ID: "email:1", Channel: notify.Email, To: "ana@example.bo", Subject: "Suti: tiene una llave nueva", Text: "Buen día:\n\nSe agregó una llave.\n", At: start},
		{ID: "sms:1", Channel: notify.SMS, To: "+59171234567", Text: "Suti: se agrego una llave.", At: start},
	} {
		if err := w.demo.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	mails, sms := w.get("/demo/correo"), w.get("/demo/sms")
	wants(t, mails, "Suti: tiene una llave nueva", "Para ana@example.bo", "<p>Se agregó una llave.</p>")
	wants(t, sms, "SMS para +59171234567", "Suti: se agrego una llave.")
	if strings.Contains(mails, "59171234567") || strings.Contains(sms, "ana@") {
		t.Error("the channels are mixed")
	}
	wants(t, w.get("/"), `href="/demo/correo"`)
	for i := range 20 {
		m := notify.Message{ID: "sms:" + strconv.Itoa(2+i), Channel: notify.SMS, To: "+59171234567", Text: "Otro " + strconv.Itoa(i) + ".", At: start.Add(time.Duration(1+i) * time.Minute)}
		if err := w.demo.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	first := w.get("/demo/sms")
	wants(t, first, "Otro 19.", "Otro 0.", "Ver mensajes anteriores")
	if strings.Contains(first, "se agrego una llave") || strings.Contains(first, "Volver a lo más reciente") {
		t.Error("the first page shows what belongs to the second")
	}
	_, rest, _ := strings.Cut(first, `href="/demo/sms?desde=`)
	cursor, _, _ := strings.Cut(rest, `"`)
	second := w.get("/demo/sms?desde=" + cursor)
	wants(t, second, "se agrego una llave", "Volver a lo más reciente")
	if strings.Contains(second, "Otro 0.") || strings.Contains(second, "Ver mensajes anteriores") {
		t.Error("the second page does not begin after the first, or claims a third")
	}
	if res, _ := w.do(http.MethodGet, "/demo/sms?desde=nada", ""); res.StatusCode != http.StatusBadRequest {
		t.Errorf("bad cursor: %d", res.StatusCode)
	}
}

// TestHome: whoever is signed in is named and offered no registration.
func TestHome(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	anybody := w.get("/")
	wants(t, anybody, `href="/registro"`, `href="/cuenta"`)
	w.enter(w.ana, "ses_a")
	mine := w.get("/")
	wants(t, mine, "Usted entró como Ñusta Ana Mamani Quispe", `href="/cuenta"`, `href="/firmas"`, "Mis firmas", `href="/cuenta/otra-persona"`)
	if strings.Contains(mine, `href="/registro"`) || strings.Contains(anybody, "otra-persona") {
		t.Error("the page does not know whether anybody is signed in")
	}
}

// Every page in both languages and at both widths: nothing for axe to find.
// With -artifacts the test leaves pictures.
func TestScreens(t *testing.T) {
	t.Parallel()
	b := webtest.Browser(t)
	w := newWorld(t)
	w.story()
	w.sequence()
	for i, c := range []notify.Channel{notify.Email, notify.SMS} {
		if err := w.demo.Send(t.Context(), notify.Message{ID: strconv.Itoa(i), Channel: c, To: "ana@example.bo", Subject: []string{"Suti: tiene una llave nueva", ""}[i], Text: "Buen día:\n\nSe agregó una llave.", At: start.Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
	}
	look := func(name, path string) {
		for _, width := range []int{360, 1280} {
			b.Axe(t, w.base+path, width)
			png := b.Screenshot(t, w.base+path, width)
			if err := os.WriteFile(filepath.Join(t.ArtifactDir(), name+"-"+strconv.Itoa(width)+".png"), png, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b.Axe(t, w.base+path, 360, webtest.Lang("en"), webtest.Dark())
	}
	look("inicio", "/?hecho=salir")
	w.enter(w.eva, "ses_e")
	look("cuenta-personal", "/cuenta")
	w.enter(w.ana, "ses_a")
	look("inicio-dentro", "/")
	for _, path := range []string{"/cuenta", "/cuenta/sesiones", "/cuenta/permisos", "/cuenta/actividad", "/cuenta/otra-persona", "/transparencia", "/demo/correo", "/demo/sms"} {
		look(strings.ReplaceAll(path[1:], "/", "-"), path)
	}
}
