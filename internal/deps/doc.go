// Package deps holds no code of the product: its tests are the rules of the
// house, run on every package of the module. They check the import policy
// ([policy.txt]), that every package says what it owns, and that nothing uses
// init functions or SELECT *. A rule is changed here and in docs/design
// together, never worked around.
package deps
