package cms

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// MaxSigners is the greatest number of parallel signers that [ParseSigners] takes.
const MaxSigners = 16

// ParseSigners is [Parse] for signed data that several people signed: it
// returns one [SignedData] for each SignerInfo, in the order found, which share
// everything but the signer. ber takes BER too, as [ParseBER] does.
func ParseSigners(b []byte, ber bool) ([]*SignedData, error) {
	err := DERCheck(b, MaxSize, MaxDepth)
	switch {
	case err == nil:
		all, err := parseSigners(bytes.Clone(b), false)
		if ber && errors.Is(err, ErrAttributeOrder) {
			return parseSigners(bytes.Clone(b), true)
		}
		return all, err
	case !ber || !errors.Is(err, ErrNotDER):
		return nil, err
	}
	der, err := NormalizeBER(b, MaxSize, MaxDepth)
	if err != nil {
		return nil, err
	}
	return parseSigners(der, true)
}

func parseSigners(der []byte, wasBER bool) ([]*SignedData, error) {
	sd, infos, err := parseHead(der, wasBER)
	if err != nil {
		return nil, err
	}
	sd.parseCertificates(nil)
	var all []*SignedData
	for !infos.Empty() {
		if len(all) == MaxSigners {
			return nil, fmt.Errorf("%w: signers", ErrTooMany)
		}
		var one cryptobyte.String
		if !infos.ReadASN1(&one, cbasn1.SEQUENCE) {
			return nil, malformed("SignerInfo")
		}
		each := *sd
		if err := each.takeSigner(one, nil); err != nil {
			return nil, err
		}
		all = append(all, &each)
	}
	if len(all) == 0 {
		return nil, ErrNoSigner
	}
	return all, nil
}

// Evidence is what [AddEvidence] adds: certificates, lists (CRLs) and
// OCSPResponses, in DER.
type Evidence struct {
	Certificates        []*x509.Certificate
	CRLs, OCSPResponses [][]byte
}

// AddEvidence returns the ContentInfo with more certificates and revocation
// values in SignedData.certificates and SignedData.crls, where EN 319 122-1
// §6.3 wants those of level B-LT; OCSP responses as RFC 5940 §2.1 writes them.
// What is there already is not added again. cms must be DER.
func AddEvidence(cms []byte, e Evidence) ([]byte, error) {
	p, err := splitSignedData(cms)
	if err != nil {
		return nil, err
	}
	for _, c := range e.Certificates {
		p.certs = append(p.certs, c.Raw)
	}
	p.crls = append(p.crls, e.CRLs...)
	for _, o := range e.OCSPResponses {
		var b cryptobyte.Builder
		b.AddASN1(tag1, func(b *cryptobyte.Builder) {
			b.AddASN1ObjectIdentifier(oidOCSPResponse)
			b.AddBytes(o)
		})
		other, err := b.Bytes()
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrParams, err)
		}
		p.crls = append(p.crls, other)
	}
	return p.join()
}

// JoinSigners returns one ContentInfo with the signers, certificates and
// revocation values of two over the same content. Both must be DER and of the
// same content type, both detached or both with the same content: [ErrParams]
// otherwise. That they cover the same content is for the caller to have checked.
func JoinSigners(a, b []byte) ([]byte, error) {
	p, err := splitSignedData(a)
	if err != nil {
		return nil, err
	}
	q, err := splitSignedData(b)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(p.content, q.content) {
		return nil, fmt.Errorf("%w: signed data over different content", ErrParams)
	}
	p.digests = append(p.digests, q.digests...)
	p.certs = append(p.certs, q.certs...)
	p.crls = append(p.crls, q.crls...)
	p.infos = append(p.infos, q.infos...)
	return p.join()
}

// signedDataParts is a SignedData taken apart: elements in DER, and its
// encapContentInfo as it stands.
type signedDataParts struct {
	version                     int64
	digests, certs, crls, infos [][]byte
	content                     []byte
}

// splitSignedData takes apart what [ParseSigners] reads.
func splitSignedData(der []byte) (*signedDataParts, error) {
	all, err := ParseSigners(der, false)
	if err != nil {
		return nil, err
	}
	body, err := openContentInfo(all[0].Raw)
	if err != nil {
		return nil, err
	}
	p := &signedDataParts{}
	var content cryptobyte.String
	if !body.ReadASN1Integer(&p.version) || !readElements(&body, cbasn1.SET, &p.digests) ||
		!body.ReadASN1Element(&content, cbasn1.SEQUENCE) {
		return nil, malformed("SignedData")
	}
	p.content = content
	if body.PeekASN1Tag(tag0) && !readElements(&body, tag0, &p.certs) {
		return nil, malformed("certificates")
	}
	if body.PeekASN1Tag(tag1) && !readElements(&body, tag1, &p.crls) {
		return nil, malformed("crls")
	}
	if !readElements(&body, cbasn1.SET, &p.infos) || !body.Empty() {
		return nil, malformed("signerInfos")
	}
	return p, nil
}

// readElements reads the elements of a SET OF under tag.
func readElements(s *cryptobyte.String, tag cbasn1.Tag, to *[][]byte) bool {
	var set cryptobyte.String
	if !s.ReadASN1(&set, tag) {
		return false
	}
	for !set.Empty() {
		var e cryptobyte.String
		if !set.ReadAnyASN1Element(&e, nil) {
			return false
		}
		*to = append(*to, e)
	}
	return true
}

// join encodes the parts, each element once, and reads the result as anybody would.
func (p *signedDataParts) join() ([]byte, error) {
	once := func(list [][]byte) [][]byte {
		list = slices.Clone(sortedDER(list))
		return slices.CompactFunc(list, bytes.Equal)
	}
	crls := once(p.crls)
	// RFC 5652 §5.1: version 5 with a revocation value of another kind.
	if slices.ContainsFunc(crls, func(c []byte) bool { return len(c) > 0 && c[0] == byte(tag1) }) {
		p.version = 5
	}
	var b cryptobyte.Builder
	add := func(b *cryptobyte.Builder, tag cbasn1.Tag, list [][]byte) {
		b.AddASN1(tag, func(b *cryptobyte.Builder) {
			for _, e := range list {
				b.AddBytes(e)
			}
		})
	}
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(OIDSignedData)
		b.AddASN1(tag0, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(p.version)
				add(b, cbasn1.SET, once(p.digests))
				b.AddBytes(p.content)
				if len(p.certs) > 0 {
					add(b, tag0, once(p.certs))
				}
				if len(crls) > 0 {
					add(b, tag1, crls)
				}
				add(b, cbasn1.SET, once(p.infos))
			})
		})
	})
	out, err := b.Bytes()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrParams, err)
	}
	if _, err := ParseSigners(out, false); err != nil {
		return nil, err
	}
	return out, nil
}

// MimeType returns a mime-type attribute (EN 319 122-1 §5.2.4.2) with a media
// type such as "text/xml".
func MimeType(mediaType string) (Attribute, error) {
	if mediaType == "" || len(mediaType) > maxMimeType {
		return Attribute{}, fmt.Errorf("%w: media type of %d octets", ErrParams, len(mediaType))
	}
	for i := range len(mediaType) {
		if c := mediaType[i]; c < ' ' || c > '~' {
			return Attribute{}, fmt.Errorf("%w: media type", ErrParams)
		}
	}
	var e encoder
	a := e.attr(oidMimeType, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) { b.AddBytes([]byte(mediaType)) })
	})
	return a, e.err
}

// maxMimeType bounds a media type, in octets.
const maxMimeType = 255

// readMimeType reads the value of a mime-type attribute.
func (si *SignerInfo) readMimeType(v cryptobyte.String) bool {
	var s cryptobyte.String
	if !v.ReadASN1(&s, cbasn1.UTF8String) || !v.Empty() || len(s) == 0 || len(s) > maxMimeType {
		return false
	}
	si.MimeType = string(s)
	return true
}

// Unsigned attributes that a CAdES baseline signature of level B-LT must not
// have (EN 319 122-1 §6.3): certificate and revocation values belong into
// SignedData, references and time-stamps over them are of another profile.
var oldEvidence = []asn1.ObjectIdentifier{
	{1, 2, 840, 113549, 1, 9, 16, 2, 21}, // complete-certificate-references
	{1, 2, 840, 113549, 1, 9, 16, 2, 22}, // complete-revocation-references
	{1, 2, 840, 113549, 1, 9, 16, 2, 23}, // certificate-values
	{1, 2, 840, 113549, 1, 9, 16, 2, 24}, // revocation-values
	{1, 2, 840, 113549, 1, 9, 16, 2, 25}, // CAdES-C-timestamp
	{1, 2, 840, 113549, 1, 9, 16, 2, 26}, // time-stamped-certs-crls-references
}

// HasOldEvidence reports whether the signer has unsigned attributes with
// evidence in the way of CAdES before its baseline.
func (si *SignerInfo) HasOldEvidence() bool {
	return slices.ContainsFunc(oldEvidence, func(typ asn1.ObjectIdentifier) bool {
		_, ok := findAttribute(si.UnsignedAttrs, typ)
		return ok
	})
}
