package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Bounds of the files of keys and certificates, in bytes and certificates.
const (
	maxKeyFile  = 64 << 10
	maxCertFile = 1 << 20
	maxCerts    = 200
)

// readKey reads a private key: one unencrypted PEM block of PKCS #8, SEC 1 or
// PKCS #1. Its errors never quote the file.
func readKey(path string) (crypto.Signer, error) {
	raw, err := readBounded(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	defer clear(raw)
	for {
		var block *pem.Block
		if block, raw = pem.Decode(raw); block == nil {
			return nil, fmt.Errorf("%s holds no private key in PEM", path)
		}
		if block.Type == "EC PARAMETERS" || block.Type == "CERTIFICATE" {
			continue
		}
		if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
			return nil, fmt.Errorf("the key in %s is encrypted, which is not read here; decrypt it into a file that only you can read, with: openssl pkey -in %s -out key.pem", path, path)
		}
		key, err := parseKey(block)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return key, nil
	}
}

func parseKey(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("PEM block %q is no private key", block.Type)
	}
	if err != nil {
		return nil, errors.New("the private key is malformed or of an unknown kind")
	}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		return k, nil
	case *rsa.PrivateKey:
		return k, nil
	case ed25519.PrivateKey:
		return k, nil
	default:
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}
}

// readCertificates reads all certificates of a PEM file, or the one of a DER file.
func readCertificates(path string) ([]*x509.Certificate, error) {
	raw, err := readBounded(path, maxCertFile)
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for rest := raw; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: certificate %d: %w", path, len(out)+1, err)
		}
		if out = append(out, c); len(out) > maxCerts {
			return nil, fmt.Errorf("%s holds more than %d certificates", path, maxCerts)
		}
	}
	if len(out) == 0 {
		if c, err := x509.ParseCertificate(raw); err == nil {
			return []*x509.Certificate{c}, nil
		}
		return nil, fmt.Errorf("%s holds no certificate in PEM or DER", path)
	}
	return out, nil
}

// readRoots reads trust anchors; none gives nil.
func readRoots(paths []string) (*x509.CertPool, []*x509.Certificate, error) {
	if len(paths) == 0 {
		return nil, nil, nil
	}
	pool := x509.NewCertPool()
	var all []*x509.Certificate
	for _, p := range paths {
		certs, err := readCertificates(p)
		if err != nil {
			return nil, nil, err
		}
		for _, c := range certs {
			pool.AddCert(c)
		}
		all = append(all, certs...)
	}
	return pool, all, nil
}

// chainFor puts the certificate of the key first, and the others behind it in
// the order in which they issued it.
func chainFor(key crypto.Signer, certs []*x509.Certificate) ([]*x509.Certificate, error) {
	type comparable interface{ Equal(crypto.PublicKey) bool }
	pub, ok := key.Public().(comparable)
	if !ok {
		return nil, errors.New("the key has no public part that can be compared")
	}
	var chain []*x509.Certificate
	for _, c := range certs {
		if pub.Equal(c.PublicKey) {
			chain = append(chain, c)
			break
		}
	}
	if len(chain) == 0 {
		return nil, errors.New("no certificate of the chain belongs to the private key")
	}
	for range certs {
		last := chain[len(chain)-1]
		if string(last.RawIssuer) == string(last.RawSubject) {
			break
		}
		next := issuerAmong(last, certs)
		if next == nil {
			break
		}
		chain = append(chain, next)
	}
	return chain, nil
}

func issuerAmong(c *x509.Certificate, certs []*x509.Certificate) *x509.Certificate {
	for _, i := range certs {
		if string(i.RawSubject) == string(c.RawIssuer) && c.CheckSignatureFrom(i) == nil {
			return i
		}
	}
	return nil
}

// looseMode says how a secret file can be read by others, or "".
func looseMode(path string) string {
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm()&0o077 == 0 {
		return ""
	}
	return fmt.Sprintf("%s has mode %04o: others can read it; chmod 600 %s", path, st.Mode().Perm(), strings.TrimSpace(path))
}
