package ca_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"oruro.gob.bo/suti/ca"
	"oruro.gob.bo/suti/ca/lint"
	"oruro.gob.bo/suti/ca/profile"
	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/internal/subject"
)

func TestSameIntentSameCertificate(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		key := newKey(t)
		r := w.request(t, w.person(t), key)
		first, err := w.IssueCitizen(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		w.clock.Add(time.Hour)
		r.Proof = proof(t, r.IntentID, key) // a new proof of the same
		r.NotAfter = r.NotAfter.In(time.FixedZone("", -4*3600))
		again, err := w.IssueCitizen(t.Context(), r)
		if err != nil || !bytes.Equal(again.DER, first.DER) || !again.Existing {
			t.Errorf("same request: %v, same certificate %v", err, bytes.Equal(again.DER, first.DER))
		}
		for name, edit := range map[string]func(r *ca.Request){
			"another name":  func(r *ca.Request) { r.Name.FirstSurname = "Otra" },
			"another end":   func(r *ca.Request) { r.NotAfter = w.clock.Now().AddDate(0, 1, 0) },
			"another epoch": func(r *ca.Request) { r.Epoch = 2 },
			"another key": func(r *ca.Request) {
				k := newKey(t)
				r.PublicKey, r.Proof = k.Public(), proof(t, r.IntentID, k)
			},
		} {
			other := r
			edit(&other)
			_, err := w.IssueCitizen(t.Context(), other)
			wantErr(t, name, err, ca.ErrConflict)
		}
		_, err = w.IssueOneShot(t.Context(), r)
		wantErr(t, "another profile", err, ca.ErrConflict)
	})
}

// Many at once with one intent: one certificate, and everyone who gets one gets that.
func TestOneIntentUnderContention(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		other := open(t, d, w.clock, "dos")
		if err := other.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := w.request(t, w.person(t), newKey(t))
		var mu sync.Mutex
		got := map[string]int{}
		dbtest.Contend(t, 12, func(i int) {
			node := w
			if i%2 == 1 {
				node = other
			}
			c, err := node.IssueCitizen(context.Background(), r)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				got[string(c.DER)]++
			case !errors.Is(err, ca.ErrInProgress):
				t.Errorf("got %v", err)
			}
		})
		if len(got) != 1 {
			t.Errorf("%d different certificates", len(got))
		}
		var n int
		if err := d.QueryRow(t.Context(), `SELECT COUNT(sn) FROM ca_intent WHERE intent = $1`, r.IntentID).Scan(&n); err != nil || n != 1 {
			t.Errorf("%d intents, %v", n, err)
		}
	})
}

// One public key belongs to one subject, however many ask at once.
func TestOneKeyOneSubject(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		key := newKey(t)
		var requests []ca.Request
		for range 8 {
			requests = append(requests, w.request(t, w.person(t), key))
		}
		var mu sync.Mutex
		var winner identity.PersonID
		won := 0
		dbtest.Contend(t, len(requests), func(i int) {
			_, err := w.IssueCitizen(context.Background(), requests[i])
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
				winner = requests[i].Person
			} else if !errors.Is(err, ca.ErrKeyTaken) {
				t.Errorf("got %v", err)
			}
		})
		if won != 1 {
			t.Errorf("%d people have the key certified", won)
		}
		// Its owner may have it certified again, for instance in a post.
		if _, err := w.IssueCitizen(t.Context(), w.request(t, winner, key)); err != nil {
			t.Errorf("owner again: %v", err)
		}
		root := w.Roots()[0]
		r := w.request(t, w.person(t), key)
		r.PublicKey = root.PublicKey
		_, err := w.IssueCitizen(t.Context(), r)
		wantErr(t, "the root's key", err, ca.ErrProof)
	})
}

func TestCompromisedKeyIsBlocked(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		p, key := w.person(t), newKey(t)
		first, err := w.IssueCitizen(t.Context(), w.request(t, p, key))
		if err != nil {
			t.Fatal(err)
		}
		second, err := w.IssueCitizen(t.Context(), w.request(t, p, key))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Revoke(t.Context(), first.Serial, ca.KeyCompromise, string(p)); err != nil {
			t.Fatal(err)
		}
		for _, c := range []ca.Certificate{first, second} {
			if st, err := w.Status(t.Context(), c.Serial); err != nil || !st.Revoked || st.Reason != ca.KeyCompromise {
				t.Errorf("status %+v, %v", st, err)
			}
			says(t, w.ask(t, c), "revoked", "keyCompromise")
		}
		_, err = w.IssueCitizen(t.Context(), w.request(t, p, key))
		wantErr(t, "the same key again", err, ca.ErrKeyBlocked)

		k := newKey(t)
		spki, err := x509.MarshalPKIXPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		if err := w.BlockKey(t.Context(), spki, "published", "per_operator"); err != nil {
			t.Fatal(err)
		}
		_, err = w.IssueCitizen(t.Context(), w.request(t, p, k))
		wantErr(t, "a key blocked beforehand", err, ca.ErrKeyBlocked)
	})
}

func TestRequestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, db.SQLite, lines()))
	p, q := w.person(t), w.person(t)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		edit func(r *ca.Request)
		want error
	}{
		{"short intent", func(r *ca.Request) { r.IntentID = "x" }, ca.ErrRequest},
		{"odd intent", func(r *ca.Request) { r.IntentID = "int_0123\n4567" }, ca.ErrRequest},
		{"no person", func(r *ca.Request) { r.Person = "" }, ca.ErrRequest},
		{"no actor", func(r *ca.Request) { r.Actor = "" }, ca.ErrRequest},
		{"no key", func(r *ca.Request) { r.PublicKey = nil }, ca.ErrRequest},
		{"no proof", func(r *ca.Request) { r.Proof = nil }, ca.ErrProof},
		{"long proof", func(r *ca.Request) { r.Proof = make([]byte, 9<<10) }, ca.ErrProof},
		{"proof of another key", func(r *ca.Request) { r.Proof = proof(t, r.IntentID, newKey(t)) }, ca.ErrProof},
		{"proof for another intent", func(r *ca.Request) { r.IntentID = identity.NewID("int", w.clock.Now()) }, ca.ErrProof},
		{"changed proof", func(r *ca.Request) { r.Proof = bytes.Clone(r.Proof); r.Proof[len(r.Proof)-1] ^= 1 }, ca.ErrProof},
		{"stale epoch", func(r *ca.Request) { r.Epoch = 7 }, subject.ErrStale},
		{"unknown person", func(r *ca.Request) { r.Person = identity.PersonID(identity.NewID("per", w.clock.Now())) }, subject.ErrUnknown},
		{"post of another", func(r *ca.Request) { r.Appointment = w.appointment(q, time.Time{}) }, ca.ErrRequest},
		{"post not begun", func(r *ca.Request) {
			r.Appointment = w.appointment(p, time.Time{})
			r.Appointment.From = w.clock.Now().Add(time.Hour)
		}, ca.ErrRequest},
		{"post over", func(r *ca.Request) { r.Appointment = w.appointment(p, w.clock.Now()) }, ca.ErrRequest},
		{"no surname", func(r *ca.Request) { r.Name.FirstSurname, r.Name.SecondSurname = "", "" }, profile.ErrSubject},
		{"two years", func(r *ca.Request) { r.NotAfter = w.clock.Now().AddDate(2, 0, 0) }, profile.ErrValidity},
		{"small exponent", func(r *ca.Request) {
			pub := rsa.PublicKey{N: weak.N, E: 3}
			d := new(big.Int)
			d.ModInverse(big.NewInt(3), new(big.Int).Mul(new(big.Int).Sub(weak.Primes[0], big.NewInt(1)), new(big.Int).Sub(weak.Primes[1], big.NewInt(1))))
			r.PublicKey = &pub
			if d.Sign() != 0 {
				r.Proof = proof(t, r.IntentID, &rsa.PrivateKey{PublicKey: pub, D: d, Primes: weak.Primes})
			}
		}, nil},
	} {
		r := w.request(t, p, newKey(t))
		tc.edit(&r)
		issue := w.IssueCitizen
		if r.Appointment != nil {
			issue = w.IssueOfficial
		}
		_, err := issue(t.Context(), r)
		if tc.want == nil {
			if err == nil {
				t.Errorf("%s: accepted", tc.name)
			}
			continue
		}
		wantErr(t, tc.name, err, tc.want)
	}
	r := w.request(t, p, newKey(t))
	_, err = w.IssueOfficial(t.Context(), r)
	wantErr(t, "official without post", err, ca.ErrRequest)
	r.Appointment = w.appointment(p, time.Time{})
	_, err = w.IssueCitizen(t.Context(), r)
	wantErr(t, "citizen with post", err, ca.ErrRequest)
	var n int
	if err := w.db.QueryRow(t.Context(), `SELECT COUNT(sn) FROM ca_intent WHERE person <> ''`).Scan(&n); err != nil || n != 0 {
		t.Errorf("refusals left %d intents (%v)", n, err)
	}
}

// What a certification request asks for, beyond the key, has no effect.
func TestNamesComeFromTheRegistry(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, db.SQLite, lines()))
	key := newKey(t)
	r := w.request(t, w.person(t), key)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: r.IntentID, Organization: []string{"Contraloría"}, Country: []string{"PE"}},
		DNSNames: []string{"evil.example"}, EmailAddresses: []string{"x@evil.example"},
		ExtraExtensions: []pkix.Extension{{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}}},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	r.Proof = csr
	c, err := w.IssueCitizen(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	cert := parse(t, c.DER)
	if cert.IsCA || len(cert.DNSNames)+len(cert.EmailAddresses) != 0 || len(cert.Subject.Organization) != 0 ||
		cert.Subject.CommonName != "María José Ñañez Quispe" || cert.Subject.Country[0] != "BO" {
		t.Errorf("the request's content reached the certificate: %v %v", cert.Subject, cert.DNSNames)
	}
}

// The linter's verdict stops an issue before anything is written.
func TestLintStopsIssue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, db.SQLite, lines()))
	r := w.request(t, w.person(t), newKey(t))
	r.PublicKey = &ecdsa.PublicKey{} // cannot even be encoded
	if _, err := w.IssueCitizen(t.Context(), r); err == nil {
		t.Error("empty key accepted")
	}
	var ke *lint.KeyError
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skipf("short keys cannot be made: %v", err)
	}
	r = w.request(t, w.person(t), k)
	if _, err := w.IssueCitizen(t.Context(), r); !errors.As(err, &ke) || ke.Reason != lint.KeyAlgorithm {
		t.Errorf("short key: got %v", err)
	}
}

// A person suspended at any moment before the certificate is stored gets none.
func TestSuspensionWinsOverIssue(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		p := w.person(t)
		r := w.request(t, p, newKey(t))
		w.bump(t, p, subject.Suspended)
		_, err := w.IssueCitizen(t.Context(), r)
		if !errors.Is(err, subject.ErrStale) && !errors.Is(err, subject.ErrNotActive) {
			t.Errorf("suspended person: got %v", err)
		}
		// Under contention: whoever has a certificate had it before the suspension.
		for range 6 {
			q := w.person(t)
			r := w.request(t, q, newKey(t))
			var issued ca.Certificate
			var issueErr error
			dbtest.Contend(t, 2, func(i int) {
				if i == 0 {
					issued, issueErr = w.IssueCitizen(context.Background(), r)
					return
				}
				if err := d.Write(context.Background(), func(tx *db.Tx) error {
					_, err := subject.Bump(tx, q, subject.Closed, "test", w.clock.Now())
					return err
				}); err != nil {
					t.Error(err)
				}
				if err := w.OnPersonEnded(context.Background(), q); err != nil {
					t.Error(err)
				}
			})
			if issueErr == nil {
				if st, err := w.Status(t.Context(), issued.Serial); err != nil || !st.Revoked {
					t.Errorf("issued to a person who ended, not revoked: %+v, %v", st, err)
				}
			}
		}
		w.clock.Add(2 * time.Minute)
		if err := w.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestEndOfAppointmentRevokesThatPostOnly(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		p := w.person(t)
		own := w.citizen(t, p)
		r := w.request(t, p, newKey(t))
		r.Appointment = w.appointment(p, time.Time{})
		official, err := w.IssueOfficial(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // handed over twice
			if err := w.OnAppointmentEnded(t.Context(), r.Appointment.ID); err != nil {
				t.Fatal(err)
			}
		}
		says(t, w.ask(t, official), "revoked", "affiliationChanged")
		says(t, w.ask(t, own), ": good")
		for range 2 {
			if err := w.OnPersonEnded(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		says(t, w.ask(t, own), "revoked", "cessationOfOperation")
		var n int
		if err := d.QueryRow(t.Context(), `SELECT COUNT(id) FROM outbox_message WHERE topic = $1`, ca.TopicRevoked).Scan(&n); err != nil || n != 2 {
			t.Errorf("%d messages of revocation, want 2 (%v)", n, err)
		}
	})
}

// Numbers are unique, positive, of 17 octets, and their random bits are balanced.
func TestNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, dbtest.Open(t, db.SQLite, lines()))
	seen := map[string]bool{}
	ones := make([]int, 128)
	const n = 60
	p := w.person(t)
	for range n {
		c, err := w.IssueOneShot(t.Context(), w.request(t, p, newKey(t)))
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Serial) != 17 || c.Serial[0] < 1 || c.Serial[0] > 0x7f || seen[string(c.Serial)] {
			t.Fatalf("number %x", c.Serial)
		}
		seen[string(c.Serial)] = true
		for i := range ones {
			ones[i] += int(c.Serial[1+i/8] >> (i % 8) & 1)
		}
	}
	for i, k := range ones {
		if k < n/10 || k > n-n/10 {
			t.Errorf("bit %d is set in %d of %d numbers", i, k, n)
		}
	}
}

func TestNodesHaveTheirOwnPrefix(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, lines(), func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		two := open(t, d, w.clock, "dos")
		if err := two.Init(t.Context()); err != nil {
			t.Fatal(err)
		}
		c, err := two.IssueCitizen(t.Context(), two.request(t, two.person(t), newKey(t)))
		if err != nil || c.Serial[0] != 2 {
			t.Errorf("second node: number %x, %v", c.Serial, err)
		}
		cfg := two.cfg
		cfg.Node, cfg.Prefix = "tres", 2
		x, err := ca.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Init(t.Context()); err == nil || !strings.Contains(err.Error(), "prefix belongs to another node") {
			t.Errorf("prefix of another node: %v", err)
		}
	})
}

func BenchmarkIssue(b *testing.B) {
	w := open(b, dbtest.Open(b, db.SQLite, lines()), begin(), "uno")
	if err := w.Init(b.Context()); err != nil {
		b.Fatal(err)
	}
	p := w.person(b)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := w.IssueOneShot(context.Background(), w.request(b, p, newKey(b))); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
