package enrolment

import (
	"context"
	"errors"
	"net/url"
	"sync"
	"time"

	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/enrolment/passkey"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/cache"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/outbox"
)

// Lifetimes.
const (
	// TicketLifetime is how long a pre-registration waits for the counter.
	TicketLifetime = 30 * 24 * time.Hour
	// RecoveryLifetime is how long a ticket of recovery waits.
	RecoveryLifetime = 24 * time.Hour
	// CounterHold is how long a ticket stays in one registrar's hand, and how
	// long an enrolment waits for its signatures.
	CounterHold = 20 * time.Minute
	// DraftLifetime is how long other acts wait for their signatures: a chain
	// admits no act that is older.
	DraftLifetime = act.MaxDelay
	// BrowserHold is how long the browser that registered may go on with it.
	BrowserHold = time.Hour
)

// Errors that callers branch on, beside those of packages act, account and passkey.
var (
	// ErrNoGenesis reports a deployment that has not been founded.
	ErrNoGenesis = errors.New("enrolment: not founded yet")
	// ErrGenesisDone reports a second founding.
	ErrGenesisDone = errors.New("enrolment: founded already")
	// ErrDraft reports a draft that is unknown, over, or needs no signature of the person.
	ErrDraft = errors.New("enrolment: no such draft for this person")
	// ErrDone reports a draft that has become an act already.
	ErrDone = errors.New("enrolment: act is done already")
	// ErrRace reports an act that lost against another at the same time; it has
	// to be drafted again.
	ErrRace = errors.New("enrolment: overtaken by another act")
	// ErrTicket reports a ticket that is unknown, or over.
	ErrTicket = errors.New("enrolment: no such ticket")
	// ErrTicketExpired reports a ticket older than [TicketLifetime].
	ErrTicketExpired = errors.New("enrolment: ticket expired")
	// ErrTicketUsed reports a ticket that led to an enrolment.
	ErrTicketUsed = errors.New("enrolment: ticket used already")
	// ErrTicketTaken reports a ticket in another registrar's hand.
	ErrTicketTaken = errors.New("enrolment: ticket is at another counter")
	// ErrTicketHold reports a ticket that the registrar does not have in hand, or no longer.
	ErrTicketHold = errors.New("enrolment: ticket is not in hand")
	// ErrHasKey reports a registration whose browser has made its passkey already.
	ErrHasKey = errors.New("enrolment: the registration has a passkey already")
	// ErrKey reports a passkey that an act cannot name.
	ErrKey = errors.New("enrolment: passkey cannot be used in an act")
	// ErrSession reports a request whose person was suspended, or whose rights
	// changed, since the session was checked. Nothing was written.
	ErrSession = errors.New("enrolment: the session is over")
	// ErrLastWay reports the removal of the last passkey of somebody who has no
	// code card either and did not say that she knows what that means.
	ErrLastWay = errors.New("enrolment: nothing would remain to enter with")
	// ErrApprovalNeeded reports what a registrar may not do alone once an account exists.
	ErrApprovalNeeded = errors.New("enrolment: not for one person alone")
	// ErrInput reports a field that is empty, too long or of a wrong form.
	ErrInput = errors.New("enrolment: bad field")
	// ErrExists reports a name or number that is taken.
	ErrExists = errors.New("enrolment: exists already")
	// ErrUnknown reports an institution, post, appointment or act that is not there.
	ErrUnknown = errors.New("enrolment: unknown")
)

// MismatchError reports fields that a registrar did not confirm.
type MismatchError struct{ Fields []string }

// Error names the fields, not their values.
func (e *MismatchError) Error() string { return "enrolment: fields not confirmed" }

// ActSink takes the signed acts, in the order in which they were admitted: the
// signing core. AcceptAct MUST be idempotent, since an act may come again, and
// durable when it returns nil. An error that wraps [outbox.ErrPermanent] stops
// the delivery of that act; any other is tried again.
type ActSink interface {
	AcceptAct(ctx context.Context, raw []byte) error
}

// DataKeys gives the keys under which people's data is sealed.
type DataKeys interface {
	DataKey(ctx context.Context, owner string) (envelope.Key, error)
}

// Config configures New; DB, Accounts, Passkeys, Keys, Audit and Origin are needed.
type Config struct {
	DB       *db.DB
	Accounts *account.Service
	Passkeys *passkey.Service
	Keys     DataKeys
	Audit    *audit.Log
	// Acts is told of every act by the handler of [TopicAct]; nil tells nobody.
	Acts ActSink
	// Origin is the web origin at which passkeys are used, as in passkey.Config.
	Origin string
	// Name is the public name of the deployment, in its founding act; "Suti" by default.
	Name string
	// Policy is the version of the practice statement; "1" by default.
	Policy string
	// Site is where the counters are, a token; may be empty.
	Site string
	// Limiter bounds what anybody may post; nil bounds nothing and is for tests.
	Limiter cache.Taker
	Now     func() time.Time
}

// Service is safe for concurrent use.
type Service struct {
	cfg    Config
	origin string
	rpID   string

	mu    sync.Mutex // guards known
	known *known
}

// New checks the configuration.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Accounts == nil || c.Passkeys == nil || c.Keys == nil || c.Audit == nil {
		return nil, errors.New("enrolment: DB, Accounts, Passkeys, Keys and Audit are needed")
	}
	u, err := url.Parse(c.Origin)
	if err != nil || u.Host == "" || u.Hostname() != c.Passkeys.RPID() {
		return nil, errors.New("enrolment: Origin must be that of the passkeys")
	}
	if c.Name == "" {
		c.Name = "Suti"
	}
	if c.Policy == "" {
		c.Policy = "1"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{cfg: c, origin: c.Origin, rpID: u.Hostname()}, nil
}

// now returns the present to the microsecond, as acts and tables hold it.
func (s *Service) now() time.Time { return s.cfg.Now().UTC().Truncate(time.Microsecond) }

// TopicAct is the outbox topic of admitted acts; its payload is an act id.
const TopicAct = "enrolment.act"

// Handlers returns the outbox handlers of this package, to be run by the one
// worker of the process.
func (s *Service) Handlers() map[string]outbox.Handler {
	return map[string]outbox.Handler{TopicAct: s.tell}
}

// actor is how audit entries name a person.
func actor(p identity.PersonID) string { return string(p) }
