package bundle

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"golang.org/x/crypto/ocsp"

	"oruro.gob.bo/suti/internal/act"
	"oruro.gob.bo/suti/internal/audit/logverify"
	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/tsp"
)

// documents checks the signature and the time-stamp of every document.
func (v *verifier) documents() {
	for i, d := range v.b.Documents {
		name := fmt.Sprintf("%s[%d]", CheckSignature, i)
		value := v.signature(name, d)
		v.timestamp(fmt.Sprintf("%s[%d]", CheckTimestamp, i), d, value)
	}
}

// signature checks a SignedData if the bundle carries it, and returns the
// signature value.
func (v *verifier) signature(name string, d Document) []byte {
	if len(d.CMS) == 0 {
		v.r.add(name, Absent, true, "the signature is in the document only; compare signature_sha256 with it")
		return nil
	}
	sd, err := cms.Parse(d.CMS)
	if err != nil {
		v.r.result(name, "", err)
		return nil
	}
	if v.leaf == nil {
		v.r.add(name, NotChecked, true, "the signer's certificate cannot be read")
		return nil
	}
	if !v.r.result(name, "the signature covers the digest, under the signer's certificate", v.verifyCMS(sd, d)) {
		return nil
	}
	return sd.Signer.Signature
}

func (v *verifier) verifyCMS(sd *cms.SignedData, d Document) error {
	digest, profile := []byte(d.Digest), cms.ProfilePAdES
	if h, ok := v.activation.(*act.HashSigning); ok {
		profile = cms.ProfileCAdES
		if h.Object == act.ObjectAttributes {
			// The application's hash is over the signed attributes.
			sum := sd.Signer.DigestAlgorithm.New()
			sum.Write(sd.Signer.RawSignedAttrs)
			if !bytes.Equal(sum.Sum(nil), d.Digest) {
				return errors.New("the approved hash is not that of the signed attributes")
			}
			digest = sd.Signer.MessageDigest
		}
	}
	cert, err := sd.Verify(cms.VerifyOptions{Digest: digest, Profile: profile, Certificates: []*x509.Certificate{v.leaf}})
	if err != nil {
		return err
	}
	if !equalCertificate(cert, v.leaf) {
		return errors.New("signed under another certificate")
	}
	if sum := sha256.Sum256(sd.Signer.Signature); !bytes.Equal(sum[:], d.SignatureSHA256) {
		return errors.New("signature_sha256 is not that of the signature value")
	}
	return nil
}

// timestamp checks the token over a signature value. Without the value only a
// SHA-256 imprint can be compared.
func (v *verifier) timestamp(name string, d Document, value []byte) {
	if len(d.Timestamp) == 0 {
		v.r.add(name, Absent, true, "no time-stamp")
		return
	}
	token, err := tsp.ParseToken(d.Timestamp)
	if err != nil {
		v.r.result(name, "", err)
		return
	}
	imprint := tsp.Imprint{Hash: token.Info.Imprint.Hash, Digest: d.SignatureSHA256}
	if value != nil {
		h := imprint.Hash.New()
		h.Write(value)
		imprint.Digest = h.Sum(nil)
	} else if imprint.Hash != crypto.SHA256 {
		v.r.add(name, NotChecked, true, "the imprint is not SHA-256 and the bundle has no signature value")
		return
	}
	if v.t.TSARoots == nil {
		v.r.add(name, NotChecked, true, "no roots for time-stamps were given")
		return
	}
	got, err := token.Verify(tsp.VerifyOptions{
		Imprint: imprint, Roots: v.t.TSARoots, Now: v.t.Now, MaxAhead: maxSkew, NotBefore: v.b.Signed().Add(-maxSkew),
	})
	if err == nil && got.Info.GenTime.After(v.b.Signed().Add(maxEarlier)) {
		err = fmt.Errorf("%w: stamped at %v, signed at %v", tsp.ErrGenTime, got.Info.GenTime, v.b.Signed())
	}
	if v.r.result(name, "the signature value existed at the stamped time", err) {
		v.times = append(v.times, got.Info.GenTime)
		if got.Info.GenTime.After(v.r.ProvenAt) {
			v.r.ProvenAt = got.Info.GenTime
		}
	}
}

// oidValidityAssured marks a certificate that lives too short to be revoked
// (ETSI EN 319 412-1 §5.2, ext-etsi-valassured-ST-certs).
func oidValidityAssured() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{0, 4, 0, 194121, 2, 1}
}

// maxOCSPAge bounds how long before the signature a response may have been
// made that names no next update.
const maxOCSPAge = 24 * time.Hour

// revocation checks that the certificate was not revoked when it signed.
func (v *verifier) revocation() {
	if v.leaf == nil {
		v.r.add(CheckRevocation, NotChecked, true, "the signer's certificate cannot be read")
		return
	}
	if len(v.b.OCSP) == 0 {
		for _, e := range v.leaf.Extensions {
			if e.Id.Equal(oidValidityAssured()) {
				v.r.add(CheckRevocation, OK, true, "short-term certificate, no revocation")
				return
			}
		}
		v.r.add(CheckRevocation, Absent, true, "no revocation information")
		return
	}
	if v.issuer == nil {
		v.r.add(CheckRevocation, NotChecked, true, "the certificate's path was not verified")
		return
	}
	v.r.result(CheckRevocation, "not revoked when it signed (the signer's certificate only)", v.verifyOCSP())
}

func (v *verifier) verifyOCSP() error {
	resp, err := ocsp.ParseResponseForCert(v.b.OCSP, v.leaf, v.issuer)
	if err != nil {
		return fmt.Errorf("ocsp: %w", err)
	}
	if resp.SerialNumber == nil || resp.SerialNumber.Cmp(v.leaf.SerialNumber) != 0 {
		return errors.New("ocsp: about another certificate")
	}
	if err := checkResponder(resp, v.issuer); err != nil {
		return err
	}
	at := v.b.Signed()
	switch {
	case resp.ThisUpdate.After(v.t.Now.Add(maxSkew)):
		return errors.New("ocsp: from the future")
	case !resp.NextUpdate.IsZero() && resp.NextUpdate.Before(at):
		return errors.New("ocsp: out of date when the signature was made")
	case resp.NextUpdate.IsZero() && resp.ThisUpdate.Before(at.Add(-maxOCSPAge)):
		return errors.New("ocsp: too old when the signature was made")
	case resp.Status == ocsp.Good:
		return nil
	case resp.Status == ocsp.Revoked && at.Before(resp.RevokedAt):
		return nil // revoked afterwards
	case resp.Status == ocsp.Revoked:
		return fmt.Errorf("ocsp: revoked at %v", resp.RevokedAt)
	}
	return errors.New("ocsp: the responder does not know the certificate")
}

// checkResponder demands that a delegated responder was made one by the
// issuer (RFC 6960 §4.2.2.2) and was valid when it answered.
func checkResponder(resp *ocsp.Response, issuer *x509.Certificate) error {
	c := resp.Certificate
	if c == nil || equalCertificate(c, issuer) {
		return nil // signed by the issuer itself, which ParseResponse verified
	}
	usage := false
	for _, u := range c.ExtKeyUsage {
		usage = usage || u == x509.ExtKeyUsageOCSPSigning
	}
	switch {
	case !usage:
		return errors.New("ocsp: the responder's certificate is not one for OCSP signing")
	case c.CheckSignatureFrom(issuer) != nil:
		return errors.New("ocsp: the responder was not made one by the issuer")
	case resp.ProducedAt.Before(c.NotBefore) || resp.ProducedAt.After(c.NotAfter):
		return errors.New("ocsp: the responder's certificate was not valid")
	}
	return nil
}

// logKey returns the verifier key to use, or "".
func (v *verifier) logKey() string {
	if v.t.LogKey != "" || v.chain == nil {
		return v.t.LogKey
	}
	return v.chain.Deployment(v.b.Signed()).LogKey
}

// log checks that the signatures stand in the transparency log.
func (v *verifier) log() {
	if v.b.Log.State == LogPending {
		v.r.add(CheckLog, Pending, true, "the bundle was made before the log's checkpoint; ask for a newer one")
		return
	}
	if v.logKey() == "" {
		v.r.add(CheckLog, NotChecked, true, "no verifier key of the log was given, nor is one in the acts")
		return
	}
	body, err := v.b.LogBody()
	if err == nil {
		err = receiptFor(v.b.Log.Receipt, body, v.logKey())
	}
	v.r.result(CheckLog, "the signatures stand in the transparency log", err)
}

// receiptFor checks that a receipt shows an entry with this body, in the log of
// the key or in one of the same line and key: the log may have been continued
// before or after the entry was made.
func receiptFor(text, body []byte, key string) error {
	r, err := logverify.ParseReceipt(text)
	if err != nil {
		return err
	}
	if again, err := r.MarshalText(); err != nil || !bytes.Equal(again, text) {
		return errors.New("the receipt is not in canonical form")
	}
	if _, _, err := logverify.VerifyReceipt(r, logverify.LineKey(key, r.Proof.Checkpoint)); err != nil {
		return err
	}
	if !bytes.Equal(r.Body.Body, body) {
		return errors.New("the receipt is about something else")
	}
	return nil
}

// actsLogged checks the receipts of the acts. They show that no act was dated
// back, but the verdict does not depend on receipts that are not there.
func (v *verifier) actsLogged(signed []*act.Signed) {
	shown, key := 0, v.logKey()
	for i, a := range v.b.Acts {
		if len(a.Receipt) == 0 {
			continue
		}
		if key == "" {
			v.r.add(CheckActsLogged, NotChecked, false, "no verifier key of the log")
			return
		}
		if err := receiptFor(a.Receipt, signed[i].Leaf(), key); err != nil {
			v.r.result(CheckActsLogged, "", fmt.Errorf("act %d: %w", i, err))
			return
		}
		shown++
	}
	detail := fmt.Sprintf("%d of %d acts are shown in the log", shown, len(signed))
	if shown < len(signed) {
		v.r.add(CheckActsLogged, Absent, false, detail)
		return
	}
	v.r.add(CheckActsLogged, OK, false, detail)
}
