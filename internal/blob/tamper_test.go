package blob_test

import (
	"bytes"
	"errors"
	"testing"

	"oruro.gob.bo/suti/internal/blob"
	"oruro.gob.bo/suti/internal/envelope"
)

const sealedChunk = blob.ChunkSize + envelope.Overhead

// TestTamper changes what is stored in every way someone with the database
// and the directory could, and checks that no wrong byte is read.
func TestTamper(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		owner := person()
		content, other := random(1, 3*blob.ChunkSize+100), random(2, 3*blob.ChunkSize+100)
		half := 2 * blob.ChunkSize
		inDatabase := map[string]func(id, otherID string){
			"bit": func(id, _ string) {
				b.exec(`UPDATE blob_chunk SET sealed = $2 WHERE blob_id = $1 AND n = 1`, id, flipped(b, id, 1))
			},
			"swap of chunks": func(id, _ string) {
				b.exec(`UPDATE blob_chunk SET n = 99 WHERE blob_id = $1 AND n = 1`, id)
				b.exec(`UPDATE blob_chunk SET n = 1 WHERE blob_id = $1 AND n = 2`, id)
				b.exec(`UPDATE blob_chunk SET n = 2 WHERE blob_id = $1 AND n = 99`, id)
			},
			"chunk of another blob": func(id, o string) {
				b.exec(`UPDATE blob_chunk SET sealed = (SELECT c.sealed FROM blob_chunk c WHERE c.blob_id = $2 AND c.n = 1)
					WHERE blob_id = $1 AND n = 1`, id, o)
			},
			"missing chunk": func(id, _ string) { b.exec(`DELETE FROM blob_chunk WHERE blob_id = $1 AND n = 2`, id) },
			"missing last":  func(id, _ string) { b.exec(`DELETE FROM blob_chunk WHERE blob_id = $1 AND n = 3`, id) },
			"short chunk": func(id, _ string) {
				b.exec(`UPDATE blob_chunk SET sealed = $2 WHERE blob_id = $1 AND n = 1`, id, flipped(b, id, 1)[:1000])
			},
			"empty chunk": func(id, _ string) {
				b.exec(`UPDATE blob_chunk SET sealed = $2 WHERE blob_id = $1 AND n = 3`, id, []byte{})
			},
			"all chunks of another": func(id, o string) {
				b.exec(`DELETE FROM blob_chunk WHERE blob_id = $1`, id)
				b.exec(`UPDATE blob_chunk SET blob_id = $1 WHERE blob_id = $2`, id, o)
			},
		}
		chunkOf := func(f []byte, n int) []byte { return f[n*sealedChunk : min((n+1)*sealedChunk, len(f))] }
		inDirectory := map[string]func(id, otherID string){
			"bit": func(id, _ string) {
				b.edit(id, func(f []byte) []byte { f[sealedChunk+5000] ^= 1; return f })
			},
			"swap of chunks": func(id, _ string) {
				b.edit(id, func(f []byte) []byte {
					return bytes.Join([][]byte{chunkOf(f, 0), chunkOf(f, 2), chunkOf(f, 1), chunkOf(f, 3)}, nil)
				})
			},
			"chunk of another blob": func(id, o string) {
				b.edit(o, func(g []byte) []byte {
					b.edit(id, func(f []byte) []byte { copy(chunkOf(f, 1), chunkOf(g, 1)); return f })
					return g
				})
			},
			"cut at a chunk": func(id, _ string) { b.edit(id, func(f []byte) []byte { return f[:3*sealedChunk] }) },
			"cut in a chunk": func(id, _ string) { b.edit(id, func(f []byte) []byte { return f[:len(f)-1] }) },
			"empty file":     func(id, _ string) { b.edit(id, func([]byte) []byte { return nil }) },
			"file of another": func(id, o string) {
				b.edit(o, func(g []byte) []byte { b.edit(id, func([]byte) []byte { return g }); return g })
			},
		}
		changes := inDatabase
		if b.dir != "" {
			changes = inDirectory
		}
		for name, q := range map[string]string{
			"row: size smaller": `UPDATE blob_object SET size = 3145728 WHERE id = $1 AND id <> $2`,
			"row: size larger":  `UPDATE blob_object SET size = size + 1 WHERE id = $1 AND id <> $2`,
			"row: key of another": `UPDATE blob_object SET key_sealed = (SELECT o.key_sealed FROM blob_object o WHERE o.id = $2)
				WHERE id = $1`,
		} {
			changes[name] = func(id, o string) {
				if b.exec(q, id, o) != 1 {
					t.Fatalf("%s: nothing changed", name)
				}
			}
		}
		for name, change := range changes {
			ref, otherRef := b.put(content, owner), b.put(other, owner)
			open, err := b.store.OpenOwned(t.Context(), owner, ref.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			change(b.id(ref), b.id(otherRef))
			if err := b.store.Verify(t.Context(), ref); !errors.Is(err, blob.ErrCorrupt) {
				t.Errorf("%s: Verify: got %v, want ErrCorrupt", name, err)
			}
			checkPrefix(t, name, b, ref, content)
			// A reader that was open beforehand gives right bytes or none.
			p := make([]byte, half)
			if n, _ := open.ReadAt(p, blob.ChunkSize/2); !bytes.Equal(p[:n], content[blob.ChunkSize/2:blob.ChunkSize/2+n]) {
				t.Errorf("%s: an open reader gave wrong bytes", name)
			}
			_ = open.Close()
			for {
				n, err := b.store.DeleteOwner(t.Context(), owner)
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					break
				}
			}
		}
	})
}

// checkPrefix: what WriteTo wrote before its error is the true beginning.
func checkPrefix(t *testing.T, name string, b *bench, ref blob.Ref, content []byte) {
	t.Helper()
	r, err := b.store.OpenOwned(t.Context(), ref.Owner, ref.SHA256)
	if err != nil {
		return
	}
	defer r.Close()
	var out bytes.Buffer
	if _, err := r.WriteTo(&out); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("%s: WriteTo: got %v", name, err)
	}
	if !bytes.HasPrefix(content, out.Bytes()) {
		t.Errorf("%s: WriteTo gave wrong bytes", name)
	}
	if got, err := r.Bytes(blob.MaxSize); err == nil || got != nil {
		t.Errorf("%s: Bytes: got %d bytes, %v", name, len(got), err)
	}
}

func flipped(b *bench, id string, n int64) []byte {
	b.t.Helper()
	var sealed []byte
	if err := b.d.QueryRow(b.t.Context(), `SELECT sealed FROM blob_chunk WHERE blob_id = $1 AND n = $2`, id, n).Scan(&sealed); err != nil {
		b.t.Fatal(err)
	}
	sealed[len(sealed)/2] ^= 1
	return sealed
}

// TestNothingInClear searches everything stored for pieces of the content.
func TestNothingInClear(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		mark := []byte("CANARIO-del-documento-de-Juana-Quispe")
		content := bytes.Repeat(mark, 60_000)
		ref := b.put(content, person())
		id := b.id(ref)
		var stored []byte
		if b.dir != "" {
			b.edit(id, func(f []byte) []byte { stored = bytes.Clone(f); return f })
		} else {
			for n := range int64(3) {
				var sealed []byte
				if err := b.d.QueryRow(t.Context(), `SELECT sealed FROM blob_chunk WHERE blob_id = $1 AND n = $2`, id, n).Scan(&sealed); err != nil {
					t.Fatal(err)
				}
				stored = append(stored, sealed...)
			}
		}
		if len(stored) != len(content)+3*envelope.Overhead {
			t.Errorf("stored %d bytes for %d", len(stored), len(content))
		}
		if bytes.Contains(stored, mark[:8]) {
			t.Error("content is stored in clear")
		}
	})
}
