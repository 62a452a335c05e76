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
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"oruro.gob.bo/suti/signer/internal/store"
	"oruro.gob.bo/suti/signer/isolate"
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

// CodeStanding says what the code that somebody typed is to the file. The values
// are stable. It says nothing of the paper on which the code was read (design D26).
type CodeStanding string

// What a code is to a file.
const (
	// CodeOfThis: the file is a document of that code.
	CodeOfThis CodeStanding = "of_this_document"
	// CodeOfAnother: the code is registered, for another document than the file.
	CodeOfAnother CodeStanding = "of_another_document"
	// CodeUnknown: the code is not registered.
	CodeUnknown CodeStanding = "unknown"
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
	// File is the registered document that the file is, where the code given names
	// another, which is then in Registered.
	File *Registration `json:"file,omitempty"`
	// Code is the verification code that was given or found in the file, and
	// CodeStanding what it is to the file, if it was given.
	Code         string       `json:"code,omitempty"`
	CodeStanding CodeStanding `json:"code_standing,omitempty"`
	// Report is about the signatures; nil if the file cannot be judged, then Refusal
	// says why: a code of pades, [CodeVerifyTooComplex] or [CodeVerifyFailed].
	Report  *pades.Report `json:"report"`
	Refusal string        `json:"refusal,omitempty"`
	Tier    string        `json:"tier"`

	found string // code whose address stands in the file
}

// Status is the HTTP status that goes with what can be said: 422 if the file took
// too much or broke what should judge it, else 200.
func (v *Validation) Status() int {
	switch v.Refusal {
	case string(CodeVerifyTooComplex), string(CodeVerifyFailed):
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
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
// is held in a nameless temporary file meanwhile and not kept. Refusals that say
// nothing of the file have [CodeVerifyBusy] or [CodeVerifyInterrupted].
func (s *Service) Validate(ctx context.Context, body io.Reader, code string) (*Validation, error) {
	v, err := s.inspect(ctx, body)
	if err != nil {
		return nil, err
	}
	return v, s.compare(ctx, v, code)
}

// inspect judges the signatures in a file.
func (s *Service) inspect(ctx context.Context, body io.Reader) (*Validation, error) {
	f, v, err := s.spool(body)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	done, err := s.admission.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	v.Report, err = s.cfg.Verifier.Verify(ctx, f, v.Size)
	var no *pades.RefusedError
	var much *isolate.LimitError
	switch {
	case err == nil:
		return v, nil
	case errors.As(err, &no):
		v.Refusal = string(no.Code)
	case errors.As(err, &much):
		v.Refusal = string(CodeVerifyTooComplex)
	case errors.Is(err, isolate.ErrCrashed):
		v.Refusal = string(CodeVerifyFailed)
	case errors.Is(err, isolate.ErrInterrupted):
		return nil, refuse(CodeVerifyInterrupted, err)
	default:
		return nil, fmt.Errorf("signer: verify: %w", err)
	}
	v.Report = nil
	return v, nil
}

// spool writes a body to a temporary file without a name, hashes it, and looks for
// the address of a verification code in it. The file returned can only be read.
func (s *Service) spool(body io.Reader) (_ *os.File, _ *Validation, err error) {
	w, err := os.CreateTemp(s.cfg.TempDir, "verificar-")
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	f, err := os.Open(w.Name())
	if err := errors.Join(err, os.Remove(w.Name())); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	h, scan := sha256.New(), &codeScanner{}
	n, err := io.Copy(io.MultiWriter(w, h, scan), io.LimitReader(body, s.cfg.MaxVerify+1))
	switch {
	case err == nil && n > s.cfg.MaxVerify:
		err = &Refusal{Code: "too_large"}
	case err == nil && n == 0:
		err = &Refusal{Code: CodeInvalid, Field: "file"}
	case errors.Is(err, syscall.ENOSPC):
		err = refuse(CodeVerifyBusy, err)
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	sum := [32]byte(h.Sum(nil))
	return f, &Validation{SHA256: hex.EncodeToString(sum[:]), Words: hashWords(sum), Size: n, Tier: Tier, found: scan.found}, nil
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

// compare says whether the file is what is registered, and what the code that a
// person typed is to it. A code that merely stands in the file (which may quote
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
	named, err := s.named(ctx, v, typed)
	if err != nil {
		return err
	}
	if named != nil {
		if i := slices.IndexFunc(known, func(k store.Registered) bool { return k.Request == named.ID }); i >= 0 {
			v.Standing, v.CodeStanding = StandsRegistered, CodeOfThis
			v.Registered, err = s.registeredFile(ctx, known[i])
			return err
		}
		v.Standing, v.CodeStanding = StandsNotThat, CodeOfAnother
		if len(known) > 0 { // genuine, but another document than the code's
			if v.File, err = s.registeredFile(ctx, known[0]); err != nil {
				return err
			}
		}
		v.Registered, err = s.registration(ctx, *named, false)
		return err
	}
	if len(known) > 0 {
		v.Standing = StandsRegistered
		v.Registered, err = s.registeredFile(ctx, known[0])
		return err
	}
	r, err := s.store.ByCode(ctx, v.found)
	switch {
	case err == nil:
		v.Standing = StandsNotThat
		if typed == "" {
			v.Code = printCode(v.found)
		}
		v.Registered, err = s.registration(ctx, r, false)
		return err
	case !errors.Is(err, store.ErrNotFound):
		return err
	case typed != "":
		v.Standing = StandsUnknownCode
	default:
		v.Standing = StandsUnregistered
	}
	return nil
}

// named returns the request whose code a person typed; nil if there is none, which
// the validation then says.
func (s *Service) named(ctx context.Context, v *Validation, typed string) (*store.Request, error) {
	if typed == "" {
		return nil, nil
	}
	code, ok := ParseCode(typed)
	if ok {
		v.Code = printCode(code)
		r, err := s.store.ByCode(ctx, code)
		if err == nil {
			return &r, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	} else {
		v.Code = strings.ToUpper(strings.ToValidUTF8(typed[:min(len(typed), 40)], ""))
	}
	v.CodeStanding = CodeUnknown
	return nil, nil
}

// registeredFile tells of a document to whoever holds its file.
func (s *Service) registeredFile(ctx context.Context, k store.Registered) (*Registration, error) {
	r, err := s.store.Request(ctx, k.Request)
	if err != nil {
		return nil, err
	}
	out, err := s.registration(ctx, r, true)
	if err != nil {
		return nil, err
	}
	out.Final, out.Document = k.Final, k.Document
	return out, nil
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
