package assertion

import "errors"

// Reasons for which an assertion is refused. Errors returned by this package
// match exactly one of them with [errors.Is] and never echo the input.
var (
	// ErrExpected reports an unusable [Expected]: a fault of the caller, not of the assertion.
	ErrExpected = errors.New("assertion: incomplete expectation")
	// ErrSize reports an input above its bound (see the Max… constants).
	ErrSize = errors.New("assertion: input too large")
	// ErrFormat reports authenticator data or CBOR that is malformed, not canonical or has bytes left over.
	ErrFormat = errors.New("assertion: malformed authenticator data")
	// ErrClientData reports client data that is not the strict JSON this package accepts.
	ErrClientData = errors.New("assertion: malformed client data")
	// ErrType reports client data of another ceremony than webauthn.get.
	ErrType = errors.New("assertion: wrong ceremony type")
	// ErrChallenge reports another challenge than the expected one.
	ErrChallenge = errors.New("assertion: wrong challenge")
	// ErrOrigin reports an origin outside the allowed list.
	ErrOrigin = errors.New("assertion: origin not allowed")
	// ErrCrossOrigin reports an assertion made in an embedded, cross-origin frame.
	ErrCrossOrigin = errors.New("assertion: made in a cross-origin frame")
	// ErrRPID reports an assertion for another relying party.
	ErrRPID = errors.New("assertion: wrong relying party id")
	// ErrUserPresence reports a clear UP flag.
	ErrUserPresence = errors.New("assertion: user presence missing")
	// ErrUserVerification reports a clear UV flag where verification is required.
	ErrUserVerification = errors.New("assertion: user verification missing")
	// ErrFlags reports flags that contradict each other or the data (BS without BE, AT in an assertion).
	ErrFlags = errors.New("assertion: inconsistent flags")
	// ErrKey reports a COSE_Key that is malformed, not canonical, weak or not on its curve.
	ErrKey = errors.New("assertion: unacceptable public key")
	// ErrAlgorithm reports a COSE_Key of an algorithm outside ES256, EdDSA and RS256.
	ErrAlgorithm = errors.New("assertion: unsupported key algorithm")
	// ErrSignature reports a signature that does not verify or is not strictly encoded.
	ErrSignature = errors.New("assertion: signature does not verify")
	// ErrCounter reports a signature counter that did not rise: a possible clone.
	ErrCounter = errors.New("assertion: signature counter did not rise")
)
