package report

import (
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/hex"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/signer/pades"
)

//go:embed texts/*.json
var textFiles embed.FS

// Texts returns the catalogue of this package.
func Texts() fs.FS {
	sub, err := fs.Sub(textFiles, "texts")
	if err != nil {
		panic(err) // the embedded folder is named above
	}
	return sub
}

var catalog = sync.OnceValues(func() (*i18n.Catalog, error) { return i18n.New(map[string]fs.FS{"report": Texts()}) })

// Tones of what is said.
const (
	toneGood = "ok"
	toneWarn = "warn"
	toneBad  = "err"
)

// Bounds of the reports for people.
const (
	maxChanges  = 100
	maxAnchors  = 50
	maxWarnings = 20
)

// view is a report for people: what HTML and PDF show, in order.
type view struct {
	Lang, Title, Lead    string
	Tone, Verdict, Means string // of the whole file
	Sections             []section
	pageOf               func(page, pages int) string
}

// section is a part of it with a heading.
type section struct {
	Title       string
	Tone, Badge string // of a signature
	Text        []string
	Facts       []fact
	Items       []string
}

// fact is a name and what it is. Code is for what is compared letter by letter.
type fact struct {
	Label, Value string
	Code         bool
}

// writer makes the view.
type writer struct {
	in Input
	p  *i18n.Printer
}

// newView puts a report into words. Keys made at run time:
// i18n:use report.verdict.* i18n:use report.meaning.* i18n:use report.reason.* i18n:use report.warning.*
// i18n:use report.change.* i18n:use report.class.* i18n:use report.tier.* i18n:use report.level.* i18n:use report.kind.*
// i18n:use report.revocation.* i18n:use report.after.count.* i18n:use report.all.* i18n:use report.anchor.* i18n:use report.rules.changes.*
func newView(in Input) (*view, error) {
	c, err := catalog()
	if err != nil {
		return nil, err
	}
	w := &writer{in, c.Printer(in.Lang)}
	r := in.Report
	v := &view{Lang: string(w.p.Lang()), Title: w.p.T("report.title"), Lead: w.p.T("report.checked", "time", w.time(r.At))}
	v.pageOf = func(page, pages int) string { return w.p.T("report.page", "page", page, "pages", pages) }
	if name := clean(in.Name); name != "" {
		v.Lead = w.p.T("report.file", "name", name) + "\n" + v.Lead
	}
	var all string
	v.Tone, all = overall(r)
	v.Verdict, v.Means = w.p.T("report.all."+all+".title"), w.p.T("report.all."+all+".text")
	for i := range r.Signatures {
		v.Sections = append(v.Sections, w.signature(i))
	}
	if s, ok := w.changes(); ok {
		v.Sections = append(v.Sections, s)
	}
	rules, err := w.rules()
	if err != nil {
		return nil, err
	}
	v.Sections = append(v.Sections, w.document(), w.anchorList(), rules, section{Title: w.p.T("report.notes"), Text: []string{
		w.p.T("report.notes.law"), w.p.T("report.notes.content"), w.p.T("report.notes.unsigned"),
	}})
	return v, nil
}

// key makes the last part of a key of a code.
func key(code string) string { return strings.ReplaceAll(strings.ToLower(code), "-", "_") }

// word is the text of a code, or the code if it has none.
func (w *writer) word(head, code string) string {
	c, _ := catalog()
	if k := head + key(code); c.Has(k) {
		return w.p.T(k)
	}
	return clean(code)
}

// time writes an instant to the second, in Bolivia.
func (w *writer) time(t time.Time) string {
	return w.p.T("report.time", "date", w.p.Date(t), "clock", t.In(i18n.Bolivia).Format("15:04:05"))
}

// overall says of what tone the whole is, and by which texts.
func overall(r *pades.Report) (tone, texts string) {
	if len(r.Signatures) == 0 {
		return toneWarn, "none"
	}
	tone, texts = toneGood, "ok"
	for _, s := range r.Signatures {
		switch toneOf(s.Verdict) {
		case toneBad:
			return toneBad, "bad"
		case toneWarn:
			tone, texts = toneWarn, "unclear"
		}
	}
	return tone, texts
}

func toneOf(v pades.Verdict) string {
	switch v {
	case pades.Valid, pades.ValidExtended, pades.ModifiedAllowed:
		return toneGood
	case pades.Indeterminate:
		return toneWarn
	}
	return toneBad
}

// facts gathers facts; what has no value is left out.
type facts []fact

func (f *facts) add(label, value string) {
	if value != "" {
		*f = append(*f, fact{Label: label, Value: value})
	}
}

func (f *facts) code(label, value string) {
	if value != "" {
		*f = append(*f, fact{Label: label, Value: value, Code: true})
	}
}

// signature is the section of one signature or document time-stamp.
func (w *writer) signature(i int) section {
	s := &w.in.Report.Signatures[i]
	out := section{
		Title: w.p.T("report.signature", "n", i+1, "total", len(w.in.Report.Signatures)) + ": " + w.word("report.kind.", s.Kind),
		Tone:  toneOf(s.Verdict), Badge: w.word("report.verdict.", string(s.Verdict)),
		Text: []string{w.word("report.meaning.", string(s.Verdict))},
	}
	var f facts
	if s.SubIndication != "" && s.Verdict != pades.ModifiedForbidden { // of which the meaning tells
		f.add(w.p.T("report.reason"), w.word("report.reason.", s.SubIndication))
	}
	w.who(&f, s)
	f.add(w.p.T("report.tier"), w.tier(s))
	w.when(&f, s)
	w.coverage(&f, i)
	if s.Kind != kindStamp {
		level := s.Level.String()
		if level == "" {
			level = "none"
		}
		f.add(w.p.T("report.level"), w.word("report.level.", level))
	}
	if s.Revocation != "" {
		f.add(w.p.T("report.revocation"), w.word("report.revocation.", s.Revocation))
	}
	f.add(w.p.T("report.why"), clean(s.Reason))
	f.add(w.p.T("report.where"), clean(s.Location))
	w.certificate(&f, s)
	f.code(w.p.T("report.algorithm"), clean(s.Algorithm))
	f.add(w.p.T("report.field"), clean(s.Field))
	w.warnings(&f, s.Warnings)
	out.Facts = f
	return out
}

// warnings adds each kind of warning once.
func (w *writer) warnings(f *facts, list []pades.Warning) {
	told := map[string]bool{}
	for _, x := range list {
		if !told[x.Code] && len(told) < maxWarnings {
			told[x.Code] = true
			f.add(w.p.T("report.notice"), w.word("report.warning.", x.Code))
		}
	}
}

// who tells of the signer: what a trusted certificate says, else that it is unproven.
func (w *writer) who(f *facts, s *pades.SignatureReport) {
	label := w.p.T("report.who")
	if s.Kind == kindStamp {
		label = w.p.T("report.who.stamp")
	}
	if s.Signer == nil || s.Verdict == pades.Invalid {
		f.add(label, w.p.T("report.who.unknown"))
		f.add(w.p.T("report.claims"), clean(s.Name))
		return
	}
	n := namesOf(s.Signer)
	name := n.common
	if !s.Trusted {
		name = w.p.T("report.who.unverified", "name", name)
	}
	f.add(label, name)
	f.add(w.p.T("report.post"), n.post)
	f.add(w.p.T("report.institution"), n.institution)
	if claimed := clean(s.Name); claimed != n.common {
		f.add(w.p.T("report.claims"), claimed)
	}
}

// names are those in a certificate.
type names struct{ common, post, institution, issuer string }

func namesOf(c *pades.Certificate) names {
	x, err := x509.ParseCertificate(c.Raw)
	if err != nil {
		return names{common: clean(c.Subject), issuer: clean(c.Issuer)}
	}
	n := names{common: clean(x.Subject.CommonName), issuer: clean(x.Issuer.CommonName)}
	if n.common == "" {
		n.common = clean(c.Subject)
	}
	if n.issuer == "" {
		n.issuer = clean(c.Issuer)
	}
	for _, a := range x.Subject.Names {
		if v, ok := a.Value.(string); ok && a.Type.String() == "2.5.4.12" { // title (X.520 §6.4.3)
			n.post = clean(v)
		}
	}
	n.institution = clean(strings.Join(append(slices.Clone(x.Subject.Organization), x.Subject.OrganizationalUnit...), ", "))
	return n
}

func (w *writer) tier(s *pades.SignatureReport) string {
	tier := Tier(s, w.in.Anchors)
	switch {
	case tier == pades.TierNational && s.Kind == kindStamp:
		return w.p.T("report.tier.stamp_a")
	case s.Kind == kindStamp && (tier == pades.TierInternal || tier == tierUnlisted):
		return w.p.T("report.tier.stamp")
	case tier == pades.TierNational:
		return w.p.T("report.tier.a", "issuer", namesOf(s.Signer).issuer)
	case tier == tierUnverified && s.Verdict == pades.Indeterminate && (s.Trusted || s.SubIndication != pades.SubNoChain):
		return w.p.T("report.tier.unproven")
	}
	return w.word("report.tier.", tier)
}

func (w *writer) when(f *facts, s *pades.SignatureReport) {
	if s.Kind == kindStamp {
		if !s.ProvenTime.IsZero() {
			f.add(w.p.T("report.proven"), w.p.T("report.proven.stamp", "time", w.time(s.ProvenTime)))
		} else {
			f.add(w.p.T("report.proven"), w.p.T("report.proven.none"))
		}
		return
	}
	claimed := w.p.T("report.claimed.none")
	if !s.ClaimedTime.IsZero() && inYears(s.ClaimedTime) {
		claimed = w.time(s.ClaimedTime)
	}
	if s.Verdict != pades.Invalid { // what it claims is nobody's word
		f.add(w.p.T("report.claimed"), claimed)
	}
	if s.ProvenTime.IsZero() {
		f.add(w.p.T("report.proven"), w.p.T("report.proven.none"))
		return
	}
	f.add(w.p.T("report.proven"), w.p.T("report.proven.at", "time", w.time(s.ProvenTime)))
	for k, t := range s.Timestamps {
		if t.Trusted && len(s.Material.Timestamps[k].Chain) > 0 {
			f.add(w.p.T("report.stamped_by"), namesOf(&s.Material.Timestamps[k].Chain[0]).common)
			break
		}
	}
}

// coverage tells what is signed, what came after, and where the version signed is.
func (w *writer) coverage(f *facts, i int) {
	s := &w.in.Report.Signatures[i]
	r := w.in.Report
	if s.SignedBytes == 0 {
		f.add(w.p.T("report.covers"), w.p.T("report.covers.none"))
		return
	}
	covers, version := w.p.T("report.covers.all"), w.p.T("report.signed_version.all", "bytes", s.SignedBytes)
	switch {
	case s.CoversFile:
	case s.Kind == kindStamp:
		covers = w.p.T("report.covers.stamped", "revision", s.Revision, "revisions", r.Revisions)
		version = w.p.T("report.signed_version.stamped", "bytes", s.SignedBytes)
	default:
		covers = w.p.T("report.covers.part", "revision", s.Revision, "revisions", r.Revisions)
		version = w.p.T("report.signed_version.part", "bytes", s.SignedBytes)
	}
	f.add(w.p.T("report.covers"), covers)
	f.add(w.p.T("report.after"), w.after(s.Revision))
	f.add(w.p.T("report.signed_version"), version)
	f.code(w.p.T("report.signed_version.sum"), hex.EncodeToString(w.in.Sums.Signed[i][:]))
}

// after counts the changes behind a revision, by what they mean.
func (w *writer) after(revision int) string {
	count := map[pades.ChangeClass]int{}
	for _, c := range w.in.Report.Changes {
		if c.Revision > revision {
			count[c.Class]++
		}
	}
	var parts []string
	for _, c := range []pades.ChangeClass{pades.Forbidden, pades.Unproven, pades.Allowed, pades.Extension} {
		if n := count[c]; n > 0 {
			parts = append(parts, w.p.T("report.after.count."+string(c), "n", n))
		}
	}
	if len(parts) == 0 {
		return w.p.T("report.after.none")
	}
	text := strings.Join(parts, "; ")
	return strings.ToUpper(text[:1]) + text[1:]
}

func (w *writer) certificate(f *facts, s *pades.SignatureReport) {
	if s.Signer == nil || s.Verdict == pades.Invalid {
		return
	}
	f.add(w.p.T("report.issuer"), namesOf(s.Signer).issuer)
	if inYears(s.Signer.NotBefore) && inYears(s.Signer.NotAfter) {
		f.add(w.p.T("report.validity"), w.p.T("report.validity.span", "from", w.p.Date(s.Signer.NotBefore), "to", w.p.Date(s.Signer.NotAfter)))
	}
	f.code(w.p.T("report.serial"), clean(s.Signer.Serial))
}

// changes lists what came after the first signature.
func (w *writer) changes() (section, bool) {
	all := w.in.Report.Changes
	out := section{Title: w.p.T("report.changes")}
	for i, c := range all {
		if i == maxChanges {
			out.Items = append(out.Items, w.p.T("report.changes.more", "n", len(all)-i))
			break
		}
		kind, class := w.word("report.change.", c.Kind), w.word("report.class.", string(c.Class))
		if field := clean(c.Field); field != "" {
			out.Items = append(out.Items, w.p.T("report.changes.field", "revision", c.Revision, "kind", kind, "class", class, "field", field))
		} else {
			out.Items = append(out.Items, w.p.T("report.changes.line", "revision", c.Revision, "kind", kind, "class", class))
		}
	}
	return out, len(all) > 0
}

func (w *writer) document() section {
	r := w.in.Report
	var f facts
	f.add(w.p.T("report.document.name"), clean(w.in.Name))
	f.add(w.p.T("report.document.size"), w.p.T("report.document.bytes", "n", r.Size))
	f.code(w.p.T("report.document.sum"), hex.EncodeToString(w.in.Sums.File[:]))
	f.add(w.p.T("report.document.revisions"), w.p.Number(int64(r.Revisions)))
	f.add(w.p.T("report.document.checked"), w.time(r.At))
	f.add(w.p.T("report.document.producer"), clean(w.in.Producer))
	w.warnings(&f, r.Warnings)
	return section{Title: w.p.T("report.document"), Facts: f}
}

func (w *writer) anchorList() section {
	out := section{Title: w.p.T("report.anchors")}
	var f facts
	list := w.in.anchors()
	for i, a := range list {
		if i == maxAnchors {
			out.Items = append(out.Items, w.p.T("report.anchors.more", "n", len(list)-i))
			break
		}
		tier := tierUnlisted
		if a.Tier != "" {
			tier = a.Tier
		}
		name := clean(a.Name)
		if x, err := x509.ParseCertificate(a.Certificate); err == nil && name == "" {
			name = clean(x.Subject.CommonName)
		}
		sum := sha256.Sum256(a.Certificate)
		f.add(name, w.word("report.anchor.", tier))
		f.code("SHA-256", hex.EncodeToString(sum[:]))
	}
	if len(list) == 0 {
		out.Text = []string{w.p.T("report.anchors.none")}
	}
	out.Facts = f
	return out
}

// rules puts the constraints into words.
func (w *writer) rules() (section, error) {
	k := w.in.Report.Constraints
	raw, err := k.JSON()
	if err != nil {
		return section{}, err
	}
	need := map[bool]string{true: w.p.T("report.rules.required"), false: w.p.T("report.rules.optional")}
	var f facts
	f.add(w.p.T("report.rules.name"), clean(k.Name))
	sum := sha256.Sum256(raw)
	f.code(w.p.T("report.rules.sum"), hex.EncodeToString(sum[:]))
	level := k.Signature.Level
	if level == "" {
		level = need[false]
	}
	f.add(w.p.T("report.rules.level"), level)
	f.add(w.p.T("report.rules.stamp"), need[k.Signature.Timestamp])
	revocation := need[k.Revocation.Required]
	if k.Revocation.MaxAgeHours > 0 {
		revocation = w.p.T("report.rules.required_within", "n", k.Revocation.MaxAgeHours)
	}
	f.add(w.p.T("report.rules.revocation"), revocation)
	policies := strings.Join(k.Signer.Policies, ", ")
	if policies == "" {
		policies = need[false]
	}
	f.add(w.p.T("report.rules.policies"), policies)
	f.add(w.p.T("report.rules.changes"), w.word("report.rules.changes.", k.Changes.Allowed))
	until := func(name string, at *time.Time) string {
		if at == nil {
			return name
		}
		return w.p.T("report.rules.until", "name", name, "date", w.p.Date(*at))
	}
	var algorithms, keys []string
	for _, a := range k.Algorithms.Signatures {
		algorithms = append(algorithms, until(a.Name, a.Until))
	}
	for _, a := range k.Algorithms.Keys {
		keys = append(keys, until(w.p.T("report.rules.bits", "kind", a.Kind, "bits", a.Bits), a.Until))
	}
	f.add(w.p.T("report.rules.algorithms"), strings.Join(algorithms, ", "))
	f.add(w.p.T("report.rules.keys"), strings.Join(keys, ", "))
	return section{Title: w.p.T("report.rules"), Facts: f}, nil
}
