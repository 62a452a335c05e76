// Package web is the edge between HTTP and the contexts: handlers that return
// errors, one wrapper that names, bounds, logs, counts and answers requests,
// three muxes with their own header sets, and the pages that people see.
//
// A [Site] is made once from a [Config]; each context registers its routes on
// the mux that fits and never on http.DefaultServeMux:
//
//   - [BrowserMux]: pages and their forms. Cookies, a strict Content-Security-
//     Policy, refusal of cross-origin posts, only the public host.
//   - [ProtocolMux]: OAuth endpoints, OCSP, time-stamps, tiles. Form or DER
//     bodies, cookies are taken away in both directions, CORS where a route asks.
//   - [APIMux]: JSON in and out, RFC 9457 problems, no cookies, no form bodies.
//
// Invariants: every answer bears a request id and the header set of its mux, also
// when nothing matched, a handler failed or panicked; an error that is not an
// [Error] is a 500 that shows nothing of it; no query, body, cookie or header
// value reaches a log line or a metric label; links are made from the one
// configured public address and never from what a request claims.
//
// It also declares [Principal], the signed-in person as every context sees it
// (design D19); idp implements it, cmd injects it.
//
// The package imports internal/i18n, internal/identity and sdk/api. It and page
// packages are the only importers of html/template.
package web
