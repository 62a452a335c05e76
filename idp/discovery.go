package idp

import (
	"encoding/json"
	"net/http"

	"oruro.gob.bo/suti/idp/internal/client"
	"oruro.gob.bo/suti/idp/internal/jwks"
	"oruro.gob.bo/suti/idp/internal/oauth"
	"oruro.gob.bo/suti/internal/identity"
)

// metadata is the document of OpenID Connect Discovery 1.0 §3 and RFC 8414 §2.
// It states only what is served.
type metadata struct {
	Issuer                     string            `json:"issuer"`
	Authorization              string            `json:"authorization_endpoint"`
	Token                      string            `json:"token_endpoint"`
	UserInfo                   string            `json:"userinfo_endpoint"`
	JWKS                       string            `json:"jwks_uri"`
	PAR                        string            `json:"pushed_authorization_request_endpoint"`
	DetailTypes                []string          `json:"authorization_details_types_supported"`
	Device                     string            `json:"device_authorization_endpoint"`
	Introspection              string            `json:"introspection_endpoint"`
	Revocation                 string            `json:"revocation_endpoint"`
	EndSession                 string            `json:"end_session_endpoint"`
	Scopes                     []string          `json:"scopes_supported"`
	ResponseTypes              []string          `json:"response_types_supported"`
	ResponseModes              []string          `json:"response_modes_supported"`
	Grants                     []string          `json:"grant_types_supported"`
	ACR                        []string          `json:"acr_values_supported"`
	SubjectTypes               []string          `json:"subject_types_supported"`
	IDTokenAlgs                []string          `json:"id_token_signing_alg_values_supported"`
	UserInfoAlgs               []string          `json:"userinfo_signing_alg_values_supported"`
	IDTokenKeyAlgs             []string          `json:"id_token_encryption_alg_values_supported"`
	IDTokenContentAlgs         []string          `json:"id_token_encryption_enc_values_supported"`
	UserInfoKeyAlgs            []string          `json:"userinfo_encryption_alg_values_supported"`
	UserInfoContentAlgs        []string          `json:"userinfo_encryption_enc_values_supported"`
	TokenAuth                  []string          `json:"token_endpoint_auth_methods_supported"`
	TokenAuthAlgs              []string          `json:"token_endpoint_auth_signing_alg_values_supported"`
	IntrospectionAuth          []string          `json:"introspection_endpoint_auth_methods_supported"`
	IntrospectionAuthAlgs      []string          `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevocationAuth             []string          `json:"revocation_endpoint_auth_methods_supported"`
	RevocationAuthAlgs         []string          `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	Claims                     []string          `json:"claims_supported"`
	ClaimsParameter            bool              `json:"claims_parameter_supported"`
	RequestParameter           bool              `json:"request_parameter_supported"`
	RequestAlgs                []string          `json:"request_object_signing_alg_values_supported"`
	IntrospectionAlgs          []string          `json:"introspection_signing_alg_values_supported"`
	ResponseAlgs               []string          `json:"authorization_signing_alg_values_supported"`
	RequestURIParameter        bool              `json:"request_uri_parameter_supported"`
	IssParameter               bool              `json:"authorization_response_iss_parameter_supported"`
	Challenges                 []string          `json:"code_challenge_methods_supported"`
	Prompts                    []string          `json:"prompt_values_supported"`
	UILocales                  []string          `json:"ui_locales_supported"`
	BackchannelLogout          bool              `json:"backchannel_logout_supported"`
	BackchannelLogoutSession   bool              `json:"backchannel_logout_session_supported"`
	FrontchannelLogout         bool              `json:"frontchannel_logout_supported"`
	FrontchannelLogoutSession  bool              `json:"frontchannel_logout_session_supported"`
	DPoPAlgs                   []string          `json:"dpop_signing_alg_values_supported"`
	CertificateBound           bool              `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	MTLSAliases                map[string]string `json:"mtls_endpoint_aliases,omitempty"`
	RequirePushedAuthorization bool              `json:"require_pushed_authorization_requests"`
}

func (p *Provider) metadata() metadata {
	iss := p.cfg.Issuer
	auth := []string{"private_key_jwt", "client_secret_basic", "client_secret_post"}
	auth = append(auth, p.certificateMethods()...)
	algs := []string{"ES256", "PS256", "EdDSA"}
	return metadata{
		Issuer: iss, Authorization: iss + pathAuthorize, Token: iss + pathToken, UserInfo: iss + pathUserInfo, JWKS: iss + pathJWKS,
		PAR: iss + pathPAR, Device: iss + pathDevice, Introspection: iss + pathIntrospect, Revocation: iss + pathRevoke, EndSession: iss + pathLogout,
		Scopes:      []string{"openid", "profile", "email", "phone", "documento_identidad", "offline_access"},
		DetailTypes: oauth.DetailTypes(), ResponseTypes: []string{"code"}, ResponseModes: []string{"query", "fragment", "form_post", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt"},
		Grants:       []string{"authorization_code", "refresh_token", "client_credentials", oauth.GrantDevice, oauth.GrantExchange},
		ACR:          []string{identity.N0.ACR(), identity.N1.ACR(), identity.N2.ACR(), identity.N3.ACR(), identity.ACRPhishingResistant},
		SubjectTypes: []string{"pairwise"}, IDTokenAlgs: jwks.Algs(), UserInfoAlgs: jwks.Algs(),
		IDTokenKeyAlgs: jwks.KeyAlgs(), IDTokenContentAlgs: jwks.ContentAlgs(), UserInfoKeyAlgs: jwks.KeyAlgs(), UserInfoContentAlgs: jwks.ContentAlgs(),
		TokenAuth: append([]string{"none"}, auth...), TokenAuthAlgs: algs,
		IntrospectionAuth: auth, IntrospectionAuthAlgs: algs, RevocationAuth: append([]string{"none"}, auth...), RevocationAuthAlgs: algs,
		Claims: []string{
			"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "name", "given_name", "family_name", "birthdate",
			"email", "email_verified", "phone_number", "phone_number_verified", "documento_identidad",
		},
		ClaimsParameter: true, IssParameter: true, Challenges: []string{"S256"},
		Prompts: []string{"none", "login", "consent", "select_account"}, UILocales: []string{"es", "en"},
		CertificateBound: p.cfg.MTLS != nil, MTLSAliases: p.aliases(),
		RequestParameter: true, RequestAlgs: client.RequestAlgs(), ResponseAlgs: jwks.Algs(), IntrospectionAlgs: jwks.Algs(), DPoPAlgs: client.ProofAlgs(), BackchannelLogout: true, BackchannelLogoutSession: true, FrontchannelLogout: true, FrontchannelLogoutSession: true,
	}
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) error {
	raw, err := json.Marshal(p.metadata())
	if err != nil {
		return err
	}
	return p.static(w, raw)
}

func (p *Provider) jwks(w http.ResponseWriter, r *http.Request) error {
	raw, err := p.keys.Set(r.Context())
	if err != nil {
		return err
	}
	return p.static(w, raw)
}

// static writes a public document that may be cached for a short time.
func (p *Provider) static(w http.ResponseWriter, raw []byte) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, err := w.Write(raw)
	return err
}
