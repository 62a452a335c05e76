package main

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"time"
)

// mtls looks at where applications' certificates come from.
func (d *doctor) mtls() {
	m := &d.cfg.MTLS
	if !m.Used() {
		return
	}
	if _, err := m.ClientCAs(); err != nil {
		d.add("mtls", statusFault, "", "mtls.client_ca_file: %v", err)
		return
	}
	where := m.Listen
	if where == "" {
		where = "proxies"
	}
	if m.AliasURL == "" && m.Listen != "" {
		d.add("mtls", statusWarning, "set mtls.alias_url to the public address of mtls.listen", "applications are not told where certificates are asked for")
	} else {
		d.add("mtls", statusOK, "", "certificates come from %s", where)
	}
	if m.ClientCAFile == "" {
		return
	}
	end, err := firstEnd(m.ClientCAFile)
	if err != nil {
		d.add("mtls authorities", statusFault, "", "%v", err)
		return
	}
	d.expiry("mtls authorities", end, d.c.now(), expirySoon)
}

// firstEnd returns when the first certificate of a PEM file ends.
func firstEnd(file string) (end time.Time, err error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return end, err
	}
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return end, err
		}
		if end.IsZero() || cert.NotAfter.Before(end) {
			end = cert.NotAfter
		}
	}
	return end, nil
}
