package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// SetPassword sets a person's password. The caller has authenticated the
// person, or stands with her at a counter.
func (s *Service) SetPassword(ctx context.Context, b Basis, actor string, person identity.PersonID, password string) error {
	hash, err := s.newPassword(ctx, password)
	if err != nil {
		return err
	}
	entry, err := s.cfg.Audit.Prepare(ctx, audit.Entry{Kind: "enrolment.account.password", Subject: person, Actor: actor, Object: string(person), Outcome: "set"})
	if err != nil {
		return err
	}
	now := s.cfg.Now()
	err = s.cfg.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := cardStep(tx, person, machine.SetPassword, b); err != nil {
			return err
		}
		if err := putPassword(tx, person, hash, now); err != nil {
			return err
		}
		_, err := s.cfg.Audit.Append(tx, entry)
		return err
	})
	if db.IsConstraint(err, db.ForeignKey) {
		return ErrUnknown
	}
	return err
}

func putPassword(tx *db.Tx, person identity.PersonID, hash string, now time.Time) error {
	_, err := tx.Exec(`INSERT INTO enrolment_password (person, hash, changed_at) VALUES ($1, $2, $3)
		ON CONFLICT (person) DO UPDATE SET hash = excluded.hash, changed_at = excluded.changed_at`, string(person), hash, db.Micros(now))
	return err
}

// newPassword hashes a password that may be set, or is ErrPassword.
func (s *Service) newPassword(ctx context.Context, password string) (string, error) {
	password = norm.NFKC.String(password)
	if !utf8.ValidString(password) || utf8.RuneCountInString(password) < minPassword || len(password) > maxPassword {
		return "", ErrPassword
	}
	return s.hashPassword(ctx, password)
}

// slot waits for one of the places in which memory-hard hashing may run.
func (s *Service) slot(ctx context.Context) (release func(), err error) {
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *Service) hashPassword(ctx context.Context, password string) (string, error) {
	release, err := s.slot(ctx)
	if err != nil {
		return "", err
	}
	defer release()
	salt := make([]byte, 16)
	_, _ = rand.Read(salt) // never fails (Go 1.24)
	sum := argon2.IDKey([]byte(password), salt, s.cfg.Argon2Passes, s.cfg.Argon2MemoryKiB, 1, 32)
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=1$%s$%s", s.cfg.Argon2MemoryKiB, s.cfg.Argon2Passes, enc.EncodeToString(salt), enc.EncodeToString(sum)), nil
}

// checkPassword compares in the same time whether or not there is a hash.
func (s *Service) checkPassword(ctx context.Context, password, hash string) (bool, error) {
	memory, passes, salt, want := s.cfg.Argon2MemoryKiB, s.cfg.Argon2Passes, make([]byte, 16), make([]byte, 32)
	known := hash != ""
	if known {
		var err error
		if memory, passes, salt, want, err = parseHash(hash); err != nil {
			return false, err
		}
	}
	release, err := s.slot(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	got := argon2.IDKey([]byte(norm.NFKC.String(password)), salt, passes, memory, 1, 32)
	return subtle.ConstantTimeCompare(got, want) == 1 && known, nil
}

// parseHash reads the PHC string that hashPassword wrote.
func parseHash(hash string) (memory, passes uint32, salt, sum []byte, err error) {
	parts := strings.Split(hash, "$")
	bad := errors.New("account: stored password hash is malformed")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != "v=19" {
		return 0, 0, nil, nil, bad
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=1", &memory, &passes); err != nil || memory > 1<<20 || passes == 0 || passes > 16 {
		return 0, 0, nil, nil, bad
	}
	enc := base64.RawStdEncoding
	salt, err1 := enc.DecodeString(parts[4])
	sum, err2 := enc.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(sum) != 32 {
		return 0, 0, nil, nil, bad
	}
	return memory, passes, salt, sum, nil
}
