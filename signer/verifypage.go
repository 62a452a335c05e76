package signer

import (
	"cmp"
	"crypto/x509"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/signer/internal/page"
	"oruro.gob.bo/suti/signer/pades"
)

func (s *Service) ask(code string) page.Ask {
	return page.Ask{Code: code, Max: strconv.FormatInt(s.cfg.MaxVerify>>20, 10)}
}

func (s *Service) askFile(w http.ResponseWriter, r *http.Request) error {
	q, err := web.Query(r)
	if err != nil {
		return err
	}
	code := ""
	if c, ok := ParseCode(q.Get("codigo")); ok {
		code = printCode(c)
	}
	return s.pages.Ask(w, r, s.ask(code), http.StatusOK, nil)
}

// verifyFile takes the form: one file, and perhaps the code that is printed on it,
// whichever comes first.
func (s *Service) verifyFile(w http.ResponseWriter, r *http.Request) error {
	leave, err := s.admit(r)
	if err != nil {
		return err
	}
	defer leave()
	var v *Validation
	form, err := web.Multipart(r, func(field, _ string, body io.Reader) error {
		if field != "file" || v != nil {
			_, err := io.Copy(io.Discard, body)
			return err
		}
		var err error
		if v, err = s.inspect(r.Context(), body); CodeOf(err) == string(CodeInvalid) {
			return nil // empty, as a browser sends it if no file was chosen
		}
		return err
	})
	if CodeOf(err) == "too_large" {
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, drained))
		return s.pages.Ask(w, r, s.ask(""), http.StatusRequestEntityTooLarge, &web.FieldError{Field: "file", Code: "too_large", Detail: "signer.problem.too_large"})
	}
	if err != nil {
		return reply(err)
	}
	if v == nil {
		return s.pages.Ask(w, r, s.ask(form.Get("code")), http.StatusUnprocessableEntity, &web.FieldError{Field: "file", Code: "missing", Detail: "signer.verify.file.missing"})
	}
	if err := s.compare(r.Context(), v, form.Get("code")); err != nil {
		return err
	}
	return s.pages.Result(w, r, s.resultView(v), v.Status())
}

func (s *Service) resultView(v *Validation) page.Result {
	out := page.Result{Standing: string(v.Standing), Good: v.Standing == StandsRegistered && v.Trustworthy(), Refusal: v.Refusal, Tier: v.Tier, Words: v.Words, Code: v.Code,
		CodeStanding: string(v.CodeStanding)}
	if v.Registered != nil {
		g := registeredView(v.Registered)
		out.Registered = &g
	}
	if v.File != nil {
		g := registeredView(v.File)
		out.File = &g
	}
	if v.Report == nil {
		return out
	}
	for _, g := range v.Report.Signatures {
		x := page.Signature{Verdict: verdictWord(g.Verdict), Proven: g.ProvenTime, Claimed: g.ClaimedTime, Level: g.Level.String(), Trusted: g.Trusted,
			Internal: g.Trusted, Timestamp: g.Kind == "document-timestamp"}
		if g.Verdict == pades.Invalid { // what it claims is nobody's word
			x.Claimed = time.Time{}
		} else if g.Signer != nil {
			x.Signer, x.Issuer = names(g.Signer)
		}
		out.Signatures = append(out.Signatures, x)
	}
	return out
}

// names returns the common names of a certificate's holder and issuer.
func names(c *pades.Certificate) (holder, issuer string) {
	x, err := x509.ParseCertificate(c.Raw)
	if err != nil {
		return c.Subject, c.Issuer
	}
	return cmp.Or(x.Subject.CommonName, c.Subject), cmp.Or(x.Issuer.CommonName, c.Issuer)
}

func verdictWord(v pades.Verdict) string {
	switch v {
	case pades.Valid:
		return "valid"
	case pades.ValidExtended:
		return "extended"
	case pades.ModifiedAllowed:
		return "allowed"
	case pades.ModifiedForbidden:
		return "changed"
	case pades.Invalid:
		return "invalid"
	}
	return "unclear"
}

func registeredView(g *Registration) page.Registered {
	out := page.Registered{Code: g.Code, Asker: g.Asker, Public: g.Public, Final: g.Final}
	for _, d := range g.Documents {
		out.Documents = append(out.Documents, page.RegisteredDocument{Title: d.Title, Pages: d.Pages, Words: d.Words, SHA256: d.SHA256})
	}
	for _, p := range g.Signers {
		out.Signers = append(out.Signers, page.Signer{Name: p.Name, Post: p.Post, Institution: p.Institution, Private: p.Private, At: p.SignedAt})
	}
	return out
}

func (s *Service) showCode(w http.ResponseWriter, r *http.Request) error {
	g, err := s.Registered(r.Context(), r.PathValue("code"))
	if err != nil {
		if CodeOf(err) == string(CodeNotFound) {
			return &web.Error{Status: http.StatusNotFound, Code: string(CodeNotFound), Detail: "signer.result.unknown_code.text"}
		}
		return err
	}
	return s.pages.Code(w, r, registeredView(g), Tier)
}

// acceptable reports whether a verdict counts as good.
func acceptable(v pades.Verdict) bool {
	return slices.Contains([]pades.Verdict{pades.Valid, pades.ValidExtended, pades.ModifiedAllowed}, v)
}
