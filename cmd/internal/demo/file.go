package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// FileName is the name of the file that outside programs read.
const FileName = "demo.json"

// File is demo.json. Its shape is a contract: keys may be added, never changed.
// A key of Endpoints is absent until that part exists.
type File struct {
	Issuer       string            `json:"issuer"`
	TrustRootPEM string            `json:"trust_root_pem"` // of signatures
	TLSRootPEM   string            `json:"tls_root_pem,omitempty"`
	Clients      []Client          `json:"clients"`
	People       []Person          `json:"people"`
	Endpoints    map[string]string `json:"endpoints"`
}

// Client is a registered application with what it needs to speak for itself.
type Client struct {
	Name                    string          `json:"name"`
	Profile                 string          `json:"profile"`
	ClientID                string          `json:"client_id"`
	TokenEndpointAuthMethod string          `json:"token_endpoint_auth_method"`
	PrivateJWK              json.RawMessage `json:"private_jwk,omitempty"`
	ClientSecret            string          `json:"client_secret,omitempty"`
	RedirectURIs            []string        `json:"redirect_uris"`
	PostLogoutRedirectURIs  []string        `json:"post_logout_redirect_uris"`
	Scopes                  []string        `json:"scopes"`
}

// Person is an invented person with every way to enter.
type Person struct {
	Login       string            `json:"login"` // number of the identity card
	Password    string            `json:"password"`
	CodeCard    map[string]string `json:"code_card"`    // cell -> code, each good once
	PasskeyFile string            `json:"passkey_file"` // a software authenticator, format of internal/softauthn
	Names       string            `json:"names"`
	Level       string            `json:"level"`
	Roles       []string          `json:"roles"`
	Institution string            `json:"institution"` // "" where the person holds no post
	Post        string            `json:"post"`
}

// state is what the demo remembers of itself: where it listens and who is who.
// It holds secrets and is not meant for others.
type state struct {
	Ports  []int             `json:"ports"` // provider, first and second application; over https also status
	TLS    bool              `json:"tls,omitempty"`
	Seeded bool              `json:"seeded"` // founding and people are complete
	People map[string]string `json:"people"` // role word -> person id
	Keys   map[string]string `json:"keys"`   // client id -> private JWK
	Ends   map[string]string `json:"ids"`    // institutions, posts, appointments by word
}

// writeJSON replaces a file of mode 0600 in one step.
func writeJSON(path string, v any) error {
	raw, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return replaceFile(path, append(raw, '\n'), 0o600)
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), path)
}

// readJSON reads a file into v; a missing one leaves v as it is.
func readJSON(path string, v any) error {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%s is not what the demo wrote; delete the folder to begin anew: %w", path, err)
	}
	return nil
}
