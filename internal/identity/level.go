package identity

import (
	"errors"
	"fmt"
	"strings"
)

// Level is an assurance level, N0 to N3, ordered. It is computed from the
// present ceremony and state and never stored as a label of a session.
type Level int

// The levels: self-asserted contact; document data matched remotely; original
// document seen at a counter; supervisor's approval and device-bound keys.
const (
	N0 Level = iota
	N1
	N2
	N3
)

// acrPrefix begins the published authentication context class references.
const acrPrefix = "urn:suti:acr:n"

// Additional acr values of the OpenID Connect EAP ACR Values draft:
// phishing-resistant, and phishing-resistant hardware-protected.
const (
	ACRPhishingResistant         = "phr"
	ACRPhishingResistantHardware = "phrh"
)

// ErrLevel reports an unknown level or acr value.
var ErrLevel = errors.New("identity: unknown assurance level")

// Valid reports whether l is one of N0 to N3.
func (l Level) Valid() bool { return l >= N0 && l <= N3 }

// String returns "N0" to "N3".
func (l Level) String() string {
	if !l.Valid() {
		return fmt.Sprintf("N?(%d)", int(l))
	}
	return fmt.Sprintf("N%d", int(l))
}

// ACR returns the published acr value, for instance "urn:suti:acr:n2".
func (l Level) ACR() string { return fmt.Sprintf("%s%d", acrPrefix, int(l)) }

// ParseACR returns the level of a published acr value, or [ErrLevel].
func ParseACR(acr string) (Level, error) {
	d, ok := strings.CutPrefix(acr, acrPrefix)
	if !ok || len(d) != 1 || d[0] < '0' || d[0] > '3' {
		return N0, ErrLevel
	}
	return Level(d[0] - '0'), nil
}

// EvidenceClass says how a signature was activated; every report shows it.
type EvidenceClass string

const (
	// Llave: the signer's own passkey signed the challenge.
	Llave EvidenceClass = "llave"
	// Ventanilla: card cell and password at a staffed counter, a registrar attesting presence.
	Ventanilla EvidenceClass = "ventanilla"
)

// Valid reports whether c is a known class.
func (c EvidenceClass) Valid() bool { return c == Llave || c == Ventanilla }
