// Package sdk lets an application use Suti: log people in, call and protect
// interfaces with access tokens, and have documents signed. It depends on the
// standard library only.
//
//	auth, err := sdk.New(ctx, sdk.Config{
//		Issuer: "https://id.oruro.example", ClientID: "tramites", Key: key,
//		BaseURL: "https://tramites.oruro.example",
//	})
//	mux.Handle("/", auth.RequireLogin(app))            // sdk.UserFrom(r.Context())
//	mux.Handle("/pago/", auth.RequireLogin(app, sdk.Level(sdk.N2)))
//	mux.Handle("/auth/", auth.Routes())                // callback, logout, back-channel logout
//
// Every check that OpenID Connect Core 1.0 §3.1.3.7, RFC 7636, RFC 9207 and
// OpenID Connect Back-Channel Logout 1.0 ask of a client is made here and
// cannot be turned off.
package sdk
