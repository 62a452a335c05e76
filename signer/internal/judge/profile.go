package judge

import (
	"crypto/x509"
	"encoding/asn1"
)

// Extended key usages under which documents are signed: RFC 9336, the two of
// the common viewers, e-mail protection and client authentication as older
// national profiles have them.
var documentUsages = []asn1.ObjectIdentifier{
	{1, 3, 6, 1, 5, 5, 7, 3, 36},
	{1, 3, 6, 1, 4, 1, 311, 10, 3, 12},
	{1, 2, 840, 113583, 1, 1, 5},
}

// Unfit says why a certificate cannot be one for signing documents,
// or "" (RFC 5280 §4.2.1.3, EN 319 412-2 §4.3.2).
func Unfit(c *x509.Certificate) string {
	if c.BasicConstraintsValid && c.IsCA {
		return "certificate of an authority"
	}
	if c.KeyUsage != 0 && c.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return "key usage is not signing"
	}
	if len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0 {
		return ""
	}
	for _, u := range c.ExtKeyUsage {
		switch u {
		case x509.ExtKeyUsageAny, x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageClientAuth:
			return ""
		}
	}
	for _, u := range c.UnknownExtKeyUsage {
		for _, d := range documentUsages {
			if u.Equal(d) {
				return ""
			}
		}
	}
	return "extended key usage is not signing documents"
}
