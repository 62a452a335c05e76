// Package sample is two small applications of two institutions, as their own
// teams would write them: they know Suti through its SDK alone and share no
// code with it. "Trámites" of the departmental government shows login, levels,
// and a signature request from upload to the signed file; "Becas" of a
// municipality shows that one login serves two institutions and that each knows
// the person by another subject.
//
// Pages are in Spanish, need no script, and say on each that this is a
// demonstration. Only cmd imports the package.
package sample
