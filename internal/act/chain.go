package act

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"slices"
	"time"

	"oruro.gob.bo/suti/internal/assertion"
	"oruro.gob.bo/suti/internal/identity"
)

// MaxActs bounds the acts of one chain.
const MaxActs = 100_000

// ApprovalTerm is how long an act may wait for its approval.
const ApprovalTerm = 30 * 24 * time.Hour

// rules are the rules of authority that a test may break on purpose, to show
// that the search for takeovers would notice. The zero value is the rules.
type rules struct {
	noApproval     bool // acts take effect at once
	selfApproval   bool // a proposer may approve
	anyKeySigns    bool // any accepted key signs in anybody's name
	rolesUnchecked bool // staff need not hold the role in which they act
}

// Chain is what a set of acts adds up to. It is immutable and safe for
// concurrent use; [Chain.Extend] returns a new one.
//
// Acts are taken in order of their time, then of their hash, each judged by
// the state that the earlier ones left, so authority can never run in a
// circle. An act that is refused changes nothing and is listed in
// [Chain.Refusals].
type Chain struct {
	pinned  Hash
	rules   rules
	entries []*entry
	memo    *memo
	state
}

// entry is one act with what became of it.
type entry struct {
	act      *Signed
	relies   []int // entries without which it would not stand
	approval int   // the entry that approved it, or -1
	waiting  bool
	refusal  *Refusal
}

// state is what the acts taken so far add up to.
type state struct {
	began        time.Time
	rpID         string
	settings     []settingsAt
	keys         map[Hash]*boundKey
	people       map[identity.PersonID]*person
	roles        map[identity.PersonID][]*role
	appointments map[identity.AppointmentID]*appointment
	posts        map[identity.PostID][]*appointment
	presences    map[Hash][]*presence
	byHash       map[Hash]int
	ids          map[identity.ActID]bool
}

type settingsAt struct {
	Settings
	from  time.Time
	entry int
}

// span is a half-open interval [from, to); a zero to is open.
type span struct{ from, to time.Time }

// at says where a time lies: nil inside, else ErrNotYet or ErrEnded.
func (s span) at(t time.Time) error {
	switch {
	case t.Before(s.from):
		return ErrNotYet
	case !s.to.IsZero() && !t.Before(s.to):
		return ErrEnded
	}
	return nil
}

// end closes the span at t unless it closes earlier.
func (s *span) end(t time.Time) {
	if s.to.IsZero() || t.Before(s.to) {
		s.to = t
	}
}

// overlaps reports whether two spans share an instant.
func (s span) overlaps(o span) bool {
	return (s.to.IsZero() || o.from.Before(s.to)) && (o.to.IsZero() || s.from.Before(o.to))
}

// boundKey is a key that belongs to a person for good. A later enrolment of
// the same person may name it again, for instance at a higher level.
type boundKey struct {
	id     Hash
	person identity.PersonID
	ended  time.Time // zero: not ended
	grants []keyGrant
}

// keyGrant is what one act says about a key.
type keyGrant struct {
	record KeyRecord
	level  identity.Level
	span
	entry int
}

// at returns the latest grant in effect at t, or ErrNotYet or ErrEnded.
func (k *boundKey) at(t time.Time) (*keyGrant, error) {
	if !k.ended.IsZero() && !t.Before(k.ended) {
		return nil, ErrEnded
	}
	var last error
	for i := range slices.Backward(k.grants) {
		if last = k.grants[i].at(t); last == nil {
			return &k.grants[i], nil
		}
	}
	return nil, last
}

// end ends the key at t unless it has ended earlier.
func (k *boundKey) end(t time.Time) {
	if k.ended.IsZero() || t.Before(k.ended) {
		k.ended = t
	}
}

type enrolled struct {
	level identity.Level
	from  time.Time
	entry int
}

type person struct {
	enrolments  []enrolled
	keys        []*boundKey
	suspensions []*suspension
}

type suspension struct {
	span
	act    Hash
	person identity.PersonID
}

type role struct {
	person      identity.PersonID
	role        Role
	institution identity.InstitutionID
	span
	entry int
}

type appointment struct {
	body *Appointment
	span
	entry int
}

type presence struct {
	body  *Presence
	at    time.Time
	entry int
}

// memo remembers assertions that verified, so that extending a chain does not
// verify them again. It is shared by the chains extended from one another.
type memo struct{ seen map[Hash]bool }

// Build judges a set of acts under a pinned genesis hash. The genesis act must
// be among them. It returns a [Refusal] matching [ErrGenesis] if that act is
// missing or not sound, and [ErrSize] for more than [MaxActs] acts; other acts
// that are not sound are only listed in [Chain.Refusals].
func Build(pinned Hash, acts []*Signed) (*Chain, error) {
	return build(pinned, acts, rules{}, &memo{seen: map[Hash]bool{}})
}

// Extend judges the acts of c and more together, as if they had come at once:
// an act that arrives late may take away what later acts rested on.
func (c *Chain) Extend(acts ...*Signed) (*Chain, error) {
	all := make([]*Signed, 0, len(c.entries)+len(acts))
	for _, e := range c.entries {
		all = append(all, e.act)
	}
	m := &memo{seen: make(map[Hash]bool, len(c.memo.seen))}
	for h := range c.memo.seen {
		m.seen[h] = true
	}
	return build(c.pinned, append(all, acts...), c.rules, m)
}

func build(pinned Hash, acts []*Signed, r rules, m *memo) (*Chain, error) {
	if len(acts) > MaxActs {
		return nil, ErrSize
	}
	c := &Chain{pinned: pinned, rules: r, memo: m, state: state{
		roles: map[identity.PersonID][]*role{},
		keys:  map[Hash]*boundKey{}, people: map[identity.PersonID]*person{},
		appointments: map[identity.AppointmentID]*appointment{}, posts: map[identity.PostID][]*appointment{},
		presences: map[Hash][]*presence{}, byHash: map[Hash]int{}, ids: map[identity.ActID]bool{},
	}}
	first := slices.IndexFunc(acts, func(s *Signed) bool { return s.hash == pinned })
	if first < 0 {
		return nil, refuse(ErrGenesis, "no act with the pinned hash %v", pinned)
	}
	if err := c.begin(acts[first]); err != nil {
		return nil, err
	}
	rest := slices.Delete(slices.Clone(acts), first, first+1)
	slices.SortStableFunc(rest, func(a, b *Signed) int {
		return cmp.Or(a.statement.At.Compare(b.statement.At), bytes.Compare(a.hash[:], b.hash[:]))
	})
	for _, s := range rest {
		c.take(s)
	}
	return c, nil
}

// begin takes the genesis act, which every key it lists must have signed.
func (c *Chain) begin(s *Signed) error {
	g, ok := s.statement.Body.(*Genesis)
	if !ok {
		return refuse(ErrGenesis, "the pinned act is of another kind")
	}
	c.began, c.rpID = s.statement.At, g.RPID
	c.settings = []settingsAt{{Settings: g.Settings, from: s.statement.At}}
	e := &entry{act: s, approval: -1}
	if _, err := c.signatures(s); err != nil {
		return &Refusal{Act: s.hash, ID: s.statement.ID, Kind: KindGenesis, Reason: joinReason(ErrGenesis, err), Missing: missing(err)}
	}
	c.entries = []*entry{e}
	c.byHash[s.hash], c.ids[s.statement.ID] = 0, true
	for _, f := range g.Founders {
		p := c.person(f.Person)
		p.enrolments = append(p.enrolments, enrolled{level: identity.N3, from: s.statement.At})
		for _, k := range f.Keys {
			c.bind(k, f.Person, identity.N3, span{from: s.statement.At}, 0)
		}
		for _, r := range f.Roles {
			c.roles[f.Person] = append(c.roles[f.Person], &role{person: f.Person, role: r, span: span{from: s.statement.At}})
		}
	}
	return nil
}

// take judges one act and, if it stands, lets it work.
func (c *Chain) take(s *Signed) {
	i := len(c.entries)
	e := &entry{act: s, approval: -1}
	c.entries = append(c.entries, e)
	err := c.judge(i, e)
	if err == nil {
		c.byHash[s.hash], c.ids[s.statement.ID] = i, true
		return
	}
	e.refusal = &Refusal{Act: s.hash, ID: s.statement.ID, Kind: s.statement.Body.Kind(), Reason: reason(err), Missing: missing(err)}
}

// judge checks what is common to all acts, then the rules of its kind.
func (c *Chain) judge(i int, e *entry) error {
	st := e.act.statement
	switch {
	case st.Body.Kind() == KindGenesis:
		return refuse(ErrGenesis, "a second genesis act")
	case st.Genesis != c.pinned:
		return ErrForeign
	case !st.At.After(c.began):
		return refuse(ErrTime, "not after genesis")
	case c.ids[st.ID]:
		return refuse(ErrDuplicate, "an act with this identifier")
	}
	relies, err := c.signatures(e.act)
	if err != nil {
		return err
	}
	e.relies = relies
	return c.rule(i, e)
}

// signatures checks that an act carries exactly the signatures that its body
// asks for and that each verifies. It returns the entries that the keys rest on.
func (c *Chain) signatures(s *Signed) (relies []int, err error) {
	want := s.statement.Body.signers()
	if len(want) != len(s.signatures) {
		return nil, refuse(ErrSignatures, "%d signatures, want %d", len(s.signatures), len(want))
	}
	used := make([]bool, len(s.signatures))
	for _, w := range want {
		i := slices.IndexFunc(s.signatures, func(g Signature) bool { return w.matches(g) })
		if i < 0 || used[i] {
			return nil, refuse(ErrSignatures, "signature of %s", w.role())
		}
		used[i] = true
		record := w.fresh
		if record == nil {
			g, err := c.acceptedKey(s.signatures[i].Key, w.person, s.statement.At)
			if err != nil {
				return nil, err
			}
			relies = append(relies, g.entry)
			record = &g.record
		}
		if err := c.verify(s, s.signatures[i], record); err != nil {
			return nil, err
		}
	}
	if last := c.settings[len(c.settings)-1].entry; last != 0 {
		relies = append(relies, last)
	}
	return relies, nil
}

// matches reports whether g is the signature that w asks for.
func (w signer) matches(g Signature) bool {
	switch {
	case g.Person != w.person:
		return false
	case w.fresh != nil:
		return g.Key == w.fresh.ID()
	case w.id != nil:
		return g.Key == *w.id
	}
	return true
}

func (w signer) role() string {
	if w.fresh != nil {
		return "a key listed in the act"
	}
	return "the author"
}

// verify checks one passkey's signature on a statement.
func (c *Chain) verify(s *Signed, g Signature, record *KeyRecord) error {
	origins := c.settings[len(c.settings)-1].Origins
	mark := sha256.New()
	for _, part := range [][]byte{s.hash[:], record.COSE, []byte(record.Backup), g.AuthenticatorData, g.ClientDataJSON, g.Signature} {
		sum := sha256.Sum256(part)
		mark.Write(sum[:])
	}
	for _, o := range origins {
		sum := sha256.Sum256([]byte(o))
		mark.Write(sum[:])
	}
	key := Hash(mark.Sum(nil))
	if c.memo.seen[key] {
		return nil
	}
	v, err := assertion.Verify(g.Response, assertion.Expected{
		RPID: c.rpID, Origins: origins, Challenge: s.hash[:], PublicKey: record.COSE, RequireUV: true,
	})
	if err != nil {
		return &Refusal{Reason: joinReason(ErrSignature, err)}
	}
	if v.BE() != (record.Backup == MultiDevice) {
		return ErrBackup
	}
	c.memo.seen[key] = true
	return nil
}
