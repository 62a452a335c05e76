// Package passkey registers and verifies passkeys. It is the only importer of
// go-webauthn and wraps it with what the library leaves to its caller.
//
// Invariants:
//   - a ceremony is a row with a purpose, a binding to one browser and an end; it
//     is deleted, once, before its answer is verified, so that no answer counts twice;
//   - a credential id belongs to one credential of one person, for ever;
//   - a counter that does not rise suspends the credential and refuses the login;
//   - a change of the backup-eligible flag is refused, never taken over;
//   - whether the person was verified is read from the assertion at hand, never
//     from what the credential once did;
//   - only an active credential of an active person authenticates.
//
// Only enrolment and its page packages, and cmd, may import it.
package passkey

import (
	"embed"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/subject"
)

//go:embed migrations/*.sql
var files embed.FS

// Migrations is the migration line of this package.
var Migrations = db.Line{Name: "enrolment_passkey", FS: files, Requires: []string{subject.Migrations.Name}}
