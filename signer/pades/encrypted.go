package pades

import "oruro.gob.bo/suti/signer/internal/cos"

// Encryption says how a file is encrypted, and what the password that opened
// it permits (ISO 32000-2 table 22). Its JSON form is stable.
type Encryption struct {
	// Method is RC4-40, RC4-128, AES-128, AES-256 or none.
	Method string `json:"method"`
	// Owner: opened with the owner's password, so that everything is permitted.
	Owner bool `json:"owner"`
	// Modify, AddFields and FillIn are what is permitted: changing the
	// document, making fields, and filling in or signing existing ones.
	Modify    bool `json:"modify"`
	AddFields bool `json:"add_fields"`
	FillIn    bool `json:"fill_in"`
}

func encryptionOf(f *cos.File) *Encryption {
	c := f.Crypt()
	if c == nil {
		return nil
	}
	return &Encryption{Method: c.Method(), Owner: c.Owner(), Modify: c.MayModify(), AddFields: c.MayAddFields(), FillIn: c.MayFillIn()}
}

// mayUseField refuses to sign a field of an encrypted file where its
// permissions forbid it. made: the field does not exist yet.
func mayUseField(f *cos.File, made bool) error {
	c := f.Crypt()
	switch {
	case c == nil:
		return nil
	case made && !c.MayAddFields():
		return refuse(CodePermissions, "the file's permissions allow no new signature field; they do not bind its owner's password")
	case !made && !c.MayFillIn():
		return refuse(CodePermissions, "the file's permissions allow no signing; they do not bind its owner's password")
	}
	return nil
}

// mayCertify refuses to certify an encrypted file where its permissions allow
// no changes of the document.
func mayCertify(f *cos.File) error {
	if c := f.Crypt(); c != nil && !c.MayModify() {
		return refuse(CodePermissions, "the file's permissions allow no certification; they do not bind its owner's password")
	}
	return nil
}
