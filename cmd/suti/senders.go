package main

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"oruro.gob.bo/suti/cmd/internal/config"
	"oruro.gob.bo/suti/internal/notify"
)

// checked is a sender that can be tried without sending.
type checked interface {
	notify.Sender
	Check(ctx context.Context) error
}

// mailSender makes what sends e-mail, or nil if the configuration names no
// server. Faults name the key.
func mailSender(cfg *config.Config) (checked, config.Faults) {
	m := cfg.Mail
	if m.Host == "" {
		return nil, nil
	}
	var faults config.Faults
	password, err := m.Password(cfg)
	if err != nil {
		faults = append(faults, config.Fault{Where: "mail.password_file", What: err.Error()})
	}
	conf, err := m.TLS()
	if err != nil {
		faults = append(faults, config.Fault{Where: "mail.ca_file", What: err.Error()})
	}
	if len(faults) > 0 {
		return nil, faults
	}
	s, err := notify.NewSMTP(notify.SMTPConfig{
		Host: m.Host, Port: m.Port, From: m.From, User: m.User, Password: password, InsecureNoTLS: m.InsecureNoTLS, TLS: conf,
	})
	if err != nil {
		return nil, config.Faults{{Where: "mail.host", What: err.Error()}}
	}
	return s, nil
}

// smsSender makes what sends SMS, or nil if the configuration names no gateway.
func smsSender(cfg *config.Config, now func() time.Time) (checked, config.Faults) {
	c := cfg.SMS
	if c.URL == "" {
		return nil, nil
	}
	token, err := c.Token(cfg)
	if err != nil {
		return nil, config.Faults{{Where: "sms.token_file", What: err.Error()}}
	}
	nets := c.PrivateNetworks
	if c.InsecureAllowHTTP { // at the same machine: the configuration was checked for that
		nets = append(nets[:len(nets):len(nets)], loopbackNetworks()...)
	}
	g, err := notify.NewGateway(notify.GatewayConfig{URL: c.URL, Token: token, Prefixes: nets, InsecureAllowHTTP: c.InsecureAllowHTTP, Now: now})
	if err != nil {
		return nil, config.Faults{{Where: "sms.url", What: err.Error()}}
	}
	return g, nil
}

func loopbackNetworks() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
}

// senders tells whether notices can go out.
func (d *doctor) senders(ctx context.Context) {
	mail, faults := mailSender(d.cfg)
	d.sender(ctx, "mail", mail, faults, "nobody is told by e-mail of what happens to their identity; set mail.host", "check mail.host, mail.port, its certificate and the password")
	sms, faults := smsSender(d.cfg, d.c.now)
	d.sender(ctx, "sms", sms, faults, "nobody is told by SMS; set sms.url, if there is a gateway", "check sms.url and sms.token_file")
}

func (d *doctor) sender(ctx context.Context, name string, s checked, faults config.Faults, none, next string) {
	switch {
	case len(faults) > 0:
		for _, f := range faults {
			d.add(name, statusFault, f.Next, "%s: %s", f.Where, f.What)
		}
		return
	case s == nil && name == "mail":
		d.add(name, statusWarning, none, "is not configured")
		return
	case s == nil:
		d.add(name, statusSkipped, "", "is not configured: %s", none)
		return
	}
	switch err := s.Check(ctx); {
	case errors.Is(err, notify.ErrCredential):
		d.add(name, statusFault, next, "%v", err)
	case err != nil:
		d.add(name, statusFault, next+"; notices wait meanwhile", "%v", err)
	default:
		d.add(name, statusOK, "", "answers")
	}
}
