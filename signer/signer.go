package signer

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"time"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/blob"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/signer/core"
	"oruro.gob.bo/suti/signer/internal/page"
	"oruro.gob.bo/suti/signer/internal/store"
	"oruro.gob.bo/suti/signer/pades"
)

// Migrations are the migration lines of the signer and of its core.
var Migrations = []db.Line{core.Migrations, store.Migrations}

// Texts returns the catalogue of the signer's pages.
func Texts() fs.FS { return page.Texts() }

// ErrUnknown is wrapped by a [Directory] and by [Subjects] for whom they do not know.
var ErrUnknown = errors.New("signer: unknown")

// Directory knows people, posts and institutions.
type Directory interface {
	// Profile returns a person's profile; ErrUnknown if there is none.
	Profile(ctx context.Context, person identity.PersonID) (identity.Profile, error)
	// Appointment returns an appointment, also an ended one; ErrUnknown if there is none.
	Appointment(ctx context.Context, id identity.AppointmentID) (identity.Appointment, error)
	// FindByDocument returns the active person with that document; ErrUnknown if none.
	FindByDocument(ctx context.Context, d identity.Document) (identity.PersonID, error)
	// Institution returns an institution; ErrUnknown if there is none.
	Institution(ctx context.Context, id identity.InstitutionID) (identity.Institution, error)
}

// Subjects resolves an application's name for a person (pairwise sub); ErrUnknown
// if the application does not know such a person.
type Subjects interface {
	PersonBySubject(ctx context.Context, client, sub string) (identity.PersonID, error)
}

// APIClient is an application that calls the JSON interface.
type APIClient struct {
	ID, Name    string
	Institution identity.InstitutionID
	Scopes      []string
}

// ErrToken is wrapped by an [APIAuth] for a request without a live token.
var ErrToken = errors.New("signer: no live access token")

// APIAuth finds the application behind a bearer token, by one statement now.
type APIAuth interface {
	APIClient(r *http.Request) (APIClient, error)
}

// Scopes of the JSON interface.
const (
	ScopeCreate = "firmas:crear"
	ScopeRead   = "firmas:leer"
)

// Verifier judges the signatures in a file of a stranger, which the service hands
// over as an [*os.File] open for reading only. A [*pades.RefusedError] says that
// the file cannot be read in exactly one way, an [*isolate.LimitError] that it
// takes too much, [isolate.ErrCrashed] and [isolate.ErrInterrupted] that it was
// not judged. [isolate.Verifier] works in a child process (design D15) and is
// what serves the public; [LocalVerifier] works in this process.
type Verifier interface {
	Verify(ctx context.Context, base io.ReaderAt, size int64) (*pades.Report, error)
}

// Renderer draws the pages of a PDF. signer/internal/page does it in a sandbox, see [NewRenderer].
type Renderer interface {
	// Render draws at most max pages, from the first, and hands each to put as a
	// PNG. total is the number of pages of the file.
	Render(ctx context.Context, base io.ReaderAt, size int64, max int, put func(n, width, height int, png []byte) error) (total int, err error)
}

// Config configures [New]. Renderer, Limiter, TempDir, SignOut, NotMe, Demo, the limits,
// RefuseFindings, Logger and Now have defaults; everything else is required.
type Config struct {
	DB        *db.DB
	Blobs     *blob.Store
	Audit     *audit.Log
	Core      *core.Core
	Directory Directory
	Subjects  Subjects
	API       APIAuth
	// Auth finds who is signed in; Pages and Public are the site's.
	Auth     web.Authenticator
	Pages    *web.Pages
	Public   *web.PublicURL
	Verifier Verifier
	// Renderer shows pages as images; without it people read the PDF itself, and
	// the evidence says that no images were shown.
	Renderer Renderer
	// Limiter bounds how often a client may have files verified; nil bounds nothing
	// and is for tests.
	Limiter cache.Taker
	// Judging is how many files are judged at a time; by default the number of
	// processors, from 2 to 4. Uploads is how many uploads may be in hand, with
	// those that wait; 32 by default. Each takes up to MaxVerify in TempDir.
	Judging, Uploads int
	// TempDir holds uploads while they are verified, nameless; the system's by default.
	TempDir string
	// SignOut is the path to which "Salir" posts, NotMe the page to which "No soy
	// yo" leads; none if empty.
	SignOut, NotMe string
	// Demo says on seals that nothing here has legal value.
	Demo bool
	// MaxDocument bounds a document, in bytes; 100 MiB by default. MaxVerify bounds
	// what the public may have verified, by default 4 MiB more, so that whatever was
	// signed here, several times, can be verified here.
	MaxDocument, MaxVerify int64
	// RefuseFindings are the findings of pades.Preflight for which a document may
	// not be signed; default [DefaultRefused].
	RefuseFindings []string
	Logger         *slog.Logger
	Now            func() time.Time
}

// DefaultRefused are the findings by which a page may show something else
// tomorrow: they are refused unless configured otherwise.
func DefaultRefused() []string {
	return []string{pades.FindJavaScript, pades.FindLaunch, pades.FindExternal, pades.FindRichMedia, pades.FindOptional}
}

// Tier says what these signatures are by law (design D12), on seals and pages.
const Tier = "Firma electrónica, certificado interno"

// Service is the signing service. It is safe for concurrent use.
type Service struct {
	cfg   Config
	store *store.Store
	pages *page.Pages
	// admission bounds uploads to be verified, drawing how many files are drawn at a time.
	admission *admission
	drawing   chan struct{}
}

const (
	defaultMaxDocument = 100 << 20
	verifyMargin       = 4 << 20
	defaultUploads     = 32
)

// New checks the configuration.
func New(c Config) (*Service, error) {
	if slices.Contains([]bool{c.DB == nil, c.Blobs == nil, c.Audit == nil, c.Core == nil, c.Directory == nil, c.Subjects == nil, c.API == nil,
		c.Auth == nil, c.Pages == nil, c.Public == nil, c.Verifier == nil}, true) {
		return nil, errors.New("signer: a required part of Config is missing")
	}
	if c.MaxDocument == 0 {
		c.MaxDocument = defaultMaxDocument
	}
	if c.MaxVerify == 0 {
		c.MaxVerify = c.MaxDocument + verifyMargin
	}
	if c.MaxDocument < 0 || c.MaxDocument > blob.MaxSize || c.MaxVerify < 0 || c.MaxVerify > blob.MaxSize {
		return nil, errors.New("signer: size limits out of bounds")
	}
	if c.Judging == 0 {
		c.Judging = min(max(runtime.NumCPU(), 2), 4)
	}
	if c.Uploads == 0 {
		c.Uploads = defaultUploads
	}
	if c.Judging < 0 || c.Uploads < 0 {
		return nil, errors.New("signer: negative number of uploads")
	}
	if c.RefuseFindings == nil {
		c.RefuseFindings = DefaultRefused()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	pages, err := page.New(c.Pages, c.SignOut, c.NotMe)
	if err != nil {
		return nil, err
	}
	return &Service{cfg: c, store: store.New(c.DB, c.Audit), pages: pages,
		admission: newAdmission(c.Judging, c.Uploads), drawing: make(chan struct{}, 1)}, nil
}

// owner returns whose data key seals an application's documents.
func owner(institution identity.InstitutionID) string {
	if identity.CheckID(identity.PrefixInstitution, string(institution)) != nil {
		return "system:signer"
	}
	return string(institution)
}
