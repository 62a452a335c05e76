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
// The child has no environment but three settings of the Go runtime, is given no
// key and no secret, and opens no connection. This guards against files that
// exhaust or crash their reader. It is no cage for one that takes its reader
// over: the child runs as the server's own user, and its verdict is believed. Its
// answer is bounded and checked before it is read.
//
// Only [Work] runs in the child. cmd calls it before anything else; the service
// around this package is signer.
package isolate
