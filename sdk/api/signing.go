package api

import "time"

// Document is a PDF as uploaded (POST /api/v1/documents).
type Document struct {
	ID        string     `json:"id"`
	SHA256    string     `json:"sha256"` // hex
	Size      int64      `json:"size"`   // bytes
	Pages     int        `json:"pages"`
	Preflight *Preflight `json:"preflight,omitempty"`
}

// Preflight is what was found in a PDF before signing.
type Preflight struct {
	Signable bool     `json:"signable"`
	Refusal  string   `json:"refusal,omitempty"` // code, when not signable
	Detail   string   `json:"detail,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// SigningRequest asks one or more people to sign documents (POST /api/v1/signing-requests).
type SigningRequest struct {
	Documents []RequestDocument `json:"documents"`
	Signers   []Signer          `json:"signers"`
	Level     string            `json:"level,omitempty"` // "B-B" or "B-T"; B-T by default
	Seal      *Seal             `json:"seal,omitempty"`  // visible seal; none when nil
	ReturnURL string            `json:"return_url,omitempty"`
	ExpiresAt *time.Time        `json:"expires_at,omitempty"`
	Reason    string            `json:"reason,omitempty"`
}

// RequestDocument names an uploaded document and the title its signers see.
type RequestDocument struct {
	ID    string `json:"id"`
	Title string `json:"title"`
}

// Signer names a person by this application's subject or by identity document,
// and the appointment in whose exercise the person signs.
type Signer struct {
	Subject     string          `json:"sub,omitempty"`
	Document    *IdentityDocRef `json:"document,omitempty"`
	Appointment string          `json:"appointment,omitempty"`
}

// IdentityDocRef is an identity document: type CI, CIE or PAS.
type IdentityDocRef struct {
	Type       string `json:"type"`
	Number     string `json:"number"`
	Complement string `json:"complement,omitempty"`
}

// Seal says where the visible seal goes.
type Seal struct {
	Page   string `json:"page"`   // "first", "last" or a number from 1
	Corner string `json:"corner"` // "bottom-left", "bottom-right", "top-left", "top-right"
}

// SigningStatus is a signing request as it stands.
type SigningStatus struct {
	ID               string          `json:"id"`
	State            string          `json:"state"`              // pending, completed, declined, cancelled, expired
	SignURL          string          `json:"sign_url,omitempty"` // where the signer goes
	ExpiresAt        time.Time       `json:"expires_at"`
	RequestedLevel   string          `json:"requested_level"`
	AchievedLevel    string          `json:"achieved_level,omitempty"`
	Documents        []SignedOutcome `json:"documents"`
	VerificationCode string          `json:"verification_code,omitempty"`
	VerificationURL  string          `json:"verification_url,omitempty"`
	DeclineReason    string          `json:"decline_reason,omitempty"`
}

// SignedOutcome is one document of a request.
type SignedOutcome struct {
	ID           string `json:"id"`
	Title        string `json:"title"`
	SHA256       string `json:"sha256"`                  // of the file to be signed, hex
	SignedSHA256 string `json:"signed_sha256,omitempty"` // of the signed file, hex
}

// Problem is an RFC 9457 problem document. Code is stable; Detail is for people.
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Code      string `json:"code"`
	Detail    string `json:"detail,omitempty"`
	RequestID string `json:"request_id,omitempty"`
}
