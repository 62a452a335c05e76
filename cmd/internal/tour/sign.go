package tour

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"

	"oruro.gob.bo/suti/cmd/internal/sample"
	"oruro.gob.bo/suti/sdk"
	"oruro.gob.bo/suti/sdk/api"
)

// signing is what the third part leaves for the parts after it.
type signing struct {
	sdk      sdk.Signing
	request  *api.SigningStatus
	signed   []byte
	evidence []byte
	spent    *ceremony // the ceremony that signed, for a replay
}

func builtInPDF() []byte { return sample.PDF() }

// service returns the signing interface as application A has it.
func (t *Tour) service(ctx context.Context) (sdk.Signing, error) {
	c, err := t.client("tramites")
	if err != nil {
		return sdk.Signing{}, err
	}
	key, kid, err := sdk.ParsePrivateJWK(c.PrivateJWK)
	if err != nil {
		return sdk.Signing{}, err
	}
	app, err := sdk.New(ctx, sdk.Config{Issuer: t.demo.File.Issuer, ClientID: c.ClientID, Key: key, KeyID: kid, BaseURL: t.demo.Bases[0], HTTPClient: t.http(), Now: t.cfg.Now})
	if err != nil {
		return sdk.Signing{}, err
	}
	return app.Signing(), nil
}

// request uploads a PDF and asks the official to sign it.
func (t *Tour) request(ctx context.Context, key, title string, pdf []byte) (*api.SigningStatus, error) {
	key = fmt.Sprintf("%s-%d", key, t.cfg.Round)
	official, _ := t.demo.Person("secretario")
	doc, err := t.signing.sdk.Upload(ctx, key+"-doc", bytes.NewReader(pdf), int64(len(pdf)))
	if err != nil {
		return nil, err
	}
	return t.signing.sdk.Create(ctx, key, api.SigningRequest{
		Documents: []api.RequestDocument{{ID: doc.ID, Title: title}},
		Signers:   []api.Signer{{Document: &api.IdentityDocRef{Type: "CI", Number: official.Login}, Appointment: t.demo.ID("nombramiento")}},
		Level:     "B-T", Seal: &api.Seal{Page: "last", Corner: "bottom-right"},
	})
}

// sign is the third part: a resolution from request to signed file.
func (t *Tour) sign(ctx context.Context) {
	t.step("la aplicación A pide la firma por el SDK", func() (string, error) {
		var err error
		if t.signing.sdk, err = t.service(ctx); err != nil {
			return "", err
		}
		if t.signing.request, err = t.request(ctx, "recorrido-1", "Resolución del recorrido", t.pdf); err != nil {
			return "", err
		}
		return fmt.Sprintf("%s, %d bytes", t.signing.request.ID, len(t.pdf)), nil
	})
	t.step("el funcionario entra y abre el pedido", func() (string, error) {
		var err error
		if t.official, err = t.open("secretario"); err != nil {
			return "", err
		}
		if _, err := t.official.enter(ctx, t.signing.request.SignURL); err != nil {
			return "", err
		}
		person, _ := t.demo.Person("secretario")
		if !t.official.page.has("Resolución del recorrido") || !t.official.page.has(person.Post) {
			return "", errors.New("the page does not name document and post: " + t.official.page.summary())
		}
		return person.Post, nil
	})
	t.step("aprueba con su llave de acceso y el núcleo firma", func() (string, error) {
		var err error
		if t.signing.spent, err = t.official.begin(ctx, t.official.key); err != nil {
			return "", err
		}
		next, err := t.official.finish(ctx, t.signing.spent)
		if err != nil {
			return "", err
		}
		return "desafío D8 verificado, certificado emitido, sello de tiempo", t.official.get(ctx, next)
	})
	t.step("la aplicación A recibe el PDF firmado y la evidencia", func() (string, error) { return t.collect(ctx) })
}

// collect downloads what came out and leaves it as artefacts.
func (t *Tour) collect(ctx context.Context) (string, error) {
	if err := t.demo.App.Settle(ctx); err != nil { // so that the evidence holds the log's proof
		return "", err
	}
	st, err := t.signing.sdk.Status(ctx, t.signing.request.ID)
	if err != nil {
		return "", err
	}
	if st.State != "completed" || st.AchievedLevel != "B-T" {
		return "", fmt.Errorf("request is %s at level %q", st.State, st.AchievedLevel)
	}
	t.signing.request = st
	var pdf, evidence bytes.Buffer
	if _, err := t.signing.sdk.Signed(ctx, st.ID, st.Documents[0].ID, &pdf); err != nil {
		return "", err
	}
	if _, err := t.signing.sdk.Evidence(ctx, st.ID, &evidence); err != nil {
		return "", err
	}
	t.signing.signed, t.signing.evidence = pdf.Bytes(), evidence.Bytes()
	if !bytes.HasPrefix(t.signing.signed, t.pdf) {
		return "", errors.New("the signed file does not begin with the file that was asked for")
	}
	var roots bytes.Buffer
	for _, r := range t.demo.App.CA.Roots() {
		if err := pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: r.Raw}); err != nil {
			return "", err
		}
	}
	note, _, err := t.demo.App.Audit.Latest(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d bytes, nivel %s, código %s", pdf.Len(), st.AchievedLevel, st.VerificationCode), errors.Join(
		t.save("firmado.pdf", t.signing.signed), t.save("evidencia.json", t.signing.evidence), t.save("raiz.pem", roots.Bytes()), t.save("checkpoint.txt", note))
}
