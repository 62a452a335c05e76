package appearance

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"rsc.io/qr"

	"oruro.gob.bo/suti/internal/identity"
	"oruro.gob.bo/suti/signer/pdffont"
)

// ErrTooSmall reports that the text does not fit at a size that can be read.
var ErrTooSmall = errors.New("appearance: the seal is too small for its text")

// ErrQR reports an address that is too long for a QR code.
var ErrQR = errors.New("appearance: address for the QR code")

// Seal is the visible mark of a signature. Empty fields are left out.
type Seal struct {
	// Name of the signer, Post ("cargo") and Institution.
	Name, Post, Institution string
	// Date of the signature, shown to the second in its own zone.
	Date time.Time
	// Tier says in words what the signature is by law, such as "Firma
	// electrónica, certificado interno".
	Tier string
	// Demo adds the line that a demonstration has no legal value.
	Demo bool
	// URL is what the QR code holds. Address is where to verify, and Code the
	// short code to type there, as they are printed.
	URL, Address, Code string
}

// Words on every seal.
const (
	wordDate    = "Fecha: "
	wordVerify  = "Verifique en: "
	wordCode    = "Código: "
	largest     = 9.0 // points
	easy        = 5.5
	smallest    = 3.5
	sizeStep    = 0.25
	leading     = 1.2
	padding     = 3.0
	quietZone   = 4 // modules around a QR code
	maxQRRows   = 177
	maxLineText = 1024
)

// Object is an object to be put into a file.
type Object = pdffont.Object

// GlyphError reports a character that the seal's font does not have.
type GlyphError = pdffont.GlyphError

// Drawing is a form XObject and what it uses.
type Drawing struct {
	Objects []Object
	Form    int // index of the form XObject
}

type line struct {
	face *pdffont.Face
	font string
	text string
}

// Draw draws the seal for a rectangle of that width and height in points, on a
// page whose /Rotate is given. Errors: [ErrTooSmall], [ErrQR], [*GlyphError].
func (s *Seal) Draw(width, height float64, rotate int) (*Drawing, error) {
	rotate = normal(rotate)
	if rotate%180 != 0 {
		width, height = height, width
	}
	regular, err := pdffont.Regular()
	if err != nil {
		return nil, err
	}
	bold, err := pdffont.Bold()
	if err != nil {
		return nil, err
	}
	var c bytes.Buffer
	fmt.Fprintf(&c, "q\n/CS0 CS 0.45 SC 0.5 w %s %s %s %s re S\n/CS0 cs 0 sc\n", pdffont.Number(0.25), pdffont.Number(0.25), pdffont.Number(width-0.5), pdffont.Number(height-0.5))
	left := padding
	if s.URL != "" {
		side := min(height, width/2)
		if err := drawQR(&c, s.URL, side, (height-side)/2); err != nil {
			return nil, err
		}
		left = side
	}
	if err := s.drawText(&c, s.lines(regular, bold), left, width-padding, height); err != nil {
		return nil, err
	}
	c.WriteString("Q\n")
	return s.drawing(c.Bytes(), []*pdffont.Face{regular, bold}, width, height, rotate)
}

func (s *Seal) lines(regular, bold *pdffont.Face) []line {
	var out []line
	add := func(f *pdffont.Face, font, text string) {
		if text != "" {
			out = append(out, line{f, font, text})
		}
	}
	add(bold, "F1", s.Name)
	add(regular, "F0", s.Post)
	add(regular, "F0", s.Institution)
	if !s.Date.IsZero() {
		add(regular, "F0", wordDate+s.Date.Format("02/01/2006 15:04:05 -07:00"))
	}
	add(regular, "F0", s.Tier)
	if s.Address != "" {
		add(regular, "F0", wordVerify+s.Address)
	}
	if s.Code != "" {
		add(regular, "F0", wordCode+s.Code)
	}
	if s.Demo {
		add(bold, "F1", identity.DemoNotice)
	}
	return out
}

// drawText writes the lines at the largest size at which they fit: unbroken if
// that can still be read with ease, else broken between words.
func (s *Seal) drawText(c *bytes.Buffer, lines []line, left, right, height float64) error {
	if len(lines) == 0 {
		return nil
	}
	for _, l := range lines {
		if len(l.text) > maxLineText {
			return ErrTooSmall
		}
	}
	broken, size, err := fit(lines, easy, right-left, height-2*padding, false)
	if err == nil && broken == nil {
		broken, size, err = fit(lines, smallest, right-left, height-2*padding, true)
	}
	if err != nil {
		return err
	}
	if broken == nil {
		return ErrTooSmall
	}
	total := float64(len(broken)) * size * leading
	fmt.Fprintf(c, "BT\n%s %s Td\n", pdffont.Number(left), pdffont.Number(height-(height-total)/2-size))
	for i, l := range broken {
		text, err := l.face.Encode(l.text)
		if err != nil {
			return err
		}
		if i > 0 {
			fmt.Fprintf(c, "0 %s Td\n", pdffont.Number(-size*leading))
		}
		fmt.Fprintf(c, "/%s %s Tf %s Tj\n", l.font, pdffont.Number(size), text)
	}
	c.WriteString("ET\n")
	return nil
}

// fit finds the largest size, down to least, at which the lines fit; nil if none.
func fit(lines []line, least, width, height float64, mayBreak bool) ([]line, float64, error) {
	for size := largest; size >= least; size -= sizeStep {
		broken, err := wrap(lines, size, width)
		if err != nil {
			return nil, 0, err
		}
		if broken != nil && float64(len(broken))*size*leading <= height && (mayBreak || len(broken) == len(lines)) {
			return broken, size, nil
		}
	}
	return nil, 0, nil
}

// wrap breaks lines between words; nil if a word alone is too wide.
func wrap(lines []line, size, width float64) ([]line, error) {
	var out []line
	for _, l := range lines {
		cur := ""
		for _, word := range strings.Fields(l.text) {
			try := strings.TrimSpace(cur + " " + word)
			w, err := l.face.Width(try, size)
			if err != nil {
				return nil, err
			}
			if w <= width {
				cur = try
				continue
			}
			if w, err = l.face.Width(word, size); err != nil {
				return nil, err
			}
			if cur == "" || w > width {
				return nil, nil
			}
			out = append(out, line{l.face, l.font, cur})
			cur = word
		}
		if cur != "" {
			out = append(out, line{l.face, l.font, cur})
		}
	}
	return out, nil
}

// drawQR fills a square of side points at the left edge, y from below.
func drawQR(c *bytes.Buffer, url string, side, y float64) error {
	code, err := qr.Encode(url, qr.M)
	if err != nil || code.Size > maxQRRows {
		return ErrQR
	}
	fmt.Fprintf(c, "q %s 0 0 %s 0 %s cm\n", num6(side/float64(code.Size+2*quietZone)), num6(side/float64(code.Size+2*quietZone)), pdffont.Number(y))
	for row := range code.Size {
		for col := 0; col < code.Size; col++ {
			run := 0
			for col+run < code.Size && code.Black(col+run, row) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(c, "%d %d %d 1 re\n", col+quietZone, code.Size-1-row+quietZone, run)
				col += run
			}
		}
	}
	c.WriteString("f Q\n")
	return nil
}

func num6(f float64) string { return fmt.Sprintf("%.6f", f) }

// drawing gathers the form XObject and the objects of the fonts it uses.
func (s *Seal) drawing(content []byte, faces []*pdffont.Face, width, height float64, rotate int) (*Drawing, error) {
	d := &Drawing{Objects: []Object{{}}}
	uses := map[string]int{}
	var fonts []string
	for i, f := range faces {
		if !f.Used() {
			continue // no character of it is shown
		}
		objs, err := f.Objects()
		if err != nil {
			return nil, err
		}
		first := len(d.Objects)
		for _, o := range objs {
			moved := Object{Dict: o.Dict, Data: o.Data, Uses: map[string]int{}}
			for k, n := range o.Uses {
				moved.Uses[k] = n + first
			}
			d.Objects = append(d.Objects, moved)
		}
		key := fmt.Sprintf("F%d", i)
		uses[key] = first
		fonts = append(fonts, fmt.Sprintf("/%s {%s}", key, key))
	}
	d.Objects[0] = pdffont.Deflated(fmt.Sprintf("/Type /XObject /Subtype /Form /FormType 1 /BBox [0 0 %s %s] /Matrix %s"+
		" /Resources <</ColorSpace <</CS0 [/CalGray <</WhitePoint [0.9505 1 1.089] /Gamma 2.2>>]>> /Font <<%s>>>>",
		pdffont.Number(width), pdffont.Number(height), matrix(rotate), strings.Join(fonts, " ")), content)
	d.Objects[0].Uses = uses
	return d, nil
}
