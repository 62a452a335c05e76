package tour

import (
	"testing"
	"time"

	"oruro.gob.bo/suti/cmd/internal/demo"
	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/internal/identity"
)

// TestEndOfPost: who gives up a post can sign for it no more, and its certificate
// is revoked, before anything else happens.
func TestEndOfPost(t *testing.T) {
	t.Parallel()
	tour := &Tour{cfg: Config{Now: time.Now, Out: t.TempDir()}, artefacts: map[string]string{}, pdf: builtInPDF()}
	var err error
	if tour.demo, err = demo.Start(t.Context(), demo.Config{Dir: t.TempDir(), FirstPort: ports + 5000}); err != nil {
		t.Fatal(err)
	}
	defer tour.demo.Close()
	if tour.sign(t.Context()); tour.failed() {
		t.Fatalf("%+v", tour.steps)
	}
	app := tour.demo.App
	_, person := tour.demo.Person("secretario")
	d, err := app.Enrolment.EndAppointment(t.Context(), person, identity.AppointmentID(tour.demo.ID("nombramiento")), "renuncia")
	if err != nil {
		t.Fatal(err)
	}
	binding := []byte("the session of the test")
	c, err := app.Enrolment.BeginSign(t.Context(), d.ID, person, binding)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := tour.official.key.Get(tour.demo.File.Issuer, c.Options)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Enrolment.FinishSign(t.Context(), enrolment.Answer{Draft: d.ID, Person: person, Ceremony: c.ID, Binding: binding, Response: answer}); err != nil {
		t.Fatal(err)
	}
	if err := app.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	certs, err := app.CA.OfPerson(t.Context(), person)
	if err != nil || len(certs) != 1 || !certs[0].Status.Revoked {
		t.Errorf("certificates %+v, %v: want one, revoked", certs, err)
	}
	if _, err := tour.request(t.Context(), "otro", "Otra resolución", tour.pdf); err == nil {
		t.Error("a signature for the post can still be asked for")
	}
}
