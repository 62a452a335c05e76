package judge

import (
	"crypto/x509"
	"encoding/asn1"
	"sync"
)

// Extended key usages under which documents are signed: RFC 9336, the two of
// the common viewers, e-mail protection and client authentication as older
// national profiles have them.
var documentUsages = []asn1.ObjectIdentifier{
	{1, 3, 6, 1, 5, 5, 7, 3, 36},
	{1, 3, 6, 1, 4, 1, 311, 10, 3, 12},
	{1, 2, 840, 113583, 1, 1, 5},
}

// signing are the default rules about certificates of signers.
var signing = sync.OnceValue(func() *SignerRules { return &DefaultConstraints().Signer })

// Unfit says why a certificate cannot be one for signing documents, or "".
func Unfit(c *x509.Certificate) string { return signing().unfit(c) }
