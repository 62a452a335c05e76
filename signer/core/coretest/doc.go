// Package coretest is a small world for tests of the signing core and of the
// signer: a deployment with acts signed by software passkeys, a certification
// authority with an OCSP responder, a time-stamping unit, and people. Everything
// it gives is real, only small. Only tests import it.
package coretest
