package sample

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"oruro.gob.bo/suti/sdk"
	"oruro.gob.bo/suti/sdk/api"
)

const (
	maxUpload   = 101 << 20 // bytes of a form with its PDF
	uploadInRAM = 4 << 20   // the rest of it waits in a temporary file
	maxTitle    = 200       // characters
)

var (
	cardNumber = regexp.MustCompile(`^([0-9]{4,10})(?:-([0-9A-Z]{1,2}))?$`)
	formKey    = regexp.MustCompile(`^[A-Z2-7]{26}$`) // crypto/rand.Text
)

// wish is the form for a signature request, as a person fills it in.
type wish struct {
	Key     string // one per form, so that a repeated click has one effect
	Title   string
	Whom    string // index of a Signer, or "otra"
	Card    string // identity card of another signer
	Example bool   // the built-in PDF instead of a file
	Signers []Signer
}

// Other reports whether the signer is none of those offered.
func (w wish) Other() bool { return w.Whom == "otra" || len(w.Signers) == 0 }

func (t *tramites) list(w http.ResponseWriter, r *http.Request) {
	t.render(w, r, http.StatusOK, "firmas", "Pedidos de firma", nil, t.requests.of(sdk.UserFrom(r.Context()).Subject))
}

func (t *tramites) form(w http.ResponseWriter, r *http.Request) {
	v := wish{Key: rand.Text(), Whom: "0", Example: true, Title: "Resolución de ejemplo", Signers: t.cfg.Signers}
	t.render(w, r, http.StatusOK, "pedir", "Pedir firma de una resolución", nil, v)
}

// create takes the form, hands the document to Suti and asks for the signature.
func (t *tramites) create(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	if err := r.ParseMultipartForm(uploadInRAM); err != nil {
		var big *http.MaxBytesError
		if errors.As(err, &big) {
			t.message(w, r, http.StatusRequestEntityTooLarge, "El archivo es demasiado grande", "Se aceptan archivos PDF de hasta 100 MB.")
			return
		}
		t.message(w, r, http.StatusBadRequest, "No pudimos leer el formulario", "Vuelva a intentarlo.")
		return
	}
	defer func() { _ = r.MultipartForm.RemoveAll() }() // temporary files
	v := wish{
		Key: r.PostFormValue("clave"), Title: strings.TrimSpace(r.PostFormValue("titulo")), Whom: r.PostFormValue("quien"),
		Card: r.PostFormValue("cedula"), Example: r.PostFormValue("archivo") != "propio", Signers: t.cfg.Signers,
	}
	signer, label, faults := t.signer(v)
	if n := utf8.RuneCountInString(v.Title); n == 0 || n > maxTitle || !utf8.ValidString(v.Title) {
		faults = append([]fault{{"titulo", "Escriba el título del documento, de hasta 200 letras."}}, faults...)
	}
	body, size, err := document(r, v.Example)
	if err != nil {
		faults = append(faults, fault{"pdf", "Elija un archivo PDF de su equipo, o use la resolución de ejemplo."})
	}
	if !formKey.MatchString(v.Key) {
		v.Key = rand.Text()
		faults = append(faults, fault{"", "El formulario estaba incompleto. Revíselo y envíelo otra vez."})
	}
	if len(faults) > 0 {
		t.render(w, r, http.StatusUnprocessableEntity, "pedir", "Pedir firma de una resolución", faults, v)
		return
	}
	defer func() { _ = body.Close() }() // only read from
	id, err := t.ask(r, v, label, signer, body, size)
	var refusal *sdk.APIError
	if errors.As(err, &refusal) && refusal.Status < 500 {
		faults = []fault{{"", "El servicio de firma no aceptó el pedido: " + refusal.Detail + " (" + refusal.Code + ")"}}
		v.Key = rand.Text()
		t.render(w, r, http.StatusUnprocessableEntity, "pedir", "Pedir firma de una resolución", faults, v)
		return
	}
	if err != nil {
		t.failed(w, r, err)
		return
	}
	http.Redirect(w, r, "/firmas/"+id, http.StatusSeeOther)
}

// signer reads who is to sign.
func (t *tramites) signer(v wish) (api.Signer, string, []fault) {
	if !v.Other() {
		i, err := strconv.Atoi(v.Whom)
		if err != nil || i < 0 || i >= len(v.Signers) {
			return api.Signer{}, "", []fault{{"quien", "Elija quién debe firmar."}}
		}
		s := v.Signers[i]
		return api.Signer{Document: &api.IdentityDocRef{Type: "CI", Number: s.Number, Complement: s.Complement}, Appointment: s.Appointment}, s.Label, nil
	}
	m := cardNumber.FindStringSubmatch(strings.ToUpper(strings.Join(strings.Fields(v.Card), "")))
	if m == nil {
		return api.Signer{}, "", []fault{{"cedula", "Escriba el número de cédula de quien firma, por ejemplo 1234567 o 1234567-1A."}}
	}
	return api.Signer{Document: &api.IdentityDocRef{Type: "CI", Number: m[1], Complement: m[2]}}, "la persona con cédula " + m[0], nil
}

var errNoFile = errors.New("sample: no file was chosen")

// document returns the PDF to be signed and its size in bytes.
func document(r *http.Request, example bool) (io.ReadSeekCloser, int64, error) {
	if example {
		b := PDF()
		return nopCloser{bytes.NewReader(b)}, int64(len(b)), nil
	}
	f, h, err := r.FormFile("pdf")
	if err != nil {
		return nil, 0, err
	}
	if h.Size == 0 {
		return nil, 0, errors.Join(errNoFile, f.Close())
	}
	return f, h.Size, nil
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// ask makes the request at Suti. Its id follows from the form and what is in
// it: the same form sent twice is one request, a changed one is another.
func (t *tramites) ask(r *http.Request, v wish, label string, signer api.Signer, body io.ReadSeeker, size int64) (string, error) {
	owner := sdk.UserFrom(r.Context()).Subject
	sum := sha256.New()
	fmt.Fprintf(sum, "%q %q %q %q ", v.Key, owner, v.Title, label)
	if _, err := io.Copy(sum, body); err != nil {
		return "", err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	id := hex.EncodeToString(sum.Sum(nil)[:16])
	if _, done := t.requests.find(owner, id); done {
		return id, nil
	}
	signing := t.client.Signing()
	doc, err := signing.Upload(r.Context(), id+"-documento", io.LimitReader(body, size), size)
	if err != nil {
		return "", err
	}
	st, err := signing.Create(r.Context(), id+"-pedido", api.SigningRequest{
		Documents: []api.RequestDocument{{ID: doc.ID, Title: v.Title}}, Signers: []api.Signer{signer}, Level: "B-T",
		Seal: &api.Seal{Page: "last", Corner: "bottom-right"}, ReturnURL: t.cfg.BaseURL + "/firmas/gracias",
	})
	if err != nil {
		return "", err
	}
	return id, t.requests.add(request{ID: id, Owner: owner, Remote: st.ID, Title: v.Title, Signer: label, Created: t.cfg.Now()})
}

// shown is a request with its present state.
type shown struct {
	request
	Status *api.SigningStatus
}

// State says in words how far it is.
func (s shown) State() string {
	switch s.Status.State {
	case "pending":
		return "Falta la firma"
	case "completed":
		return "Firmado"
	case "declined":
		return "La persona no quiso firmar"
	case "cancelled":
		return "Anulado"
	case "expired":
		return "Venció el plazo"
	}
	return s.Status.State
}

func (t *tramites) show(w http.ResponseWriter, r *http.Request) {
	req, st, ok := t.status(w, r)
	if ok {
		t.render(w, r, http.StatusOK, "pedido", "Pedido de firma", nil, shown{req, st})
	}
}

// status finds a person's request and asks Suti how far it is; it answers by
// itself where that fails.
func (t *tramites) status(w http.ResponseWriter, r *http.Request) (request, *api.SigningStatus, bool) {
	req, ok := t.requests.find(sdk.UserFrom(r.Context()).Subject, r.PathValue("id"))
	if !ok {
		t.message(w, r, http.StatusNotFound, "No encontramos este pedido", "Puede ser de otra persona. Revise su lista de pedidos.")
		return req, nil, false
	}
	st, err := t.client.Signing().Status(r.Context(), req.Remote)
	if err != nil {
		t.failed(w, r, err)
		return req, nil, false
	}
	return req, st, true
}

// late sets the headers of a file only when its first byte arrives, so that a
// refusal can still be told as a page.
type late struct {
	w       http.ResponseWriter
	headers func()
	begun   bool
}

func (l *late) Write(b []byte) (int, error) {
	if !l.begun {
		l.headers()
		l.begun = true
	}
	return l.w.Write(b)
}

func (t *tramites) signed(w http.ResponseWriter, r *http.Request) {
	req, st, ok := t.status(w, r)
	if !ok {
		return
	}
	if st.State != "completed" || len(st.Documents) != 1 {
		t.message(w, r, http.StatusNotFound, "Todavía no está firmado", "Vuelva cuando la persona haya firmado.")
		return
	}
	out := &late{w: w, headers: func() { download(w, "application/pdf", "firmado.pdf") }}
	_, err := t.client.Signing().Signed(r.Context(), req.Remote, st.Documents[0].ID, out)
	t.sent(w, r, out, err)
}

func (t *tramites) evidence(w http.ResponseWriter, r *http.Request) {
	req, _, ok := t.status(w, r)
	if !ok {
		return
	}
	out := &late{w: w, headers: func() { download(w, "application/json", "evidencia.json") }}
	_, err := t.client.Signing().Evidence(r.Context(), req.Remote, out)
	t.sent(w, r, out, err)
}

// sent ends a download; one that broke off must not look complete.
func (t *tramites) sent(w http.ResponseWriter, r *http.Request, out *late, err error) {
	switch {
	case err == nil:
	case out.begun:
		panic(http.ErrAbortHandler)
	default:
		t.failed(w, r, err)
	}
}
