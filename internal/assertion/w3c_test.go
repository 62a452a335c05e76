package assertion_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"oruro.gob.bo/suti/internal/assertion"
)

// w3cFile holds the test vectors of W3C Web Authentication Level 3.
type w3cFile struct {
	RPID    string      `json:"rpId"`
	Origin  string      `json:"origin"`
	Vectors []w3cVector `json:"vectors"`
}

type w3cVector struct {
	Name         string
	Registration struct {
		Challenge         hexBytes
		AttestationObject hexBytes
		ClientDataJSON    hexBytes
	}
	Authentication struct {
		Challenge         hexBytes
		AuthenticatorData hexBytes
		ClientDataJSON    hexBytes
		Signature         hexBytes
	}
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(t []byte) error {
	v, err := hex.DecodeString(string(t))
	*h = v
	return err
}

func readW3C(t testing.TB) w3cFile {
	t.Helper()
	raw, err := os.ReadFile("testdata/w3c.json")
	if err != nil {
		t.Fatal(err)
	}
	var f w3cFile
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestW3CVectors(t *testing.T) {
	t.Parallel()
	f := readW3C(t)
	// Everything else is accepted. The two algorithms are outside the policy.
	refused := map[string]error{
		"none-es256-crossOrigin": assertion.ErrCrossOrigin,
		"none-es256-topOrigin":   assertion.ErrCrossOrigin,
		"packed-es384":           assertion.ErrAlgorithm,
		"packed-es512":           assertion.ErrAlgorithm,
	}
	if len(f.Vectors) != 14 {
		t.Fatalf("got %d vectors, want 14", len(f.Vectors))
	}
	for _, v := range f.Vectors {
		want := refused[v.Name]
		att, err := assertion.ParseAttestationObject(v.Registration.AttestationObject)
		if errors.Is(want, assertion.ErrAlgorithm) {
			if !errors.Is(err, want) {
				t.Errorf("%s: registration: got %v, want %v", v.Name, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: registration: %v", v.Name, err)
			continue
		}
		cd, err := assertion.ParseClientData(v.Registration.ClientDataJSON)
		if err != nil || cd.Type != assertion.TypeCreate || cd.Origin != f.Origin {
			t.Errorf("%s: registration client data: got %+v, %v", v.Name, cd, err)
		}
		got, err := assertion.Verify(assertion.Response{
			AuthenticatorData: v.Authentication.AuthenticatorData,
			ClientDataJSON:    v.Authentication.ClientDataJSON,
			Signature:         v.Authentication.Signature,
		}, assertion.Expected{
			RPID: f.RPID, Origins: []string{f.Origin}, Challenge: v.Authentication.Challenge,
			PublicKey: att.AuthData.Attested.COSE,
		})
		if !errors.Is(err, want) || got.OK() != (want == nil) {
			t.Errorf("%s: got %v, %v; want %v", v.Name, got.OK(), err, want)
		}
		if want == nil && got.KeyID() != att.AuthData.Attested.Key.ID() {
			t.Errorf("%s: another key", v.Name)
		}
	}
}
