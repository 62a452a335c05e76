package evidence

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"oruro.gob.bo/suti/signer/internal/evidence/revocation"
)

const (
	maxCertificate = 64 << 10
	maxDepth       = 4 // issuers fetched for one path
	ocspNonceSize  = 32
	issuerKept     = 24 * time.Hour
)

func fingerprint(c *x509.Certificate) string {
	h := sha256.Sum256(c.Raw)
	return hex.EncodeToString(h[:])
}

// ocsp asks one responder about cert, through the cache.
func (c *Collector) ocsp(ctx context.Context, cert, issuer *x509.Certificate, address string, since time.Time) (*revocation.Status, []byte, error) {
	u, err := c.hosts.open(address)
	if err != nil {
		return nil, nil, err
	}
	key := "ocsp " + fingerprint(cert) + " " + fingerprint(issuer) + " " + address
	it, err := c.cache.get(ctx, key, since, func(ctx context.Context) (*item, error) {
		var nonce []byte
		if c.c.Nonce {
			nonce = make([]byte, ocspNonceSize)
			if _, err := io.ReadFull(c.c.Rand, nonce); err != nil {
				return nil, fmt.Errorf("evidence: nonce: %w", err)
			}
		}
		q, err := revocation.MarshalOCSPRequest(cert, issuer, nonce)
		if err != nil {
			return nil, err
		}
		der, err := fetch(ctx, c.c.HTTP, request{
			url: u, body: q, mediaType: revocation.OCSPRequestType, accept: revocation.OCSPResponseType,
			max: revocation.MaxOCSP, timeout: c.c.Timeout,
		})
		if err != nil {
			return nil, err
		}
		st, err := revocation.CheckOCSP(der, cert, issuer, revocation.Options{
			At: c.c.Now(), Skew: c.c.Skew, Certificates: c.c.Certificates, Nonce: nonce,
		})
		if err != nil {
			return nil, err
		}
		return &item{der: der, status: st, thisUpdate: st.ThisUpdate, expires: c.expiry(st.NextUpdate)}, nil
	})
	if err != nil {
		return nil, nil, err
	}
	return it.status, it.der, nil
}

// crl looks cert up in the list at an address, through the cache.
func (c *Collector) crl(ctx context.Context, cert, issuer *x509.Certificate, address string, since time.Time) (*revocation.Status, []byte, error) {
	u, err := c.hosts.open(address)
	if err != nil {
		return nil, nil, err
	}
	key := "crl " + fingerprint(issuer) + " " + address
	it, err := c.cache.get(ctx, key, since, func(ctx context.Context) (*item, error) {
		der, err := fetch(ctx, c.c.HTTP, request{
			url: u, accept: "application/pkix-crl", max: revocation.MaxCRL, timeout: c.c.CRLTimeout,
		})
		if err != nil {
			return nil, err
		}
		list, err := revocation.OpenCRL(der, issuer)
		if err != nil {
			return nil, err
		}
		return &item{der: der, crl: list, thisUpdate: list.ThisUpdate, expires: c.expiry(list.NextUpdate)}, nil
	})
	if err != nil {
		return nil, nil, err
	}
	st, err := it.crl.Check(cert, revocation.Options{At: c.c.Now(), Skew: c.c.Skew})
	if err != nil {
		return nil, nil, err
	}
	return st, it.der, nil
}

// issuer fetches the certificate at an address of cert's authority information
// access and checks that its key signed cert.
func (c *Collector) issuer(ctx context.Context, cert *x509.Certificate, address string) (*x509.Certificate, error) {
	u, err := c.hosts.open(address)
	if err != nil {
		return nil, err
	}
	it, err := c.cache.get(ctx, "aia "+address, time.Time{}, func(ctx context.Context) (*item, error) {
		der, err := fetch(ctx, c.c.HTTP, request{url: u, accept: "application/pkix-cert", max: maxCertificate, timeout: c.c.Timeout})
		if err != nil {
			return nil, err
		}
		return &item{der: der, expires: c.c.Now().Add(issuerKept)}, nil
	})
	if err != nil {
		return nil, err
	}
	got, err := x509.ParseCertificate(it.der)
	if err != nil {
		return nil, fmt.Errorf("evidence: issuer at %s: %w", u.Host, err)
	}
	if err := cert.CheckSignatureFrom(got); err != nil {
		return nil, fmt.Errorf("evidence: issuer at %s: %w", u.Host, err)
	}
	return got, nil
}

// PathQuery says which path is wanted. Roots and At are required.
type PathQuery struct {
	// Certificates may help to build the path, beside the collector's own.
	Certificates []*x509.Certificate
	Roots        *x509.CertPool
	// At is the time at which the path must be valid.
	At time.Time
	// Usages are the extended key usages of which the path must allow one; nil allows any.
	Usages []x509.ExtKeyUsage
}

// Complete builds the paths from cert to the roots, fetching issuers that are
// missing from the addresses in certificates. The error wraps [ErrUntrusted]
// and what the last step ran into.
func (c *Collector) Complete(ctx context.Context, cert *x509.Certificate, q PathQuery) ([][]*x509.Certificate, error) {
	if cert == nil || q.Roots == nil || q.At.IsZero() {
		return nil, fmt.Errorf("%w: certificate, roots and time are required", ErrParams)
	}
	if q.Usages == nil {
		q.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	}
	pool := x509.NewCertPool()
	for _, list := range [][]*x509.Certificate{q.Certificates, c.c.Certificates} {
		for _, k := range list {
			if k != nil {
				pool.AddCert(k)
			}
		}
	}
	top := cert
	var missing error
	for range maxDepth + 1 {
		chains, err := cert.Verify(x509.VerifyOptions{Roots: q.Roots, Intermediates: pool, CurrentTime: q.At, KeyUsages: q.Usages})
		if err == nil {
			return chains, nil
		}
		missing = err
		next := c.above(ctx, top, slices.Concat(q.Certificates, c.c.Certificates))
		if next == nil {
			break
		}
		pool.AddCert(next)
		top = next
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("evidence: path: %w", err)
	}
	return nil, fmt.Errorf("%w: %w", ErrUntrusted, missing)
}

// above returns the issuer of the highest certificate that can be reached from
// top by what is known, fetched; nil where none can be had.
func (c *Collector) above(ctx context.Context, top *x509.Certificate, known []*x509.Certificate) *x509.Certificate {
	for range maxLength {
		up := (*x509.Certificate)(nil)
		for _, k := range known {
			if k != nil && !k.Equal(top) && top.CheckSignatureFrom(k) == nil {
				up = k
				break
			}
		}
		if up == nil {
			break
		}
		top = up
	}
	for _, address := range firstOf(top.IssuingCertificateURL) {
		if got, err := c.issuer(ctx, top, address); err == nil && !got.Equal(top) {
			return got
		}
	}
	return nil
}
