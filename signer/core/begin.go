package core

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
	"oruro.gob.bo/suti/signer/pades"
)

// PrefixActivation begins the identifiers of activations.
const PrefixActivation = "sac"

// MaxDocuments bounds the documents of one activation.
const MaxDocuments = 20

// Order says what a person is asked to sign, and as whom.
type Order struct {
	// Request is the id of the signing request; it stands in the challenge.
	Request string
	// Person and Epoch are of the session in which the person asks.
	Person identity.PersonID
	Epoch  identity.Epoch
	// Profile and Appointment go into the certificate, if one has to be issued. The
	// core's own acts decide whether the appointment is held.
	Profile     identity.Profile
	Appointment *identity.Appointment
	// Client and Institution ask for the signature, for the record.
	Client      string
	Institution string
	Documents   []OrderDocument
}

// OrderDocument is one file to be signed.
type OrderDocument struct {
	Base io.ReaderAt
	Size int64
	// SHA256 of the file, which is checked.
	SHA256 [32]byte
	// Options of the signature. SigningTime, Hash and the seal's Date are set by the core.
	Options pades.Options
	// Pages are the SHA-256 of the page images that the person is shown, in order.
	Pages [][32]byte
}

// Activation is what a passkey has to approve.
type Activation struct {
	ID        string
	Challenge act.Hash
	Preimage  []byte
	Expires   time.Time
	RPID      string
	Keys      []Key
}

// RequestOptions returns the options for navigator.credentials.get() as JSON
// (PublicKeyCredentialRequestOptionsJSON, WebAuthn L3 §5.1.9) in a member publicKey.
func (a *Activation) RequestOptions(now time.Time) (json.RawMessage, error) {
	type descriptor struct {
		Type string `json:"type"`
		ID   string `json:"id"`
	}
	allow := []descriptor{}
	for _, k := range a.Keys {
		if k.CredentialID != nil {
			allow = append(allow, descriptor{"public-key", encode64(k.CredentialID)})
		}
	}
	return json.Marshal(map[string]any{"publicKey": map[string]any{
		"challenge": encode64(a.Challenge[:]), "rpId": a.RPID, "allowCredentials": allow,
		"userVerification": "required", "timeout": max(a.Expires.Sub(now).Milliseconds(), 1000),
	}})
}

// BeginActivation prepares the files and returns the challenge over them (design
// D8). The certificate is there before the challenge, which names it. Errors: a
// [*RefusedError]; a *pades.RefusedError; those of reading the files.
func (c *Core) BeginActivation(ctx context.Context, o Order) (*Activation, error) {
	now := c.cfg.Now()
	snap, err := c.mayBegin(ctx, o, now)
	if err != nil {
		return nil, err
	}
	keys, err := c.Keys(ctx, o.Person)
	if err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, refuse(c.noKeys(snap, o.Person, now), nil)
	}
	key, err := c.provideKey(ctx, capacity{profile: o.Profile, epoch: o.Epoch, appointment: o.Appointment})
	if err != nil {
		return nil, err
	}
	chain, err := parseChain(key.chain)
	if err != nil {
		return nil, err
	}
	if err := failpoint.Hit(failpoint.SignAfterCert); err != nil {
		return nil, err
	}
	if _, err := c.checkStatus(ctx, chain); err != nil {
		return nil, err
	}
	a := &Activation{ID: identity.NewID(PrefixActivation, now), Expires: now.Add(c.cfg.Term).Truncate(time.Microsecond), RPID: snap.chain.Deployment(now).RPID, Keys: keys}
	sessions, s, err := c.prepare(ctx, o, a, chain)
	if err != nil {
		return nil, err
	}
	if a.Preimage, err = s.Preimage(); err != nil {
		return nil, refuse(CodeOrder, err)
	}
	a.Challenge = sha256.Sum256(a.Preimage)
	if err := failpoint.Hit(failpoint.SignPrepared); err != nil {
		return nil, err
	}
	return a, c.storeActivation(ctx, o, a, key, sessions, now)
}

// mayBegin refuses early what would be refused at the use anyway.
func (c *Core) mayBegin(ctx context.Context, o Order, now time.Time) (*snapshot, error) {
	if len(o.Documents) == 0 || len(o.Documents) > MaxDocuments {
		return nil, refuse(CodeOrder, fmt.Errorf("%d documents", len(o.Documents)))
	}
	if o.Profile.Person != o.Person || o.Appointment != nil && o.Appointment.Person != o.Person {
		return nil, refuse(CodeOrder, errors.New("profile or appointment of another person"))
	}
	snap, err := c.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	if err := standingError(c.cfg.Standing.Check(ctx, o.Person, subject.Epoch(o.Epoch))); err != nil {
		return nil, err
	}
	var apt identity.AppointmentID
	if o.Appointment != nil {
		apt = o.Appointment.ID
	}
	return snap, snap.standing(o.Person, apt, now)
}

// noKeys says why a person has no key to sign with.
func (c *Core) noKeys(s *snapshot, person identity.PersonID, now time.Time) Code {
	for _, g := range s.chain.Keys(person, now) {
		if g.Level >= c.cfg.Least && !c.allowed(g) {
			return CodeKeyPolicy
		}
	}
	return CodeKeyNotAccepted
}

// allowed reports whether policy admits a key.
func (c *Core) allowed(g act.KeyGrant) bool {
	return c.cfg.KeyPolicy == AnyKey || g.Backup == act.SingleDevice
}

// prepare lays out every signature and collects what the challenge is over.
func (c *Core) prepare(ctx context.Context, o Order, a *Activation, chain []*x509.Certificate) ([][]byte, *act.Signing, error) {
	s := &act.Signing{Common: act.Common{
		RequestID: o.Request, Person: o.Person, Certificate: certificateHash(chain[0]), Expiry: a.Expires,
	}}
	if o.Appointment != nil {
		s.Appointment = o.Appointment.ID
	}
	if _, err := rand.Read(s.Nonce[:]); err != nil {
		return nil, nil, err
	}
	size := 0
	for _, x := range chain {
		size += len(x.Raw)
	}
	at := c.cfg.Now().In(c.cfg.Zone).Truncate(time.Second)
	var sessions [][]byte
	for i, d := range o.Documents {
		d.Options.SigningTime, d.Options.Hash, d.Options.Reserve.Certificates = at, crypto.SHA256, size
		if d.Options.Seal != nil {
			seal := *d.Options.Seal
			seal.Date = at
			d.Options.Seal = &seal
		}
		p, err := pades.Prepare(ctx, d.Base, d.Size, d.Options)
		if err != nil {
			return nil, nil, err
		}
		if p.BaseSHA256() != d.SHA256 {
			return nil, nil, refuse(CodeOrder, fmt.Errorf("document %d is another file than the one named", i))
		}
		_, digest := p.Digest()
		s.Documents = append(s.Documents, act.Document{SHA256: p.BaseSHA256(), ByteRange: digest, Field: p.Field()})
		raw, err := p.MarshalBinary()
		if err != nil {
			return nil, nil, err
		}
		sessions = append(sessions, raw)
	}
	return sessions, s, nil
}

func (c *Core) storeActivation(ctx context.Context, o Order, a *Activation, key personalKey, sessions [][]byte, now time.Time) error {
	var apt identity.AppointmentID
	if o.Appointment != nil {
		apt = o.Appointment.ID
	}
	return c.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO signer_core_activation (id, request, person, epoch, appointment, client, institution, key_id, chain,
			preimage, challenge, state, created_at, expires_at, used_at, signed_at, cose, auth_data, client_data, assertion, ocsp,
			intent_entry, result_entry, failure)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'open', $12, $13, 0, 0, $14, $14, $14, $14, $14, '', '', '')`,
			a.ID, o.Request, string(o.Person), int64(o.Epoch), string(apt), o.Client, o.Institution, key.id, key.chain,
			a.Preimage, a.Challenge[:], db.Micros(now), db.Micros(a.Expires), []byte{})
		if err != nil {
			return err
		}
		for i, s := range sessions {
			_, err := tx.Exec(`INSERT INTO signer_core_document (activation, pos, session, pages, attributes, value, token, cms, tail, achieved)
				VALUES ($1, $2, $3, $4, $5, $5, $5, $5, $5, '')`, a.ID, i, s, joinHashes(o.Documents[i].Pages), []byte{})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func joinHashes(list [][32]byte) []byte {
	out := []byte{}
	for _, h := range list {
		out = append(out, h[:]...)
	}
	return out
}

func splitHashes(b []byte) (out []act.Hash) {
	for h := range slices.Chunk(b, sha256.Size) {
		if len(h) == sha256.Size {
			out = append(out, act.Hash(h))
		}
	}
	return out
}
