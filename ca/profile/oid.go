package profile

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// DocumentationArc is the private enterprise number that RFC 5612 reserves for
// documentation. Demonstrations and tests use it; production refuses it.
const DocumentationArc = "1.3.6.1.4.1.32473"

// enterprisePrefix is iso.org.dod.internet.private.enterprise.
const enterprisePrefix = "1.3.6.1.4.1."

// ErrArc reports an object identifier arc that policies may not stand under.
var ErrArc = errors.New("profile: unusable object identifier arc")

// Arc is the registered arc under which this deployment's policies stand:
// arc.1.1.P.V for version V of profile P, arc.1.2.V for the time-stamp policy.
type Arc struct{ oid asn1.ObjectIdentifier }

// ParseArc reads a dotted private enterprise arc ("1.3.6.1.4.1.N"). With
// production set it refuses [DocumentationArc]. Errors match [ErrArc].
func ParseArc(s string, production bool) (Arc, error) {
	rest, ok := strings.CutPrefix(s, enterprisePrefix)
	if !ok {
		return Arc{}, fmt.Errorf("%w: want %sN, a private enterprise number", ErrArc, enterprisePrefix)
	}
	n, err := strconv.ParseInt(rest, 10, 32)
	if err != nil || n < 1 || rest != strconv.FormatInt(n, 10) {
		return Arc{}, fmt.Errorf("%w: %q is not one positive number", ErrArc, rest)
	}
	if production && s == DocumentationArc {
		return Arc{}, fmt.Errorf("%w: %s is reserved for documentation; register an enterprise number with IANA", ErrArc, s)
	}
	return Arc{oid: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, int(n)}}, nil
}

// String returns the dotted form.
func (a Arc) String() string { return a.oid.String() }

// Policy returns the certificate policy of a profile: arc.1.1.P.V.
func (a Arc) Policy(p Profile) asn1.ObjectIdentifier { return a.under(1, 1, p.Arc, p.Version) }

// TimeStampPolicy returns the TSA policy of RFC 3161 §2.4.1: arc.1.2.1.
func (a Arc) TimeStampPolicy() asn1.ObjectIdentifier { return a.under(1, 2, 1) }

func (a Arc) under(n ...int) asn1.ObjectIdentifier {
	oid := make(asn1.ObjectIdentifier, 0, len(a.oid)+len(n))
	return append(append(oid, a.oid...), n...)
}

// Extended key usages.
const (
	ekuDocumentSigning   = "1.3.6.1.5.5.7.3.36"      // RFC 9336
	ekuMSDocumentSigning = "1.3.6.1.4.1.311.10.3.12" // read by desktop PDF and office programs
	ekuTimeStamping      = "1.3.6.1.5.5.7.3.8"       // RFC 3161 §2.3
	ekuOCSPSigning       = "1.3.6.1.5.5.7.3.9"       // RFC 6960 §4.2.2.2
)

// semanticsNatural says how to read the subject's serialNumber (EN 319 412-1
// §5.1.3). It is not a statement of quality.
const semanticsNatural = "0.4.0.194121.1.1"

// mustOID turns a dotted constant of this package into an object identifier.
func mustOID(s string) asn1.ObjectIdentifier {
	var oid asn1.ObjectIdentifier
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.Atoi(part)
		if err != nil {
			panic("profile: bad object identifier constant " + s)
		}
		oid = append(oid, n)
	}
	return oid
}
