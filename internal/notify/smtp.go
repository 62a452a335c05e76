package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"oruro.gob.bo/suti/internal/outbox"
)

// smtpTimeout bounds one try, shorter still if the context ends before.
const smtpTimeout = 20 * time.Second

// SMTPConfig configures [NewSMTP]. Host and From are needed.
type SMTPConfig struct {
	Host string
	Port int // 587 by default
	// From is the sender: an address, with a name perhaps: "Suti <suti@oruro.gob.bo>".
	From string
	// User and Password authenticate, over TLS only.
	User, Password string
	// InsecureNoTLS talks in clear, to a relay on the same machine. Otherwise
	// STARTTLS with a valid certificate is required (RFC 3207).
	InsecureNoTLS bool
	// TLS adds roots; TLS 1.2 is the least in any case.
	TLS *tls.Config
}

// LogValue shows neither name nor password.
func (c SMTPConfig) LogValue() slog.Value {
	return slog.GroupValue(slog.String("host", c.Host), slog.Int("port", c.Port))
}

// SMTP is a [Sender] of e-mail (RFC 5321), one connection per message.
type SMTP struct {
	client *mail.Client
	from   *netmail.Address
	domain string
}

// NewSMTP checks the configuration; it connects to nothing.
func NewSMTP(c SMTPConfig) (*SMTP, error) {
	from, err := netmail.ParseAddress(c.From)
	if err != nil || c.Host == "" {
		return nil, errors.New("notify: mail needs Host and From, an e-mail address")
	}
	if c.Password != "" && c.InsecureNoTLS {
		return nil, errors.New("notify: a password is not sent without TLS")
	}
	domain := from.Address[strings.LastIndexByte(from.Address, '@')+1:]
	if c.Port == 0 {
		c.Port = 587
	}
	opts := []mail.Option{mail.WithPort(c.Port), mail.WithTimeout(smtpTimeout), mail.WithHELO(domain)}
	if c.InsecureNoTLS {
		opts = append(opts, mail.WithTLSPolicy(mail.NoTLS))
	} else {
		conf := &tls.Config{}
		if c.TLS != nil {
			conf = c.TLS.Clone()
		}
		conf.MinVersion, conf.ServerName = max(conf.MinVersion, tls.VersionTLS12), c.Host
		opts = append(opts, mail.WithTLSPolicy(mail.TLSMandatory), mail.WithTLSConfig(conf))
	}
	if c.User != "" {
		opts = append(opts, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(c.User), mail.WithPassword(c.Password))
	}
	client, err := mail.NewClient(c.Host, opts...)
	if err != nil {
		return nil, fmt.Errorf("notify: mail: %w", err)
	}
	return &SMTP{client: client, from: from, domain: domain}, nil
}

// Send implements [Sender]. An address that is none, and a refusal for good
// (5xx), wrap outbox.ErrPermanent.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	to, err := netmail.ParseAddress(m.To)
	if err != nil {
		return fmt.Errorf("%w: notify: the person's e-mail address is malformed", outbox.ErrPermanent)
	}
	msg := mail.NewMsg()
	if err := errors.Join(msg.FromFormat(s.from.Name, s.from.Address), msg.To(to.Address)); err != nil {
		return fmt.Errorf("%w: notify: the person's e-mail address cannot be used", outbox.ErrPermanent)
	}
	msg.Subject(m.Subject)
	msg.SetMessageIDWithValue(strings.NewReplacer(":", ".", "_", "-").Replace(m.ID) + "@" + s.domain)
	msg.SetDateWithValue(m.At)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no machine answers
	msg.SetBodyString(mail.TypeTextPlain, m.Text)
	conn, err := s.client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("notify: connect to the mail server: %w", err)
	}
	err = s.client.SendWithSMTPClient(conn, msg)
	_ = s.client.CloseWithSMTPClient(conn) // the server has taken or refused it already
	return mailError(err)
}

// mailError keeps the library's text away, which names the recipient.
func mailError(err error) error {
	if err == nil {
		return nil
	}
	var se *mail.SendError
	if !errors.As(err, &se) {
		return errors.New("notify: the mail was not accepted")
	}
	if code := se.ErrorCode(); code >= 500 && !se.IsTemp() {
		return fmt.Errorf("%w: notify: the mail server refused with %d", outbox.ErrPermanent, code)
	}
	return fmt.Errorf("notify: the mail server answered %d", se.ErrorCode())
}
