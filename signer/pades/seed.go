package pades

import (
	"crypto"

	"oruro.gob.bo/suti/signer/internal/cos"
)

// Bits of a seed value dictionary's /Ff: which of its constraints are demands
// (ISO 32000-2 table 237). Those without a bit bind always.
const (
	svFilter = 1 << iota
	svSubFilter
	svV
	svReasons
	svLegalAttestation
	svAddRevInfo
	svDigestMethod
	svLockDocument
	svAppearanceFilter
	svAll = 1<<iota - 1
)

// svParser is the version of seed values that is understood: PDF 2.0.
const svParser = 3

// certURL is the only bit of a certificate seed value dictionary that demands
// nothing of the certificate (table 238).
const certURL = 1 << 6

// seedValues is the /SV of the field that is to be signed.
type seedValues struct {
	p  *preparation
	sv cos.Value
	ff int64
}

// checkSeedValues refuses to sign a field that demands what this signature will
// not have. What it only recommends is left to the caller.
func (p *preparation) checkSeedValues(v cos.Value) error {
	sv, err := p.f.Resolve(v)
	if err != nil || sv.IsNull() {
		return err
	}
	if sv.Kind() != cos.Dict {
		return refuse(CodeDamaged, "seed values that are a %v", sv.Kind())
	}
	ff, err := p.f.Resolve(sv.Get("Ff"))
	if err != nil {
		return err
	}
	n, ok := ff.Int()
	if !ok && !ff.IsNull() || n&^svAll != 0 {
		return refuse(CodeSeedValues, "the field makes demands that are not known")
	}
	s := &seedValues{p: p, sv: sv, ff: n}
	for _, check := range []func() error{s.form, s.reasons, s.unsupported, s.certificate, s.permission, s.timestamp} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// form checks the kind of signature and its digest.
func (s *seedValues) form() error {
	digest := map[crypto.Hash]string{crypto.SHA256: "SHA256", crypto.SHA384: "SHA384", crypto.SHA512: "SHA512"}[s.p.Hash]
	for _, c := range []struct {
		bit       int64
		key, want string
	}{{svFilter, "Filter", "Adobe.PPKLite"}, {svSubFilter, "SubFilter", filterCAdES}, {svDigestMethod, "DigestMethod", digest}} {
		list, err := s.get(c.key)
		if err != nil {
			return err
		}
		if s.ff&c.bit == 0 || list.IsNull() || list.Name() == c.want {
			continue
		}
		ok, err := s.holds(list, c.want)
		if err != nil {
			return err
		}
		if !ok {
			return refuse(CodeSeedValues, "the field demands another /%s", c.key)
		}
	}
	v, err := s.get("V")
	if err != nil {
		return err
	}
	if n, ok := v.Number(); s.ff&svV != 0 && (!ok || n > svParser) {
		return refuse(CodeSeedValues, "the field demands a newer reader of its demands")
	}
	return nil
}

func (s *seedValues) get(key string) (cos.Value, error) { return s.p.f.Resolve(s.sv.Get(key)) }

// holds reports whether an array holds a name or text.
func (s *seedValues) holds(list cos.Value, want string) (bool, error) {
	for _, e := range list.Elems() {
		e, err := s.p.f.Resolve(e)
		if err != nil {
			return false, err
		}
		if t, ok := e.Text(); ok && cos.TextString(t) == want || e.Name() == want && want != "" {
			return true, nil
		}
	}
	return false, nil
}

// reasons: one of those listed; none at all if the list is missing or a full stop.
func (s *seedValues) reasons() error {
	if s.ff&svReasons == 0 {
		return nil
	}
	list, err := s.get("Reasons")
	if err != nil {
		return err
	}
	none, err := s.holds(list, ".")
	if err != nil {
		return err
	}
	if list.Len() == 0 || none && list.Len() == 1 {
		if s.p.Reason != "" {
			return refuse(CodeSeedValues, "the field allows no reason")
		}
		return nil
	}
	ok, err := s.holds(list, s.p.Reason)
	if err == nil && !ok {
		err = refuse(CodeSeedValues, "the field demands one of its reasons")
	}
	return err
}

// unsupported refuses demands for what is never written.
func (s *seedValues) unsupported() error {
	rev, err := s.get("AddRevInfo")
	if err != nil {
		return err
	}
	lock, err := s.get("LockDocument")
	if err != nil {
		return err
	}
	add, _ := rev.Bool()
	switch {
	case s.ff&svAddRevInfo != 0 && add:
		return refuse(CodeSeedValues, "the field demands revocation data in the signature itself")
	case s.ff&svLegalAttestation != 0 && s.p.Certify != Uncertified:
		return refuse(CodeSeedValues, "the field demands a legal attestation")
	case s.ff&svLockDocument != 0 && lock.Name() != "false" && lock.Name() != "auto":
		return refuse(CodeSeedValues, "the field demands to lock the document")
	case s.ff&svAppearanceFilter != 0:
		return refuse(CodeSeedValues, "the field demands a certain appearance")
	}
	return nil
}

// certificate refuses demands on the certificate, which is not known yet.
func (s *seedValues) certificate() error {
	d, err := s.get("Cert")
	if err != nil {
		return err
	}
	ff, err := s.p.f.Resolve(d.Get("Ff"))
	if err != nil {
		return err
	}
	if n, ok := ff.Int(); !ok && !ff.IsNull() || n&^certURL != 0 {
		return refuse(CodeSeedValues, "the field demands a certain certificate")
	}
	return nil
}

// permission: /MDP says whether the signature is to certify, and how.
func (s *seedValues) permission() error {
	d, err := s.get("MDP")
	if err != nil || d.IsNull() {
		return err
	}
	p, err := s.p.f.Resolve(d.Get("P"))
	if err != nil {
		return err
	}
	if n, ok := p.Int(); !ok || n != int64(s.p.Certify) {
		return refuse(CodeSeedValues, "the field demands another certification")
	}
	return nil
}

func (s *seedValues) timestamp() error {
	d, err := s.get("TimeStamp")
	if err != nil || d.IsNull() {
		return err
	}
	ff, err := s.p.f.Resolve(d.Get("Ff"))
	if err != nil {
		return err
	}
	if n, _ := ff.Int(); n != 0 && s.p.Level < LevelBT {
		return refuse(CodeSeedValues, "the field demands a time-stamp")
	}
	return nil
}
