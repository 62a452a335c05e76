package demo

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"oruro.gob.bo/suti/cmd/internal/app"
	"oruro.gob.bo/suti/cmd/internal/sample"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/softauthn"
	"oruro.gob.bo/suti/internal/web"
	"oruro.gob.bo/suti/sdk"
)

// Config says where the demo keeps its things and listens.
type Config struct {
	// Dir is the demo's folder; it is made if absent.
	Dir string
	// DatabaseURL and RedisURL replace the embedded defaults.
	DatabaseURL, RedisURL string
	// FirstPort is tried first for the provider; the applications take the next
	// ones. Ports that are taken are passed over, and what was found is kept.
	FirstPort int
	// TLS serves everything but the status of certificates over https, under a
	// root of the folder's own. A folder is of one kind for ever; see ErrScheme.
	TLS bool
	// VerifyCommand judges the files of strangers; see app.Config.
	VerifyCommand []string
	Logger        *slog.Logger
	Now           func() time.Time
}

// ErrScheme reports a folder that was made for the other of http and https. Its
// address stands in every passkey, client and certificate, so it cannot change.
var ErrScheme = errors.New("a folder keeps the scheme that it was made with")

// Instance is a running demo.
type Instance struct {
	App  *app.App
	File File
	// Bases are the addresses of the two sample applications.
	Bases [2]string
	dir   string
	st    state

	tls       *localTLS       // nil over http
	transport *http.Transport // nil over http
	lock      *os.File
	listeners []net.Listener
	servers   []*web.Server
	cancel    context.CancelFunc
	failed    chan error
	wg        sync.WaitGroup
}

// Failed gives the error that made the demo stop by itself.
func (i *Instance) Failed() <-chan error { return i.failed }

// statePath holds what the demo remembers of itself.
func (i *Instance) statePath() string { return filepath.Join(i.dir, "demo.state.json") }

// Start opens the demo in its folder, making it at first, and serves it until
// Close. A founding that was interrupted, by ctx or by the end of the process,
// begins anew at the next Start.
func Start(ctx context.Context, c Config) (i *Instance, err error) {
	if c.FirstPort == 0 {
		c.FirstPort = 8700
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := os.MkdirAll(filepath.Join(c.Dir, "llaves"), 0o700); err != nil {
		return nil, err
	}
	i = &Instance{dir: c.Dir, failed: make(chan error, 1), st: state{People: map[string]string{}, Keys: map[string]string{}}}
	defer func() {
		if err != nil {
			_ = i.Close() // the first error is the one to tell
		}
	}()
	if i.lock, err = lock(c.Dir); err != nil {
		return i, err
	}
	if err := readJSON(i.statePath(), &i.st); err != nil {
		return i, err
	}
	if len(i.st.Ports) > 0 && i.st.TLS != c.TLS {
		return i, fmt.Errorf("%w: this one is %s", ErrScheme, i.address(0))
	}
	if !i.st.Seeded {
		if err := i.beginAnew(c.DatabaseURL != ""); err != nil {
			return i, err
		}
	}
	if err := readJSON(filepath.Join(c.Dir, FileName), &i.File); err != nil {
		return i, err
	}
	if err := i.listen(c); err != nil {
		return i, err
	}
	ac := app.Config{
		DataDir: c.Dir, DatabaseURL: c.DatabaseURL, RedisURL: c.RedisURL, PublicURL: i.address(0), RenderCache: renderCache(), VerifyCommand: c.VerifyCommand, Demo: true, Logger: c.Logger, Now: c.Now,
	}
	if c.TLS {
		if err := i.openTransport(c); err != nil {
			return i, err
		}
		ac.PKIURL, ac.BackchannelTLS = i.address(3), i.tls.client()
	}
	i.Bases = [2]string{i.address(1), i.address(2)}
	if i.App, err = app.New(ctx, ac); err != nil {
		return i, usedFault(c, err)
	}
	if err := i.prepare(ctx); err != nil {
		return i, err
	}
	return i, i.serve(ctx, c)
}

// address returns where the nth listener is reached. Certificates name the last
// one, for their status, which must be readable without TLS (RFC 5280 §8).
func (i *Instance) address(n int) string {
	scheme := "http"
	if i.st.TLS && n < 3 {
		scheme = "https"
	}
	return fmt.Sprintf("%s://localhost:%d", scheme, i.st.Ports[n])
}

// prepare makes people and clients at first. Later only the root for https can
// be another one than demo.json has.
func (i *Instance) prepare(ctx context.Context) error {
	if !i.st.Seeded {
		return i.populate(ctx)
	}
	if root := i.tls.rootPEM(); i.File.TLSRootPEM != root {
		i.File.TLSRootPEM = root
		return writeJSON(filepath.Join(i.dir, FileName), &i.File)
	}
	return nil
}

// renderCache is this user's own folder for the compiled page drawer, which is
// the same for every demo and takes seconds to make; "" where there is none.
func renderCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "suti", "render")
}

// listen takes the ports of the last time, or free ones from the first on, on
// loopback only.
func (i *Instance) listen(c Config) error {
	want := 3
	if c.TLS {
		want = 4
	}
	if n := len(i.st.Ports); n != 0 && n != want {
		return fmt.Errorf("%s names %d ports, which the demo did not write; delete the folder to begin anew", i.statePath(), n)
	}
	for _, p := range i.st.Ports {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			return fmt.Errorf("port %d, where this demo has always been, is taken: stop what holds it, or use another --data folder: %w", p, err)
		}
		i.listeners = append(i.listeners, l)
	}
	if len(i.listeners) > 0 {
		return nil
	}
	i.st.TLS = c.TLS
	for p := c.FirstPort; len(i.listeners) < want; p++ {
		if p > 65535 || p > c.FirstPort+1000 {
			return errors.New("no free ports on the loopback address")
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			continue
		}
		i.listeners = append(i.listeners, l)
		i.st.Ports = append(i.st.Ports, p)
	}
	return writeJSON(i.statePath(), &i.st)
}

// populate makes people and clients on an empty database and writes demo.json.
func (i *Instance) populate(ctx context.Context) error {
	s := &seeder{
		app: i.App, dir: i.dir, st: &i.st, keys: map[string]*softauthn.Authenticator{}, ids: map[string]identity.PersonID{}, tick: tickets{},
	}
	if err := s.seed(ctx); err != nil {
		return fmt.Errorf("prepare the demo: %w", err)
	}
	clients, err := register(ctx, i.App, &i.st, i.Bases)
	if err != nil {
		return err
	}
	i.File = File{Clients: clients}
	for _, p := range cast() {
		person, err := i.describe(ctx, s, p)
		if err != nil {
			return err
		}
		i.File.People = append(i.File.People, person)
	}
	if err := i.App.Settle(ctx); err != nil {
		return err
	}
	i.endpoints()
	if err := writeJSON(filepath.Join(i.dir, FileName), &i.File); err != nil {
		return err
	}
	i.st.Seeded = true
	return writeJSON(i.statePath(), &i.st)
}

// describe gives a person a card and says who it is.
func (i *Instance) describe(ctx context.Context, s *seeder, p invented) (Person, error) {
	id := s.ids[p.word]
	card, err := s.card(ctx, p, id)
	if err != nil {
		return Person{}, fmt.Errorf("card of %s: %w", p.word, err)
	}
	profile, err := i.App.Enrolment.Profile(ctx, id)
	if err != nil {
		return Person{}, err
	}
	path, err := filepath.Abs(authenticatorPath(i.dir, p.word))
	if err != nil {
		return Person{}, err
	}
	out := Person{Login: p.ci, Password: p.password, CodeCard: card, PasskeyFile: path, Names: p.name.Full(), Level: profile.Level.String(), Roles: []string{}}
	for _, r := range profile.Roles {
		out.Roles = append(out.Roles, string(r))
	}
	held, err := i.App.Enrolment.Appointments(ctx, id)
	if err != nil {
		return Person{}, err
	}
	if len(held) > 0 {
		out.Institution, out.Post = held[0].Institution.Name, held[0].Title
	}
	return out, nil
}

// endpoints fills in what outside programs may call.
func (i *Instance) endpoints() {
	issuer, pki := i.App.Config.PublicURL, i.App.Config.PKIURL
	i.File.Issuer, i.File.TrustRootPEM, i.File.TLSRootPEM = issuer, "", i.tls.rootPEM()
	for _, root := range i.App.CA.Roots() {
		i.File.TrustRootPEM += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}))
	}
	i.File.Endpoints = map[string]string{
		"ocsp": pki + "/pki/ocsp", "tsa": pki + "/pki/tsa", "crl": pki + "/pki/crl", "ca_certificates": pki + "/pki/ca",
		"api": issuer + "/api/v1", "log": issuer + "/log", "verify": issuer + "/verificar",
	}
}

// serve runs the servers and the background work. The provider comes first: the
// applications read its metadata.
func (i *Instance) serve(ctx context.Context, c Config) error {
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	i.cancel = cancel
	i.wg.Go(func() {
		if err := i.App.Run(run); err != nil {
			i.failed <- err
		}
	})
	if err := i.open(0, i.App.Handler(), c); err != nil {
		return err
	}
	if i.tls != nil {
		if err := i.open(3, i.App.CA.Handler(), c); err != nil {
			return err
		}
	}
	for n, make := range []func(context.Context, sample.Config) (http.Handler, error){sample.NewTramites, sample.NewBecas} {
		sc, err := i.sample(n, c)
		if err != nil {
			return err
		}
		h, err := make(ctx, sc)
		if err != nil {
			return fmt.Errorf("sample application %s: %w", sc.Title, err)
		}
		if err := i.open(n+1, h, c); err != nil {
			return err
		}
	}
	return nil
}

// open serves a handler on the nth listener.
func (i *Instance) open(n int, h http.Handler, c Config) error {
	sc := web.ServerConfig{Handler: h, Logger: c.Logger}
	switch {
	case i.tls == nil: // any program can enter, with whatever keeps its cookies
		sc.Handler = web.PlainCookies(h)
	case n < 3:
		sc.TLS = i.tls.server()
	}
	s, err := web.NewServer(sc)
	if err != nil {
		return err
	}
	i.servers = append(i.servers, s)
	l := i.listeners[n]
	i.wg.Go(func() {
		if err := s.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) && c.Logger != nil {
			c.Logger.Error("server ended", "error", err.Error())
		}
	})
	return nil
}

// sample configures one of the two applications.
func (i *Instance) sample(n int, c Config) (sample.Config, error) {
	id := []string{"tramites", "becas"}[n]
	key, _, err := sdk.ParsePrivateJWK([]byte(i.st.Keys[id]))
	if err != nil {
		return sample.Config{}, err
	}
	official, _ := i.Person("secretario")
	names := []string{"Trámites de la Gobernación", "Becas municipales"}
	institutions := []string{"Gobierno Autónomo Departamental de Oruro", "Gobierno Autónomo Municipal de Oruro"}
	return sample.Config{
		Issuer: i.File.Issuer, ClientID: id, Key: key, BaseURL: i.Bases[n], Title: names[n], Institution: institutions[n],
		OtherTitle: names[1-n], OtherURL: i.Bases[1-n], File: filepath.Join(i.dir, id+".json"), Logger: c.Logger, Now: c.Now,
		HTTPClient: i.client(),
		Signers:    []sample.Signer{{Label: official.Names + ", " + official.Post, Number: official.Login, Appointment: i.ID("nombramiento")}},
	}, nil
}

// Person returns what the demo file says of one of the cast, by the word the
// demo calls the person.
func (i *Instance) Person(word string) (Person, identity.PersonID) {
	at := slices.IndexFunc(cast(), func(p invented) bool { return p.word == word })
	return i.File.People[at], identity.PersonID(i.st.People[word])
}

// Key opens a person's software key.
func (i *Instance) Key(word string) (*softauthn.Authenticator, error) {
	return softauthn.Load(authenticatorPath(i.dir, word), keyConfig())
}

// ID returns the id of an institution, post or appointment of the demo.
func (i *Instance) ID(word string) string { return i.st.Ends[word] }

// Close stops serving, lets requests end, and closes everything.
func (i *Instance) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	var errs []error
	for _, s := range i.servers {
		errs = append(errs, s.Shutdown(ctx, 0))
	}
	if i.cancel != nil {
		i.cancel()
	}
	i.wg.Wait()
	if i.transport != nil {
		i.transport.CloseIdleConnections()
	}
	for _, l := range i.listeners { // those that a server held are closed already
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if i.App != nil {
		errs = append(errs, i.App.Close())
	}
	if i.lock != nil {
		errs = append(errs, i.lock.Close())
	}
	return errors.Join(errs...)
}
