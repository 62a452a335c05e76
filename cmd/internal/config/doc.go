// Package config reads what a server is told: a file in a strict subset of
// TOML, environment variables SUTI_…, and key=value pairs of the command line.
//
// Invariants: an unknown key, a wrong type or an impossible combination is a
// fault with its place, and all faults are reported at once; flag comes before
// environment, environment before file, file before default; a secret is never
// a value, only the path of a file that holds it; nothing here prints one.
//
// The package opens no database and starts nothing. Only cmd imports it.
package config
