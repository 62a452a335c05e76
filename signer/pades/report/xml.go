package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"oruro.gob.bo/suti/signer/pades"
)

// Names of ETSI TS 119 102-2, and ours where it leaves them open.
const (
	nsReport = "http://uri.etsi.org/19102/v1.4.1#"
	nsDSig   = "http://www.w3.org/2000/09/xmldsig#"
	nsXAdES  = "http://uri.etsi.org/01903/v1.3.2#"
	nsLists  = "http://uri.etsi.org/02231/v2#"
	nsXSI    = "http://www.w3.org/2001/XMLSchema-instance"
	nsXS     = "http://www.w3.org/2001/XMLSchema"

	urnETSI = "urn:etsi:019102:"
	urnOwn  = "urn:suti:"
)

// Bounds of an XML report: bytes of objects that it holds itself (of others it
// has the digest), and changes that it lists.
const (
	maxObjectBytes = 1 << 20
	maxXMLChanges  = 100
)

var mainIndications = map[string]string{
	pades.TotalPassed: "total-passed", pades.TotalFailed: "total-failed", pades.IndIndeterm: "indeterminate",
}

// Digest and signature algorithms by their identifiers (RFC 9231).
var (
	digestURIs = map[string]string{
		"sha256": "http://www.w3.org/2001/04/xmlenc#sha256", "sha384": "http://www.w3.org/2001/04/xmldsig-more#sha384", "sha512": "http://www.w3.org/2001/04/xmlenc#sha512",
	}
	algorithmURIs = map[string]string{
		"ecdsa-sha256": "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", "ecdsa-sha384": "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
		"ecdsa-sha512": "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512", "rsa-sha256": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
		"rsa-sha384": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", "rsa-sha512": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
		"rsa-pss-sha256": "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1", "rsa-pss-sha384": "http://www.w3.org/2007/05/xmldsig-more#sha384-rsa-MGF1",
		"rsa-pss-sha512": "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1", "ed25519": "http://www.w3.org/2021/04/xmldsig-more#eddsa-ed25519",
	}
)

// xmlReport is a report being written.
type xmlReport struct {
	xmlWriter
	in      Input
	objects []*object
	byID    map[string]*object
	policy  []byte // the constraints, as JSON
}

// object is a validation object.
type object struct {
	id, kind string
	data     []byte // nil: only the digest is told
	sum      [32]byte
	stamp    *pades.SignatureReport // of a document time-stamp
	token    *pades.TimestampReport // of a signature's own
	material *pades.TimestampMaterial
}

func writeXML(in Input) ([]byte, error) {
	w := &xmlReport{in: in, byID: map[string]*object{}}
	var err error
	if w.policy, err = in.Report.Constraints.JSON(); err != nil {
		return nil, err
	}
	reported := w.reported()
	if len(reported) == 0 {
		return nil, ErrNoSignature
	}
	w.gather()
	w.b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	w.within("vr:ValidationReport", func() {
		for _, i := range reported {
			w.signature(i)
		}
		w.within("vr:SignatureValidationObjects", func() {
			kept := 0
			for _, o := range w.objects {
				w.object(o, &kept)
			}
		})
		w.within("vr:SignatureValidator", func() {
			w.within("vr:DigitalId", func() { w.text("tsl:Other", clean(in.Producer)) })
			w.text("vr:OtherInformation", "This report is not signed.")
		})
	}, "xmlns:vr", nsReport, "xmlns:ds", nsDSig, "xmlns:xades", nsXAdES, "xmlns:tsl", nsLists, "xmlns:xsi", nsXSI, "xmlns:xs", nsXS)
	return w.b.Bytes(), nil
}

// reported returns the signatures that have a report of their own: document
// time-stamps are objects, unless there is nothing else.
func (w *xmlReport) reported() []int {
	var out, stamps []int
	for i := range w.in.Report.Signatures {
		if w.isStamp(i) {
			stamps = append(stamps, i)
		} else {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		return stamps
	}
	return out
}

func (w *xmlReport) isStamp(i int) bool {
	return w.in.Report.Signatures[i].Kind == kindStamp
}

const kindStamp = "document-timestamp"

// gather lists the validation objects, each once.
func (w *xmlReport) gather() {
	for i := range w.in.Report.Signatures {
		s := &w.in.Report.Signatures[i]
		m := s.Material
		if s.Signer != nil {
			w.certificates(*s.Signer)
		}
		w.certificates(s.Chain...)
		w.revocation(m.Revocation)
		for k := range m.Timestamps {
			t := &m.Timestamps[k]
			w.certificates(t.Chain...)
			w.revocation(t.Revocation)
			w.add(&object{kind: "timestamp", data: t.Token, token: &s.Timestamps[k], material: t}, "T-")
		}
		if m.Token != nil {
			w.add(&object{kind: "timestamp", data: m.Token, stamp: s}, "T-")
		}
		if sum := w.in.Sums.Signed[i]; s.SignedBytes > 0 {
			w.add(&object{kind: "signedData", sum: sum}, "D-")
		}
	}
}

func (w *xmlReport) certificates(list ...pades.Certificate) {
	for _, c := range list {
		w.add(&object{kind: "certificate", data: c.Raw}, "C-")
	}
}

func (w *xmlReport) revocation(list []pades.RevocationMaterial) {
	for _, r := range list {
		kind := "OCSPResponse"
		if r.CRL {
			kind = "CRL"
		}
		w.add(&object{kind: kind, data: r.Evidence}, "R-")
	}
}

func (w *xmlReport) add(o *object, prefix string) {
	if o.data != nil {
		o.sum = sha256.Sum256(o.data)
	}
	o.id = prefix + hex.EncodeToString(o.sum[:])
	if w.byID[o.id] == nil {
		w.byID[o.id] = o
		w.objects = append(w.objects, o)
	}
}

func idOf(prefix string, data []byte) string {
	sum := sha256.Sum256(data)
	return prefix + hex.EncodeToString(sum[:])
}

func (w *xmlReport) digest(name, uri string, sum []byte) {
	w.within(name, func() {
		w.empty("ds:DigestMethod", "Algorithm", uri)
		w.base64("ds:DigestValue", sum)
	})
}

func (w *xmlReport) ref(name string, ids ...string) {
	w.empty(name, "VOReference", strings.Join(ids, " "))
}

// signature writes the report on one signature.
func (w *xmlReport) signature(i int) {
	s := &w.in.Report.Signatures[i]
	m := s.Material
	w.within("vr:SignatureValidationReport", func() {
		w.within("vr:SignatureIdentifier", func() {
			if len(m.Value) > 0 {
				w.base64("ds:SignatureValue", m.Value)
			}
			w.text("vr:HashOnly", "false")
			w.text("vr:DocHashOnly", "false")
			w.text("vr:DAIdentifier", clean(s.Field))
		}, "id", fmt.Sprintf("S-%d", i+1))
		w.constraints(s)
		w.within("vr:ValidationTimeInfo", func() {
			w.time("vr:ValidationTime", w.in.Report.At)
			w.within("vr:BestSignatureTime", func() { w.bestTime(s) })
		})
		if m.Digest != nil && digestURIs[m.DigestAlgorithm] != "" {
			w.within("vr:SignersDocument", func() {
				w.digest("vr:DigestAlgAndValue", digestURIs[m.DigestAlgorithm], m.Digest)
				w.ref("vr:SignersDocumentRef", "D-"+hex.EncodeToString(w.in.Sums.Signed[i][:]))
			})
		}
		w.attributes(i)
		if s.Signer != nil {
			w.within("vr:SignerInformation", func() {
				w.ref("vr:SignerCertificate", "C-"+s.Signer.SHA256)
				w.text("vr:Signer", clean(s.Signer.Subject))
			})
		}
		w.within("vr:SignatureQuality", func() {
			w.text("vr:SignatureQualityInformation", urnOwn+"tier:"+tierOf(w.in, s))
			w.text("vr:SignatureQualityInformation", urnOwn+"level:"+cmp.Or(s.Level.String(), "none"))
		})
		w.within("vr:SignatureValidationProcess", func() {
			w.text("vr:SignatureValidationProcessID", urnETSI+"validationprocess:LTA")
		})
		w.status("vr:SignatureValidationStatus", mainIndications[s.Indication], s.SubIndication, func() { w.data(i) })
	})
}

func (w *xmlReport) bestTime(s *pades.SignatureReport) {
	if s.ProvenTime.IsZero() {
		w.time("vr:POETime", w.in.Report.At)
		w.text("vr:TypeOfProof", urnETSI+"poetype:validation")
		return
	}
	w.time("vr:POETime", s.ProvenTime)
	w.text("vr:TypeOfProof", urnETSI+"poetype:validation")
	if id := w.prover(s); id != "" {
		w.ref("vr:POEObject", id)
	}
}

// prover returns the time-stamp that proves the time of a signature.
func (w *xmlReport) prover(s *pades.SignatureReport) string {
	m := s.Material
	if m.Token != nil {
		return idOf("T-", m.Token)
	}
	for i, t := range s.Timestamps {
		if t.Trusted && t.Time.Equal(s.ProvenTime) && m.Prover == "" {
			return idOf("T-", m.Timestamps[i].Token)
		}
	}
	for i := range w.in.Report.Signatures {
		if p := &w.in.Report.Signatures[i]; p.Kind == kindStamp && p.Field == m.Prover && m.Prover != "" && p.Material.Token != nil {
			return idOf("T-", p.Material.Token)
		}
	}
	return ""
}

// constraints writes the policy and what became of each constraint.
func (w *xmlReport) constraints(s *pades.SignatureReport) {
	w.within("vr:ValidationConstraintsEvaluationReport", func() {
		w.within("vr:SignatureValidationPolicy", func() {
			w.within("vr:SignaturePolicyIdentifier", func() {
				w.within("xades:SignaturePolicyId", func() {
					w.within("xades:SigPolicyId", func() {
						w.text("xades:Identifier", fmt.Sprintf("%s%s:%d", urnOwn, pades.ConstraintsKind, pades.ConstraintsVersion))
					})
					sum := sha256.Sum256(w.policy)
					w.digest("xades:SigPolicyHash", digestURIs["sha256"], sum[:])
				})
			})
			w.text("vr:PolicyName", clean(w.in.Report.Constraints.Name))
		})
		for _, c := range s.Material.Constraints {
			w.within("vr:ValidationConstraint", func() {
				w.text("vr:ValidationConstraintIdentifier", urnOwn+"constraint:"+c.ID)
				if c.Parameter != "" {
					w.within("vr:ValidationConstraintParameter", func() { w.typed(urnOwn+"parameter", c.Parameter) })
				}
				applied := "applied"
				if !c.Applied {
					applied = "disabled"
				}
				w.within("vr:ConstraintStatus", func() { w.text("vr:Status", urnETSI+"constraintStatus:"+applied) })
				switch {
				case c.Applied && c.Holds:
					w.status("vr:ValidationStatus", "passed", "", nil)
				case c.Applied:
					w.status("vr:ValidationStatus", "indeterminate", c.Sub, nil)
				}
			})
		}
	})
}

func (w *xmlReport) typed(kind, value string) {
	w.text("vr:Type", kind)
	w.text("vr:Value", value, "xsi:type", "xs:string")
}

func (w *xmlReport) status(name, main, sub string, more func()) {
	w.within(name, func() {
		w.text("vr:MainIndication", urnETSI+"mainindication:"+main)
		if sub != "" {
			w.text("vr:SubIndication", urnETSI+"subindication:"+sub)
		}
		if more != nil {
			more()
		}
	})
}

// attributes writes what the signature says of itself, and what was added to it.
func (w *xmlReport) attributes(i int) {
	s := &w.in.Report.Signatures[i]
	m := s.Material
	w.within("vr:SignatureAttributes", func() {
		if !s.ClaimedTime.IsZero() && inYears(s.ClaimedTime) {
			w.within("vr:SigningTime", func() { w.time("vr:Time", s.ClaimedTime) }, "Signed", "true")
		}
		if s.Signer != nil {
			raw, _ := hex.DecodeString(s.Signer.SHA256)
			w.within("vr:SigningCertificate", func() {
				w.ref("vr:AttributeObject", "C-"+s.Signer.SHA256)
				w.within("vr:CertID", func() {
					w.empty("ds:DigestMethod", "Algorithm", digestURIs["sha256"])
					w.base64("ds:DigestValue", raw)
				})
			}, "Signed", "true")
		}
		if m.Digest != nil && m.Token == nil {
			w.within("vr:MessageDigest", func() { w.base64("vr:Digest", m.Digest) }, "Signed", "true")
		}
		for _, p := range []struct{ outer, inner, value string }{
			{"vr:Reason", "vr:ReasonElement", s.Reason}, {"vr:Name", "vr:NameElement", s.Name},
			{"vr:SignatureProductionPlace", "vr:AddressString", s.Location}, {"vr:SubFilter", "vr:SubFilterElement", s.SubFilter},
		} {
			if v := clean(p.value); v != "" {
				w.within(p.outer, func() { w.text(p.inner, v) }, "Signed", "true")
			}
		}
		if s.SignedBytes > 0 {
			r := s.ByteRange
			w.text("vr:ByteRange", fmt.Sprintf("%d %d %d %d", r[0], r[1], r[2], r[3]))
		}
		for k, t := range s.Timestamps {
			if !t.Time.IsZero() {
				w.stampAttribute("vr:SignatureTimeStamp", m.Timestamps[k].Token, t.Time)
			}
		}
		for k := i + 1; k < len(w.in.Report.Signatures); k++ {
			if d := &w.in.Report.Signatures[k]; d.Kind == kindStamp && d.Material.Token != nil && !d.ClaimedTime.IsZero() {
				w.stampAttribute("vr:DocTimeStamp", d.Material.Token, d.ClaimedTime)
			}
		}
		w.store(m)
	})
}

// inYears holds that XML can have the year.
func inYears(t time.Time) bool { return t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 }

func (w *xmlReport) stampAttribute(name string, token []byte, at time.Time) {
	w.within(name, func() {
		w.ref("vr:AttributeObject", idOf("T-", token))
		w.time("vr:TimeStampValue", at)
	}, "Signed", "false")
}

// store writes the evidence in the file that counted for the signature.
func (w *xmlReport) store(m *pades.Material) {
	ids := map[string][]string{}
	for _, r := range m.Revocation {
		name, id := "vr:OCSPs", idOf("R-", r.Evidence)
		if r.CRL {
			name = "vr:CRLs"
		}
		if !strings.Contains(strings.Join(ids[name], " "), id) {
			ids[name] = append(ids[name], id)
		}
	}
	if len(ids) == 0 {
		return
	}
	w.within("vr:DSS", func() {
		for _, name := range []string{"vr:CRLs", "vr:OCSPs"} {
			if len(ids[name]) > 0 {
				w.ref(name, ids[name]...)
			}
		}
	}, "Signed", "false")
}

// data writes what the status of a signature rests on.
func (w *xmlReport) data(i int) {
	s := &w.in.Report.Signatures[i]
	w.within("vr:AssociatedValidationReportData", func() {
		w.chain(s.Chain)
		if s.Signer != nil && algorithmURIs[s.Algorithm] != "" {
			w.within("vr:CryptoInformation", func() {
				w.ref("vr:ValidationObjectId", "C-"+s.Signer.SHA256)
				w.text("vr:Algorithm", algorithmURIs[s.Algorithm])
				w.text("vr:SecureAlgorithm", strconv.FormatBool(s.SubIndication != pades.SubCryptoConstr && s.SubIndication != pades.SubCryptoNoPOE))
			})
		}
		w.within("vr:AdditionalValidationReportData", func() {
			one := func(kind, value string) {
				if value != "" {
					w.within("vr:ReportData", func() { w.typed(urnOwn+kind, clean(value)) })
				}
			}
			one("verdict", string(s.Verdict))
			one("detail", s.Detail)
			one("revocation", s.Revocation)
			one("revision", fmt.Sprintf("%d of %d", s.Revision, w.in.Report.Revisions))
			for _, x := range s.Warnings {
				one("warning:"+x.Code, x.Detail)
			}
			n := 0
			for _, c := range w.in.Report.Changes {
				if c.Revision <= s.Revision {
					continue
				}
				if n++; n > maxXMLChanges {
					one("change:truncated", "more changes than are listed")
					break
				}
				one("change:"+string(c.Class)+":"+c.Kind, fmt.Sprintf("revision %d: %s %s", c.Revision, c.Field, c.Detail))
			}
		})
	})
}

// chain writes a path to an anchor.
func (w *xmlReport) chain(chain []pades.Certificate) {
	if len(chain) == 0 {
		return
	}
	last := "C-" + chain[len(chain)-1].SHA256
	w.ref("vr:TrustAnchor", last)
	w.within("vr:CertificateChain", func() {
		w.ref("vr:SigningCertificate", "C-"+chain[0].SHA256)
		for k := 1; k < len(chain)-1; k++ {
			w.ref("vr:IntermediateCertificate", "C-"+chain[k].SHA256)
		}
		w.ref("vr:TrustAnchor", last)
	})
}

// object writes a validation object: whole while there is room, else its digest.
func (w *xmlReport) object(o *object, kept *int) {
	w.within("vr:ValidationObject", func() {
		w.text("vr:ObjectType", urnETSI+"validationObject:"+o.kind)
		w.within("vr:ValidationObjectRepresentation", func() {
			if o.data != nil && *kept+len(o.data) <= maxObjectBytes {
				*kept += len(o.data)
				w.base64("vr:base64", o.data)
				return
			}
			w.digest("vr:DigestAlgAndValue", digestURIs["sha256"], o.sum[:])
		})
		w.within("vr:POE", func() {
			w.time("vr:POETime", w.in.Report.At)
			w.text("vr:TypeOfProof", urnETSI+"poetype:validation")
		})
		w.stampReport(o)
	}, "id", o.id)
}

// stampReport writes what was found of a time-stamp.
func (w *xmlReport) stampReport(o *object) {
	main, sub, detail, chain := "passed", "", "", []pades.Certificate(nil)
	switch {
	case o.stamp != nil:
		sub, detail, chain = o.stamp.SubIndication, o.stamp.Detail, o.stamp.Chain
		switch o.stamp.Indication {
		case pades.TotalFailed:
			main = "failed"
		case pades.IndIndeterm:
			main = "indeterminate"
		}
	case o.token != nil:
		detail, chain = o.token.Detail, o.material.Chain
		if !o.token.Trusted {
			main = "indeterminate"
		}
	default:
		return
	}
	w.within("vr:ValidationReport", func() {
		w.status("vr:SignatureValidationStatus", main, sub, func() {
			if len(chain) == 0 && detail == "" {
				return
			}
			w.within("vr:AssociatedValidationReportData", func() {
				w.chain(chain)
				if detail != "" {
					w.within("vr:AdditionalValidationReportData", func() {
						w.within("vr:ReportData", func() { w.typed(urnOwn+"detail", clean(detail)) })
					})
				}
			})
		})
	})
}
