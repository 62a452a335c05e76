package web

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"oruro.gob.bo/suti/internal/i18n"
)

//go:embed texts
var textFiles embed.FS

// Texts returns the catalogue of this package, to be one source of [i18n.New].
func Texts() fs.FS {
	sub, err := fs.Sub(textFiles, "texts")
	if err != nil {
		panic(err) // the folder is embedded above
	}
	return sub
}

// HandlerFunc answers a request or returns an error. An [*Error] or a [*StepUp]
// says what the client is told; any other error is a 500 that shows nothing.
// After the first byte was written an error ends the connection.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// Map returns a handler whose errors go through f, the one function in which a
// context says how its errors look from outside.
func (h HandlerFunc) Map(f func(error) error) HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := h(w, r); err != nil {
			return f(err)
		}
		return nil
	}
}

// Config configures a [Site].
type Config struct {
	// Public is the address of the site. Required.
	Public *PublicURL
	// Catalog holds the texts, those of [Texts] among them. Required.
	Catalog *i18n.Catalog
	// Pages renders; required for a [BrowserMux].
	Pages *Pages
	// TrustedProxies are the peers whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix
	// Logger gets one line per request; none if nil.
	Logger *slog.Logger
	// Metrics counts requests; not counted if nil.
	Metrics prometheus.Registerer
	// Limits bounds requests; see its fields for the defaults.
	Limits Limits
	// Now is the clock of log lines; time.Now by default.
	Now func() time.Time
}

// Site makes muxes and joins them.
type Site struct {
	c       Config
	log     *slog.Logger
	metrics *metrics
	slots   chan struct{}
}

// New checks c and returns a site.
func New(c Config) (*Site, error) {
	if c.Public == nil || c.Catalog == nil {
		return nil, errors.New("web: site needs a public address and a catalogue")
	}
	if !c.Catalog.Has("web.error.internal") {
		return nil, errors.New("web: the catalogue lacks the texts of this package")
	}
	if err := c.Limits.setDefaults(); err != nil {
		return nil, err
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Site{c: c, log: c.Logger, slots: make(chan struct{}, c.Limits.MaxInFlight)}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if s.metrics, err = newMetrics(c.Metrics); err != nil {
		return nil, fmt.Errorf("web: metrics: %w", err)
	}
	return s, nil
}

// Public returns the address of the site.
func (s *Site) Public() *PublicURL { return s.c.Public }

// Limits bounds what a request may cost. Zero fields get the default.
type Limits struct {
	// Header bounds request line and headers together, in bytes; 16 KiB.
	Header int
	// Form, JSON and Protocol bound the bodies of the three muxes, in bytes,
	// where a route does not say otherwise; 64 KiB, 256 KiB, 64 KiB.
	Form, JSON, Protocol int64
	// Handler bounds the work on one request through its context; 30 s.
	Handler time.Duration
	// ReadHeader, Read, Write and Idle are the time-outs of the connection;
	// 5 s, 60 s, 60 s, 75 s. Routes with Upload or Download have their own.
	ReadHeader, Read, Write, Idle time.Duration
	// MaxInFlight is how many requests are worked on at once; others get a 503; 512.
	MaxInFlight int
	// MaxConns is how many connections are open at once; others wait; 4096.
	MaxConns int
}

func (l *Limits) setDefaults() error {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&l.Handler, 30 * time.Second}, {&l.ReadHeader, 5 * time.Second}, {&l.Read, time.Minute}, {&l.Write, time.Minute}, {&l.Idle, 75 * time.Second}} {
		if *d.field < 0 {
			return errors.New("web: negative limit")
		}
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *int64
		value int64
	}{{&l.Form, 64 << 10}, {&l.JSON, 256 << 10}, {&l.Protocol, 64 << 10}} {
		if *d.field < 0 {
			return errors.New("web: negative limit")
		}
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&l.Header, 16 << 10}, {&l.MaxInFlight, 512}, {&l.MaxConns, 4096}} {
		if *d.field < 0 {
			return errors.New("web: negative limit")
		}
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return nil
}
