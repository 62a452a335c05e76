package signer

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"oruro.gob.bo/suti/internal/blob"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/signer/core"
	"oruro.gob.bo/suti/signer/internal/store"
	"oruro.gob.bo/suti/signer/pades"
)

// Code says why a request is refused. The values are stable; those of core and of
// pades ("pdf_" and the code) are used beside them.
type Code string

// The codes of this package.
const (
	CodeNotFound       Code = "not_found"
	CodeToken          Code = "invalid_token"
	CodeScope          Code = "insufficient_scope"
	CodeKeyReused      Code = "idempotency_key_reused"
	CodeInvalid        Code = "invalid_request"
	CodeDocument       Code = "document_unknown"
	CodeNotSignable    Code = "document_not_signable"
	CodeSigner         Code = "signer_unknown"
	CodeNotHeld        Code = "appointment_not_held"
	CodeState          Code = "request_closed"
	CodeBusy           Code = "signature_under_way"
	CodeNotYourTurn    Code = "not_your_turn"
	CodeNotYet         Code = "not_signed_yet"
	CodeUnknownAttempt Code = "activation_unknown"
	CodeChanged        Code = "person_changed"
	// Of public verification: too many uploads of one client, or of all; the
	// judging was cut short; the file takes more than it may; judging it broke down.
	CodeVerifyRate        Code = "verification_rate"
	CodeVerifyBusy        Code = "verification_busy"
	CodeVerifyInterrupted Code = "verification_interrupted"
	CodeVerifyTooComplex  Code = "verification_too_complex"
	CodeVerifyFailed      Code = "verification_failed"
)

// Refusal is a refusal with its reason. Field is a JSON pointer into the request's
// body, where that helps.
type Refusal struct {
	Code  Code
	Field string
	// Document is the code of the preflight, where it refused the document.
	Document string
	Err      error
}

// Error names code and cause.
func (e *Refusal) Error() string {
	if e.Err == nil {
		return "signer: " + string(e.Code)
	}
	return "signer: " + string(e.Code) + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Refusal) Unwrap() error { return e.Err }

func refuse(c Code, err error) error { return &Refusal{Code: c, Err: err} }

func refuseField(c Code, pointer string) error { return &Refusal{Code: c, Field: pointer} }

// CodeOf returns the stable code of a refusal by this package, core or pades; ""
// for other errors.
func CodeOf(err error) string {
	var r *Refusal
	var p *pades.RefusedError
	switch {
	case errors.As(err, &r):
		return string(r.Code)
	case core.CodeOf(err) != "":
		return string(core.CodeOf(err))
	case errors.As(err, &p):
		return "pdf_" + string(p.Code)
	case errors.Is(err, blob.ErrTooLarge):
		return "too_large"
	case errors.Is(err, store.ErrKeyReused):
		return string(CodeKeyReused)
	}
	return ""
}

// status returns the HTTP status of a code.
func status(code string) int {
	switch code {
	case string(CodeNotFound), string(CodeUnknownAttempt):
		return http.StatusNotFound
	case string(CodeToken):
		return http.StatusUnauthorized
	case string(CodeScope), string(CodeNotYourTurn), string(core.CodeOtherPerson), string(core.CodeSuspended), string(core.CodeAppointmentEnded),
		string(core.CodeAppointment), string(core.CodeKeyNotAccepted), string(core.CodeKeyPolicy), string(core.CodeNotEnrolled),
		string(core.CodeCertificateRevoked), string(core.CodeCounter), string(core.CodeAssertion), string(core.CodeNoUserVerification),
		string(core.CodeOtherDocuments), string(core.CodeReplayed):
		return http.StatusForbidden
	case string(CodeKeyReused), string(CodeState), string(CodeBusy), string(CodeNotYet), string(CodeChanged), string(core.CodeUsed),
		string(core.CodeExpired), string(core.CodeCertificateExpired):
		return http.StatusConflict
	case "too_large":
		return http.StatusRequestEntityTooLarge
	case string(core.CodeTimestampUnavailable), string(core.CodeStatusUnknown), string(core.CodeCertificateMissing), string(core.CodeNoGenesis),
		string(CodeVerifyBusy), string(CodeVerifyInterrupted):
		return http.StatusServiceUnavailable
	case string(CodeVerifyRate):
		return http.StatusTooManyRequests
	case string(core.CodeFailed), string(core.CodeOrder):
		return http.StatusInternalServerError
	case string(CodeInvalid):
		return http.StatusBadRequest
	}
	return http.StatusUnprocessableEntity
}

// reply maps an error to what a client is told; errors it does not know pass.
func reply(err error) error {
	code := CodeOf(err)
	if code == "" {
		return err
	}
	e := &web.Error{Status: status(code), Code: code, Detail: detailKey(code), Err: err}
	var r *Refusal
	if errors.As(err, &r) && r.Field != "" {
		e.Fields = []web.FieldError{{Field: r.Field, Code: code}}
	}
	if r != nil && r.Document != "" {
		e.Detail = unsignableKey(r.Document)
		e.Fields = []web.FieldError{{Field: r.Field, Code: r.Document, Detail: e.Detail}}
	}
	if code == string(CodeToken) {
		e.Header = http.Header{"WWW-Authenticate": {`Bearer error="invalid_token"`}}
		var c interface{ Challenge() http.Header }
		if errors.As(err, &c) { // whoever judged the token knows better what it must be like
			e.Header = c.Challenge()
		}
	}
	return busy(e)
}

// unsignableKey returns the i18n key of why a document cannot be signed: what
// code of the preflight means for people. i18n:use signer.unsignable.*
func unsignableKey(code string) string {
	if slices.Contains(Unsignable(), code) {
		return "signer.unsignable." + strings.ReplaceAll(code, "-", "_")
	}
	return "signer.unsignable.other"
}

// Unsignable lists the codes for which a document that is a PDF can be refused:
// those of pades, and of its findings.
func Unsignable() []string {
	return []string{
		string(pades.CodeDamaged), string(pades.CodeAmbiguous), string(pades.CodeLimit), string(pades.CodeEncrypted), string(pades.CodeUnsupported),
		string(pades.CodePermissions), string(pades.CodeXFA), string(pades.CodeCertified), "hybrid",
		pades.FindJavaScript, pades.FindLaunch, pades.FindExternal, pades.FindRichMedia, pades.FindOptional,
	}
}

// detailKey returns the i18n key of what a code means for people.
func detailKey(code string) string {
	if _, ok := detailed()[code]; ok {
		return "signer.problem." + code
	}
	if len(code) > 4 && code[:4] == "pdf_" {
		return "signer.problem.pdf"
	}
	return "signer.problem.other"
}

// detailed are the codes that have a text of their own.
func detailed() map[string]bool {
	out := map[string]bool{}
	for _, c := range append(Problems(), string(CodeNotFound), string(CodeToken), string(CodeScope), string(CodeKeyReused), string(CodeInvalid),
		string(CodeDocument), string(CodeNotSignable), string(CodeSigner), string(CodeNotYet), "too_large",
		string(CodeVerifyRate), string(CodeVerifyBusy), string(CodeVerifyInterrupted), string(CodeVerifyTooComplex), string(CodeVerifyFailed)) {
		out[c] = true
	}
	return out
}

// Problems lists the codes that the approval page can show.
func Problems() []string {
	return []string{
		string(core.CodeUsed), string(core.CodeExpired), string(core.CodeReplayed), string(core.CodeOtherDocuments), string(core.CodeAssertion),
		string(core.CodeNoUserVerification), string(core.CodeCounter), string(core.CodeOtherPerson), string(core.CodeKeyNotAccepted),
		string(core.CodeKeyPolicy), string(core.CodeSuspended), string(core.CodeNotEnrolled), string(core.CodeStale), string(core.CodeAppointment),
		string(core.CodeAppointmentEnded), string(core.CodeCertificateRevoked), string(core.CodeCertificateExpired),
		string(core.CodeCertificateMissing), string(core.CodeStatusUnknown), string(core.CodeTimestampUnavailable), string(core.CodeFailed),
		string(CodeState), string(CodeBusy), string(CodeNotYourTurn), string(CodeUnknownAttempt),
	}
}
