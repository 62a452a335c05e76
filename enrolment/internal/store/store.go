// Package store holds the rows of enrolment: acts and drafts of acts, tickets,
// institutions, posts and appointments. Functions that change rows take the
// caller's transaction; single use is one conditional statement.
//
// Only enrolment imports it.
package store

import (
	"database/sql"
	"embed"
	"errors"

	"oruro.gob.bo/suti/internal/db"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations is the migration line of these tables.
var Migrations = db.Line{Name: "enrolment", FS: files}

// ErrNone reports a row that is not there, or not in the state asked for.
var ErrNone = errors.New("enrolment: no such row")

// one maps the count of changed rows to ErrNone if it is not 1.
func one(n int64, err error) error {
	if err == nil && n != 1 {
		err = ErrNone
	}
	return err
}

// none maps the absence of a row to ErrNone.
func none(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNone
	}
	return err
}

// collect runs scan for every row of a query.
func collect(q db.Querier, scan func(*sql.Rows) error, query string, args ...any) error {
	rows, err := q.Query(query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
