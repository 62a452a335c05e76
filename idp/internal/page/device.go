package page

import (
	"net/http"

	"oruro.gob.bo/suti/internal/web"
)

// Problems of the page for a device's code, as i18n keys.
const (
	ProblemCode  = "idp.device.problem.code"
	ProblemSpent = "idp.device.problem.spent"
)

// Device is the page on which a person types the code that a device shows.
type Device struct {
	Code    string // from the link, or typed before; may be empty
	Problem string // i18n key, or empty
}

// Device asks for the code.
func (p *Pages) Device(w http.ResponseWriter, r *http.Request, d Device) error {
	var faults []web.FieldError
	if d.Problem != "" {
		faults = []web.FieldError{{Field: "codigo", Detail: d.Problem}}
	}
	return p.set.Render(w, r, web.Page{Template: "equipo", Title: "idp.device.title", Data: d, Errors: faults, Return: "/equipo", Secret: true})
}

// DeviceAsk is what a consent page says of the device that asks.
type DeviceAsk struct {
	Code        string // as the device shows it
	Institution string // name; may be empty
	Agent       string // what program asked, in a few words
	From        string // its network address
	Same        bool   // the person's browser comes from there too
}

// DeviceDone tells that the device may enter.
func (p *Pages) DeviceDone(w http.ResponseWriter, r *http.Request, app string) error {
	return p.set.Render(w, r, web.Page{Template: "mensaje", Title: "idp.device.done.title", Data: Message{Text: "idp.device.done.text", Args: []any{"app", app}}})
}

// DeviceDenied tells that the device may not.
func (p *Pages) DeviceDenied(w http.ResponseWriter, r *http.Request, app string) error {
	return p.set.Render(w, r, web.Page{Template: "mensaje", Title: "idp.device.denied.title", Data: Message{Text: "idp.device.denied.text", Args: []any{"app", app}}})
}
