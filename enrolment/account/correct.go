package account

import (
	"context"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Correct replaces what a person said of herself, as long as nothing of it is
// proven. allowed runs in the same transaction and may refuse. ErrExists as for
// Register, ErrState once something is proven. A correction that changes nothing
// is none.
func (s *Service) Correct(ctx context.Context, person identity.PersonID, in Registration, allowed func(*db.Tx) error) error {
	p, err := s.Profile(ctx, person)
	if err != nil {
		return err
	}
	var changed []string
	for _, f := range []struct {
		name string
		same bool
	}{
		{"document", p.Document == in.Document}, {"name", p.Name == in.Name}, {"birth_date", p.BirthDate == in.BirthDate},
		{"phone", p.Phone == in.Phone}, {"email", p.Email == in.Email},
	} {
		if !f.same {
			changed = append(changed, f.name)
		}
	}
	if len(changed) == 0 {
		return s.cfg.DB.Write(ctx, allowed)
	}
	box, err := s.seal(ctx, person, in)
	if err != nil {
		return err
	}
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{
		Kind: "enrolment.account.corrected", Subject: person, Actor: string(person), Object: string(person), Outcome: "corrected", Payload: map[string]any{"fields": changed},
	})
	if err != nil {
		return err
	}
	full, match, now := s.fullKey(in), s.matchKeys(in), s.cfg.Now()
	return s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if err := allowed(tx); err != nil {
			return err
		}
		if err := unproven(tx, full); err != nil {
			return err
		}
		row, err := step(tx, person, machine.Correct, machine.Basis{By: machine.Browser, With: machine.Secret})
		if err != nil {
			return err
		}
		n, err := tx.Exec(`UPDATE enrolment_person SET doc_full = $2, doc_login = $3, profile = $4, changed_at = $5 WHERE id = $1 AND state = $6 AND level = 0`,
			string(person), full, s.loginKey(in.Document.String()), box, db.Micros(now), string(row.From))
		if err == nil && n == 0 {
			err = ErrState
		}
		if err != nil {
			return err
		}
		if err := putMatch(tx, person, match); err != nil {
			return err
		}
		_, err = s.cfg.Audit.Append(tx, entry)
		return err
	})
}
