package config

import (
	"errors"
	"strings"
	"testing"
)

// TestFaultsOfSenders holds that each fault is told, with all others.
func TestFaultsOfSenders(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"[mail]\nhost = \"mx.example\"\nport = 587\nfrom = \"Suti <suti@example.bo>\"\nuser = \"u\"\npassword_file = \"p\"\n":   nil,
		"[mail]\nhost = \"127.0.0.1\"\nport = 25\nfrom = \"suti@example.bo\"\ninsecure_no_tls = true\n":                         nil,
		"[sms]\nurl = \"https://sms.example/send\"\ntoken_file = \"t\"\nprivate_networks = [\"10.0.0.0/8\", \"192.168.1.7\"]\n": nil,
		"[sms]\nurl = \"http://localhost:8099/\"\ntoken_file = \"t\"\ninsecure_allow_http = true\n":                             nil,
		"[mail]\nfrom = \"suti@example.bo\"\nuser = \"u\"\n":                                                                    {"mail.from stands without mail.host", "mail.user stands without mail.host"},
		"[mail]\nhost = \"mx.example:25\"\nport = 99999\nfrom = \"nobody\"\nuser = \"u\"\n":                                     {"mail.host", "99999 is no port", "mail.from is no sender", "mail.password_file belong together"},
		"[mail]\nhost = \"mx.example\"\nfrom = \"a@example.bo\"\ninsecure_no_tls = true\n":                                      {"in clear to mx.example"},
		"[mail]\nhost = \"localhost\"\nfrom = \"a@example.bo\"\ninsecure_no_tls = true\nuser = \"u\"\npassword_file = \"p\"\n":  {"password in clear"},
		"[mail]\nport = \"587\"\n":                                                               {"mail.port takes"},
		"[sms]\nurl = \"http://sms.example/\"\n":                                                 {"sms.url is not https", "sms.token_file is missing"},
		"[sms]\nurl = \"https://u:p@sms.example/\"\n":                                            {"sms.url holds a secret", "sms.token_file is missing"},
		"[sms]\nurl = \"http://sms.example/\"\ntoken_file = \"t\"\ninsecure_allow_http = true\n": {"in clear to sms.example"},
		"[sms]\ntoken_file = \"t\"\n":                                                            {"sms.token_file stands without sms.url"},
		"[sms]\nurl = \"https://\"\ntoken_file = \"t\"\n":                                        {"sms.url is no address"},
		"[sms]\nprivate_networks = [\"10.0.0.0/99\"]\n":                                          {"sms.private_networks"},
	} {
		_, err := Load(Options{Path: write(t, good+text), Getenv: env(nil)})
		var faults Faults
		if err != nil && !errors.As(err, &faults) {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if len(faults) != len(want) {
			t.Errorf("%s: %d faults, want %d: %v", text, len(faults), len(want), err)
		}
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%s: no %q in %v", text, w, err)
			}
		}
	}
	c, err := Load(Options{Path: write(t, good+"[mail]\nhost = \"mx.example\"\nfrom = \"a@example.bo\"\n"), Set: []string{"mail.port=465"}, Getenv: env(map[string]string{"SUTI_SMS_PRIVATE_NETWORKS": ""})})
	if err != nil || c.Mail.Port != 465 {
		t.Errorf("port %+v, %v", c, err)
	}
}
