// Package account is the registry of people: who they are, under which
// document, at which level of proof, and the password and printed code card of
// those who have no device for a passkey.
//
// Invariants: a person is found by document type, number, complement and birth
// date together; personal data is sealed under the person's own key, so that
// destroying the key erases it; only this package writes the table subject; a
// code card's cell is spent at most once; a login name that nobody has is
// answered and throttled like one that somebody has.
//
// Only enrolment and cmd may import it.
package account

import (
	"embed"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/subject"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations is the migration line of this package.
var Migrations = db.Line{Name: "enrolment_account", FS: files, Requires: []string{subject.Migrations.Name}}
