package main

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"oruro.gob.bo/suti/cmd/internal/stamp"
	"oruro.gob.bo/suti/internal/cms"
	"oruro.gob.bo/suti/internal/safehttp"
	"oruro.gob.bo/suti/internal/tsp"
	"oruro.gob.bo/suti/signer"
	"oruro.gob.bo/suti/signer/pades"
)

// signFlags are the flags of "suti sign".
type signFlags struct {
	key, cert, tsa, level, field, out string
	reason, location, passwordFile    string
	algorithm                         string
	format, mediaType, addTo          string
	evidenceFlags
	placeFlags
	certify                int
	json, strict, detached bool
	place                  pades.Placement // as placeFlags say
	placed                 bool            // placeFlags say so
}

// refusal is a refusal as JSON tells it. Codes are stable: those of pades, and
// "certificate", "timestamp", "evidence", "reserve".
type refusal struct {
	Refused string `json:"refused"`
	Detail  string `json:"detail"`
	// Reason, Certificate and Serial are of "evidence": what is lacking, of which certificate.
	Reason      string `json:"reason,omitempty"`
	Certificate string `json:"certificate,omitempty"`
	Serial      string `json:"serial,omitempty"` // hexadecimal
}

// signResult is what "suti sign --json" tells of a signed file.
type signResult struct {
	Signed           string   `json:"signed"` // path of the file
	Size             int64    `json:"size"`
	Field            string   `json:"field"` // "" of what is no PDF
	Format           string   `json:"format"`
	MediaType        string   `json:"media_type,omitempty"`     // declared of what is no PDF
	ContentSHA256    string   `json:"content_sha256,omitempty"` // of what is no PDF
	Requested        string   `json:"requested"`
	Achieved         string   `json:"achieved"`
	Signer           string   `json:"signer"`
	CertificateSHA   string   `json:"certificate_sha256"`
	SigningTime      string   `json:"signing_time"`
	TimestampTrusted *bool    `json:"timestamp_trusted,omitempty"` // present where there is one
	Warnings         []string `json:"warnings"`                    // what could change what is shown after signing; codes of pades.Preflight
	Took             string   `json:"took"`
}

// oidTitle is the attribute "title" (RFC 4519 §2.38): a person's post.
var oidTitle = asn1.ObjectIdentifier{2, 5, 4, 12}

func (c *cli) newSignCommand() *cobra.Command {
	var f signFlags
	cmd := &cobra.Command{
		Use:   "sign --key KEY.pem --cert CHAIN.pem --out OUT FILE",
		Short: "Sign a PDF file, or one of any kind, with a key at hand (PAdES, CAdES, JAdES)",
		Long: "Sign a file with a private key and its certificate, without a server.\n\n" +
			"A PDF file (--format pades) is only added to: earlier signatures, form fields and metadata stay byte for byte.\n" +
			"A file that cannot be signed without risk is refused with the reason, and nothing is written.\n" +
			"One that holds what could change its looks later (programs, layers, outside content) is signed with a\n" +
			"warning, or refused with --strict, as the server does. A file that stands at --out is replaced, in one step.\n" +
			"A visible seal stands in the field's rectangle where --field is a field of the document; else in a corner of the\n" +
			"last page, or where --page, --corner, --at or --free-space say. --free-space looks at everything that the page\n" +
			"paints, and counts what it does not understand (a scanned page, say) as not free.\n" +
			"An encrypted file stays encrypted; its permissions are obeyed unless --password-file holds its owner's password.\n\n" +
			"Levels: B-B; B-T with a time-stamp; B-LT with evidence that the certificates are not revoked, fetched from\n" +
			"the addresses in them (loopback and private ones only with --allow-private); B-LTA with a time-stamp over\n" +
			"all that. A level is never lowered: what cannot be had is told, and nothing is written.\n\n" +
			"A file of any other kind gets a signature in a file of its own, which is verified together with it:\n" +
			"--format cades up to B-LT, beside the signatures of others with --add-to; --format jades B-B, with the JSON\n" +
			"inside, or beside the file with --detached. The media type is signed too, by default that of the file's name.\n\n" +
			"Exit codes: 0 signed, 1 failed, 2 used wrongly, 3 refused (with --json: {\"refused\":\"…\",\"detail\":\"…\"}).",
		Example: "  suti sign --key key.pem --cert chain.pem --out signed.pdf document.pdf\n" +
			"  suti sign --key key.pem --cert chain.pem --tsa https://tsa.example/ --trust root.pem --visible --out signed.pdf document.pdf\n" +
			"  suti sign --key key.pem --cert chain.pem --visible --free-space --page last --out signed.pdf document.pdf\n" +
			"  suti sign --format cades --key key.pem --cert chain.pem --out planilla.csv.p7s planilla.csv\n" +
			"  suti sign --format jades --key key.pem --cert chain.pem --out acta.jws acta.json",
		Args: operands(1, 1, "the file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := required(cmd, "key", "cert", "out"); err != nil {
				return err
			}
			var err error
			if f.place, f.placed, err = f.placement(cmd); err != nil {
				return err
			}
			if err := f.checkFormat(); err != nil {
				return err
			}
			if f.format != formatPAdES {
				return c.signOther(cmd.Context(), f, args[0])
			}
			return c.sign(cmd.Context(), f, args[0])
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.key, "key", "", "private key, unencrypted PEM (PKCS #8, SEC 1 or PKCS #1)")
	fl.StringVar(&f.cert, "cert", "", "the signer's certificate and those above it, PEM")
	fl.StringVar(&f.format, "format", formatPAdES, "pades for PDF files, cades for files of any kind, jades for JSON")
	fl.StringVar(&f.mediaType, "media-type", "", "with cades or jades, what the file is, such as text/csv; default by its name")
	fl.StringVar(&f.addTo, "add-to", "", "with cades, signatures over the same file to put this one beside")
	fl.BoolVar(&f.detached, "detached", false, "with jades, leave the content out of the signature")
	fl.StringVar(&f.tsa, "tsa", "", "address of a time-stamping authority (RFC 3161)")
	fl.StringVar(&f.level, "level", "", "B-B, B-T, B-LT or B-LTA; default B-T with --tsa, else B-B")
	fl.StringArrayVar(&f.trust, "trust", nil, "trust anchor of the time-stamping authority, and from B-LT on of the signer, PEM; may be repeated")
	fl.BoolVar(&f.allowPrivate, "allow-private", false, "ask addresses in certificates that lead to loopback and private networks too")
	fl.IntVar(&f.certify, "certify", 0, "certify the document: 1 no changes, 2 forms and signatures, 3 annotations too")
	fl.StringVar(&f.field, "field", "", "signature field to fill or to make")
	f.placeFlags.add(cmd)
	fl.StringVar(&f.algorithm, "algorithm", "", "such as rsa-pss-sha256 or rsa-sha512; default that of the key: rsa-sha256, ecdsa-sha256, ecdsa-sha384, ed25519")
	fl.StringVar(&f.reason, "reason", "", "reason, written into the signature")
	fl.StringVar(&f.location, "location", "", "place, written into the signature")
	passwordFlag(cmd, &f.passwordFile)
	fl.BoolVar(&f.strict, "strict", false, "refuse a file that holds what could change its looks later")
	fl.BoolVar(&f.json, "json", false, "write JSON")
	fl.StringVar(&f.out, "out", "", "where the signed file goes; one that exists is replaced")
	return cmd
}

// refuse tells a refusal in the form asked for.
func (c *cli) refuse(asJSON bool, code, detail string) error {
	if asJSON {
		if err := c.json(refusal{Refused: code, Detail: detail}); err != nil {
			return err
		}
		return told(exitRefused)
	}
	return refusedf("", "refused (%s): %s", code, detail)
}

// padesLevel reads --level.
func (f *signFlags) padesLevel() (pades.Level, error) {
	if f.level == "" {
		if f.tsa != "" {
			return pades.LevelBT, nil
		}
		return pades.LevelBB, nil
	}
	l, err := parseLevel(f.level)
	if err == nil && l >= pades.LevelBT && f.tsa == "" {
		return 0, usagef("add --tsa URL", "level %s needs a time-stamping authority", shortLevel(l))
	}
	return l, err
}

func (c *cli) sign(ctx context.Context, f signFlags, in string) error {
	start := c.now()
	level, err := f.padesLevel()
	if err != nil {
		return err
	}
	if f.certify < 0 || f.certify > 3 {
		return usagef("use 1, 2 or 3", "--certify %d is no permission", f.certify)
	}
	if sameFile(in, f.out) {
		return usagef("give --out another name", "%s would be written over itself", in)
	}
	key, chain, err := f.signer()
	if err != nil {
		return usagef("see: suti sign --help", "%w", err)
	}
	if warn := looseMode(f.key); warn != "" {
		c.warnf("warning: %s", warn)
	}
	ts, client, err := f.timestamper(level)
	if err != nil {
		return err
	}
	base, size, err := openRegular(in)
	if err != nil {
		return failedf("", "read the document: %w", err)
	}
	defer base.Close()
	password, err := c.readPassword(f.passwordFile)
	if err != nil {
		return err
	}
	prog := c.progress("firmando", size, f.json)
	defer prog.end()
	opts := f.options(level, chain[0], c.now())
	opts.Password = password
	var warnings []string
	opts.Inspect = func(report *pades.PreflightReport) error {
		if f.placed && hasField(report, f.field) {
			return errPlaced
		}
		if warnings = lookOver(report); f.strict && len(warnings) > 0 {
			return errStrict
		}
		for _, w := range warnings {
			c.warnf("warning: %s: %s; \"suti pdf preflight\" tells more, --strict refuses it", w, changeable(w))
		}
		return nil
	}
	if level > pades.LevelBT {
		x, err := f.evidenceFlags.options(level, c.now)
		if err != nil {
			return err
		}
		opts.Extend = &x
	}
	var signed *pades.Signed
	var fault error
	err = writeWhole(f.out, 0o644, func(w io.Writer) error {
		signed, fault = pades.SignTo(ctx, w, watchedReader{base, prog}, size, key, chain, ts, opts)
		return fault
	})
	switch {
	case errors.Is(fault, errStrict):
		return c.refuse(f.json, warnings[0], changeable(warnings[0]))
	case errors.Is(fault, errPlaced):
		return usagef("leave out --page, --corner, --at and --free-space", "field %q of the document has its own place", f.field)
	case fault != nil && !isWriteFault(fault):
		return c.signFault(f.json, fault)
	case err != nil:
		return failedf("nothing was left at "+f.out, "write the signed file: %w", err)
	}
	prog.end()
	return c.tellSigned(f, signed, client, chain[0], opts, c.now().Sub(start), warnings)
}

// signer reads key and chain, and checks that they belong together.
func (f *signFlags) signer() (crypto.Signer, []*x509.Certificate, error) {
	key, err := readKey(f.key)
	if err != nil {
		return nil, nil, err
	}
	certs, err := readCertificates(f.cert)
	if err != nil {
		return nil, nil, err
	}
	chain, err := chainFor(key, certs)
	if err != nil {
		return nil, nil, fmt.Errorf("%s and %s: %w", f.key, f.cert, err)
	}
	return key, chain, nil
}

func (f *signFlags) timestamper(level pades.Level) (pades.Timestamper, *stamp.Client, error) {
	if level < pades.LevelBT {
		return nil, nil, nil
	}
	roots, _, err := readRoots(f.trust)
	if err != nil {
		return nil, nil, usagef("", "--trust: %w", err)
	}
	client, err := stamp.New(stamp.Config{URL: f.tsa, Roots: roots})
	if err != nil {
		return nil, nil, usagef("see: suti sign --help", "--tsa: %w", err)
	}
	return client, client, nil
}

func (f *signFlags) options(level pades.Level, cert *x509.Certificate, now time.Time) pades.Options {
	o := pades.Options{
		Level: level, Field: f.field, SigningTime: now, Name: cert.Subject.CommonName,
		Reason: f.reason, Location: f.location, Certify: pades.Permission(f.certify), Algorithm: f.algorithm,
	}
	if f.visible {
		o.Seal = &pades.Seal{Name: cert.Subject.CommonName, Institution: strings.Join(cert.Subject.Organization, ", "), Date: now}
		if i := slices.IndexFunc(cert.Subject.Names, func(a pkix.AttributeTypeAndValue) bool { return a.Type.Equal(oidTitle) }); i >= 0 {
			o.Seal.Post = fmt.Sprint(cert.Subject.Names[i].Value)
		}
		o.Placement = f.place
	}
	return o
}

// signFault tells an error of signing: what concerns the file or the
// certificate is a refusal, the rest a failure.
func (c *cli) signFault(asJSON bool, err error) error {
	var refused *pades.RefusedError
	var reserve *pades.ReserveError
	var status *tsp.StatusError
	if e := evidenceFault(err); e != nil {
		return c.refuseEvidence(asJSON, e)
	}
	var said *exitError
	if errors.As(err, &said) {
		return err
	}
	if told := c.otherFault(asJSON, err); told != nil {
		return told
	}
	switch {
	case errors.As(err, &refused) && refused.Code == pades.CodeHeader && !asJSON:
		return refusedf("if it is no PDF, add --format cades (or jades, for JSON)", "refused (%s): %s", refused.Code, refused.Detail)
	case errors.As(err, &refused):
		return c.refuse(asJSON, string(refused.Code), refused.Detail)
	case errors.Is(err, pades.ErrCertificate):
		return c.refuse(asJSON, "certificate", err.Error())
	case errors.As(err, &reserve):
		return c.refuse(asJSON, "reserve", err.Error())
	case errors.As(err, &status), errors.Is(err, stamp.ErrAnswer), errors.Is(err, pades.ErrTimestamp), errors.Is(err, safehttp.ErrAddress),
		isStampFault(err):
		return c.refuse(asJSON, "timestamp", err.Error())
	case errors.Is(err, pades.ErrOptions):
		return usagef("see: suti sign --help", "%w", err)
	case errors.Is(err, cms.ErrWeakAlgorithm), errors.Is(err, cms.ErrAlgorithm), errors.Is(err, cms.ErrAlgorithmMismatch):
		return c.refuse(asJSON, "key", err.Error())
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.Canceled):
		return failedf("nothing was written", "stopped: %w", err)
	default:
		return failedf("nothing was written", "sign: %w", err)
	}
}

// isStampFault reports whether an authority's token was found wanting.
func isStampFault(err error) bool {
	for _, fault := range []error{
		tsp.ErrUntrusted, tsp.ErrUsage, tsp.ErrGenTime, tsp.ErrNonce, tsp.ErrImprint, tsp.ErrMalformed, tsp.ErrTSAName, tsp.ErrExtension, cms.ErrSignature,
	} {
		if errors.Is(err, fault) {
			return true
		}
	}
	return false
}

// untrustedStamp warns of a time-stamp whose authority leads to no anchor given.
const untrustedStamp = "the time-stamp fits the signature, but nothing says who its authority is; give its root with --trust"

func (c *cli) tellSigned(f signFlags, s *pades.Signed, client *stamp.Client, cert *x509.Certificate, o pades.Options, took time.Duration, warnings []string) error {
	res := signResult{
		Signed: f.out, Size: s.Size(), Field: s.Field(), Format: f.format, Requested: shortLevel(s.Requested), Achieved: shortLevel(s.Achieved),
		Signer: cert.Subject.String(), Warnings: orEmpty(warnings), CertificateSHA: hexSHA256(cert.Raw),
		SigningTime: o.SigningTime.Format(time.RFC3339), Took: took.Round(time.Millisecond).String(),
	}
	if client != nil {
		t := client.Trusted()
		res.TimestampTrusted = &t
		if !t {
			c.warnf("warning: %s", untrustedStamp)
		}
	}
	if f.json {
		return c.json(res)
	}
	c.printf("Firmado: %s (%d bytes)\n  nivel %s, campo %s, firmante %s\n", res.Signed, res.Size, res.Achieved, res.Field, nameText(cert.RawSubject, res.Signer))
	return nil
}

// errStrict refuses a document under --strict, errPlaced a place for a field
// that has one.
var (
	errStrict = errors.New("the document holds what could change it")
	errPlaced = errors.New("the field has its own place")
)

// isWriteFault reports whether it was the output that could not be written.
func isWriteFault(err error) bool {
	var p *fs.PathError
	return errors.As(err, &p) && p.Op == "write"
}

// lookOver returns the codes of what the file holds that could change what is
// shown after signing: those for which the server refuses a document.
func lookOver(report *pades.PreflightReport) []string {
	var out []string
	if report.Kind == "hybrid" {
		out = append(out, "hybrid")
	}
	for _, f := range report.Findings {
		if slices.Contains(signer.DefaultRefused(), f.Code) {
			out = append(out, f.Code)
		}
	}
	return out
}

// changeable says what a code of lookOver means.
func changeable(code string) string {
	return map[string]string{
		"hybrid":             "older and newer viewers may show different documents",
		pades.FindJavaScript: "the document holds programs that can change what is shown after it is signed",
		pades.FindLaunch:     "the document can start other programs",
		pades.FindExternal:   "the document shows content from elsewhere, which is not signed",
		pades.FindRichMedia:  "the document holds film or sound",
		pades.FindOptional:   "the document has layers that can be hidden",
	}[code]
}

// shortLevel is a level as the command line spells it.
func shortLevel(l pades.Level) string { return strings.TrimPrefix(l.String(), "PAdES-") }

func hexOf(b []byte) string { return hex.EncodeToString(b) }

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
