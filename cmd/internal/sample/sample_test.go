package sample_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"oruro.gob.bo/suti/cmd/internal/sample"
	"oruro.gob.bo/suti/sdk"
	"oruro.gob.bo/suti/sdk/api"
)

func wants(t *testing.T, body string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(body, w) {
			t.Errorf("the page lacks %q:\n%s", w, body)
		}
	}
}

func TestLoginShowsWhatWasShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sample.NewTramites, nil)
	br := w.browser()
	res, home := br.get("/")
	if res.StatusCode != http.StatusOK || strings.Contains(home, "Ana María") {
		t.Errorf("home: %d", res.StatusCode)
	}
	res, body := br.get("/mis-tramites")
	if res.StatusCode != http.StatusOK || res.Request.URL.Path != "/mis-tramites" {
		t.Fatalf("after login: %d at %s\n%s", res.StatusCode, res.Request.URL, body)
	}
	wants(t, body, "Ana María Mamani Quispe", "sub-ana", "N2: identidad comprobada en ventanilla", "sid-", "DEMOSTRACIÓN - SIN VALIDEZ LEGAL")
	if _, body = br.get("/certificado"); !strings.Contains(body, "y la suya lo está") {
		t.Errorf("N2 page:\n%s", body)
	}
}

func TestLevelIsRequired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sample.NewTramites, nil)
	w.person("sub-nuevo", sdk.N1)
	br := w.browser()
	if res, body := br.get("/mis-tramites"); res.StatusCode != http.StatusOK {
		t.Fatalf("N1 enters: %d\n%s", res.StatusCode, body)
	}
	if res, body := br.get("/certificado"); res.StatusCode == http.StatusOK || strings.Contains(body, "la suya lo está") {
		t.Errorf("N1 reached the page of N2: %d", res.StatusCode)
	}
	w.person("sub-nuevo", sdk.N2)
	if res, _ := br.get("/certificado"); res.StatusCode != http.StatusOK {
		t.Errorf("after stepping up: %d", res.StatusCode)
	}
}

func TestTwoInstitutionsSeeTwoSubjects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sample.NewBecas, func(c *sample.Config) { c.Title = "Becas" })
	w.person("sub-en-becas", sdk.N1)
	if _, body := w.browser().get("/mis-becas"); !strings.Contains(body, "sub-en-becas") {
		t.Errorf("no subject:\n%s", body)
	}
}

func TestLogoutEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sample.NewTramites, nil)
	br := w.browser()
	br.get("/mis-tramites")
	var hops []string
	br.c.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
		hops = append(hops, r.URL.Scheme+"://"+r.URL.Host+r.URL.Path)
		return nil
	}
	res, _ := br.post("/auth/salir", nil)
	if res.StatusCode != http.StatusOK || res.Request.URL.Path != "/" || len(hops) != 3 || hops[0] != w.issuer.URL+"/oauth2/logout" {
		t.Errorf("%d by way of %v", res.StatusCode, hops)
	}
	w.issuer.Person = nil
	if res, body := br.get("/mis-tramites"); res.StatusCode != http.StatusForbidden || !strings.Contains(body, "Usted no entró") {
		t.Errorf("afterwards: %d\n%s", res.StatusCode, body)
	}
}

func TestForeignRequestsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sample.NewTramites, nil)
	br := w.browser()
	br.get("/mis-tramites")
	req := br.request(http.MethodPost, "/firmas", "multipart/form-data; boundary=x", strings.NewReader("--x--\r\n"))
	req.Header.Set("Origin", "https://evil.example")
	if res, _ := br.do(req); res.StatusCode != http.StatusForbidden {
		t.Errorf("from another site: %d", res.StatusCode)
	}
	req = br.request(http.MethodGet, "/", "", nil)
	req.Host = "rebound.example"
	if res, _ := br.do(req); res.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("under another name: %d", res.StatusCode)
	}
	res, _ := br.get("/nada")
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("unknown page: %d", res.StatusCode)
	}
	want := "default-src 'none'; base-uri 'none'; form-action 'self' " + w.issuer.URL + "; frame-ancestors 'none'; img-src 'self'; style-src 'self'"
	if got := res.Header.Get("Content-Security-Policy"); got != want {
		t.Errorf("policy %q, want %q", got, want)
	}
}

var keyRE = regexp.MustCompile(`name="clave" value="([A-Z2-7]+)"`)

// fill sends the form; pdf nil means the built-in example.
func (b *browser) fill(key string, fields map[string]string, pdf []byte) (*http.Response, string) {
	b.w.t.Helper()
	var buf bytes.Buffer
	m := multipart.NewWriter(&buf)
	all := map[string]string{"clave": key, "titulo": "Resolución de prueba", "quien": "0", "archivo": "ejemplo"}
	if pdf != nil {
		all["archivo"] = "propio"
	}
	for k, v := range fields {
		all[k] = v
	}
	var errs []error
	for k, v := range all {
		errs = append(errs, m.WriteField(k, v))
	}
	if pdf != nil {
		part, err := m.CreateFormFile("pdf", "mio.pdf")
		if err != nil {
			b.w.t.Fatal(err)
		}
		_, err = part.Write(pdf)
		errs = append(errs, err)
	}
	if err := errors.Join(append(errs, m.Close())...); err != nil {
		b.w.t.Fatal(err)
	}
	return b.do(b.request(http.MethodPost, "/firmas", m.FormDataContentType(), &buf))
}

func (b *browser) key() string {
	b.w.t.Helper()
	_, body := b.get("/firmas/nueva")
	m := keyRE.FindStringSubmatch(body)
	if m == nil {
		b.w.t.Fatalf("no form:\n%s", body)
	}
	return m[1]
}

func TestSignatureRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sample.NewTramites, nil)
	br := w.browser()
	key := br.key()
	res, body := br.fill(key, nil, nil)
	if res.StatusCode != http.StatusOK || !strings.HasPrefix(res.Request.URL.Path, "/firmas/") {
		t.Fatalf("%d at %s\n%s", res.StatusCode, res.Request.URL, body)
	}
	wants(t, body, "Falta la firma", "https://suti.example/firmas/sig_1", "Resolución de prueba", "Pedro Choque", "01/12/2026 12:00")
	at := res.Request.URL.Path
	if res, _ := br.fill(key, nil, nil); res.Request.URL.Path != at || len(w.signing.requests) != 1 {
		t.Errorf("the same form again: %s, %d requests", res.Request.URL.Path, len(w.signing.requests))
	}
	for k, got := range w.signing.requests {
		want := api.SigningRequest{
			Documents: []api.RequestDocument{{ID: "doc_1", Title: "Resolución de prueba"}}, Level: "B-T", ReturnURL: w.base + "/firmas/gracias",
			Signers: []api.Signer{{Document: &api.IdentityDocRef{Type: "CI", Number: "7654321"}, Appointment: "apt_1"}},
			Seal:    &api.Seal{Page: "last", Corner: "bottom-right"},
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if !bytes.Equal(a, b) {
			t.Errorf("asked %s, want %s", a, b)
		}
		if doc := w.signing.uploads[strings.TrimSuffix(k, "pedido")+"documento"]; !bytes.Equal(doc, sample.PDF()) {
			t.Errorf("uploaded %d bytes, want the example", len(doc))
		}
	}
	// Another document under the same form is another request.
	own := []byte("%PDF-1.4 propio")
	if res, _ := br.fill(key, map[string]string{"quien": "otra", "cedula": " 1234567-1a "}, own); res.Request.URL.Path == at || len(w.signing.requests) != 2 {
		t.Errorf("changed form: %s, %d requests", res.Request.URL.Path, len(w.signing.requests))
	}
	found := false
	for k, doc := range w.signing.uploads {
		if bytes.Equal(doc, own) {
			ref := w.signing.requests[strings.TrimSuffix(k, "documento")+"pedido"].Signers[0].Document
			found = ref != nil && *ref == api.IdentityDocRef{Type: "CI", Number: "1234567", Complement: "1A"}
		}
	}
	if !found {
		t.Errorf("own file or signer got lost: %+v", w.signing.requests)
	}
	if _, body := br.get("/firmas"); strings.Count(body, `<li><a href="/firmas/`) != 2 {
		t.Errorf("list:\n%s", body)
	}

	if res, _ := br.get(at + "/firmado.pdf"); res.StatusCode != http.StatusNotFound {
		t.Errorf("signed file of a pending request: %d", res.StatusCode)
	}
	w.signing.state = "completed"
	_, body = br.get(at)
	wants(t, body, "Firmado", "PAdES B-T", "7K2M-9QXR-40", at+"/firmado.pdf")
	res, body = br.get(at + "/firmado.pdf")
	if res.StatusCode != http.StatusOK || body != "%PDF-1.7 firmado" || res.Header.Get("Content-Type") != "application/pdf" {
		t.Errorf("signed file: %d %s %q", res.StatusCode, res.Header.Get("Content-Type"), body)
	}
	if res, body = br.get(at + "/evidencia.json"); res.StatusCode != http.StatusOK || !strings.Contains(body, "suti/bundle/v1") {
		t.Errorf("evidence: %d %q", res.StatusCode, body)
	}

	w.person("sub-otro", sdk.N2)
	other := w.browser()
	for _, path := range []string{at, at + "/firmado.pdf", at + "/evidencia.json"} {
		if res, _ := other.get(path); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s for somebody else: %d", path, res.StatusCode)
		}
	}
	if _, body := other.get("/firmas"); !strings.Contains(body, "Todavía no hizo ningún pedido") {
		t.Errorf("somebody else's list:\n%s", body)
	}
}

func TestSignatureRequestFaults(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sample.NewTramites, nil)
	br := w.browser()
	for name, c := range map[string]struct {
		fields map[string]string
		pdf    []byte
		want   string
	}{
		"no title":     {map[string]string{"titulo": " "}, nil, `href="#titulo"`},
		"long title":   {map[string]string{"titulo": strings.Repeat("ñ", 201)}, nil, `href="#titulo"`},
		"no signer":    {map[string]string{"quien": "9"}, nil, `href="#quien"`},
		"odd signer":   {map[string]string{"quien": "-1"}, nil, `href="#quien"`},
		"bad card":     {map[string]string{"quien": "otra", "cedula": "12-34-56"}, nil, `href="#cedula"`},
		"no file":      {map[string]string{"archivo": "propio"}, nil, `href="#pdf"`},
		"empty file":   {nil, []byte{}, `href="#pdf"`},
		"bad form key": {map[string]string{"clave": "../x"}, nil, "El formulario estaba incompleto"},
	} {
		res, body := br.fill(br.key(), c.fields, c.pdf)
		if res.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, c.want) || !strings.Contains(body, "<title>Error: ") {
			t.Errorf("%s: %d\n%s", name, res.StatusCode, body)
		}
		field, at := strings.CutPrefix(c.want, `href="#`)
		if field = strings.TrimSuffix(field, `"`); at && (!strings.Contains(body, `<p class="fault" id="`+field+`-falta">`) || !strings.Contains(body, `aria-describedby="`+field+`-falta`)) {
			t.Errorf("%s: the message does not stand beside the field:\n%s", name, body)
		}
	}
	if n := len(w.signing.uploads) + len(w.signing.requests); n != 0 {
		t.Errorf("%d calls for bad forms", n)
	}
	w.signing.refuse = &api.Problem{Status: 422, Code: "unsignable", Detail: "El PDF está cifrado."}
	if res, body := br.fill(br.key(), nil, nil); res.StatusCode != 422 || !strings.Contains(body, "El PDF está cifrado. (unsignable)") {
		t.Errorf("refused: %d\n%s", res.StatusCode, body)
	}
	w.signing.refuse = &api.Problem{Status: 503, Code: "unavailable"}
	if res, _ := br.fill(br.key(), nil, nil); res.StatusCode != http.StatusBadGateway {
		t.Errorf("out of order: %d", res.StatusCode)
	}
	if res, _ := br.post("/firmas", map[string][]string{"titulo": {"x"}}); res.StatusCode != http.StatusBadRequest {
		t.Errorf("other form: %d", res.StatusCode)
	}
}

// A download that breaks off is seen to break off.
func TestBrokenDownload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, sample.NewTramites, nil)
	br := w.browser()
	res, _ := br.fill(br.key(), nil, nil)
	w.signing.mu.Lock()
	w.signing.state, w.signing.cut = "completed", true
	w.signing.mu.Unlock()
	out, err := br.c.Do(br.request(http.MethodGet, res.Request.URL.Path+"/firmado.pdf", "", nil))
	if err == nil {
		_, err = io.ReadAll(out.Body)
		out.Body.Close()
	}
	if err == nil {
		t.Error("the cut file looks complete")
	}
}

func TestRequestsSurviveRestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "solicitudes.json")
	keep := func(c *sample.Config) { c.File = file }
	w := newWorld(t, sample.NewTramites, keep)
	br := w.browser()
	res, _ := br.fill(br.key(), nil, nil)
	again := newWorld(t, sample.NewTramites, keep)
	if got, body := again.browser().get(res.Request.URL.Path); got.StatusCode != http.StatusOK {
		t.Errorf("after the restart: %d\n%s", got.StatusCode, body)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sample.NewTramites(t.Context(), sample.Config{Issuer: w.issuer.URL, ClientID: "x", BaseURL: "http://localhost:1", File: file}); err == nil {
		t.Error("started over a spoilt file")
	}
}
