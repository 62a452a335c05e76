// Package paint finds out which places of a page are painted, as far as it
// takes to put something where nothing is.
//
// It runs the content streams of the page, of the forms and of the Type 3
// glyphs they show, and notes the box of every text, path, image and shading,
// within the clipping box, and the rectangle of every annotation. Boxes are
// never too small for what conforming files paint; they may be too large.
// What it does not understand counts as painted: a part up to the clipping
// box, or the whole page where reading cannot go on. White paint on white
// paper is the one thing that does not count. Work and memory are bounded.
//
// It may be imported by signer/pades only.
package paint
