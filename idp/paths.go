package idp

// The protocol's addresses beneath the issuer (design §4).
const (
	pathDiscovery  = "/.well-known/openid-configuration"
	pathMetadata   = "/.well-known/oauth-authorization-server"
	pathJWKS       = "/jwks.json"
	pathAuthorize  = "/oauth2/authorize"
	pathPAR        = "/oauth2/par"
	pathToken      = "/oauth2/token"
	pathUserInfo   = "/oauth2/userinfo"
	pathIntrospect = "/oauth2/introspect"
	pathRevoke     = "/oauth2/revoke"
	pathLogout     = "/oauth2/logout"
	pathDevice     = "/oauth2/device"
)

// maxForm bounds the body of a protocol request, in bytes.
const maxForm = 64 << 10
