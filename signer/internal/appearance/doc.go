// Package appearance draws the visible seal of a signature: a form XObject
// with text in an embedded, subset font and a QR code.
//
// What it draws is safe in PDF/A-1 to A-4: no transparency, no colour that
// depends on a device, fonts embedded with their character maps. It knows PDF
// syntax but no file; signer/pades puts the objects into an update.
//
// It may be imported below signer/ only, and uses
// signer/pdffont for its text.
package appearance
