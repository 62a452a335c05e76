package jades

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// byURIHash is the mechanism of sigD written and read here (TS 119 182-1 §5.2.8.3.3).
const byURIHash = "http://uri.etsi.org/19182/ObjectIdByURIHash"

// written is the protected header in the order it is written.
type written struct {
	Alg  string      `json:"alg"`
	Cty  string      `json:"cty,omitempty"`
	Iat  int64       `json:"iat"`
	X5t  string      `json:"x5t#S256"`
	X5c  [][]byte    `json:"x5c"` // base64 with padding
	SigD *detachment `json:"sigD,omitempty"`
	B64  *bool       `json:"b64,omitempty"`
	Crit []string    `json:"crit,omitempty"`
}

// detachment is sigD.
type detachment struct {
	MID   string   `json:"mId"`
	Pars  []string `json:"pars"`
	HashM string   `json:"hashM"`
	HashV []string `json:"hashV"`
	Ctys  []string `json:"ctys,omitempty"`
}

// mediaType writes a media type as RFC 7515 §4.1.10 recommends.
func shortMediaType(t string) string {
	if s, ok := strings.CutPrefix(t, "application/"); ok && !strings.Contains(s, "/") {
		return s
	}
	return t
}

// longMediaType undoes shortMediaType.
func longMediaType(t string) string {
	if t != "" && !strings.Contains(t, "/") {
		return "application/" + t
	}
	return t
}

// header is a protected header as read.
type header struct {
	alg       algorithm
	mediaType string
	unencoded bool // b64 is false
	sigD      *detachment
	thumb     []byte // x5t#S256
	otherHash crypto.Hash
	other     []byte // x5t#o, by otherHash
	chain     []*x509.Certificate
	iat, sigT time.Time
	ignored   []string // parameters that say nothing here
}

// understood are the parameters that may be critical: those that are not of
// RFC 7515, and are processed here.
var understood = []string{"b64", "sigD", "sigT", "iat", "x5t#o"}

// readHeader reads a protected header. Every error is a [*RefusedError].
func readHeader(b []byte) (*header, error) {
	if err := unambiguous(b, maxHeaderDepth); err != nil {
		return nil, refuse(CodeMalformed, err, "header: %v", err)
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil || m == nil {
		return nil, refuse(CodeMalformed, err, "header is no object")
	}
	h := &header{}
	if err := h.readCritical(m); err != nil {
		return nil, err
	}
	for name, raw := range m {
		if err := h.read(name, raw); err != nil {
			var done *RefusedError
			if errors.As(err, &done) {
				return nil, err
			}
			return nil, refuse(CodeMalformed, err, "header parameter %q: %v", name, err)
		}
	}
	slices.Sort(h.ignored)
	if h.alg.name == "" {
		return nil, refuse(CodeAlgorithm, nil, "no algorithm")
	}
	return h, nil
}

// readCritical checks crit (RFC 7515 §4.1.11, RFC 7797 §6, TS 119 182-1 §5.1.9).
func (h *header) readCritical(m map[string]json.RawMessage) error {
	var crit []string
	if raw, ok := m["crit"]; ok {
		if err := exact(raw, &crit); err != nil || len(crit) == 0 {
			return refuse(CodeCritical, err, "crit is no list of names")
		}
	}
	for i, name := range crit {
		switch _, there := m[name]; {
		case !there:
			return refuse(CodeCritical, nil, "critical parameter %q is not there", name)
		case slices.Contains(crit[:i], name):
			return refuse(CodeCritical, nil, "critical parameter %q is named twice", name)
		case !slices.Contains(understood, name):
			return refuse(CodeCritical, nil, "critical parameter %q is not understood", name)
		}
	}
	for _, name := range []string{"b64", "sigD"} {
		if _, there := m[name]; there && !slices.Contains(crit, name) {
			return refuse(CodeCritical, nil, "%s is there but not critical", name)
		}
	}
	return nil
}

// exact decodes a value of exactly v's type: null is none.
func exact(raw json.RawMessage, v any) error {
	if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return errors.New("null")
	}
	return json.Unmarshal(raw, v)
}

func (h *header) read(name string, raw json.RawMessage) error {
	switch name {
	case "alg":
		var s string
		if err := exact(raw, &s); err != nil {
			return err
		}
		a, ok := algorithmNamed(s)
		if !ok {
			return refuse(CodeAlgorithm, nil, "algorithm %q", s)
		}
		h.alg = a
	case "cty":
		if err := exact(raw, &h.mediaType); err != nil {
			return err
		}
		h.mediaType = longMediaType(h.mediaType)
	case "b64":
		encoded := true
		if err := exact(raw, &encoded); err != nil {
			return err
		}
		h.unencoded = !encoded
	case "sigD":
		return h.readDetachment(raw)
	case "x5t#S256":
		var s string
		if err := exact(raw, &s); err != nil {
			return err
		}
		sum, err := fromBase64URL([]byte(s))
		if err != nil || len(sum) != sha256.Size {
			return errors.New("no SHA-256")
		}
		h.thumb = sum
	case "x5t#o":
		return h.readOtherThumb(raw)
	case "sigX5ts":
		return refuse(CodeUnsupported, nil, "sigX5ts")
	case "x5c":
		return h.readChain(raw)
	case "iat":
		n, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil || n < 0 || n > maxSeconds {
			return errors.New("no number of seconds")
		}
		h.iat = time.Unix(n, 0).UTC()
	case "sigT":
		var s string
		if err := exact(raw, &s); err != nil {
			return err
		}
		t, err := time.Parse("2006-01-02T15:04:05Z", s)
		if err != nil {
			return err
		}
		h.sigT = t
	case "crit":
	default:
		h.ignored = append(h.ignored, name)
	}
	return nil
}

// readOtherThumb reads x5t#o (TS 119 182-1 §5.2.2.2).
func (h *header) readOtherThumb(raw json.RawMessage) error {
	var m map[string]string
	if err := exact(raw, &m); err != nil {
		return err
	}
	sum, err := fromBase64URL([]byte(m["digVal"]))
	hash, ok := digests[m["digAlg"]]
	if err != nil || !ok || len(m) != 2 || len(sum) != hash.Size() {
		return errors.New("no digest")
	}
	h.other, h.otherHash = sum, hash
	return nil
}

// maxSeconds is the end of the year 9999.
const maxSeconds = 253402300799

func (h *header) readChain(raw json.RawMessage) error {
	var list []string
	if err := exact(raw, &list); err != nil {
		return err
	}
	if len(list) == 0 || len(list) > maxChain {
		return fmt.Errorf("%d certificates", len(list))
	}
	for _, s := range list {
		if strings.ContainsAny(s, "\r\n") {
			return errors.New("line break in base64")
		}
		der, err := base64.StdEncoding.Strict().DecodeString(s)
		if err != nil {
			return err
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		h.chain = append(h.chain, c)
	}
	return nil
}

// readDetachment reads sigD. Members of other mechanisms, and several files,
// are not read.
func (h *header) readDetachment(raw json.RawMessage) error {
	var m map[string]json.RawMessage
	if err := exact(raw, &m); err != nil {
		return err
	}
	d := &detachment{}
	for name, v := range m {
		var to any
		switch name {
		case "mId":
			to = &d.MID
		case "pars":
			to = &d.Pars
		case "hashM":
			to = &d.HashM
		case "hashV":
			to = &d.HashV
		case "ctys":
			to = &d.Ctys
		default:
			return refuse(CodeUnsupported, nil, "sigD has %q", name)
		}
		if err := exact(v, to); err != nil {
			return err
		}
	}
	if d.MID != byURIHash {
		return refuse(CodeUnsupported, nil, "sigD by mechanism %q", d.MID)
	}
	if len(d.Pars) != 1 || len(d.HashV) != 1 || len(d.Ctys) > 1 {
		return refuse(CodeUnsupported, nil, "sigD names %d files", len(d.Pars))
	}
	if _, ok := digests[d.HashM]; !ok {
		return refuse(CodeAlgorithm, nil, "sigD by digest %q", d.HashM)
	}
	if len(d.Ctys) == 1 && h.mediaType == "" {
		h.mediaType = longMediaType(d.Ctys[0])
	}
	h.sigD = d
	return nil
}
