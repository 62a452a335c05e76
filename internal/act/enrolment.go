package act

import (
	"time"

	"oruro.gob.bo/suti/internal/identity"
)

// Enrolment declares that a registrar saw a person, at which level, and which
// passkeys are theirs. It is signed by the registrar and by every key it
// lists, and takes effect when a second member of staff approves it.
type Enrolment struct {
	Person identity.PersonID
	Level  identity.Level // N1 to N3
	// Keys may be empty: the person then signs at the counter only.
	Keys []KeyRecord
	// Facts are commitments to what was checked, in rising order of their labels.
	Facts     []Fact
	Registrar identity.PersonID
	Site      string // where, a token; may be empty
	Policy    string // version of the practice statement
	// Replaces ends all earlier keys of the person when this act takes effect.
	Replaces bool
	// ValidFrom holds the keys back until then; zero means at once.
	ValidFrom time.Time
	// ValidTo ends them; zero means never.
	ValidTo time.Time
}

// Kind returns KindEnrolment.
func (*Enrolment) Kind() Kind { return KindEnrolment }

func (e *Enrolment) fields(c *codec) {
	str(c, "person", &e.Person, maxID)
	level(c, &e.Level)
	list(c, "keys", &e.Keys, maxKeys, keyFields)
	list(c, "facts", &e.Facts, maxFacts, func(c *codec, f *Fact) {
		str(c, "label", &f.Label, 40)
		c.hash("commitment", &f.Commit)
	})
	str(c, "registrar", &e.Registrar, maxID)
	str(c, "site", &e.Site, 64)
	str(c, "policy", &e.Policy, 64)
	c.flag("replaces", &e.Replaces)
	c.instant("valid_from", &e.ValidFrom)
	c.instant("valid_to", &e.ValidTo)
}

// level is a text field, "N0" to "N3".
func level(c *codec, v *identity.Level) {
	s := v.String()
	str(c, "level", &s, 4)
	if !c.reading || c.err != nil {
		return
	}
	if len(s) != 2 || s[0] != 'N' || s[1] < '0' || s[1] > '3' {
		c.fail(ErrValue, "level", "unknown value")
		return
	}
	*v = identity.Level(s[1] - '0')
}

func checkLevel(k *checks, l identity.Level) {
	k.that(l >= identity.N1 && l <= identity.N3, "level", "not N1, N2 or N3")
}

func (e *Enrolment) check(k *checks) {
	k.person("person", e.Person)
	checkLevel(k, e.Level)
	checkKeys(k, e.Keys, 0)
	k.that(len(e.Facts) <= maxFacts, "facts", "too many")
	for _, f := range e.Facts {
		k.label("label", f.Label)
		k.that(!f.Commit.IsZero(), "commitment", "zero")
	}
	rising(k, "facts", e.Facts, func(f Fact) string { return f.Label })
	k.person("registrar", e.Registrar)
	if e.Site != "" {
		k.token("site", e.Site, 64)
	}
	k.token("policy", e.Policy, 64)
	k.interval("valid_to", e.ValidFrom, e.ValidTo)
}

func (e *Enrolment) signers() []signer {
	out := []signer{{person: e.Registrar}}
	for i := range e.Keys {
		out = append(out, signer{person: e.Person, fresh: &e.Keys[i]})
	}
	return out
}

// KeyAddition gives a person one more passkey. An earlier key of the same
// person signs it, and the new key does; nobody has to approve it.
type KeyAddition struct {
	Person    identity.PersonID
	Earlier   Hash // the KeyID of the earlier key
	Key       KeyRecord
	Level     identity.Level // at most that of the earlier key
	ValidFrom time.Time      // zero: at once
	ValidTo   time.Time      // zero: never
}

// Kind returns KindKeyAddition.
func (*KeyAddition) Kind() Kind { return KindKeyAddition }

func (a *KeyAddition) fields(c *codec) {
	str(c, "person", &a.Person, maxID)
	c.hash("earlier_key", &a.Earlier)
	a.Key.fields(c)
	level(c, &a.Level)
	c.instant("valid_from", &a.ValidFrom)
	c.instant("valid_to", &a.ValidTo)
}

func (a *KeyAddition) check(k *checks) {
	k.person("person", a.Person)
	a.Key.check(k)
	checkLevel(k, a.Level)
	k.that(k.err != nil || a.Key.ID() != a.Earlier, "earlier_key", "the key itself")
	k.interval("valid_to", a.ValidFrom, a.ValidTo)
}

func (a *KeyAddition) signers() []signer {
	return []signer{{person: a.Person, id: &a.Earlier}, {person: a.Person, fresh: &a.Key}}
}

// Presence is the counter-attestation of decision D13: a registrar declares
// that the person stood at the counter, that the document was read to them,
// and that their card cell and password were accepted for exactly this
// challenge. It attests presence; it is not the person's signature.
type Presence struct {
	Person    identity.PersonID
	Registrar identity.PersonID
	Site      string // where, a token
	RequestID string
	Challenge Hash   // of the activation: SHA-256 of its preimage
	Card      Fact   // commitment to card, cell and the result of their check
	Language  string // BCP 47 tag of the language it was read in
}

// Kind returns KindPresence.
func (*Presence) Kind() Kind { return KindPresence }

func (p *Presence) fields(c *codec) {
	str(c, "person", &p.Person, maxID)
	str(c, "registrar", &p.Registrar, maxID)
	str(c, "site", &p.Site, 64)
	str(c, "request_id", &p.RequestID, maxRequestID)
	c.hash("challenge", &p.Challenge)
	str(c, "card_label", &p.Card.Label, 40)
	c.hash("card_commitment", &p.Card.Commit)
	str(c, "language", &p.Language, 35)
}

func (p *Presence) check(k *checks) {
	k.person("person", p.Person)
	k.person("registrar", p.Registrar)
	k.token("site", p.Site, 64)
	k.token("request_id", p.RequestID, maxRequestID)
	k.that(!p.Challenge.IsZero(), "challenge", "zero")
	k.label("card_label", p.Card.Label)
	k.that(!p.Card.Commit.IsZero(), "card_commitment", "zero")
	k.token("language", p.Language, 35)
}

func (p *Presence) signers() []signer { return []signer{{person: p.Registrar}} }
