package evidence

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"io"
	"math/big"
	"net/http"
	"sync"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// responder answers OCSP for an issuer, by the clock it is given.
type responder struct {
	issuer, by *node // by signs; the issuer itself or a delegate
	clk        *clock

	mu      sync.Mutex // guards what follows
	revoked map[string]bool
	age     time.Duration            // how long before now it was produced
	nonce   func(sent []byte) []byte // the one to answer with; nil leaves it out
}

func (o *responder) revoke(c *x509.Certificate) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.revoked == nil {
		o.revoked = map[string]bool{}
	}
	o.revoked[c.SerialNumber.String()] = true
}

func ctxTag(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

// ServeHTTP answers the one CertID of a request.
func (o *responder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	var req, tbs, list, one, id, nonce cryptobyte.String
	serial := new(big.Int)
	in := cryptobyte.String(b)
	ok := in.ReadASN1(&req, cbasn1.SEQUENCE) && req.ReadASN1(&tbs, cbasn1.SEQUENCE) && tbs.ReadASN1(&list, cbasn1.SEQUENCE) &&
		list.ReadASN1(&one, cbasn1.SEQUENCE) && one.ReadASN1Element(&id, cbasn1.SEQUENCE)
	body := id
	ok = ok && body.ReadASN1(&body, cbasn1.SEQUENCE) && body.SkipASN1(cbasn1.SEQUENCE) && body.SkipASN1(cbasn1.OCTET_STRING) &&
		body.SkipASN1(cbasn1.OCTET_STRING) && body.ReadASN1Integer(serial)
	if ok && tbs.ReadASN1(&tbs, ctxTag(2)) && tbs.ReadASN1(&tbs, cbasn1.SEQUENCE) && tbs.ReadASN1(&tbs, cbasn1.SEQUENCE) {
		ok = tbs.SkipASN1(cbasn1.OBJECT_IDENTIFIER) && tbs.ReadASN1(&tbs, cbasn1.OCTET_STRING) && tbs.ReadASN1(&nonce, cbasn1.OCTET_STRING)
	}
	if !ok {
		_, _ = w.Write([]byte{0x30, 3, 10, 1, 1})
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var answer []byte
	if o.nonce != nil && nonce != nil {
		answer = o.nonce(nonce)
	}
	out, err := o.respond(id, o.revoked[serial.String()], answer)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_, _ = w.Write(out)
}

// respond writes an OCSPResponse; o.mu is held.
func (o *responder) respond(id []byte, revoked bool, nonce []byte) ([]byte, error) {
	at := o.clk.now().Add(-o.age)
	seq := func(b *cryptobyte.Builder, f func(*cryptobyte.Builder)) { b.AddASN1(cbasn1.SEQUENCE, f) }
	var data cryptobyte.Builder
	seq(&data, func(b *cryptobyte.Builder) {
		b.AddASN1(ctxTag(1), func(b *cryptobyte.Builder) { b.AddBytes(o.by.cert.RawSubject) })
		b.AddASN1GeneralizedTime(at)
		seq(b, func(b *cryptobyte.Builder) {
			seq(b, func(b *cryptobyte.Builder) {
				b.AddBytes(id)
				if revoked {
					b.AddASN1(ctxTag(1), func(b *cryptobyte.Builder) {
						b.AddASN1GeneralizedTime(at.Add(-time.Hour))
						b.AddASN1(ctxTag(0), func(b *cryptobyte.Builder) { b.AddASN1Enum(1) })
					})
				} else {
					b.AddBytes([]byte{0x80, 0})
				}
				b.AddASN1GeneralizedTime(at)
				b.AddASN1(ctxTag(0), func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(at.Add(24 * time.Hour)) })
			})
		})
		if nonce == nil {
			return
		}
		b.AddASN1(ctxTag(1), func(b *cryptobyte.Builder) {
			seq(b, func(b *cryptobyte.Builder) {
				seq(b, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2})
					b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) { b.AddASN1OctetString(nonce) })
				})
			})
		})
	})
	tbs, err := data.Bytes()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(tbs)
	sig, err := o.by.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	var out cryptobyte.Builder
	seq(&out, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(0)
		b.AddASN1(ctxTag(0), func(b *cryptobyte.Builder) {
			seq(b, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1})
				b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
					seq(b, func(b *cryptobyte.Builder) {
						b.AddBytes(tbs)
						seq(b, func(b *cryptobyte.Builder) {
							b.AddASN1ObjectIdentifier(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2})
						})
						b.AddASN1BitString(sig)
						if o.by != o.issuer {
							b.AddASN1(ctxTag(0), func(b *cryptobyte.Builder) {
								seq(b, func(b *cryptobyte.Builder) { b.AddBytes(o.by.cert.Raw) })
							})
						}
					})
				})
			})
		})
	})
	return out.Bytes()
}
