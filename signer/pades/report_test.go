package pades_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// Others read these names; they may grow, never change.
func TestReportKeysAreStable(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	w := &world{t: t, who: who, base: costest.Sample(costest.Options{Form: true})}
	w.file = sign(t, w.base, who, pades.Options{Level: pades.LevelBT, Name: "Ana", Reason: "R", Location: "L", Certify: pades.FormsAndSigning})
	b := w.update(costest.Obj{Num: costest.Content1, Body: "<<>>", Data: []byte(evil)}, costest.Obj{Num: costest.TextA, Body: w.swap(w.body(costest.TextA), "(uno)", "(dos)")})
	raw, err := json.Marshal(verify(t, b))
	if err != nil {
		t.Fatal(err)
	}
	var r map[string]any
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	keys := func(v any) []string {
		var out []string
		for k := range v.(map[string]any) {
			out = append(out, k)
		}
		slices.Sort(out)
		return out
	}
	sig := r["signatures"].([]any)[0].(map[string]any)
	changes := r["changes"].([]any)
	for name, c := range map[string]struct {
		got  []string
		want []string
	}{
		"report": {keys(r), []string{"at", "changes", "revisions", "signatures", "size", "warnings"}},
		"signature": {keys(sig), []string{"algorithm", "byte_range", "certification", "chain", "claimed_time", "covers_file", "detail", "field", "indication",
			"kind", "level", "location", "name", "proven_time", "reason", "revision", "revocation", "signed_bytes", "signer", "sub_filter", "sub_indication",
			"timestamps", "trusted", "verdict", "warnings"}},
		"signer":    {keys(sig["signer"]), []string{"issuer", "not_after", "not_before", "serial", "sha256", "subject"}},
		"timestamp": {keys(sig["timestamps"].([]any)[0]), []string{"authority", "time", "trusted"}},
		"change":    {keys(changes[len(changes)-1]), []string{"class", "detail", "kind", "object", "revision"}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if sig["level"] != "PAdES-B-T" || sig["verdict"] != "MODIFIED-FORBIDDEN" || sig["kind"] != "certification" {
		t.Errorf("signature: %v %v %v", sig["level"], sig["verdict"], sig["kind"])
	}
}
