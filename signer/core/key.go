package core

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ocsp"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
)

// purpose is the keystore's purpose of personal keys.
const purpose = "person"

// renewBefore is how long before its end a certificate is no longer used.
const renewBefore = time.Hour

const keyTries = 4

// personalKey is the key of a person in one capacity.
type personalKey struct {
	id          string
	state       string
	chain       []byte // DER, one after the other
	certificate []byte // SHA-256
	notAfter    time.Time
}

// capacity is who signs as what.
type capacity struct {
	profile     identity.Profile
	epoch       identity.Epoch
	appointment *identity.Appointment
}

func (a capacity) appointmentID() identity.AppointmentID {
	if a.appointment == nil {
		return ""
	}
	return a.appointment.ID
}

// provideKey returns the certified key of a capacity; the first time, and when the
// certificate ends, it makes one. A revoked certificate stays an obstacle until
// [Core.Renew]: whoever revoked it must not be overruled by the next request.
func (c *Core) provideKey(ctx context.Context, who capacity) (personalKey, error) {
	for range keyTries {
		k, err := c.currentKey(ctx, who.profile.Person, who.appointmentID())
		switch {
		case errors.Is(err, sql.ErrNoRows):
			if err := c.makeKey(ctx, who); err != nil {
				return k, err
			}
		case err != nil:
			return k, err
		case k.state == "new":
			err := c.certify(ctx, k, who)
			if errors.Is(err, ErrCertificateAbandoned) {
				err = errors.Join(refuse(CodeCertificateMissing, err), c.retireKey(ctx, k.id))
			}
			if err != nil {
				return k, err
			}
		case !c.cfg.Now().Before(k.notAfter.Add(-renewBefore)):
			if err := c.retireKey(ctx, k.id); err != nil {
				return k, err
			}
		default:
			return k, nil
		}
	}
	return personalKey{}, refuse(CodeCertificateMissing, errors.New("the key changes all the time"))
}

const keyColumns = "id, state, chain, certificate, not_after"

func scanKey(row *sql.Row) (personalKey, error) {
	var k personalKey
	var end int64
	err := row.Scan(&k.id, &k.state, &k.chain, &k.certificate, &end)
	k.notAfter = db.Time(end)
	return k, err
}

func (c *Core) currentKey(ctx context.Context, p identity.PersonID, a identity.AppointmentID) (personalKey, error) {
	return scanKey(c.cfg.DB.QueryRow(ctx, "SELECT "+keyColumns+" FROM signer_core_key WHERE person = $1 AND appointment = $2 AND state <> 'retired'", string(p), string(a)))
}

func (c *Core) makeKey(ctx context.Context, who capacity) error {
	p, err := c.cfg.Keys.Generate(keystore.Spec{Purpose: purpose, Alg: keystore.ES256, Owner: string(who.profile.Person), Activate: true})
	if err != nil {
		return err
	}
	now := c.cfg.Now()
	err = c.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO signer_core_key (id, person, appointment, state, chain, certificate, not_after, created_at, retired_at)
			VALUES ($1, $2, $3, 'new', $4, $5, 0, $6, 0)`,
			p.ID(), string(who.profile.Person), string(who.appointmentID()), []byte{}, []byte{}, db.Micros(now))
		if err != nil {
			return err
		}
		return c.cfg.Keys.Put(tx, p)
	})
	if db.IsUnique(err, "signer_core_key") {
		return nil // another request was faster; the caller reads its key
	}
	return err
}

// certify proves possession and asks for the certificate.
func (c *Core) certify(ctx context.Context, k personalKey, who capacity) error {
	key, err := c.cfg.Keys.Signer(ctx, k.id, purpose)
	if err != nil {
		return err
	}
	intent := "sign:" + k.id
	proof, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: intent}}, key)
	if err != nil {
		return err
	}
	ders, err := c.cfg.Certifier.Certificate(ctx, CertificateRequest{
		IntentID: intent, Profile: who.profile, Epoch: who.epoch, Appointment: who.appointment,
		PublicKey: key.Public(), Proof: proof, Actor: string(who.profile.Person),
	})
	if errors.Is(err, ErrCertificateAbandoned) {
		return err
	}
	if err != nil {
		return refuse(CodeCertificateMissing, err)
	}
	chain, leaf, err := checkChain(ders, key.Public())
	if err != nil {
		return refuse(CodeCertificateMissing, err)
	}
	sum := sha256.Sum256(leaf.Raw)
	return c.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec("UPDATE signer_core_key SET state = 'certified', chain = $2, certificate = $3, not_after = $4 WHERE id = $1 AND state = 'new'",
			k.id, chain, sum[:], db.Micros(leaf.NotAfter))
		return err
	})
}

// checkChain checks that the certificates are a path and the first is on our key.
func checkChain(ders [][]byte, public crypto.PublicKey) ([]byte, *x509.Certificate, error) {
	var chain []byte
	var certs []*x509.Certificate
	for _, der := range ders {
		x, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, nil, fmt.Errorf("core: certificate: %w", err)
		}
		certs, chain = append(certs, x), append(chain, der...)
	}
	if len(certs) < 2 {
		return nil, nil, errors.New("core: a certificate without its issuer")
	}
	if p, ok := public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !p.Equal(certs[0].PublicKey) {
		return nil, nil, errors.New("core: the certificate is on another key")
	}
	for i := 1; i < len(certs); i++ {
		if err := certs[i-1].CheckSignatureFrom(certs[i]); err != nil {
			return nil, nil, fmt.Errorf("core: certificate path: %w", err)
		}
	}
	return chain, certs[0], nil
}

// Renew gives up the key of a person in a capacity (appointment, or "" for the
// person as such), so that the next signature begins with a new key and
// certificate: what has to be done, by decision of staff or of the person, after
// a certificate was revoked. It does nothing if there is none.
func (c *Core) Renew(ctx context.Context, person identity.PersonID, appointment identity.AppointmentID) error {
	k, err := c.currentKey(ctx, person, appointment)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.retireKey(ctx, k.id)
}

func (c *Core) retireKey(ctx context.Context, id string) error {
	now := c.cfg.Now()
	return c.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := tx.Exec("UPDATE signer_core_key SET state = 'retired', retired_at = $2 WHERE id = $1 AND state <> 'retired'", id, db.Micros(now))
		if err != nil || n == 0 {
			return err
		}
		return c.cfg.Keys.Retire(tx, id, time.Time{})
	})
}

// checkStatus asks whether the first certificate of a path may sign now, and
// returns the OCSP response that says so.
func (c *Core) checkStatus(ctx context.Context, chain []*x509.Certificate) ([]byte, error) {
	now := c.cfg.Now()
	if now.Before(chain[0].NotBefore) || now.After(chain[0].NotAfter) {
		return nil, refuse(CodeCertificateExpired, nil)
	}
	raw, err := c.cfg.Certifier.OCSP(ctx, chain[0].SerialNumber.Bytes())
	if err != nil {
		return nil, refuse(CodeStatusUnknown, err)
	}
	r, err := ocsp.ParseResponseForCert(raw, chain[0], chain[1])
	if err != nil {
		return nil, refuse(CodeStatusUnknown, err)
	}
	switch r.Status {
	case ocsp.Good:
		return raw, nil
	case ocsp.Revoked:
		return nil, refuse(CodeCertificateRevoked, fmt.Errorf("revoked at %v", r.RevokedAt))
	}
	return nil, refuse(CodeStatusUnknown, errors.New("the authority does not know the certificate"))
}

// parseChain splits concatenated DER.
func parseChain(der []byte) ([]*x509.Certificate, error) {
	certs, err := x509.ParseCertificates(der)
	if err != nil || len(certs) < 2 {
		return nil, fmt.Errorf("core: stored certificate path is damaged: %w", errors.Join(err, asn1.SyntaxError{Msg: "path"}))
	}
	return certs, nil
}

func certificateHash(x *x509.Certificate) act.Hash { return sha256.Sum256(x.Raw) }
