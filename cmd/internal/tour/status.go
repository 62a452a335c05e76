package tour

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"

	"golang.org/x/crypto/ocsp"

	"oruro.gob.bo/suti/signer/pades"
)

// certificates returns the signer's certificate and those above it.
func certificates(r *pades.SignatureReport) (leaf *x509.Certificate, above *x509.CertPool, err error) {
	if r.Signer == nil {
		return nil, nil, errors.New("the report names no certificate")
	}
	if leaf, err = x509.ParseCertificate(r.Signer.Raw); err != nil {
		return nil, nil, err
	}
	above = x509.NewCertPool()
	for _, c := range r.Chain {
		cert, err := x509.ParseCertificate(c.Raw)
		if err != nil {
			return nil, nil, err
		}
		above.AddCert(cert)
	}
	return leaf, above, nil
}

// issuerOf finds the issuing authority of a certificate among the published ones.
func (t *Tour) issuerOf(leaf *x509.Certificate) (*x509.Certificate, error) {
	for _, a := range t.demo.App.CA.Authorities() {
		if leaf.CheckSignatureFrom(a.Certificate) == nil {
			return a.Certificate, nil
		}
	}
	return nil, errors.New("no authority of ours issued the certificate")
}

// checkStatus asks the address that stands in the certificate, over HTTP.
func (t *Tour) checkStatus(ctx context.Context, r *pades.SignatureReport, want string) (string, error) {
	leaf, _, err := certificates(r)
	if err != nil {
		return "", err
	}
	issuer, err := t.issuerOf(leaf)
	if err != nil {
		return "", err
	}
	body, err := ocsp.CreateRequest(leaf, issuer, nil)
	if err != nil {
		return "", err
	}
	if len(leaf.OCSPServer) == 0 {
		return "", errors.New("the certificate names no OCSP responder")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, leaf.OCSPServer[0], bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return "", err
	}
	answer, err := ocsp.ParseResponseForCert(raw, leaf, issuer)
	if err != nil {
		return "", err
	}
	got := map[int]string{ocsp.Good: "good", ocsp.Revoked: "revoked", ocsp.Unknown: "unknown"}[answer.Status]
	if got != want {
		return "", fmt.Errorf("status %s, want %s", got, want)
	}
	return got, nil
}
