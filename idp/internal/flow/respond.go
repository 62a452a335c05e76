package flow

import (
	"net/http"
	"net/url"
	"strings"

	"oruro.gob.bo/suti/idp/internal/oauth"
)

// response builds the parameters of an authorization response: iss always
// (RFC 9207), state exactly if it was sent.
func response(issuer string, r *oauth.Request, params url.Values) url.Values {
	params.Set("iss", issuer)
	if r.State != nil {
		params.Set("state", *r.State)
	}
	return params
}

// errorParams are the parameters of an error response (RFC 6749 §4.1.2.1).
func errorParams(e *oauth.Error) url.Values {
	return url.Values{"error": {e.Code}, "error_description": {e.Description}}
}

// location returns the redirect of response_mode=query or fragment.
func location(r *oauth.Request, params url.Values) string {
	sep := "?"
	if r.ResponseMode == oauth.ModeFragment {
		sep = "#" // registered addresses have none
	} else if strings.Contains(r.RedirectURI, "?") {
		sep = "&"
	}
	return r.RedirectURI + sep + params.Encode()
}

// RespondError sends an error to the application.
func (f *Flow) RespondError(w http.ResponseWriter, r *http.Request, req *oauth.Request, e *oauth.Error) error {
	return f.respond(w, r, req, errorParams(e))
}

// respond answers the application in the response mode it asked for. 303 makes
// the browser drop what it posted (RFC 9700 §4.12).
func (f *Flow) respond(w http.ResponseWriter, r *http.Request, req *oauth.Request, params url.Values) error {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	params = response(f.cfg.Issuer, req, params)
	if req.ResponseAlg != "" {
		token, err := f.cfg.Engine.SignResponse(r.Context(), req, params)
		if err != nil {
			return err
		}
		params = url.Values{"response": {token}}
	}
	if req.ResponseMode == oauth.ModeFormPost {
		return f.cfg.Pages.FormPost(w, r, req.RedirectURI, params)
	}
	http.Redirect(w, r, location(req, params), http.StatusSeeOther)
	return nil
}
