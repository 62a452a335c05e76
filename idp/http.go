package idp

import (
	"oruro.gob.bo/suti/internal/web"
)

// AuthorizePost is the pattern of the authorization endpoint that other sites
// may post to: it begins a login and acts on no cookie's authority.
const AuthorizePost = "POST " + pathAuthorize

// Browser registers what people see: authorization, login, logout.
func (p *Provider) Browser(mux *web.BrowserMux) {
	mux.Handle("GET "+pathAuthorize, p.authorize)
	mux.Handle(AuthorizePost, p.authorize)
	mux.Handle("GET "+pathLogout, p.logout)
	mux.Handle("POST "+pathLogout, p.logout)
	mux.Handle("POST /salir", p.logoutConfirmed)
	p.flow.Register(mux)
}

// Protocol registers what applications call.
func (p *Provider) Protocol(mux *web.ProtocolMux) {
	mux.Handle("GET "+pathDiscovery, p.discovery)
	mux.Handle("GET "+pathMetadata, p.discovery)
	mux.Handle("GET "+pathJWKS, p.jwks)
	mux.Handle("POST "+pathPAR, p.pushed)
	mux.Handle("POST "+pathToken, p.token)
	mux.Handle("POST "+pathIntrospect, p.introspect)
	mux.Handle("POST "+pathRevoke, p.revoke)
	mux.Handle("GET "+pathUserInfo, p.userinfo)
	mux.Handle("POST "+pathUserInfo, p.userinfo)
}
