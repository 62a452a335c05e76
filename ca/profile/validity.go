package profile

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrValidity reports a validity period that the rules do not allow.
	ErrValidity = errors.New("profile: validity refused")
	// ErrHalfLife reports an issuer past half of its own life: it only signs
	// revocation information from then on, and its successor issues.
	ErrHalfLife = errors.New("profile: issuer is past half of its life")
)

// period returns notBefore and notAfter, both inclusive and in whole seconds
// UTC (RFC 5280 §4.1.2.5). notBefore is the second of issue, never earlier:
// a certificate must not seem older than the decision to issue it.
func (p Profile) period(in Input) (from, to time.Time, err error) {
	from = in.Now.UTC().Truncate(time.Second)
	longest := from.Add(p.MaxValidity - time.Second)
	to = longest
	if !in.NotAfter.IsZero() {
		to = in.NotAfter.UTC().Truncate(time.Second)
		if to.After(longest) {
			return from, to, fmt.Errorf("%w: asked for more than %s", ErrValidity, p.MaxValidity)
		}
	}
	if end := in.AppointmentEnd; !end.IsZero() {
		// The appointment holds until the instant end; the last valid second precedes it.
		last := end.UTC().Add(-time.Nanosecond).Truncate(time.Second)
		if last.Before(to) {
			to = last
		}
	}
	if !p.selfSigned() {
		if to, err = p.withinIssuer(from, to, in); err != nil {
			return from, to, err
		}
	}
	if !to.After(from) {
		return from, to, fmt.Errorf("%w: it would end before it begins", ErrValidity)
	}
	return from, to, nil
}

// withinIssuer applies the issuer's own limits.
func (p Profile) withinIssuer(from, to time.Time, in Input) (time.Time, error) {
	start, end := in.Issuer.NotBefore, in.Issuer.NotAfter
	if from.Before(start) || !from.Before(end) {
		return to, fmt.Errorf("%w: the issuer is not valid now", ErrValidity)
	}
	if p.HalfLife && from.After(start.Add(end.Sub(start)/2)) {
		return to, ErrHalfLife
	}
	if to.After(end) {
		if !p.Clamp {
			return to, fmt.Errorf("%w: it would outlive the issuer", ErrValidity)
		}
		to = end
	}
	if p.KeyUse > 0 && to.Before(from.Add(p.KeyUse)) {
		return to, fmt.Errorf("%w: shorter than the key's period of use", ErrValidity)
	}
	return to, nil
}
