package act

import (
	"crypto/sha256"
	"slices"

	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/identity"
)

// Bounds of lists inside statements.
const (
	maxFounders = 16
	maxKeys     = 8
	maxRoles    = 4
	maxOrigins  = 16
	maxFacts    = 32
	maxScopes   = 16
)

// Whether a passkey can leave its device (WebAuthn L3 §6.1.3, flag BE).
const (
	SingleDevice = "single-device" // BE clear
	MultiDevice  = "multi-device"  // BE set
)

// What is known about the authenticator's model.
const (
	AttestationNone     = "none"     // the AAGUID is a claim
	AttestationSelf     = "self"     // likewise
	AttestationVerified = "verified" // a chain to a trusted root was verified at registration
)

// KeyRecord is a passkey as an act names it.
type KeyRecord struct {
	COSE        []byte // the COSE_Key, CTAP2 canonical
	AAGUID      [16]byte
	Backup      string // SingleDevice or MultiDevice
	Attestation string // AttestationNone, AttestationSelf or AttestationVerified
}

// ID names the key: the SHA-256 of its COSE_Key.
func (r *KeyRecord) ID() Hash { return sha256.Sum256(r.COSE) }

func (r *KeyRecord) fields(c *codec) {
	c.opaque("cose_key", &r.COSE, 1, assertion.MaxKeySize)
	aaguid := r.AAGUID[:]
	c.opaque("aaguid", &aaguid, 16, 16)
	if c.err == nil {
		r.AAGUID = [16]byte(aaguid)
	}
	str(c, "backup", &r.Backup, len(SingleDevice))
	str(c, "attestation", &r.Attestation, len(AttestationVerified))
}

func (r *KeyRecord) check(k *checks) {
	_, err := assertion.ParseKey(r.COSE)
	k.that(err == nil, "cose_key", "not acceptable")
	k.oneOf("backup", r.Backup, SingleDevice, MultiDevice)
	k.oneOf("attestation", r.Attestation, AttestationNone, AttestationSelf, AttestationVerified)
}

func checkKeys(k *checks, keys []KeyRecord, least int) {
	k.that(len(keys) >= least && len(keys) <= maxKeys, "keys", "too few or too many")
	for i := range keys {
		keys[i].check(k)
	}
	if k.err == nil {
		rising(k, "keys", keys, func(r KeyRecord) string { return string(r.COSE) })
	}
}

func keyFields(c *codec, r *KeyRecord) { r.fields(c) }

// Settings are the facts about a deployment that every verifier needs.
type Settings struct {
	// Origins are the web origins at which acts and signatures may be made.
	Origins []string
	// LogOrigin and LogKey are the origin line and the verifier key of the
	// transparency log (C2SP signed-note). LogKey may be empty in genesis.
	LogOrigin string
	LogKey    string
	// Policy is the version of the practice statement in force.
	Policy string
}

func (s *Settings) fields(c *codec) {
	texts(c, "origins", &s.Origins, maxOrigins, 255)
	str(c, "log_origin", &s.LogOrigin, 255)
	str(c, "log_key", &s.LogKey, 512)
	str(c, "policy", &s.Policy, 64)
}

func (s *Settings) check(k *checks) {
	k.that(len(s.Origins) > 0 && len(s.Origins) <= maxOrigins, "origins", "none or too many")
	for _, o := range s.Origins {
		k.origin("origins[]", o)
	}
	rising(k, "origins", s.Origins, func(o string) string { return o })
	k.printable("log_origin", s.LogOrigin, 255)
	if s.LogKey != "" {
		k.printable("log_key", s.LogKey, 512)
	}
	k.token("policy", s.Policy, 64)
}

// Genesis begins a deployment (design decision D20): it appoints the first
// administrator, registrar and supervisor and is signed by every key it lists.
// Its hash is the trust anchor of everything else.
type Genesis struct {
	// Name is the public name of the deployment.
	Name string
	// RPID is the WebAuthn relying party id. It can never change.
	RPID string
	Settings
	// Founders are listed in rising order of their identifiers.
	Founders []Founder
}

// Founder is one of the first people.
type Founder struct {
	Person identity.PersonID
	Roles  []Role // of Administrator, Registrar, Supervisor, in rising order
	Keys   []KeyRecord
}

// Kind returns KindGenesis.
func (*Genesis) Kind() Kind { return KindGenesis }

func (g *Genesis) fields(c *codec) {
	str(c, "name", &g.Name, 128)
	str(c, "rp_id", &g.RPID, 253)
	g.Settings.fields(c)
	list(c, "founders", &g.Founders, maxFounders, func(c *codec, f *Founder) {
		str(c, "person", &f.Person, maxID)
		texts(c, "roles", &f.Roles, maxRoles, 20)
		list(c, "keys", &f.Keys, maxKeys, keyFields)
	})
}

// check holds the rules of D20: at least two people, no key twice, every role
// filled, and a supervisor who is neither administrator nor registrar, without
// whom nothing could ever be approved.
func (g *Genesis) check(k *checks) {
	k.text("name", g.Name, 128)
	k.host("rp_id", g.RPID)
	g.Settings.check(k)
	k.that(len(g.Founders) >= 2 && len(g.Founders) <= maxFounders, "founders", "fewer than two people, or too many")
	rising(k, "founders", g.Founders, func(f Founder) string { return string(f.Person) })
	seen := map[string]bool{}
	holders := map[Role]int{}
	independent := false
	for _, f := range g.Founders {
		k.person("person", f.Person)
		k.that(len(f.Roles) > 0, "roles", "none")
		rising(k, "roles", f.Roles, func(r Role) string { return string(r) })
		for _, r := range f.Roles {
			k.oneOf("roles[]", string(r), string(Administrator), string(Registrar), string(Supervisor))
			holders[r]++
		}
		independent = independent || slices.Equal(f.Roles, []Role{Supervisor})
		checkKeys(k, f.Keys, 1)
		for _, key := range f.Keys {
			k.that(!seen[string(key.COSE)], "keys", "a key of two people")
			seen[string(key.COSE)] = true
		}
	}
	k.that(holders[Administrator] > 0 && holders[Registrar] > 0, "founders", "no administrator or no registrar")
	k.that(independent, "founders", "no supervisor who holds no other role")
}

func (g *Genesis) signers() []signer {
	var out []signer
	for i := range g.Founders {
		for j := range g.Founders[i].Keys {
			out = append(out, signer{person: g.Founders[i].Person, fresh: &g.Founders[i].Keys[j]})
		}
	}
	return out
}

// Amendment replaces the settings of a deployment, for instance after the
// transparency log continued under a new origin. It takes effect when a
// supervisor approves it.
type Amendment struct {
	Settings
	Proposer identity.PersonID // an administrator
}

// Kind returns KindAmendment.
func (*Amendment) Kind() Kind { return KindAmendment }

func (a *Amendment) fields(c *codec) {
	a.Settings.fields(c)
	str(c, "proposer", &a.Proposer, maxID)
}

func (a *Amendment) check(k *checks) {
	a.Settings.check(k)
	k.person("proposer", a.Proposer)
}

func (a *Amendment) signers() []signer { return []signer{{person: a.Proposer}} }
