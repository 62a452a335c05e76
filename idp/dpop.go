package idp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"oruro.gob.bo/suti/idp/internal/client"
	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/idp/internal/store"
	"oruro.gob.bo/suti/internal/db"
)

// nonceEvery is how long a server's DPoP nonce is handed out. It is taken for as
// long again, and from a node whose clock is ahead, for as long before.
const nonceEvery = 5 * time.Minute

// proofKept is how long a spent proof is remembered: until its nonce has ended.
const proofKept = 3*nonceEvery + time.Minute

// nonceSize is a window's number and its authentication, in bytes.
const nonceSize = 8 + 16

func nonceWindow(t time.Time) int64 { return t.Unix() / int64(nonceEvery/time.Second) }

// nonceOf returns the DPoP nonce (RFC 9449 §8) of a window. It is the same for
// everybody and on every node: it proves when a proof was made, not by whom.
func (p *Provider) nonceOf(window int64) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(window))
	m := hmac.New(sha256.New, p.nonceKey)
	m.Write(b)
	return base64.RawURLEncoding.EncodeToString(m.Sum(b)[:nonceSize])
}

func (p *Provider) nonce() string { return p.nonceOf(nonceWindow(p.cfg.Now())) }

// fresh reports whether a nonce is this server's and not too old.
func (p *Provider) fresh(nonce string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(b) != nonceSize {
		return false
	}
	window, now := int64(binary.BigEndian.Uint64(b[:8])), nonceWindow(p.cfg.Now())
	return window >= now-1 && window <= now+1 && hmac.Equal([]byte(nonce), []byte(p.nonceOf(window)))
}

// proof verifies the DPoP proof of a request, but for its single use, which is
// the caller's transaction's; nil without one. token is the access token that
// comes with it, "" at the token endpoint. A proof without a fresh nonce of this
// server is refused with use_dpop_nonce.
func (p *Provider) proof(r *http.Request, token string) (*client.Proof, error) {
	headers := r.Header.Values("DPoP")
	if len(headers) == 0 {
		return nil, nil
	}
	proof, err := client.ParseProof(headers)
	if err == nil {
		if err = proof.Check(r.Method, p.cfg.Issuer+r.URL.EscapedPath(), token, p.cfg.Now()); err != nil && p.alias() != "" {
			err = proof.Check(r.Method, p.alias()+r.URL.EscapedPath(), token, p.cfg.Now())
		}
	}
	if err != nil {
		_, why, _ := strings.Cut(err.Error(), client.ErrProof.Error()+": ")
		e := oauth.Refuse(oauth.InvalidDPoPProof, "the DPoP proof is not valid: %s", why)
		e.Err = err
		return nil, e
	}
	if !p.fresh(proof.Nonce) {
		return nil, oauth.Refuse(oauth.UseDPoPNonce, "the DPoP proof needs the nonce of the DPoP-Nonce header")
	}
	return proof, nil
}

// clientProof is proof at an endpoint that clients authenticate at: the answer
// carries the next nonce, and a client that must prove a key is held to it.
func (p *Provider) clientProof(w http.ResponseWriter, r *http.Request, c *store.Client, needed bool) (*client.Proof, error) {
	if needed || len(r.Header.Values("DPoP")) > 0 {
		w.Header().Set("DPoP-Nonce", p.nonce())
	}
	proof, err := p.proof(r, "")
	if err == nil && proof == nil && needed {
		err = oauth.Refuse(oauth.InvalidDPoPProof, "this client must send a DPoP proof")
	}
	return proof, err
}

// spendProof uses a proof up, once per key (RFC 9449 §11.1); nil is none.
func (p *Provider) spendProof(tx *db.Tx, proof *client.Proof) error {
	if proof == nil || proof.JTI == "" { // nothing, or a certificate
		return nil
	}
	err := store.SpendJTI(tx, "dpop:"+proof.JKT, proof.JTI, p.cfg.Now().Add(proofKept))
	if errors.Is(err, store.ErrSpent) {
		return oauth.Refuse(oauth.InvalidDPoPProof, "the DPoP proof was used before")
	}
	return err
}

// jkt is the thumbprint of a proof's key, "" without a proof.
func jkt(proof *client.Proof) string {
	if proof == nil {
		return ""
	}
	return proof.JKT
}

// refreshProof tells why a refresh token may not be used with a proof: a bound
// one never without, a public client's only with the key that it was given to.
// A confidential client proves itself by its own credentials and may change the
// key (RFC 9449 §5).
func refreshProof(c *store.Client, row *store.Refresh, proof *client.Proof) error {
	switch {
	case row.JKT == "":
		return nil
	case proof == nil:
		return oauth.Refuse(oauth.InvalidDPoPProof, "the refresh token needs a DPoP proof")
	case c.Public() && proof.JKT != row.JKT:
		return oauth.Refuse(oauth.InvalidGrant, "the refresh token is bound to another key")
	}
	return nil
}

// present returns the live access token that a request to a resource of ours
// carries, by one statement, with the proof of its key if it is bound to one
// (RFC 9449 §7.1): a bound token is no bearer token, and no other is bound. A
// refusal is an *oauth.Error.
func (p *Provider) present(r *http.Request, scheme, value string) (*store.Access, *store.Grant, error) {
	a, g, err := p.access(r.Context(), value)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil, oauth.Refuse(oauth.InvalidToken, "the token is unknown, expired or revoked")
	case err != nil:
		return nil, nil, err
	case len(a.Audience) > 0 && !slices.Contains(a.Audience, p.cfg.Issuer):
		return nil, nil, oauth.Refuse(oauth.InvalidToken, "the token is for another resource")
	case a.JKT == "" && scheme == schemeDPoP:
		return nil, nil, oauth.Refuse(oauth.InvalidToken, "the token is not bound to a key")
	case a.JKT == "":
		return a, g, nil
	case strings.HasPrefix(a.JKT, store.CertBinding):
		return a, g, p.presentCertificate(r, scheme, a)
	case scheme != schemeDPoP:
		return nil, nil, oauth.Refuse(oauth.InvalidToken, "the token is bound to a key: use the DPoP scheme")
	}
	proof, err := p.proof(r, value)
	switch {
	case err != nil:
		return nil, nil, err
	case proof == nil:
		return nil, nil, oauth.Refuse(oauth.InvalidDPoPProof, "there is no DPoP proof")
	case proof.JKT != a.JKT:
		return nil, nil, oauth.Refuse(oauth.InvalidToken, "the token is bound to another key")
	}
	return a, g, p.cfg.DB.Write(r.Context(), func(tx *db.Tx) error { return p.spendProof(tx, proof) })
}

// The schemes under which an access token may come.
const (
	schemeBearer = "bearer"
	schemeDPoP   = "dpop"
)

// credentials splits an Authorization header; the scheme is "" unless it is one of the two.
func credentials(header string) (scheme, value string) {
	scheme, value, _ = strings.Cut(header, " ")
	if scheme = strings.ToLower(scheme); scheme != schemeBearer && scheme != schemeDPoP {
		return "", ""
	}
	return scheme, strings.TrimSpace(value)
}

// challengeHeader says what a refused token must be like (RFC 6750 §3, RFC 9449
// §7.1); e is nil if there was none.
func (p *Provider) challengeHeader(scheme string, e *oauth.Error) http.Header {
	bearer, bound := `Bearer realm="suti"`, `DPoP realm="suti", algs="`+strings.Join(client.ProofAlgs(), " ")+`"`
	if e == nil {
		return http.Header{"Www-Authenticate": {bearer, bound}}
	}
	says := `, error="` + e.Code + `", error_description="` + e.Description + `"`
	if scheme != schemeDPoP {
		return http.Header{"Www-Authenticate": {bearer + says, bound}}
	}
	return http.Header{"Www-Authenticate": {bound + says}, "Dpop-Nonce": {p.nonce()}}
}
