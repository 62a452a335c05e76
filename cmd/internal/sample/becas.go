package sample

import (
	"context"
	"net/http"

	"oruro.gob.bo/suti/sdk"
)

// NewBecas returns the application of scholarships. The issuer must answer.
func NewBecas(ctx context.Context, c Config) (http.Handler, error) {
	a, err := newApp(ctx, c, "becas", []link{{"/", "Inicio"}, {"/mis-becas", "Mis becas"}})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		a.render(w, r, http.StatusOK, "becas", "Becas municipales", nil, nil)
	})
	mux.Handle("GET /mis-becas", a.client.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.render(w, r, http.StatusOK, "mis-becas", "Mis becas", nil, nil)
	}), sdk.Level(sdk.N1)))
	return a.handler(mux), nil
}
