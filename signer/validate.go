package signer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"oruro.gob.bo/suti/signer/internal/store"
	"oruro.gob.bo/suti/signer/pades"
)

// LocalVerifier judges files in this process.
type LocalVerifier struct {
	// Roots and TimestampRoots return the trust anchors of the moment.
	Roots, TimestampRoots func() *x509.CertPool
	Revocation            pades.Revocation // nil: not checked, and the report says so
	Now                   func() time.Time
}

// Verify implements [Verifier].
func (v LocalVerifier) Verify(ctx context.Context, base io.ReaderAt, size int64) (*pades.Report, error) {
	o := pades.VerifyOptions{Revocation: v.Revocation, At: time.Now()}
	if v.Now != nil {
		o.At = v.Now()
	}
	if v.Roots != nil {
		o.Roots = v.Roots()
	}
	if v.TimestampRoots != nil {
		o.TimestampRoots = v.TimestampRoots()
	}
	return pades.Verify(ctx, base, size, o)
}

// Standing says how a file relates to what is registered. The values are stable.
type Standing string

// The standings of a file.
const (
	// StandsRegistered: it is byte for byte a registered signed document.
	StandsRegistered Standing = "registered"
	// StandsNotThat: it, or whoever sent it, names a registered document's code, and
	// it is not that document.
	StandsNotThat Standing = "not_the_registered_document"
	// StandsUnknownCode: the code named is not registered.
	StandsUnknownCode Standing = "unknown_code"
	// StandsUnregistered: nothing is registered about it here.
	StandsUnregistered Standing = "unregistered"
)

// Signatory is somebody who signed, as the public may know. A citizen's name is
// not shown by code alone.
type Signatory struct {
	Name        string    `json:"name,omitempty"`
	Post        string    `json:"post,omitempty"`
	Institution string    `json:"institution,omitempty"`
	Private     bool      `json:"private"` // a person who did not sign in a post
	SignedAt    time.Time `json:"signed_at"`
}

// Registration is what is registered about a document.
type Registration struct {
	Code      string           `json:"code"`
	State     string           `json:"state"`
	Asker     string           `json:"asked_by"`
	Public    bool             `json:"public"` // an official signed it in a post
	Documents []RegisteredFile `json:"documents"`
	Signers   []Signatory      `json:"signers"`
	Final     bool             `json:"final"` // for a file: every signature is in it
	Document  int              `json:"document"`
}

// RegisteredFile is a registered document.
type RegisteredFile struct {
	Title  string `json:"title,omitempty"`
	Pages  int    `json:"pages"`
	SHA256 string `json:"sha256,omitempty"` // of the signed file, once all have signed
	Words  string `json:"words,omitempty"`
}

// Validation is what can be said about a file.
type Validation struct {
	SHA256   string   `json:"sha256"`
	Words    string   `json:"words"`
	Size     int64    `json:"size"`
	Standing Standing `json:"standing"`
	// Registered is the document that the file is, or that its code names.
	Registered *Registration `json:"registered"`
	// Code is the verification code that was given or found in the file.
	Code string `json:"code,omitempty"`
	// Report is about the signatures; nil if the file cannot be judged, then Refusal says why.
	Report  *pades.Report `json:"report"`
	Refusal string        `json:"refusal,omitempty"`
	Tier    string        `json:"tier"`

	found string // code whose address stands in the file
}

// Trustworthy reports whether every signature of the file holds and there is one.
func (v *Validation) Trustworthy() bool {
	if v.Report == nil || len(v.Report.Signatures) == 0 {
		return false
	}
	for _, s := range v.Report.Signatures {
		if !acceptable(s.Verdict) {
			return false
		}
	}
	return true
}

// Validate judges a file: its signatures, and whether it is what is registered.
// code is the verification code printed on it, if the person typed one. The file
// is held in a nameless temporary file meanwhile and not kept.
func (s *Service) Validate(ctx context.Context, body io.Reader, code string) (*Validation, error) {
	select {
	case s.verifying <- struct{}{}:
		defer func() { <-s.verifying }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f, v, found, err := s.spool(body)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	v.Tier = Tier
	v.Report, err = s.cfg.Verifier.Verify(ctx, f, v.Size)
	var no *pades.RefusedError
	switch {
	case errors.As(err, &no):
		v.Report, v.Refusal = nil, string(no.Code)
	case err != nil:
		return nil, fmt.Errorf("signer: verify: %w", err)
	}
	v.found = found
	return v, s.compare(ctx, v, code)
}

// spool writes a body to a temporary file without a name, hashes it, and looks for
// the address of a verification code in it.
func (s *Service) spool(body io.Reader) (*os.File, *Validation, string, error) {
	f, err := os.CreateTemp(s.cfg.TempDir, "verificar-")
	if err != nil {
		return nil, nil, "", err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, nil, "", errors.Join(err, f.Close())
	}
	h, scan := sha256.New(), &codeScanner{}
	n, err := io.Copy(io.MultiWriter(f, h, scan), io.LimitReader(body, s.cfg.MaxVerify+1))
	if err == nil && n > s.cfg.MaxVerify {
		err = &Refusal{Code: "too_large"}
	}
	if err == nil && n == 0 {
		err = &Refusal{Code: CodeInvalid, Field: "file"}
	}
	if err != nil {
		return nil, nil, "", errors.Join(err, f.Close())
	}
	sum := [32]byte(h.Sum(nil))
	return f, &Validation{SHA256: hex.EncodeToString(sum[:]), Words: hashWords(sum), Size: n}, scan.found, nil
}

// codeScanner finds the first address of a verification code in a stream, as plain
// text or in the hexadecimal digits that PDF strings may have.
type codeScanner struct {
	tail  []byte
	found string
}

const (
	codeMark   = "/verificar/"
	codeLetter = codeLength + codeLength/4 - 1
	codeReach  = 2 * (len(codeMark) + codeLetter) // bytes that one address may take
)

// Write implements io.Writer.
func (c *codeScanner) Write(p []byte) (int, error) {
	if c.found != "" {
		return len(p), nil
	}
	b := append(c.tail, p...)
	plain := func(b []byte) []byte { return b[:min(len(b), codeLetter)] }
	digits := func(b []byte) []byte {
		out, _ := hex.DecodeString(string(b[:min(len(b)&^1, 2*codeLetter)])) // what is no code fails below
		return out
	}
	if !c.find(b, []byte(codeMark), plain) {
		c.find(b, []byte(strings.ToUpper(hex.EncodeToString([]byte(codeMark)))), digits)
	}
	c.tail = bytes.Clone(b[len(b)-min(len(b), codeReach):])
	return len(p), nil
}

// find looks behind every mark for a code.
func (c *codeScanner) find(b, mark []byte, read func([]byte) []byte) bool {
	for {
		i := bytes.Index(b, mark)
		if i < 0 {
			return false
		}
		b = b[i+len(mark):]
		if code, ok := ParseCode(string(read(b))); ok {
			c.found = code
			return true
		}
	}
}

// compare says whether the file is what is registered. A code that a person typed
// must be the file's own; one that merely stands in the file (which may quote
// another document's) is looked at only if the file itself is not known.
func (s *Service) compare(ctx context.Context, v *Validation, typed string) error {
	raw, err := hex.DecodeString(v.SHA256)
	if err != nil {
		return err
	}
	known, err := s.store.ByFile(ctx, [32]byte(raw))
	if err != nil {
		return err
	}
	if typed == "" && len(known) == 0 {
		if _, err := s.store.ByCode(ctx, v.found); err == nil {
			typed = v.found
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	code, named := ParseCode(typed)
	var byCode *store.Request
	if named {
		v.Code = printCode(code)
		r, err := s.store.ByCode(ctx, code)
		if err == nil {
			byCode = &r
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	} else if typed != "" {
		v.Code = strings.ToUpper(typed[:min(len(typed), 40)])
	}
	for _, k := range known {
		if byCode != nil && k.Request != byCode.ID {
			continue // genuine, but another document than the code's
		}
		r, err := s.store.Request(ctx, k.Request)
		if err != nil {
			return err
		}
		v.Standing = StandsRegistered
		if v.Registered, err = s.registration(ctx, r, true); err != nil {
			return err
		}
		v.Registered.Final, v.Registered.Document = k.Final, k.Document
		return nil
	}
	switch {
	case byCode != nil:
		v.Standing = StandsNotThat
		v.Registered, err = s.registration(ctx, *byCode, false)
	case typed != "":
		v.Standing = StandsUnknownCode
	default:
		v.Standing = StandsUnregistered
	}
	return err
}

// Registered returns what is registered under a verification code, or a refusal
// with [CodeNotFound]. Before everybody has signed, nothing is registered.
func (s *Service) Registered(ctx context.Context, typed string) (*Registration, error) {
	code, ok := ParseCode(typed)
	if !ok {
		return nil, refuse(CodeNotFound, nil)
	}
	r, err := s.store.ByCode(ctx, code)
	if errors.Is(err, store.ErrNotFound) || err == nil && r.State != store.Completed {
		return nil, refuse(CodeNotFound, nil)
	}
	if err != nil {
		return nil, err
	}
	return s.registration(ctx, r, false)
}

// registration tells of a request what its code opens; whoever holds the file
// itself (held) has read titles and names in it.
func (s *Service) registration(ctx context.Context, r store.Request, held bool) (*Registration, error) {
	out := &Registration{Code: printCode(r.Code), State: string(r.State), Asker: r.Asker, Final: r.State == store.Completed}
	for _, p := range r.Parties {
		out.Public = out.Public || p.Appointment != ""
	}
	for _, p := range r.Parties {
		if p.State != store.HasSigned {
			continue
		}
		g := Signatory{Private: p.Appointment == "", SignedAt: p.DecidedAt}
		if held || p.Appointment != "" {
			c, err := s.capacity(ctx, p)
			if err != nil && !errors.Is(err, ErrUnknown) {
				return nil, err
			}
			if err == nil {
				g.Name, g.Post, g.Institution = c.profile.Name.Full(), c.post(), c.institution()
			}
		}
		out.Signers = append(out.Signers, g)
	}
	for _, d := range r.Documents {
		f := RegisteredFile{Pages: d.Pages}
		if held || out.Public {
			f.Title = d.Title
		}
		if r.State == store.Completed {
			f.SHA256, f.Words = hex.EncodeToString(d.SHA256[:]), hashWords(d.SHA256)
		}
		out.Documents = append(out.Documents, f)
	}
	return out, nil
}
