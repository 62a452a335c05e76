// Package report writes what the verifier says of a PDF file in forms that are
// kept and shown: the XML of ETSI TS 119 102-2, a page of HTML and a PDF file
// for people. They say the same; the two for people are made from one list of
// blocks, in Spanish or English.
//
// Everything from the file that is judged is hostile text: it is bounded, its
// invisible characters are replaced, and each form escapes it in one place.
// Reports are unsigned, and say so. The same input gives the same bytes.
//
// It stores nothing, opens no connection and reads no clock. Only cmd and
// signer/isolate may import it.
package report
