// Package console is the pages that belong to no single context: the home page,
// "Mi cuenta", the public page of the log, and in a demonstration the mailbox
// that shows what would have been sent. It puts together what the contexts
// export and decides nothing itself.
//
// Invariants: every page under /cuenta is of the person signed in and shows and
// changes nothing of anybody else; each reading of a person's records is itself
// recorded before it is shown; what is not understood is told as such and never
// left out.
//
// Only cmd imports the package.
package console
