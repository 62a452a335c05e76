package app

import (
	"context"
	"errors"

	"oruro.gob.bo/suti/cmd/internal/notices"
	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/enrolment/account"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/notify"
)

// openNotices makes what tells people about their identity.
func (a *App) openNotices(context.Context) error {
	if a.Config.Demo {
		a.mailbox = notify.NewDemo(a.DB, a.Node.KEK())
		a.Config.Email, a.Config.SMS = a.mailbox, a.mailbox
	}
	var err error
	a.notices, err = notices.New(notices.Config{DB: a.DB, Logger: a.Config.Logger, Now: a.Config.Now})
	return err
}

func (a *App) notifier() (*notify.Notifier, error) {
	return notify.New(notify.Config{
		DB: a.DB, Contacts: contacts{a.Enrolment}, Email: a.Config.Email, SMS: a.Config.SMS, Catalog: a.catalog,
		Service: "Suti", Site: a.Config.PublicURL, Now: a.Config.Now,
	})
}

// contacts gives the notifier its Contacts: what people gave when they registered.
type contacts struct{ people *enrolment.Service }

// Contact implements notify.Contacts.
func (c contacts) Contact(ctx context.Context, person identity.PersonID) (notify.Contact, error) {
	p, err := c.people.Profile(ctx, person)
	if errors.Is(err, account.ErrUnknown) {
		err = errors.Join(notify.ErrUnknown, err)
	}
	if err != nil {
		return notify.Contact{}, err
	}
	return notify.Contact{Name: p.Name.Given, Email: p.Email, Phone: p.Phone}, nil
}
