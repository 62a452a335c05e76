package oauth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"oruro.gob.bo/suti/idp/internal/store"
)

// InvalidAuthorizationDetails is the error code of RFC 9396 §5.
const InvalidAuthorizationDetails = "invalid_authorization_details"

// DetailSigning is the one type of authorization details that is served: the
// person lets the client ask for her signature on documents that she is shown by
// name. The signature itself she makes with her passkey, later.
const DetailSigning = "document_signing"

// DetailTypes are the types served.
func DetailTypes() []string { return []string{DetailSigning} }

const (
	maxDetails   = 16 << 10
	maxDocuments = 20 // of all details together: what a person can read
	maxLabel     = 200
	// detailsLife is how long what was shown once may be used.
	detailsLife = 15 * time.Minute
)

// Detail is an authorization detail of type document_signing.
type Detail struct {
	Type      string     `json:"type"`
	Locations []string   `json:"locations,omitempty"` // services that it is for; none means any
	Documents []Document `json:"documents"`
}

// Document is a document to be signed.
type Document struct {
	Hash  string `json:"hash"`  // SHA-256 of the file, base64url without padding
	Label string `json:"label"` // what the person is told that it is
}

// checkDetails reads authorization_details (RFC 9396 §2).
func checkDetails(q url.Values, c *store.Client, r *Request, _ time.Time) *Error {
	raw := q.Get("authorization_details")
	if raw == "" {
		return nil
	}
	details, err := parseDetails(raw, c)
	if err != nil {
		return Refuse(InvalidAuthorizationDetails, "authorization_details: %s", err)
	}
	r.Details = details
	return nil
}

// parseDetails takes exactly one reading: members are named exactly, none is
// unknown or missing (§5), and what is kept is what the person is shown.
func parseDetails(raw string, c *store.Client) ([]Detail, error) {
	if len(raw) > maxDetails || !utf8.ValidString(raw) {
		return nil, fmt.Errorf("longer than %d bytes or not UTF-8", maxDetails)
	}
	var list []json.RawMessage
	if err := strict([]byte(raw), &list); err != nil || len(list) == 0 {
		return nil, fmt.Errorf("not a JSON array with something in it")
	}
	var out []Detail
	total := 0
	for _, item := range list {
		d, err := parseDetail(item, c)
		if err != nil {
			return nil, err
		}
		if total += len(d.Documents); total > maxDocuments {
			return nil, fmt.Errorf("more than %d documents", maxDocuments)
		}
		out = append(out, *d)
	}
	return out, nil
}

func parseDetail(raw json.RawMessage, c *store.Client) (*Detail, error) {
	members, err := members(raw, "type", "locations", "documents")
	if err != nil {
		return nil, err
	}
	d := &Detail{}
	if strict(members["type"], &d.Type) != nil || d.Type != DetailSigning {
		return nil, fmt.Errorf("the type is not supported")
	}
	if !slices.Contains(c.DetailTypes, d.Type) {
		return nil, fmt.Errorf("the type is not registered for this client")
	}
	if locations, sent := members["locations"]; sent {
		if strict(locations, &d.Locations) != nil || len(d.Locations) == 0 {
			return nil, fmt.Errorf("locations is not an array of addresses")
		}
		for _, l := range d.Locations {
			if !slices.Contains(c.Exchanges, l) && !slices.Contains(c.Resources, l) {
				return nil, fmt.Errorf("a location is not registered for this client")
			}
		}
	}
	var documents []json.RawMessage
	if strict(members["documents"], &documents) != nil || len(documents) == 0 || len(documents) > maxDocuments {
		return nil, fmt.Errorf("documents is not an array of 1 to %d", maxDocuments)
	}
	for _, raw := range documents {
		doc, err := parseDocument(raw)
		if err != nil {
			return nil, err
		}
		d.Documents = append(d.Documents, *doc)
	}
	return d, nil
}

func parseDocument(raw json.RawMessage) (*Document, error) {
	members, err := members(raw, "hash", "label")
	if err != nil {
		return nil, err
	}
	var d Document
	if strict(members["hash"], &d.Hash) != nil || strict(members["label"], &d.Label) != nil {
		return nil, fmt.Errorf("a document lacks hash or label")
	}
	if sum, err := base64.RawURLEncoding.Strict().DecodeString(d.Hash); err != nil || len(sum) != 32 || len(d.Hash) != 43 {
		return nil, fmt.Errorf("a hash is not the base64url of SHA-256")
	}
	if strings.TrimSpace(d.Label) == "" || utf8.RuneCountInString(d.Label) > maxLabel || strings.ContainsFunc(d.Label, unseen) {
		return nil, fmt.Errorf("a label is empty, longer than %d characters or has some that are not seen", maxLabel)
	}
	return &d, nil
}

// unseen reports characters that could make a label look like another.
func unseen(c rune) bool { return c == utf8.RuneError || !unicode.IsGraphic(c) }

// members returns the members of a JSON object, all of which must be among known
// and stand once.
func members(raw json.RawMessage, known ...string) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, fmt.Errorf("something is not a JSON object")
	}
	out := map[string]json.RawMessage{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("not JSON")
		}
		name, _ := tok.(string)
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("not JSON")
		}
		if _, twice := out[name]; twice || !slices.Contains(known, name) {
			return nil, fmt.Errorf("a member is unknown or stands twice")
		}
		out[name] = value
	}
	return out, nil
}

// strict decodes one JSON value, other than null, and nothing after it.
func strict(raw []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if string(bytes.TrimSpace(raw)) == "null" {
		return fmt.Errorf("null")
	}
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("more than one value")
	}
	return nil
}

// GrantedDetails are the details that a grant's tokens carry at a time for an
// audience ("" for none): those that the person allowed not long ago, for that
// service or for any.
func GrantedDetails(g *store.Grant, audience []string, now time.Time) ([]Detail, error) {
	if !strings.Contains(g.Request, `"authorization_details":`) || now.Sub(g.CreatedAt) > detailsLife {
		return nil, nil
	}
	r, err := DecodeRequest(g.Request)
	if err != nil {
		return nil, err
	}
	var out []Detail
	for _, d := range r.Details {
		if len(audience) == 0 || len(d.Locations) == 0 || slices.ContainsFunc(d.Locations, func(l string) bool { return slices.Contains(audience, l) }) {
			out = append(out, d)
		}
	}
	return out, nil
}
