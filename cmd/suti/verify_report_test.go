package main

import (
	"encoding/json"
	"slices"
	"testing"

	"oruro.gob.bo/suti/signer/pades"
)

// The members that scripts read are all there, lists as [] and what is not
// known as null.
func TestVerifyReportMembers(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(newVerifyReport(&pades.Report{Signatures: []pades.SignatureReport{{Field: "a"}}}, "", formatPAdES, nil))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Signatures []map[string]any
		Document   map[string]any
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	s := r.Signatures[0]
	for _, key := range []string{"field", "verdict", "indication", "subindication", "level", "signer", "claimed_time", "best_signature_time", "timestamps", "coverage", "changes", "tier"} {
		v, ok := s[key]
		if !ok {
			t.Errorf("no %q", key)
		}
		if list := slices.Contains([]string{"timestamps", "changes"}, key); list && v == nil {
			t.Errorf("%q is null", key)
		}
	}
	for _, key := range []string{"signer", "claimed_time", "best_signature_time"} {
		if s[key] != nil {
			t.Errorf("%q is %v, want null", key, s[key])
		}
	}
	if len(r.Document) == 0 {
		t.Error("nothing about the document")
	}
}
