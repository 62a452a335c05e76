package logverify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/internal/audit/logverify"
)

// vector is one leaf of testdata/vectors.json, which was computed by another
// implementation (hashlib) from the text of docs/log-format.md.
type vector struct {
	Name   string `json:"name"`
	Header struct {
		ID          string `json:"id"`
		Class       string `json:"class"`
		Kind        string `json:"kind"`
		Subject     string `json:"subject"`
		Actor       string `json:"actor"`
		Client      string `json:"client"`
		Institution string `json:"institution"`
		Purpose     string `json:"purpose"`
		TimeUS      int64  `json:"time_us"`
		Intent      string `json:"intent"`
		Outcome     string `json:"outcome"`
		Object      string `json:"object"`
	} `json:"header"`
	HeaderSalt  logverify.Salt `json:"header_salt"`
	BodySalt    logverify.Salt `json:"body_salt"`
	ContentSalt logverify.Salt `json:"content_salt"`
	Body        []byte         `json:"body"`
	Content     string         `json:"content"`
	HeaderHash  logverify.Hash `json:"header_hash"`
	BodyHash    logverify.Hash `json:"body_hash"`
	ContentHash logverify.Hash `json:"content_hash"`
	Commitment  logverify.Hash `json:"commitment"`
	Leaf        string         `json:"leaf"`
	LeafHash    logverify.Hash `json:"leaf_hash"`
}

type vectors struct {
	Leaves        []vector                  `json:"leaves"`
	Roots         []logverify.Hash          `json:"roots"`
	CountingTrees map[string]logverify.Hash `json:"counting_trees"`
}

func readVectors(t testing.TB) vectors {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v vector) opening() logverify.EntryOpening {
	h := v.Header
	return logverify.EntryOpening{
		Header: logverify.Header{
			ID: h.ID, Class: logverify.Class(h.Class), Kind: h.Kind, Subject: h.Subject, Actor: h.Actor, Client: h.Client,
			Institution: h.Institution, Purpose: h.Purpose, Time: time.UnixMicro(h.TimeUS), Intent: h.Intent,
			Outcome: h.Outcome, Object: h.Object,
		},
		HeaderSalt: v.HeaderSalt, Body: v.Body, BodySalt: v.BodySalt, Content: []byte(v.Content), ContentSalt: v.ContentSalt,
	}
}

func TestLeafVectors(t *testing.T) {
	t.Parallel()
	vs := readVectors(t)
	var b logverify.Builder
	for i, v := range vs.Leaves {
		if got := b.Root(); got != vs.Roots[i] {
			t.Errorf("root of %d leaves: got %s, want %s", i, got, vs.Roots[i])
		}
		o := v.opening()
		p := logverify.Parts{
			Header:  o.Header.Hash(o.HeaderSalt),
			Body:    logverify.BodyHash(o.BodySalt, o.Body),
			Content: logverify.ContentHash(o.ContentSalt, o.Content),
		}
		want := logverify.Parts{Header: v.HeaderHash, Body: v.BodyHash, Content: v.ContentHash}
		if diff := cmp.Diff(p, want); diff != "" {
			t.Errorf("%s: parts (-got +want):\n%s", v.Name, diff)
		}
		l := logverify.Leaf{Class: o.Header.Class, Time: o.Header.Time, Commitment: p.Commitment()}
		if l.Class == logverify.ClassLog {
			l.Public = string(v.Body)
		}
		raw, err := l.Marshal()
		if err != nil || string(raw) != v.Leaf {
			t.Errorf("%s: Marshal: got %q, %v, want %q", v.Name, raw, err, v.Leaf)
		}
		if got := logverify.LeafHash(raw); got != v.LeafHash {
			t.Errorf("%s: leaf hash: got %s, want %s", v.Name, got, v.LeafHash)
		}
		back, err := logverify.ParseLeaf(raw)
		l.Time = l.Time.UTC().Truncate(time.Second)
		if diff := cmp.Diff(back, l); diff != "" || err != nil {
			t.Errorf("%s: ParseLeaf: %v (-got +want):\n%s", v.Name, err, diff)
		}
		if err := logverify.VerifyEntry(raw, o); err != nil {
			t.Errorf("%s: VerifyEntry: %v", v.Name, err)
		}
		if err := b.Append(v.LeafHash); err != nil {
			t.Fatal(err)
		}
	}
	if got := b.Root(); got != vs.Roots[len(vs.Leaves)] {
		t.Errorf("last root: got %s, want %s", got, vs.Roots[len(vs.Leaves)])
	}
}

// TestEveryFieldIsCommitted changes one field at a time: the leaf must then no
// longer open. A field forgotten in the header's hash would pass here.
func TestEveryFieldIsCommitted(t *testing.T) {
	t.Parallel()
	v := readVectors(t).Leaves[0]
	leaf := []byte(v.Leaf)
	for name, change := range map[string]func(*logverify.EntryOpening){
		"id":           func(o *logverify.EntryOpening) { o.Header.ID += "x" },
		"class":        func(o *logverify.EntryOpening) { o.Header.Class = logverify.ClassToken },
		"kind":         func(o *logverify.EntryOpening) { o.Header.Kind = "ca.revoke" },
		"subject":      func(o *logverify.EntryOpening) { o.Header.Subject = "" },
		"actor":        func(o *logverify.EntryOpening) { o.Header.Actor = "service:other" },
		"client":       func(o *logverify.EntryOpening) { o.Header.Client = "x" },
		"institution":  func(o *logverify.EntryOpening) { o.Header.Institution = "x" },
		"purpose":      func(o *logverify.EntryOpening) { o.Header.Purpose = "x" },
		"microsecond":  func(o *logverify.EntryOpening) { o.Header.Time = o.Header.Time.Add(time.Microsecond) },
		"intent":       func(o *logverify.EntryOpening) { o.Header.Intent = "" },
		"outcome":      func(o *logverify.EntryOpening) { o.Header.Outcome = "refused" },
		"object":       func(o *logverify.EntryOpening) { o.Header.Object = "" },
		"moved border": func(o *logverify.EntryOpening) { o.Header.Kind += "p"; o.Header.Subject = o.Header.Subject[1:] },
		"header salt":  func(o *logverify.EntryOpening) { o.HeaderSalt[0] ^= 1 },
		"body":         func(o *logverify.EntryOpening) { o.Body = append(bytes.Clone(o.Body), 0) },
		"body salt":    func(o *logverify.EntryOpening) { o.BodySalt[31] ^= 1 },
		"content":      func(o *logverify.EntryOpening) { o.Content = []byte("{}") },
		"content salt": func(o *logverify.EntryOpening) { o.ContentSalt[7] ^= 1 },
		"erased":       func(o *logverify.EntryOpening) { o.Erased = true },
	} {
		o := v.opening()
		change(&o)
		if err := logverify.VerifyEntry(leaf, o); !errors.Is(err, logverify.ErrOpening) {
			t.Errorf("%s changed: got %v, want ErrOpening", name, err)
		}
	}
	erased := v.opening()
	erased.Content, erased.ContentSalt, erased.ContentHash, erased.Erased = nil, logverify.Salt{}, v.ContentHash, true
	if err := logverify.VerifyEntry(leaf, erased); err != nil {
		t.Errorf("after erasure: %v, want the header still to verify", err)
	}
}

func TestVerifyBodyDisclosesOnlyTheBody(t *testing.T) {
	t.Parallel()
	for _, v := range readVectors(t).Leaves {
		o := logverify.BodyOpening{HeaderHash: v.HeaderHash, ContentHash: v.ContentHash, Salt: v.BodySalt, Body: v.Body}
		if err := logverify.VerifyBody([]byte(v.Leaf), o); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var back logverify.BodyOpening
		if err := json.Unmarshal(text, &back); err != nil || !cmp.Equal(back, o, cmp.Comparer(bytes.Equal)) {
			t.Errorf("%s: JSON round trip: %v, got %+v", v.Name, err, back)
		}
		o.Body = []byte("other")
		if err := logverify.VerifyBody([]byte(v.Leaf), o); !errors.Is(err, logverify.ErrOpening) {
			t.Errorf("%s, other body: got %v, want ErrOpening", v.Name, err)
		}
	}
}

func TestParseLeafRefuses(t *testing.T) {
	t.Parallel()
	h := logverify.Hash{1}.String()
	good := "suti/leaf/v1\nlogin\n17\n" + h + "\n"
	if _, err := logverify.ParseLeaf([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]string{
		"empty":              "",
		"other version":      strings.Replace(good, "v1", "v2", 1),
		"no class":           strings.Replace(good, "login", "", 1),
		"upper case":         strings.Replace(good, "login", "Login", 1),
		"long class":         strings.Replace(good, "login", strings.Repeat("a", 17), 1),
		"negative time":      strings.Replace(good, "17", "-17", 1),
		"plus":               strings.Replace(good, "17", "+17", 1),
		"leading zero":       strings.Replace(good, "17", "017", 1),
		"year 10000":         strings.Replace(good, "17", "253402300800", 1),
		"huge":               strings.Replace(good, "17", "99999999999999999999", 1),
		"short hash":         strings.Replace(good, h, h[:40], 1),
		"URL alphabet":       strings.Replace(good, h, "_"+h[1:], 1),
		"loose bits":         strings.Replace(good, h, h[:42]+"B=", 1),
		"no last newline":    good[:len(good)-1],
		"extra line":         good + "x\n",
		"carriage return":    strings.ReplaceAll(good, "\n", "\r\n"),
		"log without body":   strings.Replace(good, "login", "log", 1),
		"log, empty line":    strings.Replace(good, "login", "log", 1) + "a\n\nb\n",
		"log, control":       strings.Replace(good, "login", "log", 1) + "a\tb\n",
		"log, C1 control":    strings.Replace(good, "login", "log", 1) + "a\u0085b\n",
		"log, not UTF-8":     strings.Replace(good, "login", "log", 1) + "a\xffb\n",
		"log, nine lines":    strings.Replace(good, "login", "log", 1) + strings.Repeat("a\n", 9),
		"log, long line":     strings.Replace(good, "login", "log", 1) + strings.Repeat("a", 401) + "\n",
		"above the limit":    good + strings.Repeat("a", logverify.MaxLeaf),
		"only an empty line": strings.Replace(good, "login", "log", 1) + "\n",
	} {
		if l, err := logverify.ParseLeaf([]byte(s)); !errors.Is(err, logverify.ErrLeaf) {
			t.Errorf("%s: got %+v, %v, want ErrLeaf", name, l, err)
		}
	}
}

func TestLeafMarshalRefuses(t *testing.T) {
	t.Parallel()
	for name, l := range map[string]logverify.Leaf{
		"no class":          {Time: time.Unix(1, 0)},
		"before the epoch":  {Class: logverify.ClassAct, Time: time.Unix(-1, 0)},
		"year 10000":        {Class: logverify.ClassAct, Time: time.Unix(253402300800, 0)},
		"public of others":  {Class: logverify.ClassAct, Time: time.Unix(1, 0), Public: "a\n"},
		"log without":       {Class: logverify.ClassLog, Time: time.Unix(1, 0)},
		"log, no newline":   {Class: logverify.ClassLog, Time: time.Unix(1, 0), Public: "a"},
		"log, control byte": {Class: logverify.ClassLog, Time: time.Unix(1, 0), Public: "a\x00\n"},
	} {
		if b, err := l.Marshal(); !errors.Is(err, logverify.ErrLeaf) {
			t.Errorf("%s: got %q, %v, want ErrLeaf", name, b, err)
		}
	}
	for _, c := range logverify.Classes() {
		if !c.Valid() {
			t.Errorf("class %q is not valid", c)
		}
	}
}

func TestBundle(t *testing.T) {
	t.Parallel()
	var b []byte
	var want [][]byte
	for i := range 256 {
		leaf := bytes.Repeat([]byte{byte(i)}, i)
		want = append(want, leaf)
		b = logverify.AppendBundle(b, leaf)
	}
	got, err := logverify.ParseBundle(b, 256)
	if diff := cmp.Diff(got, want); diff != "" || err != nil {
		t.Errorf("ParseBundle: %v (-got +want):\n%s", err, diff)
	}
	for name, c := range map[string]struct {
		b     []byte
		width int
	}{
		"one too few":   {b, 255},
		"cut":           {b[:len(b)-1], 256},
		"cut in length": {b[:1], 1},
		"no width":      {nil, 0},
		"too wide":      {append(bytes.Clone(b), 0, 0), 257},
		"too big":       {make([]byte, logverify.MaxBundle+1), 256},
	} {
		if got, err := logverify.ParseBundle(c.b, c.width); !errors.Is(err, logverify.ErrBundle) {
			t.Errorf("%s: got %d leaves, %v, want ErrBundle", name, len(got), err)
		}
	}
}

func TestContinuation(t *testing.T) {
	t.Parallel()
	c := logverify.Continuation{Origin: "suti.example/log", Size: 1 << 40, Root: logverify.Hash{9}}
	got, ok := logverify.ParseContinuation(c.Public())
	if !ok || got != c {
		t.Errorf("round trip: got %+v, %v, want %+v", got, ok, c)
	}
	for _, s := range []string{
		"", "continues\n", "outage\na\n1\n" + c.Root.String() + "\n", c.Public() + "x\n", "continues\na b\n1\n" + c.Root.String() + "\n",
		"continues\na\n01\n" + c.Root.String() + "\n", "continues\na\n1\nx\n", strings.TrimSuffix(c.Public(), "\n"),
	} {
		if got, ok := logverify.ParseContinuation(s); ok {
			t.Errorf("ParseContinuation(%q) = %+v", s, got)
		}
	}
}

func FuzzParseLeaf(f *testing.F) {
	for _, v := range readVectors(f).Leaves {
		f.Add([]byte(v.Leaf))
	}
	f.Add([]byte("suti/leaf/v1\nlog\n0\n" + base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\na\nb\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := logverify.ParseLeaf(b)
		if err != nil {
			if !errors.Is(err, logverify.ErrLeaf) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		back, err := l.Marshal()
		if err != nil || !bytes.Equal(back, b) {
			t.Fatalf("accepted %q, writes %q, %v", b, back, err)
		}
		if c, ok := logverify.ParseContinuation(l.Public); ok && c.Public() != l.Public {
			t.Fatalf("continuation %q, writes %q", l.Public, c.Public())
		}
	})
}

func FuzzParseBundle(f *testing.F) {
	f.Add(logverify.AppendBundle(nil, []byte("leaf")), 1)
	f.Add([]byte{0, 0, 0, 1, 7}, 2)
	f.Add([]byte{0xff, 0xff}, 256)
	f.Fuzz(func(t *testing.T, b []byte, width int) {
		leaves, err := logverify.ParseBundle(b, width)
		if err != nil {
			if !errors.Is(err, logverify.ErrBundle) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		var back []byte
		for _, l := range leaves {
			back = logverify.AppendBundle(back, l)
		}
		if !bytes.Equal(back, b) || len(leaves) != width {
			t.Fatalf("accepted %x (width %d), writes %x", b, width, back)
		}
	})
}

// counting returns the tree hash of the i-th leaf of the counting trees: the
// leaf is i in decimal.
func counting(i int) logverify.Hash { return logverify.LeafHash([]byte(strconv.Itoa(i))) }

// TestDocumentedVectors keeps docs/log-format.md and the vectors together.
func TestDocumentedVectors(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../../docs/log-format.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	vs := readVectors(t)
	var want []string
	for _, v := range vs.Leaves {
		want = append(want, v.HeaderHash.String(), v.BodyHash.String(), v.ContentHash.String(), v.Commitment.String(),
			v.LeafHash.String(), v.Leaf, v.Header.ID, strconv.FormatInt(v.Header.TimeUS, 10))
	}
	for _, h := range vs.Roots {
		want = append(want, h.String())
	}
	for size, h := range vs.CountingTrees {
		want = append(want, "| "+size+" | `"+h.String()+"` |")
	}
	for _, c := range logverify.Classes() {
		want = append(want, "| `"+string(c)+"` |")
	}
	for _, s := range want {
		if !strings.Contains(doc, s) {
			t.Errorf("docs/log-format.md lacks %q", s)
		}
	}
}
