package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/ca/profile"
)

// Operations on authorities and certificates.
const (
	adminAuthorities = "/v1/authorities/list"
	adminRevoke      = "/v1/certificates/revoke"
)

// authorityView is a root or issuing authority.
type authorityView struct {
	Name        string    `json:"name"`
	Kind        string    `json:"kind"`
	Subject     string    `json:"subject"`
	Serial      string    `json:"serial"` // hexadecimal
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	IssuesUntil time.Time `json:"issues_until"`
	SHA256      string    `json:"sha256"` // of the certificate
}

type revokeRequest struct {
	Serial string `json:"serial"` // hexadecimal
	Reason string `json:"reason"`
	// Authority allows that an authority goes, with all that it certified.
	Authority bool `json:"authority,omitempty"`
}

type revokeView struct {
	Serial  string    `json:"serial"`
	Kind    string    `json:"kind"`
	Reason  string    `json:"reason"`
	Revoked time.Time `json:"revoked"`
}

// reasons are the words for the reasons of RFC 5280 §5.3.1 that are used here.
var reasons = map[string]ca.Reason{
	"unspecified": ca.Unspecified, "key-compromise": ca.KeyCompromise, "affiliation-changed": ca.AffiliationChanged,
	"superseded": ca.Superseded, "cessation-of-operation": ca.CessationOfOperation, "privilege-withdrawn": ca.PrivilegeWithdrawn,
}

func (s *server) adminCA(mux *http.ServeMux) {
	handleAdmin(mux, adminAuthorities, func(context.Context, nothing) ([]authorityView, error) {
		out := []authorityView{}
		for _, a := range s.app.CA.Authorities() {
			sum := sha256.Sum256(a.Certificate.Raw)
			out = append(out, authorityView{
				Name: a.Slug, Kind: string(a.Kind), Subject: a.Certificate.Subject.String(), Serial: hex.EncodeToString(a.Certificate.SerialNumber.Bytes()),
				NotBefore: a.Certificate.NotBefore, NotAfter: a.Certificate.NotAfter, IssuesUntil: a.IssuesUntil, SHA256: hex.EncodeToString(sum[:]),
			})
		}
		return out, nil
	})
	handleAdmin(mux, adminRevoke, s.revoke)
}

// revoke takes a certificate out of use, which protects and gives nobody anything.
func (s *server) revoke(ctx context.Context, in revokeRequest) (revokeView, error) {
	serial, err := hex.DecodeString(in.Serial)
	if err != nil || len(serial) == 0 || len(serial) > 20 {
		return revokeView{}, usagef("a serial is hexadecimal: see the certificate, or suti ca list", "no serial: %q", in.Serial)
	}
	reason, known := reasons[in.Reason]
	if !known {
		return revokeView{}, usagef("see: suti ca revoke --help", "no reason %q", in.Reason)
	}
	c, err := s.app.CA.Chain(ctx, serial)
	if err != nil {
		return revokeView{}, err
	}
	p, err := profile.Of(c.Kind)
	if err != nil {
		return revokeView{}, err
	}
	if p.CA && !in.Authority {
		return revokeView{}, refusedf("if that is meant, add --authority: every certificate under it becomes invalid", "%s is an authority", in.Serial)
	}
	if err := s.app.CA.Revoke(ctx, serial, reason, operator(ctx)); err != nil {
		return revokeView{}, err
	}
	st, err := s.app.CA.Status(ctx, serial)
	return revokeView{Serial: in.Serial, Kind: string(c.Kind), Reason: in.Reason, Revoked: st.RevokedAt}, err
}
