package pades_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"testing"

	"oruro.gob.bo/suti/signer/internal/cos"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

func addFields(t testing.TB, base []byte, fields ...pades.NewField) []byte {
	t.Helper()
	a, err := pades.AddFields(context.Background(), bytes.NewReader(base), int64(len(base)), fields, pades.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := a.WriteTo(context.Background(), &out, bytes.NewReader(base)); err != nil {
		t.Fatal(err)
	}
	if int64(out.Len()) != a.Size() || !bytes.HasPrefix(out.Bytes(), base) {
		t.Error("the file changed, or the size is wrong")
	}
	return out.Bytes()
}

// Parallel signers: fields made before the first signature, each with its lock,
// filled in any order.
func TestFieldsMadeBeforehandAreSignedInAnyOrder(t *testing.T) {
	t.Parallel()
	ca := authority(t)
	seal := &pades.Seal{Name: "Ana Núñez", Tier: "Firma electrónica"}
	for _, shape := range costest.Shapes() {
		base := addFields(t, costest.Sample(costest.Options{Shape: shape, Form: true}),
			pades.NewField{Name: "Alcaldía", Placement: &pades.Placement{Page: -1}},
			pades.NewField{Name: "Asesoría", Placement: &pades.Placement{Page: -1, Slot: 1}, Lock: &pades.Lock{Action: pades.LockInclude, Fields: []string{"a"}}},
			pades.NewField{Name: "Archivo", Lock: &pades.Lock{Permission: pades.NoChanges}})
		b := sign(t, base, ca.signer(t, "Certificador", nil), pades.Options{Certify: pades.FormsAndSigning, Field: "Firma"})
		for i, field := range []string{"Asesoría", "Alcaldía"} {
			b = sign(t, b, ca.signer(t, "Ana Núñez", nil), pades.Options{Field: field, Seal: seal})
			checkWithTools(t, shape.String(), b, i+2)
		}
		wantVerdicts(t, shape.String(), verify(t, b), pades.ValidExtended, pades.ValidExtended, pades.Valid)
		last := sign(t, b, ca.signer(t, "Beto", nil), pades.Options{Field: "Archivo"})
		checkWithTools(t, shape.String(), last, 4)
		wantVerdicts(t, shape.String(), verify(t, last), pades.ValidExtended, pades.ValidExtended, pades.ValidExtended, pades.Valid)

		// The last one's lock ends it all.
		_, err := pades.Prepare(context.Background(), bytes.NewReader(last), int64(len(last)), pades.Options{SigningTime: now})
		wantRefusal(t, "after the last", err, pades.CodeCertified)
		w := &world{t: t, shape: shape, file: last}
		filled := w.update(costest.Obj{Num: costest.TextB, Body: with(w.body(costest.TextB), "/V(x)")})
		wantVerdicts(t, "filled in", verify(t, filled), pades.ModifiedForbidden, pades.ModifiedForbidden, pades.ModifiedForbidden, pades.ModifiedForbidden)
		// Before it, only the field that is locked is closed.
		w.file = b
		filled = w.update(costest.Obj{Num: costest.TextB, Body: with(w.body(costest.TextB), "/V(x)")})
		wantVerdicts(t, "other field", verify(t, filled), pades.ModifiedAllowed, pades.ModifiedAllowed, pades.ModifiedAllowed)
		filled = w.update(costest.Obj{Num: costest.TextA, Body: w.swap(w.body(costest.TextA), "(uno)", "(dos)")})
		wantVerdicts(t, "locked field", verify(t, filled), pades.ModifiedForbidden, pades.ModifiedForbidden, pades.ModifiedForbidden)
	}
}

// What a lock leaves open is exactly what it names, parents included, beginnings of
// names not.
func TestLocksOfNewFields(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	for _, c := range []struct {
		lock    pades.Lock
		a, b    pades.Verdict // of filling in "a", "grupo.b"
		another bool          // whether another signature can be added
	}{
		{pades.Lock{}, pades.ModifiedForbidden, pades.ModifiedForbidden, false},
		{pades.Lock{Action: pades.LockInclude, Fields: []string{"a"}}, pades.ModifiedForbidden, pades.ModifiedAllowed, true},
		{pades.Lock{Action: pades.LockInclude, Fields: []string{"grupo.b"}}, pades.ModifiedAllowed, pades.ModifiedForbidden, true},
		{pades.Lock{Action: pades.LockInclude, Fields: []string{"grupo"}}, pades.ModifiedAllowed, pades.ModifiedForbidden, true},
		{pades.Lock{Action: pades.LockInclude, Fields: []string{"gru", "grupo.bb", "A", "grupo.b."}}, pades.ModifiedAllowed, pades.ModifiedAllowed, true},
		{pades.Lock{Action: pades.LockExclude, Fields: []string{"a"}}, pades.ModifiedAllowed, pades.ModifiedForbidden, false},
		{pades.Lock{Action: pades.LockExclude, Fields: []string{"grupo"}}, pades.ModifiedForbidden, pades.ModifiedAllowed, false},
		{pades.Lock{Action: pades.LockExclude, Fields: []string{"grup", "Firma1"}}, pades.ModifiedForbidden, pades.ModifiedForbidden, true},
		{pades.Lock{Action: pades.LockInclude, Fields: []string{"x"}, Permission: pades.NoChanges}, pades.ModifiedForbidden, pades.ModifiedForbidden, false},
		{pades.Lock{Action: pades.LockInclude, Fields: []string{"x"}, Permission: pades.FormsAndSigning}, pades.ModifiedAllowed, pades.ModifiedAllowed, true},
	} {
		for _, shape := range costest.Shapes() {
			name := fmt.Sprintf("%v %v", shape, c.lock)
			base := costest.Sample(costest.Options{Shape: shape, Form: true})
			w := &world{t: t, shape: shape, file: sign(t, base, who, pades.Options{Field: "Nuevo", Lock: &c.lock})}
			checkWithTools(t, name, w.file, 1)
			r := verify(t, w.file)
			wantVerdicts(t, name, r, pades.Valid)
			if r.Signatures[0].Kind != "signature" {
				t.Errorf("%s: is called %s", name, r.Signatures[0].Kind)
			}
			fill := w.update(costest.Obj{Num: costest.TextA, Body: w.swap(w.body(costest.TextA), "(uno)", "(dos)")})
			wantVerdicts(t, name+" a", verify(t, fill), c.a)
			fill = w.update(costest.Obj{Num: costest.TextB, Body: with(w.body(costest.TextB), "/V(x)")})
			wantVerdicts(t, name+" b", verify(t, fill), c.b)
			_, err := pades.Prepare(context.Background(), bytes.NewReader(w.file), int64(len(w.file)), pades.Options{SigningTime: now})
			if (err == nil) != c.another {
				t.Errorf("%s: another signature: %v", name, err)
			}
		}
	}
}

// A /Lock with permissions, in a field of the document, binds once the field is signed.
func TestLockOfTheDocumentSetsPermissions(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	base := costest.Sample(costest.Options{Form: true, FieldExtra: "/Lock<</Type/SigFieldLock/Action/Include/Fields[(a)]/P 1>>"})
	if _, err := pades.Prepare(context.Background(), bytes.NewReader(base), int64(len(base)), pades.Options{SigningTime: now}); err != nil {
		t.Errorf("an empty field locks nothing: %v", err)
	}
	b := sign(t, base, who, pades.Options{Field: "Firma"})
	if !bytes.Contains(b, []byte("/V /1.2 /Action /Include /Fields [<61>] /P 1>>")) {
		t.Error("the lock is not in the signature")
	}
	_, err := pades.Prepare(context.Background(), bytes.NewReader(b), int64(len(b)), pades.Options{SigningTime: now})
	wantRefusal(t, "after", err, pades.CodeCertified)
	for name, o := range map[string]pades.Options{"own lock": {Lock: &pades.Lock{}}, "certified": {Certify: pades.FormsAndSigning}} {
		o.Field, o.SigningTime = "Firma", now
		_, err := pades.Prepare(context.Background(), bytes.NewReader(base), int64(len(base)), o)
		wantRefusal(t, name, err, pades.CodeSeedValues)
	}
	for name, lock := range map[string]string{"action": "/Action/Some", "permission": "/Action/All/P 4", "names": "/Action/Include/Fields[(a)7]", "type": ""} {
		extra := "/Lock<<" + lock + ">>"
		if lock == "" {
			extra = "/Lock 7"
		}
		bad := costest.Sample(costest.Options{Form: true, FieldExtra: extra})
		_, err := pades.Prepare(context.Background(), bytes.NewReader(bad), int64(len(bad)), pades.Options{SigningTime: now, Field: "Firma"})
		wantRefusal(t, name, err, pades.CodeDamaged)
	}
}

func TestSeedValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		sv string
		o  pades.Options
		ok bool
	}{
		{"", pades.Options{}, true},
		{"/Ff 1/Filter/Adobe.PPKLite", pades.Options{}, true},
		{"/Ff 1/Filter/Entrust.PPKEF", pades.Options{}, false},
		{"/Filter/Entrust.PPKEF", pades.Options{}, true}, // recommended only
		{"/Ff 2/SubFilter[/adbe.pkcs7.detached/ETSI.CAdES.detached]", pades.Options{}, true},
		{"/Ff 2/SubFilter[/adbe.pkcs7.sha1]", pades.Options{}, false},
		{"/Ff 4/V 3", pades.Options{}, true},
		{"/Ff 4/V 4", pades.Options{}, false},
		{"/Ff 8/Reasons[(Apruebo)(Reviso)]", pades.Options{Reason: "Reviso"}, true},
		{"/Ff 8/Reasons[(Apruebo)(Reviso)]", pades.Options{}, false},
		{"/Ff 8/Reasons[(Apruebo)(Reviso)]", pades.Options{Reason: "Otro"}, false},
		{"/Ff 8/Reasons[(.)]", pades.Options{}, true},
		{"/Ff 8", pades.Options{Reason: "Otro"}, false},
		{"/Reasons[(Apruebo)]", pades.Options{Reason: "Otro"}, true},
		{"/Ff 16/LegalAttestation[(x)]", pades.Options{}, true},
		{"/Ff 16/LegalAttestation[(x)]", pades.Options{Certify: pades.NoChanges}, false},
		{"/Ff 32/AddRevInfo true", pades.Options{}, false},
		{"/Ff 32/AddRevInfo false", pades.Options{}, true},
		{"/Ff 64/DigestMethod[(SHA256)(SHA512)]", pades.Options{}, true},
		{"/Ff 64/DigestMethod[(SHA512)]", pades.Options{}, false},
		{"/Ff 64/DigestMethod[/SHA1]", pades.Options{}, false},
		{"/Ff 128/LockDocument/true", pades.Options{}, false},
		{"/Ff 128/LockDocument/auto", pades.Options{}, true},
		{"/Ff 256/AppearanceFilter(x)", pades.Options{}, false},
		{"/Ff 512", pades.Options{}, false},
		{"/Ff/x", pades.Options{}, false},
		{"/MDP<</P 0>>", pades.Options{}, true},
		{"/MDP<</P 0>>", pades.Options{Certify: pades.NoChanges}, false},
		{"/MDP<</P 2>>", pades.Options{}, false},
		{"/MDP<</P 2>>", pades.Options{Certify: pades.FormsAndSigning}, true},
		{"/MDP<<>>", pades.Options{}, false},
		{"/TimeStamp<</URL(https://x/)/Ff 1>>", pades.Options{}, false},
		{"/TimeStamp<</URL(https://x/)/Ff 1>>", pades.Options{Level: pades.LevelBT}, true},
		{"/TimeStamp<</URL(https://x/)/Ff 0>>", pades.Options{}, true},
		{"/Cert<</Ff 2/Issuer[(x)]>>", pades.Options{}, false},
		{"/Cert<</Ff 64/URL(https://x/)>>", pades.Options{}, true},
		{"/Cert<</Issuer[(x)]>>", pades.Options{}, true},
	} {
		base := costest.Sample(costest.Options{Form: true, FieldExtra: "/SV<</Type/SV " + c.sv + ">>"})
		c.o.Field, c.o.SigningTime = "Firma", now
		_, err := pades.Prepare(context.Background(), bytes.NewReader(base), int64(len(base)), c.o)
		if c.ok {
			if err != nil {
				t.Errorf("%s: %v", c.sv, err)
			}
			continue
		}
		wantRefusal(t, c.sv, err, pades.CodeSeedValues)
	}
}

func TestAddFieldsRefuses(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	plain := costest.Sample(costest.Options{Form: true})
	for name, c := range map[string]struct {
		base []byte
		f    pades.NewField
		want pades.Code
	}{
		"name taken":   {plain, pades.NewField{Name: "Firma"}, pades.CodeFieldName},
		"no name":      {plain, pades.NewField{}, pades.CodeFieldName},
		"dots":         {plain, pades.NewField{Name: "a.b"}, pades.CodeFieldName},
		"page":         {plain, pades.NewField{Name: "x", Placement: &pades.Placement{Page: 9}}, pades.CodePage},
		"outside":      {plain, pades.NewField{Name: "x", Placement: &pades.Placement{Slot: 50}}, pades.CodeSeal},
		"certified":    {sign(t, plain, who, pades.Options{Certify: pades.AlsoAnnotations}), pades.NewField{Name: "x"}, pades.CodeCertified},
		"locked":       {sign(t, plain, who, pades.Options{Lock: &pades.Lock{}}), pades.NewField{Name: "x"}, pades.CodeLocked},
		"not a PDF":    {[]byte("x"), pades.NewField{Name: "x"}, pades.CodeHeader},
		"junk at end":  {append(bytes.Clone(plain), 'x'), pades.NewField{Name: "x"}, pades.CodeDamaged},
		"dynamic form": {costest.Sample(costest.Options{CatalogExtra: "/AcroForm<</Fields[]/XFA[]>>"}), pades.NewField{Name: "x"}, pades.CodeXFA},
	} {
		_, err := pades.AddFields(context.Background(), bytes.NewReader(c.base), int64(len(c.base)), []pades.NewField{c.f}, pades.Limits{})
		wantRefusal(t, name, err, c.want)
	}
	for name, fields := range map[string][]pades.NewField{
		"none": nil, "too many": make([]pades.NewField, 129), "lock without names": {{Name: "x", Lock: &pades.Lock{Action: pades.LockInclude}}},
	} {
		_, err := pades.AddFields(context.Background(), bytes.NewReader(plain), int64(len(plain)), fields, pades.Limits{})
		if !errors.Is(err, pades.ErrOptions) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	// To an earlier signature, an empty field is a change that it allows.
	b := addFields(t, sign(t, plain, who, pades.Options{}), pades.NewField{Name: "x", Placement: &pades.Placement{}})
	wantVerdicts(t, "after a signature", verify(t, b), pades.ModifiedAllowed)
}

func TestRSAPSS(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	who := authority(t).signer(t, "Ana", key)
	base := costest.Sample(costest.Options{})
	for _, alg := range []string{"rsa-pss-sha256", "rsa-pss-sha384", "rsa-pss-sha512", "rsa-sha512"} {
		b := sign(t, base, who, pades.Options{Algorithm: alg, Level: pades.LevelBT})
		r := verify(t, b)
		wantVerdicts(t, alg, r, pades.Valid)
		if r.Signatures[0].Algorithm != alg {
			t.Errorf("%s: signed with %s", alg, r.Signatures[0].Algorithm)
		}
	}
	for alg, want := range map[string]error{"ecdsa-sha256": nil, "md5": pades.ErrOptions} {
		_, err := pades.Sign(context.Background(), bytes.NewReader(base), int64(len(base)), who.key, who.chain, nil, pades.Options{SigningTime: now, Algorithm: alg})
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: got %v", alg, err)
		}
	}
}

func TestPDF20(t *testing.T) {
	t.Parallel()
	who := authority(t).signer(t, "Ana", nil)
	for _, shape := range costest.Shapes() {
		f := costest.SampleFile(costest.Options{Shape: shape, Form: true})
		f.Version = "2.0"
		b := sign(t, f.Bytes(), who, pades.Options{Level: pades.LevelBT, Certify: pades.FormsAndSigning, Seal: &pades.Seal{Name: "Ana"}})
		b = sign(t, b, who, pades.Options{Field: "Firma"})
		checkWithTools(t, shape.String(), b, 2)
		wantVerdicts(t, shape.String(), verify(t, b), pades.ValidExtended, pades.Valid)
		c, err := cos.Open(bytes.NewReader(b), int64(len(b)), cos.Limits{})
		if err != nil || c.HeaderVersion() != "2.0" {
			t.Errorf("version %q, %v", c.HeaderVersion(), err)
		}
	}
}
