// Package notify tells people, by e-mail and SMS, what happened to their
// identity. A context puts a notice in the transaction of its cause; the outbox
// carries it out later.
//
// Invariants: a notice exists if and only if its cause was committed; what is
// queued names the person and what happened and holds neither address nor
// datum nor secret (the outbox is not sealed), the address is asked for when it
// is sent; a channel that failed is tried again without repeating the other;
// once it is recorded as sent it is not sent again. Between the sending and the
// record the process may end, so a message can arrive twice: it then bears the
// same Message-ID or Idempotency-Key.
//
// Texts say what to do if it was not the person, name the address to type, and
// never ask for a code or a password.
//
// Anyone above the mechanisms may import it.
package notify
