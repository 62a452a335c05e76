package account

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Standing is where a person's record is in its life; it tells nothing of who
// the person is.
type Standing struct {
	Person           identity.PersonID
	State            State
	Level            identity.Level
	Created, Changed time.Time
}

// MaxList bounds what [Service.List] returns at once.
const MaxList = 500

const standingQuery = `SELECT id, state, level, created_at, changed_at FROM enrolment_person `

func scanStanding(scan func(...any) error) (Standing, error) {
	var s Standing
	var level, created, changed int64
	err := scan(&s.Person, &s.State, &level, &created, &changed)
	s.Level, s.Created, s.Changed = identity.Level(level), db.Time(created), db.Time(changed)
	return s, err
}

// Standing returns one person's, or ErrUnknown.
func (s *Service) Standing(ctx context.Context, person identity.PersonID) (Standing, error) {
	out, err := scanStanding(s.cfg.DB.QueryRow(ctx, standingQuery+`WHERE id = $1`, string(person)).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		err = ErrUnknown
	}
	return out, err
}

// List returns people by id, that is in the order of their registration: those
// that come after one, at most limit and [MaxList].
func (s *Service) List(ctx context.Context, after identity.PersonID, limit int) ([]Standing, error) {
	rows, err := s.cfg.DB.Query(ctx, standingQuery+`WHERE id > $1 ORDER BY id LIMIT $2`, string(after), min(max(limit, 1), MaxList))
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var out []Standing
	for rows.Next() {
		st, err := scanStanding(rows.Scan)
		if err != nil {
			return nil, err
		}
		out = append(out, st)
	}
	return out, rows.Err()
}
