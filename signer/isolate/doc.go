// Package isolate judges the signatures in files of strangers in a child process
// (design D15): the same program, run anew for one file, that bounds its own
// memory, processor time and files before it reads a byte, and is thrown away.
// What a file does to it, it does to nothing else.
//
// [Verifier] is the parent's side, [Work] the child's. They are one binary, so
// what passes between them needs no version: a request on standard input, the
// file as descriptor 3, opened for reading only, and one bounded answer on
// standard output. Standard input stays open until the parent is done or dead,
// and the child ends with it.
//
// The child has no environment but three settings of the Go runtime, no network
// to use, no key and no secret. It may not be trusted to be right about its own
// size, so its answer is bounded and checked before it is read.
//
// Only [Work] runs in the child. cmd calls it before anything else; the service
// around this package is signer.
package isolate
