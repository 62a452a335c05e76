// Package pdffont sets text of a PDF in a font that the file carries itself:
// the Go fonts (BSD licence), with only the glyphs that are used and the map
// back to characters. It knows PDF syntax but no file; whoever writes the file
// numbers the objects. The same text gives the same bytes.
//
// It is the only user of the font module. A Face serves one file and one
// goroutine.
package pdffont
