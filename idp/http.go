package idp

import (
	"oruro.gob.bo/suti/internal/web"
)

// AuthorizePost is the pattern of the authorization endpoint that other sites
// may post to: it begins a login and acts on no cookie's authority.
const AuthorizePost = "POST " + pathAuthorize

// LogoutPost is the pattern of the logout endpoint that other sites may post to
// (RP-Initiated Logout 1.0 §2): it only repeats the request as a GET.
const LogoutPost = "POST " + pathLogout

// Browser registers what people see: authorization, login, logout.
func (p *Provider) Browser(mux *web.BrowserMux) {
	mux.Handle("GET "+pathAuthorize, p.authorize)
	mux.Handle(AuthorizePost, p.authorize)
	mux.Handle("GET "+pathLogout, p.logout)
	mux.Handle(LogoutPost, p.logoutPosted)
	mux.Handle("POST /salir", p.logoutConfirmed)
	p.flow.Register(mux)
}

// Protocol registers what applications call. Applications that run in a browser
// read all of it but introspection, which is for confidential clients.
func (p *Provider) Protocol(mux *web.ProtocolMux) {
	mux.Handle("GET "+pathDiscovery, p.discovery, web.CORS())
	mux.Handle("GET "+pathMetadata, p.discovery, web.CORS())
	mux.Handle("GET "+pathJWKS, p.jwks, web.CORS())
	mux.Handle("POST "+pathPAR, p.pushed, web.CORS())
	mux.Handle("POST "+pathDevice, p.device)
	mux.Handle("POST "+pathToken, p.token, web.CORS())
	mux.Handle("POST "+pathIntrospect, p.introspect)
	mux.Handle("POST "+pathRevoke, p.revoke, web.CORS())
	mux.Handle("GET "+pathUserInfo, p.userinfo, web.CORS())
	mux.Handle("POST "+pathUserInfo, p.userinfo, web.CORS())
}
