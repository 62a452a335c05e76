package notify

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/outbox"
)

//go:embed migrations/*.sql texts/*.json
var files embed.FS

// Migrations is the line of this package.
var Migrations = db.Line{Name: "notify", FS: sub("migrations"), Requires: []string{outbox.Migrations.Name}}

// Texts returns the catalogue of this package.
func Texts() fs.FS { return sub("texts") }

func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic(err) // the folders are embedded above
	}
	return f
}

// Channel is a way to reach a person.
type Channel string

// The channels.
const (
	Email Channel = "email"
	SMS   Channel = "sms"
)

// Topics of the outbox, one per channel, so that each is tried by itself.
const (
	TopicEmail = "notify.email"
	TopicSMS   = "notify.sms"
)

func (c Channel) topic() string {
	if c == SMS {
		return TopicSMS
	}
	return TopicEmail
}

// Kind is what happened. Each has its texts: notify.KIND.subject, .text and .sms.
type Kind string

// The kinds. i18n:use notify.passkey_added.* i18n:use notify.passkey_suspended.*
// i18n:use notify.passkey_revoked.* i18n:use notify.card_issued.*
// i18n:use notify.password_set.* i18n:use notify.blocked.*
// i18n:use notify.unblocked.* i18n:use notify.verified.*
// i18n:use notify.sign_request.* i18n:use notify.signed.* i18n:use notify.appointed.*
// i18n:use notify.rejected.* i18n:use notify.card_opened.*
// i18n:use notify.recovery_opened.* i18n:use notify.recovery_vouched.*
// i18n:use notify.trusted_accepted.* i18n:use notify.trust_asked.*
const (
	PasskeyAdded     Kind = "passkey_added"
	PasskeySuspended Kind = "passkey_suspended"
	PasskeyRevoked   Kind = "passkey_revoked"
	CardIssued       Kind = "card_issued"
	CardOpened       Kind = "card_opened" // a closed card counts from now on
	PasswordSet      Kind = "password_set"
	Blocked          Kind = "blocked"
	Unblocked        Kind = "unblocked"
	Verified         Kind = "verified"     // an identity was checked at a counter
	Rejected         Kind = "rejected"     // what the counter drew up was not approved
	SignRequest      Kind = "sign_request" // a document waits for the person's signature
	Signed           Kind = "signed"
	Appointed        Kind = "appointed"
	RecoveryOpened   Kind = "recovery_opened"  // somebody at a counter wants to enter as the person anew
	RecoveryVouched  Kind = "recovery_vouched" // one of her people of trust said that it is her
	TrustedAccepted  Kind = "trusted_accepted"
	TrustAsked       Kind = "trust_asked" // somebody named the person
)

// Kinds returns every kind.
func Kinds() []Kind {
	return []Kind{PasskeyAdded, PasskeySuspended, PasskeyRevoked, CardIssued, CardOpened, PasswordSet, Blocked, Unblocked, Verified, Rejected, SignRequest, Signed, Appointed, RecoveryOpened, RecoveryVouched, TrustedAccepted, TrustAsked}
}

// Notice tells one person of one thing.
type Notice struct {
	// ID makes it one notice however often it is put: 1 to 80 bytes, for instance
	// the id of what happened.
	ID     string
	Person identity.PersonID
	Kind   Kind
	// At is when it happened.
	At time.Time
	// Channels to use; both if empty. A person without an address on a channel is
	// not told on it.
	Channels []Channel
}

// ErrNotice reports a notice that breaks a rule.
var ErrNotice = errors.New("notify: bad notice")

// queued is a notice in the outbox.
type queued struct {
	Person identity.PersonID `json:"person"`
	Kind   Kind              `json:"kind"`
	At     int64             `json:"at"` // microseconds since the Unix epoch
}

// maxNoticeID bounds the id of a notice, in bytes; the outbox adds the channel.
const maxNoticeID = 80

// Put queues a notice in the caller's transaction. One that is queued or was
// sent already changes nothing. It returns [ErrNotice].
func Put(tx *db.Tx, n Notice) error {
	if n.ID == "" || len(n.ID) > maxNoticeID || !slices.Contains(Kinds(), n.Kind) || n.At.IsZero() || identity.CheckID(identity.PrefixPerson, string(n.Person)) != nil {
		return fmt.Errorf("%w: id of %d bytes, kind %.30q", ErrNotice, len(n.ID), n.Kind)
	}
	channels := n.Channels
	if len(channels) == 0 {
		channels = []Channel{Email, SMS}
	}
	payload, err := json.Marshal(queued{n.Person, n.Kind, db.Micros(n.At)})
	if err != nil {
		return err
	}
	for _, c := range channels {
		if c != Email && c != SMS {
			return fmt.Errorf("%w: channel %.20q", ErrNotice, string(c))
		}
		id := string(c) + ":" + n.ID
		sent, err := wasSent(tx, id)
		if err != nil {
			return err
		}
		if sent {
			continue
		}
		err = outbox.Put(tx, outbox.Message{ID: id, Topic: c.topic(), Payload: payload})
		if err != nil && !errors.Is(err, outbox.ErrDuplicate) {
			return err
		}
	}
	return nil
}

// Contact is how to reach a person. Addresses that were not verified are left empty.
type Contact struct {
	Name  string // given names
	Email string
	Phone string    // E.164
	Lang  i18n.Lang // Spanish if empty
}

// Contacts tells how to reach people. Contact MUST return an error that wraps
// [ErrUnknown] for a person who does not exist any more.
type Contacts interface {
	Contact(ctx context.Context, person identity.PersonID) (Contact, error)
}

// ErrUnknown reports a person who does not exist.
var ErrUnknown = errors.New("notify: no such person")

// Message is what is sent.
type Message struct {
	ID      string // stable over tries
	Channel Channel
	To      string // address, or number in E.164
	Subject string // of an e-mail
	Text    string
	At      time.Time
}

// Sender sends a message on one channel. It MUST bound its time by ctx; an
// error that no repetition can cure wraps outbox.ErrPermanent; no error may
// name the address.
type Sender interface {
	Send(ctx context.Context, m Message) error
}

// Config configures [New]. DB, Contacts, Catalog, Service and Site are needed.
type Config struct {
	DB       *db.DB
	Contacts Contacts
	Email    Sender        // nil: notices by e-mail are dropped
	SMS      Sender        // nil: notices by SMS are dropped
	Catalog  *i18n.Catalog // with Texts
	Service  string        // name of the service, as people know it
	Site     string        // its address, an origin
	Now      func() time.Time
}

// Notifier carries notices out. It is safe for concurrent use.
type Notifier struct{ cfg Config }

// New checks the configuration.
func New(c Config) (*Notifier, error) {
	if c.DB == nil || c.Contacts == nil || c.Catalog == nil || c.Service == "" || c.Site == "" {
		return nil, errors.New("notify: DB, Contacts, Catalog, Service and Site are needed")
	}
	if !c.Catalog.Has("notify.signed.text") {
		return nil, errors.New("notify: the catalogue lacks the texts of this package")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Notifier{c}, nil
}

// Handlers returns the handlers for the outbox worker, by topic.
func (n *Notifier) Handlers() map[string]outbox.Handler {
	return map[string]outbox.Handler{
		TopicEmail: func(ctx context.Context, m outbox.Message) error { return n.carry(ctx, m, Email, n.cfg.Email) },
		TopicSMS:   func(ctx context.Context, m outbox.Message) error { return n.carry(ctx, m, SMS, n.cfg.SMS) },
	}
}

// carry sends one notice on one channel, unless that was done.
func (n *Notifier) carry(ctx context.Context, m outbox.Message, c Channel, to Sender) error {
	var q queued
	if err := json.Unmarshal(m.Payload, &q); err != nil || !slices.Contains(Kinds(), q.Kind) {
		return fmt.Errorf("%w: %w: unreadable", outbox.ErrPermanent, ErrNotice)
	}
	if to == nil {
		return nil
	}
	var sent bool
	err := n.cfg.DB.Read(ctx, func(tx *db.Tx) (err error) {
		sent, err = wasSent(tx, m.ID)
		return err
	})
	if err != nil || sent {
		return err
	}
	who, err := n.cfg.Contacts.Contact(ctx, q.Person)
	if errors.Is(err, ErrUnknown) {
		return nil // erased meanwhile
	}
	if err != nil {
		return err
	}
	msg := n.write(q, c, who)
	if msg.ID = m.ID; msg.To == "" {
		return nil
	}
	if err := to.Send(ctx, msg); err != nil {
		return err
	}
	// The message has left: what ends the worker now must not keep the record away.
	now := n.cfg.Now()
	return n.cfg.DB.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error { return markSent(tx, m.ID, now) })
}

// write makes the texts in the person's language.
func (n *Notifier) write(q queued, c Channel, who Contact) Message {
	lang := who.Lang
	if lang == "" {
		lang = i18n.ES
	}
	p, at := n.cfg.Catalog.Printer(lang), db.Time(q.At)
	key := "notify." + string(q.Kind)
	msg := Message{Channel: c, At: n.cfg.Now()}
	if c == SMS {
		msg.To, msg.Text = who.Phone, p.T(key+".sms", "service", n.cfg.Service, "site", n.cfg.Site)
		return msg
	}
	msg.To = who.Email
	msg.Subject = p.T(key+".subject", "service", n.cfg.Service)
	msg.Text = strings.Join([]string{
		p.T("notify.greeting", "name", who.Name),
		p.T(key+".text", "when", at, "service", n.cfg.Service),
		p.T("notify.not_me", "site", n.cfg.Site),
		p.T("notify.never", "service", n.cfg.Service),
	}, "\n\n") + "\n"
	return msg
}

func wasSent(q db.Querier, id string) (bool, error) {
	var n int
	err := q.QueryRow(`SELECT count(1) FROM notify_sent WHERE id = $1`, id).Scan(&n)
	return n > 0, err
}

func markSent(tx *db.Tx, id string, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO notify_sent (id, sent_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, id, db.Micros(now))
	return err
}

// Purge forgets what was sent before the time given, at most limit of each
// kind, and returns how many. A notice put again after that is sent again.
func Purge(tx *db.Tx, before time.Time, limit int) (int64, error) {
	a, err := tx.Exec(`DELETE FROM notify_sent WHERE id IN (SELECT id FROM notify_sent WHERE sent_at < $1 LIMIT $2)`, db.Micros(before), limit)
	if err != nil {
		return 0, err
	}
	b, err := tx.Exec(`DELETE FROM notify_message WHERE id IN (SELECT id FROM notify_message WHERE sent_at < $1 LIMIT $2)`, db.Micros(before), limit)
	return a + b, err
}
