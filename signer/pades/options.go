package pades

import (
	"crypto"
	"fmt"
	"time"

	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/signer/internal/appearance"
	"oruro.gob.bo/suti/signer/internal/cos"
)

// Level is a PAdES baseline level (EN 319 142-1 §6).
type Level uint8

// Levels. LevelNone is none: a signature that is not PAdES.
const (
	LevelNone Level = iota
	LevelBB
	LevelBT
	LevelBLT
	LevelBLTA
)

// String returns the level's name in the standard, "" for LevelNone.
func (l Level) String() string {
	switch l {
	case LevelBB:
		return "PAdES-B-B"
	case LevelBT:
		return "PAdES-B-T"
	case LevelBLT:
		return "PAdES-B-LT"
	case LevelBLTA:
		return "PAdES-B-LTA"
	default:
		return ""
	}
}

// MarshalText implements encoding.TextMarshaler.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Level) UnmarshalText(b []byte) error {
	for _, v := range []Level{LevelNone, LevelBB, LevelBT, LevelBLT, LevelBLTA} {
		if v.String() == string(b) {
			*l = v
			return nil
		}
	}
	return fmt.Errorf("%w: unknown level", ErrOptions)
}

// Permission is what a certified document lets others do (ISO 32000-2
// §12.8.2.2, DocMDP /P).
type Permission uint8

// Permissions. Uncertified is no restriction by a certification.
const (
	Uncertified      Permission = 0
	NoChanges        Permission = 1
	FormsAndSigning  Permission = 2
	AlsoAnnotations  Permission = 3
	maxPermission               = AlsoAnnotations
	defaultDocMDP               = FormsAndSigning
	defaultFieldName            = "Firma"
)

// Scheme is a signature algorithm; see its fields.
type Scheme = cms.Scheme

// Limits bounds what a file may make the reader do.
type Limits = cos.Limits

// Seal is the visible mark of a signature; see its fields.
type Seal = appearance.Seal

// Placement says where on a page a seal stands.
type Placement = appearance.Placement

// Corner is a corner of the page as it is shown.
type Corner = appearance.Corner

// Corners that a seal can stand in.
const (
	BottomRight = appearance.BottomRight
	BottomLeft  = appearance.BottomLeft
	TopRight    = appearance.TopRight
	TopLeft     = appearance.TopLeft
)

// Options says how a file is to be signed. SigningTime is required.
type Options struct {
	// Level is LevelBB by default. [Session.Embed] reaches LevelBT; what is
	// above comes after it, by [Signed.Extend].
	Level Level
	// Field is the fully qualified name of the signature field: an empty one
	// of the document, or a new one. By default a new one, "Firma1" or the
	// first number that is free.
	Field string
	// SigningTime is the time claimed by the signer, written to the second
	// with its zone into /M.
	SigningTime time.Time
	// Name, Reason, Location and ContactInfo are written into the signature
	// dictionary unless empty.
	Name, Reason, Location, ContactInfo string
	// Seal makes the signature visible. Where Field is a field of the
	// document, the seal fills its rectangle and Placement is not used.
	Seal *Seal
	// Placement is where a new field with a seal stands.
	Placement Placement
	// Certify makes the signature the document's certification; it must then
	// be the first signature.
	Certify Permission
	// Lock is what may no longer change after the signature, besides what an
	// earlier one forbids. A field of the document that has a /Lock brings its
	// own; Lock must then be nil.
	Lock *Lock
	// Algorithm is the name of the algorithm that [Sign] signs with, such as
	// "rsa-pss-sha256"; by default the one of the key. Prepare does not use it.
	Algorithm string
	// Schemes are signature algorithms that may be used besides those of this
	// package. They are not stored in the session.
	Schemes []Scheme
	// Hash digests the byte range: SHA-256 by default, SHA-384 or SHA-512. It
	// must be the digest of the algorithm that the key will sign with.
	Hash crypto.Hash
	// Reserve sizes the space for the signature.
	Reserve Reserve
	// Preflight is the report of [Preflight] on the same file; without it the
	// same checks are made again here.
	Preflight *PreflightReport
	// Inspect, if not nil, is given what [Preflight] says of the file, which
	// Prepare finds out while it reads it. An error ends Prepare with it, before
	// anything is signed.
	Inspect func(*PreflightReport) error
	// Extend is needed by [Sign] above LevelBT; its Level is not used.
	Extend *ExtendOptions
	// Password opens an encrypted file: the owner's, or a user's, whose rights
	// are then as the file says. It is not stored in the session.
	Password string
	// Limits bounds what is read; the zero value means the defaults.
	Limits Limits
}

// Reserve is what the space for a signature is computed from. It is measured
// before the certificate is known, from the sizes that are to be expected; a
// quarter is added.
type Reserve struct {
	// Certificates is the size in bytes of the signer's certificate and its
	// path in DER: 4,096 by default.
	Certificates int
	// Token is the size in bytes of a time-stamp token: 6,144 by default from
	// level B-T on, 0 for B-B.
	Token int
	// Signature is the greatest size in bytes of a signature value: 512 by
	// default, which is that of RSA-4096.
	Signature int
	// Exact, if not 0, is the space in bytes of CMS; the other fields are not used.
	Exact int
}

const (
	// cmsOverhead bounds what a SignedData holds besides certificates and
	// token: attributes, identifiers, and an RSA-4096 signature.
	cmsOverhead    = 2048
	commonValue    = 512 // of which are for the value
	defaultCerts   = 4096
	defaultToken   = 6144
	maxReserve     = 512 << 10
	reserveGrowth  = 4 // a quarter is added
	minimalReserve = 1024
)

func (r Reserve) bytes(l Level) (int, error) {
	if r.Certificates < 0 || r.Token < 0 || r.Signature < 0 || r.Exact < 0 {
		return 0, fmt.Errorf("%w: negative reserve", ErrOptions)
	}
	n := r.Exact
	if n == 0 {
		if r.Certificates == 0 {
			r.Certificates = defaultCerts
		}
		if r.Token == 0 && l >= LevelBT {
			r.Token = defaultToken
		}
		n = cmsOverhead + max(0, r.Signature-commonValue) + r.Certificates + r.Token
		n += n / reserveGrowth
	}
	if n < minimalReserve || n > maxReserve {
		return 0, fmt.Errorf("%w: reserve of %d bytes, %d to %d are possible", ErrOptions, n, minimalReserve, maxReserve)
	}
	return n, nil
}

func (o *Options) check() error {
	if o.Level == LevelNone {
		o.Level = LevelBB
	}
	if o.Hash == 0 {
		o.Hash = crypto.SHA256
	}
	switch {
	case o.Level > LevelBLTA:
		return fmt.Errorf("%w: level %d", ErrOptions, o.Level)
	case o.Hash != crypto.SHA256 && o.Hash != crypto.SHA384 && o.Hash != crypto.SHA512:
		return fmt.Errorf("%w: digest %v", ErrOptions, o.Hash)
	case o.SigningTime.IsZero():
		return fmt.Errorf("%w: no signing time", ErrOptions)
	case o.Certify > maxPermission:
		return fmt.Errorf("%w: permission %d", ErrOptions, o.Certify)
	case o.Lock != nil && o.Lock.Permission != Uncertified && o.Certify != Uncertified:
		return fmt.Errorf("%w: permissions by a certification and by a lock", ErrOptions)
	case o.Lock != nil:
		return o.Lock.check()
	}
	return nil
}
