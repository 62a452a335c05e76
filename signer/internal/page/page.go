// Package page is the signer's pages: inbox, approval, public verification; and the
// drawing of PDF pages in a sandbox. A page is a struct of what it shows; every
// visible word goes through i18n. Only signer's packages may import it.
package page

import (
	"embed"
	"io/fs"
	"net/http"
	"time"

	"oruro.gob.bo/suti/internal/web"
)

//go:embed templates/*.html texts/*.json
var files embed.FS

// Texts returns the catalogue of this package.
func Texts() fs.FS {
	sub, err := fs.Sub(files, "texts")
	if err != nil {
		panic(err) // the embedded folder is named above
	}
	return sub
}

// Pages renders the signer's pages.
type Pages struct {
	set            *web.Set
	signOut, notMe string
}

// New parses the pages. signOut is the path to which a form posts to end the
// session, notMe the page for whoever is not the person named; empty if there
// is none.
func New(p *web.Pages, signOut, notMe string) (*Pages, error) {
	sub, err := fs.Sub(files, "templates")
	if err != nil {
		return nil, err
	}
	set, err := p.NewSet(sub)
	if err != nil {
		return nil, err
	}
	return &Pages{set, signOut, notMe}, nil
}

func (p *Pages) render(w http.ResponseWriter, r *http.Request, who string, page web.Page) error {
	page.Person, page.SignOut, page.NotMe = who, p.signOut, p.notMe
	return p.set.Render(w, r, page)
}

// InboxItem is a request in the inbox.
type InboxItem struct {
	Path, Title, Asker, Post string
	Documents                int
	Expires                  time.Time
}

// DecidedItem is a request that the person has decided. State is "signed" or "declined".
type DecidedItem struct {
	Path, Title, Asker, State string
	At                        time.Time
}

// Inbox shows what awaits the person's signature, and what she decided lately.
func (p *Pages) Inbox(w http.ResponseWriter, r *http.Request, who string, items []InboxItem, decided []DecidedItem) error {
	return p.render(w, r, who, web.Page{Template: "firmas", Title: "signer.inbox.title", Data: struct {
		Waiting []InboxItem
		Decided []DecidedItem
	}{items, decided}})
}

// Document is one document of the approval page.
type Document struct {
	Number         int
	Title          string
	Pages          int
	Size           string
	Words, SHA256  string
	PDF            string // address of the file
	Images         []Image
	More           int // pages that are not shown as images
	Warnings       []string
	SignedByOthers bool
}

// Image is a page image.
type Image struct {
	Path          string
	Number        int
	Width, Height int
}

// Request is the approval page.
type Request struct {
	Path              string
	Asker, App        string
	Reason            string
	Person            string
	Post, Institution string
	Tier              string
	Level             string
	Expires           time.Time
	Signer, Signers   int // "2 of 3"
	Documents         []Document
	Problems          []Problem // what the script may have to show
	Demo              bool
}

// Problem is a code of the passkey ceremony and the key of its text.
type Problem struct{ Code, Text string }

// BrowserProblems are those that the script finds itself.
func BrowserProblems() []Problem {
	return []Problem{
		{"cancelado", "signer.browser.cancelado"}, {"ya-tiene", "signer.browser.ya_tiene"}, {"sin-apoyo", "signer.browser.sin_apoyo"},
		{"direccion", "signer.browser.direccion"}, {"sin-bloqueo", "signer.browser.sin_bloqueo"}, {"sin-red", "signer.browser.sin_red"},
		{"servicio", "signer.browser.servicio"},
	}
}

// Request shows what is to be signed.
func (p *Pages) Request(w http.ResponseWriter, r *http.Request, v Request, fault *web.FieldError) error {
	if err := web.Relax(w, web.Policy{ConnectSelf: true}); err != nil {
		return err
	}
	page := web.Page{Template: "firma", Title: "signer.request.title", Data: v, Scripts: []string{"llave.js"}, Back: "/firmas"}
	if fault != nil {
		page.Errors, page.Status = []web.FieldError{*fault}, http.StatusBadRequest
	}
	return p.render(w, r, v.Person, page)
}

// Outcome is the page after a decision, or for a request that has ended.
type Outcome struct {
	State     string // signed, completed, declined, cancelled, expired, busy
	Title     string // of the first document
	Asker     string
	Code      string
	CodePath  string
	Files     []File
	ReturnURL string
	Person    string
	Reason    string
}

// File is a signed document to take away.
type File struct{ Path, Title string }

// Outcome shows what became of a request.
func (p *Pages) Outcome(w http.ResponseWriter, r *http.Request, v Outcome) error {
	return p.render(w, r, v.Person, web.Page{Template: "listo", Title: "signer.outcome." + v.State + ".title", Data: v})
}

// Ask is the form for a file to be verified.
type Ask struct {
	Code string
	Max  string // size, in MB
}

// Ask shows the form.
func (p *Pages) Ask(w http.ResponseWriter, r *http.Request, v Ask, status int, fault *web.FieldError) error {
	page := web.Page{Template: "verificar", Title: "signer.verify.title", Data: v, Status: status}
	if fault != nil {
		page.Errors = []web.FieldError{*fault}
	}
	return p.set.Render(w, r, page)
}

// Signature is one signature of a verified file.
type Signature struct {
	Verdict   string // valid, extended, allowed, unclear, changed, invalid
	Signer    string
	Issuer    string
	Proven    time.Time
	Claimed   time.Time
	Level     string
	Trusted   bool
	Internal  bool // certificate of this authority
	Timestamp bool // a document time-stamp
}

// Registered is what is registered.
type Registered struct {
	Code, Asker string
	Public      bool
	Documents   []RegisteredDocument
	Signers     []Signer
	Final       bool
}

// RegisteredDocument is a registered document.
type RegisteredDocument struct {
	Title         string
	Pages         int
	Words, SHA256 string
}

// Signer is who signed.
type Signer struct {
	Name, Post, Institution string
	Private                 bool
	At                      time.Time
}

// Result is what was found about a file.
type Result struct {
	Standing   string
	Good       bool // registered, and every signature holds
	Refusal    string
	Tier       string
	Words      string
	Signatures []Signature
	Registered *Registered
	// File is the document that the file is, if Registered is another's: the code's.
	File *Registered
	// Code was typed by a person, if CodeStanding is set, which says what it is to
	// the file: of_this_document, of_another_document, unknown.
	Code, CodeStanding string
}

// CodeNote names the text about a code that is not the file's; "" if there is
// nothing to add to what the page says of the file.
func (v Result) CodeNote() string {
	switch {
	case v.File != nil:
		return "code_of_another"
	case v.CodeStanding == "unknown" && v.Standing != "unknown_code":
		return "code_unknown"
	}
	return ""
}

// RefusalText names the text about a file that was not judged.
func (v Result) RefusalText() string {
	switch v.Refusal {
	case "verification_too_complex", "limit":
		return "too_complex"
	case "verification_failed":
		return "failed"
	}
	return "refused"
}

// Lead names the text about what the file is.
func (v Result) Lead() string {
	switch {
	case v.File != nil:
		return "registered_other_code"
	case v.Refusal != "" && v.Standing == "unregistered":
		return "unregistered_unread"
	}
	return v.Standing
}

// Result shows what was found.
func (p *Pages) Result(w http.ResponseWriter, r *http.Request, v Result, status int) error {
	return p.set.Render(w, r, web.Page{Template: "resultado", Title: "signer.result.title", Data: v, Status: status, Back: "/verificar"})
}

// Code shows what is registered under a verification code.
func (p *Pages) Code(w http.ResponseWriter, r *http.Request, v Registered, tier string) error {
	return p.set.Render(w, r, web.Page{Template: "codigo", Title: "signer.code.title", Back: "/verificar", Data: struct {
		Registered
		Tier string
	}{v, tier}})
}
