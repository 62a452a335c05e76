package appearance

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func sample() *Seal {
	return &Seal{
		Name: "José Núñez Quispe Ñandú", Post: "Director de Planificación", Institution: "Gobierno Autónomo Departamental de Oruro",
		Date: time.Date(2026, 11, 24, 9, 5, 7, 0, time.FixedZone("", -4*3600)),
		Tier: "Firma electrónica, certificado interno", Demo: true,
		URL: "https://suti.oruro.gob.bo/verificar/7KQM-3XTA-9FWE-HJ2P", Address: "suti.oruro.gob.bo/verificar", Code: "7KQM-3XTA",
	}
}

func inflate(t *testing.T, b []byte) []byte {
	t.Helper()
	r, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSealIsSmallAndHoldsItsWords(t *testing.T) {
	t.Parallel()
	s := sample()
	d, err := s.Draw(220, 80, 0)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, o := range d.Objects {
		total += len(o.Dict) + len(o.Data)
		for _, bad := range []string{"/SMask", "/CA ", "/ca ", "/DeviceRGB", "/Group", "/DeviceGray"} {
			if strings.Contains(o.Dict, bad) {
				t.Errorf("object has %s: %s", bad, o.Dict)
			}
		}
	}
	if total > 16<<10 {
		t.Errorf("seal of %d bytes", total)
	}
	content := string(inflate(t, d.Objects[d.Form].Data))
	if !strings.Contains(content, "/F1 ") || !strings.Contains(content, " re\n") {
		t.Errorf("content %.200s", content)
	}
	maps := ""
	for _, o := range d.Objects {
		if o.Data != nil && strings.HasPrefix(o.Dict, "<< /Filter") {
			maps += string(inflate(t, o.Data))
		}
	}
	for _, code := range []string{"<00E9>", "<00FA>", "<00F1>", "<00D1>", "<00F3>"} {
		if !strings.Contains(maps, code) {
			t.Errorf("character map lacks %s", code)
		}
	}
}

func TestSealRefusesWhatItCannotShow(t *testing.T) {
	t.Parallel()
	s := sample()
	if _, err := s.Draw(40, 12, 0); !errors.Is(err, ErrTooSmall) {
		t.Errorf("tiny: got %v", err)
	}
	var glyph *GlyphError
	s.Name = "名前"
	if _, err := s.Draw(220, 80, 0); !errors.As(err, &glyph) || glyph.Rune != '名' {
		t.Errorf("characters without glyph: got %v", err)
	}
	s = sample()
	s.URL = strings.Repeat("x", 5000)
	if _, err := s.Draw(220, 80, 0); !errors.Is(err, ErrQR) {
		t.Errorf("long address: got %v", err)
	}
}

func TestPlacement(t *testing.T) {
	t.Parallel()
	box := NewRect(10, 20, 605, 862) // 595 by 842
	for name, c := range map[string]struct {
		p      Placement
		rotate int
		want   Rect
	}{
		"lower right": {Placement{Width: 100, Height: 50, Margin: 10}, 0, Rect{495, 30, 595, 80}},
		"lower left":  {Placement{Corner: BottomLeft, Width: 100, Height: 50, Margin: 10}, 0, Rect{20, 30, 120, 80}},
		"second slot": {Placement{Corner: BottomLeft, Width: 100, Height: 50, Margin: 10, Slot: 1}, 0, Rect{20, 80, 120, 130}},
		"top left":    {Placement{Corner: TopLeft, Width: 100, Height: 50, Margin: 10}, 0, Rect{20, 802, 120, 852}},
		// Turned clockwise by 90 degrees, the lower left corner shown is the lower right one of the page.
		"lower left of 90":  {Placement{Corner: BottomLeft, Width: 100, Height: 50, Margin: 10}, 90, Rect{545, 30, 595, 130}},
		"lower left of 180": {Placement{Corner: BottomLeft, Width: 100, Height: 50, Margin: 10}, 180, Rect{495, 802, 595, 852}},
		"lower left of 270": {Placement{Corner: BottomLeft, Width: 100, Height: 50, Margin: 10}, -90, Rect{20, 752, 70, 852}},
		"explicit":          {Placement{Rect: &[4]float64{200, 100, 100, 50}}, 90, Rect{100, 50, 200, 100}},
	} {
		got, err := c.p.On(box, c.rotate)
		if err != nil || got != c.want {
			t.Errorf("%s: got %v (%v), want %v", name, got, err, c.want)
		}
	}
	for name, p := range map[string]Placement{
		"too wide":     {Width: 600},
		"outside":      {Rect: &[4]float64{0, 0, 100, 50}},
		"empty":        {Rect: &[4]float64{100, 100, 100, 100}},
		"far too high": {Slot: 50},
	} {
		if _, err := p.On(box, 0); !errors.Is(err, ErrPlacement) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := (Placement{}).On(box, 45); !errors.Is(err, ErrPlacement) {
		t.Errorf("45 degrees: got %v", err)
	}
}
