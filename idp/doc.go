// Package idp is the OpenID provider: the protocol's front door, single
// sign-on, consent, logout and the tokens behind them.
//
// A request is parsed once into a canonical form; a person's decision becomes a
// code; a code becomes tokens. Each of these is one transaction with its audit
// entry, made of statements that can succeed once. Whether a session, grant or
// token is alive is decided at read time, the person's epoch included.
//
// The package knows people only through the interfaces that it declares
// (Authenticator, CardAuthenticator, Directory). cmd implements them; no other
// context may be imported here.
package idp
