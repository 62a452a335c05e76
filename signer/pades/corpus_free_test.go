package pades_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"oruro.gob.bo/suti/signer/pades"
)

// TestCorpusFreeSpace looks in every PDF file of a folder (SUTI_CORPUS) for
// free space on the last page: a seal that is put there covers nothing, and
// nothing else changes. Refusals are counted.
func TestCorpusFreeSpace(t *testing.T) {
	dir := os.Getenv(envCorpus)
	if dir == "" {
		t.Skipf("%s names no folder", envCorpus)
	}
	var mu sync.Mutex // guards counts
	counts := map[string]int{}
	t.Run("files", func(t *testing.T) {
		for _, path := range corpusFiles(t, dir) {
			name, _ := filepath.Rel(dir, path)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				place := pades.Placement{Page: -1, Free: true}
				_, err = pades.Prepare(context.Background(), bytes.NewReader(b), int64(len(b)),
					pades.Options{SigningTime: now, Seal: &pades.Seal{Name: "Ana"}, Placement: place})
				var refused *pades.RefusedError
				why := "found"
				if errors.As(err, &refused) {
					why = string(refused.Code)
					if refused.Code == pades.CodeNoRoom {
						why += ": " + strings.TrimRight(refused.Detail, "0123456789")
					}
				} else if err != nil {
					t.Fatal(err)
				}
				mu.Lock()
				counts[why]++
				mu.Unlock()
				if why == "found" {
					if _, err := run(t, "mutool", "draw", "-q", "-F", "pnm", "-r", "5", "-o", os.DevNull, path); err != nil {
						t.Skip("mutool does not paint the file")
					}
					sealedOnWhite(t, name, b, place)
				}
			})
		}
	})
	for why, n := range counts {
		t.Logf("%5d %s", n, why)
	}
}
