package coretest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/tsp"
	"oruro.gob.bo/suti/signer/core"
)

// CA is a certification authority with a root, an issuer and a responder. It
// implements core.Certifier.
type CA struct {
	clock                *Clock
	Root, Issuer, Unit   *x509.Certificate
	responder            *x509.Certificate
	rootKey, issuerKey   crypto.Signer
	unitKey, responderKy crypto.Signer

	mu       sync.Mutex
	serial   int64
	byIntent map[string][][]byte
	revoked  map[string]time.Time
	// Issued counts certificates of people; Refuse makes the next requests fail.
	Issued int
	Refuse error
}

func newCA(t testing.TB, clock *Clock) *CA {
	t.Helper()
	c := &CA{clock: clock, byIntent: map[string][][]byte{}, revoked: map[string]time.Time{}}
	authority := func(x *x509.Certificate) {
		x.IsCA, x.KeyUsage, x.NotAfter = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign, x.NotBefore.AddDate(10, 0, 0)
	}
	c.Root, c.rootKey = c.make(t, "Raíz de prueba", authority, nil, nil)
	c.Issuer, c.issuerKey = c.make(t, "Emisora de prueba", authority, c.Root, c.rootKey)
	// The library stamps responses by the real clock, so the responder is valid at any time.
	c.responder, c.responderKy = c.make(t, "Respondedor", func(x *x509.Certificate) {
		x.ExtKeyUsage, x.NotBefore, x.NotAfter = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, Start().AddDate(-10, 0, 0), Start().AddDate(50, 0, 0)
	}, c.Issuer, c.issuerKey)
	critical := must(asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 8}}))(t)
	c.Unit, c.unitKey = c.make(t, "Unidad de tiempo", func(x *x509.Certificate) {
		x.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, Value: critical}}
	}, c.Root, c.rootKey)
	return c
}

func (c *CA) template(name string) *x509.Certificate {
	c.serial++
	now := c.clock.Now()
	return &x509.Certificate{SerialNumber: big.NewInt(1000 + c.serial), Subject: pkix.Name{CommonName: name, Country: []string{"BO"}},
		NotBefore: now.Truncate(time.Second), NotAfter: now.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, BasicConstraintsValid: true}
}

func (c *CA) make(t testing.TB, name string, change func(*x509.Certificate), parent *x509.Certificate, parentKey crypto.Signer) (*x509.Certificate, crypto.Signer) {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	x := c.template(name)
	change(x)
	if parent == nil {
		parent, parentKey = x, key
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, x, parent, key.Public(), parentKey))(t)))(t), key
}

// Certificate implements core.Certifier.
func (c *CA) Certificate(_ context.Context, r core.CertificateRequest) ([][]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Refuse != nil {
		return nil, c.Refuse
	}
	if have := c.byIntent[r.IntentID]; have != nil {
		return have, nil
	}
	csr, err := x509.ParseCertificateRequest(r.Proof)
	if err != nil {
		return nil, err
	}
	if csr.CheckSignature() != nil || csr.Subject.CommonName != r.IntentID {
		return nil, errors.New("coretest: no proof of possession")
	}
	x := c.template(r.Profile.Name.Full())
	x.KeyUsage = x509.KeyUsageContentCommitment
	der, err := x509.CreateCertificate(rand.Reader, x, c.Issuer, r.PublicKey, c.issuerKey)
	if err != nil {
		return nil, err
	}
	c.Issued++
	c.byIntent[r.IntentID] = [][]byte{der, c.Issuer.Raw, c.Root.Raw}
	return c.byIntent[r.IntentID], nil
}

// RevokeAll revokes every certificate of people.
func (c *CA) RevokeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, chain := range c.byIntent {
		x, err := x509.ParseCertificate(chain[0])
		if err == nil {
			c.revoked[string(x.SerialNumber.Bytes())] = c.clock.Now()
		}
	}
}

// OCSP implements core.Certifier.
func (c *CA) OCSP(_ context.Context, serial []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.clock.Now()
	r := ocsp.Response{Status: ocsp.Good, SerialNumber: new(big.Int).SetBytes(serial), Certificate: c.responder, ThisUpdate: now, NextUpdate: now.Add(time.Hour)}
	if at, ok := c.revoked[string(serial)]; ok {
		r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, at, ocsp.CessationOfOperation
	}
	return ocsp.CreateResponse(c.Issuer, c.responder, r, c.responderKy)
}

// Pool returns the trust anchors.
func (c *CA) Pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(c.Root)
	return p
}

// TSA is a time-stamping unit of the authority. It implements pades.Timestamper.
type TSA struct {
	ca *CA
	mu sync.Mutex
	// Made counts tokens; Refuse makes requests fail.
	Made   int64
	Refuse error
}

// Timestamp implements pades.Timestamper.
func (s *TSA) Timestamp(_ context.Context, h crypto.Hash, digest []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Refuse != nil {
		return nil, s.Refuse
	}
	s.Made++
	p, err := tsp.PrepareToken(&tsp.TSTInfo{Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 32473, 2}, Serial: big.NewInt(s.Made),
		GenTime: s.ca.clock.Now(), Imprint: tsp.Imprint{Hash: h, Digest: digest}}, s.ca.Unit, 0)
	if err != nil {
		return nil, err
	}
	sig, err := p.Sign(rand.Reader, s.ca.unitKey)
	if err != nil {
		return nil, err
	}
	return p.Assemble(sig, cms.AssembleOptions{})
}
