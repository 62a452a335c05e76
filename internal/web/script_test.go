package web_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"oruro.gob.bo/suti/internal/web/webtest"
)

// maxScript is the budget of a page's own script, in bytes as they stand in the
// file: with the first page it has to pass over a slow line (design D11).
const maxScript = 3000

func TestScriptsAreSmall(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("assets/*.js")
	if err != nil || len(names) < 2 {
		t.Fatalf("scripts: %v, %v", names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil || len(b) > maxScript {
			t.Errorf("%s has %d bytes, want at most %d (%v)", name, len(b), maxScript, err)
		}
	}
}

const keyPage = `<!doctype html><title>x</title><form data-llave=get data-options=/opciones data-finish=/fin hidden>
<p role=alert tabindex=-1 hidden></p><button>x</button>PROBLEMS</form>
<script>
let fail = ""
navigator.credentials.get = async o => { window.asked = o; if (fail) throw fail === "TypeError" ? new TypeError(fail) : new DOMException("x", fail); return made }
const made = { id: "AQID", rawId: new Uint8Array([1, 2, 3]).buffer, type: "public-key", getClientExtensionResults: () => ({}),
  response: { clientDataJSON: new Uint8Array([251, 255]).buffer, signature: new Uint8Array([62]).buffer } }
if (location.search) delete PublicKeyCredential.parseRequestOptionsFromJSON
const press = async name => {
  fail = name
  const alert = document.querySelector("[role=alert]")
  alert.hidden = true
  document.querySelector("button").click()
  while (alert.hidden && !window.left) await new Promise(requestAnimationFrame)
  return alert.hidden ? "" : alert.textContent + (document.activeElement === alert ? "" : " without focus")
}
</script><script type=module src=/llave.js></script>`

// Whatever the browser's passkeys answer, the person reads one sentence; what
// succeeds is posted in the form of the standard, also by a browser that lacks
// the methods for it.
func TestKeyScriptInABrowser(t *testing.T) {
	t.Parallel()
	var problems strings.Builder
	for _, p := range []string{"cancelado", "ya-tiene", "sin-apoyo", "direccion", "sin-bloqueo", "sin-red", "servicio", "llave"} {
		problems.WriteString(`<p hidden data-problem="` + p + `">` + p + `</p>`)
	}
	posted := make(chan map[string]json.RawMessage, 8)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(strings.Replace(keyPage, "PROBLEMS", problems.String(), 1)))
	})
	mux.HandleFunc("GET /llave.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "assets/llave.js") })
	mux.HandleFunc("POST /opciones", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"id": "cer", "options": {"publicKey": {"challenge": "-_8", "allowCredentials": [{"type": "public-key", "id": "Pg"}]}}}`))
	})
	mux.HandleFunc("POST /fin", func(w http.ResponseWriter, r *http.Request) {
		var got map[string]json.RawMessage
		_ = json.NewDecoder(r.Body).Decode(&got)
		posted <- got
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"problem": "llave"}`))
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	base := strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)
	b := webtest.Browser(t)
	wait := func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }
	for _, query := range []string{"", "?viejo"} {
		var asked string
		actions := []chromedp.Action{chromedp.Navigate(base + "/" + query), chromedp.WaitVisible("form button")}
		got := map[string]*string{}
		want := map[string]string{
			"NotAllowedError": "cancelado", "AbortError": "cancelado", "TimeoutError": "cancelado", "UnknownError": "cancelado", "InvalidStateError": "ya-tiene",
			"NotSupportedError": "sin-apoyo", "SecurityError": "direccion", "ConstraintError": "sin-bloqueo", "NetworkError": "sin-red", "TypeError": "sin-red",
			"EncodingError": "servicio", "DataError": "servicio", "": "llave",
		}
		for name := range want {
			got[name] = new(string)
			actions = append(actions, chromedp.Evaluate(`press("`+name+`")`, got[name], wait))
		}
		actions = append(actions, chromedp.Evaluate(`(o => String(new Uint8Array(o.publicKey.challenge)) + " " + String(new Uint8Array(o.publicKey.allowCredentials[0].id)))(asked)`, &asked))
		in(t, b, actions...)
		for name, problem := range want {
			if *got[name] != problem {
				t.Errorf("%q%s: the page says %q, want %q", name, query, *got[name], problem)
			}
		}
		if asked != "251,255 62" {
			t.Errorf("%s: challenge and id reach the device as %q", query, asked)
		}
		if end := <-posted; string(end["id"]) != `"cer"` ||
			string(end["response"]) != `{"id":"AQID","rawId":"AQID","type":"public-key","response":{"clientDataJSON":"-_8","signature":"Pg"},"clientExtensionResults":{}}` {
			t.Errorf("%s: posted %s %s", query, end["id"], end["response"])
		}
	}
}
