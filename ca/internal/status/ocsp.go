package status

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"oruro.gob.bo/suti/ca/internal/authority"
	"oruro.gob.bo/suti/ca/internal/der"
	"oruro.gob.bo/suti/ca/internal/store"
	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/internal/keystore"
)

// Answers hold for a day and are renewed when half of it is over.
const (
	answerLife  = 24 * time.Hour
	answerRenew = answerLife / 2
	// responderRecheck is how long the choice of a responder's key is kept.
	responderRecheck = time.Minute
	// queueTimeout bounds the wait for a signature.
	queueTimeout = 2 * time.Second
)

// ErrNoResponder reports an authority without a valid delegated responder.
var ErrNoResponder = errors.New("ca: no OCSP responder")

// Config configures [New]. All fields but Workers are required.
type Config struct {
	Store       *store.Store
	Authorities *authority.Directory
	Keys        keystore.Signers
	Now         func() time.Time
	// Workers bounds concurrent signatures; default twice the processors.
	Workers int
}

// Responder signs and serves OCSP answers. It is safe for concurrent use.
type Responder struct {
	cfg   Config
	slots chan struct{}

	mu   sync.Mutex
	keys map[string]responderKey // by slug of the authority; guarded by mu
}

type responderKey struct {
	cert     *x509.Certificate
	alg      profile.SignatureAlgorithm
	keyHash  []byte
	signer   crypto.Signer
	readAt   time.Time
	notAfter time.Time
}

// New returns a responder.
func New(c Config) *Responder {
	if c.Workers <= 0 {
		c.Workers = 2 * runtime.GOMAXPROCS(0)
	}
	return &Responder{cfg: c, slots: make(chan struct{}, c.Workers), keys: map[string]responderKey{}}
}

// Answer is a response with what a cache may know of it.
type Answer struct {
	DER        []byte
	Signed     bool // a signed answer, not an error
	Cacheable  bool // made for any requester: no nonce
	ThisUpdate time.Time
	NextUpdate time.Time
}

func failure(e der.OCSPError) Answer { return Answer{DER: e.Encode()} }

// Answer replies to a request in DER. It never fails: what cannot be answered
// gets one of the error responses of RFC 6960.
func (r *Responder) Answer(ctx context.Context, request []byte) Answer {
	req, err := der.ParseOCSPRequest(request)
	if err != nil {
		return failure(der.OCSPMalformed)
	}
	a, err := r.cfg.Authorities.Match(req.IDs[0])
	if err != nil {
		return failure(der.OCSPUnauthorized)
	}
	now := r.cfg.Now()
	var singles []der.Single
	for _, id := range req.IDs {
		single, ready, err := r.single(ctx, a, id, now)
		switch {
		case errors.Is(err, authority.ErrNone), errors.Is(err, store.ErrNotFound):
			return failure(der.OCSPUnauthorized)
		case err != nil:
			return failure(der.OCSPTryLater)
		}
		if ready != nil && len(req.IDs) == 1 && !req.NonceSent {
			return Answer{DER: ready.DER, Signed: true, Cacheable: true, ThisUpdate: ready.ThisUpdate, NextUpdate: ready.NextUpdate}
		}
		singles = append(singles, single)
	}
	out, next, err := r.sign(ctx, a, singles, req.Nonce, now)
	switch {
	case errors.Is(err, ErrNoResponder) && a.Kind == profile.Root:
		// Nobody speaks for a root, now or later: its list tells (RFC 5019 §2.2.3).
		return failure(der.OCSPUnauthorized)
	case err != nil:
		return failure(der.OCSPTryLater)
	}
	return Answer{DER: out, Signed: true, Cacheable: !req.NonceSent, ThisUpdate: now, NextUpdate: next}
}

// single decides about one certificate, by one statement. ready is an answer
// signed ahead that says the same and fits the request to the octet.
func (r *Responder) single(ctx context.Context, a *authority.Authority, id der.CertID, now time.Time) (der.Single, *store.OCSPRow, error) {
	own, err := r.cfg.Authorities.Match(id)
	if err != nil {
		return der.Single{}, nil, err
	}
	if own != a { // one responder speaks for one authority
		return der.Single{}, nil, authority.ErrNone
	}
	st, err := r.cfg.Store.Status(ctx, id.Serial, hashNumber(id.Hash))
	if err != nil {
		return der.Single{}, nil, err
	}
	if st.Issuer != a.Slug || st.State == store.Intended || len(id.Serial) != 17 {
		return der.Single{}, nil, store.ErrNotFound
	}
	s := der.Single{ID: id.Raw, Status: der.Good, ThisUpdate: now, Cutoff: a.Cert.NotBefore}
	if st.Revoked {
		s.Status, s.RevokedAt, s.Reason = der.Revoked, st.RevokedAt, der.Reason(st.Reason)
	} else if st.State != store.Issued {
		return der.Single{}, nil, store.ErrNotFound
	}
	if o := st.Answer; o != nil && o.Revoked == st.Revoked && now.Before(o.ThisUpdate.Add(answerRenew)) && !now.Before(o.ThisUpdate) &&
		now.Before(o.NextUpdate) && bytes.Equal(id.Raw, a.Hasher.CertID(id.Hash, id.Serial).Raw) {
		return s, o, nil
	}
	return s, nil, nil
}

func hashNumber(h crypto.Hash) int64 {
	if h == crypto.SHA1 {
		return 1
	}
	return 256
}

// sign makes a response now.
func (r *Responder) sign(ctx context.Context, a *authority.Authority, singles []der.Single, nonce []byte, now time.Time) ([]byte, time.Time, error) {
	k, err := r.key(ctx, a.Slug, now)
	if err != nil {
		return nil, time.Time{}, err
	}
	next := now.Add(answerLife)
	if next.After(k.notAfter) {
		next = k.notAfter
	}
	for i := range singles {
		singles[i].NextUpdate = next
	}
	wait := time.NewTimer(queueTimeout)
	defer wait.Stop()
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, time.Time{}, ctx.Err()
	case <-wait.C:
		return nil, time.Time{}, errors.New("ca: OCSP signer is busy")
	}
	out, err := der.OCSPResponse{KeyHash: k.keyHash, ProducedAt: now, Singles: singles, Nonce: nonce, Certificate: k.cert.Raw}.Sign(k.alg, k.signer)
	return out, next, err
}

// key returns the newest valid responder of an authority.
func (r *Responder) key(ctx context.Context, slug string, now time.Time) (responderKey, error) {
	r.mu.Lock()
	k, ok := r.keys[slug]
	r.mu.Unlock()
	if age := now.Sub(k.readAt); ok && age >= 0 && age < responderRecheck && now.Before(k.notAfter) {
		return k, nil
	}
	list, err := r.cfg.Store.Services(ctx, slug, profile.OCSP, now)
	if err != nil {
		return responderKey{}, err
	}
	for _, s := range list {
		if s.NotBefore.After(now) {
			continue
		}
		k, err := r.open(ctx, s, now)
		if err != nil {
			return responderKey{}, fmt.Errorf("open OCSP responder: %w", err)
		}
		r.mu.Lock()
		r.keys[slug] = k
		r.mu.Unlock()
		return k, nil
	}
	return responderKey{}, fmt.Errorf("%w: %s", ErrNoResponder, slug)
}

func (r *Responder) open(ctx context.Context, s store.Service, now time.Time) (responderKey, error) {
	cert, err := x509.ParseCertificate(s.Certificate)
	if err != nil {
		return responderKey{}, err
	}
	alg, err := profile.AlgorithmOf(cert.PublicKey)
	if err != nil {
		return responderKey{}, err
	}
	h, err := der.NewHasher(cert.RawSubject, cert.RawSubjectPublicKeyInfo)
	if err != nil {
		return responderKey{}, err
	}
	signer, err := r.cfg.Keys.Signer(ctx, s.KeyID, authority.PurposeOCSP)
	if err != nil {
		return responderKey{}, err
	}
	return responderKey{cert: cert, alg: alg, keyHash: h.KeyHash(), signer: signer, readAt: now, notAfter: s.NotAfter}, nil
}

// Forget drops the choice of responders, after one was made.
func (r *Responder) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.keys)
}

// Ready reports whether the authority's answers could be signed now.
func (r *Responder) Ready(ctx context.Context, slug string) error {
	_, err := r.key(ctx, slug, r.cfg.Now())
	return err
}

// SignAhead makes the answers for one certificate, one for each CertID hash.
// The caller knows the standing and stores them.
func (r *Responder) SignAhead(ctx context.Context, slug string, sn []byte, revoked *store.Revocation) ([]store.OCSPRow, error) {
	a, err := r.cfg.Authorities.BySlug(slug)
	if err != nil {
		return nil, err
	}
	now := r.cfg.Now()
	var rows []store.OCSPRow
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
		s := der.Single{ID: a.Hasher.CertID(h, sn).Raw, Status: der.Good, ThisUpdate: now, Cutoff: a.Cert.NotBefore}
		if revoked != nil {
			s.Status, s.RevokedAt, s.Reason = der.Revoked, revoked.RevokedAt, der.Reason(revoked.Reason)
		}
		out, next, err := r.sign(ctx, a, []der.Single{s}, nil, now)
		if err != nil {
			return nil, err
		}
		rows = append(rows, store.OCSPRow{SN: sn, Hash: hashNumber(h), Revoked: revoked != nil, ThisUpdate: now, NextUpdate: next, DER: out})
	}
	return rows, nil
}

// Renew signs afresh up to limit answers that are past half of their time. It
// returns how many certificates it renewed.
func (r *Responder) Renew(ctx context.Context, limit int) (int, error) {
	now := r.cfg.Now()
	due, err := r.cfg.Store.AnswersDue(ctx, now.Add(answerRenew), now, limit)
	if err != nil {
		return 0, fmt.Errorf("list OCSP answers: %w", err)
	}
	for i, sn := range due {
		if err := r.Refresh(ctx, sn); err != nil {
			return i, err
		}
	}
	return len(due), nil
}

// Refresh signs and stores the answers for one certificate as it stands.
func (r *Responder) Refresh(ctx context.Context, sn []byte) error {
	st, err := r.cfg.Store.Status(ctx, sn, 0)
	if err != nil {
		return err
	}
	if !answerable(st.Kind) {
		return nil
	}
	var rev *store.Revocation
	if st.Revoked {
		rev = &store.Revocation{Reason: st.Reason, RevokedAt: st.RevokedAt}
	} else if st.State != store.Issued {
		return store.ErrNotFound
	}
	rows, err := r.SignAhead(ctx, st.Issuer, sn, rev)
	if err != nil {
		return fmt.Errorf("sign OCSP answer: %w", err)
	}
	return r.cfg.Store.PutAnswers(ctx, rows)
}

// answerable reports whether certificates of a kind name the OCSP responder.
func answerable(k string) bool {
	p, err := profile.Of(profile.Kind(k))
	return err == nil && p.Responder
}

// Fresh signs an answer about one certificate now, whatever was signed ahead.
func (r *Responder) Fresh(ctx context.Context, a *authority.Authority, id der.CertID) ([]byte, error) {
	now := r.cfg.Now()
	s, _, err := r.single(ctx, a, id, now)
	if err != nil {
		return nil, err
	}
	out, _, err := r.sign(ctx, a, []der.Single{s}, nil, now)
	return out, err
}
