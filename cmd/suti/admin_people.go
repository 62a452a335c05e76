package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"oruro.gob.bo/suti/enrolment"
	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/identity"
)

// Operations on people, the founding and institutions.
const (
	adminCandidates      = "/v1/genesis/candidates"
	adminGenesisBegin    = "/v1/genesis/begin"
	adminGenesisStatus   = "/v1/genesis/status"
	adminGenesisCancel   = "/v1/genesis/cancel"
	adminPeopleList      = "/v1/people/list"
	adminPersonShow      = "/v1/people/show"
	adminPersonSuspend   = "/v1/people/suspend"
	adminInstitutionList = "/v1/institutions/list"
	adminInstitutionAdd  = "/v1/institutions/add"
	adminPostList        = "/v1/posts/list"
	adminPostAdd         = "/v1/posts/add"
)

// nothing is the request of an operation that needs nothing.
type nothing struct{}

// founderRequest is one founder, by the code of the ticket.
type founderRequest struct {
	Ticket string     `json:"ticket"`
	Roles  []act.Role `json:"roles"`
}

type foundersRequest struct {
	Founders []founderRequest `json:"founders"`
}

// candidate is a future founder, to be read aloud.
type candidate struct {
	Ticket    string            `json:"ticket"`
	Person    identity.PersonID `json:"person"`
	Name      string            `json:"name"`
	Document  string            `json:"document"`
	BirthDate string            `json:"birth_date"`
	Keys      int               `json:"keys"`
	Roles     []act.Role        `json:"roles"`
}

// States of a founding.
const (
	genesisNone    = "not-founded"
	genesisWaiting = "waiting"
	genesisDone    = "founded"
)

// genesisStatus is how far the founding is.
type genesisStatus struct {
	State       string          `json:"state"`
	Draft       identity.ActID  `json:"draft,omitempty"`
	Page        string          `json:"page,omitempty"`        // where the founders sign
	Fingerprint string          `json:"fingerprint,omitempty"` // as that page shows it
	Expires     time.Time       `json:"expires,omitzero"`
	Founders    []founderStatus `json:"founders,omitempty"`
	Hash        string          `json:"genesis_hash,omitempty"`
	Founded     time.Time       `json:"founded,omitzero"`
	// Pinned says that the signing core trusts it: signing is possible.
	Pinned bool `json:"pinned"`
}

type founderStatus struct {
	Person  identity.PersonID `json:"person"`
	Roles   []act.Role        `json:"roles"`
	Missing int               `json:"missing"` // signatures, one for each passkey
}

// personView is a person as an operator sees her.
type personView struct {
	Person       identity.PersonID `json:"person"`
	State        string            `json:"state"`
	Level        string            `json:"level"`
	Keys         int               `json:"passkeys"`
	Roles        []string          `json:"roles"`
	Appointments []appointmentView `json:"appointments"`
	Registered   time.Time         `json:"registered"`
	Changed      time.Time         `json:"changed"`
	// Name and Document are only told for a purpose.
	Name     string `json:"name,omitempty"`
	Document string `json:"document,omitempty"`
}

type appointmentView struct {
	ID          identity.AppointmentID `json:"id"`
	Post        identity.PostID        `json:"post"`
	Title       string                 `json:"title"`
	Institution string                 `json:"institution"`
	From        time.Time              `json:"from"`
	To          time.Time              `json:"to,omitzero"`
}

type personRequest struct {
	Person  identity.PersonID `json:"person"`
	Purpose string            `json:"purpose,omitempty"` // to read name and document
	Reason  string            `json:"reason,omitempty"`  // to suspend
}

type peopleRequest struct {
	After   identity.PersonID `json:"after,omitempty"`
	Limit   int               `json:"limit,omitempty"`
	Staff   bool              `json:"staff,omitempty"` // only who holds a general role
	Purpose string            `json:"purpose,omitempty"`
}

type institutionView struct {
	ID        identity.InstitutionID `json:"id"`
	Name      string                 `json:"name"`
	ShortName string                 `json:"short_name"`
	TaxID     string                 `json:"nit"`
}

type postView struct {
	ID          identity.PostID `json:"id"`
	Institution string          `json:"institution"` // id, short name or name
	Unit        string          `json:"unit"`
	Title       string          `json:"title"`
	Item        string          `json:"item"`
	Exclusive   bool            `json:"exclusive"`
	Scopes      []string        `json:"scopes"`
}

func (s *server) adminPeople(mux *http.ServeMux) {
	handleAdmin(mux, adminCandidates, s.candidates)
	handleAdmin(mux, adminGenesisBegin, s.beginGenesis)
	handleAdmin(mux, adminGenesisStatus, func(ctx context.Context, _ nothing) (genesisStatus, error) { return s.genesisStatus(ctx) })
	handleAdmin(mux, adminGenesisCancel, func(ctx context.Context, _ nothing) (genesisStatus, error) {
		if err := s.app.Enrolment.CancelGenesis(ctx, operator(ctx)); err != nil {
			return genesisStatus{}, err
		}
		return s.genesisStatus(ctx)
	})
	handleAdmin(mux, adminPeopleList, s.listPeople)
	handleAdmin(mux, adminPersonShow, s.showPerson)
	handleAdmin(mux, adminPersonSuspend, func(ctx context.Context, in personRequest) (personView, error) {
		if err := s.app.Enrolment.StopPerson(ctx, operator(ctx), in.Person, in.Reason); err != nil {
			return personView{}, err
		}
		return s.showPerson(ctx, personRequest{Person: in.Person})
	})
	handleAdmin(mux, adminInstitutionList, func(ctx context.Context, _ nothing) ([]institutionView, error) {
		list, err := s.app.Enrolment.Institutions(ctx)
		out := make([]institutionView, len(list))
		for i, ins := range list {
			out[i] = institutionView(ins)
		}
		return out, err
	})
	handleAdmin(mux, adminInstitutionAdd, func(ctx context.Context, in institutionView) (institutionView, error) {
		in.ID = ""
		ins, err := s.app.Enrolment.PlaceInstitution(ctx, operator(ctx), identity.Institution(in))
		return institutionView(ins), err
	})
	handleAdmin(mux, adminPostList, s.listPosts)
	handleAdmin(mux, adminPostAdd, s.addPost)
}

// candidates checks that the people named fill the roles before anything is read
// of them, and resolves their tickets.
func (s *server) candidates(ctx context.Context, in foundersRequest) ([]candidate, error) {
	if err := fillRoles(in.Founders); err != nil {
		return nil, err
	}
	if f, err := s.app.Enrolment.Founding(ctx); err != nil {
		return nil, err
	} else if !f.Hash.IsZero() {
		return nil, enrolment.ErrGenesisDone
	} else if f.Draft.ID != "" {
		return nil, enrolment.ErrFounding
	}
	var out []candidate
	for _, f := range in.Founders {
		c, err := s.app.Enrolment.Candidate(ctx, operator(ctx), f.Ticket)
		if err != nil {
			r := refusalOf(err)
			return nil, &exitError{code: r.Code, err: fmt.Errorf("ticket %s: %w", f.Ticket, err), next: r.Next}
		}
		p := c.Profile
		if slices.ContainsFunc(out, func(o candidate) bool { return o.Person == p.Person }) {
			return nil, usagef("name all roles of a person in one --founder", "ticket %s: the same person twice", f.Ticket)
		}
		if c.Keys == 0 {
			return nil, refusedf("the person opens /registro/llave in the browser of the registration, or registers again", "ticket %s: %w", f.Ticket, enrolment.ErrKey)
		}
		out = append(out, candidate{
			Ticket: f.Ticket, Person: p.Person, Name: p.Name.Full(), Document: string(p.Document.Type) + " " + p.Document.String(), BirthDate: p.BirthDate.String(),
			Keys: c.Keys, Roles: f.Roles,
		})
	}
	return out, nil
}

// fillRoles demands what a founding needs of its people.
func fillRoles(founders []founderRequest) error {
	const next = "for example: --founder CODE:administrator --founder CODE:registrar --founder CODE:supervisor"
	held, only := map[act.Role]bool{}, false
	for _, f := range founders {
		for _, r := range f.Roles {
			if r != act.Administrator && r != act.Registrar && r != act.Supervisor {
				return usagef(next, "no role %q: there are administrator, registrar and supervisor", r)
			}
			held[r] = true
		}
		only = only || len(f.Roles) == 1 && f.Roles[0] == act.Supervisor
	}
	switch {
	case len(founders) < 2:
		return usagef(next, "at least two people found a deployment")
	case len(held) < 3:
		return usagef(next, "somebody must be administrator, somebody registrar and somebody supervisor")
	case !only:
		return usagef(next, "somebody must be supervisor and nothing else, or nothing could ever be approved")
	}
	return nil
}

func (s *server) beginGenesis(ctx context.Context, in foundersRequest) (genesisStatus, error) {
	if err := fillRoles(in.Founders); err != nil {
		return genesisStatus{}, err
	}
	r := enrolment.GenesisRequest{LogKey: s.app.Seq.VerifierKey()}
	for _, f := range in.Founders {
		t, err := s.app.Enrolment.TicketByCode(ctx, f.Ticket)
		if err != nil {
			return genesisStatus{}, err
		}
		r.Founders = append(r.Founders, enrolment.Founder{Person: t.Person, Roles: f.Roles})
	}
	if _, err := s.app.Enrolment.ProposeGenesis(ctx, operator(ctx), r); err != nil {
		return genesisStatus{}, err
	}
	return s.genesisStatus(ctx)
}

func (s *server) genesisStatus(ctx context.Context) (genesisStatus, error) {
	f, err := s.app.Enrolment.Founding(ctx)
	if err != nil {
		return genesisStatus{}, err
	}
	out := genesisStatus{State: genesisNone}
	if !f.Hash.IsZero() {
		out.State, out.Hash, out.Founded = genesisDone, f.Hash.String(), f.Founded
		pinned, err := s.app.Core.Genesis(ctx)
		out.Pinned = err == nil && pinned == f.Hash
		return out, nil
	}
	body, ok := f.Draft.Statement.Body.(*act.Genesis)
	if !ok {
		return out, nil
	}
	out.State, out.Draft, out.Fingerprint, out.Expires = genesisWaiting, f.Draft.ID, enrolment.ShortHash(f.Draft.Hash), f.Draft.Expires
	out.Page = s.cfg.PublicURL + "/fundacion/" + string(f.Draft.ID)
	for _, p := range body.Founders {
		st := founderStatus{Person: p.Person, Roles: p.Roles}
		for _, n := range f.Draft.Needs {
			if n.Person == p.Person && !n.Signed {
				st.Missing++
			}
		}
		out.Founders = append(out.Founders, st)
	}
	return out, nil
}

func viewOf(o enrolment.Overview) personView {
	v := personView{
		Person: o.Person, State: string(o.State), Level: o.Level.String(), Keys: o.Keys, Registered: o.Created, Changed: o.Changed, Roles: []string{}, Appointments: []appointmentView{},
	}
	for _, r := range o.Roles {
		name := string(r.Role)
		if r.Institution != "" {
			name += ":" + string(r.Institution)
		}
		v.Roles = append(v.Roles, name)
	}
	for _, a := range o.Appointments {
		v.Appointments = append(v.Appointments, appointmentView{a.ID, a.Post, a.Title, a.Institution.Name, a.From, a.To})
	}
	return v
}

func (s *server) showPerson(ctx context.Context, in personRequest) (personView, error) {
	o, err := s.app.Enrolment.Overview(ctx, in.Person)
	if err != nil {
		return personView{}, err
	}
	v := viewOf(o)
	return v, s.name(ctx, &v, in.Purpose)
}

// name adds who a person is, if a purpose is told.
func (s *server) name(ctx context.Context, v *personView, purpose string) error {
	if purpose == "" {
		return nil
	}
	p, err := s.app.Enrolment.ReadPerson(ctx, operator(ctx), v.Person, purpose)
	if err == nil {
		v.Name, v.Document = p.Name.Full(), string(p.Document.Type)+" "+p.Document.String()
	}
	return err
}

// maxNamed bounds of how many people names are read at once.
const maxNamed = 50

func (s *server) listPeople(ctx context.Context, in peopleRequest) ([]personView, error) {
	limit := in.Limit
	if in.Purpose != "" {
		limit = min(limit, maxNamed)
	}
	var list []enrolment.Overview
	var err error
	if in.Staff {
		var ids []identity.PersonID
		if ids, err = s.app.Enrolment.Staff(ctx); err != nil {
			return nil, err
		}
		for _, id := range ids {
			o, err := s.app.Enrolment.Overview(ctx, id)
			if err != nil {
				return nil, err
			}
			list = append(list, o)
		}
	} else if list, err = s.app.Enrolment.Overviews(ctx, in.After, limit); err != nil {
		return nil, err
	}
	out := make([]personView, len(list))
	for i, o := range list {
		out[i] = viewOf(o)
		if err := s.name(ctx, &out[i], in.Purpose); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// institution finds an institution by its id, its short name or its name.
func (s *server) institution(ctx context.Context, word string) (identity.Institution, error) {
	all, err := s.app.Enrolment.Institutions(ctx)
	if err != nil {
		return identity.Institution{}, err
	}
	var found []identity.Institution
	for _, i := range all {
		if word != "" && (string(i.ID) == word || i.ShortName == word || i.Name == word) {
			found = append(found, i)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return identity.Institution{}, usagef("see: suti institution list; add one with: suti institution add", "no institution %q", word)
	}
	return identity.Institution{}, usagef("use the id: suti institution list", "%d institutions are called %q", len(found), word)
}

func postOf(p enrolment.Post) postView {
	return postView{ID: p.ID, Institution: string(p.Institution.ID), Unit: p.Unit, Title: p.Title, Item: p.Item, Exclusive: p.Exclusive, Scopes: append([]string{}, p.Scopes...)}
}

func (s *server) listPosts(ctx context.Context, in postView) ([]postView, error) {
	ins, err := s.institution(ctx, in.Institution)
	if err != nil {
		return nil, err
	}
	list, err := s.app.Enrolment.Posts(ctx, ins.ID)
	out := make([]postView, len(list))
	for i, p := range list {
		out[i] = postOf(p)
	}
	return out, err
}

func (s *server) addPost(ctx context.Context, in postView) (postView, error) {
	ins, err := s.institution(ctx, in.Institution)
	if err != nil {
		return postView{}, err
	}
	p, err := s.app.Enrolment.PlacePost(ctx, operator(ctx), enrolment.Post{
		Institution: ins, Unit: in.Unit, Title: in.Title, Item: in.Item, Exclusive: in.Exclusive, Scopes: in.Scopes,
	})
	return postOf(p), err
}
