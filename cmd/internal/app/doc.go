// Package app puts the contexts together: it opens what they stand on, wires
// each to the interfaces it declares, mounts their routes and runs their
// background work. It is the one place besides cmd/suti that knows more than
// one context. Adapters between peers stand in wire.go and hold no logic.
//
// suti serve, suti demo, suti tour and the end-to-end tests all run what New
// returns, so that what is tested is what is served.
package app
