package console

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"oruro.gob.bo/suti/internal/audit"
	"oruro.gob.bo/suti/internal/i18n"
	"oruro.gob.bo/suti/internal/identity"
)

// facts is what sentences use of a sealed payload; what a record lacks is empty.
type facts struct {
	Method string   `json:"method"`
	Device string   `json:"device"`
	Grant  string   `json:"grant"`
	Why    string   `json:"why"`
	Label  string   `json:"label"`
	Scopes []string `json:"scopes"`
	Claims []string `json:"claims"`
	// Purpose is for what an operator read.
	Purpose string `json:"purpose"`
}

// sentences gives the text of a kind, and where the outcome or a fact matters of
// "kind|that". Arguments are looked up by name in sentence.
// i18n:use console.did.*
var sentences = map[string]string{
	"idp.authenticated|llave":          "console.did.entered_key",
	"idp.authenticated|clave-tarjeta":  "console.did.entered_card",
	"idp.authenticated":                "console.did.entered",
	"idp.refused|llave":                "console.did.refused_key",
	"idp.refused|clave-tarjeta":        "console.did.refused_card",
	"idp.refused":                      "console.did.refused",
	"idp.login":                        "console.did.login",
	"idp.device|denied":                "console.did.device_denied",
	"idp.device":                       "console.did.device",
	"idp.token.issued|refresh_token":   "console.did.token_renewed",
	"idp.token.issued":                 "console.did.token",
	"idp.token.exchanged":              "console.did.exchanged",
	"idp.token.revoked":                "console.did.token_ended",
	"idp.token.code-reused":            "console.did.reused",
	"idp.token.refresh-reused":         "console.did.reused",
	"idp.userinfo.read":                "console.did.read",
	"idp.consent.revoked":              "console.did.withdrew",
	"idp.logout|own":                   "console.did.ended_one",
	"idp.logout|own-all":               "console.did.ended_all",
	"idp.logout|own-device":            "console.did.ended_device",
	"idp.logout|own-application":       "console.did.ended_application",
	"idp.logout|own-grant":             "console.did.ended_grant",
	"idp.logout":                       "console.did.logout",
	"enrolment.account.registered":     "console.did.registered",
	"enrolment.account.corrected":      "console.did.corrected",
	"enrolment.registration.approved":  "console.did.approved",
	"enrolment.registration.rejected":  "console.did.rejected",
	"enrolment.registration.withdrawn": "console.did.withdrawn_act",
	"enrolment.proposal.rejected":      "console.did.rejected",
	"enrolment.proposal.withdrawn":     "console.did.withdrawn_act",
	"enrolment.account.suspended":      "console.did.blocked",
	"enrolment.account.reactivated":    "console.did.unblocked",
	"enrolment.account.password":       "console.did.password",
	"enrolment.card.asked":             "console.did.card_asked",
	"enrolment.card.issued":            "console.did.card",
	"enrolment.card.opened":            "console.did.card_opened",
	"enrolment.card.refused":           "console.did.card_refused",
	"enrolment.passkey.registered":     "console.did.key_added",
	"enrolment.passkey.renamed":        "console.did.key_renamed",
	"enrolment.passkey.changed":        "console.did.key_changed",
	"enrolment.passkey.suspect":        "console.did.key_suspect",
	"enrolment.read.ticket":            "console.did.ticket",
	"enrolment.read.operator":          "console.did.operator",
	"enrolment.read.staff":             "console.did.staff",
	"enrolment.recovery.opened":        "console.did.recovery",
	"enrolment.recovery.vouched":       "console.did.recovery_vouched",
	"enrolment.recovery.cancelled":     "console.did.recovery_cancelled",
	"enrolment.vouched":                "console.did.vouched",
	"enrolment.trusted.named":          "console.did.trusted_named",
	"enrolment.trusted.accepted":       "console.did.trusted_accepted",
	"enrolment.trusted.ended":          "console.did.trusted_ended",
	"enrolment.trusting.named":         "console.did.trusting_named",
	"enrolment.trusting.accepted":      "console.did.trusting_accepted",
	"enrolment.trusting.ended":         "console.did.trusting_ended",
	"enrolment.act.enrolment":          "console.did.verified",
	"enrolment.act.approval":           "console.did.approved",
	"enrolment.act.key-addition":       "console.did.key_act",
	"enrolment.act.role-grant":         "console.did.role",
	"enrolment.act.genesis":            "console.did.genesis",
	"enrolment.act.end":                "console.did.act_end",
	"enrolment.act.amendment":          "console.did.amended",
	"enrolment.act.suspension":         "console.did.blocked",
	"enrolment.act.lift":               "console.did.lift",
	"enrolment.act.presence":           "console.did.presence",
	"enrolment.appointment.proposed":   "console.did.post_proposed",
	"enrolment.appointment.approved":   "console.did.post_approved",
	"enrolment.appointment.ended":      "console.did.post_ended",
	"signer.sign|intent":               "console.did.sign_began",
	"signer.sign|ok":                   "console.did.signed",
	"signer.sign":                      "console.did.sign_failed",
	"signer.request.signed":            "console.did.request_signed",
	"signer.request.declined":          "console.did.request_declined",
	"signer.read.document":             "console.did.document_read",
	"ca.issue|intent":                  "console.did.certificate_began",
	"ca.issue|ok":                      "console.did.certificate",
	"ca.issue":                         "console.did.certificate_failed",
	"ca.revoke":                        "console.did.certificate_revoked",
}

// sentence says in plain words what a record tells. A kind without a text of
// its own gets one that says so and names the kind.
func sentence(p *i18n.Printer, v audit.View, names *book) (key string, args []any) {
	var f facts
	_ = json.Unmarshal(v.Payload, &f) // another shape, or erased: the facts stay empty
	for _, detail := range []string{f.Method, f.Grant, f.Why, v.Outcome} {
		if key = sentences[v.Kind+"|"+detail]; key != "" {
			break
		}
	}
	if key == "" {
		key = sentences[v.Kind]
	}
	switch key {
	case "":
		return "console.did.other", []any{"kind", v.Kind}
	case "console.did.entered_key", "console.did.entered_card":
		if f.Device == "" {
			return "console.did.entered", nil
		}
		return key, []any{"device", f.Device}
	case "console.did.refused_key", "console.did.refused_card":
		if f.Device == "" {
			return "console.did.refused", nil
		}
		return key, []any{"device", f.Device}
	case "console.did.token", "console.did.read":
		return key, []any{"app", names.app(v), "data", dataWords(p, append(slices.Clone(f.Scopes), f.Claims...))}
	case "console.did.login", "console.did.device", "console.did.device_denied", "console.did.exchanged", "console.did.token_renewed", "console.did.token_ended", "console.did.reused", "console.did.withdrew", "console.did.document_read",
		"console.did.ended_application", "console.did.ended_grant":
		return key, []any{"app", names.app(v)}
	case "console.did.operator":
		if f.Purpose == "founding" { // as enrolment.Service.Candidate states it
			return "console.did.operator_founding", nil
		}
		return key, []any{"purpose", f.Purpose}
	case "console.did.key_added":
		if f.Label == "" {
			return "console.did.key_added_plain", nil
		}
		return key, []any{"label", f.Label}
	}
	return key, nil
}

// doer says who did what a record tells.
func (s *site) doer(ctx context.Context, p *i18n.Printer, v audit.View, names *book) string {
	who, place := "", names.institutions[identity.InstitutionID(v.Institution)]
	switch {
	case v.Kind == "idp.refused":
		return p.T("console.who.unknown")
	case v.Actor == string(v.Subject):
		return p.T("console.who.you")
	case identity.CheckID(identity.PrefixPerson, v.Actor) == nil:
		who = s.personName(ctx, p, identity.PersonID(v.Actor), names)
	case names.clients[strings.TrimPrefix(v.Actor, "client:")] != "":
		who = names.clients[strings.TrimPrefix(v.Actor, "client:")]
	case v.Client != "" && strings.TrimPrefix(v.Actor, "client:") == v.Client:
		who = v.Client // no longer registered
	case strings.HasPrefix(v.Actor, "operator:"):
		who = p.T("console.who.operator")
	default:
		who = p.T("console.who.system")
	}
	if place != "" {
		return who + ", " + place
	}
	return who
}

// personName names a member of staff; one who is not to be found is still told of.
func (s *site) personName(ctx context.Context, p *i18n.Printer, id identity.PersonID, names *book) string {
	if name, known := names.people[id]; known {
		return name
	}
	name := p.T("console.who.staff")
	if profile, err := s.c.Registry.Profile(ctx, id); err == nil && profile.Name.Full() != "" {
		name = profile.Name.Full()
	}
	names.people[id] = name
	return name
}

// dataWords names groups of data, as scopes or claims name them, in words.
// i18n:use console.data.*
func dataWords(p *i18n.Printer, names []string) string {
	keys := map[string]string{
		"profile": "console.data.name console.data.birth", "name": "console.data.name", "given_name": "console.data.name", "family_name": "console.data.name",
		"birthdate": "console.data.birth", "email": "console.data.email", "email_verified": "console.data.email", "phone": "console.data.phone",
		"phone_number": "console.data.phone", "phone_number_verified": "console.data.phone", "documento_identidad": "console.data.document",
		"offline_access": "console.data.offline", "openid": "", "sub": "",
	}
	var found, words []string
	for _, name := range names {
		list, known := keys[name]
		if !known {
			list = name // told as it is
		}
		found = append(found, strings.Fields(list)...)
	}
	order := []string{"console.data.name", "console.data.birth", "console.data.document", "console.data.email", "console.data.phone", "console.data.offline"}
	for _, key := range order {
		if slices.Contains(found, key) {
			words = append(words, p.T(key))
		}
	}
	for _, name := range found {
		if !slices.Contains(order, name) && !slices.Contains(words, name) {
			words = append(words, name)
		}
	}
	if len(words) == 0 {
		return p.T("console.data.none")
	}
	return strings.Join(words, ", ")
}
