package act

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
)

var update = flag.Bool("update", false, "write the test vectors anew")

// A vector gives the fields of one encoding, in order, the bytes and their
// SHA-256, all in hexadecimal. A refused vector gives bytes and the reason.
type vector struct {
	Name   string        `json:"name"`
	Tag    string        `json:"tag"`
	Fields []vectorField `json:"fields"`
	Bytes  string        `json:"bytes"`
	SHA256 string        `json:"sha256"`
}

type vectorField struct {
	Name string `json:"name"`
	Hex  string `json:"hex"`
	Text string `json:"text,omitempty"` // the same bytes where they are printable ASCII
}

type refusedVector struct {
	Name   string `json:"name"`
	Bytes  string `json:"bytes"`
	Reason string `json:"reason"`
}

type vectorFile struct {
	Note    string          `json:"note"`
	Vectors []vector        `json:"vectors"`
	Refused []refusedVector `json:"refused"`
}

// tracer is a codec that records fields.
func tracer(tag string, fields *[]vectorField) *codec {
	c := writer(tag)
	c.trace = func(name string, v []byte) {
		f := vectorField{Name: name, Hex: hex.EncodeToString(v)}
		printable := len(v) > 0
		for _, b := range v {
			printable = printable && b >= ' ' && b <= '~'
		}
		if printable {
			f.Text = string(v)
		}
		*fields = append(*fields, f)
	}
	return c
}

func makeVector(t *testing.T, name, tag string, fields func(*codec), want []byte) vector {
	t.Helper()
	v := vector{Name: name, Tag: tag}
	c := tracer(tag, &v.Fields)
	fields(c)
	if c.err != nil || !bytes.Equal(c.b, want) {
		t.Fatalf("%s: the trace is not the encoding: %v", name, c.err)
	}
	sum := sha256.Sum256(want)
	v.Bytes, v.SHA256 = hex.EncodeToString(want), hex.EncodeToString(sum[:])
	return v
}

// compareFile compares got with a file of vectors, or writes it.
func compareFile(t *testing.T, name string, got any) {
	t.Helper()
	path := filepath.Join("testdata", name)
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(got); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(b.String(), string(want)); d != "" {
		t.Errorf("%s: the format has changed (-got +want):\n%.2000s", name, d)
	}
}

func hashOf(s string) Hash { return sha256.Sum256([]byte(s)) }

func signingExamples() map[string]Activation {
	common := Common{
		RequestID: "req_00000000000000000000000001", Person: personID(10),
		Expiry: testStart.Add(5 * time.Minute), Nonce: hashOf("nonce"),
	}
	doc := func(n string) Document {
		h := hashOf("byte range " + n)
		return Document{SHA256: hashOf("file " + n), ByteRange: h[:], Field: "Signature" + n}
	}
	one := &Signing{Common: common, Documents: []Document{doc("1")}}
	one.Certificate, one.Appointment = hashOf("certificate"), identity.AppointmentID(fixedID("apt", 1))
	citizen := &Signing{Common: common, Profile: "one-shot-natural", Policy: "1.3.6.1.4.1.99999.1.2", Documents: []Document{doc("2"), doc("1")}}
	wide := doc("3")
	wide.ByteRange, wide.Field = bytes.Repeat([]byte{0xab}, 48), "Formulario.Firma del Director"
	sha384 := &Signing{Common: common, Documents: []Document{wide}}
	sha384.Certificate = hashOf("certificate 384")
	csc := &HashSigning{
		Common: common, Credential: "cred-1", Client: "https://app.example.org", Object: ObjectAttributes,
		HashAlgorithm: OIDSHA256, SignAlgorithm: "1.2.840.10045.4.3.2",
		Hashes: []LabelledHash{{Hash: wide.SHA256[:], Label: "Resolución 1"}, {Hash: one.Documents[0].ByteRange}},
	}
	csc.Certificate = hashOf("certificate")
	return map[string]Activation{
		"official, certificate given": one, "citizen, certificate to be issued": citizen,
		"SHA-384 byte range": sha384, "hashes of an application": csc,
	}
}

func TestSigningVectors(t *testing.T) {
	t.Parallel()
	f := vectorFile{Note: "Signing challenges, docs/signing.md. bytes is the preimage, sha256 the WebAuthn challenge."}
	examples := signingExamples()
	for _, name := range []string{"official, certificate given", "citizen, certificate to be issued", "SHA-384 byte range", "hashes of an application"} {
		a := examples[name]
		raw, err := a.Preimage()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		switch s := a.(type) {
		case *Signing:
			f.Vectors = append(f.Vectors, makeVector(t, name, TagSigning, s.fields, raw))
		case *HashSigning:
			f.Vectors = append(f.Vectors, makeVector(t, name, TagHashSigning, s.fields, raw))
		}
		back, err := ParseActivation(raw)
		if err != nil {
			t.Fatalf("%s: parse: %v", name, err)
		}
		if d := cmp.Diff(back, a); d != "" {
			t.Errorf("%s: round trip (-got +want):\n%s", name, d)
		}
	}
	good, _ := examples["official, certificate given"].Preimage()
	tag := len(TagSigning) + 1
	for name, raw := range map[string][]byte{
		"byte left over":    append(bytes.Clone(good), 0),
		"last byte cut":     good[:len(good)-1],
		"tag of version 2":  append([]byte("suti/sign/v2\x00"), good[tag:]...),
		"no zero after tag": append([]byte("suti/sign/v1"), good[tag:]...),
		"tag of acts":       append([]byte("suti/act/v1\x00"), good[tag:]...),
		"empty":             {},
	} {
		f.Refused = append(f.Refused, refusedVector{Name: name, Bytes: hex.EncodeToString(raw), Reason: "encoding"})
	}
	f.Refused = append(f.Refused, refusedValues(t)...)
	sortRefused(f.Refused)
	for _, r := range f.Refused {
		raw, _ := hex.DecodeString(r.Bytes)
		if _, err := ParseActivation(raw); Code(err) != r.Reason {
			t.Errorf("refused %s: got %v, want %s", r.Name, err, r.Reason)
		}
	}
	compareFile(t, "signing.json", f)
}

// refusedValues are well-formed encodings of values that are not allowed.
func refusedValues(t *testing.T) []refusedVector {
	var out []refusedVector
	add := func(name string, change func(*Signing)) {
		s := *signingExamples()["official, certificate given"].(*Signing)
		change(&s)
		c := writer(TagSigning)
		s.fields(c)
		if c.err != nil {
			t.Fatalf("%s: %v", name, c.err)
		}
		out = append(out, refusedVector{Name: name, Bytes: hex.EncodeToString(c.b), Reason: "value"})
	}
	add("no documents", func(s *Signing) { s.Documents = nil })
	add("no expiry", func(s *Signing) { s.Expiry = time.Time{} })
	add("nonce of zeros", func(s *Signing) { s.Nonce = [32]byte{} })
	add("person of another kind", func(s *Signing) { s.Person = "ins_00000000000000000000000001" })
	add("request with a space", func(s *Signing) { s.RequestID = "req 1" })
	add("line break in the field name", func(s *Signing) { s.Documents[0].Field = "a\nb" })
	add("digest of 40 bytes", func(s *Signing) { s.Documents[0].ByteRange = make([]byte, 40) })
	add("neither certificate nor profile", func(s *Signing) { s.Certificate = Hash{} })
	return out
}

func sortRefused(r []refusedVector) {
	for i := range r {
		for j := i + 1; j < len(r); j++ {
			if r[j].Name < r[i].Name {
				r[i], r[j] = r[j], r[i]
			}
		}
	}
}

// examples returns one statement of every kind, in a world of fixed keys.
func exampleActs(t *testing.T) (*world, []*Signed, []string) {
	t.Helper()
	w := newWorld(t)
	names := []string{"genesis"}
	out := []*Signed{w.acts[0]}
	add := func(name string, s *Signed) *Signed {
		names, out = append(names, name), append(out, s)
		return s
	}
	m := w.member(10, "maria")
	e := add("enrolment", w.do(w.enrolment(m, identity.N3), w.registrar.signs(), m.signs()))
	add("approval", w.approve(e))
	second := &member{id: m.id, dev: newDevice(t, "second key", softauthn.EdDSA)}
	add("key-addition", w.do(&KeyAddition{
		Person: m.id, Earlier: m.dev.id(), Key: second.dev.record, Level: identity.N2, ValidTo: testStart.AddDate(5, 0, 0),
	}, m.signs(), second.signs()))
	ins := identity.InstitutionID(fixedID("ins", 1))
	g := add("role-grant", w.do(&RoleGrant{Person: m.id, Role: InstitutionAdmin, Institution: ins, Proposer: w.admin.id}, w.admin.signs()))
	w.approve(g)
	a := add("appointment", w.do(w.appointmentBody(m, 1), w.admin.signs()))
	w.approve(a)
	add("end of a key", w.do(&End{What: EndKey, Person: m.id, Key: second.dev.id(), Reason: "lost", By: m.id, Capacity: Holder}, m.signs()))
	add("end of a role", w.do(&End{What: EndRole, Person: m.id, Role: InstitutionAdmin, Institution: ins, Reason: "left", By: w.admin.id, Capacity: Administrator}, w.admin.signs()))
	add("end of an appointment", w.do(&End{
		What: EndAppointment, Person: m.id, Appointment: identity.AppointmentID(fixedID("apt", 1)), Reason: "removed", By: w.supervisor.id, Capacity: Supervisor,
	}, w.supervisor.signs()))
	add("presence", w.do(w.presence(m.id, hashOf("challenge")), w.registrar.signs()))
	s := add("suspension", w.do(&Suspension{Person: m.id, Reason: "suspicion", By: w.supervisor.id, Capacity: Supervisor}, w.supervisor.signs()))
	l := add("lift", w.do(&Lift{Suspension: s.Hash(), Person: m.id, Reason: "cleared", By: w.registrar.id, Capacity: Registrar}, w.registrar.signs()))
	w.approve(l)
	am := add("amendment", w.do(&Amendment{
		Settings: Settings{Origins: []string{testOrigin}, LogOrigin: "id.example.org/log2", LogKey: "id.example.org/log2+00000000+AAAA", Policy: "1.1"},
		Proposer: w.admin.id,
	}, w.admin.signs()))
	w.approve(am)
	return w, out, names
}

func TestActVectors(t *testing.T) {
	t.Parallel()
	w, acts, names := exampleActs(t)
	w.clean()
	f := vectorFile{Note: "Statements of signed acts, docs/acts.md. sha256 is the act's hash and the challenge of its signers. Then a signed act, a commitment, and bodies of log leaves."}
	for i, s := range acts {
		st := s.Statement()
		raw, err := st.Encode()
		if err != nil {
			t.Fatal(err)
		}
		f.Vectors = append(f.Vectors, makeVector(t, names[i], TagAct, st.fields, raw))
		back, err := ParseStatement(raw)
		if err != nil {
			t.Fatalf("%s: parse: %v", names[i], err)
		}
		if d := cmp.Diff(back, st); d != "" {
			t.Errorf("%s: round trip (-got +want):\n%s", names[i], d)
		}
	}
	raw, err := acts[0].Marshal()
	if err != nil {
		t.Fatal(err)
	}
	f.Vectors = append(f.Vectors, makeVector(t, "signed genesis", TagSigned, acts[0].fields, raw))
	f.Vectors = append(f.Vectors, commitVector(t), leafVector(t, acts[0]))
	f.Vectors = append(f.Vectors, signatureLeafVectors(t)...)
	compareFile(t, "acts.json", f)
}

func commitVector(t *testing.T) vector {
	t.Helper()
	label, salt, value := "document", []byte("0123456789abcdef"), []byte("CI 0000000")
	fact, err := Commit(label, salt, value)
	if err != nil {
		t.Fatal(err)
	}
	c := writer(tagCommit)
	fields := func(c *codec) {
		str(c, "label", &label, 40)
		c.opaque("salt", &salt, MinSalt, 64)
		c.opaque("value", &value, 0, 1<<20)
	}
	fields(c)
	v := makeVector(t, "commitment", tagCommit, fields, c.b)
	if v.SHA256 != fact.Commit.String() {
		t.Errorf("commitment: got %v, want %s", fact.Commit, v.SHA256)
	}
	return v
}

func leafVector(t *testing.T, s *Signed) vector {
	t.Helper()
	kind, hash := s.Statement().Body.Kind(), s.Hash()
	return makeVector(t, "leaf of genesis", tagLeaf, func(c *codec) {
		str(c, "kind", &kind, 20)
		c.hash("hash", &hash)
	}, s.Leaf())
}

// signatureLeafVectors gives the leaf of two signatures and what is hashed into it.
func signatureLeafVectors(t *testing.T) []vector {
	t.Helper()
	d1, d2 := hashOf("byte range 1"), hashOf("byte range 2")
	pages := []Hash{hashOf("page 1"), hashOf("page 2")}
	shown := func(c *codec) {
		list(c, "pages", &pages, len(pages), func(c *codec, h *Hash) { c.hash("page", h) })
	}
	sc := writer(tagShown)
	shown(sc)
	made := []MadeSignature{{d1[:], hashOf("signature 1"), Shown(pages)}, {d2[:], hashOf("signature 2"), Shown(nil)}}
	challenge, certificate := hashOf("challenge"), hashOf("certificate")
	leaf, err := SignatureLeaf(challenge, certificate, testStart, made)
	if err != nil {
		t.Fatal(err)
	}
	c := writer(tagSignatureList)
	madeFields(c, &made)
	out := []vector{
		makeVector(t, "pages shown", tagShown, shown, sc.b),
		makeVector(t, "list of signatures", tagSignatureList, func(c *codec) { madeFields(c, &made) }, c.b),
		makeVector(t, "leaf of signatures", tagSignatureLeaf, func(lc *codec) {
			leafFields(lc, challenge, certificate, testStart, sha256.Sum256(c.b))
		}, leaf),
	}
	if out[0].SHA256 != made[0].Shown.String() {
		t.Errorf("pages shown: got %v, want %s", made[0].Shown, out[0].SHA256)
	}
	return out
}

func TestSignatureLeafRefuses(t *testing.T) {
	t.Parallel()
	good := []MadeSignature{{make([]byte, 32), hashOf("s"), Hash{}}}
	for name, err := range map[string]error{
		"no challenge":   second(SignatureLeaf(Hash{}, hashOf("c"), testStart, good)),
		"no certificate": second(SignatureLeaf(hashOf("c"), Hash{}, testStart, good)),
		"no time":        second(SignatureLeaf(hashOf("c"), hashOf("c"), time.Time{}, good)),
		"no signature":   second(SignatureLeaf(hashOf("c"), hashOf("c"), testStart, nil)),
		"short digest":   second(SignatureLeaf(hashOf("c"), hashOf("c"), testStart, []MadeSignature{{make([]byte, 31), hashOf("s"), Hash{}}})),
		"zero value":     second(SignatureLeaf(hashOf("c"), hashOf("c"), testStart, []MadeSignature{{make([]byte, 32), Hash{}, Hash{}}})),
	} {
		if !errors.Is(err, ErrValue) {
			t.Errorf("%s: got %v, want ErrValue", name, err)
		}
	}
}

func second(_ []byte, err error) error { return err }

// chainFile is a set of acts with questions and answers.
type chainFile struct {
	Note    string       `json:"note"`
	Genesis string       `json:"genesis"`
	Acts    []chainAct   `json:"acts"`
	Queries []chainQuery `json:"queries"`
}

type chainAct struct {
	Name   string `json:"name"`
	Bytes  string `json:"bytes"`  // the signed act
	Reason string `json:"reason"` // why it has no effect; empty if it has, or waits
}

type chainQuery struct {
	Ask         string    `json:"ask"` // "key" or "appointment"
	Key         string    `json:"key,omitempty"`
	Person      string    `json:"person"`
	Level       string    `json:"level,omitempty"`
	Appointment string    `json:"appointment,omitempty"`
	At          time.Time `json:"at"`
	Reason      string    `json:"reason"` // empty: yes
}

func TestChainVectors(t *testing.T) {
	t.Parallel()
	w, _, _ := exampleActs(t)
	m := w.member(10, "maria")
	second := newDevice(t, "second key", softauthn.EdDSA)
	w.waiting()
	self := &member{id: w.registrar.id, dev: newDevice(t, "self", softauthn.ES256)}
	w.do(w.enrolment(self, identity.N2), w.registrar.signs(), self.signs())
	w.do(w.enrolment(w.member(70, "unsigned"), identity.N2), w.registrar.signs())
	c := w.chain()
	f := chainFile{
		Note:    "A chain of signed acts with what is to be answered about it, docs/acts.md.",
		Genesis: w.genesis.String(),
	}
	for _, e := range c.entries {
		raw, err := e.act.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := Parse(raw)
		if err != nil || back.Hash() != e.act.Hash() {
			t.Fatalf("signed act does not come back: %v", err)
		}
		a := chainAct{Name: string(e.act.Statement().Body.Kind()), Bytes: hex.EncodeToString(raw)}
		if e.refusal != nil {
			a.Reason = Code(e.refusal)
		}
		f.Acts = append(f.Acts, a)
	}
	apt := identity.AppointmentID(fixedID("apt", 1))
	keys := map[string]Hash{"maria": m.dev.id(), "second": second.id(), "waiting": w.member(60, "waiting").dev.id(), "self": self.dev.id(), "none": {1}}
	for minute := 0; minute <= 24; minute += 3 {
		at := testStart.Add(time.Duration(minute) * time.Minute)
		for _, k := range []string{"maria", "second", "waiting", "self", "none"} {
			for _, l := range []identity.Level{identity.N2, identity.N3} {
				_, err := c.Key(keys[k], m.id, l, at)
				f.Queries = append(f.Queries, chainQuery{Ask: "key", Key: keys[k].String(), Person: string(m.id), Level: l.String(), At: at, Reason: Code(err)})
			}
		}
		_, err := c.Appointment(apt, m.id, at)
		f.Queries = append(f.Queries, chainQuery{Ask: "appointment", Appointment: string(apt), Person: string(m.id), At: at, Reason: Code(err)})
	}
	compareFile(t, "chain.json", f)
}

func TestCodesAreDistinctAndComplete(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range codes() {
		if seen[c.code] {
			t.Errorf("code %q twice", c.code)
		}
		seen[c.code] = true
		if got := Code(refuse(c.err, "x")); got != c.code {
			t.Errorf("got %q, want %q", got, c.code)
		}
	}
	if Code(nil) != "" || Code(errors.New("x")) != "internal" {
		t.Error("nil or a foreign error has a code")
	}
}
