package isolate

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"oruro.gob.bo/suti/signer/pades"
)

// Bounds of what passes between the two, beside [Limits].Report.
const (
	maxRequest = 1 << 20  // bytes
	maxNodes   = 200_000  // objects and lists in an answer
	maxDepth   = 16       // of objects and lists in each other
	maxTold    = 16 << 10 // bytes of standard error that are kept
)

// request is what the child is asked; the file is its descriptor 3.
type request struct {
	Size           int64     `json:"size"`
	At             time.Time `json:"at"`
	Roots          [][]byte  `json:"roots"` // DER
	TimestampRoots [][]byte  `json:"timestamp_roots"`
	Report         int       `json:"report"` // greatest length of the answer, in bytes
}

// answer is what the child says: one of the three.
type answer struct {
	Report *pades.Report `json:"report,omitempty"`
	// Certificates are those of the report, in DER, by their SHA-256 in
	// hexadecimal: the report's own JSON leaves them out.
	Certificates map[string][]byte `json:"certificates,omitempty"`
	Refused      *refusedFile      `json:"refused,omitempty"`
	Failed       string            `json:"failed,omitempty"` // neither: the file could not be read, or a programmer's mistake
}

type refusedFile struct {
	Code   pades.Code `json:"code"`
	Detail string     `json:"detail"`
}

// encode writes what Verify returned.
func encode(r *pades.Report, err error) ([]byte, error) {
	var a answer
	var no *pades.RefusedError
	switch {
	case errors.As(err, &no):
		a.Refused = &refusedFile{no.Code, no.Detail}
	case err != nil:
		a.Failed = err.Error()
	default:
		a.Report, a.Certificates = r, map[string][]byte{}
		for _, c := range certificates(r) {
			a.Certificates[c.SHA256] = c.Raw
		}
	}
	return json.Marshal(a)
}

// decode reads an answer; its length has been bounded.
func decode(b []byte) (*pades.Report, error) {
	if err := bounded(b); err != nil {
		return nil, err
	}
	var a answer
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	switch {
	case a.Refused != nil:
		return nil, &pades.RefusedError{Code: a.Refused.Code, Detail: a.Refused.Detail}
	case a.Report == nil && a.Failed != "":
		return nil, &failedError{a.Failed}
	case a.Report == nil:
		return nil, errors.New("answer: empty")
	}
	for _, c := range certificates(a.Report) {
		raw, ok := a.Certificates[c.SHA256]
		if sum := sha256.Sum256(raw); !ok || hex.EncodeToString(sum[:]) != c.SHA256 {
			return nil, errors.New("answer: a certificate is missing")
		}
		c.Raw = raw
	}
	return a.Report, nil
}

// failedError is an error of the child that is no statement about the file.
type failedError struct{ text string }

// Error implements error.
func (e *failedError) Error() string { return "in the child: " + e.text }

// certificates returns every certificate of a report, to be changed in place.
func certificates(r *pades.Report) []*pades.Certificate {
	var out []*pades.Certificate
	for i := range r.Signatures {
		s := &r.Signatures[i]
		if s.Signer != nil {
			out = append(out, s.Signer)
		}
		for j := range s.Chain {
			out = append(out, &s.Chain[j])
		}
	}
	return out
}

// bounded counts objects and lists before they are made: three bytes of JSON
// can ask for hundreds of memory.
func bounded(b []byte) error {
	nodes, depth, text, escaped := 0, 0, false, false
	for _, c := range b {
		switch {
		case escaped:
			escaped = false
		case text:
			escaped, text = c == '\\', c != '"'
		case c == '"':
			text = true
		case c == '{' || c == '[':
			nodes++
			depth++
		case c == '}' || c == ']':
			depth--
		}
		if nodes > maxNodes || depth > maxDepth {
			return errors.New("answer: too many parts")
		}
	}
	return nil
}

// ders returns certificates as they are sent.
func ders(list []*x509.Certificate) [][]byte {
	out := make([][]byte, 0, len(list))
	for _, c := range list {
		out = append(out, c.Raw)
	}
	return out
}

// pool is what ders sent; nil stays nothing trusted.
func pool(list [][]byte) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	for _, der := range list {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("root: %w", err)
		}
		p.AddCert(c)
	}
	return p, nil
}
