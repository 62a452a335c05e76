package tour

import (
	"net/http"
	"testing"

	"oruro.gob.bo/suti/cmd/internal/demo"
)

// TestLimitsWithoutSharedCache: codes of the counter cannot be guessed at will
// while the shared cache is away, and nothing else stops.
func TestLimitsWithoutSharedCache(t *testing.T) {
	t.Parallel()
	d, err := demo.Start(t.Context(), demo.Config{Dir: t.TempDir(), RedisURL: "redis://127.0.0.1:1/0", FirstPort: ports + 5100})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b, guesses := newBrowser(nil, d.Transport()), 0
	for ; guesses < 50; guesses++ {
		if err := b.get(t.Context(), d.File.Issuer+"/registro/confirmar"); err != nil {
			t.Fatal(err)
		}
		if err := b.fill(t.Context(), "/registro/confirmar", "codigo", "AAAA-AAAA"); err != nil {
			t.Fatal(err)
		}
		if b.page.status == http.StatusTooManyRequests {
			break
		}
		if b.page.status != http.StatusUnprocessableEntity {
			t.Fatal(b.page.summary())
		}
	}
	if guesses < 5 || guesses > 20 {
		t.Errorf("%d guesses before the limit, want some ten", guesses)
	}
}
