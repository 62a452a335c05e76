package identity_test

import (
	"errors"
	"sort"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/identity"
)

func TestNewIDSortsByTimeAndIsUnique(t *testing.T) {
	t.Parallel()
	base := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	var ids []string
	seen := map[string]bool{}
	for i := range 2000 {
		id := identity.NewID(identity.PrefixPerson, base.Add(time.Duration(i)*time.Millisecond))
		if err := identity.CheckID(identity.PrefixPerson, id); err != nil {
			t.Fatalf("CheckID(%q): %v", id, err)
		}
		if seen[id] {
			t.Fatalf("duplicate %q", id)
		}
		seen[id] = true
		ids = append(ids, id)
	}
	if !sort.StringsAreSorted(ids) {
		t.Error("identifiers of rising times are not in order")
	}
}

func TestCheckIDRefuses(t *testing.T) {
	t.Parallel()
	good := identity.NewID("per", time.Unix(1, 0))
	for name, s := range map[string]string{
		"empty":        "",
		"prefix only":  "per_",
		"other prefix": "ins_" + strings.TrimPrefix(good, "per_"),
		"upper case":   strings.ToUpper(good),
		"short":        good[:len(good)-1],
		"long":         good + "0",
		"letter l":     good[:len(good)-1] + "l",
		"newline":      good[:len(good)-1] + "\n",
	} {
		if err := identity.CheckID("per", s); !errors.Is(err, identity.ErrID) {
			t.Errorf("%s: got %v, want ErrID", name, err)
		}
	}
}

func TestACRRoundTripAndRefusals(t *testing.T) {
	t.Parallel()
	for _, l := range []identity.Level{identity.N0, identity.N1, identity.N2, identity.N3} {
		got, err := identity.ParseACR(l.ACR())
		if err != nil || got != l {
			t.Errorf("ParseACR(%q) = %v, %v; want %v", l.ACR(), got, err, l)
		}
	}
	for _, s := range []string{"", "n2", "urn:suti:acr:n4", "urn:suti:acr:n", "urn:suti:acr:n22", "URN:suti:acr:n2", "phr"} {
		if got, err := identity.ParseACR(s); !errors.Is(err, identity.ErrLevel) {
			t.Errorf("ParseACR(%q) = %v, %v; want ErrLevel", s, got, err)
		}
	}
	if identity.N1 >= identity.N2 {
		t.Error("levels are not ordered")
	}
}
