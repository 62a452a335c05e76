// Package page is enrolment's pages: registration, the counter, one's own
// passkeys. A page is a struct of what it shows; every visible word goes through
// i18n. Only enrolment imports it.
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

// Pages renders enrolment's pages.
type Pages struct{ set *web.Set }

// New parses the pages.
func New(p *web.Pages) (*Pages, error) {
	sub, err := fs.Sub(files, "templates")
	if err != nil {
		return nil, err
	}
	set, err := p.NewSet(sub)
	if err != nil {
		return nil, err
	}
	return &Pages{set}, nil
}

// Render shows a page without a passkey step.
func (p *Pages) Render(w http.ResponseWriter, r *http.Request, page web.Page) error {
	return p.set.Render(w, r, page)
}

// RenderKey shows a page with a passkey step.
func (p *Pages) RenderKey(w http.ResponseWriter, r *http.Request, page web.Page) error {
	if err := web.Relax(w, web.Policy{ConnectSelf: true}); err != nil {
		return err
	}
	page.Scripts = []string{"llave.js"}
	return p.set.Render(w, r, page)
}

// Hidden is a field that a form carries on.
type Hidden struct{ Name, Value string }

// Registration is one question of the registration; what was answered before
// travels along.
type Registration struct {
	Step  int    // 1 to 4
	Path  string // where the form goes
	Carry []Hidden
	// Correct says that what was said before is corrected.
	Correct bool
}

// Said is what a person said of herself, before she makes her passkey.
type Said struct {
	Rows []web.RowView
	Next string
}

// Key is a passkey step: a form whose options and finish are below a path.
type Key struct {
	Path   string // of the step
	Create bool   // make a passkey; else use one
	Skip   string // path of a form that goes on without; may be empty
}

// Ready is the end of the registration.
type Ready struct {
	Code    string
	Expires time.Time
	HasKey  bool
	Correct bool // the person may still correct what she said
	Waits   bool // for the first visit to a counter
	Show    bool // the code is needed still
	Standing
}

// Standing is where a person's registration is.
type Standing struct {
	Kind         string // info, ok or warn
	Title, Text  string // keys; none if empty
	Until        time.Time
	At           time.Time // of a rejection, with
	Reason, Note string    // its reason, a key, and what was written to it
}

// Sign is an act to be signed.
type Sign struct {
	Key
	Rows    []web.RowView
	Mine    bool     // the person's own signature is missing
	Todo    []string // what is still to be done: keys of texts
	Done    bool
	Pending bool   // done, and waits for an approval
	Next    string // where to go afterwards
	Waiting string // key: what is said while others have to sign
}

// Founding is the founding of a deployment, before one of its founders signs.
type Founding struct {
	Rows    []web.RowView
	Missing int // people who have yet to sign
	Expires time.Time
}

// Counter is the counter's first page.
type Counter struct {
	Registrar bool
	InHand    []InHand
	Approve   int // acts that wait for this person
	Appoint   bool
	Grant     bool      // give roles of staff
	People    bool      // look people up
	Sheets    bool      // print code cards, and see them opened
	Proposals []Waiting // of this person
}

// InHand is a ticket in hand.
type InHand struct {
	Path, Name string
	Until      time.Time
}

// Ticket is a ticket in hand with what its person said.
type Ticket struct {
	Path    string
	Rows    []web.RowView
	Until   time.Time
	Passkey bool
	Card    bool
	// Recovery is of somebody who is known already; Code is what she claims it by.
	Recovery bool
	Code     string
	Similar  []Alike
	// Vouching is of a recovery without a document.
	Vouching *Vouching
}

// Vouching is how far a recovery without a document is.
type Vouching struct {
	Have  int
	Ready bool
	Until time.Time
}

// Alike is somebody proven already who may be the same person; empty where only
// their number is told.
type Alike struct{ Name, Document, Birth string }

// Waiting is an act that waits for an approval.
type Waiting struct {
	Path, Kind, Name string // Kind is a key
	At               time.Time
	State            string // a key; only of proposals
}

// Approval is an act to be approved.
type Approval struct {
	Path      string
	Rows      []web.RowView
	Enrolment bool // of a person at the counter
	Similar   []Alike
}

// Proposal is an act of one's own that waits, or came to nothing.
type Proposal struct {
	Path      string
	Rows      []web.RowView
	Waits     bool
	Withdrawn bool
	By        string // who rejected it
	Reason    string // a key
	Note      string
	At        time.Time
	Enrolment bool
}

// Appoint is the form of an appointment.
type Appoint struct {
	Posts []web.OptionView
}

// Grant is the form by which a role of staff is proposed.
type Grant struct {
	Institutions []web.OptionView
}

// Holder is who holds a post.
type Holder struct {
	Path, Title, Name, Kind string // Kind is a key
	From                    time.Time
	LegalAct                string
}

// Passkey is one of a person's passkeys.
type Passkey struct {
	ID, Label, State string // State is a key
	Active, Synced   bool
	Usable           bool // to enter with
	Created, Used    time.Time
}

// Remove asks whether a passkey is to be removed.
type Remove struct {
	Passkey
	Path   string
	Others int  // passkeys in use that remain
	Card   bool // a code card remains
}

// Last says that nothing remains to enter with.
func (r Remove) Last() bool { return r.Others == 0 && !r.Card }

// Notice is a page of one sentence.
type Notice struct {
	Text string // a key
	Next string
}

// PrintedCard is a fresh code card.
type PrintedCard struct {
	Card web.CodeCardView
	Path string // of where to go afterwards
}

// Sheet is the code card of somebody whom somebody else attended to.
type Sheet struct {
	Path, Name string
	Number     string // outside the closed card; empty before it is printed
	Mine       bool   // printed by who looks
	At         time.Time
	Rows       []web.RowView
}

// Person is somebody as staff sees her who stops her or ends what she holds.
type Person struct {
	Path    string
	Self    bool
	State   Standing
	Rows    []web.RowView
	Stopped bool
	Act     bool // an act stops her
	Waits   bool // its lifting waits for an approval
	Stop    bool // may be stopped by who looks
	Lift    bool
	Recover bool // a new passkey may be given
	Roles   []RoleHeld
	Posts   []Holder
}

// RoleHeld is a role of staff.
type RoleHeld struct {
	Path        string // of its end; may be empty
	Role        string // a key
	Institution string
}

// Reason asks why somebody is stopped, a stop is lifted or a role ends.
type Reason struct {
	Path string
	Rows []web.RowView
	Kind string // stop, record, lift or function
}

// Trust is the people of trust of somebody, and whose she is.
type Trust struct {
	Path        string
	Mine, Asked []Trusted
	May         bool // name another
	Recovery    bool // one is open
}

// Trusted is one of them.
type Trusted struct {
	ID, Name string
	Accepted bool
	Counts   time.Time // from when on; zero if she counts already
}
