package audit

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
)

// Outcomes. Contexts may use others of the same form: 1 to 32 lower-case
// letters, digits and hyphens.
const (
	// OutcomeIntent opens an intent: exactly one later entry MUST close it.
	OutcomeIntent    = "intent"
	OutcomeOK        = "ok"
	OutcomeRefused   = "refused"
	OutcomeFailed    = "failed"
	OutcomeAbandoned = "abandoned" // closed by recovery after a crash
)

// Limits of an entry, in bytes.
const (
	MaxText    = 300
	MaxPayload = 64 << 10
	MaxBody    = 1024
	maxKind    = 64
)

// Entry is what a caller says happened. The clear fields hold identifiers and
// coarse words only: they outlive an erasure. What tells about a person goes
// into Payload.
type Entry struct {
	// Kind says what happened: dotted lower-case words, the first of which is
	// the context ("idp.login"). It decides the public class: see [ClassOf].
	Kind string
	// Subject is the person whose datum it is, who will see the entry; or empty.
	Subject identity.PersonID
	// Actor is who did it: a person's id, "client:…", "service:…"; may be empty.
	Actor string
	// Client, Institution and Purpose are the application, the institution on
	// whose behalf it acted, and the stated purpose; may be empty.
	Client, Institution, Purpose string
	// Intent is the id of the intent that this entry closes; or empty.
	Intent string
	// Outcome is required; [OutcomeIntent] opens an intent.
	Outcome string
	// Object is the id of the thing acted on; may be empty.
	Object string
	// Payload is encoded as JSON, at most 64 KiB, and sealed under the subject's
	// data key, or under the system's if there is no subject; may be nil.
	Payload any
	// Leaf is the entry's body, at most 1024 bytes: what a third party may be
	// shown and finds committed in the log, for instance a certificate's
	// SHA-256. It MUST NOT identify a person; may be nil. For class log it
	// stands in the leaf in clear and follows [logverify.CheckPublic].
	Leaf []byte
}

// PrefixEntry is the prefix of the ids of entries (see [identity.NewID]).
const PrefixEntry = "aud"

// Prepared is an entry ready for one logical write. Its id, time, salts and
// commitment are fixed, so that a closure that runs again appends the same row.
type Prepared struct {
	row row
}

// ID returns the id that the entry will have, for instance to name an intent.
func (p *Prepared) ID() string { return p.row.ID }

// At returns the time that the entry tells, in microseconds.
func (p *Prepared) At() time.Time { return p.row.at() }

// String returns the id: a Prepared holds salts, which must not be printed.
func (p *Prepared) String() string { return "audit entry " + p.row.ID }

// LogValue returns the id.
func (p *Prepared) LogValue() slog.Value { return slog.StringValue(p.String()) }

// row is an audit_entry as stored. At is in microseconds since the Unix epoch.
type row struct {
	ID          string
	Class       logverify.Class
	Kind        string
	Subject     string
	Actor       string
	Client      string
	Institution string
	Purpose     string
	At          int64
	Intent      string
	Outcome     string
	Object      string
	HeaderSalt  logverify.Salt
	Body        []byte
	BodySalt    logverify.Salt
	Owner       string
	Sealed      []byte // nil once erased
	ContentHash logverify.Hash
	Commitment  logverify.Hash
	LogNumber   int64 // 0 while pending
	LeafIndex   int64 // -1 while pending
}

func (r *row) at() time.Time { return time.UnixMicro(r.At).UTC() }

func (r *row) header() logverify.Header {
	return logverify.Header{
		ID: r.ID, Class: r.Class, Kind: r.Kind, Subject: r.Subject, Actor: r.Actor, Client: r.Client,
		Institution: r.Institution, Purpose: r.Purpose, Time: r.at(), Intent: r.Intent, Outcome: r.Outcome, Object: r.Object,
	}
}

// parts recomputes the hashes under the commitment from what is stored.
func (r *row) parts() logverify.Parts {
	return logverify.Parts{
		Header:  r.header().Hash(r.HeaderSalt),
		Body:    logverify.BodyHash(r.BodySalt, r.Body),
		Content: r.ContentHash,
	}
}

// leaf returns the bytes of the row's leaf.
func (r *row) leaf() ([]byte, error) {
	l := logverify.Leaf{Class: r.Class, Time: r.at(), Commitment: r.Commitment}
	if r.Class == logverify.ClassLog {
		l.Public = string(r.Body)
	}
	b, err := l.Marshal()
	if err != nil {
		return nil, fmt.Errorf("%w: entry %s: %w", ErrCorrupt, r.ID, err)
	}
	return b, nil
}

// place is the associated data of the sealed content.
func (r *row) place() []byte { return envelope.Place("audit_entry", "sealed", r.ID) }

// Prepare checks e, draws its id and salts, seals the payload and computes the
// commitment. It does cryptography and may create the subject's data key, so
// it MUST be called outside any transaction, as late as may be: the entry's
// time is now. Errors: [ErrEntry], [ErrErased] if the subject was erased.
func (l *Log) Prepare(ctx context.Context, e Entry) (*Prepared, error) {
	class, err := checkEntry(&e)
	if err != nil {
		return nil, err
	}
	var content []byte
	if e.Payload != nil {
		if content, err = json.Marshal(e.Payload); err != nil {
			return nil, fmt.Errorf("%w: payload of %s: %w", ErrEntry, e.Kind, err)
		}
		if len(content) > MaxPayload {
			return nil, fmt.Errorf("%w: payload of %d bytes, limit %d", ErrEntry, len(content), MaxPayload)
		}
	}
	now := l.now()
	if now.UnixMicro() < 0 {
		return nil, fmt.Errorf("%w: the clock stands before 1970", ErrEntry)
	}
	owner := SystemOwner
	if e.Subject != "" {
		owner = string(e.Subject)
	}
	key, err := l.dataKey(ctx, owner)
	if err != nil {
		return nil, err
	}
	r := row{
		ID: identity.NewID(PrefixEntry, now), Class: class, Kind: e.Kind, Subject: string(e.Subject), Actor: e.Actor,
		Client: e.Client, Institution: e.Institution, Purpose: e.Purpose, At: now.UnixMicro(), Intent: e.Intent,
		Outcome: e.Outcome, Object: e.Object, Body: append([]byte{}, e.Leaf...), Owner: owner, LeafIndex: -1,
	}
	var salt logverify.Salt
	_, _ = rand.Read(salt[:]) // crypto/rand.Read never returns an error (Go 1.24)
	_, _ = rand.Read(r.HeaderSalt[:])
	_, _ = rand.Read(r.BodySalt[:])
	r.ContentHash = logverify.ContentHash(salt, content)
	r.Commitment = r.parts().Commitment()
	r.Sealed = envelope.Seal(key, append(salt[:], content...), r.place())
	return &Prepared{r}, nil
}

// checkEntry returns the entry's class, or [ErrEntry].
func checkEntry(e *Entry) (logverify.Class, error) {
	class, err := ClassOf(e.Kind)
	if err != nil {
		return "", err
	}
	if e.Subject != "" {
		if err := identity.CheckID(identity.PrefixPerson, string(e.Subject)); err != nil {
			return "", fmt.Errorf("%w: subject of %s: %w", ErrEntry, e.Kind, err)
		}
	}
	if e.Intent != "" {
		if err := identity.CheckID(PrefixEntry, e.Intent); err != nil {
			return "", fmt.Errorf("%w: intent of %s: %w", ErrEntry, e.Kind, err)
		}
		if e.Outcome == OutcomeIntent {
			return "", fmt.Errorf("%w: %s both opens an intent and closes one", ErrEntry, e.Kind)
		}
	}
	if !isWord(e.Outcome, 32) {
		return "", fmt.Errorf("%w: %s needs an outcome", ErrEntry, e.Kind)
	}
	for name, s := range map[string]string{
		"actor": e.Actor, "client": e.Client, "institution": e.Institution, "purpose": e.Purpose, "object": e.Object,
	} {
		if len(s) > MaxText || !utf8.ValidString(s) || strings.ContainsFunc(s, isControl) {
			return "", fmt.Errorf("%w: %s of %s (%d bytes)", ErrEntry, name, e.Kind, len(s))
		}
	}
	if len(e.Leaf) > MaxBody {
		return "", fmt.Errorf("%w: body of %d bytes, limit %d", ErrEntry, len(e.Leaf), MaxBody)
	}
	if class == logverify.ClassLog {
		if err := logverify.CheckPublic(string(e.Leaf)); err != nil {
			return "", fmt.Errorf("%w: body of %s: %w", ErrEntry, e.Kind, err)
		}
	}
	return class, nil
}

func isControl(r rune) bool { return r < 0x20 || r >= 0x7f && r <= 0x9f }

// isWord reports whether s is 1 to limit lower-case letters, digits and hyphens.
func isWord(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// classRules gives the public class of a kind: the longest rule that is the
// kind or a dotted prefix of it decides.
var classRules = map[string]logverify.Class{
	"ca":                    logverify.ClassCertificate,
	"ca.key":                logverify.ClassKey,
	"ca.ceremony":           logverify.ClassKey,
	"tsa":                   logverify.ClassTimestamp,
	"tsa.key":               logverify.ClassKey,
	"signer":                logverify.ClassSignature,
	"signer.read":           logverify.ClassAccess,
	"enrolment":             logverify.ClassAct,
	"enrolment.account":     logverify.ClassAccount,
	"enrolment.passkey":     logverify.ClassAccount,
	"enrolment.recovery":    logverify.ClassAccount,
	"enrolment.card":        logverify.ClassAccount,
	"enrolment.appointment": logverify.ClassAppointment,
	"enrolment.post":        logverify.ClassAppointment,
	"enrolment.mandate":     logverify.ClassAppointment,
	"enrolment.read":        logverify.ClassAccess,
	"idp":                   logverify.ClassLogin,
	"idp.client":            logverify.ClassClient,
	"idp.token":             logverify.ClassToken,
	"idp.userinfo":          logverify.ClassAccess,
	"idp.key":               logverify.ClassKey,
	"key":                   logverify.ClassKey,
	"access":                logverify.ClassAccess,
	"operation":             logverify.ClassOperation,
	"audit":                 logverify.ClassLog,
	"audit.read":            logverify.ClassAccess,
}

// ClassOf returns the public class of a kind, or [ErrEntry] if the kind is
// malformed or its first word names no context.
func ClassOf(kind string) (logverify.Class, error) {
	words := strings.Split(kind, ".")
	if len(kind) > maxKind || len(words) < 2 {
		return "", fmt.Errorf("%w: kind of %d bytes and %d words", ErrEntry, len(kind), len(words))
	}
	for _, w := range words {
		if !isWord(w, maxKind) {
			return "", fmt.Errorf("%w: kind with a bad word", ErrEntry)
		}
	}
	for prefix := kind; ; {
		if c, ok := classRules[prefix]; ok {
			return c, nil
		}
		i := strings.LastIndexByte(prefix, '.')
		if i < 0 {
			return "", fmt.Errorf("%w: kind %q begins with no known context", ErrEntry, kind)
		}
		prefix = prefix[:i]
	}
}
