package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"errors"
	"time"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
	"oruro.gob.bo/suti/signer/pades"
)

// State is where an activation is.
type State string

// The states of an activation.
const (
	Open      State = "open"   // awaits its assertion
	Intent    State = "intent" // spent; the key may be in use
	Signed    State = "signed" // the signature values are stored
	Done      State = "done"
	Failed    State = "failed"    // closed by an error, nothing counts
	Abandoned State = "abandoned" // closed by recovery, nothing counts
)

// activation is a row with its documents.
type activation struct {
	id, request   string
	person        identity.PersonID
	epoch         subject.Epoch
	appointment   identity.AppointmentID
	client        string
	institution   string
	keyID         string
	chainDER      []byte
	chain         []*x509.Certificate
	preimage      []byte
	challenge     act.Hash
	state         State
	expires       time.Time
	used, signed  time.Time
	cose          []byte
	response      assertion.Response
	ocsp          []byte
	intent        string
	result        string
	failure       string
	documents     []document
	signing       *act.Signing
	challengeRead []byte
}

type document struct {
	session    *pades.Session
	sessionRaw []byte
	pages      []act.Hash
	pagesRaw   []byte
	attributes []byte
	value      []byte
	token      []byte
	cms        []byte
	tail       []byte
	achieved   pades.Level
}

const activationColumns = `id, request, person, epoch, appointment, client, institution, key_id, chain, preimage, challenge, state,
	expires_at, used_at, signed_at, cose, auth_data, client_data, assertion, ocsp, intent_entry, result_entry, failure`

// load reads an activation in one snapshot, and checks that it agrees with itself.
func (c *Core) loadActivation(ctx context.Context, id string) (*activation, error) {
	var a *activation
	err := c.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		if a, err = scanActivation(tx.QueryRow("SELECT "+activationColumns+" FROM signer_core_activation WHERE id = $1", id)); err != nil {
			return err
		}
		rows, err := tx.Query("SELECT session, pages, attributes, value, token, cms, tail, achieved FROM signer_core_document WHERE activation = $1 ORDER BY pos", id)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var d document
			var level string
			if err := rows.Scan(&d.sessionRaw, &d.pagesRaw, &d.attributes, &d.value, &d.token, &d.cms, &d.tail, &level); err != nil {
				return err
			}
			if err := d.achieved.UnmarshalText([]byte(level)); err != nil {
				return err
			}
			a.documents = append(a.documents, d)
		}
		return rows.Err()
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, refuse(CodeUnknownActivation, nil)
	}
	if err != nil {
		return nil, err
	}
	return a, a.check()
}

func scanActivation(row *sql.Row) (*activation, error) {
	a := &activation{}
	var expires, used, signed int64
	err := row.Scan(&a.id, &a.request, &a.person, &a.epoch, &a.appointment, &a.client, &a.institution, &a.keyID, &a.chainDER, &a.preimage,
		&a.challengeRead, &a.state, &expires, &used, &signed, &a.cose, &a.response.AuthenticatorData, &a.response.ClientDataJSON,
		&a.response.Signature, &a.ocsp, &a.intent, &a.result, &a.failure)
	a.expires, a.used, a.signed = db.Time(expires), db.Time(used), db.Time(signed)
	return a, err
}

// check recomputes the challenge from what is to be signed.
func (a *activation) check() error {
	broken := errors.New("core: stored activation contradicts itself")
	var err error
	if a.signing, err = act.ParseSigning(a.preimage); err != nil {
		return errors.Join(broken, err)
	}
	if a.chain, err = parseChain(a.chainDER); err != nil {
		return err
	}
	s := a.signing
	again := &act.Signing{Common: act.Common{
		RequestID: a.request, Person: a.person, Appointment: a.appointment, Certificate: certificateHash(a.chain[0]), Expiry: a.expires, Nonce: s.Nonce,
	}}
	for i := range a.documents {
		d := &a.documents[i]
		d.session = &pades.Session{}
		if err := d.session.UnmarshalBinary(d.sessionRaw); err != nil {
			return errors.Join(broken, err)
		}
		d.pages = splitHashes(d.pagesRaw)
		_, digest := d.session.Digest()
		again.Documents = append(again.Documents, act.Document{SHA256: d.session.BaseSHA256(), ByteRange: digest, Field: d.session.Field()})
	}
	pre, err := again.Preimage()
	if err != nil {
		return errors.Join(broken, err)
	}
	a.challenge = sha256.Sum256(pre)
	if !bytes.Equal(pre, a.preimage) || !bytes.Equal(a.challenge[:], a.challengeRead) {
		return broken
	}
	return nil
}
