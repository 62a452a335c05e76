package failpoint

import "slices"

// The crash points of the order of effects (design, §5). A name says the
// context, the flow and the durable step just done or about to be done.
const (
	AuditSequenceBeforeCommit = "audit.sequence.before-commit"
	AuditSequenceAfterCommit  = "audit.sequence.after-commit"
	AuditCheckpointBeforeSave = "audit.checkpoint.before-save"
	AuditCheckpointAfterSave  = "audit.checkpoint.after-save"

	BlobPutAfterChunk     = "blob.put.after-chunk"
	BlobPutBeforeMetadata = "blob.put.before-metadata"

	OutboxBeforeHandle = "outbox.before-handle"
	OutboxAfterHandle  = "outbox.after-handle"

	EnrolActBeforeCommit = "enrolment.act.before-commit"
	EnrolActAfterCommit  = "enrolment.act.after-commit"
	EnrolSuspendAfter    = "enrolment.suspend.after-commit"
	EnrolAppointEndAfter = "enrolment.appointment-end.after-commit"

	LoginRequestStored   = "idp.login.request-stored"
	LoginAuthenticated   = "idp.login.authenticated"
	LoginConsented       = "idp.login.consented"
	LoginCodeIssued      = "idp.login.code-issued"
	TokenBeforeCommit    = "idp.token.before-commit"
	TokenAfterCommit     = "idp.token.after-commit"
	LogoutAfterCommit    = "idp.logout.after-commit"
	RevokeTokenCommitted = "idp.revoke.after-commit"

	IssueBeforeIntent  = "ca.issue.before-intent"
	IssueAfterIntent   = "ca.issue.after-intent"
	IssueAfterSign     = "ca.issue.after-sign"
	IssueAfterStore    = "ca.issue.after-store"
	IssueBeforeReply   = "ca.issue.before-reply"
	RevokeAfterCommit  = "ca.revoke.after-commit"
	RevokeAfterOCSP    = "ca.revoke.after-ocsp"
	CRLBeforePublish   = "ca.crl.before-publish"
	CRLAfterPublish    = "ca.crl.after-publish"
	StampAfterSerial   = "tsa.stamp.after-serial"
	StampAfterSign     = "tsa.stamp.after-sign"
	SignBaseStored     = "signer.sign.base-stored"
	SignPrepared       = "signer.sign.prepared"
	SignAssertionSpent = "signer.sign.assertion-spent"
	SignAfterIntent    = "signer.sign.after-intent"
	SignAfterCert      = "signer.sign.after-certificate"
	SignAfterKeyUse    = "signer.sign.after-key-use"
	SignAfterStamp     = "signer.sign.after-timestamp"
	SignBeforeResult   = "signer.sign.before-result"
	SignAfterResult    = "signer.sign.after-result"
)

// Names returns every failpoint in the order of the catalogue.
func Names() []string {
	return []string{
		AuditSequenceBeforeCommit, AuditSequenceAfterCommit, AuditCheckpointBeforeSave, AuditCheckpointAfterSave,
		BlobPutAfterChunk, BlobPutBeforeMetadata,
		OutboxBeforeHandle, OutboxAfterHandle,
		EnrolActBeforeCommit, EnrolActAfterCommit, EnrolSuspendAfter, EnrolAppointEndAfter,
		LoginRequestStored, LoginAuthenticated, LoginConsented, LoginCodeIssued, TokenBeforeCommit, TokenAfterCommit,
		LogoutAfterCommit, RevokeTokenCommitted,
		IssueBeforeIntent, IssueAfterIntent, IssueAfterSign, IssueAfterStore, IssueBeforeReply,
		RevokeAfterCommit, RevokeAfterOCSP, CRLBeforePublish, CRLAfterPublish,
		StampAfterSerial, StampAfterSign,
		SignBaseStored, SignPrepared, SignAssertionSpent, SignAfterIntent, SignAfterCert, SignAfterKeyUse,
		SignAfterStamp, SignBeforeResult, SignAfterResult,
	}
}

func known(name string) bool { return slices.Contains(Names(), name) }
