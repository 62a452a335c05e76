package judge

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"oruro.gob.bo/suti/internal/cms"
)

// Constraints are the validation constraints of ETSI EN 319 102-1 §5.1.4 as
// data: what a signature must be, beyond being sound, to be called valid. They
// can only refuse: what the verifier does not accept, no constraint makes it
// accept. The file form is described in docs/verification-reports.md and read
// by [ParseConstraints].
type Constraints struct {
	Kind    string `json:"suti"` // [ConstraintsKind]
	Version int    `json:"version"`
	// Name tells people which constraints these are.
	Name       string              `json:"name"`
	Algorithms AlgorithmRules      `json:"algorithms"`
	Signature  SignatureRules      `json:"signature"`
	Revocation RevocationRules     `json:"revocation"`
	Signer     SignerRules         `json:"signer"`
	Changes    ChangeRules         `json:"changes"`
	Anchors    []ConstrainedAnchor `json:"anchors"`
}

// ConstraintsKind and ConstraintsVersion head a file of constraints.
const (
	ConstraintsKind    = "verification-constraints"
	ConstraintsVersion = 1
)

// AlgorithmRules are about signatures, time-stamps and every certificate of
// their paths but the anchor, at the time at which each is proven to have existed.
type AlgorithmRules struct {
	Signatures []AcceptedAlgorithm `json:"signatures"`
	Keys       []AcceptedKey       `json:"keys"`
}

// AcceptedAlgorithm is an algorithm by the name of [cms.Algorithm], accepted
// before Until, for ever if that is nil.
type AcceptedAlgorithm struct {
	Name  string     `json:"name"`
	Until *time.Time `json:"until,omitempty"`
}

// AcceptedKey is a kind of key ("rsa", "ecdsa", "ed25519") of at least Bits,
// accepted before Until. The same kind can be listed several times.
type AcceptedKey struct {
	Kind  string     `json:"kind"`
	Bits  int        `json:"bits"`
	Until *time.Time `json:"until,omitempty"`
}

// SignatureRules say what a signature must be. Level is the lowest level, ""
// for any; Timestamp asks for a proven time.
type SignatureRules struct {
	Level     string `json:"level"`
	Timestamp bool   `json:"timestamp"`
}

// RevocationRules say whether it must be known that no certificate is revoked,
// and how old evidence may be at the time that counts, in hours; 0 sets no bound.
type RevocationRules struct {
	Required    bool `json:"required"`
	MaxAgeHours int  `json:"max_age_hours"`
}

// SignerRules are about a signer's certificate. Of each list one is enough. A
// certificate without the extension passes KeyUsages and ExtendedKeyUsages
// (RFC 5280 §4.2.1.3, §4.2.1.12), not Policies; an empty Policies asks nothing.
type SignerRules struct {
	KeyUsages         []string `json:"key_usages"`
	ExtendedKeyUsages []string `json:"extended_key_usages"`
	Policies          []string `json:"policies"`
}

// ChangeRules say what becomes of a signature after which there were changes
// that it permits: "accept" (MODIFIED-ALLOWED), "indeterminate" or "reject".
type ChangeRules struct {
	Allowed string `json:"allowed"`
}

// ConstrainedAnchor is a trust anchor and the tier of the signatures that lead to it.
type ConstrainedAnchor struct {
	Name string `json:"name"`
	// Tier is "A" (an authority under the national root, Ley 164) or "C" (internal).
	Tier string `json:"tier"`
	// Uses are "signatures", "timestamps" or both.
	Uses []string `json:"uses"`
	// Certificate is in DER (base64 in JSON).
	Certificate []byte `json:"certificate"`

	parsed *x509.Certificate
}

// Tiers of anchors.
const (
	TierNational = "A"
	TierInternal = "C"
)

// Names of key usages (RFC 5280 §4.2.1.3).
var keyUsageNames = map[string]x509.KeyUsage{
	"digitalSignature": x509.KeyUsageDigitalSignature, "contentCommitment": x509.KeyUsageContentCommitment,
}

// Object identifiers of extended key usages that Go's certificates name otherwise.
var usageOIDs = map[x509.ExtKeyUsage]string{
	x509.ExtKeyUsageAny: "2.5.29.37.0", x509.ExtKeyUsageServerAuth: "1.3.6.1.5.5.7.3.1", x509.ExtKeyUsageClientAuth: "1.3.6.1.5.5.7.3.2",
	x509.ExtKeyUsageCodeSigning: "1.3.6.1.5.5.7.3.3", x509.ExtKeyUsageEmailProtection: "1.3.6.1.5.5.7.3.4", x509.ExtKeyUsageTimeStamping: "1.3.6.1.5.5.7.3.8",
	x509.ExtKeyUsageOCSPSigning: "1.3.6.1.5.5.7.3.9", x509.ExtKeyUsageMicrosoftCommercialCodeSigning: "1.3.6.1.4.1.311.2.1.22",
}

// DefaultConstraints returns what is held where no constraints are given:
// everything that the verifiers themselves accept.
func DefaultConstraints() *Constraints {
	c := &Constraints{Kind: ConstraintsKind, Version: ConstraintsVersion, Name: "default", Anchors: []ConstrainedAnchor{}}
	for a := cms.Algorithm(1); a.Valid(); a++ {
		c.Algorithms.Signatures = append(c.Algorithms.Signatures, AcceptedAlgorithm{Name: a.String()})
	}
	c.Algorithms.Keys = []AcceptedKey{{Kind: "ecdsa", Bits: 256}, {Kind: "ed25519", Bits: 256}, {Kind: "rsa", Bits: 2048}}
	c.Signer = SignerRules{KeyUsages: []string{"digitalSignature", "contentCommitment"}, Policies: []string{}}
	for _, oid := range documentUsages {
		c.Signer.ExtendedKeyUsages = append(c.Signer.ExtendedKeyUsages, oid.String())
	}
	for _, u := range []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageAny} {
		c.Signer.ExtendedKeyUsages = append(c.Signer.ExtendedKeyUsages, usageOIDs[u])
	}
	c.Changes.Allowed = ChangesAccepted
	return c
}

// AnchorCertificates returns the anchors for a use, "signatures" or "timestamps".
func (c *Constraints) AnchorCertificates(use string) []*x509.Certificate {
	var out []*x509.Certificate
	for _, a := range c.Anchors {
		if a.parsed != nil && slices.Contains(a.Uses, use) {
			out = append(out, a.parsed)
		}
	}
	return out
}

// AnchorOf returns the anchor for signatures with a certificate of that
// SHA-256, in hexadecimal; nil if none is listed.
func (c *Constraints) AnchorOf(sha256Hex string) *ConstrainedAnchor {
	for i, a := range c.Anchors {
		if sum := sha256.Sum256(a.Certificate); hex.EncodeToString(sum[:]) == sha256Hex && slices.Contains(a.Uses, UseSignatures) {
			return &c.Anchors[i]
		}
	}
	return nil
}

func before(t time.Time, until *time.Time) bool { return until == nil || t.Before(*until) }

// algorithm says why an algorithm is not accepted at a time, or "". sunset says
// that it would have been earlier.
func (c *Constraints) algorithm(name string, at time.Time) (why string, sunset bool) {
	for _, a := range c.Algorithms.Signatures {
		if a.Name != name {
			continue
		}
		if before(at, a.Until) {
			return "", false
		}
		sunset = true
	}
	return "algorithm " + name, sunset
}

// key is the same for a public key.
func (c *Constraints) key(pub any, at time.Time) (why string, sunset bool) {
	kind, bits := "unknown", 0
	switch k := pub.(type) {
	case *rsa.PublicKey:
		kind, bits = "rsa", k.N.BitLen()
	case *ecdsa.PublicKey:
		kind, bits = "ecdsa", k.Curve.Params().BitSize
	case ed25519.PublicKey:
		kind, bits = "ed25519", 256
	}
	for _, a := range c.Algorithms.Keys {
		if a.Kind != kind || bits < a.Bits {
			continue
		}
		if before(at, a.Until) {
			return "", false
		}
		sunset = true
	}
	return fmt.Sprintf("%s key of %d bits", kind, bits), sunset
}

// certificateAlgorithms are the names of algorithms that certificates are signed with.
var certificateAlgorithms = map[x509.SignatureAlgorithm]cms.Algorithm{
	x509.SHA256WithRSA: cms.RSAWithSHA256, x509.SHA384WithRSA: cms.RSAWithSHA384, x509.SHA512WithRSA: cms.RSAWithSHA512,
	x509.SHA256WithRSAPSS: cms.RSAPSSWithSHA256, x509.SHA384WithRSAPSS: cms.RSAPSSWithSHA384, x509.SHA512WithRSAPSS: cms.RSAPSSWithSHA512,
	x509.ECDSAWithSHA256: cms.ECDSAWithSHA256, x509.ECDSAWithSHA384: cms.ECDSAWithSHA384, x509.ECDSAWithSHA512: cms.ECDSAWithSHA512,
	x509.PureEd25519: cms.Ed25519,
}

// weak says what of a signature by the first key of a path is not accepted at a
// time, or "". The anchor is trusted as it is.
func (c *Constraints) weak(algorithm string, chain []*x509.Certificate, at time.Time) (why string, sunset bool) {
	if algorithm != "" {
		if why, sunset = c.algorithm(algorithm, at); why != "" {
			return why, sunset
		}
	}
	for i, cert := range chain {
		if i > 0 && i == len(chain)-1 {
			break
		}
		if why, sunset = c.key(cert.PublicKey, at); why != "" {
			return fmt.Sprintf("%s of certificate %d of the path", why, i), sunset
		}
		if len(chain) == 1 {
			break // itself the anchor: nothing but its own key signed it
		}
		name := "unknown"
		if a, ok := certificateAlgorithms[cert.SignatureAlgorithm]; ok {
			name = a.String()
		}
		if why, sunset = c.algorithm(name, at); why != "" {
			return fmt.Sprintf("%s of certificate %d of the path", why, i), sunset
		}
	}
	return "", false
}

// unfit says why a certificate cannot be one for signing documents, or ""
// (RFC 5280 §4.2.1.3, EN 319 412-2 §4.3.2).
func (r *SignerRules) unfit(c *x509.Certificate) string {
	if c.BasicConstraintsValid && c.IsCA {
		return "certificate of an authority"
	}
	if c.KeyUsage != 0 && !slices.ContainsFunc(r.KeyUsages, func(name string) bool { return c.KeyUsage&keyUsageNames[name] != 0 }) {
		return "key usage is not signing"
	}
	var usages, policies []string
	for _, u := range c.ExtKeyUsage {
		usages = append(usages, usageOIDs[u])
	}
	usages = append(usages, oidStrings(c.UnknownExtKeyUsage)...)
	if len(usages) > 0 && !slices.ContainsFunc(usages, func(u string) bool { return slices.Contains(r.ExtendedKeyUsages, u) }) {
		return "extended key usage is not signing documents"
	}
	policies = oidStrings(c.PolicyIdentifiers)
	if len(r.Policies) > 0 && !slices.ContainsFunc(policies, func(p string) bool { return slices.Contains(r.Policies, p) }) {
		return "no certificate policy of those required"
	}
	return ""
}

func oidStrings(oids []asn1.ObjectIdentifier) []string {
	var out []string
	for _, o := range oids {
		out = append(out, o.String())
	}
	return out
}
