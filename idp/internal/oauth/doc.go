// Package oauth is the provider's grant engine: it turns an authorization
// request into its canonical form, mints authorization codes and redeems them.
// It alone imports fosite, and no fosite type crosses its border. fosite sees
// only flat, checked requests and rows that were read before; what it would
// write is collected, and the caller applies it with the audit entry in one
// transaction of conditional statements. Only idp's packages may import it.
package oauth

// Client profiles, fixed in code.
const (
	ProfileFAPI2  = "gov-fapi2"
	ProfileWeb    = "gov-web"
	ProfileNative = "gov-native"
	ProfileSPA    = "gov-spa"
	ProfileLegacy = "legacy"
)

// Grant types.
const (
	GrantCode              = "authorization_code"
	GrantRefresh           = "refresh_token"
	GrantClientCredentials = "client_credentials"
)
