package judge

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"oruro.gob.bo/suti/internal/cms"
)

// Bounds of a file of constraints: bytes, entries of a list, letters of a name.
const (
	MaxConstraints    = 256 << 10
	maxConstraintList = 256
	maxConstraintName = 200
	maxConstraintNest = 6
)

// Uses of anchors.
const (
	UseSignatures = "signatures"
	UseTimestamps = "timestamps"
)

// Values of [ChangeRules].Allowed.
const (
	ChangesAccepted      = "accept"
	ChangesIndeterminate = "indeterminate"
	ChangesRejected      = "reject"
)

// ErrConstraints is wrapped by every error of [ParseConstraints].
var ErrConstraints = errors.New("constraints")

func badConstraints(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrConstraints, fmt.Errorf(format, args...))
}

// ParseConstraints reads a file of constraints: one JSON object of at most
// [MaxConstraints] bytes, with every member that [DefaultConstraints] writes and
// no other, each once. Dates are RFC 3339; certificates are DER in base64.
func ParseConstraints(b []byte) (*Constraints, error) {
	if len(b) > MaxConstraints {
		return nil, badConstraints("longer than %d bytes", MaxConstraints)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := exact(d, reflect.TypeFor[Constraints](), "", 0); err != nil {
		return nil, badConstraints("%w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, badConstraints("something follows the object")
	}
	c := &Constraints{}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, badConstraints("%w", err)
	}
	if err := c.check(); err != nil {
		return nil, badConstraints("%w", err)
	}
	return c, nil
}

// exact holds that the next value has exactly the members of a type: the
// standard decoder takes repeated members, other letter cases, null and the lack of any.
func exact(d *json.Decoder, t reflect.Type, path string, depth int) error {
	tok, err := d.Token()
	if err != nil {
		return fmt.Errorf("%s: %w", cmpOr(path, "file"), err)
	}
	if tok == nil {
		return fmt.Errorf("%s is null", path)
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	open, _ := tok.(json.Delim)
	switch {
	case depth > maxConstraintNest:
		return errors.New("too many values in each other")
	case open == '{' && t.Kind() == reflect.Struct && t.PkgPath() != "time":
		return exactObject(d, t, path, depth)
	case open == '[' && t.Kind() == reflect.Slice && t.Elem().Kind() != reflect.Uint8:
		n := 0
		for ; d.More(); n++ {
			if n == maxConstraintList {
				return fmt.Errorf("%s has more than %d entries", path, maxConstraintList)
			}
			if err := exact(d, t.Elem(), fmt.Sprintf("%s[%d]", path, n), depth+1); err != nil {
				return err
			}
		}
		_, err := d.Token()
		return err
	case open != 0 || path == "":
		return fmt.Errorf("%s is of the wrong kind", cmpOr(path, "file"))
	}
	return nil
}

func exactObject(d *json.Decoder, t reflect.Type, path string, depth int) error {
	members, required := map[string]reflect.Type{}, map[string]bool{}
	for f := range structFields(t) {
		name, rest, _ := strings.Cut(f.Tag.Get("json"), ",")
		members[name], required[name] = f.Type, rest == ""
	}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := tok.(string)
		here := strings.TrimPrefix(path+"."+name, ".")
		mt, known := members[name]
		if !known {
			return fmt.Errorf("%q is not known here, or there twice", here)
		}
		delete(members, name)
		delete(required, name)
		if err := exact(d, mt, here, depth+1); err != nil {
			return err
		}
	}
	for name, must := range required {
		if must {
			return fmt.Errorf("%q is missing", strings.TrimPrefix(path+"."+name, "."))
		}
	}
	_, err := d.Token()
	return err
}

// structFields yields the fields of a type that JSON has.
func structFields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() && !yield(f) {
				return
			}
		}
	}
}

func cmpOr(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

var dottedOID = regexp.MustCompile(`^[0-2](\.(0|[1-9][0-9]{0,17})){1,30}$`)

// check holds what the form alone does not.
func (c *Constraints) check() error {
	switch {
	case c.Kind != ConstraintsKind:
		return fmt.Errorf(`"suti" is not %q`, ConstraintsKind)
	case c.Version != ConstraintsVersion:
		return fmt.Errorf("version %d is not known, only %d", c.Version, ConstraintsVersion)
	case !named(c.Name):
		return fmt.Errorf("name must have 1 to %d visible letters", maxConstraintName)
	case !slices.Contains([]string{ChangesAccepted, ChangesIndeterminate, ChangesRejected}, c.Changes.Allowed):
		return fmt.Errorf("changes.allowed %q is not known", c.Changes.Allowed)
	case c.Revocation.MaxAgeHours < 0 || c.Revocation.MaxAgeHours > 24*366*100:
		return errors.New("revocation.max_age_hours is out of range")
	case c.Revocation.MaxAgeHours > 0 && !c.Revocation.Required:
		return errors.New("revocation.max_age_hours without revocation.required")
	}
	if _, ok := requiredLevel(c.Signature.Level); !ok {
		return fmt.Errorf("signature.level %q is not known", c.Signature.Level)
	}
	for _, a := range c.Algorithms.Signatures {
		if _, err := cms.ParseAlgorithm(a.Name); err != nil {
			return fmt.Errorf("algorithm %q is not known", a.Name)
		}
	}
	for _, k := range c.Algorithms.Keys {
		if !slices.Contains([]string{"rsa", "ecdsa", "ed25519"}, k.Kind) || k.Bits < 1 || k.Bits > 16384 {
			return fmt.Errorf("key %q of %d bits is not known", k.Kind, k.Bits)
		}
	}
	for _, u := range c.Signer.KeyUsages {
		if keyUsageNames[u] == 0 {
			return fmt.Errorf("key usage %q is not known", u)
		}
	}
	for _, oid := range slices.Concat(c.Signer.ExtendedKeyUsages, c.Signer.Policies) {
		if !dottedOID.MatchString(oid) {
			return fmt.Errorf("%q is no object identifier", oid)
		}
	}
	for i := range c.Anchors {
		if err := c.Anchors[i].check(); err != nil {
			return fmt.Errorf("anchors[%d]: %w", i, err)
		}
	}
	return nil
}

func (a *ConstrainedAnchor) check() (err error) {
	if a.parsed, err = x509.ParseCertificate(a.Certificate); err != nil {
		return err
	}
	switch {
	case !named(a.Name):
		return errors.New("no name")
	case a.Tier != TierNational && a.Tier != TierInternal:
		return fmt.Errorf("tier %q is not known", a.Tier)
	case len(a.Uses) == 0:
		return errors.New("no uses")
	}
	for _, u := range a.Uses {
		if u != UseSignatures && u != UseTimestamps {
			return fmt.Errorf("use %q is not known", u)
		}
	}
	return nil
}

func named(s string) bool {
	invisible := func(r rune) bool { return r != ' ' && !unicode.IsPrint(r) }
	return s != "" && len(s) <= maxConstraintName && s == strings.TrimSpace(s) && !strings.ContainsFunc(s, invisible)
}

// requiredLevel reads "" or a level's short name.
func requiredLevel(s string) (Level, bool) {
	l, ok := map[string]Level{"": LevelNone, "B-B": LevelBB, "B-T": LevelBT, "B-LT": LevelBLT, "B-LTA": LevelBLTA}[s]
	return l, ok
}

// JSON writes the constraints as [ParseConstraints] reads them, in lines.
func (c *Constraints) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(c, "", "  ")
	return append(b, '\n'), err
}
