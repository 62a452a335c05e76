// Package status answers whether certificates hold: OCSP (RFC 6960) and full
// CRLs. The database decides every answer; what was signed ahead is sent only
// while it says the same. A number that was never issued gets "unauthorized",
// never an answer that could be read as good.
//
// Only the packages of the authority import it.
package status
