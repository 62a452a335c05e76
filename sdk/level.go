package sdk

import (
	"slices"
	"strings"
)

// Assurance levels, in rising order, as acr values.
const (
	N0 = "urn:suti:acr:n0"
	N1 = "urn:suti:acr:n1"
	N2 = "urn:suti:acr:n2"
	N3 = "urn:suti:acr:n3"
)

// levels is the order that acr values alone do not tell.
func levels() []string { return []string{N0, N1, N2, N3} }

// Meets reports whether the acr value got is the level want or a higher one.
// An unknown value meets nothing.
func Meets(got, want string) bool {
	g, w := slices.Index(levels(), got), slices.Index(levels(), want)
	return g >= 0 && w >= 0 && g >= w
}

// atLeast lists the acr values that meet want, the wanted one first.
func atLeast(want string) string {
	i := slices.Index(levels(), want)
	if i < 0 {
		return want
	}
	return strings.Join(levels()[i:], " ")
}
