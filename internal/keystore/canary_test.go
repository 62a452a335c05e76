package keystore_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"oruro.gob.bo/suti/internal/db"
	"oruro.gob.bo/suti/internal/db/dbtest"
	"oruro.gob.bo/suti/internal/envelope"
	"oruro.gob.bo/suti/internal/keystore"
)

// canaries are secrets whose traces are searched, each in several notations.
type canaries map[string][]byte

// private adds the secret numbers of a key.
func (c canaries) private(t *testing.T, name string, text []byte) {
	t.Helper()
	block, _ := pem.Decode(text)
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	c[name+" der"] = block.Bytes[len(block.Bytes)/3:]
	switch k := k.(type) {
	case *ecdsa.PrivateKey:
		b, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		c[name] = b
	case ed25519.PrivateKey:
		c[name] = k.Seed()
	case *rsa.PrivateKey:
		c[name] = k.Primes[0].Bytes()
	}
}

// search reports every secret whose beginning is in b.
func (c canaries) search(t *testing.T, where string, b []byte) {
	t.Helper()
	for _, name := range c.find(b) {
		t.Errorf("%s shows secret %q", where, name)
	}
}

func (c canaries) find(b []byte) (found []string) {
	for name, secret := range c {
		part := secret[:max(8, len(secret)/4)]
		var decimals []string
		for _, x := range part {
			decimals = append(decimals, fmt.Sprint(x))
		}
		forms := []string{string(part), hex.EncodeToString(part), strings.ToUpper(hex.EncodeToString(part)),
			strings.Join(decimals, " "), strings.Join(decimals, ", "), fmt.Sprintf("% x", part)}
		for shift := range 3 { // base64 of any alignment, without its edges
			e := base64.RawStdEncoding.EncodeToString(append(make([]byte, shift), secret[:16]...))
			forms = append(forms, e[4:len(e)-4])
		}
		for _, f := range forms {
			if bytes.Contains(b, []byte(f)) {
				found = append(found, name)
				break
			}
		}
	}
	return found
}

// dump returns every column of every table of the database as bytes.
func dump(t *testing.T, d *db.DB) []byte {
	t.Helper()
	q := `SELECT m.name, p.name FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table'`
	if d.Engine() == db.Postgres {
		q = `SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()`
	}
	tables := map[string][]string{}
	rows, err := d.Query(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		tables[table] = append(tables[table], column)
	}
	if len(tables) < 4 {
		t.Fatalf("only %d tables found", len(tables))
	}
	var out bytes.Buffer
	for table, columns := range tables {
		for _, column := range columns {
			values, err := d.Query(t.Context(), `SELECT `+column+` FROM `+table)
			if err != nil {
				t.Fatal(err)
			}
			for values.Next() {
				var v any
				if err := values.Scan(&v); err != nil {
					t.Fatal(err)
				}
				if b, ok := v.([]byte); ok {
					out.Write(b)
				}
				fmt.Fprintf(&out, "\n%s.%s=%v\n", table, column, v)
			}
			values.Close()
		}
	}
	return out.Bytes()
}

// TestNoSecretShows plants keys whose secrets are known, uses them in every
// way and searches the whole database, the files behind it, every error met
// and every value formatted.
func TestNoSecretShows(t *testing.T) {
	t.Parallel()
	for _, e := range []db.Engine{db.SQLite, db.Postgres} {
		t.Run(e.String(), func(t *testing.T) {
			t.Parallel()
			url := dbtest.URL(t, e)
			d := dbtest.OpenConfig(t, db.Config{URL: url})
			if err := d.Migrate(t.Context(), lines...); err != nil {
				t.Fatal(err)
			}
			c, kek, fresh := newClock(), envelope.NewKey(), envelope.NewKey()
			s := node(t, d, c, kek)
			secrets := canaries{"kek": kek.Reveal(), "new kek": fresh.Reveal(), "derived kek": envelope.Derive(kek, "key_private").Reveal()}
			var text bytes.Buffer // everything that was printed or returned as an error
			show := func(values ...any) {
				for _, v := range values {
					for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
						fmt.Fprintf(&text, verb+"\n", v)
						fmt.Fprintf(&text, verb+"\n", struct{ v any }{v})
					}
					if b, err := json.Marshal(v); err == nil {
						text.Write(b)
					}
					slog.New(slog.NewJSONHandler(&text, nil)).Info("x", "v", v)
					slog.New(slog.NewTextHandler(&text, nil)).Info("x", "v", v)
				}
			}
			show(s, *kekConfig(d, kek))
			var first string
			for alg, args := range map[keystore.Alg][]string{
				keystore.ES256: {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"},
				keystore.EdDSA: {"genpkey", "-algorithm", "ed25519"},
				keystore.RS256: {"genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"},
			} {
				pemText := openssl(t, args...)
				secrets.private(t, string(alg), pemText)
				p, err := s.ImportPEM(keystore.Spec{Purpose: "tsa", Alg: alg, Activate: true}, pemText)
				if err != nil {
					t.Fatal(err)
				}
				show(p, p.Signer())
				write(t, d, func(tx *db.Tx) error { return s.Put(tx, p) })
				show(d.Write(t.Context(), func(tx *db.Tx) error { return s.Put(tx, p) })) // ErrKeyReused
				g, err := s.Signer(t.Context(), p.ID(), "tsa")
				if err != nil {
					t.Fatal(err)
				}
				_, err = g.Sign(nil, []byte("short"), crypto.SHA256)
				info, _ := s.Info(t.Context(), p.ID())
				show(g, err, info)
				_, err = s.ImportPEM(keystore.Spec{Purpose: "tsa", Alg: keystore.ES384}, pemText)
				show(err)
				_, err = s.ImportPEM(keystore.Spec{Purpose: "tsa", Alg: alg}, bytes.Replace(pemText, []byte("A"), []byte("B"), 3))
				show(err)
				first = p.ID()
			}
			for i := range 20 {
				owner := fmt.Sprintf("system:canary-%d", i)
				k, err := s.DataKey(t.Context(), owner)
				if err != nil {
					t.Fatal(err)
				}
				secrets[owner] = k.Reveal()
				show(k)
			}
			if _, err := s.Rewrap(t.Context(), fresh, 5); err != nil {
				t.Fatal(err)
			}
			execSQL(t, d, `UPDATE key_data SET sealed = (SELECT sealed FROM key_private WHERE id = $1) WHERE owner = 'system:canary-1'`, first)
			_, err := node(t, d, c, kek, fresh).DataKey(t.Context(), "system:canary-1")
			show(err)
			write(t, d, func(tx *db.Tx) error {
				_ = s.DestroyDataKey(tx, "system:canary-2")
				return s.Destroy(tx, first)
			})
			late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
			defer cancel()
			_, err = s.DataKey(late, "system:canary-3x")
			show(err, s)

			secrets.search(t, "printed text", text.Bytes())
			secrets.search(t, "database", dump(t, d))
			if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
				found, _ := filepath.Glob(path + "*")
				if len(found) == 0 {
					t.Fatal("no database file")
				}
				for _, f := range found {
					b, err := os.ReadFile(f)
					if err != nil {
						t.Fatal(err)
					}
					secrets.search(t, filepath.Base(f), b)
				}
			}
			// The search itself must be able to find.
			for name, b := range secrets {
				for _, in := range [][]byte{b, []byte(hex.EncodeToString(b)), fmt.Append(nil, b),
					[]byte(base64.StdEncoding.EncodeToString(append([]byte("z"), b...)))} {
					if len((canaries{name: b}).find(in)) != 1 {
						t.Errorf("the search would miss %q in %.20q", name, in)
					}
				}
			}
		})
	}
}

func kekConfig(d *db.DB, kek envelope.Key) *keystore.Config {
	return &keystore.Config{DB: d, KEK: kek, MoreKEKs: []envelope.Key{kek}}
}
