package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"strings"

	"oruro.gob.bo/suti/signer/cades"
	"oruro.gob.bo/suti/signer/jades"
	"oruro.gob.bo/suti/signer/pades"
)

// Words of the report for people. What has no words of its own is shown by its
// code: the detail that comes with it is for developers.
var verdictWords = map[pades.Verdict]string{
	pades.Valid:             "VÁLIDA: el documento está como se firmó",
	pades.ValidExtended:     "VÁLIDA: después solo se agregaron otras firmas o evidencias",
	pades.ModifiedAllowed:   "VÁLIDA: después hubo cambios que la firma permite",
	pades.Indeterminate:     "NO SE PUEDE AFIRMAR",
	pades.ModifiedForbidden: "ATENCIÓN: el documento cambió después de esta firma",
	pades.Invalid:           "NO VÁLIDA: la firma no corresponde a este documento",
}

var reasonWords = map[string]string{
	pades.SubFormat:          "la firma está mal formada",
	pades.SubHash:            "el contenido no es el que se firmó",
	pades.SubCrypto:          "el valor de la firma no corresponde al certificado",
	pades.SubRevoked:         "el certificado estaba revocado",
	pades.SubNotYetValid:     "el certificado todavía no valía",
	pades.SubConstraints:     "la firma no cumple lo que se exige",
	pades.SubChainConstr:     "el certificado no sirve para firmar documentos",
	pades.SubChainGeneral:    "la cadena de certificados no se pudo comprobar",
	pades.SubCryptoConstr:    "usa un algoritmo que ya no es seguro",
	pades.SubCryptoNoPOE:     "usa un algoritmo que ya no es seguro y nada prueba que la firma sea anterior",
	pades.SubNoSigner:        "no lleva el certificado de quien firma",
	pades.SubNoChain:         "el certificado no lleva a ninguna raíz de confianza dada",
	pades.SubRevokedNoPOE:    "el certificado está revocado y nada prueba que la firma sea anterior",
	pades.SubRevokedCANoPOE:  "la entidad certificadora está revocada y nada prueba que la firma sea anterior",
	pades.SubOutOfBounds:     "el certificado venció y nada prueba que la firma sea anterior",
	pades.SubTryLater:        "falta saber si el certificado está revocado",
	pades.SubSignedDataLost:  "no se encuentra lo que se firmó",
	pades.SubPolicyNotUsable: "su política de firma no se puede aplicar",
}

var warningWords = map[string]string{
	pades.WarnHidden:      "hay partes del archivo que nada nombra",
	pades.WarnUsageRights: "lleva una firma de permisos de otro programa, que no se juzga",
	pades.WarnRemoved:     "una versión anterior tenía una firma que ya no está",
	pades.WarnHybrid:      "los programas antiguos pueden mostrar menos",
	pades.WarnNotPAdES:    "no es una firma PAdES",
	pades.WarnBER:         "está codificada con menos rigor del debido",
	pades.WarnRevocation:  "no se comprobó la revocación",
	pades.WarnTimestamp:   "un sello de tiempo que no cuenta",
	pades.WarnEvidence:    "hay evidencias de validación en el archivo que no se pueden usar",
	pades.WarnStale:       "las evidencias de revocación son anteriores a la firma",
	cades.WarnNotBaseline: "no es una firma CAdES de base",
	cades.WarnUnjudged:    "lleva datos que no están firmados o que no se juzgan",
	cades.WarnMediaType:   "el firmante no dice de qué tipo es el archivo",
	jades.WarnNotBaseline: "no es una firma JAdES de base",
	pades.WarnTruncated:   "no se muestran todos los cambios",
}

var changeWords = map[string]string{
	"signature": "firma", "document-timestamp": "sello de tiempo", "evidence": "evidencia", "form": "formulario", "field": "campo",
	"metadata": "metadatos", "content": "contenido", "structure": "estructura", "unreadable": "no se puede leer",
}

var classWords = map[pades.ChangeClass]string{
	pades.Extension: "ampliación", pades.Allowed: "permitido", pades.Unproven: "permitido si se prueba una firma posterior", pades.Forbidden: "no permitido",
}

// tierWords say what a signature is by law. Only an anchor that the constraints
// put on the national tier makes a "firma digital".
var tierWords = map[string]string{
	pades.TierNational: "firma digital (Ley 164), según la lista de confianza de las reglas dadas",
	pades.TierInternal: "firma electrónica, certificado interno; no es firma digital (Ley 164)",
	tierUnlisted:       "firma electrónica, no firma digital (Ley 164): la raíz dada no está en una lista de entidades autorizadas",
	tierUnverified:     "firma electrónica, no firma digital (Ley 164): solo se comprueba la integridad, no quién firmó",
	tierNone:           "ninguna firma que valga para este documento",
}

// word returns what a code is called, or the code.
func word[K ~string](words map[K]string, code K) string {
	if w, ok := words[code]; ok {
		return w
	}
	return string(code)
}

// attributeNames are the short names of attributes of names (RFC 4514 §3,
// RFC 4519 §2, X.520, ETSI EN 319 412-1 §5.1.4).
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "SERIALNUMBER", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET",
	"2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.12": "T", "2.5.4.13": "DESCRIPTION", "2.5.4.17": "POSTALCODE", "2.5.4.42": "GN",
	"2.5.4.43": "INITIALS", "2.5.4.44": "GENERATION", "2.5.4.46": "DNQUALIFIER", "2.5.4.65": "PSEUDONYM", "2.5.4.97": "ORGANIZATIONIDENTIFIER",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC", "1.2.840.113549.1.9.1": "E",
}

// subjectOf writes the subject of a certificate for people, the most particular
// attribute first. Attributes whose value is no string are shown in hexadecimal.
func subjectOf(c *pades.Certificate) string {
	cert, err := x509.ParseCertificate(c.Raw)
	if err != nil {
		return c.Subject
	}
	return nameText(cert.RawSubject, c.Subject)
}

// nameText writes a distinguished name in DER as RFC 4514 does, with more names
// of attributes; otherwise is what to write if it cannot be read.
func nameText(der []byte, otherwise string) string {
	var seq pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &seq); err != nil || len(rest) > 0 {
		return otherwise
	}
	var out []string
	for i := len(seq) - 1; i >= 0; i-- {
		var parts []string
		for _, a := range seq[i] {
			name, ok := attributeNames[a.Type.String()]
			if !ok {
				name = a.Type.String()
			}
			parts = append(parts, name+"="+valueText(a.Value))
		}
		out = append(out, strings.Join(parts, "+"))
	}
	return strings.Join(out, ", ")
}

func valueText(v any) string {
	s, ok := v.(string)
	if !ok {
		raw, err := asn1.Marshal(v)
		if err != nil {
			return "?"
		}
		return "#" + hex.EncodeToString(raw)
	}
	return strings.NewReplacer(`\`, `\\`, `,`, `\,`, `+`, `\+`, `=`, `\=`, `"`, `\"`).Replace(s)
}
