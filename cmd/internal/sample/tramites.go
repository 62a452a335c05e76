package sample

import (
	"context"
	"net/http"

	"oruro.gob.bo/suti/sdk"
)

// tramites is the application of paperwork and signature requests.
type tramites struct {
	*app
	requests *requests
}

// NewTramites returns the application of paperwork. The issuer must answer; the
// client needs the scopes firmas:crear and firmas:leer.
func NewTramites(ctx context.Context, c Config) (http.Handler, error) {
	a, err := newApp(ctx, c, "tramites", []link{{"/", "Inicio"}, {"/mis-tramites", "Mis trámites"}, {"/certificado", "Certificado"}, {"/firmas", "Firmas"}})
	if err != nil {
		return nil, err
	}
	t := &tramites{app: a}
	if t.requests, err = openRequests(c.File); err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	in := func(h http.HandlerFunc, opts ...sdk.Option) http.Handler { return a.client.RequireLogin(h, opts...) }
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		a.render(w, r, http.StatusOK, "tramites", "Trámites en línea", nil, nil)
	})
	mux.Handle("GET /mis-tramites", in(func(w http.ResponseWriter, r *http.Request) {
		a.render(w, r, http.StatusOK, "mis-tramites", "Mis trámites", nil, nil)
	}))
	mux.Handle("GET /certificado", in(func(w http.ResponseWriter, r *http.Request) {
		a.render(w, r, http.StatusOK, "certificado", "Certificado de residencia", nil, nil)
	}, sdk.Level(sdk.N2)))
	mux.Handle("GET /firmas", in(t.list))
	mux.Handle("GET /firmas/nueva", in(t.form))
	mux.Handle("POST /firmas", in(t.create))
	mux.Handle("GET /firmas/{id}", in(t.show))
	mux.Handle("GET /firmas/{id}/firmado.pdf", in(t.signed))
	mux.Handle("GET /firmas/{id}/evidencia.json", in(t.evidence))
	mux.HandleFunc("GET /firmas/gracias", func(w http.ResponseWriter, r *http.Request) { // whoever signed may not be who asked
		t.message(w, r, http.StatusOK, "Gracias", "Trámites ya sabe lo que usted decidió. Si el pedido es suyo, lo encuentra en sus pedidos de firma.")
	})
	mux.HandleFunc("GET /ejemplo.pdf", func(w http.ResponseWriter, _ *http.Request) {
		download(w, "application/pdf", "resolucion-de-ejemplo.pdf")
		_, _ = w.Write(PDF()) // the browser may have gone
	})
	return a.handler(mux), nil
}

// download names the file that an answer is.
func download(w http.ResponseWriter, mediaType, name string) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
}
