package enrolment_test

import (
	"strings"
	"testing"

	"oruro.gob.bo/suti/enrolment"
)

func TestCodesAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"7K2M-40QX": "7K2M-40QX", "7k2m40qx": "7K2M-40QX", " 7K2M 40QX ": "7K2M-40QX", "7K2M-4OQX": "7K2M-40QX", "iK2M-4lQX": "1K2M-41QX",
		"": "", "7K2M-40Q": "", "7K2M-40QXX": "", "7K2M-40QU": "", "7K2M-40Q\u00d1": "", strings.Repeat("-", 60): "",
	} {
		if got := enrolment.NormalCode(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func FuzzNormalCode(f *testing.F) {
	f.Add("7K2M-40QX")
	f.Add("oil-u")
	f.Fuzz(func(t *testing.T, s string) {
		got := enrolment.NormalCode(s)
		if got == "" {
			return
		}
		if len(got) != 9 || got[4] != '-' || enrolment.NormalCode(got) != got {
			t.Errorf("%q becomes %q", s, got)
		}
	})
}
