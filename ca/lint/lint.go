package lint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	zx509 "github.com/zmap/zcrypto/x509"
	"github.com/zmap/zlint/v3"
	zl "github.com/zmap/zlint/v3/lint"

	"oruro.gob.bo/suti/ca/profile"
)

// ErrLint reports a certificate or CRL with at least one finding.
var ErrLint = errors.New("lint: findings")

// Finding is one rule that was not kept.
type Finding struct {
	Rule     string // name of the lint
	Severity string // notice, warn, error or fatal
	Source   string // the document that demands it
	Detail   string // may be empty; never personal data
}

// Failure carries all findings; it matches [ErrLint].
type Failure struct{ Findings []Finding }

// Error lists the rules' names.
func (f *Failure) Error() string {
	names := make([]string, 0, len(f.Findings))
	for _, x := range f.Findings {
		n := x.Severity + " " + x.Rule
		if x.Detail != "" {
			n += " (" + x.Detail + ")"
		}
		names = append(names, n)
	}
	return "lint: " + strings.Join(names, ", ")
}

// Is makes errors.Is(err, ErrLint) hold.
func (f *Failure) Is(target error) bool { return target == ErrLint }

// Excluded returns the ZLint lints that are not run, with the reason for each.
func Excluded() map[string]string {
	return map[string]string{
		"e_cert_issued_by_compromised_emudhra_ca": "concerns one foreign authority's keys and takes most of the time of a run",
		"n_ct_sct_policy_count_unsatisfied":       "counts browser transparency receipts, which only server certificates carry; ours are leaves of our own log",
		"e_crl_extensions_validity":               "allows the extensions of browser lists only; ours add expiredCertsOnCRL (X.509 9.5.2.8), and suti_crl_extensions demands the exact set",
		"e_crl_revocation_time_after_this_update": "clocks of nodes differ; a list held back would hide revocations, an entry dated a second ahead does not",
		"n_ca_digital_signature_not_set":          "reminds authorities that sign OCSP answers themselves; ours delegate to a responder of 30 days",
	}
}

// Linter checks certificates of one deployment. It is safe for concurrent use.
type Linter struct {
	set      *profile.Set
	registry zl.Registry

	mu   sync.Mutex
	keys map[profile.KeyAlgorithm]crypto.Signer // guarded by mu; throw-away, never stored
}

// New makes a linter for the deployment's profiles.
func New(set *profile.Set) (*Linter, error) {
	var names []string
	for name := range Excluded() {
		names = append(names, name)
	}
	slices.Sort(names)
	reg, err := zl.GlobalRegistry().Filter(zl.FilterOptions{ExcludeNames: names})
	if err != nil {
		return nil, fmt.Errorf("select lints: %w", err)
	}
	return &Linter{set: set, registry: reg, keys: map[profile.KeyAlgorithm]crypto.Signer{}}, nil
}

// Lints returns how many certificate lints of ZLint are run.
func (l *Linter) Lints() int { return len(l.registry.CertificateLints().Lints()) }

// TBS lints a certificate before it exists: t is signed with a throw-away key
// and the result is judged against ZLint and the profile. in MUST be the input
// that t was built from. The error matches [ErrLint] and is a [*Failure], or
// says that the certificate cannot be parsed.
//
// A root signs itself, which its own key alone can do: ZLint then judges a twin
// that differs in the key only, and our own rules judge t.
func (l *Linter) TBS(t profile.TBS, in profile.Input) error {
	key, err := l.throwAway(t.Algorithm.Key())
	if err != nil {
		return err
	}
	der, err := signWith(key, t)
	if err != nil {
		return err
	}
	if t.Kind != profile.Root {
		return l.Certificate(der, t.Kind, in)
	}
	twin := in
	twin.PublicKey = key.Public()
	tt, err := l.set.Build(t.Kind, twin)
	if err != nil {
		return err
	}
	twinDER, err := signWith(key, tt)
	if err != nil {
		return err
	}
	if err := l.Certificate(twinDER, t.Kind, twin); err != nil {
		return err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("parse certificate: %w", err)
	}
	own, err := l.own(cert, t.Kind, in)
	if err == nil && len(own) > 0 {
		err = &Failure{Findings: own}
	}
	return err
}

func signWith(key crypto.Signer, t profile.TBS) ([]byte, error) {
	sig, err := t.Algorithm.Sign(key, t.DER)
	if err != nil {
		return nil, fmt.Errorf("sign with throw-away key: %w", err)
	}
	return t.Certificate(sig), nil
}

// Certificate lints a whole certificate of profile k; see [Linter.TBS].
func (l *Linter) Certificate(der []byte, k profile.Kind, in profile.Input) error {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("parse certificate: %w", err)
	}
	zcert, err := zx509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("parse certificate for lint: %w", err)
	}
	found := collect(zlint.LintCertificateEx(zcert, l.registry))
	own, err := l.own(cert, k, in)
	if err != nil {
		return err
	}
	if found = append(found, own...); len(found) > 0 {
		return &Failure{Findings: found}
	}
	return nil
}

// CRL lints a certificate revocation list in DER.
func (l *Linter) CRL(der []byte) error {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("parse CRL: %w", err)
	}
	zlist, err := zx509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("parse CRL for lint: %w", err)
	}
	found := collect(zlint.LintRevocationListEx(zlist, l.registry))
	want := []string{oidAKI, oidCRLNumber, oidExpiredOnCRL}
	for _, e := range list.Extensions {
		if !slices.Contains(want, e.Id.String()) || e.Critical {
			found = append(found, Finding{Rule: "suti_crl_extensions", Severity: "error", Source: "RFC 5280 §5.2", Detail: "unexpected or critical " + e.Id.String()})
		}
	}
	if len(list.Extensions) != len(want) {
		found = append(found, Finding{Rule: "suti_crl_extensions", Severity: "error", Source: "RFC 5280 §5.2", Detail: "not exactly the expected extensions"})
	}
	if len(found) > 0 {
		return &Failure{Findings: found}
	}
	return nil
}

// collect turns every result above "pass" into a finding, in order of name.
func collect(rs *zlint.ResultSet) []Finding {
	var out []Finding
	for name, r := range rs.Results {
		if r.Status < zl.Notice {
			continue
		}
		out = append(out, Finding{Rule: name, Severity: r.Status.String(), Source: string(r.LintMetadata.Source)})
	}
	slices.SortFunc(out, func(a, b Finding) int { return strings.Compare(a.Rule, b.Rule) })
	return out
}

// throwAway returns this process's lint key of an algorithm. Its signatures
// only complete the DER; no one is ever shown them.
func (l *Linter) throwAway(a profile.KeyAlgorithm) (crypto.Signer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k, ok := l.keys[a]; ok {
		return k, nil
	}
	k, err := generate(a)
	if err != nil {
		return nil, fmt.Errorf("throw-away key: %w", err)
	}
	l.keys[a] = k
	return k, nil
}

func generate(a profile.KeyAlgorithm) (crypto.Signer, error) {
	switch a {
	case profile.P256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case profile.P384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case profile.Ed25519:
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return k, err
	case profile.RSA:
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return nil, profile.ErrAlgorithm
}
