package account

import (
	"context"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// How two records may be of one person. Each kind has a keyed hash per record,
// so that a look-alike is found by an index and tells nothing to who reads it.
const (
	matchNumber = "number" // one number, whatever the complement and the birth date
	matchName   = "name"   // names that sound alike, one birth date
)

// particles are no part of what a name sounds like.
var particles = []string{"de", "del", "la", "las", "los", "y", "da", "do", "vda", "viuda", "san", "santa"}

// spellings are Andean and Spanish ways to write one sound, in order; a mark that
// no name has stands for ch.
var spellings = strings.NewReplacer("ch", "%", "hu", "w", "gu", "w", "qu", "k", "ce", "se", "ci", "si", "ll", "y", "ph", "f")

var letters = strings.NewReplacer("c", "k", "q", "k", "z", "s", "v", "b", "h", "", "x", "j")

// Sound brings a name to what it sounds like: without accents, particles and
// marks, c, k and q alike, s and z, y and ll, b and v, hu, gu and w, without h, no
// letter twice. "Huanca", "Guanca" and "Wank'a" are one. The words stand in
// alphabetical order.
func Sound(name string) string {
	var words []string
	for _, w := range strings.Fields(strings.ToLower(norm.NFD.String(name))) {
		w = strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z':
				return r
			case unicode.IsLetter(r) && !unicode.Is(unicode.Mn, r) && r > 0x7f:
				return r
			}
			return -1 // marks, accents, apostrophes
		}, w)
		if w == "" || slices.Contains(particles, w) {
			continue
		}
		w = letters.Replace(spellings.Replace(w))
		var b strings.Builder
		var last rune
		for _, r := range w {
			if r != last {
				b.WriteRune(r)
			}
			last = r
		}
		if b.Len() > 0 {
			words = append(words, b.String())
		}
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// matchKeys are the keyed hashes by which a record is compared with others.
func (s *Service) matchKeys(in Registration) map[string][]byte {
	first, _, _ := strings.Cut(in.Name.Given, " ")
	return map[string][]byte{
		matchNumber: s.keyed("match-number", string(in.Document.Type), in.Document.Number),
		matchName:   s.keyed("match-name", Sound(in.Name.Surnames()), Sound(first), in.BirthDate.String()),
	}
}

// putMatch replaces what a record is compared by.
func putMatch(tx *db.Tx, person identity.PersonID, keys map[string][]byte) error {
	if _, err := tx.Exec(`DELETE FROM enrolment_match WHERE person = $1`, string(person)); err != nil {
		return err
	}
	for _, kind := range []string{matchNumber, matchName} {
		if _, err := tx.Exec(`INSERT INTO enrolment_match (person, kind, key) VALUES ($1, $2, $3)`, string(person), kind, keys[kind]); err != nil {
			return err
		}
	}
	return nil
}

// MaxSimilar bounds what [Service.Similar] returns.
const MaxSimilar = 10

// Similar lists people who have proven who they are and may be the same as a
// person: they have her number, or a name that sounds like hers and her birth
// date. People registered before these hashes were kept are not found.
func (s *Service) Similar(ctx context.Context, person identity.PersonID) ([]identity.PersonID, error) {
	var out []identity.PersonID
	err := s.cfg.DB.Read(ctx, func(tx *db.Tx) error {
		out = nil
		rows, err := tx.Query(`SELECT DISTINCT o.person FROM enrolment_match m JOIN enrolment_match o ON o.kind = m.kind AND o.key = m.key AND o.person <> m.person
			JOIN enrolment_person p ON p.id = o.person AND p.level > 0 AND p.state <> 'cerrada' WHERE m.person = $1 ORDER BY o.person LIMIT $2`, string(person), MaxSimilar)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			out = append(out, identity.PersonID(id))
		}
		return rows.Err()
	})
	return out, err
}
