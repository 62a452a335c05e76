package store

import (
	"database/sql"
	"time"

	"oruro.gob.bo/suti/enrolment/internal/machine"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/identity"
)

// Chain returns the genesis hash and the number of the last act, or ErrNone
// before genesis.
func Chain(q db.Querier) (genesis []byte, head int64, err error) {
	err = none(q.QueryRow(`SELECT genesis, head FROM enrolment_chain WHERE one = 1`).Scan(&genesis, &head))
	return genesis, head, err
}

// Found begins the chain. It works once in the life of a database; afterwards
// it is ErrNone.
func Found(tx *db.Tx, genesis []byte, now time.Time) error {
	return one(tx.Exec(`INSERT INTO enrolment_chain (one, genesis, head, founded_at) VALUES (1, $1, 1, $2) ON CONFLICT (one) DO NOTHING`, genesis, db.Micros(now)))
}

// Founded is the state of the deployment. The row that says so is kept single by
// its primary key, not by this answer.
func Founded(q db.Querier) machine.State {
	if _, err := FoundedAt(q); err != nil {
		return machine.Nothing
	}
	return machine.Founded
}

// Advance moves the head from one number to the next; ErrNone if it is
// elsewhere already.
func Advance(tx *db.Tx, from int64) error {
	return one(tx.Exec(`UPDATE enrolment_chain SET head = head + 1 WHERE one = 1 AND head = $1`, from))
}

// Act is a stored act.
type Act struct {
	Seq    int64
	ID     identity.ActID
	Hash   []byte
	Kind   string
	Person identity.PersonID // whom it concerns; may be empty
	Author identity.PersonID
	Raw    []byte
	At     time.Time
}

const actColumns = `seq, id, hash, kind, person, author, raw, stored_at`

func scanAct(scan func(...any) error) (Act, error) {
	var a Act
	var at int64
	err := scan(&a.Seq, &a.ID, &a.Hash, &a.Kind, &a.Person, &a.Author, &a.Raw, &at)
	a.At = db.Time(at)
	return a, err
}

// PutAct stores an admitted act.
func PutAct(tx *db.Tx, a Act) error {
	_, err := tx.Exec(`INSERT INTO enrolment_act (`+actColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		a.Seq, string(a.ID), a.Hash, a.Kind, string(a.Person), string(a.Author), a.Raw, db.Micros(a.At))
	return err
}

// ActsAfter returns the acts with a higher number, in order.
func ActsAfter(q db.Querier, seq int64) ([]Act, error) {
	var out []Act
	err := collect(q, func(r *sql.Rows) error {
		a, err := scanAct(r.Scan)
		out = append(out, a)
		return err
	}, `SELECT `+actColumns+` FROM enrolment_act WHERE seq > $1 ORDER BY seq`, seq)
	return out, err
}

// ActByID returns one act, or ErrNone.
func ActByID(q db.Querier, id identity.ActID) (Act, error) {
	a, err := scanAct(q.QueryRow(`SELECT `+actColumns+` FROM enrolment_act WHERE id = $1`, string(id)).Scan)
	return a, none(err)
}

// Draft is a statement that waits for its signatures.
type Draft struct {
	ID        identity.ActID
	Kind      string
	Person    identity.PersonID
	Author    identity.PersonID
	Statement []byte
	Ticket    string
	Created   time.Time
	Expires   time.Time
	Done      bool
	Needs     []Need
}

// Need is one signature that a draft needs.
type Need struct {
	Person identity.PersonID
	Key    []byte // empty: any key of the person
	// What was signed; SignedKey is nil before.
	SignedKey, AuthData, ClientData, Signature []byte
}

const draftColumns = `id, kind, person, author, statement, ticket, created_at, expires_at, done_at`

// PutDraft stores a draft with its needs.
func PutDraft(tx *db.Tx, d Draft) error {
	if _, err := tx.Exec(`INSERT INTO enrolment_draft (id, kind, person, author, statement, ticket, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		string(d.ID), d.Kind, string(d.Person), string(d.Author), d.Statement, d.Ticket, db.Micros(d.Created), db.Micros(d.Expires)); err != nil {
		return err
	}
	for _, n := range d.Needs {
		if n.Key == nil {
			n.Key = []byte{}
		}
		if _, err := tx.Exec(`INSERT INTO enrolment_need (draft, person, key_id) VALUES ($1, $2, $3)`, string(d.ID), string(n.Person), n.Key); err != nil {
			return err
		}
	}
	return nil
}

// DraftByID returns a draft with its needs, or ErrNone.
func DraftByID(q db.Querier, id identity.ActID) (Draft, error) {
	var d Draft
	var created, expires int64
	var done sql.NullInt64
	err := q.QueryRow(`SELECT `+draftColumns+` FROM enrolment_draft WHERE id = $1`, string(id)).
		Scan(&d.ID, &d.Kind, &d.Person, &d.Author, &d.Statement, &d.Ticket, &created, &expires, &done)
	if err != nil {
		return d, none(err)
	}
	d.Created, d.Expires, d.Done = db.Time(created), db.Time(expires), done.Valid
	err = collect(q, func(r *sql.Rows) error {
		var n Need
		err := r.Scan(&n.Person, &n.Key, &n.SignedKey, &n.AuthData, &n.ClientData, &n.Signature)
		d.Needs = append(d.Needs, n)
		return err
	}, `SELECT person, key_id, signed_key, auth_data, client_data, signature FROM enrolment_need WHERE draft = $1 ORDER BY person, key_id`, string(id))
	return d, err
}

// OpenDraftOf returns the newest open draft that needs a signature of the person
// and no role: her enrolment, or the founding. ErrNone if there is none.
func OpenDraftOf(q db.Querier, person identity.PersonID, now time.Time) (identity.ActID, error) {
	var id identity.ActID
	err := q.QueryRow(`SELECT d.id FROM enrolment_draft d JOIN enrolment_need n ON n.draft = d.id
		WHERE n.person = $1 AND n.signature IS NULL AND d.done_at IS NULL AND d.expires_at > $2
		AND (d.kind = 'genesis' OR d.kind = 'enrolment' AND d.person = $1) ORDER BY d.created_at DESC, d.id DESC LIMIT 1`,
		string(person), db.Micros(now)).Scan(&id)
	return id, none(err)
}

// OpenGenesis returns the oldest founding that waits for signatures, or ErrNone.
func OpenGenesis(q db.Querier, now time.Time) (identity.ActID, error) {
	var id identity.ActID
	err := q.QueryRow(`SELECT id FROM enrolment_draft WHERE kind = 'genesis' AND done_at IS NULL AND expires_at > $1 ORDER BY created_at, id LIMIT 1`, db.Micros(now)).Scan(&id)
	return id, none(err)
}

// OpenGeneses counts the foundings that wait for signatures.
func OpenGeneses(q db.Querier, now time.Time) (n int, err error) {
	err = q.QueryRow(`SELECT count(*) FROM enrolment_draft WHERE kind = 'genesis' AND done_at IS NULL AND expires_at > $1`, db.Micros(now)).Scan(&n)
	return n, err
}

// DropDraft removes an open draft; ErrNone if it is closed or not there.
func DropDraft(tx *db.Tx, id identity.ActID) error {
	return one(tx.Exec(`DELETE FROM enrolment_draft WHERE id = $1 AND done_at IS NULL`, string(id)))
}

// FoundedAt returns when the chain began, or ErrNone.
func FoundedAt(q db.Querier) (time.Time, error) {
	var at int64
	err := q.QueryRow(`SELECT founded_at FROM enrolment_chain WHERE one = 1`).Scan(&at)
	return db.Time(at), none(err)
}

// SignedDrafts returns open drafts that lack no signature any more: a process
// stopped between the last signature and the act.
func SignedDrafts(q db.Querier, now time.Time, limit int) ([]identity.ActID, error) {
	var out []identity.ActID
	err := collect(q, func(r *sql.Rows) error {
		var id identity.ActID
		err := r.Scan(&id)
		out = append(out, id)
		return err
	}, `SELECT d.id FROM enrolment_draft d WHERE d.done_at IS NULL AND d.expires_at > $1
		AND NOT EXISTS (SELECT 1 FROM enrolment_need n WHERE n.draft = d.id AND n.signature IS NULL) ORDER BY d.created_at LIMIT $2`, db.Micros(now), limit)
	return out, err
}

// PutSignature fills a need of an open draft, once; ErrNone if it has none that
// this key can fill.
func PutSignature(tx *db.Tx, draft identity.ActID, n Need, now time.Time) error {
	return one(tx.Exec(`UPDATE enrolment_need SET signed_key = $3, auth_data = $4, client_data = $5, signature = $6
		WHERE draft = $1 AND person = $2 AND (key_id = $3 OR length(key_id) = 0) AND signature IS NULL
		AND EXISTS (SELECT 1 FROM enrolment_draft d WHERE d.id = $1 AND d.done_at IS NULL AND d.expires_at > $7)`,
		string(draft), string(n.Person), n.SignedKey, n.AuthData, n.ClientData, n.Signature, db.Micros(now)))
}

// DropSignatures empties the needs of an open draft, whose signatures led to no act.
func DropSignatures(tx *db.Tx, draft identity.ActID) error {
	_, err := tx.Exec(`UPDATE enrolment_need SET signed_key = NULL, auth_data = NULL, client_data = NULL, signature = NULL
		WHERE draft = $1 AND EXISTS (SELECT 1 FROM enrolment_draft d WHERE d.id = $1 AND d.done_at IS NULL)`, string(draft))
	return err
}

// FinishDraft closes a draft, once; ErrNone if it is closed.
func FinishDraft(tx *db.Tx, id identity.ActID, now time.Time) error {
	return one(tx.Exec(`UPDATE enrolment_draft SET done_at = $2 WHERE id = $1 AND done_at IS NULL`, string(id), db.Micros(now)))
}

// PurgeDrafts removes open drafts that ended before the time, at most limit.
func PurgeDrafts(tx *db.Tx, before time.Time, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM enrolment_draft WHERE id IN (SELECT id FROM enrolment_draft WHERE done_at IS NULL AND expires_at < $1 LIMIT $2)`, db.Micros(before), limit)
}

// PutFact stores what stands behind an act's commitments.
func PutFact(tx *db.Tx, act identity.ActID, person identity.PersonID, sealed []byte) error {
	_, err := tx.Exec(`INSERT INTO enrolment_fact (act, person, sealed) VALUES ($1, $2, $3)`, string(act), string(person), sealed)
	return err
}
