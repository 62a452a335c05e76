package softauthn

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// FileFormat is the format member of a passkey file, the "passkey_file" of
// demo.json. Beside it the file has the model's "aaguid" in hexadecimal and
// "credentials" in order of creation, each with credential_id, rp_id,
// user_handle, user_name, display_name, alg (a COSE number), private_key (the
// P-256 scalar, big-endian, or the Ed25519 seed, 32 bytes), counter and
// backup_eligible. Byte strings are base64url without padding.
const FileFormat = "suti/passkey-file/v1"

// maxFile bounds a passkey file, in bytes.
const maxFile = 4 << 20

// passkeyFile is the JSON of a passkey file, see FileFormat.
type passkeyFile struct {
	Format      string        `json:"format"`
	AAGUID      string        `json:"aaguid"`
	Credentials []filePasskey `json:"credentials"`
}

type filePasskey struct {
	ID          b64    `json:"credential_id"`
	RPID        string `json:"rp_id"`
	UserHandle  b64    `json:"user_handle"`
	UserName    string `json:"user_name"`
	DisplayName string `json:"display_name"`
	Alg         Alg    `json:"alg"`
	PrivateKey  b64    `json:"private_key"`
	Counter     uint32 `json:"counter"`
	BE          bool   `json:"backup_eligible"`
}

// Marshal returns the passkey file of a as indented JSON. It holds private keys.
func (a *Authenticator) Marshal() ([]byte, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := passkeyFile{Format: FileFormat, AAGUID: hex.EncodeToString(a.aaguid[:]), Credentials: []filePasskey{}}
	for _, c := range a.credentials {
		f.Credentials = append(f.Credentials, filePasskey{
			ID: c.ID, RPID: c.RPID, UserHandle: c.UserHandle, UserName: c.UserName, DisplayName: c.DisplayName,
			Alg: c.Alg, PrivateKey: c.key.secret, Counter: c.Counter, BE: c.BE,
		})
	}
	out, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("marshal passkeys: %w", err)
	}
	return append(out, '\n'), nil
}

// Unmarshal returns an authenticator with the passkeys of a file made by
// [Authenticator.Marshal]; c gives the rest, its AAGUID is ignored. It returns
// an error that matches [ErrFile].
func Unmarshal(raw []byte, c Config) (*Authenticator, error) {
	if len(raw) > maxFile {
		return nil, fmt.Errorf("%w: %d bytes", ErrFile, len(raw))
	}
	var f passkeyFile
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&f); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if f.Format != FileFormat {
		return nil, fmt.Errorf("%w: unknown format", ErrFile)
	}
	aaguid, err := hex.DecodeString(f.AAGUID)
	if err != nil || len(aaguid) != 16 {
		return nil, fmt.Errorf("%w: aaguid", ErrFile)
	}
	c.AAGUID = [16]byte(aaguid)
	a := New(c)
	for i, p := range f.Credentials {
		key, err := keyFromSecret(p.Alg, p.PrivateKey)
		if err != nil {
			return nil, fmt.Errorf("%w: credential %d: %w", ErrFile, i, err)
		}
		cose, err := key.cose()
		if err != nil {
			return nil, fmt.Errorf("%w: credential %d: %w", ErrFile, i, err)
		}
		if len(p.ID) == 0 || p.RPID == "" || a.byID(p.ID) != nil {
			return nil, fmt.Errorf("%w: credential %d: id or relying party", ErrFile, i)
		}
		a.credentials = append(a.credentials, &credential{key: key, Credential: Credential{
			ID: p.ID, RPID: p.RPID, UserHandle: p.UserHandle, UserName: p.UserName, DisplayName: p.DisplayName,
			Alg: p.Alg, Counter: p.Counter, BE: p.BE, COSE: cose,
		}})
	}
	return a, nil
}

// Save writes the passkey file, mode 0600, replacing an older one in one step.
func (a *Authenticator) Save(path string) error {
	raw, err := a.Marshal()
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".passkeys-*") // created with mode 0600
	if err != nil {
		return fmt.Errorf("save passkeys: %w", err)
	}
	defer os.Remove(tmp.Name()) // fails after the rename, as it should
	if _, err := tmp.Write(raw); err != nil {
		tmp.Close()
		return fmt.Errorf("save passkeys: %w", err)
	}
	if err := tmp.Close(); err != nil {
		return fmt.Errorf("save passkeys: %w", err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("save passkeys: %w", err)
	}
	return nil
}

// Load reads a passkey file; see [Unmarshal].
func Load(path string, c Config) (*Authenticator, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("load passkeys: %w", err)
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%w: %d bytes", ErrFile, info.Size())
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load passkeys: %w", err)
	}
	return Unmarshal(raw, c)
}
