package issuance_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"testing"
	"time"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/ca/internal/authority"
	"oruro.gob.bo/suti/ca/internal/issuance"
	"oruro.gob.bo/suti/ca/internal/status"
	"oruro.gob.bo/suti/ca/internal/store"
	"oruro.gob.bo/suti/ca/lint"
	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/keystore"
	"oruro.gob.bo/suti/internal/outbox"
	"oruro.gob.bo/suti/internal/subject"
)

func fixedNow() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

// bench is a database with authorities, and engines on it with signers of the test's choice.
type bench struct {
	db     *db.DB
	store  *store.Store
	config issuance.Config
	issuer *authority.Authority
}

func newBench(t *testing.T, now func() time.Time) *bench {
	t.Helper()
	d := dbtest.Open(t, db.SQLite, []db.Line{subject.Migrations, outbox.Migrations, keystore.Migrations, audit.Migrations, ca.Migrations})
	keys, err := keystore.Open(t.Context(), keystore.Config{DB: d, KEK: envelope.NewKey(), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.New(audit.Config{DB: d, Keys: keys, Erased: keystore.ErrErased, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	x, err := ca.New(ca.Config{DB: d, Keys: keys, Audit: log, BaseURL: "http://pki.example", Organization: "Entidad de prueba", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Init(t.Context()); err != nil {
		t.Fatal(err)
	}
	linter, err := lint.New(x.Profiles())
	if err != nil {
		t.Fatal(err)
	}
	s := store.New(d, log, keys)
	dir := authority.New(s)
	if err := dir.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := &bench{db: d, store: s}
	b.config = issuance.Config{Store: s, Authorities: dir, Keys: keys, Audit: log, Profiles: x.Profiles(), Linter: linter, Prefix: 1, Now: now,
		Answers: status.New(status.Config{Store: s, Authorities: dir, Keys: keys, Now: now})}
	if b.issuer, err = dir.Issuing(profile.Firma, now()); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) engine(t *testing.T, edit func(c *issuance.Config)) *issuance.Engine {
	t.Helper()
	c := b.config
	if edit != nil {
		edit(&c)
	}
	e, err := issuance.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (b *bench) order(t *testing.T) issuance.Order {
	t.Helper()
	p := identity.PersonID(identity.NewID(identity.PrefixPerson, fixedNow()))
	if err := b.db.Write(t.Context(), func(tx *db.Tx) error { return subject.Create(tx, p, subject.Active, fixedNow()) }); err != nil {
		t.Fatal(err)
	}
	intent := identity.NewID("int", fixedNow())
	return issuance.Order{Intent: intent, RequestHash: sha256.Sum256([]byte(intent)), Kind: profile.Ciudadano, Owner: string(p), Person: p, Epoch: 1,
		Actor: string(p), Issuer: b.issuer, Input: profile.Input{PublicKey: newKey(t).Public(), Subject: profile.Subject{Person: profile.Person{
			Name:     identity.Name{Given: "Ana", FirstSurname: "Mamani"},
			Document: identity.Document{Type: identity.DocumentCI, Number: "7654321"}}}}}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestTokenIsUsedOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, fixedNow)
	e, other := b.engine(t, nil), b.engine(t, nil)
	token, err := e.Prepare(t.Context(), b.order(t))
	if err != nil {
		t.Fatal(err)
	}
	won := make(chan error, 8)
	dbtest.Contend(t, 8, func(int) {
		_, err := e.Issue(context.Background(), token)
		won <- err
	})
	good := 0
	for range 8 {
		if err := <-won; err == nil {
			good++
		} else if !errors.Is(err, issuance.ErrRedeemed) {
			t.Errorf("got %v", err)
		}
	}
	if good != 1 {
		t.Errorf("the token issued %d times", good)
	}
	if token, err = e.Prepare(t.Context(), b.order(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Issue(t.Context(), token); !errors.Is(err, issuance.ErrRedeemed) {
		t.Errorf("another engine's token: %v", err)
	}
	if _, err := issuance.New(issuance.Config{Prefix: 128}); err == nil {
		t.Error("prefix 128 accepted: numbers would be negative")
	}
}

// liar signs with another key than it should, and says or does not say so.
type liar struct {
	public crypto.PublicKey
	key    crypto.Signer
	err    error
}

func (l liar) Public() crypto.PublicKey { return l.public }

func (l liar) Sign(r io.Reader, digest []byte, o crypto.SignerOpts) ([]byte, error) {
	if l.err != nil {
		return nil, l.err
	}
	return l.key.Sign(r, digest, o)
}

type liars struct{ signer crypto.Signer }

func (l liars) Signer(context.Context, string, string) (crypto.Signer, error) { return l.signer, nil }

// A module that signs with a wrong key, or not at all, yields no certificate;
// its number is revoked and its audit intent closed by recovery.
func TestLyingSigner(t *testing.T) {
	t.Parallel()
	now := fixedNow()
	b := newBench(t, func() time.Time { return now })
	wrong := newKey(t)
	broken := errors.New("session lost")
	for name, tc := range map[string]struct {
		signer crypto.Signer
		want   error
	}{
		"wrong key, hidden":    {liar{public: b.issuer.Cert.PublicKey, key: wrong}, profile.ErrSignature},
		"wrong key, shown":     {wrong, profile.ErrSignature},
		"session lost":         {liar{public: b.issuer.Cert.PublicKey, err: broken}, broken},
		"key of another curve": {func() crypto.Signer { k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader); return k }(), profile.ErrAlgorithm},
	} {
		e := b.engine(t, func(c *issuance.Config) { c.Keys = liars{tc.signer} })
		o := b.order(t)
		token, err := e.Prepare(t.Context(), o)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, err := e.Issue(t.Context(), token); !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, want %v", name, err, tc.want)
		}
		if _, err := e.Existing(t.Context(), o.Intent, o.RequestHash); !errors.Is(err, issuance.ErrInProgress) {
			t.Errorf("%s: before recovery: %v", name, err)
		}
		now = now.Add(issuance.OpenFor + time.Second)
		if n, err := e.Recover(t.Context()); err != nil || n != 1 {
			t.Errorf("%s: recovered %d, %v", name, n, err)
		}
		if _, err := e.Existing(t.Context(), o.Intent, o.RequestHash); !errors.Is(err, issuance.ErrAbandoned) {
			t.Errorf("%s: after recovery: %v", name, err)
		}
	}
	var open int
	if err := b.db.QueryRow(t.Context(), `SELECT COUNT(id) FROM audit_open`).Scan(&open); err != nil || open != 0 {
		t.Errorf("%d audit intents open, %v", open, err)
	}
}

type deaf struct{ issuance.Answers }

func (deaf) Ready(context.Context, string) error { return errors.New("no responder") }

// Without a responder nothing is issued that could not be answered for.
func TestOCSPMustBeReadyFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t, fixedNow)
	e := b.engine(t, func(c *issuance.Config) { c.Answers = deaf{} })
	if _, err := e.Prepare(t.Context(), b.order(t)); err == nil {
		t.Error("prepared without an OCSP responder")
	}
}
