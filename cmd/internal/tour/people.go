package tour

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"strings"

	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

// The person that the tour enrols. Everything about her is invented.
const (
	newGiven   = "Juana Isabel"
	newSurname = "Choque"
	newSecond  = "Mamani"
)

// ci is her document number, another one each round.
func (t *Tour) ci() string { return fmt.Sprintf("71234%02d", t.cfg.Round) }

// ticketRE finds the code that the counter asks for.
var ticketRE = regexp.MustCompile(`<p class="ticket"><strong>([^<]+)</strong>`)

// people is the first part: a new person comes to be known.
func (t *Tour) people(ctx context.Context) {
	t.step("la fundación está en pie y fijada en el núcleo de firma", func() (string, error) {
		ours, err := t.demo.App.Enrolment.Genesis(ctx)
		if err != nil {
			return "", err
		}
		core, err := t.demo.App.Core.Genesis(ctx)
		if err != nil {
			return "", err
		}
		if ours != core {
			return "", errors.New("the core is founded on something else")
		}
		return ours.String()[:16] + "…", nil
	})
	var ticket, waiting, confirm string
	t.step("una ciudadana se registra y crea su llave de acceso", func() (string, error) {
		t.citizen = newBrowser(softauthn.New(softauthn.Config{Behaviour: &softauthn.Behaviour{UP: true, UV: true, Attestation: "none"}}), t.demo.Transport())
		var err error
		ticket, err = t.citizen.register(ctx, t.demo.File.Issuer, t.ci())
		return "código de ventanilla " + ticket, err
	})
	var registrar *browser
	t.step("la registradora abre el código y verifica el documento", func() (string, error) {
		var err error
		if registrar, err = t.open("registradora"); err != nil {
			return "", err
		}
		return "campo por campo, para nivel N2", t.counter(ctx, registrar, ticket)
	})
	t.step("firma el acta con su propia llave", func() (string, error) {
		waiting = registrar.page.address.Path
		return "desafío sobre el hash del acta", registrar.passkey(ctx)
	})
	t.step("la ciudadana lee el acta y la confirma con la suya", func() (string, error) {
		if err := t.citizen.get(ctx, t.demo.File.Issuer+"/registro/confirmar"); err != nil {
			return "", err
		}
		if err := t.citizen.fill(ctx, "/registro/confirmar", "codigo", ticket); err != nil {
			return "", err
		}
		confirm = t.citizen.page.address.Path
		if !t.citizen.page.has("J. I. C. M.") || !strings.HasSuffix(confirm, waiting[strings.LastIndexByte(waiting, '/'):]) {
			return "", errors.New("the page does not show her act: " + t.citizen.page.summary())
		}
		return newGiven + " " + newSurname, t.citizen.passkey(ctx)
	})
	t.step("una segunda persona de la institución lo aprueba", func() (string, error) { return t.approve(ctx, path.Base(waiting)) })
	t.step("la ciudadana es N2", func() (string, error) { return t.checkEnrolled(ctx) })
}

// register goes through the registration, one question a page.
func (b *browser) register(ctx context.Context, issuer, ci string) (ticket string, err error) {
	if err := b.get(ctx, issuer+"/registro"); err != nil {
		return "", err
	}
	for _, answers := range [][]string{
		{"tipo", "CI", "numero", ci}, {"nombres", newGiven, "primer_apellido", newSurname, "segundo_apellido", newSecond},
		{"nacimiento", "14/02/1991"}, {"celular", "71234567", "correo", "juana@demo.example"},
	} {
		if err := b.fill(ctx, "/registro", answers...); err != nil {
			return "", err
		}
		if b.page.status != http.StatusOK {
			return "", errors.New(b.page.summary())
		}
	}
	if !b.page.has("Revise sus datos") || !b.page.has(newGiven) {
		return "", errors.New("what she said is not shown to her: " + b.page.summary())
	}
	if err := b.get(ctx, issuer+"/registro/llave"); err != nil {
		return "", err
	}
	if err := b.passkey(ctx, "etiqueta", "Mi celular"); err != nil {
		return "", fmt.Errorf("make the passkey: %w", err)
	}
	m := ticketRE.FindStringSubmatch(b.page.body)
	if m == nil {
		return "", errors.New("no code for the counter: " + b.page.summary())
	}
	return m[1], nil
}

// counter opens the ticket at the counter and confirms what the document says,
// up to the page on which the act is signed.
func (t *Tour) counter(ctx context.Context, b *browser, ticket string) error {
	if _, err := b.enter(ctx, t.demo.File.Issuer+"/ventanilla"); err != nil {
		return err
	}
	if err := b.fill(ctx, "/ventanilla/abrir", "codigo", ticket); err != nil {
		return err
	}
	f, err := b.page.form("/verificar")
	if err != nil {
		return err
	}
	if !b.page.has(t.ci()) || !b.page.has(newGiven) {
		return errors.New("the counter does not see what she said: " + b.page.summary())
	}
	f.fields["verificado"] = []string{"original", "document", "given_names", "surnames", "birth_date"}
	if err := b.submit(ctx, f, "nivel", "N2"); err != nil {
		return err
	}
	if !strings.HasPrefix(b.page.address.Path, "/ventanilla/acto/") {
		return errors.New("no act to sign: " + b.page.summary())
	}
	return nil
}

// approve lets the supervisor approve an act that waits, with her own passkey.
func (t *Tour) approve(ctx context.Context, act string) (string, error) {
	b, err := t.open("supervisor")
	if err != nil {
		return "", err
	}
	if _, err := b.enter(ctx, t.demo.File.Issuer+"/ventanilla/aprobar"); err != nil {
		return "", err
	}
	waiting := b.page.links("/ventanilla/aprobar/" + act)
	if len(waiting) != 1 {
		return "", errors.New("the act does not wait: " + b.page.summary())
	}
	if err := b.get(ctx, waiting[0]); err != nil {
		return "", err
	}
	if err := b.fill(ctx, b.page.address.Path); err != nil {
		return "", err
	}
	return "nadie del personal puede inscribir a solas", b.passkey(ctx)
}

// checkEnrolled looks up the person that the tour enrolled.
func (t *Tour) checkEnrolled(ctx context.Context) (string, error) {
	if err := t.demo.App.Settle(ctx); err != nil {
		return "", err
	}
	person, err := t.demo.App.Enrolment.FindByDocument(ctx, identity.Document{Type: identity.DocumentCI, Number: t.ci()})
	if err != nil {
		return "", err
	}
	p, err := t.demo.App.Enrolment.Profile(ctx, person)
	if err != nil {
		return "", err
	}
	if p.Level != identity.N2 {
		return "", fmt.Errorf("the person is at %s", p.Level)
	}
	t.newcomer = p.Name.Full()
	return t.newcomer, nil
}
