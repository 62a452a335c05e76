package main

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

func TestNamesAreSpelt(t *testing.T) {
	t.Parallel()
	one := func(oid asn1.ObjectIdentifier, v any) []pkix.AttributeTypeAndValue {
		return []pkix.AttributeTypeAndValue{{Type: oid, Value: v}}
	}
	der, err := asn1.Marshal(pkix.RDNSequence{
		one(asn1.ObjectIdentifier{2, 5, 4, 6}, "BO"), one(asn1.ObjectIdentifier{2, 5, 4, 97}, "NTRBO-1"), one(asn1.ObjectIdentifier{2, 5, 4, 5}, "x7"),
		one(asn1.ObjectIdentifier{2, 5, 4, 12}, "Secretario, general"), one(asn1.ObjectIdentifier{2, 5, 4, 42}, "José"),
		one(asn1.ObjectIdentifier{2, 5, 4, 4}, "Núñez"), one(asn1.ObjectIdentifier{1, 2, 3}, 5),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `1.2.3=#020105, SN=Núñez, GN=José, T=Secretario\, general, SERIALNUMBER=x7, ORGANIZATIONIDENTIFIER=NTRBO-1, C=BO`
	if got := nameText(der, ""); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := nameText([]byte{1}, "as it is"); got != "as it is" {
		t.Errorf("what is no name: got %s", got)
	}
}

// Every code that the verifier can tell has words for people.
func TestEveryCodeHasWords(t *testing.T) {
	t.Parallel()
	n := 0
	look := func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		lit, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		words := reasonWords
		if name := spec.Names[0].Name; strings.HasPrefix(name, "Warn") {
			words = warningWords
		} else if !strings.HasPrefix(name, "Sub") {
			return true
		}
		n++
		if code, err := strconv.Unquote(lit.Value); err != nil || words[code] == "" {
			t.Errorf("%s has no words", spec.Names[0].Name)
		}
		return true
	}
	for _, file := range []string{"../../signer/pades/report.go", "../../signer/internal/judge/codes.go", "../../signer/cades/verify.go", "../../signer/jades/verify.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, look)
	}
	if n < 20 {
		t.Errorf("only %d codes found", n)
	}
}
