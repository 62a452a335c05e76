package tour

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/signer/pades"
)

// refusedFor wants an error to be the refusal with that problem.
func refusedFor(err error, want string) (string, error) {
	var p *errProblem
	if !errors.As(err, &p) {
		return "", fmt.Errorf("want the refusal %q, got: %v", want, err)
	}
	if p.Problem != want {
		return "", fmt.Errorf("want the refusal %q, got %q %s", want, p.Problem, p.Body)
	}
	return want, nil
}

// openRequest makes a further request and opens it as the official.
func (t *Tour) openRequest(ctx context.Context, key string) error {
	st, err := t.request(ctx, key, "Documento del intento "+key, builtInPDF())
	if err != nil {
		return err
	}
	_, err = t.official.enter(ctx, st.SignURL)
	return err
}

// attacks is the fifth part: each attempt must be refused for its proper reason.
func (t *Tour) attacks(ctx context.Context) {
	t.step("un byte cambiado en el PDF firmado", func() (string, error) { return t.flip(ctx) })
	t.step("una aserción repetida", func() (string, error) {
		if err := t.openRequest(ctx, "repetida"); err != nil {
			return "", err
		}
		c, err := t.official.begin(ctx, t.official.key)
		if err != nil {
			return "", err
		}
		c.Answer = t.signing.spent.Answer
		_, err = t.official.finish(ctx, c)
		return refusedFor(err, "assertion_replayed")
	})
	t.step("una aserción hecha para otro documento", func() (string, error) {
		if err := t.openRequest(ctx, "uno"); err != nil {
			return "", err
		}
		one, err := t.official.begin(ctx, t.official.key)
		if err != nil {
			return "", err
		}
		if err := t.openRequest(ctx, "otro"); err != nil {
			return "", err
		}
		other, err := t.official.begin(ctx, t.official.key)
		if err != nil {
			return "", err
		}
		other.Answer = one.Answer
		_, err = t.official.finish(ctx, other)
		return refusedFor(err, "assertion_other_documents")
	})
	t.step("un código de autorización usado dos veces", func() (string, error) { return t.codeTwice(ctx) })
	t.step("una segunda firma con el certificado revocado", func() (string, error) { return t.revoked(ctx) })
	t.step("un código de verificación auténtico en un PDF alterado", func() (string, error) { return t.forged(ctx) })
}

// flip changes one byte of what was signed.
func (t *Tour) flip(ctx context.Context) (string, error) {
	bad := bytes.Clone(t.signing.signed)
	bad[len(t.pdf)/2] ^= 1
	r, err := t.judge(ctx, bad)
	var refused *pades.RefusedError
	if errors.As(err, &refused) {
		return "archivo rechazado: " + string(refused.Code), nil
	}
	if err != nil {
		return "", err
	}
	for _, s := range r.Signatures {
		if s.Verdict == pades.Valid || s.Indication == pades.TotalPassed {
			return "", fmt.Errorf("the altered file is called %s", s.Verdict)
		}
		if s.SubIndication == "HASH_FAILURE" {
			return s.Indication + " " + s.SubIndication, nil
		}
	}
	return "ninguna firma válida", nil
}

// codeTwice redeems a code twice; the first tokens must die with the second try.
func (t *Tour) codeTwice(ctx context.Context) (string, error) {
	if _, err := t.citizen.enter(ctx, t.demo.Bases[0]+"/mis-tramites"); err != nil {
		return "", err
	}
	tokens, err := t.obtain(ctx, t.citizen, "heredada")
	if err != nil {
		return "", err
	}
	status, raw, err := t.call(ctx, "heredada", "/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {tokens.code}, "redirect_uri": {callback}, "code_verifier": {tokens.verifier},
	})
	if err != nil {
		return "", err
	}
	var out struct{ Error string }
	if err := json.Unmarshal(raw, &out); err != nil || status != http.StatusBadRequest || out.Error != "invalid_grant" {
		return "", fmt.Errorf("second use answered %d %s", status, raw)
	}
	if active, err := t.introspect(ctx, "heredada", tokens.AccessToken); err != nil || active {
		return "", fmt.Errorf("the first token is active %v, %v", active, err)
	}
	return "invalid_grant, y los primeros tokens terminan", nil
}

// revoked revokes the official's certificate and tries to sign again.
func (t *Tour) revoked(ctx context.Context) (string, error) {
	_, person := t.demo.Person("secretario")
	certs, err := t.demo.App.CA.OfPerson(ctx, person)
	if err != nil {
		return "", err
	}
	if len(certs) == 0 {
		return "", errors.New("the official has no certificate")
	}
	if err := t.demo.App.CA.Revoke(ctx, certs[0].Serial, ca.CessationOfOperation, "service:tour"); err != nil {
		return "", err
	}
	r, err := t.judge(ctx, t.signing.signed)
	if err != nil {
		return "", err
	}
	if _, err := t.checkStatus(ctx, &r.Signatures[len(r.Signatures)-1], "revoked"); err != nil {
		return "", fmt.Errorf("status at once after the revocation: %w", err)
	}
	if err := t.openRequest(ctx, "revocado"); err != nil {
		return "", err
	}
	c, err := t.official.begin(ctx, t.official.key)
	if err == nil {
		_, err = t.official.finish(ctx, c)
	}
	return refusedFor(err, "certificate_revoked")
}

// forged shows a file that bears a genuine code and is not the registered one.
func (t *Tour) forged(ctx context.Context) (string, error) {
	bad := bytes.Clone(t.signing.signed)
	bad[len(t.pdf)/3] ^= 1
	b := newBrowser(nil, t.demo.Transport())
	if err := t.ask(ctx, b, bad, "No es el documento registrado"); err != nil {
		return "", err
	}
	if err := b.get(ctx, t.signing.request.VerificationURL); err != nil {
		return "", err
	}
	if !b.page.has("Resolución del recorrido") || !strings.Contains(strings.ToLower(b.page.text()), "compare") {
		return "", errors.New("the page of the code does not ask to compare: " + b.page.summary())
	}
	return "la página del código solo muestra lo registrado y pide comparar", nil
}
