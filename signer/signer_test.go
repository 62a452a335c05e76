package signer_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/bundle"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/failpoint"
	"oruro.gob.bo/suti/internal/subject"
	"oruro.gob.bo/suti/sdk/api"
	"oruro.gob.bo/suti/signer"
	"oruro.gob.bo/suti/signer/internal/cos/costest"
	"oruro.gob.bo/suti/signer/pades"
)

// TestStory is the whole way: an application asks an official and a citizen for
// their signatures, both approve, everybody can check.
func TestStory(t *testing.T) {
	each(t, func(t *testing.T, g *rig) {
		official, citizen := g.w.Official, g.w.Citizen
		pdf := sample("Resolucion")
		st := g.request("r1", pdf, official, citizen)
		if st.State != "pending" || !strings.HasSuffix(st.SignURL, "/firmas/"+st.ID) || st.RequestedLevel != "B-T" || st.AchievedLevel != "" {
			t.Errorf("created %+v", st)
		}
		for _, path := range []string{"/firmas", "/firmas/" + st.ID} { // whoever it is not must be able to say so (D27)
			contains(t, g.page(path, official, 200), `href="/cuenta/otra-persona"`, `action="/cuenta/salir"`, official.Profile.Name.Full())
		}
		contains(t, g.page("/firmas", official, 200), "Resolución 12/2026", "Gobierno Autónomo Departamental de Oruro", "Secretaria Departamental de Minería, interino")
		lacks(t, g.page("/firmas", citizen, 200), "Resolución 12/2026")
		contains(t, g.page("/firmas/"+st.ID, official, 200), "María José Mamani Ñáñez", "2 páginas", "Firma electrónica, certificado interno", "Firma 1 de 2")
		contains(t, g.page("/firmas/"+st.ID, citizen, 200), "Todavía no le toca")
		g.page("/firmas/"+st.ID, g.w.Other, 404)

		g.sign(st.ID, official)
		contains(t, g.page("/firmas/"+st.ID+"/listo", official, 200), "Faltan otras personas")
		contains(t, g.page("/firmas/"+st.ID, citizen, 200), "Otras personas ya firmaron", "Firma 2 de 2")
		g.sign(st.ID, citizen)
		contains(t, g.page("/firmas/"+st.ID+"/listo", citizen, 200), st.VerificationCode, "https://app.example/volver")

		done := g.status(st.ID)
		if done.State != "completed" || done.AchievedLevel != "B-T" || done.SignURL != "" || done.Documents[0].SignedSHA256 == "" {
			t.Errorf("completed %+v", done)
		}
		signed := g.signed(done)
		if !bytes.HasPrefix(signed, pdf) {
			t.Error("the document's own bytes were changed")
		}
		tools(t, signed, 2)
		evidence(t, g, st.ID)

		var v signer.Validation
		g.validate(signed, "", &v)
		if v.Standing != signer.StandsRegistered || !v.Trustworthy() || !v.Registered.Final || len(v.Report.Signatures) != 2 {
			t.Errorf("validation %+v", v)
		}
		contains(t, g.verify(signed, ""), "Es el documento registrado", "Resolución 12/2026", "Pedro Mamani", "Firma electrónica, certificado interno")
		contains(t, g.page("/verificar/"+st.VerificationCode, nil, 200), "Compare con lo que tiene", "Resolución 12/2026", "María José", "Una persona, en su propio nombre")
		lacks(t, g.page("/verificar/"+st.VerificationCode, nil, 200), "Pedro")
		g.page("/verificar/0000-0000-0000-0000", nil, 404)

		altered := bytes.Replace(signed, []byte("(Resolucion)"), []byte("(Resolucidn)"), 1)
		if bytes.Equal(altered, signed) {
			t.Fatal("nothing was altered")
		}
		g.validate(altered, "", &v)
		if v.Standing != signer.StandsNotThat || v.Code != st.VerificationCode || v.Trustworthy() {
			t.Errorf("altered: %+v", v)
		}
		contains(t, g.verify(altered, ""), "No es el documento registrado", "Firma no válida")
		contains(t, g.verify(sample("otro"), strings.ToLower(st.VerificationCode)), "No es el documento registrado")
		contains(t, g.verify(sample("otro"), ""), "no está registrado aquí", "no tiene firmas")
		contains(t, g.verify(sample("otro"), "0000-0000-0000-0000"), "Ese código no está registrado")
		contains(t, g.verify([]byte("no es PDF"), ""), "No pudimos leer las firmas")
		contains(t, g.verify(nil, ""), "Elija el archivo PDF")
	})
}

func (g *rig) validate(pdf []byte, code string, v *signer.Validation) {
	g.t.Helper()
	*v = signer.Validation{}
	status, _, b := g.send("POST", "/api/v1/validations?code="+code, "|", "application/pdf", bytes.NewReader(pdf))
	if err := json.Unmarshal(b, v); err != nil || status != http.StatusOK {
		g.t.Fatalf("validate: %d %s %v", status, b, err)
	}
}

// tools lets foreign programs judge.
func tools(t testing.TB, pdf []byte, signatures int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "firmado.pdf")
	if err := os.WriteFile(path, pdf, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want string
		args []string
	}{{"Signature is Valid", []string{"pdfsig", "-nocert", path}}, {"No syntax or stream encoding errors found", []string{"qpdf", "--check", path}}} {
		if _, err := exec.LookPath(c.args[0]); err != nil {
			dbtest.Missing(t, c.args[0]+" is not installed")
			continue
		}
		out, err := exec.Command(c.args[0], c.args[1:]...).CombinedOutput()
		n := strings.Count(string(out), c.want)
		if c.args[0] == "qpdf" && n == 1 {
			n = signatures
		}
		if err != nil || n != signatures {
			t.Errorf("%s: %v\n%s", c.args[0], err, out)
		}
	}
}

func evidence(t testing.TB, g *rig, id string) {
	t.Helper()
	g.w.Sequence()
	for _, query := range []string{"", "?signer=1"} {
		status, _, raw := g.send("GET", "/api/v1/signing-requests/"+id+"/evidence"+query, appA, "", nil)
		if status != http.StatusOK {
			t.Fatalf("evidence: %d %s", status, raw)
		}
		r, err := bundle.Verify(raw, bundle.Trust{Genesis: g.w.Genesis, Now: g.w.Clock.Now(), Roots: g.w.CA.Pool(), TSARoots: g.w.CA.Pool()})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != bundle.Valid {
			t.Errorf("evidence%s: %s %+v", query, r.Verdict, r.Err())
		}
	}
}

func TestIdempotency(t *testing.T) {
	each(t, func(t *testing.T, g *rig) {
		one := g.upload("k", sample("a"))
		if again := g.upload("k", sample("a")); again.ID != one.ID {
			t.Errorf("again %s, want %s", again.ID, one.ID)
		}
		status, _, raw := g.send("POST", "/api/v1/documents", appA, "application/pdf", bytes.NewReader(sample("b")), "Idempotency-Key", "k")
		g.wantProblem(status, raw, http.StatusConflict, "idempotency_key_reused")
		status, _, raw = g.send("POST", "/api/v1/documents", appA, "application/pdf", bytes.NewReader(sample("b")))
		g.wantProblem(status, raw, http.StatusBadRequest, "idempotency_key_missing")

		body, err := json.Marshal(api.SigningRequest{Documents: []api.RequestDocument{{ID: one.ID, Title: "T"}}, Signers: []api.Signer{g.signerOf(g.w.Citizen)}})
		if err != nil {
			t.Fatal(err)
		}
		answers := make([][]byte, 16)
		dbtest.Contend(t, len(answers), func(i int) {
			_, _, answers[i] = g.send("POST", "/api/v1/signing-requests", appA, "application/json", bytes.NewReader(body), "Idempotency-Key", "r")
		})
		for _, a := range answers {
			if !bytes.Equal(a, answers[0]) || !bytes.Contains(a, []byte(`"state":"pending"`)) {
				t.Errorf("answer %s, want %s", a, answers[0])
			}
		}
		other := bytes.Replace(body, []byte(`"T"`), []byte(`"U"`), 1)
		status, _, raw = g.send("POST", "/api/v1/signing-requests", appA, "application/json", bytes.NewReader(other), "Idempotency-Key", "r")
		g.wantProblem(status, raw, http.StatusConflict, "idempotency_key_reused")
	})
}

func TestAPIRefusals(t *testing.T) {
	each(t, func(t *testing.T, g *rig) {
		d := g.upload("k", sample("a"))
		good := func() api.SigningRequest {
			return api.SigningRequest{Documents: []api.RequestDocument{{ID: d.ID, Title: "T"}}, Signers: []api.Signer{g.signerOf(g.w.Official)}}
		}
		past := g.w.Clock.Now().Add(-time.Second)
		cases := map[string]struct {
			change func(*api.SigningRequest)
			status int
			code   string
		}{
			"no documents":        {func(r *api.SigningRequest) { r.Documents = nil }, 400, "invalid_request"},
			"same document twice": {func(r *api.SigningRequest) { r.Documents = append(r.Documents, r.Documents[0]) }, 400, "invalid_request"},
			"unknown document":    {func(r *api.SigningRequest) { r.Documents[0].ID = "doc_x" }, 422, "document_unknown"},
			"title with controls": {func(r *api.SigningRequest) { r.Documents[0].Title = "a\u202eb" }, 400, "invalid_request"},
			"no signers":          {func(r *api.SigningRequest) { r.Signers = nil }, 400, "invalid_request"},
			"unknown sub":         {func(r *api.SigningRequest) { r.Signers[0].Subject = "sub-x" }, 422, "signer_unknown"},
			"sub and document":    {func(r *api.SigningRequest) { r.Signers[0].Document = &api.IdentityDocRef{Type: "CI", Number: "1"} }, 400, "invalid_request"},
			"unknown person": {func(r *api.SigningRequest) {
				r.Signers[0] = api.Signer{Document: &api.IdentityDocRef{Type: "CI", Number: "99"}}
			}, 422, "signer_unknown"},
			"another's post":   {func(r *api.SigningRequest) { r.Signers[0].Subject = "sub-" + string(g.w.Citizen.ID()) }, 403, "appointment_not_held"},
			"level":            {func(r *api.SigningRequest) { r.Level = "B-LT" }, 400, "invalid_request"},
			"seal beyond":      {func(r *api.SigningRequest) { r.Seal = &api.Seal{Page: "3"} }, 400, "invalid_request"},
			"seal corner":      {func(r *api.SigningRequest) { r.Seal = &api.Seal{Corner: "middle"} }, 400, "invalid_request"},
			"return elsewhere": {func(r *api.SigningRequest) { r.ReturnURL = "javascript:alert(1)" }, 400, "invalid_request"},
			"past":             {func(r *api.SigningRequest) { r.ExpiresAt = &past }, 400, "invalid_request"},
		}
		i := 0
		for name, c := range cases {
			r := good()
			c.change(&r)
			body, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			i++
			status, _, raw := g.send("POST", "/api/v1/signing-requests", appA, "application/json", bytes.NewReader(body), "Idempotency-Key", key(i))
			t.Log(name)
			g.wantProblem(status, raw, c.status, c.code)
		}
		byCard := good()
		byCard.Signers[0] = api.Signer{Document: &api.IdentityDocRef{Type: "CI", Number: g.w.Citizen.Profile.Document.Number}}
		var st api.SigningStatus
		if status := g.json("POST", "/api/v1/signing-requests", appA, byCard, &st, "Idempotency-Key", "card"); status != 201 {
			t.Errorf("signer by document: %d", status)
		}
		status, _, raw := g.send("GET", "/api/v1/signing-requests/"+st.ID, "", "", nil)
		g.wantProblem(status, raw, 401, "invalid_token")
		status, _, raw = g.send("GET", "/api/v1/signing-requests/"+st.ID, "app-a|firmas:crear", "", nil)
		g.wantProblem(status, raw, 403, "insufficient_scope")
		status, _, raw = g.send("GET", "/api/v1/signing-requests/"+st.ID, "app-b|firmas:leer", "", nil)
		g.wantProblem(status, raw, 404, "not_found")
		status, _, raw = g.send("GET", "/api/v1/signing-requests/"+st.ID+"/documents/"+d.ID+"/signed", appA, "", nil)
		g.wantProblem(status, raw, 409, "not_signed_yet")
		status, _, raw = g.send("POST", "/api/v1/documents", appA, "application/pdf", strings.NewReader("hola"), "Idempotency-Key", "x")
		g.wantProblem(status, raw, 422, "pdf_header")
		bad := g.upload("js", costest.Sample(costest.Options{CatalogExtra: " /OpenAction <</S /JavaScript /JS (app.alert\\(1\\))>>"}))
		if bad.Preflight == nil || bad.Preflight.Signable || bad.Preflight.Refusal != pades.FindJavaScript {
			t.Errorf("preflight %+v", bad.Preflight)
		}
	})
}

// TestDecisions: the ways in which a request ends without a signature.
func TestDecisions(t *testing.T) {
	each(t, func(t *testing.T, g *rig) {
		official := g.w.Official
		who := string(official.ID())
		st := g.request("a", sample("a"), official)
		begun := g.begin(st.ID, official)
		if status, _, b := g.send("POST", "/firmas/"+st.ID+"/rechazar", who, "application/x-www-form-urlencoded", strings.NewReader("reason=+")); status != 400 {
			t.Errorf("no reason: %d %s", status, b)
		}
		if status, _, _ := g.send("POST", "/firmas/"+st.ID+"/rechazar", who, "application/x-www-form-urlencoded", strings.NewReader("reason=Falta+el+anexo")); status != 303 {
			t.Errorf("decline: %d", status)
		}
		if s := g.status(st.ID); s.State != "declined" || s.DeclineReason != "Falta el anexo" {
			t.Errorf("declined %+v", s)
		}
		if status, out := g.approve(st.ID, official, begun); status != 409 || out.Problem != "request_closed" {
			t.Errorf("approve after decline: %d %+v", status, out)
		}
		contains(t, g.page("/firmas/"+st.ID, official, 200), "Pedido rechazado", "Falta el anexo")

		st = g.request("b", sample("b"), official)
		if status := g.json("POST", "/api/v1/signing-requests/"+st.ID+"/cancel", appA, nil, &st); status != 200 || st.State != "cancelled" {
			t.Errorf("cancel: %d %+v", status, st)
		}
		status, _, raw := g.send("POST", "/firmas/"+st.ID+"/opciones", who, "application/json", strings.NewReader("{}"))
		if status != 409 || !bytes.Contains(raw, []byte("request_closed")) {
			t.Errorf("options after cancel: %d %s", status, raw)
		}

		st = g.request("c", sample("c"), official)
		g.w.Clock.Add(8 * 24 * time.Hour)
		contains(t, g.page("/firmas/"+st.ID, official, 200), "Pedido vencido")
		if _, err := g.service.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s := g.status(st.ID); s.State != "expired" {
			t.Errorf("expired %+v", s)
		}

		st = g.request("d", sample("d"), official)
		begun = g.begin(st.ID, official)
		g.w.Write(func(tx *db.Tx) error {
			_, err := subject.Advance(tx, official.ID(), "test.change", g.w.Clock.Now())
			return err
		})
		if status, out := g.approve(st.ID, official, begun); status != 409 || out.Problem != "person_changed" {
			t.Errorf("approve under an old epoch: %d %+v", status, out)
		}
		for range 2 {
			if err := g.service.OnSubjectChanged(t.Context(), official.ID()); err != nil {
				t.Fatal(err)
			}
		}
		if s := g.status(st.ID); s.State != "cancelled" {
			t.Errorf("after the change %+v", s)
		}
	})
}

// TestAttacks: what the tour shows, by the names that pages and programs get.
func TestAttacks(t *testing.T) {
	each(t, func(t *testing.T, g *rig) {
		official := g.w.Official
		one, two := g.request("a", sample("a"), official), g.request("b", sample("b"), official)
		forOne, forTwo := g.begin(one.ID, official), g.begin(two.ID, official)
		mixed := forOne
		mixed.Options = forTwo.Options
		if status, out := g.approve(one.ID, official, mixed); status != 403 || out.Code != "assertion_other_documents" {
			t.Errorf("assertion for other documents: %d %+v", status, out)
		}
		answer := map[string]any{"id": forOne.ID, "response": official.Answer(t, forOne.Options)}
		var out begun
		if status := g.json("POST", "/firmas/"+one.ID+"/aprobar", string(official.ID()), answer, &out); status != 200 {
			t.Fatalf("approve: %d %+v", status, out)
		}
		if status := g.json("POST", "/firmas/"+one.ID+"/aprobar", string(official.ID()), answer, &out); status != 409 || out.Code != "activation_used" {
			t.Errorf("used twice: %d %+v", status, out)
		}
		answer["id"] = forTwo.ID
		if status := g.json("POST", "/firmas/"+two.ID+"/aprobar", string(official.ID()), answer, &out); status != 403 || out.Code != "assertion_replayed" {
			t.Errorf("replayed: %d %+v", status, out)
		}
		stranger := *g.w.Citizen
		stranger.Profile = official.Profile // signs with another's passkey in the official's session
		var o struct {
			PublicKey map[string]any `json:"publicKey"`
		}
		if err := json.Unmarshal(forTwo.Options, &o); err != nil {
			t.Fatal(err)
		}
		delete(o.PublicKey, "allowCredentials")
		forged := forTwo
		forged.Options, _ = json.Marshal(o)
		if status, out := g.approve(two.ID, &stranger, forged); status != 403 || out.Code != "key_of_other_person" {
			t.Errorf("another's passkey: %d %+v", status, out)
		}
		if status, out := g.approve(two.ID, g.w.Citizen, forged); status != 403 || out.Code != "not_your_turn" {
			t.Errorf("another's session: %d %+v", status, out)
		}
		g.w.CA.RevokeAll()
		if status, out := g.approve(two.ID, official, forTwo); status != 403 || out.Code != "certificate_revoked" {
			t.Errorf("revoked certificate: %d %+v", status, out)
		}
		if s := g.status(two.ID); s.State != "pending" {
			t.Errorf("after refusals %+v", s)
		}
	})
}

// TestOneRelease: an approval sent many times at once is one signature and one release.
func TestOneRelease(t *testing.T) {
	each(t, func(t *testing.T, g *rig) {
		st := g.request("a", sample("a"), g.w.Official)
		b := g.begin(st.ID, g.w.Official)
		body, err := json.Marshal(map[string]any{"id": b.ID, "response": g.w.Official.Answer(t, b.Options)})
		if err != nil {
			t.Fatal(err)
		}
		var ok atomic.Int64
		dbtest.Contend(t, 32, func(int) {
			status, _, raw := g.send("POST", "/firmas/"+st.ID+"/aprobar", string(g.w.Official.ID()), "application/json", bytes.NewReader(body))
			switch {
			case status == 200:
				ok.Add(1)
			case status != 409:
				t.Errorf("%d %s", status, raw)
			}
		})
		if ok.Load() != 1 || g.w.TSA.Made != 1 || g.status(st.ID).State != "completed" {
			t.Errorf("%d succeeded, %d stamped, state %s", ok.Load(), g.w.TSA.Made, g.status(st.ID).State)
		}
	})
}

// TestReleaseAfterCrash: what the core had signed when the process ended is
// released afterwards, and what it had not is asked for again.
func TestReleaseAfterCrash(t *testing.T) { // failpoints are global: not parallel
	for _, engine := range []db.Engine{db.SQLite, db.Postgres} {
		for point, want := range map[string]string{failpoint.SignAfterResult: "completed", failpoint.SignBeforeResult: "completed", failpoint.SignAfterKeyUse: "pending"} {
			t.Run(engine.String()+"/"+point, func(t *testing.T) {
				g := newRig(t, dbtest.Open(t, engine, lines()))
				st := g.request("a", sample("a"), g.w.Official)
				b := g.begin(st.ID, g.w.Official)
				disarm := failpoint.Arm(point, func() error { panic("crash") })
				defer disarm()
				status, _ := g.approve(st.ID, g.w.Official, b)
				disarm()
				if status != 500 {
					t.Fatalf("status %d, want the crash", status)
				}
				g.w.Clock.Add(5 * time.Minute)
				for range 3 {
					if _, err := g.service.Step(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if s := g.status(st.ID); s.State != want {
					t.Fatalf("state %s, want %s", s.State, want)
				}
				if want == "pending" {
					g.sign(st.ID, g.w.Official)
				}
				tools(t, g.signed(g.status(st.ID)), 1)
			})
		}
	}
}

// TestCrashBeforeApproval: a crash before anybody approved leaves no signature and
// no obstacle: the same call again succeeds.
func TestCrashBeforeApproval(t *testing.T) { // failpoints are global: not parallel
	for _, engine := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(engine.String(), func(t *testing.T) {
			g := newRig(t, dbtest.Open(t, engine, lines()))
			crash := func(point string, call func() int) {
				t.Helper()
				disarm := failpoint.Arm(point, func() error { panic("crash") })
				defer disarm()
				if status := call(); status != 500 {
					t.Errorf("%s: status %d, want the crash", point, status)
				}
			}
			pdf := sample("a")
			crash(failpoint.SignBaseStored, func() int {
				status, _, _ := g.send("POST", "/api/v1/documents", appA, "application/pdf", bytes.NewReader(pdf), "Idempotency-Key", "doc-a")
				return status
			})
			st := g.request("a", pdf, g.w.Official) // uploads under the same key
			for _, point := range []string{failpoint.SignAfterCert, failpoint.SignPrepared} {
				crash(point, func() int {
					status, _, _ := g.send("POST", "/firmas/"+st.ID+"/opciones", string(g.w.Official.ID()), "application/json", strings.NewReader("{}"))
					return status
				})
			}
			g.sign(st.ID, g.w.Official)
			if g.w.CA.Issued != 1 || g.w.TSA.Made != 1 {
				t.Errorf("%d certificates, %d stamps; want one of each", g.w.CA.Issued, g.w.TSA.Made)
			}
			tools(t, g.signed(g.status(st.ID)), 1)
		})
	}
}

// TestLargeDocument: a document at the limit is taken, signed and given back.
func TestLargeDocument(t *testing.T) {
	if testing.Short() {
		t.Skip("100 MB")
	}
	t.Parallel()
	g := newRig(t, dbtest.Open(t, db.SQLite, lines()))
	pdf := costest.Sample(costest.Options{Extra: []costest.Obj{{Num: 30, Body: "<<>>", Data: bytes.Repeat([]byte{'x'}, 100<<20-5000)}}})
	st := g.request("a", pdf, g.w.Official)
	g.sign(st.ID, g.w.Official)
	signed := g.signed(st)
	if !bytes.HasPrefix(signed, pdf) || len(signed) == len(pdf) {
		t.Errorf("%d bytes of %d", len(signed), len(pdf))
	}
	status, _, raw := g.send("POST", "/api/v1/documents", appA, "application/pdf", bytes.NewReader(append(pdf, make([]byte, 10000)...)), "Idempotency-Key", "big")
	g.wantProblem(status, raw, 413, "too_large")
}

// TestQuotedCode: a registered file that quotes another document's address is
// still the registered document, unless somebody says that code is its own.
func TestQuotedCode(t *testing.T) {
	each(t, func(t *testing.T, g *rig) {
		first := g.request("a", sample("a"), g.w.Citizen)
		g.sign(first.ID, g.w.Citizen)
		second := g.request("b", sample("vea http://localhost/verificar/"+first.VerificationCode+" ."), g.w.Official)
		g.sign(second.ID, g.w.Official)
		file := g.signed(g.status(second.ID))
		var v signer.Validation
		g.validate(file, "", &v)
		if v.Standing != signer.StandsRegistered || v.Registered.Code != second.VerificationCode {
			t.Errorf("quotes another: %+v", v)
		}
		g.validate(file, first.VerificationCode, &v)
		if v.Standing != signer.StandsNotThat {
			t.Errorf("another's code: %+v", v)
		}
		// A document that only private people signed shows neither title nor name.
		page := g.page("/verificar/"+first.VerificationCode, nil, 200)
		contains(t, page, "Título reservado", "Una persona, en su propio nombre")
		lacks(t, page, "Resolución", "Pedro")
	})
}

// TestRefusedThenApproved: refused answers, many at once with a good one, neither
// spend the approval nor lose the signature.
func TestRefusedThenApproved(t *testing.T) {
	each(t, func(t *testing.T, g *rig) {
		st := g.request("a", sample("a"), g.w.Official)
		b := g.begin(st.ID, g.w.Official)
		good := g.w.Official.Answer(t, b.Options)
		bad := bytes.Replace(good, []byte(`"signature":"`), []byte(`"signature":"AAAA`), 1)
		if bytes.Equal(good, bad) {
			t.Fatal("the answer was not changed")
		}
		var won atomic.Int64
		dbtest.Contend(t, 24, func(i int) {
			answer := bad
			if i == 11 {
				answer = good
			}
			body, err := json.Marshal(map[string]any{"id": b.ID, "response": json.RawMessage(answer)})
			if err != nil {
				t.Error(err)
			}
			status, _, raw := g.send("POST", "/firmas/"+st.ID+"/aprobar", string(g.w.Official.ID()), "application/json", bytes.NewReader(body))
			switch {
			case status == 200:
				won.Add(1)
			case status != 403 && status != 409:
				t.Errorf("%d %s", status, raw)
			}
		})
		if s := g.status(st.ID); won.Load() != 1 || s.State != "completed" {
			t.Errorf("%d approved, state %s", won.Load(), s.State)
		}
		declined := g.request("b", sample("b"), g.w.Official)
		b = g.begin(declined.ID, g.w.Official)
		for range 2 {
			status := g.json("POST", "/firmas/"+declined.ID+"/aprobar", string(g.w.Official.ID()), map[string]any{"id": b.ID, "response": json.RawMessage(bad)}, nil)
			if status != 403 {
				t.Errorf("answer for another challenge: %d", status)
			}
		}
		if status := g.json("POST", "/firmas/"+declined.ID+"/rechazar", string(g.w.Official.ID()), map[string]string{"reason": "No corresponde"}, nil); status != 200 {
			t.Errorf("decline after refused answers: %d", status)
		}
	})
}
